"""The warm sink into a real server: the rows of an embedded run, whatever happens on the way."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from store.synthetic import decode, raw_slot, stand_in

from mevstream.errors import InputError
from mevstream.schemas.raw_pb2 import Commitment, RawBatch
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import DEAD_LETTER, FEATURES, PARSED, SLOTS
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.sinks.engine import EngineError
from mevstream.topologies.sinks.native_engine import NativeEngine
from mevstream.topologies.sinks.warm import WarmSink
from sinks.conftest import Front
from sinks.feed import Feed, contents, embedded, items, portions

Connect = Callable[[], NativeEngine]


@pytest.fixture
def sink(connect: Connect) -> Iterator[WarmSink]:
    with_tables = WarmSink(connect)
    with_tables.open()
    yield with_tables
    with_tables.close()


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Raw batches of a simulated chain and, where they are, of real blocks."""
    chain = tmp_path_factory.mktemp("chain")
    for block in Simulator(SimulatorConfig(seed=11)).blocks(6):
        (chain / f"{block.slot}.pb").write_bytes(block.data)
    raw = list(open_sources([str(chain)]))
    if data := os.environ.get("MEVSTREAM_DATA"):
        for path in sorted(Path(data).rglob("*.json*"))[:2]:
            raw += open_sources([str(path)])
    return raw


def raw(slot: int, *, at: int = 0, **options: Any) -> list[bytes]:
    """A slot whose batches came `at` so many nanoseconds."""
    batches = [RawBatch.FromString(message) for message in raw_slot(slot, **options)]
    for batch in batches:
        batch.received_ns = 1_700_000_000_000_000_000 + at
    return [batch.SerializeToString() for batch in batches]


@pytest.mark.parametrize("partitions", [1, 3])
def test_rows_are_those_of_an_embedded_run(
    sink: WarmSink, engine: NativeEngine, blocks: list[bytes], tmp_path: Path, partitions: int
) -> None:
    read = items(sink, Feed(partitions).deliveries(blocks))
    for portion in portions(read, 17):
        sink.store(portion)
    assert contents(engine) == embedded(tmp_path / "store", blocks)
    assert engine.rows("SELECT count() FROM v_slot_check WHERE differs") == [(0,)]
    assert sink.stored.swaps == engine.rows("SELECT sum(swaps) FROM slots FINAL")[0][0]
    told = sum(map(sink.transactions, read))
    assert told == sum(len(RawBatch.FromString(each).transactions) for each in blocks)


def test_what_comes_again_changes_nothing(
    connect: Connect, engine: NativeEngine, blocks: list[bytes]
) -> None:
    """Same records at other offsets, cut into other runs, to another instance."""
    feed = Feed(2)
    before: dict[str, list[tuple[Any, ...]]] = {}
    marks: list[tuple[Any, ...]] = []
    for run, size in enumerate((23, 1000, 23)):
        sink = WarmSink(connect)
        sink.open()
        for portion in portions(items(sink, feed.deliveries(blocks)), size):
            sink.store(portion)
        sink.close()
        if run == 0:
            before = contents(engine)
            marks = engine.rows("SELECT * FROM slot_parts ORDER BY ALL")
        else:
            assert sink.stored.transactions == 0
            assert sink.stored.known_parts > 0
    assert contents(engine) == before
    assert engine.rows("SELECT * FROM slot_parts ORDER BY ALL") == marks


def test_copies_within_one_run_are_stored_once(sink: WarmSink, engine: NativeEngine) -> None:
    feed = Feed(3, decode)
    sink.store(items(sink, [*feed.deliveries(raw_slot(15)), *feed.deliveries(raw_slot(15))]))
    assert engine.rows("SELECT count(), uniqExact(signature) FROM transactions") == [
        (sink.stored.transactions, sink.stored.transactions)
    ]


class Failing(NativeEngine):
    """Every statement that writes fails once before it is done and once after."""

    def __init__(self, inner: NativeEngine) -> None:
        super().__init__(inner.server)
        self.armed = False
        self.tries: dict[str, int] = {}

    def _once(self, what: str, run: Callable[[], None]) -> None:
        self.tries[what] = self.tries.get(what, 0) + 1
        if self.armed and self.tries[what] == 1:
            raise EngineError("before")
        run()
        if self.armed and self.tries[what] == 2:
            raise EngineError("after")

    def insert(self, table: str, rows: pa.RecordBatch, token: str) -> None:
        self._once(table, lambda: super(Failing, self).insert(table, rows, token))

    def execute(self, sql: str) -> None:
        self._once(sql.split(" WHERE")[0], lambda: super(Failing, self).execute(sql))


