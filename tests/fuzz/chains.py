"""For the stages behind mev.parsed: chains of ParsedBatch messages that no decoder would write.

What it starts from are chains of the simulator, with every kind of opportunity. Of these, values
and rows are changed one by one, so that most of a batch still makes sense, then whole batches:
doubled, out of order, in place of others, cut off. In between the stage is interrupted, and
goes on from a snapshot; or somebody has been at the snapshot.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from random import Random
from struct import Struct
from typing import Any, Generic, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from simulator_truth.oracle import parsed_batches

from fuzz.dictionary import INTEGERS
from fuzz.mutate import flip_bytes
from fuzz.oracle import Finding
from mevstream.codecs.columns import NONE
from mevstream.errors import InputError
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.topologies.chain import DEAD_LETTER, Record, StatefulStage
from mevstream.topologies.opportunities.pools import VENUES
from mevstream.topologies.raw.simulator import Simulator
from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from mevstream.topologies.raw.simulator.config import SimulatorConfig

StageT = TypeVar("StageT", bound=StatefulStage)

SLOTS = 12

# A chain as bytes: parts of a kind each. A snapshot is made where it stands, and changed by
# a Random of the part's bytes.
BATCH, RESTART, CHANGED_SNAPSHOT = range(3)
_PART = Struct("<BI")

TICKS = (0, 1, -1, 443636, -443636, 443637, -443637, -(2**31), 2**31 - 1, 0x80000, -0x80000)
DOUBLES = (0.0, -0.0, 1.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.8e308, -1.0)
SLOT_NUMBERS = (0, 1, 3, 4, 2**32, 2**63, 2**64 - 2, 2**64 - 1)
# What decides about curves.
_WANTED = ("amount", "reserve", "curve", "root", "liquidity", "delta", "tick", "rate", "fee")


@cache
def _chains() -> list[list[ParsedBatch]]:
    """Small simulated chains, in which much happens."""
    chains: list[list[ParsedBatch]] = []
    for seed in range(4):
        config = SimulatorConfig(
            seed=seed,
            transactions_per_slot=16,
            vote_share=0,
            failed_share=0.1,
            transfer_share=0.02,
            token_transfer_share=0.02,
            sandwiches_per_slot=1,
            trade_median_lamports=25 * 10**9,
            users=64,
            user_groups=2,
            mints_per_group=4,
            validators=8,
            pools_per_venue=2,
            hub_pools=2,
            routes=16,
            arbitrage_routes=16,
            mev=MevConfig(
                fleet=6, look_alikes_per_slot=0.2, jit_per_slot=0.5, liquidations_per_slot=0.5
            ),
        )
        batches = parsed_batches(Simulator(config).blocks(SLOTS))
        chains.append([ParsedBatch.FromString(batch) for batch in batches])
    return chains


def parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, bytes) of each."""
    at = 0
    while at + _PART.size <= len(data):
        kind, size = _PART.unpack_from(data, at)
        at += _PART.size
        yield kind, data[at : at + size]
        at += size


# -- changes --------------------------------------------------------------------------------------


def _value(field: FieldDescriptor, random: Random, keys: int) -> Any:
    """One that may be too large, too small, or point outside its table by one."""
    match field.type:
        case field.TYPE_DOUBLE:
            return random.choice((*DOUBLES, random.lognormvariate(0, 30)))
        case field.TYPE_SFIXED32:
            return random.choice((*TICKS, random.randrange(-443636, 443637)))
        case field.TYPE_SFIXED64:
            return random.choice((0, 1, -1, 2**63 - 1, -(2**63), random.randrange(2**40)))
        case field.TYPE_FIXED32:
            if random.random() < 0.8:
                return random.randrange(max(1, random.choice((4, 64, keys))))
            return random.choice((keys, keys - 1, *INTEGERS)) & NONE
        case _:
            return random.choice((*INTEGERS, random.getrandbits(random.randrange(1, 65))))


def _change_column(message: Any, name: str, random: Random) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    column = getattr(message, name)
    keys = len(message.keys) // 32
    at, other = random.randrange(len(column)), random.randrange(len(column))
    match random.randrange(6):
        case 0:
            column[at], column[other] = column[other], column[at]
        case 1:
            column[:] = [_value(field, random, keys)] * len(column)
        case 2:
            # One row is like another one.
            table = name.partition("_")[0] + "_"
            for column in columns_of(message, table):
                values = getattr(message, column)
                values[at] = values[other]
        case 3 if random.random() < 0.05:
            message.ClearField(name)
        case _:
            column[at] = _value(field, random, keys)


def columns_of(message: Any, start: str = "") -> list[str]:
    """The columns that have rows and whose names begin so."""
    return [
        field.name
        for field, value in message.ListFields()
        if field.is_packed and len(value) and field.name.startswith(start)
    ]


