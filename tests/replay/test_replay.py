"""Slots once more: a topic in disorder gives blocks in order, and a store the rows of one run."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Message, Producer
from kafka.broker import Kafka
from sinks.conftest import Front

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.headers import RecordHeaders, pack_record
from mevstream.codecs.raw import RawView, encode_raw
from mevstream.infra.reader import Reader
from mevstream.infra.topics import Cluster, topic_specs
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.chain import (
    CHAIN,
    DEAD_LETTER,
    MESSAGES,
    OPPORTUNITIES,
    PARSED,
    RAW,
    Link,
    Record,
)
from mevstream.topologies.chain import SLOTS as SLOT_TOPIC
from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.parsed.market import open_split
from mevstream.topologies.parsed.stage import parse
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.reload import reload
from mevstream.topologies.replay import STATELESS_CHAIN, RawReplay, ServerEngine
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink
from mevstream.topologies.sinks.columns import PARSED_TABLES
from mevstream.topologies.sinks.engine import Engine
from mevstream.topologies.sinks.lake.sink import LakeSink
from mevstream.topologies.sinks.lake.storage import Folder
from mevstream.topologies.sinks.lake.tables import Part
from mevstream.topologies.sinks.lake.views import open_lake
from mevstream.topologies.sinks.opportunities import TABLES as OPPORTUNITY_TABLES
from mevstream.topologies.sinks.stream import Delivery

FIRST, SLOTS = 1000, 6


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """RawBatches of 6 slots with 5 batches each."""
    folder = tmp_path_factory.mktemp("chain")
    config = SimulatorConfig(
        seed=5,
        first_slot=FIRST,
        transactions_per_slot=250,
        sandwiches_per_slot=1,
        mev=MevConfig(jit_per_slot=1, liquidations_per_slot=1),
    )
    for block in Simulator(config).blocks(SLOTS):
        (folder / f"{block.slot}.pb").write_bytes(block.data)
    return list(open_sources([str(folder)], batch_size=50))


@cache
def producer_of(kafka: Kafka) -> Producer:
    """Not idempotent: of a topic made anew the broker may take the first records for repeats of
    those of the old one, and then acknowledges them (without an offset) and drops them."""
    settings = {"enable.idempotence": False, "max.in.flight": 1, "log_level": 0}
    return kafka.producer(**settings)


def send(kafka: Kafka, topic: str, batches: Iterable[bytes], partitions: int) -> None:
    """Round robin, in the order given."""
    producer = producer_of(kafka)
    failed: list[object] = []

    def delivered(error: object, record: Message) -> None:
        if error or record.offset() is None:
            failed.append(error or "no offset")

    for number, message in enumerate(batches):
        view = RawView(message)
        headers = RecordHeaders(schema=MESSAGES[RAW], slot=view.slot, seq=view.seq, last=view.last)
        value, packed = pack_record(message, headers)
        producer.produce(
            topic,
            value,
            partition=number % partitions,
            on_delivery=delivered,
            headers=cast(Any, packed),
        )
    assert producer.flush(30) == 0
    assert not failed


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
        for table in ("slots", *PARSED_TABLES, "market_data", *OPPORTUNITY_TABLES)
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
    def run(links: Sequence[Link], source: Iterable[bytes], **options: Any) -> None:
        with ClickHouseSink(open_engine(), **options) as sink:
            EmbeddedRuntime(sink, links).run(source)

    def look(what: Callable[[Engine], Any]) -> Any:
        engine = open_engine()
        try:
            return what(engine)
        finally:
            engine.close()

    run(CHAIN, chain)
    before = look(contents)
    # Candles and opportunities, too, which a replay does not make and must not take away.
    assert all(before.values())

    topic = kafka.topic(2)
    # Of the last slot a batch is not kept any more.
    send(kafka, topic, chain[:-2] + chain[-1:], 2)
    # Twice under one name: the second is not taken for a repeated insert of the first.
    for _ in range(2):
        with Reader(kafka.servers) as reader:
            source = RawReplay(reader, FIRST + 2, FIRST + SLOTS - 1, topic=topic)
            run(STATELESS_CHAIN, source, replace=True, run_id="again", stateful=False)
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


def put_in_lake(
    folder: Path,
    batches: Iterable[bytes],
    topics: Collection[str] = (PARSED, OPPORTUNITIES, SLOT_TOPIC, DEAD_LETTER),
) -> None:
    """What the lake's sink makes of these batches after the links of these topics."""
    decode = BatchDecoder().decode
    split = open_split()
    open_stage = next(link for link in CHAIN if link.name == "opportunities").open_stage
    stages = [open_stage() for _ in range(2)]
    offsets: dict[tuple[str, int], int] = {}
    sink = LakeSink(Folder(folder))
    sink.open()
    items: list[Part] = []
    for message in batches:
        for record in parse(message, decode):
            if record.topic not in topics:
                continue
            values = split(record.value, 2) if record.topic == PARSED else [record.value]
            for partition, value in enumerate(values):
                made = stages[partition](value) if record.topic == PARSED else []
                found = [one for one in made if one.topic == OPPORTUNITIES and one.topic in topics]
                for one in (Record(record.topic, value), *found):
                    offset = offsets[one.topic, partition] = (
                        offsets.get((one.topic, partition), -1) + 1
                    )
                    headers = RecordHeaders(schema=MESSAGES[one.topic])
                    delivery = Delivery(one.topic, partition, offset, one.value, headers)
                    items.append(sink.read(delivery))
    sink.store(items)
    sink.close()


