"""Puts transactions that come one by one together, slot by slot.

The transactions of several slots may be mixed, within one input and across inputs; what is open is
kept in memory up to a bound. Batches of one slot leave together, so a slot that has left is closed:
a transaction that comes for it later and was not seen before is an error, never a silent loss.
"""

from collections import Counter, OrderedDict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from mevstream.errors import InputError
from mevstream.schemas.raw_pb2 import Commitment
from mevstream.topologies.raw.batches import BatchWriter, SlotHeader

# Bytes of transactions kept; a full mainnet slot has about 3 MB.
MAX_OPEN_BYTES = 64 << 20
# Slots that a live stream may lag behind its newest (13 s) before the rest is closed.
MAX_LAG = 32
# Slots whose header or positions are remembered, before they open and after they close.
_REMEMBERED = 256
# Positions are fixed32 in the record.
_MAX_INDEX = 0xFFFFFFFF


@dataclass(slots=True)
class _OpenSlot:
    header: SlotHeader
    source: str
    # (position in the block or None where it is not told, ConfirmedTransaction bytes)
    transactions: list[tuple[int | None, bytes]] = field(
        default_factory=list[tuple[int | None, bytes]]
    )
    positions: set[int] = field(default_factory=set[int])
    complete: bool = False
    size: int = 0
    # Batches that left early, since the slot alone is larger than the bound, and their rows.
    seq: int = 0
    rows: int = 0


class SlotAssembler:
    """Collects transactions and gives back finished batches from `drain`."""

    def __init__(
        self, writer: BatchWriter, counts: Counter[str], max_open_bytes: int = MAX_OPEN_BYTES
    ) -> None:
        self._writer = writer
        self._counts = counts
        self._max_open_bytes = max_open_bytes
        # In order of opening, which is what "oldest" means below.
        self._open: OrderedDict[int, _OpenSlot] = OrderedDict()
        self._closed: set[int] = set()
        self._closed_positions: OrderedDict[int, Container[int]] = OrderedDict()
        self._headers: OrderedDict[int, SlotHeader] = OrderedDict()
        self._size = 0
        self._newest = 0
        self._ready: list[bytes] = []

    def drain(self) -> Iterator[bytes]:
        """Batches that are finished. To be called after every other call."""
        ready, self._ready = self._ready, []
        yield from ready

    def header(self, slot: int, commitment: Commitment) -> SlotHeader:
        """What is known about a slot, to be filled in; `commitment` is that of a new one."""
        header = self._headers.get(slot)
        if header is None:
            header = self._headers[slot] = SlotHeader(slot, commitment=commitment)
            while len(self._headers) > _REMEMBERED:
                self._headers.popitem(last=False)
        return header

    def add(
        self, header: SlotHeader, index: int | None, payload: bytes, source: str, place: str
    ) -> None:
        """Takes one transaction; `place` says where it stood, for errors.

        A position that was already taken in this slot is a second copy and is counted only.
        Raises InputError where the slot is closed or the position no 32-bit number.
        """
        slot = header.slot
        if index is not None and index > _MAX_INDEX:
            raise InputError(f"{source}: {place}: position {index} is no position in a block")
        opened = self._open.get(slot)
        if opened is None:
            if slot in self._closed:
                if index is not None and index in self._closed_positions.get(slot, ()):
                    self._counts["duplicates"] += 1
                    return
                raise InputError(
                    f"{source}: {place}: slot {slot} comes again after it was closed; "
                    "give the transactions of a slot together"
                )
            opened = self._open[slot] = _OpenSlot(header, source)
        if index is not None:
            if index in opened.positions:
                self._counts["duplicates"] += 1
                return
            opened.positions.add(index)
        opened.transactions.append((index, payload))
        opened.size += len(payload)
        self._size += len(payload)
        self._counts["transactions"] += 1
        while self._size > self._max_open_bytes:
            self._make_room()

    def claim(self, slot: int, source: str) -> None:
        """Says that `source` gives the whole block of a slot."""
        if slot in self._open:
            raise InputError(
                f"{source}: slot {slot} was also given as single transactions, "
                "whose positions in the block are not known"
            )
        self._closed.add(slot)

    def advance(self, slot: int) -> None:
        """Says that a live stream has come to `slot`; closes what lies too far behind."""
        if slot <= self._newest:
            return
        self._newest = slot
        for old in [s for s in self._open if s + MAX_LAG < slot]:
            self._close(old)

    def complete(self, slot: int, transactions: int) -> None:
        """Says that a slot has this many transactions; closes it once they are all there and
        nothing older is open, so that slots leave in order."""
        opened = self._open.get(slot)
        if opened is None or opened.rows + len(opened.transactions) < transactions:
            return
        opened.complete = True
        for old in sorted(self._open):
            if not self._open[old].complete:
                break
            self._close(old)

    def dead(self, slot: int) -> None:
        """Closes a slot that its fork lost. It may come again with another block."""
        opened = self._open.get(slot)
        if opened is not None:
            self._close(slot)
        self._closed.discard(slot)
        self._closed_positions.pop(slot, None)
        self._headers.pop(slot, None)

    def empty(self, header: SlotHeader, source: str) -> None:
        """Gives a block without transactions: one empty batch."""
        self._closed.add(header.slot)
        self._ready.append(self._writer.batch(header, source, 0, (), last=True))

    def close_all(self, *, last: bool = True) -> None:
        """Closes every slot; `last` is False where the input broke off."""
        for slot in list(self._open):
            self._close(slot, last=last)

    def _make_room(self) -> None:
        if len(self._open) > 1:
            self._close(next(iter(self._open)))
        else:
            (opened,) = self._open.values()
            self._write(opened, last=False)

    def _close(self, slot: int, *, last: bool = True) -> None:
        opened = self._open.pop(slot)
        self._write(opened, last=last)
        self._closed.add(slot)
        if opened.positions:
            self._closed_positions[slot] = _compact(opened.positions)
            while len(self._closed_positions) > _REMEMBERED:
                self._closed_positions.popitem(last=False)

    def _write(self, opened: _OpenSlot, *, last: bool) -> None:
        rows = opened.transactions
        positions = [index for index, _ in rows if index is not None]
        if len(positions) == len(rows):
            rows.sort(key=_position)
            positions.sort()
        else:
            # Order of arrival is all that is known.
            positions = list(range(opened.rows, opened.rows + len(rows)))
        size = self._writer.batch_size
        if not rows and last:
            # All of it left early; the flag is what is missing.
            self._ready.append(
                self._writer.batch(opened.header, opened.source, opened.seq, (), last=True)
            )
        for first in range(0, len(rows), size):
            chunk = positions[first : first + size]
            follows_on = chunk[-1] - chunk[0] == len(chunk) - 1
            self._ready.append(
                self._writer.batch(
                    opened.header,
                    opened.source,
                    opened.seq,
                    [payload for _, payload in rows[first : first + size]],
                    first_index=chunk[0],
                    indexes=() if follows_on else chunk,
                    last=last and first + size >= len(rows),
                )
            )
            opened.seq += 1
        self._size -= opened.size
        opened.size = 0
        opened.rows += len(rows)
        opened.transactions = []


def _position(row: tuple[int | None, bytes]) -> int:
    return row[0] or 0


def _compact(positions: set[int]) -> Container[int]:
    """A range where the set is one, as it is after a whole block."""
    whole = range(min(positions), max(positions) + 1)
    return whole if len(whole) == len(positions) else positions
