"""The embedded run into the warm store, from protobuf files, and what its parts take alone.

Mainnet's mix by the simulator. Every part does the work of the whole chain of blocks: reading the
files into raw batches, decoding them, making table columns, and the engine inserting those columns
into empty tables. The whole run has counts, progress of slots and background merges on top.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from benchmarks.harness import Report, Row, interleaved
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink, Limits
from mevstream.topologies.sinks.columns import Flush, Rows, Run
from mevstream.topologies.sinks.migrations import migrate

SLOTS = 200
_WITHOUT_VOTES: list[Rows] = ["no votes"]
WHOLE = "the whole run, store included"


def run(slots: int = SLOTS, repetitions: int = 5) -> Report:
    """Seconds for `slots` slots; facts give the rates."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder), slots, repetitions)


def _run(folder: Path, slots: int, repetitions: int) -> Report:
    chain = folder / "chain"
    chain.mkdir()
    for block in Simulator(SimulatorConfig(seed=7)).blocks(slots):
        (chain / f"{block.slot}.pb").write_bytes(block.data)
    decoder = BatchDecoder()
    raw = list(open_sources([str(chain)]))
    views = [ParsedView(decoder.decode(batch)) for batch in raw]
    transactions = sum(view.n_tx for view in views)
    run = Run("benchmark", version=1)
    flushes = [(flush.transactions(), flush.swaps()) for flush in _flushes(views, run)]
    numbers = count()

    def whole() -> None:
        engine = ChdbEngine(folder / str(next(numbers)))
        with ClickHouseSink(engine) as sink:
            EmbeddedRuntime(sink).run(open_sources([str(chain)]))

    def insert() -> None:
        with _tables(folder / str(next(numbers))) as engine:
            for number, (rows, legs) in enumerate(flushes):
                engine.insert("transactions", rows, f"t{number}")
                engine.insert("swaps", legs, f"s{number}")

    def columns() -> list[object]:
        return [(flush.transactions(), flush.swaps()) for flush in _flushes(views, run)]

    parts: dict[str, Callable[[], object]] = {
        WHOLE: whole,
        "reading the files": lambda: sum(map(len, open_sources([str(chain)]))),
        "decoding": lambda: [len(decoder.decode(batch)) for batch in raw],
        "table columns": columns,
        "the engine alone, inserting": insert,
    }
    rows = interleaved(parts, repetitions, warm_up=1)
    time = {row.name: row.median for row in rows}
    stored = sum(batch.num_rows for flush in flushes for batch in flush)
    return Report(
        f"{slots} simulated slots from protobuf files into the embedded store",
        [Row(row.name, row.median, row.minimum) for row in rows],
        baseline=WHOLE,
        facts={
            "transactions": transactions,
            "rows stored": stored,
            "transactions/s": round(transactions / time[WHOLE]),
            "engine alone rows/s": round(stored / time["the engine alone, inserting"]),
        },
    )


def _flushes(views: list[ParsedView], run: Run) -> Iterator[Flush]:
    """The batches in the portions that the sink writes at once."""
    portion: list[ParsedView] = []
    size = 0
    for view in views:
        portion.append(view)
        size += view.n_tx
        if size >= Limits().transactions:
            yield Flush(portion, _WITHOUT_VOTES * len(portion), run)
            portion, size = [], 0
    if portion:
        yield Flush(portion, _WITHOUT_VOTES * len(portion), run)


@contextmanager
def _tables(folder: Path) -> Iterator[ChdbEngine]:
    engine = ChdbEngine(folder)
    try:
        migrate(engine)
        yield engine
    finally:
        engine.close()
