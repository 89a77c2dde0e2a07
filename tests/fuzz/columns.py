"""Target: the column reader, held against protobuf on the same bytes."""

from random import Random
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from fuzz.mutate import flip_bytes, mutate_wire
from fuzz.oracle import Finding
from fuzz.wire import varint
from mevstream.cext.references import TABLES
from mevstream.codecs.columns import NONE, ColumnSchema
from mevstream.codecs.parsed import (
    KEY_COLUMNS,
    NAME_COLUMNS,
    SCHEMA,
    ParsedView,
    open_parsed,
)
from mevstream.errors import InputError
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.topologies.parsed.market import open_split

# Without tables and row widths nothing but protobuf's own rules is left to check.
PLAIN = ColumnSchema(ParsedBatch, widths={"keys": 1, "tx_signature": 1})
NUMBERS = [*(field.number for field in ParsedBatch.DESCRIPTOR.fields), 14, 19, 1000, 2**29 - 1]


def judge(data: bytes) -> bool:
    """Whether `data` was read, by both alike: same verdict, same values, same rest."""
    try:
        expected = ParsedBatch.FromString(data)
    except DecodeError:
        expected = None
    try:
        envelope, columns = PLAIN.read(data)
    except InputError:
        if expected is not None:
            raise Finding("refuses what protobuf reads", data) from None
        return False
    if expected is None:
        raise Finding("reads what protobuf refuses", data)
    for name, column in columns.items():
        value = getattr(expected, name)
        wanted = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else np.array(value)
        if column.tobytes() != wanted.astype(column.dtype).tobytes():
            raise Finding(f"{name} is not what protobuf reads", data)
        if column.flags.writeable:
            raise Finding(f"{name} can be written", data)
        expected.ClearField(name)
    expected.ClearField("padding")
    # As bytes: NaN is unequal to itself, and unknown fields count.
    if envelope.SerializeToString() != expected.SerializeToString():
        raise Finding("the rest is not what protobuf reads", data)
    return True


def batch(random: Random) -> bytes:
    """A valid message with a few rows in some of the columns, and some of the envelope."""
    message = ParsedBatch(
        slot=random.getrandbits(64),
        block_time=random.getrandbits(31) - 2**30,
        last=True,
        source="quelle ✓",
        names=["orca_whirlpool", ""],
        keys=random.randbytes(64),
        tx_signature=random.randbytes(64),
        padding=bytes(random.randrange(9)),
    )
    for field in message.DESCRIPTOR.fields:
        if field.is_packed:
            values = [random.getrandbits(31) for _ in range(random.randrange(4))]  # any type's
            getattr(message, field.name).extend(values)
    return message.SerializeToString()


def fields(random: Random, depth: int = 0) -> bytes:
    """Fields of any number and wire type, mostly well formed: messages that no encoder makes."""
    out = b""
    for _ in range(random.randrange(8)):
        number, wire = random.choice(NUMBERS), random.choice((0, 1, 2, 2, 2, 3, 5))
        longer = random.choice((0, 0, 0, 2))
        out += varint(number << 3 | wire, longer)
        if wire == 0:
            out += varint(random.getrandbits(random.choice((1, 7, 32, 64))), longer)
        elif wire == 1:
            out += random.randbytes(8)
        elif wire == 2:
            size = random.choice((0, 4, 8, 16, 24, random.randrange(40)))
            out += varint(size, longer) + random.choice((random.randbytes(size), b"a" * size))
        elif wire == 5:
            out += random.randbytes(4)
        else:
            out += (fields(random, depth + 1) if depth < 4 else b"") + varint(number << 3 | 4)
    return out


class PartsTarget:
    """ParsedBatch messages parted by market: refused, or parted so that the rows add up."""

    name = "parts"
    inputs_a_turn = 16

    def __init__(self, random: Random) -> None:
        self.random = random
        self.split = open_split([bytes(range(32))])

    def generate(self) -> bytes:
        random = self.random
        sizes, names = {table: random.randrange(5) for table in TABLES}, ["a", "unknown"]
        rows = sizes["tx"]
        message = ParsedBatch(
            seq=random.getrandbits(3), names=names, keys=bytes(range(32)) + random.randbytes(64)
        )
        for field in message.DESCRIPTOR.fields:
            table = field.name.partition("_")[0]
            if not field.is_packed or field.name.endswith("_replica") or random.random() < 0.05:
                continue
            size = sizes.get(table, 2) if rows or table not in TABLES else 0
            most = 2 if field.name in NAME_COLUMNS else max(rows, 1)
            most = 3 if field.name in KEY_COLUMNS else most
            values = [random.randrange(most) for _ in range(size)]
            if random.random() < 0.1 and values:
                signed = field.type == field.TYPE_SFIXED32
                values[-1] = random.choice((-1 if signed else NONE, most, random.getrandbits(31)))
            getattr(message, field.name).extend(values)
        data: Any = message.SerializeToString()
        for _ in range(random.choice((0, 0, 0, 1, 2))):
            data = mutate_wire(data, ParsedBatch.DESCRIPTOR, random)
        return flip_bytes(data, random) if random.random() < 0.1 else data

    def check(self, data: bytes) -> int:
        try:
            whole = ParsedView(data)
            whole.validate()
        except InputError:
            whole = None
        for partitions in (1, 2, 5):
            try:
                parts = self.split(data, partitions)
            except InputError as error:
                if "\n" in str(error):
                    raise Finding("more than one line of error", data) from None
                continue
            if whole is None:
                continue  # an envelope that is not valid is copied as it is
            views = [ParsedView(part) for part in parts]
            for view in views:
                view.validate()
            for table in TABLES:
                rows = len(getattr(whole, f"{table}_{'index' if table == 'tx' else 'tx'}"))
                home = sum(int((getattr(v, f"{table}_replica") == 0).sum()) for v in views)
                if home != rows:
                    raise Finding(f"{home} {table} rows at home of {rows}", data)
            if any(view.n_links != whole.n_links for view in views):
                raise Finding("a part without all links", data)
        return 3


class ColumnsTarget:
    """ParsedBatch messages, mutated, and fields put together at random."""

    name = "columns"
    inputs_a_turn = 16

    def __init__(self, random: Random) -> None:
        self.random = random
        self.seeds = [batch(random) for _ in range(20)]

    def generate(self) -> bytes:
        random = self.random
        data: Any = random.choice(self.seeds) if random.random() < 0.6 else fields(random)
        for _ in range(random.choice((0, 1, 1, 2, 4))):
            data = mutate_wire(data, ParsedBatch.DESCRIPTOR, random)
        return flip_bytes(data, random) if random.random() < 0.3 else data

    def check(self, data: bytes) -> int:
        judge(data)
        try:
            view = ParsedView(data)
            view.validate()
            rows = open_parsed([view, view]).rows()
            for name in SCHEMA.columns:
                if name.partition("_")[0] in TABLES:
                    rows.column(name)
            for name in KEY_COLUMNS:
                if name.partition("_")[0] in TABLES:
                    rows.keys(name)
        except InputError as error:
            if "\n" in str(error):
                raise Finding("more than one line of error", data) from None
        return 1
