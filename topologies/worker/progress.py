"""What is under way: which offset of a partition may be committed, and how much may be in hand."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple


class Track:
    """One assigned partition of a group's input.

    Records are done in any order, because what follows from them goes to several partitions; an
    offset may be committed only when all before it are done. `position` is the offset that may be
    committed (the next one to read), None until there is one.
    """

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.position: int | None = None
        self.committed: int | None = None
        self._open: deque[int] = deque()
        self._done: set[int] = set()

    def begin(self, offset: int) -> None:
        """Takes the record at `offset`, which is above all that were taken before."""
        self._open.append(offset)

    def done(self, offset: int) -> None:
        """Everything that follows from the record at `offset` is safe."""
        self._done.add(offset)
        while self._open and self._open[0] in self._done:
            first = self._open.popleft()
            self._done.discard(first)
            self.position = first + 1


class Room:
    """How much may be in hand at once: records and bytes of input. A record larger than the bound
    is let in alone."""

    def __init__(self, *, records: int, bytes: int) -> None:
        self._most_records, self._most_bytes = records, bytes
        self.records = self.bytes = 0
        self._changed = asyncio.Event()

    @property
    def full(self) -> bool:
        return self.records > 0 and (
            self.records >= self._most_records or self.bytes >= self._most_bytes
        )

    async def enter(self, size: int) -> None:
        """Waits until there is room, then counts a record of `size` bytes in."""
        while self.full:
            self._changed.clear()
            await self._changed.wait()
        self.records += 1
        self.bytes += size

    def leave(self, size: int) -> None:
        self.records -= 1
        self.bytes -= size
        self._changed.set()

    async def empty(self) -> None:
        """Waits until nothing is in hand."""
        while self.records:
            self._changed.clear()
            await self._changed.wait()


class Reading(NamedTuple):
    """How far a partition is read. told: when the broker last answered for it (of a clock that may
    jump: it only says that there was another answer); next: the offset to read next; end: the one
    behind the last record, open transactions included, as of that answer."""

    told: int
    next: int
    end: int


class ReadingClock:
    """Seconds in which a reader would have got what it waits for, had it been written.

    It stands still while the broker does not answer, while there is more that was written before
    and is not read yet, and while the process itself is stopped.
    """

    _MOST_SECONDS = 3.0
    """A step cannot be longer. A broker with nothing to tell answers after 1.5 seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._at = time.monotonic()
        self._before: dict[int, Reading] = {}

    def look(self, partitions: Mapping[int, Reading | None]) -> None:
        """To be called about twice a second with all partitions that are read; None where nothing
        is known yet."""
        known = {number: one for number, one in partitions.items() if one is not None}
        if len(known) < len(partitions):
            known = {}
        elif known.keys() == self._before.keys():
            for number, one in known.items():
                before = self._before[number]
                if one.told == before.told or one.next < before.end:
                    return
            self.now += min(time.monotonic() - self._at, self._MOST_SECONDS)
        self._at = time.monotonic()
        self._before = known
