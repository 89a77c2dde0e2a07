"""Market partitions of stateful links: put in order, staged one after another, and kept safe.

A lane is one market partition with its state. What it sends is a function of the batches it is
given, so what a crash repeats is the same records again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from mevstream.errors import InputError
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import DEAD_LETTER, MESSAGES, SLOTS, Link, Record, StatefulStage
from mevstream.topologies.observe import metrics
from mevstream.topologies.observe.logging import get_logger
from mevstream.topologies.order import Arrival, Duplicate, Event, Gap, Late, Released, SlotOrder
from mevstream.topologies.worker.checkpoints import Sent, Snapshot, write_sent, write_snapshot
from mevstream.topologies.worker.output import Position
from mevstream.topologies.worker.progress import ReadingClock, Track
from mevstream.topologies.worker.records import (
    Incoming,
    Message,
    Outgoing,
    Partitions,
    Placed,
    pack,
    place,
    reject,
    traced,
)
from mevstream.topologies.worker.sends import Sends

log = get_logger(__name__)

_MOST_MISSING = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBounds:
    """How long a batch waits for those before it, by the clock of what is read, and how many bytes
    wait at most, a lane."""

    idle_seconds: float
    wait_seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Part:
    """A batch for one lane.

    record: the batch as a record of the lane's input, for its dead letter. partition, offset:
    those of the record that the group read, from which it would have to be read again.
    """

    record: Incoming
    message: Message
    partition: int
    offset: int


class Lane:
    """One market partition of `links`, which follow one another; the first one's input comes in.

    `name` is what its snapshots are called, `group` the consumer group whose offsets they have.

    exact: with an output of transactions, what a crash repeats is computed again, and not sent
    again. The batches come in the same order again, so a number tells which they are: that of the
    last one sent is in the transaction that sent it (`Sent`). Where a bound, not the batches
    alone, made the order, a snapshot is in that transaction, too: nothing before it is repeated.
    """

    def __init__(
        self,
        links: Sequence[Link],
        number: int,
        *,
        group: str,
        sends: Sends,
        partitions: Partitions,
        origins: int,
        bounds: OrderBounds,
        clock: ReadingClock,
        exact: bool = False,
    ) -> None:
        self.name = lane_name(links)
        self.number = number
        self.safe: dict[int, int] = {}
        """Partition of the group's input → offset to read on from, of the newest safe snapshot."""
        self.restored = False
        self._links = links
        self._group = group
        self._sends = sends
        self._partitions = partitions
        self._order = SlotOrder[Part](
            origins,
            idle_seconds=bounds.idle_seconds,
            wait_seconds=bounds.wait_seconds,
            max_bytes=bounds.bytes,
        )
        self._stages = [link.open_stage() for link in links]
        self._read_envelope = envelope_reader(links[0].input)
        self._meter = metrics.METRICS.stage(links[0].name)
        self._clock = clock
        self._chain = ""
        self._number = 0
        # What was released, per partition of the input, and what the newest snapshot says of it.
        self._tracks: dict[int, Track] = {}
        self._taken: dict[int, int] = {}
        self._exact = exact
        self._sent = Sent()  # when the lane began
        self._released = 0
        self._forced = 0
        self._has_sent = False
        self._next = 0  # offset behind the last record that came
        self._reports: list[Outgoing] = []  # of gaps before the next batch
        self._batches = asyncio.Lock()
        self._saving = asyncio.Lock()

    # -- batches ----------------------------------------------------------------------------------

    async def add(self, part: Part) -> None:
        """Takes a batch; those of one partition of the group's input come with rising offsets."""
        async with self._batches:
            self._next = part.offset + 1
            self._track(part.partition).begin(part.offset)
            try:
                arrival = self._arrival(part)
            except InputError as error:
                await self._reject(part, error)
            else:
                await self._handle(self._order.add(arrival, self._clock.now))
            await self._keep()

    async def skip(self, partition: int, offset: int) -> None:
        """There is nothing for this lane in a record of the group's input."""
        async with self._batches:
            self._skip(partition, offset)

    async def refuse(self, partition: int, offset: int, letter: Outgoing) -> None:
        """Takes the dead letter of a record that cannot be read."""
        async with self._batches:
            self._skip(partition, offset)
            self._meter.dead_letters += 1
            await self._send_letter(offset, letter)
            await self._keep()

    def _skip(self, partition: int, offset: int) -> None:
        self._next = offset + 1
        track = self._track(partition)
        track.begin(offset)
        track.done(offset)

    async def tick(self) -> None:
        """To be called about every second while records are read."""
        async with self._batches:
            await self._handle(self._order.tick(self._clock.now))
            await self._keep()

    @property
    def held(self) -> tuple[int, int]:
        """Batches that wait for their turn, and their bytes."""
        return self._order.held, self._order.held_bytes

    def _track(self, partition: int) -> Track:
        track = self._tracks.get(partition)
        if track is None:
            track = self._tracks[partition] = Track(self._links[0].input, partition)
        return track

    def _arrival(self, part: Part) -> Arrival[Part]:
        origin = part.message.headers.origin
        if origin is None:
            raise InputError("record header mev.origin is missing")
        envelope = self._read_envelope(part.message.value)
        self._chain = envelope.chain
        return Arrival(
            slot=envelope.slot,
            seq=envelope.seq,
            last=envelope.last,
            parent_slot=envelope.parent_slot,
            blockhash=envelope.blockhash,
            origin=origin,
            offset=part.offset,
            size=len(part.message.value) + part.record.size,
            payload=part,
        )

    async def _handle(self, events: Sequence[Event[Part]]) -> None:
        for event in events:
            if isinstance(event, Released):
                await self._release(event.arrival.payload)
            elif isinstance(event, Late):
                self._meter.late += 1
                await self._reject(event.arrival.payload, InputError(event.reason))
            elif isinstance(event, Duplicate):
                self._meter.duplicates += 1
                self._through(event.arrival.payload)
            else:
                self._report(event)
        self._meter.buffer_records, self._meter.buffer_bytes = self.held

    async def _release(self, part: Part) -> None:
        self._released += 1
        try:
            records = pack(self._run(part))
        except Exception as error:
            if not isinstance(error, InputError):
                log.exception("stage failed", stage=self.name, partition=self.number)
            self._meter.dead_letters += 1
            self._through(part)
            await self._publish([reject(part.record, self.name, error, self._partitions)])
            return
        for link, topics in ((link, link.outputs) for link in self._links):
            meter = metrics.METRICS.stage(link.name)
            for record in records:
                if record.topic in topics and record.topic != DEAD_LETTER:
                    meter.sent(record.topic, len(record.value))
        headers = part.message.headers
        self._meter.partition(self._links[0].input, self.number).handled(
            part.record.offset,
            part.record.size,
            0,
            part.record.timestamp_ns,
            headers.first_seen_ns,
            headers.slot,
        )
        self._through(part)
        await self._publish(records)

    async def _publish(self, records: Sequence[Outgoing]) -> None:
        """Sends what follows from a batch that was released, unless that was done."""
        reports, self._reports = self._reports, []
        if self._released > self._sent.batches:
            await self._send([*reports, *records])

    async def _send_letter(self, offset: int, letter: Outgoing) -> None:
        """Sends the dead letter of the record at `offset`, unless that was done. (One that had to
        wait for its turn is sent when it has it, whatever came meanwhile.)"""
        if offset >= self._sent.offset or offset + 1 != self._next:
            await self._send([letter])

    async def _send(self, records: Sequence[Outgoing]) -> None:
        if not self._exact:
            await self._sends.send(records)
            return
        sent = Sent(max(self._released, self._sent.batches), max(self._next, self._sent.offset))
        self._has_sent = True
        mark = write_sent(self.name, self.number, sent)
        await self._sends.send(records, self._position(self.safe), mark)

    def _position(self, safe: Mapping[int, int]) -> Position | None:
        """What the group commits with what is sent: no transaction is without it, because it is
        what the group refuses of a member that has lost the partition."""
        if not self._exact:
            return None
        return Position(self._links[0].input, self.number, safe.get(self.number, 0))

    def _run(self, part: Part) -> list[Placed]:
        """What all stages make of a batch. What one stage gives the next one is published, too."""
        headers = part.message.headers
        values = {self._links[0].input: [part.message.value]}
        placed: list[Placed] = []
        for link, stage in zip(self._links, self._stages, strict=True):
            began_ns = time.time_ns()
            results = [result for value in values.get(link.input, ()) for result in stage(value)]
            headers = traced(link.name, part.record, headers, began_ns)
            placed += place(results, part.record, headers, self._partitions)
            for result in results:
                values.setdefault(result.topic, []).append(result.value)
        return placed

    async def _reject(self, part: Part, error: Exception) -> None:
        self._meter.dead_letters += 1
        self._through(part)
        letter = reject(part.record, self.name, error, self._partitions)
        await self._send_letter(part.offset, letter)

    def _report(self, gap: Gap) -> None:
        """Tells mev.slots, with the next batch, what was waited for in vain."""
        self._meter.gaps += 1
        end = gap.first if gap.end is None else min(gap.end, gap.first + _MOST_MISSING)
        status = SlotStatus(
            chain=self._chain,
            slot=gap.slot,
            blockhash=gap.blockhash,
            missing=range(gap.first, end),
            missing_from=gap.first if gap.end is None else None,
            reporter=f"{self.name}/{self.number}",
        )
        log.warning(
            "gap",
            stage=self.name,
            partition=self.number,
            slot=gap.slot,
            first=gap.first,
            end=gap.end,
        )
        source = Incoming(self._links[0].input, self.number, -1, None, None, ())
        record = Record(SLOTS, status.SerializeToString())
        self._reports += pack(place([record], source, None, self._partitions))

    def _through(self, part: Part) -> None:
        self._tracks[part.partition].done(part.offset)

    # -- state ------------------------------------------------------------------------------------

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on from a snapshot. Raises InputError for one of other stages, or of a version that
        they do not know."""
        stages = self._stateful()
        if len(snapshot.stages) != len(stages):
            raise InputError(f"{self.name}: a snapshot of {len(snapshot.stages)} stages")
        self._order.restore(snapshot.order, None)
        for stage, state in zip(stages, snapshot.stages, strict=True):
            stage.restore(state)
        self._number = snapshot.number
        self._released = self._order.released
        self._sent = snapshot.sent if self._exact else Sent()
        self.restored = True
        if snapshot.group == self._group:
            self.safe = dict(snapshot.offsets)

    def _stateful(self) -> list[StatefulStage]:
        pairs = zip(self._links, self._stages, strict=True)
        return [cast(StatefulStage, stage) for link, stage in pairs if link.stateful]

    async def save(self) -> None:
        """Takes a snapshot and returns when it is safe; does nothing if nothing has come since the
        last one."""
        async with self._saving:
            async with self._batches:
                snapshot = self._snapshot()
                before = self._sends.count
            if snapshot is None:
                return
            parts, manifest = await asyncio.to_thread(
                write_snapshot, self.name, self.number, snapshot
            )
            # Whoever restores this snapshot will not send again what came before it.
            await self._sends.wait(before)
            await self._sends.wait(await self._sends.send(parts, self._position(self.safe)))
            position = self._position(snapshot.offsets)
            await self._sends.wait(await self._sends.send([manifest], position))
            self._saved(snapshot)

    async def _keep(self) -> None:
        """Where what was sent just now would not be the same again, and where there is nothing to
        begin with yet, sends a snapshot in the same transaction."""
        first = not self._number and self._has_sent
        if not self._exact or not (first or self._order.forced > self._forced):
            return
        self._forced = self._order.forced
        if (snapshot := self._snapshot()) is not None:
            parts, manifest = write_snapshot(self.name, self.number, snapshot)
            position = self._position(snapshot.offsets)
            count = await self._sends.send([*parts, manifest], position)
            self._sends.after(count, lambda: self._saved(snapshot))

    def _snapshot(self) -> Snapshot | None:
        """The state of now, None if nothing has come since the last one."""
        offsets = {
            number: track.position
            for number, track in self._tracks.items()
            if track.position is not None
        }
        if offsets == self._taken:
            return None
        self._number += 1
        self._taken = offsets
        return Snapshot(
            number=self._number,
            group=self._group,
            offsets=self.safe | offsets,
            order=self._order.snapshot(),
            stages=[stage.snapshot() for stage in self._stateful()],
        )

    def _saved(self, snapshot: Snapshot) -> None:
        """The snapshot is safe."""
        for number, offset in snapshot.offsets.items():
            self.safe[number] = max(offset, self.safe.get(number, 0))
        meter = self._meter.partition(self._links[0].input, self.number)
        meter.checkpointed(sum(map(len, snapshot.stages)) + len(snapshot.order))


def lane_name(links: Sequence[Link]) -> str:
    """What the snapshots of a lane of these links are called."""
    return "+".join(link.name for link in links)


class _Envelope(Protocol):
    slot: int
    seq: int
    last: bool
    parent_slot: int
    blockhash: bytes
    chain: str


def envelope_reader(topic: str) -> Callable[[bytes], _Envelope]:
    """What reads the fields that all batches of the chain have from a message of `topic`. Raises
    InputError for bytes that are none."""
    name = MESSAGES[topic]
    message_class = message_factory.GetMessageClass(
        descriptor_pool.Default().FindMessageTypeByName(name)
    )

    def read(value: bytes) -> _Envelope:
        try:
            return cast(_Envelope, message_class.FromString(value))
        except DecodeError as error:
            raise InputError(f"{name}: {error}") from None

    return read
