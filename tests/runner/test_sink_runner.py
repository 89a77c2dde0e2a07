"""A sink on a real broker: every record stored, nothing committed that is not, whatever happens."""

import random
import signal
import time
import urllib.error
import urllib.request
from threading import Thread

import psutil
import pytest
from kafka.broker import Kafka

from mevstream.codecs.headers import RecordHeaders, write_headers
from runner.process import SCHEMA
from runner.scene import Scene, wait

GOOD = write_headers(RecordHeaders(schema=SCHEMA, codec="none", slot=7, seq=3))


def test_all_that_comes_is_stored_and_committed(scene: Scene) -> None:
    scene.send(1000)
    sink = scene.start()
    scene.wait_all()
    scene.send(100)
    scene.wait_all()
    wait(lambda: scene.committed() == scene.end_offsets(), "commits")
    assert set(scene.stored().values()) == {1}
    assert sink.end() == 0
    assert (scene.folder / "closed").exists()
    assert not sink.errors
    assert scene.members() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stores_what_is_held(scene: Scene, number: int) -> None:
    sink = scene.start(seconds=3600, records=10_000)
    sink.wait_for("partitions assigned")
    scene.send(500)
    time.sleep(2)
    assert not scene.stored()
    assert not scene.committed()
    assert sink.end(number) == 0
    assert scene.all_stored()
    assert scene.committed() == scene.end_offsets()
    assert sink.logs("sink ended")[0]["everything_stored"] is True


def test_age_and_size_and_number_bound_a_buffer(scene: Scene) -> None:
    for bounds in ({"seconds": 0.3}, {"bytes": 20_000}, {"records": 50}):
        sink = scene.start(**{"seconds": 3600, "bytes": 1 << 30, "records": 1 << 20} | bounds)
        sink.wait_for("partitions assigned")
        scene.send(200, padding=500)
        # What does not fill a buffer stays in it.
        least = len(scene.sent) if "seconds" in bounds else len(scene.sent) - 50
        wait(lambda least=least: len(scene.stored()) >= least, f"stored by {bounds}", 20)
        assert sink.end() == 0
    runs = [len(path.read_text().splitlines()) for path in (scene.folder / "stored").iterdir()]
    assert max(runs) <= 200
    assert scene.all_stored()


def test_a_killed_sink_loses_nothing(scene: Scene) -> None:
    scene.flag("slow", "0.05")
    sender = Thread(target=scene.send, args=(3000,), kwargs={"rate": 300})
    sender.start()
    for _ in range(3):
        sink = scene.start(records=20)
        sink.wait_for("partitions assigned", 90)
        time.sleep(1)
        sink.kill()
        scene.check_commits()
    last = scene.start()
    sender.join()
    scene.wait_all(90)
    assert last.end() == 0
    assert scene.committed() == scene.end_offsets()


def test_members_come_and_go(scene: Scene) -> None:
    scene.flag("slow", "0.02")
    sender = Thread(target=scene.send, args=(4000,), kwargs={"rate": 300})
    sender.start()
    first = scene.start(records=20)
    first.wait_for("partitions assigned")
    second = scene.start(records=20)
    second.wait_for("partitions assigned")
    time.sleep(2)
    third = scene.start(records=20)
    third.wait_for("partitions assigned")
    scene.check_commits()
    assert first.end() == 0
    time.sleep(1)
    assert third.end() == 0
    scene.check_commits()
    sender.join()
    scene.wait_all()
    assert second.end() == 0
    assert scene.committed() == scene.end_offsets()
    assert len(scene.stored_by()) == 3
    # Those that left in good order stored what they had and told how far they were.
    assert set(scene.stored().values()) == {1}


def test_a_slow_store_alone_sets_the_pace(scene: Scene) -> None:
    """A pause between two buffers would add half a second and more to each of a hundred."""
    scene.flag("slow", "0.02")
    scene.send(2000)
    sink = scene.start(records=20)
    sink.wait_for("partitions assigned")
    scene.wait_all(20)
    assert sink.end() == 0


