"""Which records of a topic a lake has: spans of offsets, and the contents of the latest records.

An offset alone proves nothing: a topic that was deleted and made anew counts from 0 again. So a
span knows the content of its first and last record, and offsets within it are taken for stored
once one of these two was seen to come again with that content.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from mevstream.topologies.sinks.lake.tables import Part, Place

CONTENTS = 1 << 14
"""So many latest records of a partition are known by their content."""

_WIDTH = 16
# Spans are joined up to this many offsets, so that there is one to begin at not far from anywhere.
_SPAN = 100_000


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets `first` to `last` of a partition, whose records one commit has stored.

    after: the last offset that the same consumer had before, -1 for none: what lies between is
    no record. contents: of the records in it that were stored, in their order.
    """

    first: int
    last: int
    first_content: bytes
    last_content: bytes
    after: int = -1
    contents: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[Part], after: int) -> Self:
        first, last = parts[0], parts[-1]
        contents = tuple(part.content for part in parts[-CONTENTS:])
        return cls(first.offset, last.offset, first.content, last.content, after, contents)

    def to_json(self) -> list[Any]:
        ends = (self.first_content, self.last_content, b"".join(self.contents))
        return [self.first, self.last, self.after, *(base64.b64encode(e).decode() for e in ends)]

    @classmethod
    def from_json(cls, first: int, last: int, after: int, *ends: str) -> Self:
        begin, end, joined = (base64.b64decode(text, validate=True) for text in ends)
        return cls(first, last, begin, end, after, _cut(joined))


class _Log:
    """What is known of one partition."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.contents: dict[bytes, None] = {}
        # First offsets of the spans of which a record was seen to come again.
        self.confirmed: set[int] = set()

    def add(self, span: Span) -> None:
        self.remember(span.contents)
        span = replace(span, contents=())
        spans = self.spans
        spans.append(span)
        # Commits come in any order, but nearly in that of the offsets.
        i = len(spans) - 1
        while i and spans[i - 1].first > span.first:
            spans[i], spans[i - 1] = spans[i - 1], span
            i -= 1

    def remember(self, contents: Iterable[bytes]) -> None:
        for content in contents:
            self.contents[content] = None
        while len(self.contents) > CONTENTS:
            del self.contents[next(iter(self.contents))]

    def joined(self) -> list[Span]:
        """The spans, with those that follow each other made one."""
        result: list[Span] = []
        for span in self.spans:
            if result:
                before = result[-1]
                follows = span.first == before.last + 1 or (
                    span.after == before.last and span.after != -1
                )
                if follows and span.last - before.first < _SPAN:
                    result[-1] = replace(before, last=span.last, last_content=span.last_content)
                    continue
            result.append(span)
        return result


class Coverage:
    """The spans of all partitions."""

    def __init__(self) -> None:
        self._logs: dict[Place, _Log] = {}

    def add(self, place: Place, span: Span) -> None:
        self._logs.setdefault(place, _Log()).add(span)

    def places(self) -> list[Place]:
        return sorted(self._logs)

    def spans(self, place: Place) -> list[Span]:
        return list(self._logs[place].spans) if place in self._logs else []

    def missing(self, place: Place, parts: Sequence[Part]) -> tuple[list[Part], bool]:
        """(those of a partition's records, in the order of their offsets, whose content is not
        stored, as far as that is known; whether there is an offset that no span has). A record
        that comes twice among them is there once."""
        log = self._logs.get(place) or _Log()
        stored = self._stored(log, parts)
        seen: set[bytes] = set()
        result: list[Part] = []
        other = False
        for part in parts:
            if any(span.first <= part.offset <= span.last for span in stored):
                continue
            other = True
            if part.content not in log.contents and part.content not in seen:
                seen.add(part.content)
                result.append(part)
        return result, other

    def _stored(self, log: _Log, parts: Sequence[Part]) -> list[Span]:
        first, last = parts[0].offset, parts[-1].offset
        by_offset = {part.offset: part.content for part in parts}
        for span in log.spans:
            if span.last >= first and span.first <= last:
                ends = [(span.first, span.first_content), (span.last, span.last_content)]
                found = [by_offset[at] == content for at, content in ends if at in by_offset]
                if found and all(found):
                    log.confirmed.add(span.first)
                elif found:
                    log.confirmed.discard(span.first)
        return [span for span in log.spans if span.first in log.confirmed]

    def to_json(self) -> list[Any]:
        return [
            [
                topic,
                partition,
                [span.to_json() for span in log.joined()],
                base64.b64encode(b"".join(log.contents)).decode(),
            ]
            for (topic, partition), log in sorted(self._logs.items())
        ]

    @classmethod
    def from_json(cls, values: list[Any]) -> Self:
        coverage = cls()
        for topic, partition, spans, contents in values:
            log = coverage._logs[topic, partition] = _Log()
            log.spans = [Span.from_json(*span) for span in spans]
            log.remember(_cut(base64.b64decode(contents, validate=True)))
        return coverage


def _cut(joined: bytes) -> tuple[bytes, ...]:
    if len(joined) % _WIDTH:
        raise ValueError("contents of another width")
    return tuple(joined[i : i + _WIDTH] for i in range(0, len(joined), _WIDTH))
