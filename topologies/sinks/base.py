"""What every sink promises to whoever feeds it.

The order of a checkpoint is the same everywhere: `write` records, `flush`, and only then tell the
source that they are done (commit offsets, forget the input). Whatever was written and not flushed
may be lost with the process and comes again from the source.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

from mevstream.topologies.chain import Record


class Sink(ABC):
    """Takes records of `topics` to a store. One thread at a time.

    A sink must be idempotent: the same records written again, in this process or another, after a
    clean end or none, leave the store as if they had been written once.
    """

    topics: ClassVar[frozenset[str]]

    @abstractmethod
    def open(self) -> None:
        """Called once, before anything else. Connects, checks that the store can take records and
        repairs what an earlier writer left half done. Raises MevstreamError if it cannot: then
        nothing may be written."""

    @abstractmethod
    def write(self, record: Record) -> None:
        """Called for every record of `topics`, in the order in which they were made. Buffers; it
        may flush when a bound is reached. Raises InputError for a record that is not what its
        topic says: that one was not taken, those before it were. Any other error is one of
        `flush`."""

    @abstractmethod
    def flush(self) -> None:
        """Called at a checkpoint. When it returns, everything written before is durable. When it
        raises, none, some or all of it is: the caller must not acknowledge any of it, and may
        call `flush` again or give up. The records stay buffered."""

    @abstractmethod
    def abandon(self) -> None:
        """Called after the last `flush` if the run ends early: slots whose SlotStatus was not
        written will come again as a whole, so what the store has of them may be removed."""

    @abstractmethod
    def close(self) -> None:
        """Called once at the end, also after an error. Releases the store without flushing: what
        was not flushed is dropped. Does not raise for a store that is already gone."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
