"""Slots once more: a topic in disorder gives blocks in order, and a store the rows of one run."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Producer
from kafka.broker import Kafka
from sinks.conftest import Front

from mevstream.codecs.headers import RecordHeaders, pack_record
from mevstream.codecs.raw import RawView, encode_raw
from mevstream.infra.reader import Reader
from mevstream.infra.topics import Cluster, topic_specs
from mevstream.topologies.chain import MESSAGES, RAW
from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.replay import STATELESS_CHAIN, RawReplay, ServerEngine
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink
from mevstream.topologies.sinks.engine import Engine

FIRST, SLOTS = 1000, 6


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """RawBatches of 6 slots with 5 batches each."""
    folder = tmp_path_factory.mktemp("chain")
    config = SimulatorConfig(seed=5, first_slot=FIRST, transactions_per_slot=250)
    for block in Simulator(config).blocks(SLOTS):
        (folder / f"{block.slot}.pb").write_bytes(block.data)
    return list(open_sources([str(folder)], batch_size=50))


@cache
def producer_of(kafka: Kafka) -> Producer:
    return kafka.producer(log_level=0)


def send(kafka: Kafka, topic: str, batches: Iterable[bytes], partitions: int) -> None:
    """Round robin, in the order given."""
    producer = producer_of(kafka)
    for number, message in enumerate(batches):
        view = RawView(message)
        headers = RecordHeaders(schema=MESSAGES[RAW], slot=view.slot, seq=view.seq, last=view.last)
        value, packed = pack_record(message, headers)
        producer.produce(topic, value, partition=number % partitions, headers=cast(Any, packed))
    assert producer.flush(30) == 0


def batch(slot: int, seq: int, last: bool = False, *, block: int = 1, **more: Any) -> bytes:
    envelope = {"slot": slot, "seq": seq, "last": last, "parent_slot": slot - 1}
    return encode_raw({**envelope, "blockhash": bytes([block]) * 32, **more}, [b"x"])


def replayed(
    kafka: Kafka, topic: str, first: int, last: int, **options: Any
) -> tuple[list[tuple[int, int]], RawReplay]:
    with Reader(kafka.servers) as reader:
        source = RawReplay(reader, first, last, topic=topic, **options)
        views = [RawView(message) for message in source]
    return [(view.slot, view.seq) for view in views], source


def test_batches_come_in_order_and_once(kafka: Kafka, chain: list[bytes]) -> None:
    topic = kafka.topic(3)
    # A source that was started again after its ninth batch, and one of long before.
    send(kafka, topic, [*chain[:9], *chain, batch(5, 0, True)], 3)
    producer_of(kafka).produce(topic, b"no headers")
    producer_of(kafka).flush(30)
    with Reader(kafka.servers) as reader:
        source = RawReplay(reader, FIRST + 1, FIRST + 4, topic=topic)
        messages = list(source)
    wanted = [message for message in chain if FIRST < RawView(message).slot < FIRST + 5]
    assert messages == wanted
    found = source.found
    assert (found.records, found.slots, found.unreadable) == (len(chain) + 11, 4, 1)
    assert found.duplicates == sum(RawView(message).slot > FIRST for message in chain[:9])
    assert found.batches == len(wanted) + found.duplicates
    assert (found.incomplete, found.absent) == ({}, [])


def test_what_is_missing_is_told_and_left_out(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    here = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 2), (3, 0), (3, 1), (6, 1), (7, 0)]
    ends = {(1, 2), (2, 2), (6, 1), (7, 0)}
    send(kafka, topic, [batch(*place, place in ends) for place in here], 2)
    order, source = replayed(kafka, topic, 1, 9)
    assert order == [(1, 0), (1, 1), (1, 2), (7, 0)]
    assert source.found.incomplete == {
        2: "batches 1",
        3: "batches all after 1",
        6: "batches 0",
    }
    # Slot 4 is nobody's parent here: a slot that its leader skipped.
    assert source.found.absent == [5]
    assert replayed(kafka, topic, 1, 9, incomplete=True)[0] == sorted(here)


def test_two_blocks_of_a_slot_follow_one_another(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    later = [batch(1, seq, seq == 1, block=1, received_ns=9) for seq in (0, 1)]
    earlier = [batch(1, seq, seq == 2, block=2, received_ns=5) for seq in (0, 1, 2)]
    send(kafka, topic, [later[0], earlier[0], later[1], *earlier[1:]], 1)
    with Reader(kafka.servers) as reader:
        assert list(RawReplay(reader, 1, 1, topic=topic)) == [*earlier, *later]


def test_a_batch_that_was_sent_again_counts_as_it_came_last(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    old = batch(1, 0, True, received_ns=1)
    new = batch(1, 0, True, received_ns=2)
    send(kafka, topic, [old, new, batch(1, 0, True, received_ns=1)], 1)
    with Reader(kafka.servers) as reader:
        assert list(RawReplay(reader, 1, 1, topic=topic)) == [new]


def test_damage_is_counted_and_makes_its_slot_incomplete(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    send(kafka, topic, [batch(1, 0)], 1)
    headers = [("mev.schema", MESSAGES[RAW].encode()), ("mev.slot", b"1"), ("mev.codec", b"zstd")]
    producer = producer_of(kafka)
    producer.produce(topic, b"\x28\xb5\x2f\xfdcut", headers=cast(Any, headers))
    # It says to be of another slot than it is.
    value, packed = pack_record(batch(9, 1, True), RecordHeaders(schema=MESSAGES[RAW], slot=1))
    producer.produce(topic, value, headers=cast(Any, packed))
    assert producer.flush(30) == 0
    order, source = replayed(kafka, topic, 1, 1)
    assert (order, source.found.unreadable) == ([], 2)
    assert source.found.incomplete == {1: "batches all after 0"}


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """What is stored, but for when and by which run."""
    return {
        table: sorted(
            engine.rows(
                "SELECT hex(toString(tuple(* EXCEPT (run_id, version, ingested_at)))) "
                f"FROM {table} FINAL"
            )
        )
        for table in ("slots", "transactions", "swaps")
    }


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = Front(tmp_path_factory.mktemp("front"))
    yield front
    front.process.stop()


@pytest.fixture(params=["embedded", "server"])
def open_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    if request.param == "embedded":
        return lambda: ChdbEngine(tmp_path / "warm")
    server = request.getfixturevalue("front").server()
    return lambda: ServerEngine(server)


def test_a_replay_leaves_the_rows_of_one_run(
    kafka: Kafka, chain: list[bytes], open_engine: Callable[[], Any]
) -> None:
    def run(source: Iterable[bytes], **options: Any) -> None:
        with ClickHouseSink(open_engine(), **options) as sink:
            EmbeddedRuntime(sink, STATELESS_CHAIN).run(source)

    def look(what: Callable[[Engine], Any]) -> Any:
        engine = open_engine()
        try:
            return what(engine)
        finally:
            engine.close()

    run(chain)
    before = look(contents)
    assert [len(rows) > 0 for rows in before.values()] == [True, True, True]

    topic = kafka.topic(2)
    # Of the last slot a batch is not kept any more.
    send(kafka, topic, chain[:-2] + chain[-1:], 2)
    # Twice under one name: the second is not taken for a repeated insert of the first.
    for _ in range(2):
        with Reader(kafka.servers) as reader:
            source = RawReplay(reader, FIRST + 2, FIRST + SLOTS - 1, topic=topic)
            run(source, replace=True, run_id="again")
        assert list(source.found.incomplete) == [FIRST + SLOTS - 1]
        assert look(contents) == before
    runs = look(
        lambda engine: engine.rows("SELECT slot, run_id = 'again' FROM slots FINAL ORDER BY slot")
    )
    assert [bool(again) for _, again in runs] == [False, False, True, True, True, False]
    by_run = "SELECT uniqExact(slot) FROM transactions FINAL WHERE run_id = 'again'"
    assert look(lambda engine: engine.rows(by_run)) == [(3,)]


def test_the_command(kafka: Kafka, chain: list[bytes], tmp_path: Path) -> None:
    specs = topic_specs(raw_partitions=2, market_partitions=2, retention_hours=1)
    kafka.delete([spec.name for spec in specs])
    Cluster(kafka.servers).ensure(specs)
    # The last slot lacks its end.
    send(kafka, RAW, chain[:-1], 2)

    def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mevstream", "replay", *arguments]
        command += ["--kafka", kafka.servers, "--data", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    first, last = str(FIRST), str(FIRST + SLOTS - 1)
    done = replay("--from", first, "--to", last, "--run-id", "fixed-1", "--since", "1h")
    assert done.returncode == 0, done.stderr
    assert "rows are of run fixed-1" in done.stdout
    assert done.stderr.startswith(f"incomplete: slot {last} lacks batches ")
    engine = ChdbEngine(tmp_path, read_only=True)
    assert engine.rows("SELECT count(), min(run_id), max(run_id) FROM slots FINAL") == [
        (SLOTS - 1, "fixed-1", "fixed-1")
    ]
    engine.close()
    assert replay("--from", first, "--to", last, "--quiet", "--strict").returncode == 1
    for wrong in (("--from", last, "--to", first), ("--from", "1", "--to", "2", "--run-id", "a'b")):
        failed = replay(*wrong)
        assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
