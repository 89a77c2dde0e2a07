"""How ParsedBatch columns become rows of the warm store: the mapping, and its execution.

TRANSACTIONS, SWAPS, LIQUIDITY and LIQUIDATIONS name each table column once, with where it comes
from. Everything is numpy on whole flushes of many batches: nothing is done per row in Python.
"""

# The stubs of pyarrow leave the parameters of its generic classes open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mevstream.cext.gather import Messages
from mevstream.codecs.parsed import (
    LIQUIDATION_KINDS,
    LIQUIDITY_KINDS,
    VOTE,
    ParsedMessage,
    open_parsed,
)

SCHEMA_VERSION = 1
"""Written to every row; changes when the meaning of a column does."""

NO_KEY = bytes(32)

if TYPE_CHECKING:
    ArrowArray = pa.Array[Any]
else:
    ArrowArray = pa.Array

Array = NDArray[Any]
Rows = Literal["all", "no votes"] | Array
"""Which transactions of a batch become rows; an array has a bool per transaction."""

Values = Array | tuple[Array, list[str]] | ArrowArray
"""A column: numbers or fixed-width items, (codes, texts), or Arrow already."""

KEY, SIGNATURE = pa.binary(32), pa.binary(64)
NAME = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, slots=True)
class Run:
    """What every row of one flush has in common."""

    run_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Column:
    """A table column: its name, its Arrow type, and how a flush computes it (`n` values)."""

    name: str
    type: pa.DataType
    compute: Callable[["Flush"], Values]


class Flush:
    """The batches that are written together, seen as the tables of PARSED_TABLES.

    `rows` tells for each batch which of its transactions become rows; what they did does, too.
    Of a part of a batch only the rows at home do: of every row there is one part where it is.
    A vote that swaps is kept in any case. Column methods return arrays with a value per kept
    row of the column's table.
    """

    def __init__(self, batches: Sequence[ParsedMessage], rows: Sequence[Rows], run: Run) -> None:
        self.run = run
        self._batches = batches
        opened = open_parsed(batches)
        self._rows = opened.rows(_kept(opened, rows))
        self._counts = self._rows.n_rows
        self._sizes = {table: int(counts.sum()) for table, counts in self._counts.items()}

    @property
    def n_transactions(self) -> int:
        return self._sizes["tx"]

    @property
    def n_swaps(self) -> int:
        return self._sizes["swap"]

    def value(self, source: str) -> Array:
        """A column as it is."""
        return self._rows.column(source)

    def of_transaction(self, source: str, table: str) -> Array:
        """A tx_* column, for each row of a table."""
        return self._rows.column(source, each=table)

    def batch(self, table: str, attribute: Callable[[ParsedMessage], Any], dtype: Any) -> Array:
        """A value of the envelope, repeated for the rows of its batch."""
        values = np.array([attribute(batch) for batch in self._batches], dtype=dtype)
        return np.repeat(values, self._counts[table])

    def key(self, source: str, *, each: str | None = None) -> Array:
        """A key column as 32-byte items; NO_KEY for none. With `each` one of the transactions, for
        each row of that table."""
        return self._rows.keys(source, each=each)

    def name(self, source: str) -> tuple[Array, list[str]]:
        """A name column as (int32 codes, names); the empty name for none."""
        codes, unique = self._names
        return self._rows.codes(source, codes, unique[""]), list(unique)

    def label(
        self, table: str, attribute: Callable[[ParsedMessage], str]
    ) -> tuple[Array, list[str]]:
        """A text of the envelope, as (int32 codes, texts)."""
        unique: dict[str, int] = {}
        codes = self.batch(
            table, lambda batch: unique.setdefault(attribute(batch), len(unique)), np.int32
        )
        return codes, list(unique)

    def constant(self, table: str, value: Any, dtype: Any) -> Array:
        return np.full(self._sizes[table], value, dtype=dtype)

    @cached_property
    def _names(self) -> tuple[NDArray[np.int32], dict[str, int]]:
        """A code for each name of each batch, and what stands for what."""
        unique: dict[str, int] = {}
        codes = [
            unique.setdefault(name, len(unique)) for batch in self._batches for name in batch.names
        ]
        unique.setdefault("", len(unique))
        return np.array(codes, dtype=np.int32), unique

    def transactions(self) -> pa.RecordBatch:
        return self.rows("transactions")

    def swaps(self) -> pa.RecordBatch:
        return self.rows("swaps")

    def size(self, table: str) -> int:
        """How many rows a table of PARSED_TABLES gets."""
        return self._sizes[PARSED_TABLES[table][0]]

    def rows(self, table: str) -> pa.RecordBatch:
        """The rows of a table of PARSED_TABLES."""
        columns = PARSED_TABLES[table][1]
        return record_batch(
            {column.name: (column.type, column.compute(self)) for column in columns}
        )


