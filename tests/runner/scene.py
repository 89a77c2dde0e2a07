"""A topic, a group, the processes of a sink and what they stored: the scene of a test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from confluent_kafka import ConsumerGroupTopicPartitions, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka.broker import Kafka

from mevstream.codecs.headers import RecordHeaders, pack_record
from mevstream.infra.kafka_errors import has_place
from mevstream.infra.topics import Cluster
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from runner.process import SCHEMA

TESTS = Path(__file__).parents[1]


def wait(condition: Callable[[], Any], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def committed_offsets(servers: str, group: str, topic: str, partitions: int) -> dict[int, int]:
    """Partition → offset that a group has committed, where it has."""
    client: Any = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    asked = ConsumerGroupTopicPartitions(
        group, [TopicPartition(topic, number) for number in range(partitions)]
    )
    answer = client.list_consumer_group_offsets([asked])[group].result(20)
    return {each.partition: each.offset for each in answer.topic_partitions if each.offset >= 0}


class SinkProcess:
    def __init__(self, number: int, folder: Path, settings: Mapping[str, object]) -> None:
        self._log = folder / f"log-{number}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runner.process", json.dumps(settings)],
                cwd=TESTS.parent,
                env={**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self.pid = self._process.pid

    def logs(self, event: str | None = None) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines()
        found: list[dict[str, Any]] = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if event in (None, line["event"])]

    @property
    def errors(self) -> list[str]:
        """What it wrote besides its log."""
        return [line for line in self._log.read_text().splitlines() if not line.startswith("{")]

    def wait_for(self, event: str, seconds: float = 60) -> dict[str, Any]:
        wait(lambda: self.logs(event) or not self.running, event, seconds)
        assert self.logs(event), self._log.read_text()
        return self.logs(event)[0]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        self._process.send_signal(number)
        return self._process.wait(seconds)


class Scene:
    """Ends its processes when the test ends."""

    def __init__(self, kafka: Kafka, folder: Path, partitions: int = 4) -> None:
        self.kafka = kafka
        self.folder = folder
        self.partitions = partitions
        self.topic = kafka.topic(partitions)
        self.dead = kafka.topic(2)
        self.group = f"group-{self.topic}"
        self.sent: dict[tuple[int, int], int] = {}
        self._producer = kafka.producer()
        self._admin = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0})
        self._started: list[SinkProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._started:
            process.kill()

    def start(self, **settings: object) -> SinkProcess:
        given = {
            "servers": self.kafka.servers,
            "topic": self.topic,
            "dead": self.dead,
            "group": self.group,
            "folder": str(self.folder),
        }
        process = SinkProcess(len(self._started), self.folder, given | settings)
        self._started.append(process)
        return process

    def send(self, count: int, *, padding: int = 0, rate: float | None = None) -> None:
        """Numbers that follow those that were sent before, over all partitions."""

        def delivered(error: object, message: Message) -> None:
            assert error is None, error
            if not has_place(message):
                produce(message.value() or b"", message.headers())
                return
            number = int((message.value() or b"").split(b" ", 1)[0])
            self.sent[message.partition() or 0, message.offset() or 0] = number

        def produce(value: bytes, headers: Any) -> None:
            self._producer.produce(
                self.topic,
                value,
                partition=int(value.split(b" ", 1)[0]) % self.partitions,
                headers=headers,
                on_delivery=delivered,
            )
            self._producer.poll(0)

        first = len(self.sent)
        start = time.monotonic()
        for number in range(first, first + count):
            # Uncompressed, so that a record is as large in Kafka as in the sink.
            value = b"%d %s" % (number, os.urandom(padding))
            headers = RecordHeaders(schema=SCHEMA, codec="none", slot=number)
            _, packed = pack_record(b"", headers)
            produce(value, packed)
            if rate is not None:
                time.sleep(max(0.0, start + (number - first) / rate - time.monotonic()))
            elif padding and number % 64 == 0:
                self._producer.flush(30)
        assert self._producer.flush(60) == 0

    def send_raw(
        self, value: bytes | None, headers: list[tuple[str, bytes | None]], **options: Any
    ) -> int:
        """A record as it stands, in partition 0; its offset."""
        offsets: list[int] = []

        def delivered(error: object, message: Message) -> None:
            assert error is None, error
            offsets.append(message.offset() or 0)

        options = {"topic": self.topic, "partition": 0, **options}
        self._producer.produce(
            value=value, headers=cast(Any, headers), on_delivery=delivered, **options
        )
        assert self._producer.flush(30) == 0
        return offsets[0]

    def flag(self, name: str, text: str = "") -> Path:
        """A file that the store goes by."""
        path = self.folder / name
        path.write_text(text)
        return path

    def stored(self) -> Counter[tuple[int, int]]:
        """(partition, offset) → how often it was stored."""
        found: Counter[tuple[int, int]] = Counter()
        for _, partition, offset, number in self._lines():
            assert self.sent.get((partition, offset), number) == number
            found[partition, offset] += 1
        return found

    def stored_by(self) -> Counter[int]:
        """Process id → records."""
        return Counter(pid for pid, _, _, _ in self._lines())

    def _lines(self) -> list[list[int]]:
        folder = self.folder / "stored"
        paths = sorted(folder.iterdir()) if folder.exists() else []
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def all_stored(self) -> bool:
        return self.stored().keys() == self.sent.keys()

    def wait_all(self, seconds: float = 60) -> None:
        wait(lambda: self.stored().keys() >= self.sent.keys(), "all records stored", seconds)
        assert self.all_stored()

    def committed(self) -> dict[int, int]:
        """Partition → offset, of those that have one."""
        return committed_offsets(self.kafka.servers, self.group, self.topic, self.partitions)

    def check_commits(self) -> None:
        """Nothing is committed that is not stored."""
        # The commits first: what is stored meanwhile may be committed meanwhile.
        committed = self.committed()
        stored = self.stored()
        for (partition, offset), number in self.sent.items():
            if offset < committed.get(partition, 0):
                assert (partition, offset) in stored, f"{number} is committed and not stored"

    def end_offsets(self) -> dict[int, int]:
        (topic,) = Cluster(self.kafka.servers).describe([self.topic])
        return {partition.number: partition.end for partition in topic.partitions}

    def members(self) -> int:
        client: Any = self._admin
        return len(client.describe_consumer_groups([self.group])[self.group].result(20).members)

    def letters(self, count: int) -> list[DeadLetter]:
        """The first `count` dead letters."""
        from mevstream.codecs.headers import unpack_record

        return [
            DeadLetter.FromString(
                unpack_record(
                    record.value() or b"",
                    cast(Any, record.headers()),
                    schema="mevstream.v1.DeadLetter",
                )[0]
            )
            for record in self.kafka.read(self.dead, count)
        ]
