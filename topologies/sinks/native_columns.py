"""Arrow columns in ClickHouse's Native format, whole buffers at a time.

clickhouse-driver 0.2 writes FixedString and LowCardinality item by item from Python objects, and
with `use_numpy` by way of pandas (50 MB resident). For 65,536 keys that is 25 ms to make the
objects from Arrow's and 3 to write them, for as many dictionary codes 75 and 2. What a table of
this project has in these columns is in memory as the format wants it. Layouts:
https://clickhouse.com/docs/native-protocol/columns.
"""

# The stubs of pyarrow leave the parameters of its generic classes open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import re
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from mevstream.topologies.sinks.engine import EngineError

if TYPE_CHECKING:
    ArrowArray = pa.Array[Any]
else:
    ArrowArray = pa.Array

Write = Callable[[bytes | memoryview], object]

# Bytes of an item; the bits of a column pass unchanged where Arrow's type has as many.
_WIDTHS = {
    **dict.fromkeys(("Int8", "UInt8", "Bool", "Enum8"), 1),
    **dict.fromkeys(("Int16", "UInt16", "Date", "Enum16"), 2),
    **dict.fromkeys(("Int32", "UInt32", "Float32", "DateTime"), 4),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "DateTime64"), 8),
    **dict.fromkeys(("Int128", "UInt128"), 16),
}
# A dictionary of its own for this block, and keys into that one only.
_LOW_CARDINALITY_VERSION = 1
_OWN_DICTIONARY = 1 << 9 | 1 << 10


def write_column(write: Write, kind: str, column: ArrowArray) -> None:
    """Writes the values of a column of the ClickHouse type `kind`, after its name and type.

    Takes fixed-width numbers and times, FixedString, String and LowCardinality(String). Raises
    EngineError for an Arrow column that is not of this type or has nulls, before it writes.
    """
    name, _, inner = kind.partition("(")
    if column.null_count:
        raise EngineError(f"a column of type {kind} takes no nulls")
    if name == "FixedString":
        _write_fixed(write, kind, column, int(inner.rstrip(")")))
    elif name in _WIDTHS:
        _write_fixed(write, kind, column, _WIDTHS[name])
    elif kind == "String":
        _write_texts(write, kind, column)
    elif kind == "LowCardinality(String)":
        _write_low_cardinality(write, kind, column)
    else:
        raise EngineError(f"columns of type {kind} are not written here")


def _write_fixed(write: Write, kind: str, column: ArrowArray, width: int) -> None:
    if pa.types.is_boolean(column.type) or _width(column.type) != width:
        raise _mismatch(kind, column)
    write(_values(column, width))


def _write_texts(write: Write, kind: str, column: ArrowArray) -> None:
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
        raise _mismatch(kind, column)
    data = bytearray()
    for value in cast("list[bytes]", column.cast(pa.binary()).to_pylist()):
        data += _varint(len(value))
        data += value
    write(bytes(data))


def _write_low_cardinality(write: Write, kind: str, column: ArrowArray) -> None:
    if not isinstance(column, pa.DictionaryArray):
        raise _mismatch(kind, column)
    names, codes = cast(ArrowArray, column.dictionary), cast(ArrowArray, column.indices)
    key_type = next(n for n in range(4) if len(names) <= 1 << (8 << n))
    keys = np.frombuffer(_values(codes, 4), dtype=np.int32).astype(f"u{1 << key_type}")
    write(struct.pack("<QQQ", _LOW_CARDINALITY_VERSION, _OWN_DICTIONARY | key_type, len(names)))
    _write_texts(write, "String", names)
    write(struct.pack("<Q", len(codes)))
    write(keys.view(np.uint8).data)


def _values(column: ArrowArray, width: int) -> memoryview:
    buffer = column.buffers()[1]
    if buffer is None:
        return memoryview(b"")
    return memoryview(buffer).cast("B")[
        column.offset * width : (column.offset + len(column)) * width
    ]


def _width(type_: pa.DataType) -> int | None:
    try:
        return type_.bit_width // 8
    except ValueError:
        return None


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _mismatch(kind: str, column: ArrowArray) -> EngineError:
    told = re.sub(r"\s+", " ", str(column.type))
    return EngineError(f"an Arrow column of type {told} does not fit ClickHouse's {kind}")
