"""The topics of the chain on a Kafka cluster: what they should be, made and looked at."""

# Kafka's client offers these names in confluent_kafka.admin without marking them as its own.
# pyright: reportPrivateImportUsage=false

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    OffsetSpec,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from mevstream.errors import MevstreamError
from mevstream.infra.kafka_errors import kafka_error, kafka_errors
from mevstream.topologies.chain import (
    CHAIN,
    CHECKPOINTS,
    DEAD_LETTER,
    MAX_LETTER_BYTES,
    MAX_RECORD_BYTES,
    RAW,
    SLOTS,
    Link,
)

_CONTACT_SECONDS = 5
_TIMEOUT_SECONDS = 15
_HOUR_MS = 3_600_000
# A moment after a topic was made or its leader was started.
_NO_LEADER_YET = (
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
_NO_GROUP = KafkaError.GROUP_ID_NOT_FOUND


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be. `config` has Kafka's own names and values."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Partition:
    """`first` and `end`: the offset of the oldest record, and the one that the next will get."""

    number: int
    leader: int
    replicas: int
    in_sync: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is. `config` holds what is set for this topic, not Kafka's defaults."""

    name: str
    partitions: tuple[Partition, ...]
    config: Mapping[str, str]

    @property
    def records(self) -> int:
        """Offsets in use; in a compacted topic more than there are records."""
        return sum(partition.end - partition.first for partition in self.partitions)


def topic_specs(
    *,
    raw_partitions: int,
    market_partitions: int,
    retention_hours: int,
    chain: Sequence[Link] = CHAIN,
) -> list[TopicSpec]:
    """Every topic of the chain, in its order.

    What is split by market has `market_partitions`, snapshots too: a worker finds those of a
    market partition in the partition of the same number. A dead letter keeps the partition of
    the record that it holds. mev.slots has one: its readers want all slots, in order.
    """
    names = list(dict.fromkeys(name for link in chain for name in (link.input, *link.outputs)))
    names += [name for name in (DEAD_LETTER, CHECKPOINTS) if name not in names]
    partitions = {
        RAW: raw_partitions,
        SLOTS: 1,
        DEAD_LETTER: max(raw_partitions, market_partitions),
    }
    return [
        TopicSpec(name, partitions.get(name, market_partitions), _config(name, retention_hours))
        for name in names
    ]


def _config(name: str, retention_hours: int) -> dict[str, str]:
    # Records are zstd frames already, and time is what the source saw.
    most = MAX_LETTER_BYTES if name == DEAD_LETTER else MAX_RECORD_BYTES
    common = {"compression.type": "producer", "max.message.bytes": str(most)}
    if name in (SLOTS, CHECKPOINTS):
        # Small segments: only closed ones are compacted, and a snapshot is soon replaced.
        return common | {
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.2",
            "segment.bytes": str(64 << 20),
            "segment.ms": str(_HOUR_MS),
        }
    # What could not be processed has to wait for somebody who looks at it.
    hours = 30 * 24 if name == DEAD_LETTER else retention_hours
    return common | {"cleanup.policy": "delete", "retention.ms": str(hours * _HOUR_MS)}


class Cluster:
    """The topics of one Kafka cluster. Every method raises MevstreamError if it does not answer."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        # The stubs leave open what its futures give.
        self._client: Any = AdminClient(
            {
                "bootstrap.servers": servers,
                "socket.connection.setup.timeout.ms": 5000,
                # What goes wrong is raised by the call; the log would go to stderr beside it.
                "log_level": 0,
            }
        )

    def ensure(self, specs: Sequence[TopicSpec], *, replication: int = -1) -> dict[str, str]:
        """Makes the topics that are missing and sets the configuration of all; by name what was
        done: `created`, `changed`, `unchanged`.

        `replication` -1 is the cluster's default. A topic that has another number of partitions
        than asked for keeps it, and that is told: records would change their partition.
        """
        present = self.names()
        missing = [spec for spec in specs if spec.name not in present]
        done: dict[str, str] = {}
        if missing:
            created = self._client.create_topics(
                [
                    NewTopic(
                        spec.name,
                        num_partitions=spec.partitions,
                        replication_factor=replication,
                        config=dict(spec.config),
                    )
                    for spec in missing
                ]
            )
            for name, future in created.items():
                self._result(future)
                done[name] = "created"
            # The controller answers before every broker knows them.
            end = time.monotonic() + _TIMEOUT_SECONDS
            while not done.keys() <= set(self.names()) and time.monotonic() < end:
                time.sleep(0.05)
        there = {spec.name: spec for spec in specs if spec.name in present}
        for topic in self.describe(list(there)):
            spec = there[topic.name]
            differing = {k: v for k, v in spec.config.items() if topic.config.get(k) != v}
            if differing:
                self._set_config(topic.name, differing)
            done[topic.name] = "changed" if differing else "unchanged"
            if len(topic.partitions) != spec.partitions:
                done[topic.name] += f", keeps {len(topic.partitions)} partitions"
        return {spec.name: done[spec.name] for spec in specs}

    def names(self) -> list[str]:
        """All topics but Kafka's internal ones, sorted."""
        with kafka_errors(self._servers):
            names = self._client.list_topics(timeout=_CONTACT_SECONDS).topics
        return sorted(name for name in names if not name.startswith("__"))

    def partitions(self) -> dict[str, int]:
        """How many partitions each topic has."""
        with kafka_errors(self._servers):
            topics = self._client.list_topics(timeout=_CONTACT_SECONDS).topics
        return {name: len(topic.partitions) for name, topic in topics.items()}

    def members(self, group: str) -> int:
        """How many members a consumer group has, those too that died a moment ago."""
        [future] = self._client.describe_consumer_groups([group]).values()
        try:
            return len(self._result(future).members)
        except MevstreamError as error:
            cause = error.__context__
            if isinstance(cause, KafkaException) and cause.args[0].code() == _NO_GROUP:
                return 0
            raise

    def describe(self, names: Sequence[str]) -> list[Topic]:
        """These topics as they are. Raises MevstreamError for one that does not exist."""
        if not names:
            return []
        with kafka_errors(self._servers):
            metadata = self._client.list_topics(timeout=_CONTACT_SECONDS).topics
        for name in names:
            if name not in metadata:
                raise MevstreamError(f"{self._servers}: there is no topic {name}")
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        configs = {
            resource.name: self._result(future)
            for resource, future in self._client.describe_configs(resources).items()
        }
        places = [(name, number) for name in names for number in sorted(metadata[name].partitions)]
        first = self._offsets(places, OffsetSpec.earliest())
        end = self._offsets(places, OffsetSpec.latest())
        partitions: dict[str, list[Partition]] = {name: [] for name in names}
        for (name, number), low, high in zip(places, first, end, strict=True):
            told = metadata[name].partitions[number]
            partitions[name].append(
                Partition(number, told.leader, len(told.replicas), len(told.isrs), low, high)
            )
        return [
            Topic(
                name,
                tuple(partitions[name]),
                {
                    entry.name: entry.value
                    for entry in configs[name].values()
                    if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
                },
            )
            for name in names
        ]

    def _set_config(self, name: str, values: Mapping[str, str]) -> None:
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in values.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        for future in self._client.incremental_alter_configs([resource]).values():
            self._result(future)

    def _offsets(self, partitions: Sequence[tuple[str, int]], spec: Any) -> list[int]:
        asked = [TopicPartition(name, number) for name, number in partitions]
        end = time.monotonic() + _TIMEOUT_SECONDS
        while True:
            futures = self._client.list_offsets(dict.fromkeys(asked, spec))
            try:
                return [futures[partition].result().offset for partition in asked]
            except KafkaException as error:
                if time.monotonic() > end or error.args[0].code() not in _NO_LEADER_YET:
                    raise kafka_error(self._servers, error.args[0]) from None
                time.sleep(0.1)

    def _result(self, future: Future[Any]) -> Any:
        with kafka_errors(self._servers):
            return future.result(_TIMEOUT_SECONDS)
