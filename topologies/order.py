"""Puts the batches of one market partition back into the order of the chain.

Several partitions of mev.raw, parsed by several workers, end up in one market partition. Within
each of them batches come in rising (slot, seq); between them anything may be first. `SlotOrder`
holds what came too early, lets go what is next, and says what never came. It does no I/O and
knows no clock: time is what the caller says it is.

A batch is next where nothing can lie between it and the last one: the following seq of the same
block, or the first of the next slot after one that is finished. Any other waits until every
partition of mev.raw has come that far, the **watermark**: then nothing lower can come. That holds
for a block that names the last slot as its parent, too, if slots were skipped between them: a
block of another fork may still come there. So, as long as no bound strikes, what is released is a
function of the set of batches, however they were mixed and repeated on the way. (But for two
blocks of one slot: the first that is released stays first.)

A source may send batches in another order than theirs. So where something is missing, that it
is missing for good is not believed before the watermark is DISORDER_SLOTS slots further on.
"""

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from mevstream.codecs.headers import Origin
from mevstream.errors import InputError
from mevstream.schemas.order_pb2 import OrderState

DISORDER_SLOTS = 4
"""How far a source may be out of order, a leader's turn: what is missing of a slot is waited for
until every partition of mev.raw is more than so many slots beyond it."""

REMEMBERED_SLOTS = 512
"""Slots whose blocks are told from rivals. An older batch that comes again is a duplicate."""

REMEMBERED_GAPS = 4096
"""Slots whose gaps are told from duplicates."""

_MOST_GAPS_OF_A_SLOT = 64
_MOST_BLOCKS_OF_A_SLOT = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arrival(Generic[T]):
    """A batch as it comes. `offset` is that in the partition that is read, `origin` where it began
    in mev.raw; `size` in bytes is what holding `payload` costs; blockhash b"" is not told, and
    parent_slot 0 neither."""

    slot: int
    seq: int
    last: bool
    parent_slot: int
    blockhash: bytes
    origin: Origin
    offset: int
    size: int
    payload: T


@dataclass(frozen=True, slots=True)
class Released(Generic[T]):
    """The next batch."""

    arrival: Arrival[T]


@dataclass(frozen=True, slots=True)
class Gap:
    """Batches `first` … `end` - 1 of a slot did not come; with `end` None all from `first` on, of
    which nobody knows the number. A block of which nothing came is `first` 0 without an end, and
    its blockhash is not known. Comes before the batch that was released in spite of it."""

    slot: int
    blockhash: bytes
    first: int
    end: int | None

    def covers(self, arrival: Arrival[T]) -> bool:
        return (
            arrival.slot == self.slot
            and _same(arrival.blockhash, self.blockhash)
            and arrival.seq >= self.first
            and (self.end is None or arrival.seq < self.end)
        )


@dataclass(frozen=True, slots=True)
class Late(Generic[T]):
    """A batch that was not processed and no longer can be, because later ones were: its gap was
    given up, or its slot passed over."""

    arrival: Arrival[T]
    reason: str


@dataclass(frozen=True, slots=True)
class Duplicate(Generic[T]):
    """A batch that was released before or is being held."""

    arrival: Arrival[T]


Event = Released[T] | Gap | Late[T] | Duplicate[T]


class Position(NamedTuple):
    """The last batch that was released in order of slots."""

    slot: int
    seq: int
    last: bool
    blockhash: bytes


_Key = tuple[int, int, bytes]  # slot, seq, blockhash
_Turn = tuple[int, int, int, int, bytes]  # slot, seq, offset and partition in mev.raw, blockhash


@dataclass(slots=True)
class _Held(Generic[T]):
    arrival: Arrival[T]
    since: float


@dataclass(slots=True)
class _Block:
    """A block that was begun. The batches below `next` are through; a rival may go on."""

    blockhash: bytes
    next: int
    rival: bool = False
    waiting: dict[int, _Key] = field(default_factory=dict[int, _Key])


