"""Columnar batches beside what else carries a table: 5,000 rows of 25 numeric columns.

Encoding goes from numpy arrays to the bytes of one message, decoding from those bytes to
something that gives numpy arrays. All rivals carry the same values; that is checked first.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import ptars
import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from numpy.typing import NDArray

from benchmarks.harness import Report, Row, interleaved
from mevstream.codecs.columns import ColumnSchema

ROWS = 5_000
# A sample is several calls one after another, as a stage makes them, divided by their number;
# row messages take so long that one call is enough.
REPETITIONS, CALLS, SLOW_REPETITIONS = 40, 10, 10
# As many of each width as one swap row has, and one more.
TYPES = ["fixed32"] * 16 + ["fixed64"] * 8 + ["double"]
DTYPES = {"fixed32": np.dtype("<u4"), "fixed64": np.dtype("<u8"), "double": np.dtype("<f8")}
NAMES = [f"c{i}" for i in range(len(TYPES))]

Columns = dict[str, NDArray[Any]]


def message_classes() -> tuple[type[Any], type[Any]]:
    """(a message of packed columns with room for padding, a message of row messages)."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="bench", syntax="proto3")
    batch, row, rows = (file.message_type.add(name=name) for name in ("Batch", "Row", "Rows"))
    batch.field.add(name="padding", number=15, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
    for number, (name, kind) in enumerate(zip(NAMES, TYPES, strict=True), 16):
        kind = field.Type.Value(f"TYPE_{kind.upper()}")
        batch.field.add(name=name, number=number, type=kind, label=field.LABEL_REPEATED)
        row.field.add(name=name, number=number - 15, type=kind, label=field.LABEL_OPTIONAL)
    rows.field.add(
        name="rows",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".bench.Row",
        label=field.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = (pool.FindMessageTypeByName(f"bench.{name}") for name in ("Batch", "Rows"))
    batch_class, rows_class = (message_factory.GetMessageClass(message) for message in found)
    return batch_class, rows_class


def random_columns() -> Columns:
    rng = np.random.default_rng(1)
    return {
        name: np.frombuffer(rng.bytes(ROWS * DTYPES[kind].itemsize), DTYPES[kind])
        if kind != "double"
        else rng.random(ROWS)
        for name, kind in zip(NAMES, TYPES, strict=True)
    }


class Mevstream:
    def __init__(self, batch_class: type[Message]) -> None:
        self.schema = ColumnSchema(batch_class, leaders=["c0"])

    def encode(self, columns: Columns) -> bytes:
        return self.schema.write({}, columns)

    def decode(self, data: bytes) -> Columns:
        return self.schema.read(data)[1]


class UpbPacked:
    """The same message, by the protobuf class."""

    def __init__(self, batch_class: type[Message]) -> None:
        self.batch_class = batch_class

    def encode(self, columns: Columns) -> bytes:
        lists = {name: column.tolist() for name, column in columns.items()}
        return self.batch_class(**lists).SerializeToString()

    def decode(self, data: bytes) -> Columns:
        message = self.batch_class.FromString(data)
        return {name: np.asarray(getattr(message, name)) for name in NAMES}


class UpbRows:
    """One protobuf message a row."""

    def __init__(self, rows_class: type[Any]) -> None:
        self.rows_class = rows_class

    def encode(self, columns: Columns) -> bytes:
        message = self.rows_class()
        add = message.rows.add
        for values in zip(*(column.tolist() for column in columns.values()), strict=True):
            add(**dict(zip(NAMES, values, strict=True)))
        return message.SerializeToString()

    def decode(self, data: bytes) -> Columns:
        rows = self.rows_class.FromString(data).rows
        return {
            name: np.array([getattr(row, name) for row in rows], DTYPES[kind])
            for name, kind in zip(NAMES, TYPES, strict=True)
        }


class ArrowIpc:
    """A stream of one record batch, schema included: as self-contained as a message."""

    def encode(self, columns: Columns) -> bytes:
        batch = pa.record_batch([pa.array(column) for column in columns.values()], names=NAMES)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return sink.getvalue().to_pybytes()

    def decode(self, data: bytes) -> Columns:
        batch = pa.ipc.open_stream(data).read_next_batch()
        return {name: batch.column(i).to_numpy() for i, name in enumerate(NAMES)}


class Ptars:
    """The same message, by ptars: one Arrow row whose columns are lists."""

    def __init__(self, batch_class: type[Message]) -> None:
        descriptor = batch_class.DESCRIPTOR
        self.handler = ptars.HandlerPool([descriptor.file]).get_for_message(descriptor)
        self.schema = self.handler.schema()
        self.list_array: Any = pa.ListArray  # whose stub knows no array of any type

    def encode(self, columns: Columns) -> bytes:
        arrays = [
            pa.array([b""], field.type)
            if field.name == "padding"
            else self.list_array.from_arrays([0, ROWS], columns[field.name], type=field.type)
            for field in self.schema
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        return self.handler.record_batch_to_array(batch)[0].as_py()

    def decode(self, data: bytes) -> Columns:
        batch = self.handler.list_to_record_batch([data])
        return {name: batch.column(name).flatten().to_numpy() for name in NAMES}


def several(call: Callable[[], object]) -> None:
    for _ in range(CALLS):
        call()


def run() -> Report:
    """An `encode` and a `decode` row for each rival; the baseline is a copy of the message."""
    batch_class, rows_class = message_classes()
    columns = random_columns()
    rivals = {
        "mevstream": Mevstream(batch_class),
        "Arrow IPC": ArrowIpc(),
        "ptars": Ptars(batch_class),
        "upb, packed columns": UpbPacked(batch_class),
        "upb, row messages": UpbRows(rows_class),
    }
    quick: dict[str, Callable[[], object]] = {}
    slow: dict[str, Callable[[], object]] = {}
    for name, rival in rivals.items():
        data = rival.encode(columns)
        decoded = rival.decode(data)
        assert all(np.array_equal(decoded[column], columns[column]) for column in NAMES), name
        group = slow if isinstance(rival, UpbRows) else quick
        group[f"encode: {name}"] = partial(rival.encode, columns)
        group[f"decode: {name}"] = partial(rival.decode, data)
    message = rivals["mevstream"].encode(columns)
    source, target = np.frombuffer(message, np.uint8), np.empty(len(message), np.uint8)
    quick["memcpy"] = partial(np.copyto, target, source)
    repeated = {name: partial(several, call) for name, call in quick.items()}
    rows = [
        Row(row.name, row.median / CALLS, row.minimum / CALLS)
        for row in interleaved(repeated, REPETITIONS)
    ]
    rows += interleaved(slow, SLOW_REPETITIONS)
    order = {"memcpy": 0, "encode": 1, "decode": 2}
    rows.sort(key=lambda row: order[row.name.partition(":")[0]])
    return Report(
        title="Columnar batches",
        rows=rows,
        baseline="memcpy",
        facts={"rows": ROWS, "columns": len(NAMES), "bytes": len(message)},
    )