def test_the_lake_gives_a_server_its_rows_back(
    front: Front, chain: list[bytes], tmp_path: Path
) -> None:
    # One transaction more that is none.
    broken = next(m for m in map(RawBatch.FromString, chain) if m.slot == FIRST + 2 and m.last)
    broken.transactions.append(b"\xff")
    at = chain.index(next(m for m in chain if RawView(m).slot == FIRST + 2 and RawView(m).last))
    chain = [*chain[:at], broken.SerializeToString(), *chain[at + 1 :]]
    put_in_lake(tmp_path / "lake", chain[:-1])
    put_in_lake(tmp_path / "early", chain, topics={SLOT_TOPIC})
    server = ServerEngine(front.server())
    database = "reloaded"
    server.execute(f"CREATE DATABASE {database}")
    server.close()

    def engine() -> ServerEngine:
        return ServerEngine(front.server(database))

    with ClickHouseSink(engine()) as sink:
        # Candles are not given back.
        EmbeddedRuntime(sink, [link for link in CHAIN if link.name != "features"]).run(chain)
    target = engine()
    before = contents(target)
    assert all(len(rows) > 5 for table, rows in before.items() if table in OPPORTUNITY_TABLES)
    # Some rows are lost, some are of who knows where.
    target.execute(f"DELETE FROM swaps WHERE slot = {FIRST + 2}")
    target.execute(f"DELETE FROM slots WHERE slot = {FIRST + 3}")
    for table in OPPORTUNITY_TABLES:
        target.execute(f"DELETE FROM {table} WHERE slot BETWEEN {FIRST + 2} AND {FIRST + 3}")
    target.execute(
        "INSERT INTO transactions (chain, slot, tx_index, run_id, version) "
        f"SELECT 'solana', {FIRST + 4}, 99999, 'wrong', 1"
    )
    assert contents(target) != before
    last = FIRST + SLOTS - 1
    for _ in range(2):
        with open_lake(Folder(tmp_path / "lake")) as lake:
            done = reload(lake, target, FIRST + 2, last, run_id="from lake's")
        assert contents(target) == before
        letters = target.rows("SELECT slot, payload FROM dead_letters FINAL")
        assert [slot for slot, _ in letters] == [FIRST + 2]
        assert done.rows["dead_letters"] == 1
        assert done.slots == 3
        assert done.rows["transactions"] > 100
        assert list(done.incomplete) == [last]
        assert re.fullmatch(r"batches: it has \d of \?", done.incomplete[last])
    for table in ("slots", "opportunities"):
        sql = f"SELECT slot FROM {table} FINAL WHERE run_id = 'from lake\\'s'"
        assert {slot for (slot,) in target.rows(sql)} == {FIRST + 2, FIRST + 3, FIRST + 4}
    # A lake without them takes none away.
    put_in_lake(tmp_path / "without", chain[:-1], topics={PARSED, SLOT_TOPIC, DEAD_LETTER})
    with open_lake(Folder(tmp_path / "without")) as lake:
        reload(lake, target, FIRST + 2, FIRST + 4, run_id="x")
    assert contents(target) == before
    with open_lake(Folder(tmp_path / "lake")) as lake:
        done = reload(lake, target, last, last, run_id="x", incomplete=True)
        assert done.slots == 1
        assert reload(lake, target, FIRST, last, run_id="x", stop=lambda: True).stopped
    # Counts that came before their rows do not make an empty slot.
    with open_lake(Folder(tmp_path / "early")) as lake:
        done = reload(lake, target, FIRST, last, run_id="x")
        assert (done.slots, len(done.incomplete)) == (0, SLOTS)
        assert done.incomplete[FIRST].startswith("rows: it has 0 of ")

    swaps = f"SELECT count() FROM swaps FINAL WHERE slot = {FIRST + 2}"
    count = target.rows(swaps)
    target.execute(f"DELETE FROM swaps WHERE slot = {FIRST + 2}")
    assert target.rows(swaps) != count
    command = [sys.executable, "-m", "mevstream", "replay", "--source", "lake", "--strict"]
    command += ["--from", str(FIRST), "--to", str(last), "--lake", str(tmp_path / "lake")]
    command += ["--server", front.server().address]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "MEVSTREAM_CLICKHOUSE_DATABASE": database},
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"incomplete: slot {last} lacks batches")
    assert "rows are of run " in done.stdout
    assert target.rows(swaps) == count
    target.close()
