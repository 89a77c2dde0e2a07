"""The chain on a real broker: topics of its own, records in and out, workers as processes."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient  # pyright: ignore[reportPrivateImportUsage]
from kafka.broker import Kafka

from mevstream.codecs.headers import Header, RecordHeaders, pack_record, read_headers, unpack_record
from mevstream.codecs.raw import RawView
from mevstream.infra.kafka_errors import has_place
from mevstream.infra.topics import Cluster, topic_specs
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.chain import CHAIN, MESSAGES, PARSED, RAW, SLOTS, Link
from mevstream.topologies.worker.process import choose_links

TESTS = Path(__file__).parents[1]
SECONDS = 90
"""How long anything may take before a test gives up."""


class Worker:
    """A worker process. What it says goes to a file."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, env=os.environ | environment, stdout=stream, stderr=stream
            )

    def said(self) -> str:
        return self._log.read_text()

    def terminate(self) -> tuple[int, float]:
        """Exit code after SIGTERM, and how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS), time.monotonic() - began

    def kill(self) -> None:
        """The hard way, together with the process that it may have under it."""
        children = self.children()
        self.process.kill()
        self.process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def children(self) -> list[int]:
        """The processes that it has under it."""
        number = self.process.pid
        return [int(n) for n in Path(f"/proc/{number}/task/{number}/children").read_text().split()]


class Field:
    """The topics of a chain on the session's broker, empty, and what a test does with them."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.kafka = kafka
        self._folder = folder
        self._prefix = f"test-{uuid.uuid4().hex[:8]}"
        self._workers: list[Worker] = []

    def topics(self, raw: int = 1, market: int = 1, chain: Sequence[Link] = CHAIN) -> None:
        """Makes the topics of `chain`, in place of what there was."""
        self._delete_topics()
        specs = topic_specs(
            raw_partitions=raw, market_partitions=market, retention_hours=1, chain=chain
        )
        Cluster(self.kafka.servers).ensure(specs)

    def worker(self, *arguments: str, program: str | None = None, **environment: str) -> Worker:
        """Starts `mevstream worker`, or a test's own module that runs one."""
        start = ["-m", program] if program else ["-m", "mevstream", "worker"]
        settings = {
            "MEVSTREAM_KAFKA": self.kafka.servers,
            "MEVSTREAM_GROUP_PREFIX": self._prefix,
            "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS))),
        }
        log = self._folder / f"worker-{len(self._workers)}.log"
        worker = Worker([sys.executable, *start, *arguments], settings | environment, log)
        self._workers.append(worker)
        return worker

    def feed(
        self,
        values: Iterable[bytes],
        *,
        partitions: int = 1,
        rate: float = 0,
        until: Callable[[], bool] = lambda: False,
    ) -> int:
        """Writes RawBatch messages to mev.raw, round robin, and returns how many. `rate`: in
        records a second; it ends before all are written as soon as `until` says so."""
        producer = self.kafka.producer()
        began = time.monotonic()
        number = 0
        for number, value in enumerate(values, 1):
            view = RawView(value)
            headers = RecordHeaders(
                schema=MESSAGES[RAW],
                slot=view.slot,
                seq=view.seq,
                last=view.last,
                first_seen_ns=time.time_ns(),
            )
            packed, written = pack_record(value, headers)
            self.produce(RAW, packed, written, (number - 1) % partitions, producer)
            if rate:
                time.sleep(max(began + number / rate - time.monotonic(), 0))
            if until():
                break
        assert producer.flush(SECONDS) == 0
        return number

    def produce(
        self,
        topic: str,
        value: bytes | None,
        headers: Sequence[Header],
        partition: int = 0,
        producer: Producer | None = None,
    ) -> None:
        own = producer or self.kafka.producer()

        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            if not has_place(message):
                self.produce(topic, value, headers, partition, own)

        own.produce(
            topic,
            value,
            partition=partition,
            headers=cast(Any, list(headers)),
            on_delivery=delivered,
        )
        own.poll(0)
        if producer is None:
            assert own.flush(SECONDS) == 0

    def read(self, topic: str, enough: Callable[[list[Message]], bool]) -> list[Message]:
        """All records of a topic from its beginning, as soon as there are enough."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka.servers,
                "group.id": uuid.uuid4().hex,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        messages: list[Message] = []
        end = time.monotonic() + SECONDS
        try:
            numbers = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
            while not enough(messages):
                if time.monotonic() > end:
                    self._check(end, f"{topic}: {len(messages)} records, {keys(messages)}")
                messages += [m for m in consumer.consume(5000, 0.1) if not m.error()]
        finally:
            consumer.close()
        return messages

    def read_all(self, topic: str) -> list[Message]:
        """All committed records of a topic that there are now."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka.servers,
                "group.id": uuid.uuid4().hex,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )
        messages: list[Message] = []
        end = time.monotonic() + SECONDS
        try:
            numbers = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
            left = len(numbers)
            while left:
                self._check(end, f"the end of {topic}")
                for message in consumer.consume(500, 0.05):
                    if message.error() is None:
                        messages.append(message)
                    left -= message.error() is not None
        finally:
            consumer.close()
        return messages

    def lag(self, link: str, topic: str = RAW) -> int:
        """Records of the input that the link's group has not committed."""
        group = f"{self._prefix}-{link}"
        consumer = Consumer({"bootstrap.servers": self.kafka.servers, "group.id": group})
        try:
            numbers = consumer.list_topics(topic, 10).topics[topic].partitions
            places = consumer.committed([TopicPartition(topic, n) for n in numbers], 10)
            ends = [consumer.get_watermark_offsets(place, 10)[1] for place in places]
            return sum(end - max(place.offset, 0) for place, end in zip(places, ends, strict=True))
        finally:
            consumer.close()

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + SECONDS
        while not condition():
            self._check(end, what)
            time.sleep(0.05)

    def close(self) -> None:
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.kill()
        self._delete_topics()

    def _check(self, end: float, what: str) -> None:
        if time.monotonic() > end:
            said = "\n".join(worker.said()[-3000:] for worker in self._workers)
            pytest.fail(f"{what} within {SECONDS} s\n{said}")

    def _delete_topics(self) -> None:
        names = Cluster(self.kafka.servers).names()
        self.delete(*(name for name in names if name.startswith("mev.")))

    def delete(self, *topics: str) -> None:
        """Returns when the topics are gone."""
        cluster = Cluster(self.kafka.servers)
        old = set(topics)
        if old:
            admin: Any = AdminClient({"bootstrap.servers": self.kafka.servers})
            for future in admin.delete_topics(list(old)).values():
                future.result(10)
            self.wait(lambda: not old & set(cluster.names()), "topics deleted")


