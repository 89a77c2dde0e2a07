"""The chain: which stage reads which topic and what it emits. Everything else reads it here.

A stage is a function from one record's bytes to the records that follow from it; it keeps no state
between records and does no I/O, so the embedded runtime, a worker and a test call the same one.
"""

from collections.abc import Callable
from dataclasses import dataclass

RAW = "mev.raw"
PARSED = "mev.parsed"
SLOTS = "mev.slots"
DEAD_LETTER = "mev.dead-letter"
CHECKPOINTS = "mev.checkpoints"


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic: `value` is the uncompressed protobuf message of that topic."""

    topic: str
    value: bytes


Stage = Callable[[bytes], list[Record]]


@dataclass(frozen=True, slots=True)
class Link:
    """One step of the chain. `open_stage` makes the stage function; one per thread, because a
    stage may hold buffers that it reuses from record to record."""

    name: str
    input: str
    outputs: tuple[str, ...]
    open_stage: Callable[[], Stage]


def _open_parsed() -> Stage:
    from mevstream.topologies.parsed.stage import open_stage

    return open_stage()


CHAIN: tuple[Link, ...] = (
    Link("parsed", input=RAW, outputs=(PARSED, SLOTS, DEAD_LETTER), open_stage=_open_parsed),
)
