"""What every sink promises to the consumer that feeds it from Kafka.

The order of a checkpoint is the same everywhere: `read` each record, `store` a run of them, and
only then commit the offsets behind them. What was read and not stored comes again, to this process
or to another one, and in other runs than before.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from mevstream.codecs.headers import RecordHeaders


@dataclass(frozen=True, slots=True)
class Delivery:
    """One record as a consumer got it. `value` is the uncompressed protobuf message; `headers`
    are those of the record."""

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: RecordHeaders


Item = TypeVar("Item")


class StreamSink(ABC, Generic[Item]):
    """Takes the records of `topics` to a store.

    `read` is called on the consumer's thread while `store` may be running on another one; `store`
    is never called twice at a time. A sink must be idempotent: a record stored again, in another
    run of records, by another instance, after a clean end or none, leaves the store as if it had
    been stored once.
    """

    name: ClassVar[str]
    topics: ClassVar[tuple[str, ...]]

    default_seconds: ClassVar[float] = 2.0
    default_bytes: ClassVar[int] = 16 << 20
    default_records: ClassVar[int] = 1 << 16
    """How old and how large (bytes of uncompressed messages, records) what was read gets before
    it is stored, whatever comes first, unless the settings say otherwise."""

    @abstractmethod
    def open(self) -> None:
        """Called once, before anything else. Connects and checks that the store can take records.
        Raises MevstreamError if it cannot; the caller may try again."""

    @abstractmethod
    def read(self, delivery: Delivery) -> Item:
        """What `store` needs of a record; it may keep views on `delivery.value`. Raises
        InputError for one that is not what its topic says: the caller dead-letters it."""

    def transactions(self, item: Item) -> int:
        """How many transactions have their home in a record, for the metrics."""
        return 0

    @abstractmethod
    def store(self, items: Sequence[Item]) -> None:
        """Called with everything read since the last `store` that returned, those of one
        partition in the order of their offsets. When it returns, all of it is durable and can be
        seen by readers. When it raises (MevstreamError: the store is away or refuses), none, some
        or all of it is: the caller commits nothing and calls it again with the same items, as
        long as it takes."""

    @abstractmethod
    def close(self) -> None:
        """Called once at the end, also after an error. Releases the store. Does not raise for a
        store that is already gone."""
