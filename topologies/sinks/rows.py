"""SlotStatus and DeadLetter messages as rows of the tables `slots` and `dead_letters`."""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
from google.protobuf.descriptor import FieldDescriptor

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
_NOT_STORED = {"first_seen_ns", "seq", "missing"}
_SLOT_VALUES: dict[str, pa.DataType] = {
    field.name: _INTEGERS[field.cpp_type]
    for field in SlotStatus.DESCRIPTOR.fields
    if field.cpp_type in _INTEGERS and field.name not in _NOT_STORED
}


def slot_rows(statuses: Collection[SlotStatus], run: Run) -> pa.RecordBatch:
    """Rows of `slots`; a number that is not told is 0, a hash 32 zero bytes."""
    values = {
        name: (type_, np.array([getattr(status, name) for status in statuses], dtype=np.uint64))
        for name, type_ in _SLOT_VALUES.items()
    }
    columns: dict[str, tuple[pa.DataType, Values]] = {
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
    return record_batch(columns)


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


def _optional(name: str, letters: Sequence[DeadLetter]) -> Array:
    values = [getattr(letter, name) if letter.HasField(name) else -1 for letter in letters]
    return np.array(values, dtype=np.int64)


def _nanoseconds(values: Sequence[int]) -> tuple[pa.DataType, ArrowArray]:
    type_ = pa.timestamp("ns", tz="UTC")
    return type_, fixed_width(type_, np.array(values, dtype=np.uint64))
