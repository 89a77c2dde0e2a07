"""A sink's member of its consumer group, and the topics that it needs."""

# Kafka's client offers these names without marking them as its own.
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from mevstream.errors import MevstreamError
from mevstream.infra.kafka_errors import kafka_error

_CONTACT_SECONDS = 10
_FETCHED_KB = 16 << 10


def open_consumer(
    servers: str,
    group: str,
    *,
    on_error: Callable[[KafkaError], None],
    on_commit: Callable[[KafkaError | None, Sequence[TopicPartition]], None],
) -> Any:
    """A consumer of committed records that is in no group yet; it commits what it is told to."""
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "group.protocol": "consumer",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "queued.max.messages.kbytes": _FETCHED_KB,
            "fetch.message.max.bytes": 4 << 20,
            "socket.connection.setup.timeout.ms": 5000,
            "reconnect.backoff.max.ms": 1000,
            "error_cb": on_error,
            "on_commit": on_commit,
            # What goes wrong comes to error_cb; the log would go to stderr beside ours.
            "log_level": 0,
        }
    )


def partitions_of(servers: str, names: Sequence[str]) -> dict[str, int]:
    """Topic → partitions. Raises MevstreamError where Kafka or one of the topics is not there."""
    client: Any = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    try:
        topics = client.list_topics(timeout=_CONTACT_SECONDS).topics
    except KafkaException as error:
        raise kafka_error(servers, error.args[0]) from None
    for name in names:
        if name not in topics:
            raise MevstreamError(
                f"{servers}: there is no topic {name} (`mevstream topics create` makes it)"
            )
    return {name: len(topic.partitions) for name, topic in topics.items()}
