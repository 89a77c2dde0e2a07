"""What comes out, seen as it comes: records in the topics, slots in the warm store, commits."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from faults.cluster import Cluster
from mevstream.codecs.headers import Header, read_headers, unpack_record
from mevstream.errors import InputError
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import CHAIN, DEAD_LETTER, MESSAGES, SLOTS

Part = tuple[str, int, int, int]
"""Topic, slot, seq, market partition."""


class Watch(ABC):
    """A thread that looks at something until it is closed."""

    def __init__(self) -> None:
        self._closing = threading.Event()
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Raises what ended the thread before its time, if anything did."""
        self._closing.set()
        self._thread.join()
        if self._broken is not None:
            raise self._broken

    def _run(self) -> None:
        try:
            self.look()
        except BaseException as error:
            self._broken = error

    @abstractmethod
    def look(self) -> None: ...


@dataclass(slots=True)
class Copies:
    """A record that was in its topic before, and when this one was seen."""

    part: Part
    at: float


class TopicWatch(Watch):
    """Every record of the chain's outputs, as a reader of committed records gets them.

    Times are monotonic seconds. parts: when each was seen first. copies: those that came again.
    statuses: mev.slots by key, the newest. reports: gap reports. letters: dead letters.
    """

    def __init__(self, servers: str, partitions: int) -> None:
        super().__init__()
        self.parts: dict[Part, float] = {}
        self.copies: list[Copies] = []
        self.statuses: dict[bytes, SlotStatus] = {}
        self.status_copies = 0
        self.reports: list[SlotStatus] = []
        self.letters: list[DeadLetter] = []
        self.strange: list[str] = []
        self._split = [link.outputs[0] for link in CHAIN]
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "faults-watch",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        places = [(topic, number) for topic in self._split for number in range(partitions)]
        metadata = self._consumer.list_topics(timeout=10).topics
        for topic in (SLOTS, DEAD_LETTER):
            places += [(topic, number) for number in metadata[topic].partitions]
        self._consumer.assign(
            [TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in places]
        )

    def look(self) -> None:
        while not self._closing.is_set():
            for message in self._consumer.consume(1000, 0.05):
                if message.error() is None:
                    self._take(message, time.monotonic())
        self._consumer.close()

    def _take(self, message: Message, now: float) -> None:
        topic, value = message.topic() or "", message.value() or b""
        # The client's own type allows what only a producer may give.
        listed = cast("list[Header] | None", message.headers())
        try:
            if topic in self._split:
                headers = read_headers(listed)
                if headers.slot is None or headers.seq is None:
                    raise InputError("no slot or seq in the headers")
                part = (topic, headers.slot, headers.seq, message.partition() or 0)
                if part in self.parts:
                    self.copies.append(Copies(part, now))
                else:
                    self.parts[part] = now
                return
            data, _ = unpack_record(value, listed, schema=MESSAGES[topic])
        except InputError as error:
            self.strange.append(f"{topic}/{message.partition()}/{message.offset()}: {error}")
            return
        if topic == DEAD_LETTER:
            self.letters.append(DeadLetter.FromString(data))
            return
        status = SlotStatus.FromString(data)
        if status.reporter:
            self.reports.append(status)
        else:
            key = message.key() or b""
            self.status_copies += key in self.statuses
            self.statuses[key] = status


class StoredWatch(Watch):
    """When each slot was complete in the warm store (its commit mark says so)."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.complete: dict[int, float] = {}
        self._cluster = cluster

    def look(self) -> None:
        while not self._closing.wait(0.5):
            try:
                rows = self._cluster.clickhouse(
                    "SELECT slot FROM slots FINAL WHERE batches = batches_total AND batches > 0"
                    f" AND slot > {max(self.complete, default=0) - 400}",
                    seconds=5,
                )
            except Exception:  # noqa: S112
                # The store is away, or full, or has no tables yet; that is what is being tested.
                continue
            now = time.monotonic()
            for (slot,) in rows:
                self.complete.setdefault(slot, now)


@dataclass(slots=True)
class _Progress:
    committed: int = 0
    changes: list[float] = field(default_factory=list[float])


class CommitWatch(Watch):
    """When the committed offsets of consumer groups moved.

    Asked by consumers that never join: an admin client's questions can end the whole process
    where the broker goes away between question and answer (librdkafka 2.16).
    """

    def __init__(self, servers: str, groups: Iterable[str]) -> None:
        super().__init__()
        self._servers = servers
        self.groups = {group: _Progress() for group in groups}
        self._consumers = {
            group: Consumer(
                {
                    "bootstrap.servers": servers,
                    "group.id": group,
                    "enable.auto.commit": False,
                    "log_level": 0,
                }
            )
            for group in self.groups
        }
        self._asking = threading.Lock()

    def look(self) -> None:
        while not self._closing.wait(0.5):
            for group, progress in self.groups.items():
                committed = self._committed(group)
                total = sum(one.offset for one in committed)
                if committed and total != progress.committed:
                    progress.committed = total
                    progress.changes.append(time.monotonic())
        for consumer in self._consumers.values():
            consumer.close()

    def _committed(self, group: str) -> list[TopicPartition]:
        """Where the group has committed anything; nothing while the broker is away."""
        consumer = self._consumers[group]
        with self._asking:
            try:
                known = consumer.list_topics(timeout=3).topics
                asked = [
                    TopicPartition(name, number)
                    for name, topic in known.items()
                    if name.startswith("mev.")
                    for number in topic.partitions
                ]
                found = consumer.committed(asked, timeout=3)
            except KafkaException:
                return []
        return [one for one in found if one.offset >= 0]

    def records(self, group: str, topic: str) -> int:
        """How many records of a topic the group has committed; those of its partitions together."""
        return sum(one.offset for one in self._committed(group) if one.topic == topic)

    def settled(self, group: str) -> bool:
        """Whether the group has committed every record that there is in its partitions."""
        lag = self.lag(group)
        # The marks that end transactions have offsets, too, and nobody is given them.
        return lag == 0 or (lag > 0 and not self._has_records(self._committed(group)))

    def _has_records(self, places: list[TopicPartition]) -> bool:
        """Whether a reader of committed records finds any from these offsets on."""
        reader = Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": "faults-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )
        try:
            reader.assign(places)
            ended: set[tuple[str | None, int | None]] = set()
            until = time.monotonic() + 10
            while len(ended) < len(places) and time.monotonic() < until:
                if (message := reader.poll(0.5)) is None:
                    continue
                error = message.error()
                if error is None:
                    return True
                if error.code() == KafkaError._PARTITION_EOF:
                    ended.add((message.topic(), message.partition()))
            return len(ended) < len(places)
        finally:
            reader.close()

    def lag(self, group: str) -> int:
        """Offsets of the group's partitions that it has not committed; -1 while nobody tells."""
        committed = self._committed(group)
        try:
            with self._asking:
                ends = [
                    self._consumers[group].get_watermark_offsets(one, timeout=3)[1]
                    for one in committed
                ]
        except KafkaException:
            return -1
        if not committed:
            return -1
        return sum(end - one.offset for end, one in zip(ends, committed, strict=True))

    def longest_pause(self, group: str, since: float, until: float) -> float:
        """The longest time between two commits that overlaps with the span, in seconds."""
        changes: Sequence[float] = self.groups[group].changes
        return max((b - a for a, b in pairwise(changes) if b >= since and a <= until), default=0.0)
