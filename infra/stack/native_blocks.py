"""ClickHouse's Native format as far as finding where a block ends needs it.

Layouts: https://clickhouse.com/docs/native-protocol. A block is its number of columns and of rows,
then for each column name, type and values; how long the values are depends on the type.
"""

import re
from collections.abc import Callable, Iterator
from typing import IO

_FIXED_SIZES = {
    name: size
    for size, names in {
        1: "UInt8 Int8 Bool Enum8 Nothing",
        2: "UInt16 Int16 Date Enum16 BFloat16",
        4: "UInt32 Int32 Float32 Date32 DateTime IPv4 Decimal32 Time",
        8: "UInt64 Int64 Float64 DateTime64 Decimal64 Time64",
        16: "UInt128 Int128 UUID IPv6 Decimal128",
        32: "UInt256 Int256 Decimal256",
    }.items()
    for name in names.split()
}
_DECIMAL_SIZES = ((9, 4), (18, 8), (38, 16), (76, 32))
_READ_BYTES = 1 << 20


class NativeReader:
    """Reads values of the protocol from a source and remembers the bytes since `mark`.

    `receive` gives up to so many bytes, none at the end of the data. Every method raises EOFError
    where the data ends within a value and ValueError for a type that it does not know.
    """

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._buffer = bytearray()
        self._at = 0

    def mark(self) -> None:
        """Forgets what was read."""
        del self._buffer[: self._at]
        self._at = 0

    def marked(self) -> bytes:
        """The bytes read since the mark."""
        with memoryview(self._buffer) as view:
            return bytes(view[: self._at])

    def write_marked(self, file: IO[bytes]) -> None:
        """Writes them to a file, without another copy."""
        with memoryview(self._buffer) as view:
            rest = view[: self._at]
            while rest:
                rest = rest[file.write(rest) :]
            rest.release()

    def at_end(self) -> bool:
        """Whether there is nothing more to read; waits for the source."""
        return self._at == len(self._buffer) and not self._fill()

    def skip(self, size: int) -> None:
        while len(self._buffer) - self._at < size:
            if not self._fill():
                raise EOFError("the data ends within a value")
        self._at += size

    def take(self, size: int) -> bytes:
        start = self._at
        self.skip(size)
        return bytes(self._buffer[start : self._at])

    def number(self, size: int) -> int:
        """A little-endian unsigned integer of so many bytes."""
        return int.from_bytes(self.take(size), "little")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a variable-length number is too long")

    def text(self) -> str:
        return self.take(self.varint()).decode()

    def block(self) -> tuple[list[tuple[str, str]], int]:
        """Reads one block; (name and type of each column, rows)."""
        columns, rows = self.varint(), self.varint()
        head: list[tuple[str, str]] = []
        for _ in range(columns):
            name, kind = self.text(), self.text()
            head.append((name, kind))
            if rows:
                self._skip_prefix(kind)
                self._skip_values(kind, rows)
        return head, rows

    def _fill(self) -> bool:
        data = self._receive(_READ_BYTES)
        self._buffer += data
        return bool(data)

    def _skip_prefix(self, kind: str) -> None:
        name, inner = split_type(kind)
        if name == "LowCardinality":
            self.skip(8)
        elif name in ("Array", "Nullable", "Map", "Tuple"):
            for one in inner:
                self._skip_prefix(one)

    def _skip_values(self, kind: str, rows: int) -> None:
        name, inner = split_type(kind)
        if not rows:
            return
        if size := _FIXED_SIZES.get(name):
            self.skip(size * rows)
        elif name == "FixedString":
            self.skip(int(inner[0]) * rows)
        elif name == "Decimal":
            precision = int(inner[0])
            self.skip(rows * next(size for most, size in _DECIMAL_SIZES if precision <= most))
        elif name == "String":
            for _ in range(rows):
                self.skip(self.varint())
        elif name == "Nullable":
            self.skip(rows)
            self._skip_values(inner[0], rows)
        elif name == "Tuple":
            for one in inner:
                self._skip_values(one, rows)
        elif name in ("Array", "Map"):
            # The last offset is the number of elements in all rows.
            self.skip(8 * (rows - 1))
            elements = self.number(8)
            for one in inner:
                self._skip_values(one, elements)
        elif name == "LowCardinality":
            index_size = 1 << (self.number(8) & 0xFF)
            # NULL is an entry of the dictionary, which itself is not nullable.
            dictionary = inner[0].removeprefix("Nullable(").removesuffix(")")
            if not inner[0].startswith("Nullable("):
                dictionary = inner[0]
            self._skip_values(dictionary, self.number(8))
            self.skip(index_size * self.number(8))
        else:
            raise ValueError(f"columns of type {kind} are not supported")


def split_type(kind: str) -> tuple[str, list[str]]:
    """`Map(String, Array(UInt8))` → `Map`, [`String`, `Array(UInt8)`]; names of the elements of a
    tuple are left out."""
    name, bracket, rest = kind.partition("(")
    if not bracket:
        return name, []
    inner = [part.strip() for part in _split(rest[:-1])]
    if name == "Tuple":
        inner = [re.sub(r"^(?:`[^`]*`|\w+) (?=[A-Z])", "", part) for part in inner]
    return name, inner


def _split(text: str) -> Iterator[str]:
    depth, start = 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield text[start:at]
            start = at + 1
    yield text[start:]