class SlotOrder(Generic[T]):
    """The order of one market partition.

    origins: partitions of mev.raw; an origin that tells of more raises it.
    idle_seconds: when nothing at all came for so long, all that is held is released.
    wait_seconds: the longest that one batch is held while others come.
    max_bytes: the most that is held; beyond it the lowest are released.

    What a bound releases may leave gaps that a slow worker would have filled; those batches are
    `Late` when they come. So the bounds should be longer than a worker takes to be replaced.
    """

    def __init__(
        self,
        origins: int,
        *,
        idle_seconds: float = 5.0,
        wait_seconds: float = 30.0,
        max_bytes: int = 64 << 20,
    ) -> None:
        self._origins = origins
        self._idle = idle_seconds
        self._wait = wait_seconds
        self._max_bytes = max_bytes
        self.position: Position | None = None
        self.released = 0
        """Batches released since the state began: their number in the stream of this partition."""
        self.forced = 0
        """How often a bound released something: which batch it was, another time it may not be."""
        self.held_bytes = 0
        self._first_slot = 0
        # The highest (slot, seq) seen of each origin. Not part of the snapshot: what was held
        # then is read again, and until it was nothing may pass it.
        self._highs: dict[int, tuple[int, int]] = {}
        self._watermark: tuple[int, int] | None = None
        self._held: dict[_Key, _Held[T]] = {}  # in order of arrival
        self._ahead: list[_Turn] = []  # heap of what is above the position
        # Heap of what is above the position, too, but came after higher ones of its origin: a
        # second block of a slot, most likely. It waits for the first, which may still be under
        # way: of it alone the watermark tells when it is complete.
        self._strays: list[_Turn] = []
        self._blocks: OrderedDict[int, list[_Block]] = OrderedDict()
        self._gaps: OrderedDict[int, list[Gap]] = OrderedDict()
        self._forgotten_slot = -1  # the highest that `_blocks` no longer has
        self._next_offset: int | None = None
        self._arrived = 0.0

    def add(self, arrival: Arrival[T], now: float) -> list[Event[T]]:
        """Takes a batch that came at `now` (seconds, of any clock that does not go back); returns
        what follows from it, in order."""
        self._next_offset = max(self._next_offset or 0, arrival.offset + 1)
        self._arrived = now
        stray = self._see(arrival)
        events: list[Event[T]] = []
        if _key(arrival) in self._held:
            events.append(Duplicate(arrival))
        elif self._is_past(arrival):
            self._take_past(_Held(arrival, now), events)
        else:
            self._hold(_Held(arrival, now))
            origin = arrival.origin
            # Of two blocks of one slot the one that the source sent first, as far as can be told.
            order = (arrival.slot, arrival.seq, origin.offset, origin.partition)
            heap = self._strays if stray else self._ahead
            heapq.heappush(heap, (*order, arrival.blockhash))
        self._drain(events)
        while self.held_bytes > self._max_bytes and self._held:
            self._give_way(events)
        return events

    def tick(self, now: float) -> list[Event[T]]:
        """What the passing of time releases. To be called about every second while batches are
        being read: time in which nobody reads them is no idle time."""
        events: list[Event[T]] = []
        idle = now - self._arrived >= self._idle
        while self._held and (idle or now - self._oldest().since >= self._wait):
            self._give_way(events)
        return events

    @property
    def low_offset(self) -> int | None:
        """The lowest offset that was not released, of those that came; the one behind them all if
        nothing is held, None before the first. From there a reader has to go on who restores a
        snapshot of now."""
        lowest = min((held.arrival.offset for held in self._held.values()), default=None)
        return self._next_offset if lowest is None else lowest

    @property
    def held(self) -> int:
        """Batches that wait for their turn."""
        return len(self._held)

    # -- state -------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Position, gaps and the newest blocks, as a schemas/order.proto message. What is held is
        not in it: it has to be read again, from `low_offset` on."""
        state = OrderState(
            first_slot=self._first_slot,
            end_of_forgotten=self._forgotten_slot + 1,
            released=self.released,
            origins=self._origins,
        )
        if self.position is not None:
            at = self.position
            state.position.slot, state.position.seq = at.slot, at.seq
            state.position.last, state.position.blockhash = at.last, at.blockhash
        for gaps in self._gaps.values():
            for gap in gaps:
                state.gaps.add(slot=gap.slot, blockhash=gap.blockhash, first=gap.first, end=gap.end)
        for slot, blocks in self._blocks.items():
            for block in blocks:
                state.blocks.add(
                    slot=slot, blockhash=block.blockhash, next=block.next, rival=block.rival
                )
        return state.SerializeToString()

    def restore(self, snapshot: bytes, offset: int | None) -> None:
        """Goes on from a snapshot; `offset` is the `low_offset` of that moment. Raises InputError
        for what is no snapshot; then nothing has changed."""
        try:
            state = OrderState.FromString(snapshot)
        except DecodeError as error:
            raise InputError(f"OrderState: {error}") from None
        self.position = None
        if state.HasField("position"):
            at = state.position
            self.position = Position(at.slot, at.seq, at.last, at.blockhash)
        self._first_slot, self.released = state.first_slot, state.released
        self._forgotten_slot = state.end_of_forgotten - 1
        self._origins = max(self._origins, state.origins)
        self._highs.clear()
        self._watermark = None
        self._held.clear()
        self._ahead.clear()
        self._strays.clear()
        self.held_bytes = 0
        self._gaps.clear()
        for gap in state.gaps:
            end = gap.end if gap.HasField("end") else None
            known = Gap(gap.slot, gap.blockhash, gap.first, end)
            self._gaps.setdefault(gap.slot, []).append(known)
        self._blocks.clear()
        for block in state.blocks:
            begun = _Block(block.blockhash, block.next, block.rival)
            self._blocks.setdefault(block.slot, []).append(begun)
        self._next_offset = offset

    # -- what is held ------------------------------------------------------------------------

    def _hold(self, held: _Held[T]) -> None:
        self._held[_key(held.arrival)] = held
        self.held_bytes += held.arrival.size

    def _free(self, key: _Key) -> _Held[T]:
        held = self._held.pop(key)
        self.held_bytes -= held.arrival.size
        return held

    def _oldest(self) -> _Held[T]:
        return next(iter(self._held.values()))

    def _see(self, arrival: Arrival[T]) -> bool:
        """Moves the watermark, which is the least of the highest (slot, seq) of every origin;
        returns whether the batch is below the highest of its own."""
        origin, at = arrival.origin, (arrival.slot, arrival.seq)
        more = origin.partitions > self._origins
        self._origins = max(self._origins, origin.partitions)
        before = self._highs.get(origin.partition)
        if before is None or at > before:
            self._highs[origin.partition] = at
        elif not more:
            return at < before
        if len(self._highs) < self._origins:
            self._watermark = None
        elif self._watermark is None or before is None or before <= self._watermark:
            self._watermark = min(self._highs.values())
        return before is not None and at < before

    # -- in order ----------------------------------------------------------------------------

    def _is_past(self, arrival: Arrival[T]) -> bool:
        """Whether the order of slots has gone by: not above the position, or not of its block."""
        at = self.position
        if at is None or arrival.slot > at.slot:
            return False
        return (
            arrival.slot < at.slot
            or arrival.seq <= at.seq
            or at.last
            or not _same(arrival.blockhash, at.blockhash)
        )

    def _is_next(self, arrival: Arrival[T]) -> bool:
        at = self.position
        if at is None:
            return False
        if arrival.slot == at.slot:
            return arrival.seq == at.seq + 1
        return at.last and arrival.slot == at.slot + 1 and arrival.seq == 0

    def _missing_before(self, arrival: Arrival[T]) -> int | None:
        """The last slot of which something may still come that is between the position and a batch
        ahead; None where it is known that there is nothing."""
        at, slot = self.position, arrival.slot
        if at is None or slot == at.slot:
            return slot if arrival.seq != (0 if at is None else at.seq + 1) else None
        if arrival.seq:
            return slot
        before = arrival.parent_slot if at.slot <= arrival.parent_slot < slot else slot - 1
        return None if before == at.slot and at.last else before

    def _drain(self, events: list[Event[T]]) -> None:
        while True:
            at = self.position
            while at is not None and self._strays and self._strays[0][0] <= at.slot:
                heapq.heappush(self._ahead, heapq.heappop(self._strays))
            if not self._ahead:
                return
            slot, seq, _, _, blockhash = self._ahead[0]
            arrival = self._held[slot, seq, blockhash].arrival
            if not (self._is_next(arrival) or self._is_past(arrival)):
                if self._watermark is None or (slot, seq) > self._watermark:
                    return
                if self._strays and self._strays[0] < self._ahead[0]:
                    heapq.heappush(self._ahead, heapq.heappop(self._strays))
                    continue
                missing = self._missing_before(arrival)
                if missing is not None and self._watermark[0] <= missing + DISORDER_SLOTS:
                    return
            self._pop(events)

    def _pop(self, events: list[Event[T]]) -> None:
        """Releases the lowest batch ahead, whatever it leaves behind."""
        slot, seq, _, _, blockhash = heapq.heappop(self._ahead)
        held = self._free((slot, seq, blockhash))
        if self._is_past(held.arrival):  # a rival that was sent before the position got there
            self._take_past(held, events)
        else:
            self._advance(held.arrival, events)

    def _advance(self, arrival: Arrival[T], events: list[Event[T]]) -> None:
        at, slot = self.position, arrival.slot
        if at is None:
            self._first_slot = slot
        expected = 0
        if at is not None and slot == at.slot:
            expected = at.seq + 1
        elif at is not None:
            if not at.last:
                self._give_up(Gap(at.slot, at.blockhash, at.seq + 1, None), events)
            if at.slot < arrival.parent_slot < slot:
                self._give_up(Gap(arrival.parent_slot, b"", 0, None), events)
        if arrival.seq > expected:
            self._give_up(Gap(slot, arrival.blockhash, expected, arrival.seq), events)
        blocks = self._blocks.setdefault(slot, [])
        if at is None or slot != at.slot:
            blocks.append(_Block(arrival.blockhash, 0))
            while len(self._blocks) > REMEMBERED_SLOTS:
                self._forget()
        blocks[0].next = arrival.seq + 1
        # A block whose first batches do not tell its hash gets it from a later one.
        blocks[0].blockhash = blocks[0].blockhash or arrival.blockhash
        self.position = Position(slot, arrival.seq, arrival.last, blocks[0].blockhash)
        self._release(arrival, events)

    def _release(self, arrival: Arrival[T], events: list[Event[T]]) -> None:
        self.released += 1
        events.append(Released(arrival))

    def _give_up(self, gap: Gap, events: list[Event[T]]) -> None:
        gaps = self._gaps.setdefault(gap.slot, [])
        gaps.append(gap)
        del gaps[:-_MOST_GAPS_OF_A_SLOT]
        while len(self._gaps) > REMEMBERED_GAPS:
            self._gaps.popitem(last=False)
        events.append(gap)

    def _give_way(self, events: list[Event[T]]) -> None:
        """Releases at least one batch although something may still come before it."""
        self.forced += 1
        if self._strays and (not self._ahead or self._strays[0] < self._ahead[0]):
            heapq.heappush(self._ahead, heapq.heappop(self._strays))
        if self._ahead:
            self._pop(events)
            self._drain(events)
            return
        oldest = self._oldest().arrival
        key = _key(oldest)
        block = next(b for b in self._blocks[oldest.slot] if b.waiting.get(oldest.seq) == key)
        lowest = min(block.waiting)
        self._give_up(Gap(oldest.slot, block.blockhash, block.next, lowest), events)
        block.next = lowest
        self._continue(block, events)

    # -- what the order has gone by ----------------------------------------------------------

    def _take_past(self, held: _Held[T], events: list[Event[T]]) -> None:
        arrival = held.arrival
        if arrival.slot < self._first_slot:
            events.append(Late(arrival, "came after later slots had been processed"))
            return
        if any(gap.covers(arrival) for gap in self._gaps.get(arrival.slot, ())):
            events.append(Late(arrival, "came after its gap was given up"))
            return
        blocks = self._blocks.get(arrival.slot)
        if blocks is None:
            if arrival.slot <= self._forgotten_slot:
                events.append(Duplicate(arrival))
            else:
                events.append(Late(arrival, "came after its slot was passed over"))
            return
        block = next((b for b in blocks if _same(b.blockhash, arrival.blockhash)), None)
        if block is None:
            if len(blocks) >= _MOST_BLOCKS_OF_A_SLOT:
                events.append(Late(arrival, "is of one more block of a slot that has many"))
                return
            block = _Block(arrival.blockhash, 0, rival=True)
            blocks.append(block)
        if arrival.seq < block.next:
            events.append(Duplicate(arrival))
        elif not block.rival:
            events.append(Late(arrival, "came after the last batch of its block"))
        else:
            self._hold(held)
            block.waiting[arrival.seq] = _key(arrival)
            self._continue(block, events)

    def _continue(self, block: _Block, events: list[Event[T]]) -> None:
        """Releases what is next of a rival."""
        while (key := block.waiting.pop(block.next, None)) is not None:
            arrival = self._free(key).arrival
            block.next += 1
            self._release(arrival, events)

    def _forget(self) -> None:
        """Drops the blocks of the oldest slot, unless something of them is held."""
        for slot, blocks in self._blocks.items():
            if not any(block.waiting for block in blocks):
                self._forgotten_slot = max(self._forgotten_slot, slot)
                del self._blocks[slot]
                return
        raise AssertionError("the newest slot holds nothing yet")


def _key(arrival: Arrival[T]) -> _Key:
    return arrival.slot, arrival.seq, arrival.blockhash


def _same(one: bytes, other: bytes) -> bool:
    """Whether two blocks of one slot may be the same: a hash that is not told fits any."""
    return one == other or not one or not other