def test_a_store_that_is_repeated_after_failures_leaves_the_rows_of_one(
    connect: Connect, engine: NativeEngine, tmp_path: Path
) -> None:
    failing: list[Failing] = []

    def fail() -> Failing:
        failing.append(Failing(connect()))
        return failing[-1]

    sink = WarmSink(fail)
    sink.open()
    feed = Feed(2, decode)
    batches = raw(17, fork=1, at=1) + raw(18, transactions=90)
    odd = RawBatch.FromString(raw_slot(19, 5)[0])
    odd.transactions[2] = b"no transaction"
    batches.append(odd.SerializeToString())
    sink.store(items(sink, feed.deliveries(batches)))
    failing[-1].tries.clear()
    failing[-1].armed = True
    last = [*raw(17, at=2), *raw_slot(30), b"\xff no batch"]
    read = items(sink, feed.deliveries(last))
    failures = 0
    while True:
        try:
            sink.store(read)
            break
        except EngineError:
            failures += 1
    assert failures > 12
    sink.close()
    failing[-1].close()
    assert contents(engine) == embedded(tmp_path / "store", [*batches, *last], chain=stand_in()[:1])


def test_a_server_that_is_killed_in_an_insert_has_the_rows_once(
    front: Front, connect: Connect, engine: NativeEngine, blocks: list[bytes], tmp_path: Path
) -> None:
    class Killing(NativeEngine):
        left = 4

        def insert(self, table: str, rows: pa.RecordBatch, token: str) -> None:
            Killing.left -= 1
            if Killing.left in (0, 2):
                sent = self._client.receive_end_of_insert_query
                self._client.receive_end_of_insert_query = lambda: (front.kill(), sent())
            super().insert(table, rows, token)

    sink = WarmSink(lambda: Killing(connect().server))
    sink.open()
    failures = 0
    for portion in portions(items(sink, Feed(2).deliveries(blocks)), 40):
        while True:
            try:
                sink.store(portion)
                break
            except EngineError:
                failures += 1
                front.start()
                sink._engine._client.__dict__.pop("receive_end_of_insert_query", None)  # type: ignore[union-attr]
    sink.close()
    assert failures == 2
    assert contents(engine) == embedded(tmp_path / "store", blocks)


def test_two_instances_share_the_partitions(
    connect: Connect, engine: NativeEngine, blocks: list[bytes], tmp_path: Path
) -> None:
    one, other = WarmSink(connect), WarmSink(connect)
    for sink in (one, other):
        sink.open()
    read = items(one, Feed(4).deliveries(blocks))
    for portion in portions(read, 31):
        one.store([item for item in portion if item.partition % 2 == 0])
        other.store([item for item in portion if item.partition % 2])
    for sink in (one, other):
        assert sink.stored.swaps > 0
        sink.close()
    assert contents(engine) == embedded(tmp_path / "store", blocks)


def test_a_slot_is_complete_when_all_its_parts_are(sink: WarmSink, engine: NativeEngine) -> None:
    read = items(sink, Feed(3, decode).deliveries(raw_slot(15, 300)))
    parts = [item for item in read if item.topic == PARSED]
    random = np.random.default_rng(2)
    random.shuffle(parts)  # type: ignore[arg-type]
    batches = transactions = 0
    for done, part in enumerate(parts, 1):
        sink.store([part])
        [(complete, batches, transactions)] = engine.rows(
            "SELECT toUInt8(complete), batches, transactions FROM v_slots JOIN slots FINAL "
            "USING slot"
        )
        assert complete == (done == len(parts))
        assert batches <= done // 3
        assert transactions == engine.rows("SELECT sum(transactions) FROM slot_parts")[0][0]
    assert (batches, transactions) == (3, 300)


