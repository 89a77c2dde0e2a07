"""The lake's sink beside pyarrow.parquet writing the same Arrow data, and nothing else.

Mainnet's mix by the simulator, parted among four market partitions. The sink reads records, finds
out which are stored already, makes columns, sorts them, writes and syncs files, and commits; the
rival gets finished Arrow tables with the same columns and the same compression.
"""

import shutil
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import process_time
from typing import Any

import pyarrow.parquet as pq

from benchmarks.harness import Report, Row, interleaved
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.headers import RecordHeaders
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.chain import CHAIN, MESSAGES, PARSED
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.sinks.lake.manifest import Manifest
from mevstream.topologies.sinks.lake.sink import LakeSink
from mevstream.topologies.sinks.lake.storage import Folder
from mevstream.topologies.sinks.stream import Delivery

SLOTS = 200
PARTITIONS = 4
SINK = "LakeSink: read and store"
RIVAL = "write_table alone"


def run(slots: int = SLOTS, repetitions: int = 5) -> Report:
    """Seconds for `slots` slots; facts give the rates."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder), slots, repetitions)


def _run(folder: Path, slots: int, repetitions: int) -> Report:
    deliveries = _deliveries(folder, slots)
    transactions = 0
    numbers = count()

    def sink() -> Path:
        lake = folder / f"lake{next(numbers)}"
        writer = LakeSink(Folder(lake))
        writer.open()
        writer.store([writer.read(delivery) for delivery in deliveries])
        return lake

    lake = sink()
    files = list(Manifest(Folder(lake)).load().files.values())
    tables = {file.table: pq.read_table(lake / file.path) for file in files}
    for delivery in deliveries:
        transactions += int((ParsedView(delivery.value).tx_replica == 0).sum())

    write_table: Any = pq.write_table

    def rival() -> None:
        for name, table in tables.items():
            plain = {"signature"}
            write_table(
                table,
                folder / f"{name}.parquet",
                compression={n: "none" if n in plain else "zstd" for n in table.schema.names},
                use_dictionary=[n for n in table.schema.names if n not in plain],
                row_group_size=1 << 17,
            )

    def clean() -> None:
        shutil.rmtree(sink())

    cpu = {SINK: _cpu_seconds(clean), RIVAL: _cpu_seconds(rival)}
    rows = interleaved({SINK: clean, RIVAL: rival}, repetitions, warm_up=1)
    time = {row.name: row.median for row in rows}
    stored = sum(file.rows for file in files)
    arrow = sum(table.nbytes for table in tables.values())
    size = sum(file.bytes for file in files)
    return Report(
        f"{slots} simulated slots into the lake, in a local folder",
        [Row(row.name, row.median, row.minimum) for row in rows],
        baseline=RIVAL,
        facts={
            "transactions": transactions,
            "transactions/s": round(transactions / time[SINK]),
            "transactions/CPU-second": round(transactions / cpu[SINK]),
            "CPU seconds": round(cpu[SINK], 2),
            "CPU seconds of write_table": round(cpu[RIVAL], 2),
            "rows": stored,
            "rows/s": round(stored / time[SINK]),
            "Arrow MB": round(arrow / 1e6, 1),
            "Arrow MB/s": round(arrow / 1e6 / time[SINK], 1),
            "Parquet MB": round(size / 1e6, 1),
            "ratio": round(arrow / size, 2),
            "bytes a row": round(size / stored, 1),
        },
    )


def _cpu_seconds(function: Callable[[], object]) -> float:
    """The least of three: what else runs on the core does not count."""
    seconds: list[float] = []
    for _ in range(3):
        begun = process_time()
        function()
        seconds.append(process_time() - begun)
    return min(seconds)


def _deliveries(folder: Path, slots: int) -> list[Delivery]:
    chain = folder / "chain"
    chain.mkdir()
    for block in Simulator(SimulatorConfig(seed=7)).blocks(slots):
        (chain / f"{block.slot}.pb").write_bytes(block.data)
    decode = BatchDecoder().decode
    open_split: Any = CHAIN[0].open_split
    split = open_split()
    headers = RecordHeaders(schema=MESSAGES[PARSED])
    return [
        Delivery(PARSED, partition, offset, value, headers)
        for offset, raw in enumerate(open_sources([str(chain)]))
        for partition, value in enumerate(split(decode(raw), PARTITIONS))
    ]
