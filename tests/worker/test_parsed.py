"""The parsed link on Kafka: every raw batch comes out whole, whatever happens to the workers."""

import itertools
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from mevstream.codecs.frames import compress
from mevstream.codecs.headers import Header
from mevstream.codecs.raw import encode_raw
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import CHAIN, DEAD_LETTER, MESSAGES, PARSED, RAW, SLOTS
from worker.harness import Field, at_least, endless, headers_of, results_of, value_of


def check_whole(field: Field, fed: list[bytes]) -> int:
    """Conservation and integrity: what is in mev.parsed is what the stage makes of each batch of
    `fed`, nothing missing, nothing else. Returns how many records are second copies."""
    wanted = {part for parts, _ in results_of(fed, 1) for part in parts}
    assert len(wanted) == len(fed)
    messages = field.read(PARSED, at_least(len(fed)))
    assert {value_of(message) for message in messages} == wanted
    return len(messages) - len(fed)


def test_records_are_those_of_the_stage(field: Field, raw_batches: list[bytes]) -> None:
    field.topics(raw=3, market=2)
    field.feed(raw_batches, partitions=3)
    worker = field.worker("parsed")
    expected = results_of(raw_batches, 2)
    parsed = field.read(PARSED, at_least(2 * len(raw_batches)))
    slots = field.read(SLOTS, at_least(len(raw_batches)))
    field.wait(lambda: field.lag("parsed") == 0, "all committed")

    assert {value_of(message) for message in slots} == {status for _, status in expected}
    assert len(slots) == len(raw_batches)
    assert len(parsed) == 2 * len(raw_batches)
    for message in parsed:
        headers = headers_of(message)
        assert headers.schema == MESSAGES[PARSED]
        assert headers.origin is not None
        assert headers.origin.partitions == 3
        number = headers.origin.offset * 3 + headers.origin.partition
        parts, _ = expected[number]
        assert value_of(message) == parts[message.partition() or 0]
        assert headers.first_seen_ns is not None
        assert abs(time.time_ns() - headers.first_seen_ns) < 60e9
    for message in slots:
        status = SlotStatus.FromString(value_of(message))
        key = f"{status.chain}/{status.slot}/{status.blockhash.hex()}/{status.seq}"
        assert message.key() == key.encode()
    code, seconds = worker.terminate()
    assert code == 0, worker.said()
    assert seconds < 8


def test_a_record_of_the_largest_size_fits_its_dead_letter(
    field: Field, raw_batches: list[bytes]
) -> None:
    field.topics()
    large = random.Random(1).randbytes((4 << 20) - 1000)
    field.produce(RAW, large, [("mev.schema", b"mevstream.v1.RawBatch"), ("mev.codec", b"zstd")])
    field.feed(raw_batches[:3])
    worker = field.worker("parsed")
    [message] = field.read(DEAD_LETTER, at_least(1))
    assert DeadLetter.FromString(value_of(message)).payload == large
    field.read(PARSED, at_least(3))
    field.wait(lambda: field.lag("parsed") == 0, "all committed")
    assert worker.terminate()[0] == 0, worker.said()


def test_what_is_no_record_is_kept_in_the_dead_letter_topic(
    field: Field, raw_batches: list[bytes]
) -> None:
    """And the rest goes on."""
    field.topics()
    good: list[Header] = [("mev.schema", b"mevstream.v1.RawBatch"), ("mev.codec", b"zstd")]
    bomb = compress(bytes(65 << 20))
    no_batch = compress(b"\xff\xff\xff")
    poison: list[tuple[bytes | None, list[Header], str]] = [
        (b"x", [], "record header mev.schema is missing"),
        (b"x", [("mev.schema", b"other")], "record header mev.schema is 'other'"),
        (b"no frame", good, "zstd: the data is no zstd frame"),
        (compress(raw_batches[0])[:-9], good, "zstd: "),
        (bomb, good, "zstd: 68157440 bytes of content are above the limit"),
        (None, good, "the record has no value"),
        (no_batch, good, ""),
        (b"x", [*good, ("mev.slot", b"-1")], "record header mev.slot has the bad value"),
        (b"x", [("mev.schema", None), ("\u03bb", b"\xff")], "record header mev.schema is missing"),
    ]
    for value, headers, _ in poison:
        field.produce(RAW, value, headers)
    field.feed(raw_batches[:3])
    malformed = encode_raw({"slot": 9, "blockhash": bytes(32)}, [b"\xff no transaction"])
    field.feed([malformed])
    worker = field.worker("parsed")

    letters = [
        DeadLetter.FromString(value_of(message))
        for message in field.read(DEAD_LETTER, lambda m: len(m) > len(poison))
    ]
    field.wait(lambda: field.lag("parsed") == 0, "all committed")
    assert len(letters) == len(poison) + 1
    for offset, ((value, headers, error), letter) in enumerate(zip(poison, letters, strict=False)):
        assert (letter.topic, letter.partition, letter.offset) == (RAW, 0, offset)
        assert letter.error.startswith(error)
        assert "\n" not in letter.error
        # A batch that cannot be read is given up by the stage, which has it uncompressed.
        assert letter.payload == (b"\xff\xff\xff" if value == no_batch else value or b"")
        assert dict(letter.headers) == {name: data or b"" for name, data in headers}
        assert letter.stage == "parsed"
    assert letters[-1].payload == b"\xff no transaction"
    assert letters[-1].offset == len(poison) + 3
    assert letters[-1].headers["mev.schema"] == b"mevstream.v1.RawBatch"
    assert len(field.read(PARSED, lambda m: len(m) >= 4)) == 4
    assert worker.terminate()[0] == 0


