"""However the records are cut, wherever a sink dies, whatever comes twice: the same rows."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.synthetic import raw_slot, stand_in

from lake.chain import (
    Log,
    agents_raw,
    append,
    chain_log,
    counts,
    everything,
    synthetic_log,
    synthetic_raw,
    table_rows,
)
from mevstream.cext.decoder import BatchDecoder
from mevstream.topologies.chain import OPPORTUNITIES, PARSED
from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink
from mevstream.topologies.sinks.columns import PARSED_TABLES, Run
from mevstream.topologies.sinks.lake.manifest import DataFile, Manifest
from mevstream.topologies.sinks.lake.sink import LakeSink
from mevstream.topologies.sinks.lake.storage import Folder, LakeError, Storage
from mevstream.topologies.sinks.lake.tables import TABLES, Part
from mevstream.topologies.sinks.lake.upkeep import clear, compact
from mevstream.topologies.sinks.lake.verify import verify
from mevstream.topologies.sinks.lake.views import open_lake
from mevstream.topologies.sinks.opportunities import TABLES as OPPORTUNITY_TABLES
from mevstream.topologies.sinks.stream import Delivery

TESTS = Path(__file__).resolve().parents[1]


class Dies(Folder):
    """A folder whose writer dies at the given publication: before it has happened, or after."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.left: int | None = None
        self.after = False

    def _publish(self, file: BinaryIO, path: str) -> None:
        if self.left is None:
            super()._publish(file, path)
            return
        self.left -= 1
        if self.left >= 0 or self.after:
            super()._publish(file, path)
        if self.left < 0:
            raise LakeError("died")


def open_sink(storage: Storage, **options: Any) -> LakeSink:
    sink = LakeSink(storage, **options)
    sink.open()
    return sink


def store(sink: LakeSink, deliveries: Sequence[Delivery]) -> None:
    sink.store([sink.read(delivery) for delivery in deliveries])


@pytest.fixture(scope="module")
def log() -> Log:
    return synthetic_log()