def _kept(opened: Messages, rows: Sequence[Rows]) -> NDArray[np.bool_] | None:
    """Which transactions of all batches, copies included, become rows; None for all."""
    sizes = opened.n_rows["tx"]
    if len(rows) != len(sizes):
        raise ValueError(f"{len(rows)} choices of rows for {len(sizes)} batches")
    if all(isinstance(which, str) and which == "all" for which in rows):
        return None
    whole = opened.rows(home=False)
    kept = (whole.column("tx_flags") & VOTE == 0) | (whole.column("tx_swaps") != 0)
    starts = _starts(sizes)
    for number, which in enumerate(rows):
        if not isinstance(which, str):
            kept[starts[number] : starts[number] + sizes[number]] = which
        elif which == "all":
            kept[starts[number] : starts[number] + sizes[number]] = True
    return kept


def items(rows: Array) -> Array:
    """uint8 of shape (n, width) as n items of `width` bytes, which numpy moves as one."""
    return np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1]))).reshape(-1)


def record_batch(columns: Mapping[str, tuple[pa.DataType, Values]]) -> pa.RecordBatch:
    """Arrow columns on the numpy buffers, by way of from_buffers: pa.array() would import pandas
    (50 MB resident) only to find out that a numpy array is none of its types."""
    return pa.RecordBatch.from_arrays(
        [_arrow(type_, values) for type_, values in columns.values()], names=list(columns)
    )


def texts(values: Sequence[str | bytes], type_: pa.DataType) -> ArrowArray:
    """An Arrow string or binary array."""
    data = [value.encode() if isinstance(value, str) else value for value in values]
    offsets = np.zeros(len(data) + 1, dtype=np.int32)
    np.cumsum([len(value) for value in data], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets.data), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(type_, len(data), buffers)


def _arrow(type_: pa.DataType, values: Values) -> ArrowArray:
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, tuple):
        codes, names = values
        return pa.DictionaryArray.from_arrays(_arrow(pa.int32(), codes), texts(names, pa.string()))
    if not pa.types.is_fixed_size_binary(type_):
        # Between integers this keeps the bits: 0xFFFFFFFF (none) becomes -1 in an int32 column.
        values = values.astype(type_.to_pandas_dtype(), copy=False)
    return fixed_width(type_, np.ascontiguousarray(values))


def fixed_width(type_: pa.DataType, values: Array) -> ArrowArray:
    """An Arrow array on the memory of a contiguous numpy array with items of the same width."""
    return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(values.data)])


def _starts(sizes: Array) -> Array:
    return np.cumsum(sizes) - sizes


def block_time(seconds: int | None) -> int:
    """Unix seconds as a DateTime holds them; 0 where they are not told or out of its range."""
    return seconds if seconds is not None and 0 <= seconds < 2**32 else 0


def key_bytes(key: bytes) -> bytes:
    """A key of exactly 32 bytes; NO_KEY where there is none."""
    return key[:32].ljust(32, b"\0")


def _value(name: str, type_: pa.DataType, source: str) -> Column:
    return Column(name, type_, lambda flush: flush.value(source))


def _key(name: str, source: str) -> Column:
    return Column(name, KEY, lambda flush: flush.key(source))


