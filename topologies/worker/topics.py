"""How many partitions the chain's topics have: asked at the start, and now and then after it."""

from collections.abc import Iterable

from mevstream.errors import MevstreamError
from mevstream.infra.topics import Cluster


class MissingTopics(MevstreamError):
    """The cluster answers, but does not have what the chain needs."""


class TopicPartitions:
    """Partitions of the topics that a worker reads and writes; call it with a topic's name."""

    def __init__(self, servers: str, topics: Iterable[str]) -> None:
        self._servers = servers
        # One client for all times: to make or end one holds up the whole process, by a minute if
        # the wall clock jumps back meanwhile.
        self._cluster = Cluster(servers)
        self._topics = sorted(set(topics))
        self._counts: dict[str, int] = {}

    def refresh(self) -> None:
        """Asks the cluster. Raises MevstreamError if it does not answer, MissingTopics if it lacks
        one."""
        counts = self._cluster.partitions()
        missing = [topic for topic in self._topics if topic not in counts]
        if missing:
            raise MissingTopics(
                f"Kafka at {self._servers} has no topic {', '.join(missing)}: "
                "`mevstream topics create` makes them"
            )
        self._counts = counts

    def __call__(self, topic: str) -> int:
        return self._counts[topic]
