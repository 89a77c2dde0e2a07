"""What a sink's consumer has taken and not stored yet."""

from collections.abc import Collection
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from mevstream.codecs.headers import RecordHeaders

Item = TypeVar("Item")


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Reached(NamedTuple):
    """How far a partition was taken: the offset of its next record, and in which assignment of
    the partition to this consumer (a number that is never used again)."""

    assignment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Held(Generic[Item]):
    """A record that was read. size: bytes of the message; stored_size: of the value as Kafka has
    it; produced_ns: timestamp of the record (0: none); taken_ns: when it was read."""

    place: Place
    offset: int
    item: Item
    size: int
    stored_size: int
    produced_ns: int
    taken_ns: int
    headers: RecordHeaders


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a buffer is stored, whatever comes first: seconds since its first record, bytes of the
    uncompressed messages, records."""

    seconds: float
    bytes: int
    records: int


@dataclass(slots=True)
class Buffer(Generic[Item]):
    """Records of one `store`, in the order in which they came, and the offsets behind them, those
    of dead-lettered records too."""

    held: list[Held[Item]] = field(default_factory=list[Held[Item]])
    reached: dict[Place, Reached] = field(default_factory=dict[Place, Reached])
    bytes: int = 0
    since: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.reached)

    def pass_by(self, place: Place, reached: Reached) -> None:
        """Counts a record as taken."""
        if not self.reached:
            self.since = monotonic()
        self.reached[place] = reached

    def add(self, held: Held[Item]) -> None:
        """Takes a record that was passed."""
        self.held.append(held)
        self.bytes += held.size

    def drop(self, places: Collection[Place]) -> None:
        """Forgets the records of these partitions."""
        for place in self.reached.keys() & set(places):
            del self.reached[place]
        self.held = [held for held in self.held if held.place not in places]
        self.bytes = sum(held.size for held in self.held)

    def full(self, bounds: Bounds) -> bool:
        return self.bytes >= bounds.bytes or len(self.held) >= bounds.records

    def due_in(self, bounds: Bounds) -> float:
        """Seconds until it is to be stored: 0 or less where it is due."""
        if self.full(bounds):
            return 0.0
        return self.since + bounds.seconds - monotonic()
