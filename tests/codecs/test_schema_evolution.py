"""A reader one version older, and one newer, than the writer.

The other versions of parsed.proto are made from today's by adding and removing fields.
"""

from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from mevstream.codecs.columns import NONE, ColumnSchema
from mevstream.codecs.parsed import SCHEMA, ParsedView, encode_parsed
from mevstream.schemas import parsed_pb2, raw_pb2

F = descriptor_pb2.FieldDescriptorProto
ADDED = {
    "tx_added_u32": (1000, F.TYPE_FIXED32),
    "tx_added_u64": (1001, F.TYPE_FIXED64),
    "swap_added_price": (1002, F.TYPE_DOUBLE),
    "swap_added_pool": (1003, F.TYPE_FIXED32),
}
REMOVED = ("tx_cu_price", "swap_router", "swap_price_after", "commitment", "names")


def version(added: dict[str, tuple[int, Any]], removed: tuple[str, ...] = ()) -> type[Message]:
    """ParsedBatch with other fields, in a pool of its own."""
    file = descriptor_pb2.FileDescriptorProto()
    parsed_pb2.DESCRIPTOR.CopyToProto(file)
    batch = file.message_type[0]
    kept = [field for field in batch.field if field.name not in removed]
    assert len(kept) == len(batch.field) - len(removed)
    del batch.field[:]
    batch.field.extend(kept)
    for name, (number, kind) in added.items():
        batch.field.add(name=name, number=number, type=kind, label=F.LABEL_REPEATED)
    if added:
        batch.field.add(name="added", number=1099, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
    raw = descriptor_pb2.FileDescriptorProto()
    raw_pb2.DESCRIPTOR.CopyToProto(raw)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(raw)
    pool.Add(file)
    name = f"{file.package}.{batch.name}"
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


TABLES: dict[str, Any] = {
    "leaders": ("tx_index", "swap_tx"),
    "widths": {"keys": 32, "tx_signature": 64},
}


class NewerView(ParsedView):
    schema = ColumnSchema(version(ADDED), **TABLES, defaults={"swap_added_pool": NONE})


def today() -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {}
    for name, dtype in SCHEMA.columns.items():
        rows = 5 if name.startswith("tx_") else 7
        shape = {"keys": (4, 32), "tx_signature": (5, 64)}.get(name, rows)
        columns[name] = rng.integers(0, 4, shape).astype(dtype)
    return {"slot": 9, "names": ["a", "b", "c", "d"], "commitment": 3}, columns


def test_newer_reader_of_todays_batch() -> None:
    envelope, columns = today()
    view = NewerView(encode_parsed(envelope, columns))
    view.validate()
    for name, column in columns.items():
        assert getattr(view, name).tobytes() == column.tobytes(), name
    assert view.tx_added_u32.tolist() == [0] * 5
    assert view.tx_added_u64.tolist() == [0] * 5
    assert np.isnan(view.swap_added_price).tolist() == [True] * 7
    assert view.swap_added_pool.tolist() == [NONE] * 7


@pytest.mark.parametrize("ours", [True, False], ids=["written by us", "written by protobuf"])
def test_todays_reader_of_a_newer_batch(ours: bool) -> None:
    envelope, columns = today()
    newer = {
        "tx_added_u32": np.arange(5, dtype="<u4"),
        "tx_added_u64": np.arange(5, dtype="<u8"),
        "swap_added_price": np.arange(7.0),
        "swap_added_pool": np.arange(7, dtype="<u4"),
    }
    if ours:
        data = NewerView.schema.write({**envelope, "added": "later"}, {**columns, **newer})
    else:
        message = version(ADDED)(**envelope, added="later")
        for name, column in {**columns, **newer}.items():
            if column.dtype == np.uint8:
                setattr(message, name, column.tobytes())
            else:
                getattr(message, name).extend(column.tolist())
        data = message.SerializeToString()
    view = ParsedView(data)
    view.validate()
    assert (view.slot, view.commitment, view.names) == (9, 3, ["a", "b", "c", "d"])
    for name, column in columns.items():
        assert getattr(view, name).tobytes() == column.tobytes(), name
    assert not hasattr(view, "tx_added_u32")
    again = NewerView(data)
    assert again.tx_added_u64.tolist() == [0, 1, 2, 3, 4]
    assert again.swap_added_pool.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_todays_reader_of_an_older_batch() -> None:
    _, columns = today()
    older = ColumnSchema(version({}, REMOVED), **TABLES)
    kept = {name: column for name, column in columns.items() if name not in REMOVED}
    view = ParsedView(older.write({"slot": 9}, kept))
    for name, column in kept.items():
        assert getattr(view, name).tobytes() == column.tobytes(), name
    assert view.tx_cu_price.tolist() == [0] * 5
    assert view.swap_router.tolist() == [NONE] * 7
    assert np.isnan(view.swap_price_after).all()
    assert view.commitment == 0
    assert view.names == []


def test_older_reader_of_todays_batch() -> None:
    envelope, columns = today()
    older = ColumnSchema(version({}, REMOVED), **TABLES)
    message, read = older.read(encode_parsed(envelope, columns))
    assert message.slot == 9  # pyright: ignore[reportAttributeAccessIssue]
    assert read.keys() == columns.keys() - set(REMOVED)
    for name, column in read.items():
        assert column.tobytes() == columns[name].tobytes(), name
