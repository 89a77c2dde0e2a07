"""The lake's tables: their columns and order, and which records of which topic become their rows.

Columns have the names, units and sentinels of the warm store. What differs: `chain` is in the path
only, as is the hour; times are timestamps, and null where they are not told.
"""

# The stubs of pyarrow leave the parameters of its generic classes open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mevstream.codecs.features import FeatureView
from mevstream.codecs.opportunities import OpportunityView
from mevstream.codecs.parsed import ParsedMessage, parsed_column, read_parsed
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import DEAD_LETTER, FEATURES, OPPORTUNITIES, PARSED, SLOTS
from mevstream.topologies.sinks.columns import (
    PARSED_TABLES,
    TRANSACTIONS,
    Column,
    Flush,
    Rows,
    Run,
    fixed_width,
)
from mevstream.topologies.sinks.market import market_rows
from mevstream.topologies.sinks.opportunities import opportunity_rows
from mevstream.topologies.sinks.rows import dead_letter_rows, letter_id, read_message, slot_rows
from mevstream.topologies.sinks.stream import Delivery

Place = tuple[str, int]
"""topic, partition."""

_MILLISECONDS = pa.timestamp("ms", tz="UTC")
_NANOSECONDS = pa.timestamp("ns", tz="UTC")
# Rows are made and sorted so many at a time, in whole slots: a row group of a file.
GROUP_TRANSACTIONS = 1 << 17


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the lake.

    order: columns that a file is sorted by. key: what tells two rows apart; a row that has the key
    of another is a copy. unique: columns of values that hardly ever come twice, and do not shrink.
    ranked: copies may differ, and the one with the largest version counts; else any of them does.
    """

    name: str
    schema: pa.Schema
    order: tuple[str, ...]
    key: tuple[str, ...]
    unique: tuple[str, ...] = ()
    ranked: bool = False

    def sorted(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows in the order of a file; those that are equal there keep theirs."""
        columns = [rows.column(name).to_numpy(zero_copy_only=False) for name in self.order]
        order: Any = np.lexsort(columns[::-1])
        if np.array_equal(order, np.arange(len(order))):
            return rows
        indexes: Any = fixed_width(pa.int64(), order)
        return rows.take(indexes)


@dataclass(frozen=True, slots=True)
class Part:
    """What one record adds to the lake.

    content: 16 bytes that are the same for the same content, at whatever offset it comes.
    seconds: Unix time of the block, else when it was first seen; 0 if nobody told.
    """

    topic: str
    partition: int
    offset: int
    content: bytes
    chain: str
    slot: int
    seconds: int
    payload: Any = field(repr=False)

    @property
    def place(self) -> Place:
        return self.topic, self.partition

    @property
    def hour(self) -> int:
        """Hours since the epoch."""
        return self.seconds // 3600


@dataclass(frozen=True, slots=True)
class Topic:
    """How records of a topic are read, and how many of them become rows: batches per table, in
    the order of slots, each within the bounds of a row group."""

    read: Callable[[Delivery], Part]
    rows: Callable[[Sequence[Part], Run, bool], Iterator[tuple[str, pa.RecordBatch]]]


def _lake_schema(columns: Iterable[tuple[str, pa.DataType]]) -> pa.Schema:
    times = {"block_time": _MILLISECONDS, "first_seen": _NANOSECONDS, "seen": _NANOSECONDS}
    fields = [
        pa.field(name, times.get(name, type_), nullable=name == "block_time")
        for name, type_ in columns
        if name != "chain"
    ]
    return pa.schema([*fields, pa.field("ingested_at", _MILLISECONDS, nullable=False)])


def _of_columns(columns: Sequence[Column]) -> pa.Schema:
    return _lake_schema((column.name, column.type) for column in columns)