def test_a_store_that_is_away_costs_nothing_but_time(scene: Scene) -> None:
    """A hundred times the bound waits in Kafka; it is said once; the member stays in its group."""
    sink = scene.start(bytes=2 << 20)
    scene.send(20)
    scene.wait_all()
    away = scene.flag("away")
    # Two buffers and what the client fetches ahead may come into memory, no more.
    before = psutil.Process(sink.pid).memory_info().rss
    scene.send(1500, padding=150_000)
    wait(lambda: sink.logs("store does not take records"), "the log of it")
    sizes: list[int] = []
    end = time.monotonic() + 8
    while time.monotonic() < end:
        sizes.append(psutil.Process(sink.pid).memory_info().rss)
        time.sleep(0.2)
    assert max(sizes) - before < 100 << 20, "MiB: " + str([size >> 20 for size in sizes])
    half = sizes[len(sizes) // 2 :]
    assert max(half) - min(half) < 8 << 20
    assert scene.members() == 1
    assert sum(scene.committed().values()) == 20
    away.unlink()
    scene.wait_all(90)
    assert len(sink.logs("store does not take records")) == 1
    assert len(sink.logs("store takes records again")) == 1
    assert not sink.logs("partitions lost")
    assert sink.end() == 0
    assert scene.committed() == scene.end_offsets()
    assert set(scene.stored().values()) == {1}


def test_what_one_member_cannot_store_another_does(kafka: Kafka, scene: Scene) -> None:
    """The first holds records of all partitions that its store does not take. It gives those up
    that go to the second, does not commit them later, and leaves with an error."""
    first = scene.start(drain=2)
    scene.send(10)
    scene.wait_all()
    away = scene.flag("away")
    scene.send(1000)
    first.wait_for("store does not take records")
    healthy = scene.folder / "healthy"
    healthy.mkdir()
    other = scene.start(folder=str(healthy))
    other.wait_for("partitions assigned")
    first.wait_for("partitions revoked")
    wait((healthy / "stored").exists, "records of the second")
    assert away.exists()
    assert first.end() == 3
    assert "not everything was stored" in str(first.logs())
    committed = scene.committed()
    # Those that the first left, too, may be the second's by now.
    moved = {name for line in other.logs("partitions assigned") for name in line["partitions"]}
    for partition, offset in committed.items():
        name = f"{scene.topic}/{partition}"
        assert name in moved or offset <= 3
    wait(lambda: scene.committed() == scene.end_offsets(), "everything committed")
    assert other.end() == 0
    scene.folder = healthy
    seen = scene.stored()
    assert all(place in seen for place, number in scene.sent.items() if number >= 10)


@pytest.mark.parametrize(
    ("flag", "text", "error"),
    [
        ("refuse", "57", "store: 57 breaks a rule"),
        ("broken", "", "RuntimeError: nobody expected this"),
    ],
)
def test_a_store_that_refuses_says_so_and_waits(
    scene: Scene, free_port: int, flag: str, text: str, error: str
) -> None:
    path = scene.flag(flag, text)
    sink = scene.start(port=free_port)
    sink.wait_for("partitions assigned")
    scene.send(100)
    told = sink.wait_for("store does not take records")
    assert told["error"] == error
    assert ("exception" in told) == (flag == "broken")

    def ready() -> str:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{free_port}/readyz").read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.read().decode()

    assert error in ready()
    scene.check_commits()
    assert sink.running
    path.unlink()
    scene.wait_all()
    wait(lambda: '"ok":true' in ready(), "ready again")
    assert sink.end() == 0


def test_a_store_that_hangs_does_not_keep_the_process(scene: Scene) -> None:
    sink = scene.start(drain=2)
    sink.wait_for("partitions assigned")
    hang = scene.flag("hang")
    scene.send(100)
    time.sleep(1)
    start = time.monotonic()
    assert sink.end() == 3
    assert time.monotonic() - start < 10
    assert not (scene.folder / "closed").exists()
    assert not scene.committed()
    hang.unlink()
    assert scene.start().wait_for("partitions assigned", 90)
    scene.wait_all()


def test_a_killed_broker_costs_nothing_but_time(scene: Scene) -> None:
    sink = scene.start(records=20)
    sender = Thread(target=scene.send, args=(3000,), kwargs={"rate": 300})
    sender.start()
    wait(scene.stored, "records")
    time.sleep(2)
    scene.kafka.restart()
    sender.join()
    scene.wait_all(120)
    wait(lambda: scene.committed() == scene.end_offsets(), "commits")
    scene.check_commits()
    assert sink.end() == 0
    assert not sink.errors


def test_a_member_whose_commits_are_refused_joins_anew(scene: Scene) -> None:
    sink = scene.start(refuse_commits=2)
    sink.wait_for("partitions assigned")
    scene.send(1000, rate=200)
    sink.wait_for("joining the group anew")
    scene.wait_all()
    wait(lambda: scene.committed() == scene.end_offsets(), "commits")
    scene.check_commits()
    assert sink.end() == 0
    assert len(sink.logs("sink started")) == 2


def test_a_member_that_died_joins_anew(scene: Scene) -> None:
    """After a fatal error the client does nothing any more. (Seen after a broker was killed: the
    group did not exist, said the one that came back.)"""
    sink = scene.start(dies=True)
    scene.send(3000, rate=300)
    scene.wait_all()
    wait(lambda: scene.committed() == scene.end_offsets(), "commits")
    scene.check_commits()
    assert sink.end() == 0
    [again] = sink.logs("joining the group anew")
    assert again["reason"] == "the group id does not exist"


def test_a_broker_that_is_away_does_not_keep_the_process(scene: Scene) -> None:
    sink = scene.start(drain=3)
    scene.send(50)
    scene.wait_all()
    wait(lambda: scene.committed() == scene.end_offsets(), "commits")
    scene.kafka.process.kill()
    try:
        sink.wait_for("kafka: error")
        start = time.monotonic()
        assert sink.end() == 0
        assert time.monotonic() - start < 15
    finally:
        scene.kafka.start()


def test_bad_records_become_dead_letters(scene: Scene) -> None:
    schema = ("mev.schema", SCHEMA.encode())
    bad: list[tuple[bytes | None, list[tuple[str, bytes | None]], str]] = [
        (b"1", [], "record header mev.schema is missing"),
        (b"1", [("mev.schema", b"other")], f"record header mev.schema is 'other', not {SCHEMA!r}"),
        (b"1", [schema, ("mev.slot", b"x")], "record header mev.slot has the bad value 'x'"),
        (b"1", [schema, ("mev.codec", b"zstd")], "zstd: the data is no zstd frame"),
        (None, GOOD, "the record has no value"),
        (b"one", GOOD, "b'one' is no number"),
        (b"bug", GOOD, "KeyError: 'a defect of the sink'"),
    ]
    scene.send(10)
    offsets = [scene.send_raw(value, headers, key=b"key") for value, headers, _ in bad]
    sink = scene.start(read_dead=True)
    letters = scene.letters(len(bad))
    scene.send(10)
    assert [letter.offset for letter in letters] == offsets
    for letter, (value, headers, error) in zip(letters, bad, strict=True):
        assert (letter.topic, letter.partition, letter.stage) == (scene.topic, 0, "test")
        assert letter.error == error
        assert letter.payload == (value or b"")
        assert letter.key == b"key"
        assert dict(letter.headers) == {name: v or b"" for name, v in headers}
        assert abs(letter.seen_ns - time.time_ns()) < 120e9
    assert (letters[-1].slot, letters[-1].seq) == (7, 3)
    scene.wait_all()
    wait(lambda: scene.committed() == scene.end_offsets(), "commits")
    # The letters came to this sink as well, which cannot read those either; it goes no further.
    assert sink.running
    assert len(scene.letters(len(bad))) == len(bad)
    assert sink.logs("record dead-lettered")
    assert sink.end() == 0


def test_a_letter_that_is_refused_holds_up_the_commit(scene: Scene) -> None:
    from mevstream.infra.topics import Cluster, TopicSpec

    cluster = Cluster(scene.kafka.servers)
    cluster.ensure([TopicSpec(scene.dead, 2, {"max.message.bytes": "10"})])
    sink = scene.start()
    sink.wait_for("partitions assigned")
    scene.send(8)
    scene.send_raw(b"none", GOOD)
    scene.send(8)
    told = sink.wait_for("store does not take records")
    assert told["error"].startswith("a dead letter is refused: ")
    assert scene.committed().get(0, 0) <= 2
    cluster.ensure([TopicSpec(scene.dead, 2, {"max.message.bytes": "1000000"})])
    (letter,) = scene.letters(1)
    assert letter.payload == b"none"
    scene.wait_all()
    wait(lambda: scene.committed() == scene.end_offsets(), "commits")
    assert sink.end() == 0


def test_a_record_as_large_as_a_topic_takes_fits_into_its_letter(
    kafka: Kafka, scene: Scene
) -> None:
    from mevstream.infra.topics import Cluster, TopicSpec
    from mevstream.topologies.chain import MAX_LETTER_BYTES, MAX_RECORD_BYTES

    Cluster(kafka.servers).ensure(
        [
            TopicSpec(scene.topic, 4, {"max.message.bytes": str(MAX_RECORD_BYTES)}),
            TopicSpec(scene.dead, 2, {"max.message.bytes": str(MAX_LETTER_BYTES)}),
        ]
    )
    # Bytes that no compression makes smaller.
    value = b"large " + random.Random(1).randbytes(MAX_RECORD_BYTES - 1000)
    offset = scene.send_raw(value, GOOD)
    sink = scene.start()
    (letter,) = scene.letters(1)
    assert (letter.topic, letter.offset, letter.payload) == (scene.topic, offset, value)
    assert sink.end() == 0


def test_aborted_transactions_are_not_seen(scene: Scene) -> None:
    producer = scene.kafka.producer(**{"transactional.id": scene.group})
    producer.init_transactions(30)
    for number in range(4):
        producer.begin_transaction()
        headers: list[tuple[str, str | bytes | None]] = list(GOOD)
        producer.produce(scene.topic, b"%d" % number, partition=0, headers=headers)
        (producer.abort_transaction if number % 2 else producer.commit_transaction)(30)
    sink = scene.start()
    wait(lambda: len(scene.stored()) >= 2, "records")
    assert sorted(number for _, _, _, number in scene._lines()) == [0, 2]
    assert sink.end() == 0


def test_records_that_retention_took_are_told(scene: Scene) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    sink = scene.start()
    scene.send(40)
    scene.wait_all()
    assert sink.end() == 0
    scene.send(80)
    admin = AdminClient({"bootstrap.servers": scene.kafka.servers})
    for deleted in admin.delete_records([TopicPartition(scene.topic, 1, 25)]).values():
        deleted.result(20)
    again = scene.start()
    told = again.wait_for("records were deleted before they were stored")
    assert (told["topic"], told["partition"]) == (scene.topic, 1)
    assert (told["first"], told["records"]) == (10, 15)
    wait(lambda: len(scene.stored()) == 105, "the rest")
    assert again.end() == 0


def test_what_is_not_there_at_the_start_is_an_error(scene: Scene) -> None:
    def error_of(**settings: object) -> str:
        sink = scene.start(**settings)
        wait(lambda: not sink.running, "the end")
        assert len(sink.errors) == 1
        return sink.errors[0]

    assert error_of(servers="127.0.0.1:1").startswith(
        "error: Kafka at 127.0.0.1:1 does not answer "
    )
    assert "there is no topic nothing (`mevstream topics" in error_of(topic="nothing")
    scene.flag("away")
    assert error_of() == "error: store: it is away"
    assert (scene.folder / "closed").exists()
