"""How far consumer groups are, as ops see it."""

import subprocess
import sys

from confluent_kafka import Consumer, TopicPartition

from kafka.broker import Kafka
from mevstream.infra.groups import Lag, groups


def commit(kafka: Kafka, group: str, places: list[TopicPartition]) -> None:
    consumer = Consumer({"bootstrap.servers": kafka.servers, "group.id": group})
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def test_groups_tell_what_is_left_to_read(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    producer = kafka.producer()
    for number in range(7):
        producer.produce(topic, b"value", partition=number % 2)
    assert producer.flush(30) == 0
    commit(kafka, "lagging-one", [TopicPartition(topic, 0, 1), TopicPartition(topic, 1, 3)])
    commit(kafka, "lagging-two", [TopicPartition(topic, 1, 0)])
    commit(kafka, "other", [TopicPartition(topic, 1, 0)])

    one, two = groups(kafka.servers, "lagging-")
    assert (one.name, one.state, one.members) == ("lagging-one", "empty", 0)
    assert one.lags == (Lag(topic, 0, 1, 0, 4), Lag(topic, 1, 3, 0, 3))
    assert [lag.behind for lag in one.lags] == [3, 0]
    assert [lag.behind for lag in two.lags] == [3]
    assert groups(kafka.servers, "nobody-") == []


def test_what_retention_took_is_lost() -> None:
    assert (Lag("t", 0, 5, 8, 20).behind, Lag("t", 0, 5, 8, 20).lost) == (15, 3)
    assert (Lag("t", 0, 9, 8, 9).behind, Lag("t", 0, 9, 8, 9).lost) == (0, 0)


def test_lag_as_a_command(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    kafka.producer().flush(1)
    commit(kafka, "mevstream-somebody", [TopicPartition(topic, 0, 0), TopicPartition(topic, 1, 0)])
    command = [sys.executable, "-m", "mevstream", "topics", "lag", "--kafka", kafka.servers]
    for extra, lines in ((), 1), (("--partitions",), 2):
        done = subprocess.run([*command, *extra], capture_output=True, text=True, check=True)
        assert "mevstream-somebody" in done.stdout
        assert sum(topic in line for line in done.stdout.splitlines()) == lines
