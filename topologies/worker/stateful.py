"""Records of stateful links on their way through a worker: into lanes, with snapshots."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from mevstream.errors import MevstreamError
from mevstream.topologies.chain import RAW, Link
from mevstream.topologies.observe import metrics
from mevstream.topologies.observe.logging import get_logger
from mevstream.topologies.worker.checkpoints import Snapshot, read_snapshot
from mevstream.topologies.worker.lanes import Lane, OrderBounds, Part, lane_name
from mevstream.topologies.worker.output import Output
from mevstream.topologies.worker.progress import ReadingClock, Track
from mevstream.topologies.worker.records import (
    Incoming,
    Message,
    Partitions,
    StatelessStep,
    read_message,
    reject,
)
from mevstream.topologies.worker.sends import Sends
from mevstream.topologies.worker.stateless import count_record

log = get_logger(__name__)

_SAVE_SECONDS = 4.0
_WATERMARK_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
    """checkpoint_seconds: from one snapshot of a lane to the next. exact: delivery is exactly
    once."""

    servers: str
    group: str
    checkpoint_seconds: float
    bounds: OrderBounds
    exact: bool = False


class LanesProcessor:
    """`links` follow one another, and the first of them reads a topic that is split by market: each
    of its partitions is a lane. An offset may be committed when a snapshot covers it."""

    def __init__(
        self,
        links: Sequence[Link],
        output: Output,
        partitions: Partitions,
        settings: StateSettings,
        clock: ReadingClock,
    ) -> None:
        self._clock = clock
        self._links = links
        self._partitions = partitions
        self._settings = settings
        self._sends = Sends(output)
        self._meter = metrics.METRICS.stage(links[0].name)
        self._topic = links[0].input
        self._lanes: dict[int, Lane] = {}
        self._tracks: Mapping[int, Track] = {}
        self._due: dict[int, float] = {}
        self._saving: set[asyncio.Task[None]] = set()

    async def assigned(
        self, tracks: Mapping[int, Track], committed: Mapping[int, int | None]
    ) -> Mapping[int, int]:
        self._tracks = tracks
        await self._open_lanes(sorted(tracks))
        return await self._starts(committed)

    async def revoked(self) -> None:
        try:
            saving = asyncio.gather(*(lane.save() for lane in self._lanes.values()))
            await asyncio.wait_for(saving, _SAVE_SECONDS)
        except TimeoutError:
            log.warning("snapshots not delivered in time", group=self._settings.group)
        self._commit()
        self._lanes = {}

    async def tick(self) -> None:
        now = time.monotonic()
        for number, lane in self._lanes.items():
            await lane.tick()
            if now >= self._due[number]:
                self._due[number] = now + self._settings.checkpoint_seconds
                task = asyncio.create_task(self._save(lane))
                self._saving.add(task)
                task.add_done_callback(self._saved)

    async def take(
        self, record: Incoming, track: Track, generation: int, leave: Callable[[], None]
    ) -> None:
        lane = self._lanes[record.partition]
        try:
            message = read_message(record, self._partitions)
        except Exception as error:
            letter = reject(record, self._links[0].name, error, self._partitions)
            await lane.refuse(record.partition, record.offset, letter)
        else:
            await lane.add(Part(record, message, record.partition, record.offset))
        self._sends.after(self._sends.count, leave)

    # -- state ------------------------------------------------------------------------------------

    async def _open_lanes(self, numbers: Sequence[int]) -> None:
        settings = self._settings
        name = lane_name(self._links)
        snapshots = await asyncio.gather(
            *(
                asyncio.to_thread(read_snapshot, settings.servers, name, number)
                for number in numbers
            )
        )
        now = time.monotonic()
        for position, (number, snapshot) in enumerate(zip(numbers, snapshots, strict=True)):
            self._lanes[number] = self._open_lane(number, snapshot)
            # One after the other: a snapshot takes time in which no record is processed.
            share = (position + 1) / len(numbers)
            self._due[number] = now + settings.checkpoint_seconds * share

    def _open_lane(self, number: int, snapshot: Snapshot | None) -> Lane:
        lane = Lane(
            self._links,
            number,
            group=self._settings.group,
            sends=self._sends,
            partitions=self._partitions,
            origins=self._partitions(RAW),
            bounds=self._settings.bounds,
            clock=self._clock,
            exact=self._settings.exact,
        )
        if snapshot is not None:
            lane.restore(snapshot)
            log.info("state restored", stage=lane.name, partition=number, number=snapshot.number)
        return lane

    async def _starts(self, committed: Mapping[int, int | None]) -> Mapping[int, int]:
        """Where to read on: what is committed may be ahead of the newest whole snapshot."""
        starts: dict[int, int] = {}
        for number, offset in committed.items():
            safe = self._safe(number)
            if safe is not None:
                starts[number] = safe
            elif offset is not None and not all(lane.restored for lane in self._lanes_of(number)):
                log.warning("state lost, reading again from the beginning", partition=number)
                starts[number] = await asyncio.to_thread(self._beginning, number)
        return starts

    def _beginning(self, partition: int) -> int:
        reader = Consumer(
            {
                "bootstrap.servers": self._settings.servers,
                "group.id": self._settings.group,
                "log_level": 0,
            }
        )
        try:
            place = TopicPartition(self._topic, partition)
            return reader.get_watermark_offsets(place, _WATERMARK_SECONDS)[0]
        finally:
            reader.close()

    def _lanes_of(self, partition: int) -> list[Lane]:
        """The lanes that records of a partition of the input go to."""
        return [self._lanes[partition]]

    def _safe(self, partition: int) -> int | None:
        """From where a partition of the input would have to be read again."""
        offsets = [lane.safe.get(partition) for lane in self._lanes_of(partition)]
        known = [offset for offset in offsets if offset is not None]
        return min(known) if known and len(known) == len(offsets) else None

    async def _save(self, lane: Lane) -> None:
        await lane.save()
        self._commit()

    def _commit(self) -> None:
        if not self._lanes:
            return
        for number, track in self._tracks.items():
            if (offset := self._safe(number)) is not None:
                track.position = offset

    def _saved(self, task: asyncio.Task[None]) -> None:
        self._saving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("snapshot failed", group=self._settings.group, error=repr(error))


class FusedProcessor(LanesProcessor):
    """`head` splits by market what the lanes of `links` take over at once, in the same process.

    All partitions of the input have to come here, because every lane needs them all. What the head
    makes is published, too, but nothing waits for it.
    """

    def __init__(
        self,
        head: Link,
        links: Sequence[Link],
        output: Output,
        partitions: Partitions,
        settings: StateSettings,
        clock: ReadingClock,
    ) -> None:
        super().__init__(links, output, partitions, settings, clock)
        self._topic = head.input
        self._between = links[0].input
        self._head = StatelessStep(head, partitions)
        self._head_meter = metrics.METRICS.stage(head.name)

    async def assigned(
        self, tracks: Mapping[int, Track], committed: Mapping[int, int | None]
    ) -> Mapping[int, int]:
        there = self._partitions(self._topic)
        if tracks and len(tracks) < there:
            raise MevstreamError(
                f"a fused worker needs all {there} partitions of {self._topic}, and another one "
                f"has some of them: there can be one"
            )
        self._tracks = tracks
        if tracks:
            await self._open_lanes(range(self._partitions(self._between)))
        return await self._starts(committed)

    async def take(
        self, record: Incoming, track: Track, generation: int, leave: Callable[[], None]
    ) -> None:
        result = self._head(record)
        parts: dict[int, Part] = {}
        for placed, outgoing in zip(result.placed, result.records, strict=False):
            if placed.topic == self._between:
                sent = Incoming(
                    placed.topic,
                    placed.partition,
                    -1,
                    None,
                    outgoing.value,
                    outgoing.headers,
                    record.timestamp_ns,
                )
                message = Message(placed.message.value, placed.message.headers)
                parts[placed.partition] = Part(sent, message, record.partition, record.offset)
        await self._sends.send(result.records)
        for number, lane in self._lanes.items():
            part = parts.get(number)
            if part is None:
                await lane.skip(record.partition, record.offset)
            else:
                await lane.add(part)

        def done() -> None:
            leave()
            count_record(self._head_meter, record, result)

        self._sends.after(self._sends.count, done)

    def _lanes_of(self, partition: int) -> list[Lane]:
        return list(self._lanes.values())