def _of_transaction(name: str, type_: pa.DataType, source: str, table: str) -> Column:
    return Column(name, type_, lambda flush: flush.of_transaction(source, table))


def _name(name: str, source: str) -> Column:
    return Column(name, NAME, lambda flush: flush.name(source))


def _kind(source: str, names: Sequence[str]) -> Column:
    """The column `kind`: a number as its name; one that is newer than this program as unknown."""
    known = [*names, "unknown"]
    return Column(
        "kind",
        NAME,
        lambda flush: (np.minimum(flush.value(source), len(names)).astype(np.int32), known),
    )


def _place(table: str) -> tuple[Column, ...]:
    """Where in the slot a row of a table stands."""
    return (
        _of_transaction("tx_index", _U32, "tx_index", table),
        _value("ix_outer", _U32, f"{table}_outer"),
        _value("ix_inner", _I32, f"{table}_inner"),
        _value("leg", _U32, f"{table}_leg"),
        Column(
            "signature", SIGNATURE, lambda flush: items(flush.of_transaction("tx_signature", table))
        ),
        Column("fee_payer", KEY, lambda flush: flush.key("tx_payer", each=table)),
        _of_transaction("tx_fee", _U64, "tx_fee", table),
        _of_transaction("tx_tip", _U64, "tx_tip", table),
    )


def _custom_error(flush: Flush) -> Array:
    codes = flush.value("tx_error_custom").astype(np.int64)
    codes[flush.value("tx_error_detail") != _CUSTOM] = -1
    return codes


# InstructionError::Custom; only then is there a code, and every u32 may be one.
_CUSTOM = 25


def _common(table: str) -> tuple[Column, ...]:
    """Columns of all tables, from the envelope and the run."""
    return (
        Column("chain", NAME, lambda flush: flush.label(table, lambda view: view.chain)),
        Column(
            "slot", pa.uint64(), lambda flush: flush.batch(table, lambda view: view.slot, np.uint64)
        ),
        Column(
            "blockhash",
            KEY,
            lambda flush: flush.batch(table, lambda view: key_bytes(view.blockhash), "V32"),
        ),
        Column(
            "block_time",
            pa.uint32(),
            lambda flush: flush.batch(table, lambda view: block_time(view.block_time), np.uint32),
        ),
        Column(
            "schema_version",
            pa.uint16(),
            lambda flush: flush.constant(table, SCHEMA_VERSION, np.uint16),
        ),
        Column(
            "run_id", NAME, lambda flush: (flush.constant(table, 0, np.int32), [flush.run.run_id])
        ),
        Column(
            "version",
            pa.uint64(),
            lambda flush: flush.constant(table, flush.run.version, np.uint64),
        ),
    )


_U32, _U64, _I32 = pa.uint32(), pa.uint64(), pa.int32()

TRANSACTIONS: tuple[Column, ...] = (
    *_common("tx"),
    _value("tx_index", _U32, "tx_index"),
    Column("signature", SIGNATURE, lambda flush: items(flush.value("tx_signature"))),
    _key("fee_payer", "tx_payer"),
    _value("flags", pa.uint16(), "tx_flags"),
    _value("message_version", _I32, "tx_version"),
    _value("error", _I32, "tx_error"),
    _value("error_instruction", _I32, "tx_error_instruction"),
    _value("error_detail", _I32, "tx_error_detail"),
    Column("error_custom", pa.int64(), _custom_error),
    _value("fee", _U64, "tx_fee"),
    _value("tip", _U64, "tx_tip"),
    _key("tip_payer", "tx_tip_payer"),
    _value("payer_pre", _U64, "tx_payer_pre"),
    _value("payer_post", _U64, "tx_payer_post"),
    _value("compute_units", _U64, "tx_compute_units"),
    _value("compute_unit_limit", _U32, "tx_cu_limit"),
    _value("compute_unit_price", _U64, "tx_cu_price"),
    _value("instructions", _U32, "tx_instructions"),
    _value("inner_instructions", _U32, "tx_inner_instructions"),
    _value("signatures", _U32, "tx_signatures"),
    _value("accounts", _U32, "tx_accounts"),
    _value("bytes", _U32, "tx_bytes"),
    _value("swaps", _U32, "tx_swaps"),
    _value("swap_attempts", _U32, "tx_swap_attempts"),
)