_NO_RUN = Run("", 0)
_BLOCK = ("slot", "blockhash", "tx_index", "signature")
# Copies of an opportunity are told by several partitions, and have the same place in the order.
_OPPORTUNITY = ("slot", "blockhash", "id")
_OPPORTUNITY_TABLES = {
    "opportunities": (("slot", "tx_index", "ix_outer", "ix_inner"), _OPPORTUNITY),
    "opportunity_legs": (("slot", "id", "number"), (*_OPPORTUNITY, "number")),
    "opportunity_victims": (("slot", "id", "number"), (*_OPPORTUNITY, "number")),
}
_SLOT_EXTRA = {
    "seq": pa.int64(),
    "missing": pa.list_(pa.uint32()),
    "reporter": pa.dictionary(pa.int32(), pa.string()),
}

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table(
            "transactions",
            _of_columns(TRANSACTIONS),
            order=("slot", "tx_index"),
            key=_BLOCK,
            unique=("signature",),
        ),
        *(
            Table(
                name,
                _of_columns(columns),
                order=("slot", "tx_index", "ix_outer", "ix_inner", "leg"),
                key=(*_BLOCK, "ix_outer", "ix_inner", "leg"),
                unique=("signature",),
            )
            for name, (_, columns) in PARSED_TABLES.items()
            if name != "transactions"
        ),
        Table(
            "market_data",
            _lake_schema([(f.name, f.type) for f in market_rows([], _NO_RUN).schema]),
            order=("slot",),
            key=("slot", "blockhash", "pool", "mint_base", "mint_quote"),
        ),
        *(
            Table(
                name,
                _lake_schema([(f.name, f.type) for f in rows.schema]),
                *_OPPORTUNITY_TABLES[name],
                unique=tuple({"id", "signature"} & set(rows.schema.names)),
                ranked=True,
            )
            for name, rows in opportunity_rows([], _NO_RUN).items()
        ),
        Table(
            "slot_batches",
            _lake_schema(
                [(f.name, f.type) for f in slot_rows([], _NO_RUN).schema] + [*_SLOT_EXTRA.items()]
            ),
            order=("slot", "seq"),
            key=("slot", "blockhash", "seq", "commitment", "reporter", "missing"),
        ),
        Table(
            "dead_letters",
            _lake_schema([(f.name, f.type) for f in dead_letter_rows([], _NO_RUN).schema]),
            order=("slot", "seq", "position"),
            key=("slot", "id"),
            unique=("payload",),
        ),
    )
}


def _read_parsed(delivery: Delivery) -> Part:
    batch = read_parsed(delivery.value)
    # The rows of a block, or of single transactions, that the record holds.
    rows = parsed_column(batch, "tx_index" if batch.blockhash else "tx_signature")
    envelope = (batch.chain, batch.slot, batch.seq, batch.blockhash, batch.n_swaps)
    more = (batch.n_liquidity, batch.n_liquidations)
    envelope = (*envelope, *(more if any(more) else ()), batch.n_malformed)
    digest = hashlib.blake2b(repr(envelope).encode(), digest_size=16)
    digest.update(rows.data)
    return _part(
        delivery,
        digest.digest(),
        batch.chain,
        batch.slot,
        batch.block_time or batch.received_ns // 10**9,
        batch,
    )


def _read_features(delivery: Delivery) -> Part:
    view = FeatureView(delivery.value)
    view.validate()
    content = hashlib.blake2b(delivery.value, digest_size=16).digest()
    seconds = view.block_time or view.received_ns // 10**9
    return _part(delivery, content, view.chain, view.slot, seconds, view)


def _read_opportunities(delivery: Delivery) -> Part:
    view = OpportunityView(delivery.value)
    view.validate()
    content = hashlib.blake2b(delivery.value, digest_size=16).digest()
    seconds = view.block_time or view.received_ns // 10**9
    return _part(delivery, content, view.chain, view.slot, seconds, view)


def _read_slot(delivery: Delivery) -> Part:
    status = read_message(SlotStatus, delivery.topic, delivery.value)
    content = hashlib.blake2b(delivery.value, digest_size=16).digest()
    seconds = status.block_time or status.first_seen_ns // 10**9
    return _part(delivery, content, status.chain or "solana", status.slot, seconds, status)


def _read_letter(delivery: Delivery) -> Part:
    letter = read_message(DeadLetter, delivery.topic, delivery.value)
    seconds = letter.seen_ns // 10**9
    chain = letter.chain or "solana"
    return _part(delivery, letter_id(letter), chain, letter.slot, seconds, letter)


