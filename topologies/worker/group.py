"""One consumer group of the chain: takes records within bounds, commits what is safe."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mevstream.topologies.observe import health, metrics
from mevstream.topologies.observe.logging import get_logger
from mevstream.topologies.worker.application import Application
from mevstream.topologies.worker.output import Output
from mevstream.topologies.worker.progress import ReadingClock, Room, Track
from mevstream.topologies.worker.records import Incoming

log = get_logger(__name__)

_COMMIT_SECONDS = 0.5
_DRAIN_SECONDS = 2.0
_CLOSE_SECONDS = 1.0
_END_SECONDS = 6.0
_STUCK_SECONDS = 60.0


class Processor(Protocol):
    """What a group does with its records. Everything is called on the group's event loop."""

    async def assigned(
        self, tracks: Mapping[int, Track], committed: Mapping[int, int | None]
    ) -> Mapping[int, int]:
        """These partitions are this member's until `revoked`; records come after this returned.
        `committed` are the group's offsets, None where there is none yet. Returns those from which
        to read instead."""
        ...

    async def tick(self) -> None:
        """Called about twice a second while the group runs."""
        ...

    async def revoked(self) -> None:
        """No more records come. Brings what it can to where it may be committed."""
        ...

    async def take(
        self, record: Incoming, track: Track, generation: int, leave: Callable[[], None]
    ) -> None:
        """Takes a record; those of a partition come in order. Calls `leave` when the record is
        not in hand any more, and moves `track` when an offset may be committed. Never raises for
        a bad record."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of its input a group has in hand at most."""

    records: int = 32
    bytes: int = 32 << 20


class Group:
    """Reads `topic` as consumer group `name`, passes each record to `processor`, and commits what
    that says may be committed, unless `output` does. Keeps `clock` going."""

    def __init__(
        self,
        name: str,
        topic: str,
        *,
        stage: str,
        servers: str,
        processor: Processor,
        output: Output,
        limits: Limits,
        clock: ReadingClock,
    ) -> None:
        self.name = name
        self._processor = processor
        self._output = output
        self._meter = metrics.METRICS.stage(stage)
        self._heartbeat = health.Heartbeat(_STUCK_SECONDS)
        self._clock = clock
        self._room = Room(records=limits.records, bytes=limits.bytes)
        self._tracks: dict[int, Track] = {}
        # By partition, since it was assigned: the offset it began at, and the next one.
        self._taken: dict[int, range] = {}
        self._open = False
        self._committing = asyncio.Lock()
        self._application = Application(
            name,
            topic,
            servers=servers,
            take=self._take,
            assigned=self._assigned,
            revoked=self._revoked,
        )

    async def run(self) -> None:
        """Runs until it is cancelled; call `stop` then. Raises MevstreamError if it cannot start,
        or crashes."""
        health.live(self.name, self._heartbeat)
        health.ready(self.name, lambda: None if self._open else "no partitions assigned")
        await self._application.start()
        committing: asyncio.Task[None] | None = None
        while True:
            await asyncio.sleep(_COMMIT_SECONDS)
            self._application.check()
            self._heartbeat.beat()
            self._tell_ends()
            if self._open:
                self._look()
                await self._processor.tick()
            if committing is None or committing.done():
                if committing is not None:
                    committing.result()
                # It waits for a broker that is away. Nothing else has to.
                committing = asyncio.create_task(self._commit())

    async def stop(self) -> None:
        """Takes nothing more, waits for what is under way, commits and leaves the group. What
        cannot be committed within some seconds will be read again."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._drain()
                await self._output.close(_CLOSE_SECONDS)
        except TimeoutError:
            log.error("not everything committed at the end", group=self.name)
        await self._application.stop()
        health.remove(self.name)

    async def _take(self, record: Incoming, generation: int) -> None:
        await self._room.enter(record.size)
        self._meter.in_flight = self._room.records
        track = self._tracks.get(record.partition)
        stale = not self._open or generation != self._application.generation
        # Fetched before the partitions moved: whoever has this one now reads it again. Or fetched
        # twice while they moved.
        if stale or track is None or record.offset in self._taken[record.partition]:
            self._leave(record.size)
            return
        self._taken[record.partition] = range(
            self._taken[record.partition].start, record.offset + 1
        )
        await self._processor.take(record, track, generation, lambda: self._leave(record.size))

    def _leave(self, size: int) -> None:
        self._room.leave(size)
        self._meter.in_flight = self._room.records

    async def _commit(self) -> None:
        async with self._committing:
            safe = {
                partition: track.position
                for partition, track in self._tracks.items()
                if track.position is not None and track.position != track.committed
            }
            if not safe or self._output.commits_offsets:
                return
            # False: the group has moved on, and these records will come again.
            if await self._application.commit(safe):
                for partition, position in safe.items():
                    if track := self._tracks.get(partition):
                        track.committed = position

    def _look(self) -> None:
        # What was read and cannot be taken is not read yet.
        if not self._room.full:
            self._clock.look({number: self._application.reading(number) for number in self._tracks})

    def _tell_ends(self) -> None:
        for partition, track in self._tracks.items():
            if (end := self._application.end(partition)) is not None:
                self._meter.partition(track.topic, partition).end = end

    async def _drain(self) -> None:
        self._open = False
        try:
            await asyncio.wait_for(self._room.empty(), _DRAIN_SECONDS)
        except TimeoutError:
            left = self._room.records
            log.warning("records not delivered in time", group=self.name, records=left)
        if self._tracks:
            await self._processor.revoked()
            await self._output.revoked()
            await self._commit()

    async def _revoked(self) -> None:
        await self._drain()
        for partition, track in self._tracks.items():
            self._meter.partition(track.topic, partition).release()
        self._tracks = {}

    async def _assigned(self, partitions: list[int]) -> Mapping[int, int]:
        topic = self._application.topic
        self._tracks = {partition: Track(topic, partition) for partition in partitions}
        self._output.assigned(self._application.member)
        committed = await self._application.committed(partitions)
        moved = await self._processor.assigned(self._tracks, committed)
        starts = {number: at for number, at in committed.items() if at is not None} | dict(moved)
        if new := set(partitions) - set(starts):
            starts |= await self._application.beginnings(new)
        for number, at in starts.items():
            self._meter.partition(topic, number).position = at
        self._taken = {number: range(at, at) for number, at in starts.items()}
        self._open = True
        log.info("partitions assigned", group=self.name, partitions=partitions)
        return starts