@pytest.fixture(scope="module")
def expected(log: Log, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The rows of one store of all records."""
    storage = Folder(tmp_path_factory.mktemp("expected"))
    store(open_sink(storage), everything(log))
    rows = table_rows(storage)
    assert rows.keys() == set(TABLES)
    assert all(len(lines) == len(set(lines)) for lines in rows.values())
    return rows


def test_the_tables_are_those_of_an_embedded_run(tmp_path: Path, log: Log) -> None:
    """Column by column, as the warm store has them after the same batches."""
    storage = Folder(tmp_path / "lake")
    store(open_sink(storage), everything(log))
    warm = ChdbEngine(tmp_path / "warm")
    with ClickHouseSink(warm) as sink:
        EmbeddedRuntime(sink, stand_in()).run(synthetic_raw())
        selects = {name: _select(warm, name) for name in WARM_TABLES}
        found = {name: sorted(warm.rows(select)) for name, select in selects.items()}
        kinds = {name: _columns(warm, name) for name in (*WARM_TABLES, "v_swaps", "v_slots")}
        views = {name: warm.rows(f"SELECT count() FROM {name}") for name in ("v_swaps", "v_slots")}
    assert all(found.values())
    with open_lake(storage) as engine:
        for name, rows in found.items():
            assert sorted(engine.rows(selects[name])) == rows, name
        for name, columns in kinds.items():
            assert _columns(engine, name) == columns
        for name, rows in views.items():
            assert engine.rows(f"SELECT count() FROM {name}") == rows, name


WARM_TABLES = (*PARSED_TABLES, "market_data", "dead_letters", "slots")
# Of the write, or of Kafka, which the embedded run does not have.
_OTHER = ("run_id", "version", "ingested_at", "seen", "kafka_partition", "kafka_offset")


def _select(engine: ChdbEngine, table: str) -> str:
    """All that a run does not change, as text. Of slots those with a block: of single transactions
    there is a status for each batch, or one for all."""
    names = [name for name, _ in _columns(engine, table) if name not in _OTHER]
    known = "WHERE blockhash != toFixedString('', 32)" if table == "slots" else ""
    return f"SELECT hex(toString(tuple({', '.join(names)}))) FROM {table} FINAL {known}"


def _columns(engine: ChdbEngine, table: str) -> list[tuple[str, str]]:
    rows = engine.rows(
        f"SELECT name, type FROM system.columns WHERE table = '{table}' "
        "AND database = currentDatabase() ORDER BY position"
    )
    return [(str(name), str(kind)) for name, kind in rows]


@pytest.mark.parametrize("partitions", [1, 3])
def test_opportunities_are_those_of_an_embedded_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partitions: int
) -> None:
    """From all partitions, of which several may tell the same one, some of them stored twice,
    before compaction and after it."""
    (tmp_path / "blocks").mkdir()
    raw = agents_raw(tmp_path / "blocks")
    warm = ChdbEngine(tmp_path / "warm")
    with ClickHouseSink(warm) as warm_sink:
        EmbeddedRuntime(warm_sink).run(raw)
        selects = {name: _select(warm, name) for name in (*PARSED_TABLES, *OPPORTUNITY_TABLES)}
        found = {name: sorted(warm.rows(select)) for name, select in selects.items()}
        views = {name: _view(warm, name) for name in OPPORTUNITY_VIEWS}
    assert all(found.values())
    kinds = "SELECT count() FROM v_opportunities GROUP BY kind"

    storage = Folder(tmp_path / "lake")
    records = everything(log := chain_log(raw, BatchDecoder().decode, partitions))
    sink = open_sink(storage)
    for portion in range(0, len(records), 40):
        store(sink, records[portion : portion + 40])
    # From long ago, at other offsets: stored again.
    monkeypatch.setattr("mevstream.topologies.sinks.lake.coverage.CONTENTS", 1)
    again = [record for record in records if record.topic == OPPORTUNITIES]
    ends = [len(log[OPPORTUNITIES, partition]) for partition in range(partitions)]
    store(
        open_sink(storage), [replace(one, offset=one.offset + ends[one.partition]) for one in again]
    )
    lying = table_rows(storage)
    told = len(found["opportunities"])
    # All but the last records of the partitions, whose contents are known.
    assert len(lying["opportunities"]) > 1.9 * told

    for compacted in (False, True):
        if compacted:
            list(compact(storage, settle_seconds=0))
            assert len(table_rows(storage)["opportunities"]) == told
            assert verify(storage).sound
        with open_lake(storage) as engine:
            for name, rows in found.items():
                assert sorted(engine.rows(selects[name])) == rows, name
            for name, rows in views.items():
                assert _view(engine, name) == rows, name
            assert len(engine.rows(kinds)) == 5


OPPORTUNITY_VIEWS = (
    *("v_opportunities", "v_opportunity_legs", "v_opportunity_transactions", "v_arbitrages"),
    *("v_sandwiches", "v_jit_liquidity", "v_liquidations", "v_liquidation_events", "v_liquidity"),
    *("v_victims", "v_searchers", "v_tips"),
)


def _view(engine: ChdbEngine, name: str) -> list[tuple[Any, ...]]:
    """Sums of fractions to what does not depend on the order in which they were added."""
    columns = engine.rows(f"DESCRIBE TABLE {name}")
    texts = [
        f"toString(round({column}, 9))" if "Float" in kind else f"toString({column})"
        for column, kind, *_ in columns
        if column != "ingested_at"
    ]
    values = ", ".join(f"ifNull({text}, '-')" for text in texts)
    return sorted(engine.rows(f"SELECT {values} FROM {name}"))


steps = st.lists(
    st.tuples(
        st.integers(1, 9),  # records of each partition
        st.sampled_from(["goes on", "restarts", "dies before", "dies after", "not committed"]),
        st.integers(0, 5),  # publication at which it dies
    ),
    max_size=12,
)


@settings(max_examples=25)
@given(steps=steps, repeats=st.lists(st.integers(0, 1000), max_size=8))
def test_any_cut_with_crashes_gives_each_row_once(
    tmp_path_factory: pytest.TempPathFactory,
    log: Log,
    expected: dict[str, list[str]],
    steps: list[tuple[int, str, int]],
    repeats: list[int],
) -> None:
    # A stage that repeats itself: old records at new offsets of the same partition.
    log = {place: list(records) for place, records in log.items()}
    for number in repeats:
        place = sorted(log)[number % len(log)]
        append(log, *place, log[place][number % len(log[place])].value)

    storage = Dies(tmp_path_factory.mktemp("lake"))
    sink = open_sink(storage)
    committed = dict.fromkeys(log, 0)
    for records, fate, publication in [*steps, (10_000, "goes on", 0)]:
        run = [d for place in log for d in log[place][committed[place] :][:records]]
        if not run:
            continue
        storage.left = publication if fate.startswith("dies") else None
        storage.after = fate == "dies after"
        try:
            store(sink, run)
        except LakeError:
            sink = open_sink(storage)
            continue
        if fate == "not committed":
            sink = open_sink(storage)
            continue
        committed |= {(d.topic, d.partition): d.offset + 1 for d in run}
        if fate == "restarts":
            sink = open_sink(storage)
    storage.left = None
    # As it lies there, by the files that count: nobody had to drop a copy.
    assert table_rows(storage) == expected
    findings = verify(storage)
    assert findings.sound, findings
    clear(storage, grace_seconds=-1)
    assert verify(storage).orphans == []
    assert table_rows(storage) == expected


def test_killed_at_any_moment(tmp_path: Path, expected: dict[str, list[str]]) -> None:
    """A process that stores record after record is killed again and again, and always begins at
    the first record, as if it had never committed an offset."""
    folder = tmp_path / "lake"
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    command = [sys.executable, "-m", "lake.feed", str(folder)]
    rng = random.Random(3)
    killed = 0
    for _ in range(4):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(rng.randrange(1, 8)):
                process.stdout.readline()
            time.sleep(rng.random() * 0.01)
            process.kill()
        killed += process.returncode == -signal.SIGKILL
    assert killed
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=120)
    storage = Folder(folder)
    assert table_rows(storage) == expected
    clear(storage, grace_seconds=-1)
    assert not list(folder.glob(".*.tmp"))
    assert verify(storage).sound


def test_two_sinks_that_store_the_same_at_once(
    tmp_path: Path, log: Log, expected: dict[str, list[str]]
) -> None:
    """A consumer that has lost its partitions without knowing it, beside the one that has them."""
    storage = Folder(tmp_path)
    barrier = threading.Barrier(2)

    class Meets(LakeSink):
        """Writes its files only once the other, too, has seen that nothing is stored."""

        met = False

        def _write(self, parts: Sequence[Part], run: Run) -> list[DataFile]:
            if not self.met:
                self.met = True
                barrier.wait(20)
            return super()._write(parts, run)

    def run() -> None:
        sink = Meets(storage)
        sink.open()
        store(sink, everything(log))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    twice = {table: 2 * len(lines) for table, lines in expected.items()}
    assert counts(table_rows(storage)) == twice
    with open_lake(storage) as engine:
        for table, lines in expected.items():
            assert engine.rows(f"SELECT count() FROM {table}") == [(len(lines),)]
    done = list(compact(storage, settle_seconds=0))
    assert sum(hour.copies for hour in done) == sum(map(len, expected.values()))
    assert table_rows(storage) == expected
    assert verify(storage).sound


def test_two_sinks_share_the_partitions(
    tmp_path: Path, log: Log, expected: dict[str, list[str]]
) -> None:
    storage = Folder(tmp_path)
    shares = [[d for d in everything(log) if (d.partition == 0) == own] for own in (True, False)]
    threads = [threading.Thread(target=store, args=(open_sink(storage), share)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert table_rows(storage) == expected


def test_a_topic_made_anew_is_stored(tmp_path: Path) -> None:
    """The same offsets with other records: that an offset was stored proves nothing."""
    storage = Folder(tmp_path)
    old, new = synthetic_log(first=1001, slots=3), synthetic_log(first=2001, slots=3)
    store(open_sink(storage), everything(old))
    before = table_rows(storage)
    store(open_sink(storage), everything(new))
    after = counts(table_rows(storage))
    assert after["slot_batches"] == 2 * len(before["slot_batches"])
    assert after["transactions"] > 1.5 * len(before["transactions"])


def test_a_group_that_begins_anew_stores_nothing_again(
    tmp_path: Path, log: Log, expected: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the latest content of a partition is known, offsets tell what is stored."""
    monkeypatch.setattr("mevstream.topologies.sinks.lake.coverage.CONTENTS", 1)
    storage = Folder(tmp_path)
    store(open_sink(storage), everything(log))
    Manifest(storage).checkpoint(grace_seconds=0)
    sink = open_sink(storage)
    for i in range(12):
        store(sink, [d for d in everything(log) if i * 2 <= d.offset < (i + 1) * 2] or [])
    assert table_rows(storage) == expected
    assert len(Manifest(storage).load().folded) == 1


def test_a_slot_cut_otherwise_loses_nothing(tmp_path: Path) -> None:
    """The first batches of 4, then the slot again in batches of 6: the same numbers, other rows."""
    small = chain_log(raw_slot(1001, 24, batch_size=4))
    large = chain_log(raw_slot(1001, 24, batch_size=6))
    large = {place: records for place, records in large.items() if place[0] == PARSED}
    both, one = Folder(tmp_path / "both"), Folder(tmp_path / "one")
    store(open_sink(both), [records[0] for place, records in small.items() if place[0] == PARSED])
    store(open_sink(both), everything(large))
    store(open_sink(one), everything(large))
    found = [
        {line.rpartition("binary")[0] or line for line in table_rows(storage)["transactions"]}
        for storage in (both, one)
    ]
    assert found[0] >= found[1]


def test_a_store_that_took_too_long_is_begun_anew(tmp_path: Path, log: Log) -> None:
    times = iter([0.0, 31.0, 100.0, 101.0])
    sink = open_sink(Folder(tmp_path), grace_seconds=60, clock=lambda: next(times))
    with pytest.raises(LakeError, match="took too long"):
        store(sink, everything(log))
    assert not Manifest(Folder(tmp_path)).load().files
    store(sink, everything(log))
    assert Manifest(Folder(tmp_path)).load().files
