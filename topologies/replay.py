"""Slots once more: the raw batches of a slot range, taken from Kafka and put in order.

Batches of one slot lie in several partitions of mev.raw, some twice (a source that was started
again, a dead letter that was sent again), some not any more. What is wanted is told by the record
headers, so other records are neither decompressed nor kept. Those that are wanted go to a
temporary file as they are, compressed, and come out of it slot by slot: what is held in memory is
one slot and a few numbers for each batch.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from mevstream.codecs.headers import unpack_record
from mevstream.codecs.raw import RawView
from mevstream.errors import InputError
from mevstream.infra.reader import Reader, header_of, headers_of
from mevstream.topologies.chain import CHAIN, MESSAGES, RAW, Link
from mevstream.topologies.sinks.native_engine import NativeEngine

STATELESS_CHAIN: tuple[Link, ...] = tuple(link for link in CHAIN if not link.stateful)
"""What a replay runs: what a link with state makes of a slot depends on all the slots before, which
a replay does not see."""


@dataclass(slots=True)
class Found:
    """What a replay came across.

    incomplete: slot → what it lacks. absent: slots in the range that a batch names as its parent
    and that have no batch themselves.
    """

    records: int = 0
    batches: int = 0
    duplicates: int = 0
    unreadable: int = 0
    slots: int = 0
    incomplete: dict[int, str] = field(default_factory=dict[int, str])
    absent: list[int] = field(default_factory=list[int])


class _Entry(NamedTuple):
    """A batch in the temporary file, with the headers that it takes to read it."""

    at: int
    size: int
    codec: bytes


class RawReplay:
    """Iterates over the RawBatch messages of the slots `first` to `last` (inclusive) by (slot,
    seq), each once; of two batches of one block and seq it takes the one that came later. Where a
    slot has several blocks they follow one another, that with the latest batch last.

    start: partition → first offset to look at. incomplete: slots that lack batches are given, too;
    else they are left out, so that they do not replace what a store has of them. `looked` is called
    every few hundred records while the topic is read. Raises MevstreamError as `Reader` does.
    """

    def __init__(
        self,
        reader: Reader,
        first: int,
        last: int,
        *,
        topic: str = RAW,
        start: Mapping[int, int] | None = None,
        incomplete: bool = False,
        looked: Callable[[Found], None] | None = None,
    ) -> None:
        self._reader = reader
        self._first = first
        self._last = last
        self._topic = topic
        self._start = start
        self._incomplete = incomplete
        self._looked = looked
        self.found = Found()

    def __iter__(self) -> Iterator[bytes]:
        with tempfile.TemporaryFile(prefix="mevstream-replay-") as spool:
            entries = self._collect(spool)
            there = set(entries)
            parents: set[int] = set()
            for slot in sorted(entries):
                for block in self._blocks(spool, slot, entries.pop(slot)):
                    parents |= {view.parent_slot for view, _ in block.values()}
                    lacks = _lacks(block)
                    self.found.slots += 1
                    if lacks:
                        self.found.incomplete[slot] = lacks
                    if not lacks or self._incomplete:
                        yield from (message for _, (_, message) in sorted(block.items()))
            absent = (slot for slot in parents - there if self._first <= slot <= self._last)
            self.found.absent = sorted(absent)

    def _collect(self, spool: IO[bytes]) -> dict[int, list[_Entry]]:
        """Slot → its batches, partition by partition as they came."""
        found = self.found
        entries: dict[int, list[_Entry]] = {}
        at = 0
        for message in self._reader.scan(self._topic, start=self._start):
            found.records += 1
            if self._looked is not None and found.records % 256 == 0:
                self._looked(found)
            told = header_of(message, "mev.slot")
            slot = int(told) if told and told.isdigit() and len(told) <= 20 else None
            if slot is None:
                # mev.raw has no such records; what slot it may be about nobody can tell.
                found.unreadable += 1
                continue
            if not self._first <= slot <= self._last:
                continue
            headers = headers_of(message)
            value = message.value() or b""
            spool.write(value)
            codec = dict(headers).get("mev.codec") or b"none"
            entries.setdefault(slot, []).append(_Entry(at, len(value), codec))
            at += len(value)
            found.batches += 1
        return entries

    def _blocks(
        self, spool: IO[bytes], slot: int, entries: list[_Entry]
    ) -> list[dict[int, tuple[RawView, bytes]]]:
        """The blocks of a slot: seq → batch."""
        blocks: dict[bytes, dict[int, tuple[RawView, bytes]]] = {}
        for entry in entries:
            spool.seek(entry.at)
            headers = [("mev.schema", MESSAGES[RAW].encode()), ("mev.codec", entry.codec)]
            try:
                message, _ = unpack_record(spool.read(entry.size), headers, schema=MESSAGES[RAW])
                view = RawView(message)
            except InputError:
                self.found.unreadable += 1
                continue
            if view.slot != slot:
                self.found.unreadable += 1
                continue
            block = blocks.setdefault(view.blockhash, {})
            self.found.duplicates += view.seq in block
            if view.seq not in block or view.received_ns >= block[view.seq][0].received_ns:
                block[view.seq] = view, message
        return sorted(
            blocks.values(), key=lambda b: max(view.received_ns for view, _ in b.values())
        )


def _lacks(block: Mapping[int, tuple[RawView, bytes]]) -> str:
    """Which batches of a block are not there; empty for a complete one."""
    ends = [seq for seq, (view, _) in block.items() if view.last]
    end = max(ends) if ends else max(block)
    missing = [str(seq) for seq in range(end + 1) if seq not in block]
    if not ends:
        missing.append(f"all after {end}" if len(missing) <= end else "the last")
    text = ", ".join(missing[:10]) + (", …" if len(missing) > 10 else "")
    return f"batches {text}" if missing else ""


class ServerEngine(NativeEngine):
    """A server that others write to, too: what they have not finished is theirs to repair."""

    def begin_writing(self) -> bool:
        return True

    def end_writing(self) -> None:
        return
