"""A broker that a test may use as it likes: a topic of its own, records in and out, kill -9."""

import itertools
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from mevstream.infra.stack.jars import ensure_jars
from mevstream.infra.stack.java import find_java
from mevstream.infra.stack.kafka import Listener, kafka_service
from mevstream.infra.stack.service import ServiceProcess
from mevstream.settings import load_settings

_numbers = itertools.count()


class Kafka:
    """A broker. `servers` stays the same over restarts; `listeners` are further doors to it."""

    def __init__(self, folder: Path, *listeners: Listener) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as one,
            socket.create_server(("127.0.0.1", 0)) as other,
        ):
            port, controller_port = one.getsockname()[1], other.getsockname()[1]
        self._service = kafka_service(
            jars=ensure_jars(load_settings().cache, report=lambda line: print(line)),
            java=find_java(),
            folder=folder,
            log=folder / "kafka.log",
            port=port,
            controller_port=controller_port,
            heap_mb=256,
            listeners=listeners,
        )
        self.servers = self._service.address
        self.start()

    def start(self) -> None:
        """Returns when the broker answers."""
        self.process = ServiceProcess(self._service)
        try:
            self.process.wait_ready()
        except BaseException:
            self.process.kill()
            raise

    def restart(self) -> None:
        """Kills the broker the hard way (SIGKILL) and starts it again on the same data."""
        self.process.kill()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The broker stands still (SIGSTOP): connections stay, nothing is answered."""
        broker = psutil.Process(self.process.pid)
        broker.suspend()
        try:
            yield
        finally:
            broker.resume()

    def topic(self, partitions: int = 1) -> str:
        """A new topic of a name that no test has used."""
        name = f"test-{next(_numbers)}-{uuid.uuid4().hex[:8]}"
        admin = AdminClient({"bootstrap.servers": self.servers})
        admin.create_topics([NewTopic(name, num_partitions=partitions)])[name].result(10)
        return name

    def delete(self, names: Iterable[str]) -> None:
        """Deletes those of these topics that there are. Returns when they are gone."""
        admin = AdminClient({"bootstrap.servers": self.servers})
        there = admin.list_topics(timeout=10).topics.keys() & set(names)
        for deleted in admin.delete_topics(list(there)).values() if there else ():
            deleted.result(10)
        # The controller answers before the broker knows.
        while admin.list_topics(timeout=10).topics.keys() & there:
            time.sleep(0.05)

    def producer(self, **settings: object) -> Producer:
        """Idempotent, acks from all, records up to 4 MB."""
        return Producer(
            {
                "bootstrap.servers": self.servers,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 0,
                "message.max.bytes": 4 << 20,
                **settings,
            }
        )

    def read(self, topic: str, count: int, *, protocol: str = "consumer") -> list[Message]:
        """The first `count` records of a topic, by a consumer group of its own (KIP-848, or
        protocol `classic`). Fails where they do not come within a minute."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": uuid.uuid4().hex,
                "group.protocol": protocol,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([topic])
        messages: list[Message] = []
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                message = consumer.poll(0.1)
                if message is not None:
                    if message.error():
                        raise KafkaException(message.error())
                    messages.append(message)
                if len(messages) == count:
                    return messages
        finally:
            consumer.close()
        pytest.fail(f"{topic}: {len(messages)} of {count} records came within a minute")