@pytest.mark.parametrize("size", [5, 100])
@pytest.mark.parametrize("partitions", [1, 3])
def test_the_later_block_of_a_slot_counts(
    sink: WarmSink, engine: NativeEngine, tmp_path: Path, size: int, partitions: int
) -> None:
    feed = Feed(partitions, decode)
    early, late = raw(20, transactions=500, at=1), raw(20, fork=1, at=2)
    alone = embedded(tmp_path / "store", [*late, *raw(21)], chain=stand_in()[:1])
    for batches in ([*early, *late, *raw(21)], early, late, [*late[:1], *early]):
        for portion in portions(items(sink, feed.deliveries(batches)), size):
            sink.store(portion)
    assert contents(engine) == alone
    # The block that gave way comes again, later than the other.
    again = raw(20, transactions=500, at=3)
    for portion in portions(items(sink, feed.deliveries([*again, *early, *late])), size):
        sink.store(portion)
    alone = embedded(tmp_path / "again", [*again, *raw(21)], chain=stand_in()[:1])
    assert contents(engine) == alone


def test_the_later_block_counts_in_whatever_order_the_partitions_come(
    sink: WarmSink, engine: NativeEngine, tmp_path: Path
) -> None:
    feed = Feed(3, decode)
    early = items(sink, feed.deliveries(raw(20, at=1)))
    late = items(sink, feed.deliveries(raw(20, fork=1, at=2)))
    for partition in (0, 1, 2):
        first, second = (early, late) if partition % 2 else (late, early)
        for chosen in (first, second):
            sink.store([item for item in chosen if item.partition == partition])
    alone = embedded(tmp_path / "store", raw(20, fork=1, at=2), chain=stand_in()[:1])
    assert contents(engine) == alone


def test_better_commitment_is_taken_over_without_new_rows(
    sink: WarmSink, engine: NativeEngine
) -> None:
    feed = Feed(2, decode)
    for commitment in (Commitment.COMMITMENT_PROCESSED, Commitment.COMMITMENT_CONFIRMED):
        sink.store(items(sink, feed.deliveries(raw_slot(15, commitment=commitment))))
        [(shown, there)] = engine.rows(
            "SELECT (SELECT count() FROM v_transactions), (SELECT count() FROM transactions)"
        )
        assert there == sink.stored.transactions > 0
        assert shown == (0 if commitment == Commitment.COMMITMENT_PROCESSED else there)


@pytest.mark.parametrize("partitions", [1, 3])
def test_single_transactions_gather_and_give_way_to_their_block(
    sink: WarmSink, engine: NativeEngine, tmp_path: Path, partitions: int
) -> None:
    feed = Feed(partitions, decode)
    single = [
        message for fork in (1, 2) for message in raw_slot(20, 1, fork=fork, known_block=False)
    ]
    views = ("v_slots", "v_transactions_all", "v_swaps_all")
    for portion in portions(items(sink, feed.deliveries(single * 2)), 2):
        sink.store(portion)
    expected = embedded(tmp_path / "single", single, chain=stand_in()[:1])
    found = contents(engine)
    assert {view: found[view] for view in views} == {view: expected[view] for view in views}
    block = raw_slot(20)
    sink.store(items(sink, feed.deliveries(block)))
    sink.store(items(sink, feed.deliveries(single)))
    assert contents(engine) == embedded(tmp_path / "block", block, chain=stand_in()[:1])


def test_gaps_and_lost_parts_are_told(sink: WarmSink, engine: NativeEngine) -> None:
    feed = Feed(2, decode)
    read = items(sink, feed.deliveries(raw_slot(15)))
    lost = next(item for item in read if item.topic == PARSED and item.partition == 1)
    sink.store([item for item in read if item is not lost])
    assert engine.rows("SELECT seq, parts, parts_total FROM v_slot_check WHERE differs") == [
        (0, 1, 2)
    ]
    reports = [
        SlotStatus(chain="solana", slot=15, missing=[0, 7], reporter="features/1"),
        SlotStatus(chain="solana", slot=14, reporter="features/1"),
    ]
    told = [feed.delivery(SLOTS, 0, report.SerializeToString()) for report in reports]
    for _ in range(2):
        sink.store(items(sink, told))
    assert engine.rows("SELECT slot, seq, toUInt8(stored) FROM v_slot_gaps ORDER BY slot, seq") == [
        (14, None, 0),
        (15, 0, 1),
        (15, 7, 0),
    ]


def test_what_is_no_message_of_its_topic_is_refused(sink: WarmSink) -> None:
    feed = Feed()
    for topic in (PARSED, FEATURES, SLOTS, DEAD_LETTER):
        with pytest.raises(InputError):
            sink.read(feed.delivery(topic, 0, b"\xff\xff"))
