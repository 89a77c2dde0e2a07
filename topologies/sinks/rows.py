"""SlotStatus and DeadLetter messages as rows of the tables `slots` and `dead_letters`."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from mevstream.errors import InputError
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.raw_pb2 import Commitment
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.sinks.columns import (
    KEY,
    NAME,
    SCHEMA_VERSION,
    Array,
    ArrowArray,
    Run,
    Values,
    block_time,
    fixed_width,
    key_bytes,
    record_batch,
    texts,
)

# Numbers of SlotStatus that are stored as they are, under the name that they have there.
_INTEGERS = {
    FieldDescriptor.CPPTYPE_UINT32: pa.uint32(),
    FieldDescriptor.CPPTYPE_UINT64: pa.uint64(),
}
# The first is a time; the others are told of single batches.
_NOT_STORED = {"first_seen_ns", "seq", "missing", "missing_from"}
_SLOT_VALUES: dict[str, pa.DataType] = {
    field.name: _INTEGERS[field.cpp_type]
    for field in SlotStatus.DESCRIPTOR.fields
    if field.cpp_type in _INTEGERS and field.name not in _NOT_STORED
}

_MessageT = TypeVar("_MessageT", SlotStatus, DeadLetter)


def read_message(kind: type[_MessageT], topic: str, value: bytes) -> _MessageT:
    """The message that a record of the topic is. Raises InputError."""
    try:
        return kind.FromString(value)
    except DecodeError:
        raise InputError(f"{topic}: not a {kind.__name__} message") from None


@dataclass(frozen=True, slots=True)
class Part:
    """What a partition has of one raw batch: its counts and where it belongs."""

    status: SlotStatus
    partition: int
    partitions: int
    stored: bool
    began: int
    """When its block came, in nanoseconds."""


def slot_rows(
    statuses: Collection[SlotStatus], run: Run, versions: Sequence[int] | None = None
) -> pa.RecordBatch:
    """Rows of `slots`; a number that is not told is 0, a hash 32 zero bytes. The versions are
    those of the run unless they are given."""
    columns = _slot_columns(statuses, run)
    if versions is not None:
        columns["version"] = (pa.uint64(), np.array(versions, dtype=np.uint64))
    return record_batch(columns)


def batch_rows(statuses: Sequence[SlotStatus], run: Run) -> pa.RecordBatch:
    """Rows of `slot_batches`, of statuses of single batches."""
    return record_batch({**_slot_columns(statuses, run), "seq": _numbers(s.seq for s in statuses)})


def part_rows(parts: Sequence[Part], run: Run) -> pa.RecordBatch:
    """Rows of `slot_parts`."""
    return record_batch(
        {
            **_slot_columns([part.status for part in parts], run),
            "seq": _numbers(part.status.seq for part in parts),
            "partitions": _numbers(part.partitions for part in parts),
            "partition": _numbers(part.partition for part in parts),
            "stored": (pa.uint8(), np.array([part.stored for part in parts], dtype=np.uint8)),
            "began": (pa.uint64(), np.array([part.began for part in parts], dtype=np.uint64)),
        }
    )


def gap_rows(statuses: Iterable[SlotStatus], run: Run) -> pa.RecordBatch:
    """Rows of `slot_gaps`: one for each missing batch, or one for a slot that is missing."""
    gaps = [(status, seq) for status in statuses for seq in (status.missing or (-1,))]
    return record_batch(
        {
            "chain": (NAME, _labels([status.chain for status, _ in gaps])),
            "slot": (pa.uint64(), np.array([status.slot for status, _ in gaps], dtype=np.uint64)),
            "blockhash": (KEY, _keys([status.blockhash for status, _ in gaps])),
            "seq": (pa.int64(), np.array([seq for _, seq in gaps], dtype=np.int64)),
            "reporter": (NAME, _labels([status.reporter for status, _ in gaps])),
            **_common(run, len(gaps)),
        }
    )


def _slot_columns(
    statuses: Collection[SlotStatus], run: Run
) -> dict[str, tuple[pa.DataType, Values]]:
    values = {
        name: (type_, np.array([getattr(status, name) for status in statuses], dtype=np.uint64))
        for name, type_ in _SLOT_VALUES.items()
    }
    return {
        "chain": (NAME, _labels([status.chain for status in statuses])),
        **values,
        "commitment": (
            pa.int8(),
            np.array([_commitment(status) for status in statuses], dtype=np.int8),
        ),
        "blockhash": (KEY, _keys([status.blockhash for status in statuses])),
        "parent_blockhash": (KEY, _keys([status.parent_blockhash for status in statuses])),
        "block_time": (
            pa.uint32(),
            np.array([block_time(status.block_time) for status in statuses], dtype=np.uint32),
        ),
        "source": (NAME, _labels([status.source for status in statuses])),
        "first_seen": _nanoseconds([status.first_seen_ns for status in statuses]),
        **_common(run, len(statuses)),
    }


def dead_letter_rows(letters: Sequence[DeadLetter], run: Run) -> pa.RecordBatch:
    """Rows of `dead_letters`; a number that is not told is -1, a slot 0."""
    columns: dict[str, tuple[pa.DataType, Values]] = {
        "chain": (NAME, _labels([letter.chain or "solana" for letter in letters])),
        "slot": (pa.uint64(), np.array([letter.slot for letter in letters], dtype=np.uint64)),
        "seq": (pa.int64(), _optional("seq", letters)),
        "position": (pa.int64(), _optional("position", letters)),
        "id": (pa.binary(16), np.array([letter_id(letter) for letter in letters], dtype="V16")),
        "stage": (NAME, _labels([letter.stage for letter in letters])),
        "error": (pa.string(), texts([letter.error for letter in letters], pa.string())),
        "topic": (NAME, _labels([letter.topic for letter in letters])),
        "kafka_partition": (
            pa.int32(),
            np.array([letter.partition for letter in letters], dtype=np.int32),
        ),
        "kafka_offset": (
            pa.int64(),
            np.array([letter.offset for letter in letters], dtype=np.int64),
        ),
        "payload": (pa.binary(), texts([letter.payload for letter in letters], pa.binary())),
        "seen": _nanoseconds([letter.seen_ns for letter in letters]),
        **_common(run, len(letters)),
    }
    return record_batch(columns)


def letter_id(letter: DeadLetter) -> bytes:
    """16 bytes that are the same for the same record from the same place, whenever it comes."""
    place = (letter.chain, letter.slot, letter.seq, letter.position, letter.stage)
    digest = hashlib.blake2b(repr(place).encode(), digest_size=16)
    digest.update(letter.payload)
    return digest.digest()


def _commitment(status: SlotStatus) -> int:
    """A value that only a newer version knows is one that nobody told."""
    known = status.commitment in Commitment.values()
    return status.commitment if known else Commitment.COMMITMENT_UNKNOWN


def _common(run: Run, rows: int) -> dict[str, tuple[pa.DataType, Values]]:
    return {
        "schema_version": (pa.uint16(), np.full(rows, SCHEMA_VERSION, dtype=np.uint16)),
        "run_id": (NAME, (np.zeros(rows, dtype=np.int32), [run.run_id])),
        "version": (pa.uint64(), np.full(rows, run.version, dtype=np.uint64)),
    }


def _labels(values: Sequence[str]) -> tuple[Array, list[str]]:
    unique: dict[str, int] = {}
    codes = [unique.setdefault(value, len(unique)) for value in values]
    return np.array(codes, dtype=np.int32), list(unique)


def _keys(values: Sequence[bytes]) -> Array:
    return np.array([key_bytes(value) for value in values], dtype="V32")


def _numbers(values: Iterable[int]) -> tuple[pa.DataType, Array]:
    return pa.uint32(), np.array(list(values), dtype=np.uint32)


def _optional(name: str, letters: Sequence[DeadLetter]) -> Array:
    values = [getattr(letter, name) if letter.HasField(name) else -1 for letter in letters]
    return np.array(values, dtype=np.int64)


def _nanoseconds(values: Sequence[int]) -> tuple[pa.DataType, ArrowArray]:
    type_ = pa.timestamp("ns", tz="UTC")
    return type_, fixed_width(type_, np.array(values, dtype=np.uint64))