def test_workers_that_come_and_go_lose_nothing(field: Field, raw_batches: list[bytes]) -> None:
    """One joins, one is killed, one is asked to leave, and the broker is killed."""
    field.topics(raw=4)
    first, second = field.worker("parsed"), field.worker("parsed")
    stop = threading.Event()
    fed: list[bytes] = []

    def feed() -> None:
        def values() -> Iterator[bytes]:
            for value in endless(raw_batches):
                fed.append(value)
                yield value

        field.feed(values(), partitions=4, rate=100, until=stop.is_set)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        field.read(PARSED, at_least(50))
        third = field.worker("parsed")
        field.wait(lambda: "partitions assigned" in third.said(), "third has joined")
        time.sleep(0.5)
        first.kill()
        time.sleep(random.uniform(0.2, 1))
        code, seconds = second.terminate()
        assert code == 0, second.said()
        assert seconds < 8
        field.kafka.restart()
        time.sleep(0.5)
    finally:
        stop.set()
        feeder.join()
    copies = check_whole(field, fed)
    # Copies are what was under way at a kill, and what was not committed then.
    assert copies < len(fed) / 4
    field.wait(lambda: field.lag("parsed") == 0, "all committed")
    assert third.terminate()[0] == 0


def test_partitions_that_move_before_anything_is_committed_lose_nothing(
    field: Field, raw_batches: list[bytes]
) -> None:
    """Workers join one after the other while the first records are fetched: a backlog, taken
    slowly, so that most partitions have no committed offset when they move."""
    field.topics(raw=4)
    values = list(itertools.islice(endless(raw_batches), 1200))
    field.feed(values, partitions=4)
    slow = {"MEVSTREAM_WORKER_RECORDS": "1"}
    workers = [field.worker("parsed", **slow)]
    for _ in range(3):
        field.wait(lambda: "partitions assigned" in workers[-1].said(), "assigned")
        workers.append(field.worker("parsed", **slow))
    check_whole(field, values)
    field.wait(lambda: field.lag("parsed") == 0, "all committed")


def test_partitions_that_a_topic_gets_are_read(field: Field, raw_batches: list[bytes]) -> None:
    field.topics(raw=1)
    field.feed(raw_batches[:20])
    worker = field.worker("parsed")
    field.read(PARSED, at_least(20))
    admin = AdminClient({"bootstrap.servers": field.kafka.servers})
    admin.create_partitions([NewPartitions(RAW, 3)])[RAW].result(10)
    field.feed(raw_batches[20:40], partitions=3)
    field.read(PARSED, at_least(40))
    assert worker.process.poll() is None


def test_a_worker_ends_in_time_although_the_broker_is_away(
    field: Field, raw_batches: list[bytes]
) -> None:
    field.topics(raw=2)
    field.feed(raw_batches, partitions=2)
    worker = field.worker("parsed")
    field.read(PARSED, at_least(10))
    with field.kafka.paused():
        code, seconds = worker.terminate()
    assert code == 0, worker.said()
    assert seconds < 13


def test_a_worker_that_is_asked_to_end_delivers_and_commits_what_it_took(
    field: Field, raw_batches: list[bytes]
) -> None:
    """So a clean end gives no second copies."""
    field.topics(raw=2)
    values = list(itertools.islice(endless(raw_batches), 600))
    field.feed(values, partitions=2)
    for number in (1, 2):
        worker = field.worker("parsed")
        field.wait(lambda said=worker.said: "partitions assigned" in said(), "assigned")
        field.read(PARSED, at_least(150 * number))
        assert worker.terminate()[0] == 0, worker.said()
    field.worker("parsed")
    assert check_whole(field, values) == 0


def test_a_broker_that_stands_still_bounds_what_a_worker_holds(
    field: Field, raw_batches: list[bytes]
) -> None:
    """A backlog of some 50 MB, and a broker that stops in the middle of it."""
    field.topics(raw=2)
    values = list(itertools.islice(endless(raw_batches), 1500))
    field.feed(values, partitions=2)
    worker = field.worker("parsed", MEVSTREAM_WORKER_RECORDS="16")
    field.read(PARSED, at_least(300))
    with field.kafka.paused():
        time.sleep(2)
    field.wait(lambda: field.lag("parsed") == 0, "all committed")
    status = Path(f"/proc/{worker.process.pid}/status")
    if status.exists():
        peak_kb = int(status.read_text().split("VmHWM:")[1].split()[0])
        assert peak_kb < 300 << 10


def test_missing_topics_are_one_clear_line(field: Field) -> None:
    worker = field.worker("parsed")
    assert worker.process.wait(30) == 1
    assert worker.said().splitlines()[-1] == (
        f"error: Kafka at {field.kafka.servers} has no topic mev.dead-letter, mev.parsed, "
        "mev.raw, mev.slots: `mevstream topics create` makes them"
    )
    unknown = field.worker("nothing")
    assert unknown.process.wait(30) == 1
    names = ", ".join(link.name for link in CHAIN)
    assert unknown.said() == f"error: no link is called 'nothing': there are {names} and all\n"