SWAPS: tuple[Column, ...] = (
    *_common("swap"),
    *_place("swap"),
    _name("venue", "swap_venue"),
    _name("router", "swap_router"),
    _key("program", "swap_program"),
    _key("pool", "swap_pool"),
    _key("trader", "swap_trader"),
    _key("mint_in", "swap_mint_in"),
    _key("mint_out", "swap_mint_out"),
    _key("vault_in", "swap_vault_in"),
    _key("vault_out", "swap_vault_out"),
    _value("decimals_in", pa.uint8(), "swap_decimals_in"),
    _value("decimals_out", pa.uint8(), "swap_decimals_out"),
    _value("amount_in", _U64, "swap_amount_in"),
    _value("amount_out", _U64, "swap_amount_out"),
    _value("trader_in", _U64, "swap_trader_in"),
    _value("trader_out", _U64, "swap_trader_out"),
    _value("reserve_in", _U64, "swap_reserve_in"),
    _value("reserve_out", _U64, "swap_reserve_out"),
    _value("fee", _U64, "swap_fee"),
    _value("price_after", pa.float64(), "swap_price_after"),
    _value("flags", pa.uint16(), "swap_flags"),
)

LIQUIDITY: tuple[Column, ...] = (
    *_common("liquidity"),
    *_place("liquidity"),
    _kind("liquidity_kind", LIQUIDITY_KINDS),
    _name("venue", "liquidity_venue"),
    *(_key(name, f"liquidity_{name}") for name in ("program", "pool", "position", "owner")),
    *(_key(name, f"liquidity_{name}") for name in ("mint_a", "mint_b")),
    *(_value(f"decimals_{side}", pa.uint8(), f"liquidity_decimals_{side}") for side in "ab"),
    *(
        _value(f"{name}_{side}", _U64, f"liquidity_{name}_{side}")
        for name in ("amount", "fee", "reserve")
        for side in "ab"
    ),
    _value("delta_low", _U64, "liquidity_delta_low"),
    _value("delta_high", _U64, "liquidity_delta_high"),
    *(_value(name, _I32, f"liquidity_{name}") for name in ("lower", "upper", "tick")),
    _value("flags", pa.uint16(), "liquidity_flags"),
)

LIQUIDATIONS: tuple[Column, ...] = (
    *_common("liquidation"),
    *_place("liquidation"),
    _kind("liquidation_kind", LIQUIDATION_KINDS),
    _name("protocol", "liquidation_protocol"),
    *(_key(name, f"liquidation_{name}") for name in ("program", "liquidator", "account", "owner")),
    *(_key(name, f"liquidation_{name}") for name in ("repay_mint", "collateral_mint")),
    _value("repay_decimals", pa.uint8(), "liquidation_repay_decimals"),
    _value("collateral_decimals", pa.uint8(), "liquidation_collateral_decimals"),
    _value("repay_market", _I32, "liquidation_repay_market"),
    _value("collateral_market", _I32, "liquidation_collateral_market"),
    _value("repay_amount", _U64, "liquidation_repay_amount"),
    _value("collateral_amount", _U64, "liquidation_collateral_amount"),
    _value("fee", _U64, "liquidation_fee"),
    _value("flags", pa.uint16(), "liquidation_flags"),
)

PARSED_TABLES: Mapping[str, tuple[str, tuple[Column, ...]]] = {
    "swaps": ("swap", SWAPS),
    "liquidity": ("liquidity", LIQUIDITY),
    "liquidations": ("liquidation", LIQUIDATIONS),
    "transactions": ("tx", TRANSACTIONS),
}
"""The tables that are made of ParsedBatch: which of its tables, and the columns. In the order in
which they are written: a transaction that is stored needs nothing more."""