def change_columns(message: Any, random: Random) -> None:
    """Values and rows of a columnar message, which stays well formed."""
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        filled = columns_of(message)
        wanted = [name for name in filled if any(part in name for part in _WANTED)]
        names = wanted if random.random() < 0.7 else filled
        if names:
            _change_column(message, random.choice(names), random)


def _change_envelope(batch: ParsedBatch, random: Random) -> None:
    match random.randrange(8):
        case 0:
            batch.slot = random.choice(SLOT_NUMBERS)
        case 1:
            batch.blockhash = random.choice((b"", bytes(32), random.randbytes(32), bytes(31)))
        case 2:
            batch.last = not batch.last
        case 3:
            batch.seq = random.choice((0, 1, 2**32 - 1))
        case 4:
            batch.parent_slot = random.choice(SLOT_NUMBERS)
        case 5:
            batch.chain = random.choice(("", "solana", "another"))
        case 6 if batch.names:
            batch.names[random.randrange(len(batch.names))] = random.choice(VENUES)
        case _:
            batch.slot += 1 if batch.slot < 2**64 - 1 else 0


# -- what is tried --------------------------------------------------------------------------------


def answer(record: Record) -> tuple[str, bytes]:
    """What must be the same again; a dead letter tells when it was written, too."""
    if record.topic == DEAD_LETTER:
        return record.topic, DeadLetter.FromString(record.value).error.encode()
    return record.topic, record.value


class StageTarget(ABC, Generic[StageT]):
    """A stage with a snapshot: nothing that it is given ends it, what it tells makes sense, and who
    goes on from a snapshot tells the same. The input is a chain (`parts`)."""

    inputs_a_turn = 1

    def __init__(self, random: Random) -> None:
        self.random = random
        self.chains = _chains()

    @abstractmethod
    def new_stage(self) -> StageT: ...

    @abstractmethod
    def changed_snapshot(self, snapshot: bytes, random: Random) -> bytes: ...

    @abstractmethod
    def judge(self, message: bytes, data: bytes) -> None:
        """Raises Finding, with `data`, or InputError, for what cannot be."""

    def look(self, stage: StageT) -> None:
        """At what else there is in the end."""

    def generate(self) -> bytes:
        random = self.random
        chain = random.choice(self.chains)
        start = random.randrange(len(chain) - 3)
        batches = chain[start : start + random.randrange(2, 8)]
        changes = random.choice((0.0, 0.1, 0.5))
        data = b""
        for batch in batches:
            copy = ParsedBatch()
            copy.CopyFrom(batch)
            if random.random() < changes:
                change_columns(copy, random)
            if random.random() < changes / 4:
                _change_envelope(copy, random)
            for _ in range(random.choice((1, 1, 1, 1, 1, 1, 1, 0, 2))):
                data += self._part(BATCH, copy.SerializeToString())
            if random.random() < 0.3:
                data += self._part(RESTART, b"")
            if random.random() < 0.3:
                data += self._part(CHANGED_SNAPSHOT, random.randbytes(8))
        if random.random() < 0.1:
            kept = [self._part(*part) for part in parts(data)]
            random.shuffle(kept)
            data = b"".join(kept)
        return flip_bytes(data, random) if random.random() < 0.02 else data

    def _part(self, kind: int, data: bytes) -> bytes:
        return _PART.pack(kind, len(data)) + data

    def check(self, data: bytes) -> int:
        stage, again = self.new_stage(), self.new_stage()
        odd: StageT | None = None
        done = 0
        for kind, part in parts(data):
            done += 1
            if kind == BATCH:
                (told,) = stage(part)
                (retold,) = again(part)
                if answer(told) != answer(retold):
                    raise Finding("something else after a restart", data)
                if told.topic != DEAD_LETTER:
                    self.judge(told.value, data)
                if odd is not None:
                    odd(part)
            elif kind == RESTART:
                snapshot = again.snapshot()
                if snapshot != stage.snapshot():
                    raise Finding("another snapshot after a restart", data)
                again = self.new_stage()
                again.restore(snapshot)
                if again.snapshot() != snapshot:
                    raise Finding("a snapshot is not what was restored", data)
            elif kind == CHANGED_SNAPSHOT:
                odd = self.changed(stage.snapshot(), part, data) or odd
        for one in (stage, odd or again):
            self.look(one)
        return done

    def changed(self, snapshot: bytes, seed: bytes, data: bytes) -> StageT | None:
        """A stage that has taken a changed snapshot; None where it was refused."""
        stage = self.new_stage()
        stage.restore(snapshot)
        changed = self.changed_snapshot(snapshot, Random(seed))
        try:
            stage.restore(changed)
        except InputError as error:
            if "\n" in str(error):
                raise Finding("more than one line of error", data) from None
            if stage.snapshot() != snapshot:
                raise Finding("a snapshot that was refused has left something", data) from None
            return None
        accepted = stage.snapshot()
        stage.restore(accepted)
        if stage.snapshot() != accepted:
            raise Finding("a snapshot is not what was restored", data)
        return stage
