"""What is said to be delivered is there, even where the client is wrong about it."""

import asyncio
import socket
import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition

from kafka.broker import Kafka
from kafka.refusing import RefusingDoor
from mevstream.errors import MevstreamError
from mevstream.infra.stack.kafka import Listener
from mevstream.infra.stack.service import HOST
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.producer import RawProducer, read_batch
from mevstream.topologies.worker.output import Delivered, Member
from mevstream.topologies.worker.records import Outgoing
from mevstream.topologies.worker.transactions import Transactional

BATCHES = [
    RawBatch(slot=slot, blockhash=bytes(32), last=True).SerializeToString() for slot in range(200)
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, str, RefusingDoor]]:
    """A broker, and the address of a door that refuses the first batch of every partition."""
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as other:
        inner, outer = one.getsockname()[1], other.getsockname()[1]
    kafka = Kafka(tmp_path_factory.mktemp("kafka"), Listener("DOOR", inner, outer))
    with RefusingDoor(inner, outer) as door:
        yield kafka, f"{HOST}:{outer}", door
    kafka.process.kill()


def values(kafka: Kafka, topic: str) -> list[bytes]:
    """What a reader of committed records gets."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.servers,
            "group.id": uuid.uuid4().hex,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    while (message := consumer.poll(10)) and message.error() is None:
        found.append(message.value() or b"")
    consumer.close()
    assert message, "no answer"
    return found


def test_raw_batches(broker: tuple[Kafka, str, RefusingDoor]) -> None:
    kafka, address, door = broker
    topic = kafka.topic()
    before = door.refused
    with RawProducer(address, topic=topic) as producer:
        for number, message in enumerate(BATCHES):
            producer.send(read_batch(message))
            while not number and door.refused == before:
                time.sleep(0.01)
    assert door.refused == before + 1
    assert producer.published.batches == len(BATCHES)
    assert len(set(values(kafka, topic))) == len(BATCHES)


def test_output_of_a_worker(broker: tuple[Kafka, str, RefusingDoor]) -> None:
    kafka, address, door = broker
    topic = kafka.topic()
    before = door.refused
    failures: list[MevstreamError] = []

    async def run() -> int:
        output = Delivered(address, client="test", failed=failures.append)
        done: list[int] = []
        for number in range(200):
            record = Outgoing(topic, 0, None, b"%d" % number, [])
            await output.send([record], None, lambda number=number: done.append(number))
            while not number and door.refused == before:
                await asyncio.sleep(0.01)
        while len(done) < 200:
            await asyncio.sleep(0.01)
        await output.close(5)
        return len(set(done))

    assert asyncio.run(asyncio.wait_for(run(), 60)) == 200
    assert not failures
    assert door.refused == before + 1
    assert set(values(kafka, topic)) == {b"%d" % number for number in range(200)}


def test_a_transaction(broker: tuple[Kafka, str, RefusingDoor]) -> None:
    """It is not committed without its first records: a new process begins again."""
    kafka, address, door = broker
    topic = kafka.topic()
    before = door.refused
    failures: list[MevstreamError] = []
    done: list[int] = []

    async def run() -> None:
        output = Transactional(
            address, client="test", identity=uuid.uuid4().hex, failed=failures.append
        )
        output.assigned(Member("group", "", -1))
        for number in range(200):
            record = Outgoing(topic, 0, None, b"%d" % number, [])
            await output.send([record], None, lambda number=number: done.append(number))
            while not number and door.refused == before:
                await asyncio.sleep(0.01)
        while len(done) < 200 and not failures:
            await asyncio.sleep(0.01)
        await output.close(5)

    asyncio.run(asyncio.wait_for(run(), 60))
    assert door.refused == before + 1
    assert [str(failure) for failure in failures] == [
        f"Kafka at {address}: transaction: records were taken, but not said where"
    ]
    assert not done
    assert not values(kafka, topic)
