"""The warm sink through the native protocol into a server, against the engine's own insert.

Mainnet's mix by the simulator, parted by market among four partitions, as the sink's consumer gets
it: messages, which the sink reads, counts and makes columns of. The rival is the embedded engine
inserting those columns, made beforehand, by one statement per table. The server is the local
stack's.
"""

import os
import socket
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

from benchmarks.harness import Report, Row, interleaved
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.headers import RecordHeaders
from mevstream.codecs.parsed import ParsedMessage, ParsedView, read_parsed
from mevstream.infra.stack.clickhouse import clickhouse_service
from mevstream.infra.stack.service import ServiceProcess
from mevstream.topologies.chain import MESSAGES, PARSED
from mevstream.topologies.parsed.market import open_split
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.columns import Flush, Rows, Run
from mevstream.topologies.sinks.migrations import migrate
from mevstream.topologies.sinks.native_engine import NativeEngine, Server
from mevstream.topologies.sinks.stream import Delivery
from mevstream.topologies.sinks.warm import WarmSink

SLOTS = 100
PARTITIONS = 4
_STORE_TRANSACTIONS = 1 << 16
SINK = "the sink's read and store, through the protocol"
RIVAL = "the engine's own insert, columns made before"


def run(slots: int = SLOTS, repetitions: int = 5) -> Report:
    """Seconds for `slots` slots; facts give the rates and the shares."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder), slots, repetitions)


def _run(folder: Path, slots: int, repetitions: int) -> Report:
    portions = _portions(folder, slots)
    batches = [[read_parsed(delivery.value) for delivery in portion] for portion in portions]
    run = Run("benchmark", version=1)

    def flush(portion: list[ParsedMessage]) -> Flush:
        rows: list[Rows] = ["no votes"] * len(portion)
        return Flush(portion, rows, run)

    flushes = [(f.transactions(), f.swaps()) for f in map(flush, batches)]
    stored = sum(batch.num_rows for pair in flushes for batch in pair)
    numbers = count()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = ServiceProcess(
        clickhouse_service(folder=folder / "server", log=folder / "log", port=port)
    )
    try:
        server.wait_ready()

        def database() -> Server:
            name = f"run{next(numbers)}"
            engine = NativeEngine(Server(port=port))
            engine.execute(f"CREATE DATABASE {name}")
            engine.close()
            return Server(port=port, database=name)

        # Tables are made outside the clock, an empty set for each turn.
        sinks: list[WarmSink] = []
        engines: list[NativeEngine] = []
        for _ in range(repetitions + 1):
            there = database()
            sinks.append(WarmSink(lambda there=there: NativeEngine(there)))
            sinks[-1].open()
            engines.append(NativeEngine(database()))
            migrate(engines[-1])
        own = ChdbEngine(folder / "embedded")
        for number in range(repetitions + 1):
            own.execute(f"CREATE DATABASE run{number}")
            own.execute(f"USE run{number}")
            migrate(own)
        turns = {name: count() for name in ("sink", "protocol", "own")}

        def store() -> None:
            sink = sinks[next(turns["sink"])]
            for portion in portions:
                sink.store([sink.read(delivery) for delivery in portion])

        def protocol() -> None:
            engine = engines[next(turns["protocol"])]
            for number, (rows, legs) in enumerate(flushes):
                engine.insert("transactions", rows, f"t{number}")
                engine.insert("swaps", legs, f"s{number}")

        def insert() -> None:
            own.execute(f"USE run{next(turns['own'])}")
            for number, (rows, legs) in enumerate(flushes):
                own.insert("transactions", rows, f"t{number}")
                own.insert("swaps", legs, f"s{number}")

        parts: dict[str, Callable[[], object]] = {
            RIVAL: insert,
            SINK: store,
            "the protocol alone, columns made before": protocol,
            "table columns": lambda: [(f.transactions(), f.swaps()) for f in map(flush, batches)],
        }
        rows = interleaved(parts, repetitions, warm_up=1)
        for sink in sinks:
            sink.close()
        for engine in engines:
            engine.close()
        own.close()
    finally:
        server.stop()
    time = {row.name: row for row in rows}
    return Report(
        f"{slots} simulated slots in {PARTITIONS} parts each, into a ClickHouse server",
        [Row(row.name, row.median, row.minimum) for row in rows],
        baseline=RIVAL,
        facts={
            "rows": stored,
            "stores": len(portions),
            "sink rows/s": round(stored / time[SINK].median),
            "engine rows/s": round(stored / time[RIVAL].median),
            "share (medians)": f"{time[RIVAL].median / time[SINK].median:.0%}",
            "share (minima)": f"{time[RIVAL].minimum / time[SINK].minimum:.0%}",
            "cores": len(os.sched_getaffinity(0)),
        },
    )


def _portions(folder: Path, slots: int) -> list[list[Delivery]]:
    """What each call of `store` is about."""
    chain = folder / "chain"
    chain.mkdir()
    for block in Simulator(SimulatorConfig(seed=7)).blocks(slots):
        (chain / f"{block.slot}.pb").write_bytes(block.data)
    decoder, split = BatchDecoder(), open_split()
    portions: list[list[Delivery]] = [[]]
    transactions = 0
    headers = RecordHeaders(schema=MESSAGES[PARSED])
    for offset, raw in enumerate(open_sources([str(chain)])):
        parsed = decoder.decode(raw)
        transactions += ParsedView(parsed).n_tx
        for partition, value in enumerate(split(parsed, PARTITIONS)):
            portions[-1].append(Delivery(PARSED, partition, offset, value, headers))
        if transactions >= _STORE_TRANSACTIONS:
            portions.append([])
            transactions = 0
    return [portion for portion in portions if portion]