def headers_of(message: Message) -> RecordHeaders:
    return read_headers(cast("list[Header]", message.headers()))


def value_of(message: Message) -> bytes:
    schema = MESSAGES[str(message.topic())]
    headers = cast("list[Header]", message.headers())
    return unpack_record(message.value() or b"", headers, schema=schema)[0]


def keys(messages: Iterable[Message]) -> set[tuple[int | None, ...]]:
    """(partition, slot, seq) of each."""
    found = set[tuple[int | None, ...]]()
    for message in messages:
        headers = headers_of(message)
        found.add((message.partition(), headers.slot, headers.seq))
    return found


def at_least(count: int) -> Callable[[list[Message]], bool]:
    """Enough are `count` different batches of a partition: some may come twice."""
    return lambda messages: len(messages) >= count and len(keys(messages)) >= count


def endless(values: Sequence[bytes]) -> Iterator[bytes]:
    """The batches again and again, each time as the slots that follow."""
    batches = [RawBatch.FromString(value) for value in values]
    slots = max(batch.slot for batch in batches) - min(batch.slot for batch in batches) + 1
    while True:
        for batch in batches:
            yield batch.SerializeToString()
            batch.slot += slots
            batch.parent_slot += slots
            batch.blockhash = hashlib.sha256(batch.blockhash).digest()


def results_of(values: Iterable[bytes], markets: int) -> list[tuple[list[bytes], bytes]]:
    """For each batch the parsed part of every market partition, and its slot status."""
    link = choose_links(["parsed"])[0]
    assert link.open_split
    stage, split = link.open_stage(), link.open_split()
    found: list[tuple[list[bytes], bytes]] = []
    for value in values:
        results = {record.topic: record.value for record in stage(value)}
        found.append((split(results[PARSED], markets), results[SLOTS]))
    return found
