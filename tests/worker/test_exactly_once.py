"""Exactly once: what a reader of committed records sees, whatever happens to workers and broker."""

import itertools
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator

from confluent_kafka import Consumer
from kafka.broker import Kafka

from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.topologies.chain import DEAD_LETTER, FEATURES, PARSED, SLOTS
from mevstream.topologies.worker.output import Member
from mevstream.topologies.worker.transactions import group_metadata
from worker.harness import Field, Worker, at_least, endless, results_of, value_of
from worker.test_state import made_of

MARKETS = 2


def start(field: Field, *arguments: str, **environment: str) -> Worker:
    return field.worker("parsed", "--delivery", "exactly-once", *arguments, **environment)


def kill_child(worker: Worker) -> None:
    """The one that does the work; its parent stays."""
    [child] = worker.children()
    os.kill(child, signal.SIGKILL)


def check_exact(field: Field, fed: list[bytes]) -> None:
    field.wait(lambda: field.lag("parsed") == 0, "all committed")
    expected = results_of(fed, MARKETS)
    parsed = Counter((m.partition(), value_of(m)) for m in field.read_all(PARSED))
    assert parsed == Counter(
        (number, part) for parts, _ in expected for number, part in enumerate(parts)
    )
    slots = Counter(value_of(message) for message in field.read_all(SLOTS))
    assert slots == Counter(status for _, status in expected)


def test_workers_and_brokers_come_and_go_and_nothing_is_there_twice(
    field: Field, raw_batches: list[bytes]
) -> None:
    field.topics(raw=4, market=MARKETS)
    first, second = start(field), start(field)
    stop = threading.Event()
    fed: list[bytes] = []

    def feed() -> None:
        def values() -> Iterator[bytes]:
            for value in endless(raw_batches):
                fed.append(value)
                yield value

        field.feed(values(), partitions=4, rate=40, until=stop.is_set)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        field.read(PARSED, at_least(50))
        third = start(field)
        field.wait(lambda: "partitions assigned" in third.said(), "third has joined")
        kill_child(first)
        field.wait(lambda: "starting it again" in first.said(), "the first is started again")
        time.sleep(1)
        assert second.terminate()[0] == 0, second.said()
        kill_child(third)
        time.sleep(0.5)
        third.kill()
        field.kafka.restart()
        time.sleep(1)
    finally:
        stop.set()
        feeder.join()
    check_exact(field, fed)
    assert first.terminate()[0] == 0, first.said()


def test_what_a_killed_worker_left_open_is_never_seen_and_done_again(
    field: Field, raw_batches: list[bytes]
) -> None:
    """Its transaction lasts longer than it lives, and whoever has its partitions next must not
    read on from what is committed before that is known to have ended."""
    field.topics(raw=2, market=MARKETS)
    first = start(field, MEVSTREAM_TRANSACTION_MS="3000")
    field.wait(lambda: "partitions assigned" in first.said(), "partitions assigned")
    fed = list(raw_batches[:20])
    field.feed(fed, partitions=2)
    time.sleep(1)
    first.kill()
    second = start(field)
    check_exact(field, fed)
    assert second.terminate()[0] == 0, second.said()


def test_a_member_is_told_as_librdkafka_tells_its_own(kafka: Kafka) -> None:
    """The form is internal to it. Where this fails after an update, so will every commit."""
    topic, group = kafka.topic(), uuid.uuid4().hex
    consumer = Consumer({"bootstrap.servers": kafka.servers, "group.id": group})
    try:
        assert consumer.consumer_group_metadata() == group_metadata(Member(group, "", -1))
        consumer.subscribe([topic])
        end = time.monotonic() + 20
        while not consumer.assignment():
            assert time.monotonic() < end
            consumer.poll(0.1)
        assert consumer.consumer_group_metadata() == group_metadata(
            Member(group, consumer.memberid(), 1)
        )
    finally:
        consumer.close()


def test_a_state_goes_on_and_nothing_is_there_twice(field: Field, raw_batches: list[bytes]) -> None:
    """Killed long after its first snapshot, with what cannot be read in between: all is computed
    again, and nothing is sent again."""
    field.topics(raw=2, market=MARKETS)
    values = list(itertools.islice(endless(raw_batches), 300))
    start(field)
    # But for the first, none at all; then often enough.
    for number, seconds in enumerate(("1000", "1000", "0.5"), 1):
        features = field.worker(
            "features", "--delivery", "exactly-once", MEVSTREAM_CHECKPOINT_SECONDS=seconds
        )
        field.feed(values[100 * (number - 1) : 100 * number], partitions=2)
        field.read(FEATURES, at_least(MARKETS * (100 * number - 20)))
        field.produce(PARSED, b"no record", [])
        field.read(DEAD_LETTER, lambda m, wanted=number: len(m) >= wanted)
        if number < 3:
            features.kill()
        else:
            field.read(FEATURES, at_least(MARKETS * len(values)))
            assert features.terminate()[0] == 0, features.said()

    found = Counter((m.partition(), value_of(m)) for m in field.read_all(FEATURES))
    wanted = enumerate(made_of(values))
    assert found == Counter((number, value) for number, made in wanted for value in made)
    letters = [DeadLetter.FromString(value_of(m)) for m in field.read_all(DEAD_LETTER)]
    assert len(letters) == len({letter.offset for letter in letters}) == 3
