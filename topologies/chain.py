"""The chain: which stage reads which topic and what it emits. Everything else reads it here.

A stage is a function from one record's bytes to the records that follow from it; it does no I/O,
so the embedded runtime, a worker and a test call the same one. A stateless stage depends on that
record alone. A stateful one is fed the batches of one market partition in order, and its state can
be taken out and put back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

RAW = "mev.raw"
PARSED = "mev.parsed"
FEATURES = "mev.features"
OPPORTUNITIES = "mev.opportunities"
SLOTS = "mev.slots"
DEAD_LETTER = "mev.dead-letter"
CHECKPOINTS = "mev.checkpoints"

MAX_RECORD_BYTES = 4 << 20
"""The most bytes that a record's value may have on Kafka, once it is compressed."""

MAX_LETTER_BYTES = 5 << 20
"""The same on mev.dead-letter: a record of the largest size, and what is to be said about it."""

MESSAGES = {
    RAW: "mevstream.v1.RawBatch",
    PARSED: "mevstream.v1.ParsedBatch",
    FEATURES: "mevstream.v1.FeatureBatch",
    OPPORTUNITIES: "mevstream.v1.OpportunityBatch",
    SLOTS: "mevstream.v1.SlotStatus",
    DEAD_LETTER: "mevstream.v1.DeadLetter",
    CHECKPOINTS: "mevstream.v1.Checkpoint",
}
"""The protobuf message that the records of a topic carry (header `mev.schema`)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic: `value` is the uncompressed protobuf message of that topic."""

    topic: str
    value: bytes


class Stage(Protocol):
    """Takes the value of one record of the link's input; never raises for bad input."""

    def __call__(self, value: bytes, /) -> list[Record]: ...


class StatefulStage(Stage, Protocol):
    """A stage with the state of one market partition.

    What it returns is a function of the records it was given before, in their order, and of
    nothing else: not of time, nor of the process it runs in.
    """

    def snapshot(self) -> bytes:
        """The state, as bytes that `restore` takes, in this version and in later ones."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Puts back a state, in place of what there is. Raises InputError for what is none; then
        nothing has changed."""
        ...


Split = Callable[[bytes, int], list[bytes]]
"""(message, partitions) → a message for each partition, in their order, none left out. Raises
InputError for what is no such message, or a part already."""


@dataclass(frozen=True, slots=True)
class Link:
    """One step of the chain.

    outputs: the first is the topic that the link is named after.
    open_stage: makes the stage function; one per thread, because a stage may hold buffers that it
        reuses from record to record. A stateful one: one per market partition.
    stateful: the stage is a StatefulStage, and its input is partitioned by market.
    open_split: makes what parts a record of `outputs[0]` among the market partitions. Without it
        that record goes to the partition that the input came from.
    """

    name: str
    input: str
    outputs: tuple[str, ...]
    open_stage: Callable[[], Stage]
    stateful: bool = False
    open_split: Callable[[], Split] | None = None


def _open_parsed() -> Stage:
    from mevstream.topologies.parsed.stage import open_stage

    return open_stage()


def _open_market_split() -> Split:
    from mevstream.topologies.parsed.market import open_split

    return open_split()


def _open_features() -> Stage:
    from mevstream.topologies.features.stage import open_stage

    return open_stage()


def _open_opportunities() -> Stage:
    from mevstream.topologies.opportunities.stage import open_stage

    return open_stage()


CHAIN: tuple[Link, ...] = (
    Link(
        "parsed",
        input=RAW,
        outputs=(PARSED, SLOTS, DEAD_LETTER),
        open_stage=_open_parsed,
        open_split=_open_market_split,
    ),
    Link(
        "features",
        input=PARSED,
        outputs=(FEATURES, DEAD_LETTER),
        open_stage=_open_features,
        stateful=True,
    ),
    Link(
        "opportunities",
        input=PARSED,
        outputs=(OPPORTUNITIES, DEAD_LETTER),
        open_stage=_open_opportunities,
        stateful=True,
    ),
)