def _part(
    delivery: Delivery, content: bytes, chain: str, slot: int, seconds: int, payload: Any
) -> Part:
    return Part(
        delivery.topic,
        delivery.partition,
        delivery.offset,
        content,
        chain,
        slot,
        seconds if 0 <= seconds < 2**32 else 0,
        payload,
    )


def _parsed_rows(
    parts: Sequence[Part], run: Run, votes: bool
) -> Iterator[tuple[str, pa.RecordBatch]]:
    for batches in _whole_slots([part.payload for part in parts]):
        # As in the warm store: who asks for single transactions wants them, votes too.
        rows: list[Rows] = ["all" if votes or not b.blockhash else "no votes" for b in batches]
        flush = Flush(batches, rows, run)
        for table in PARSED_TABLES:
            yield table, _finished(TABLES[table], flush.rows(table), run)


def _whole_slots(batches: list[ParsedMessage]) -> Iterator[list[ParsedMessage]]:
    """The batches by slot, so many at a time as make a row group; a slot is not cut."""
    group: list[ParsedMessage] = []
    size = 0
    for batch in sorted(batches, key=lambda batch: batch.slot):
        if size >= GROUP_TRANSACTIONS and batch.slot != group[-1].slot:
            yield group
            group, size = [], 0
        group.append(batch)
        size += batch.n_tx
    if group:
        yield group


def _feature_rows(
    parts: Sequence[Part], run: Run, votes: bool
) -> Iterator[tuple[str, pa.RecordBatch]]:
    rows = market_rows([part.payload for part in parts], run)
    yield "market_data", _finished(TABLES["market_data"], rows, run)


def _opportunity_rows(
    parts: Sequence[Part], run: Run, votes: bool
) -> Iterator[tuple[str, pa.RecordBatch]]:
    for name, rows in opportunity_rows([part.payload for part in parts], run).items():
        yield name, _finished(TABLES[name], rows, run)


def _slot_rows(
    parts: Sequence[Part], run: Run, votes: bool
) -> Iterator[tuple[str, pa.RecordBatch]]:
    statuses: list[SlotStatus] = [part.payload for part in parts]
    rows = slot_rows(statuses, run)
    values: dict[str, list[Any]] = {
        "seq": [status.seq if status.HasField("seq") else -1 for status in statuses],
        "missing": [list(status.missing) for status in statuses],
        "reporter": [status.reporter for status in statuses],
    }
    for name, type_ in _SLOT_EXTRA.items():
        rows = rows.append_column(name, pa.array(values[name], type_))
    yield "slot_batches", _finished(TABLES["slot_batches"], rows, run)


def _letter_rows(
    parts: Sequence[Part], run: Run, votes: bool
) -> Iterator[tuple[str, pa.RecordBatch]]:
    rows = dead_letter_rows([part.payload for part in parts], run)
    yield "dead_letters", _finished(TABLES["dead_letters"], rows, run)


def _finished(table: Table, rows: pa.RecordBatch, run: Run) -> pa.RecordBatch:
    """Rows of the warm store as those of a file: the columns of its schema, sorted."""
    columns: list[Any] = []
    for column in table.schema:
        if column.name == "ingested_at":
            columns.append(pa.repeat(pa.scalar(run.version // 10**6, _MILLISECONDS), rows.num_rows))
        elif column.name == "block_time":
            seconds: Any = rows.column("block_time").to_numpy()
            told = np.packbits(seconds != 0, bitorder="little")
            time: Any = seconds.astype(np.int64) * 1000
            buffers: list[Any] = [pa.py_buffer(told.data), pa.py_buffer(time.data)]
            columns.append(pa.Array.from_buffers(_MILLISECONDS, len(time), buffers))
        else:
            columns.append(rows.column(column.name))
    return table.sorted(pa.RecordBatch.from_arrays(columns, schema=table.schema))


TOPICS: Mapping[str, Topic] = {
    PARSED: Topic(_read_parsed, _parsed_rows),
    FEATURES: Topic(_read_features, _feature_rows),
    OPPORTUNITIES: Topic(_read_opportunities, _opportunity_rows),
    SLOTS: Topic(_read_slot, _slot_rows),
    DEAD_LETTER: Topic(_read_letter, _letter_rows),
}
"""Every topic that the lake keeps. A new one is a row here and its tables in TABLES."""
