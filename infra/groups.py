"""How far the consumer groups of a cluster are, as the cluster itself knows it."""

# Kafka's client offers these names in confluent_kafka.admin without marking them as its own.
# pyright: reportPrivateImportUsage=false

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from mevstream.infra.kafka_errors import kafka_error, kafka_errors
from mevstream.infra.topics import Cluster

_TIMEOUT_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Lag:
    """A partition that a group has committed an offset of: the next one to read. `first` and `end`
    are the partition's own."""

    topic: str
    partition: int
    committed: int
    first: int
    end: int

    @property
    def behind(self) -> int:
        """Records that are to be read, those included that retention has taken since."""
        return max(self.end - self.committed, 0)

    @property
    def lost(self) -> int:
        """Records that retention took before they were read."""
        return max(self.first - self.committed, 0)


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group. `state` in Kafka's own words, `members` may be dead for a moment."""

    name: str
    state: str
    members: int
    lags: tuple[Lag, ...]


def groups(servers: str, prefix: str) -> list[Group]:
    """The groups whose names begin with `prefix`, by name, with what they have committed.

    Raises MevstreamError where the cluster does not answer.
    """
    admin: Any = AdminClient({"bootstrap.servers": servers, "log_level": 0})

    def result(future: Future[Any]) -> Any:
        with kafka_errors(servers):
            return future.result(_TIMEOUT_SECONDS)

    listed = result(admin.list_consumer_groups(request_timeout=_TIMEOUT_SECONDS))
    for error in listed.errors:  # of a coordinator whose groups are not in the list
        raise kafka_error(servers, error.args[0])
    names = sorted(one.group_id for one in listed.valid if one.group_id.startswith(prefix))
    if not names:
        return []
    told = {name: result(future) for name, future in admin.describe_consumer_groups(names).items()}
    committed: dict[str, list[Any]] = {}
    for name in names:
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)])
        places = result(asked[name]).topic_partitions
        committed[name] = [place for place in places if place.offset >= 0]
    ends = _ends(servers, {place.topic for places in committed.values() for place in places})
    return [
        Group(
            name,
            told[name].state.name.lower().replace("_", " "),
            len(told[name].members),
            tuple(
                Lag(place.topic, place.partition, place.offset, *ends[place.topic, place.partition])
                for place in sorted(committed[name], key=lambda one: (one.topic, one.partition))
                if (place.topic, place.partition) in ends
            ),
        )
        for name in names
    ]


def _ends(servers: str, topics: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """First and end offset by topic and partition, of the topics that there still are."""
    cluster = Cluster(servers)
    there = set(cluster.names())
    return {
        (topic.name, partition.number): (partition.first, partition.end)
        for topic in cluster.describe(sorted(there & set(topics)))
        for partition in topic.partitions
    }
