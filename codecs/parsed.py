"""ParsedBatch: numpy views on the columns of a message, and messages made of columns."""

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import ArrayLike, NDArray

from mevstream.cext.gather import Messages, Reader
from mevstream.codecs.columns import NONE, ColumnSchema
from mevstream.codecs.envelope import EnvelopeView
from mevstream.errors import InputError
from mevstream.schemas.parsed_pb2 import ParsedBatch

KEY_COLUMNS = (
    "tx_payer",
    "tx_tip_payer",
    "swap_program",
    "swap_pool",
    "swap_trader",
    "swap_mint_in",
    "swap_mint_out",
    "swap_vault_in",
    "swap_vault_out",
    "liquidity_program",
    "liquidity_pool",
    "liquidity_position",
    "liquidity_owner",
    "liquidity_mint_a",
    "liquidity_mint_b",
    "liquidation_program",
    "liquidation_liquidator",
    "liquidation_account",
    "liquidation_owner",
    "liquidation_repay_mint",
    "liquidation_collateral_mint",
    "link_from",
    "link_to",
)
"""Columns that hold rows of `keys`."""

NAME_COLUMNS = ("swap_venue", "swap_router", "liquidity_venue", "liquidation_protocol")
"""Columns that hold positions in `names`."""

# Bits of tx_flags, and of swap_flags, liquidity_flags and liquidation_flags, as
# schemas/parsed.proto numbers them.
SUCCESS, VOTE, DECODED_IN_PART, LOG_TRUNCATED, COMPUTE_UNITS_KNOWN = 1, 2, 4, 8, 32
SIGNERS_TOLD = 64
EVENT_DIFFERS, ROUTER_EVENT_DIFFERS = 2, 8
FEE_TOLD, FEE_IN_COLLATERAL, DELTA_TOLD, AMOUNTS_UNKNOWN = 32, 64, 256, 512

NO_TICK = -0x80000000
"""What tick and bin columns hold for none."""

LIQUIDITY_KINDS = ("add", "remove", "open", "close", "collect")
LIQUIDATION_KINDS = ("loan", "perp", "borrow_for_perp_pnl", "perp_pnl_for_deposit")
LINK_KINDS: tuple[Literal["lamports"], Literal["tokens"], Literal["close"]] = (
    "lamports",
    "tokens",
    "close",
)
"""What the numbers in `liquidity_kind`, `liquidation_kind` and `link_kind` stand for."""

UNKNOWN_VENUE = "unknown"
"""What `swap_venue` names where only the token flow shows a swap."""

_NONE_COLUMNS = (
    *KEY_COLUMNS,
    *NAME_COLUMNS,
    "tx_version",
    "tx_error",
    "tx_error_instruction",
    "tx_error_detail",
    "tx_error_custom",
    "tx_cu_limit",
    "swap_inner",
    "swap_mode",
    "swap_side",
    "swap_fee_rate",
    "swap_fee_rate_protocol",
    "swap_fee_rate_creator",
    "liquidity_inner",
    "liquidation_inner",
    "liquidation_repay_market",
    "liquidation_collateral_market",
)
_TICK_COLUMNS = (
    "swap_tick_before",
    "swap_tick",
    "liquidity_lower",
    "liquidity_upper",
    "liquidity_tick",
)
_DECIMALS = (
    "swap_decimals_in",
    "swap_decimals_out",
    "liquidity_decimals_a",
    "liquidity_decimals_b",
    "liquidation_repay_decimals",
    "liquidation_collateral_decimals",
)
SCHEMA = ColumnSchema(
    ParsedBatch,
    leaders=("tx_index", "swap_tx", "liquidity_tx", "liquidation_tx", "link_index"),
    widths={"keys": 32, "tx_signature": 64},
    defaults={
        **dict.fromkeys(_NONE_COLUMNS, NONE),
        **dict.fromkeys(_DECIMALS, 255),
        **dict.fromkeys(_TICK_COLUMNS, NO_TICK),
    },
)


_READER = Reader(SCHEMA.layout, SCHEMA.envelope, KEY_COLUMNS, NAME_COLUMNS)


class ParsedMessage(EnvelopeView):
    """A ParsedBatch message: its bytes (`data`), its envelope with `names`, and how many rows it
    has: transactions, swap legs, liquidity changes, liquidations, malformed records. `open_parsed`
    gets at the columns of many.

    `partition` and `partitions` tell which part of a batch this is, of how many (0 of 0: all of
    it). A part has rows whose home is another one, with 1 in the table's replica column.
    """

    data: bytes
    names: list[str]
    partition: int
    partitions: int
    n_tx: int
    n_swaps: int
    n_liquidity: int
    n_liquidations: int
    n_malformed: int

    def __init__(
        self, data: bytes, message: ParsedBatch, rows: tuple[int, int, int, int], n_malformed: int
    ) -> None:
        super().__init__(message)
        self.data = data
        self.names = list(message.names)
        self.partition, self.partitions = message.partition, message.partitions
        self.n_tx, self.n_swaps, self.n_liquidity, self.n_liquidations = rows
        self.n_malformed = n_malformed

    @property
    def n_home(self) -> int:
        """How many of the transactions have their home in this part."""
        return self.n_tx - int(np.count_nonzero(parsed_column(self, "tx_replica")))

    def _check_envelope(self) -> None:
        for name in ("blockhash", "parent_blockhash"):
            if len(getattr(self, name)) not in (0, 32):
                raise InputError(f"ParsedBatch: {name} is not 32 bytes")
        if self.partition >= max(self.partitions, 1):
            raise InputError(f"ParsedBatch: partition {self.partition} of {self.partitions}")


def read_parsed(data: bytes) -> ParsedMessage:
    """A message from elsewhere, of which everything was checked that `ParsedView.validate` checks,
    without making an array of its columns. Raises InputError."""
    try:
        rest, rows, n_malformed = _READER.check(data)
        message = ParsedMessage(data, ParsedBatch.FromString(rest), rows, n_malformed)
    except (ValueError, DecodeError) as error:
        raise InputError(f"ParsedBatch: {error}") from None
    message._check_envelope()  # pyright: ignore[reportPrivateUsage]
    return message


def open_parsed(messages: Iterable[ParsedMessage]) -> Messages:
    """The columns of many messages, to be gathered into one array a column. Raises InputError
    where an index column of one points outside its table."""
    try:
        return _READER.open(message.data for message in messages)
    except ValueError as error:
        raise InputError(f"ParsedBatch: {error}") from None


def parsed_column(message: ParsedMessage, name: str) -> NDArray[Any]:
    """One column of a message that was read, as `ParsedView` has it: a view on its bytes."""
    return SCHEMA.layout.column(message.data, name)


class ParsedView(ParsedMessage):
    """A ParsedBatch message, looked at in place.

    Beside the envelope, every column of schemas/parsed.proto is an attribute: a read-only,
    one-dimensional array of uint32 (fixed32), int32 (sfixed32), uint64 (fixed64) or float64
    (double) with `n_tx` rows (tx_*), `n_swaps` (swap_*), `n_liquidity` (liquidity_*),
    `n_liquidations` (liquidation_*) or `n_links` (link_*). `keys` is uint8 of shape (k, 32),
    `tx_signature` of shape (n_tx, 64). `malformed` has its own length. `names` is a list of str.

    A column that the writer did not know reads as NONE where the schema has 0xFFFFFFFF for none
    or unknown (and as a top-level `…_inner`), as NO_TICK for ticks and bins, as 255 for decimals,
    NaN for double, else as 0.

    The arrays keep the message alive. Opening checks the wire format and the row counts and
    raises InputError; `validate` checks the rows, too.
    """

    schema: ColumnSchema[Any] = SCHEMA
    n_links: int

    if TYPE_CHECKING:

        def __getattr__(self, column: str) -> NDArray[Any]: ...

    def __init__(self, data: bytes) -> None:
        message, columns = self.schema.read(data)
        tx, swaps, liquidity, liquidations, malformed = (
            len(columns[name])
            for name in ("tx_index", "swap_tx", "liquidity_tx", "liquidation_tx", "malformed")
        )
        super().__init__(data, message, (tx, swaps, liquidity, liquidations), malformed)
        self.n_links = len(columns["link_index"])
        self.__dict__.update(columns)

    def validate(self) -> None:
        """Checks what a batch from elsewhere may have wrong and this process relies on.

        Raises InputError where a key or name column points outside its table, `swap_tx`,
        `liquidity_tx` or `liquidation_tx` outside the transactions, a block hash is not 32 bytes
        or none, or the partition is none of the partitions.
        """
        try:
            _READER.check(self.data)
        except ValueError as error:
            raise InputError(f"ParsedBatch: {error}") from None
        self._check_envelope()


class _Last(threading.local):
    view: ParsedView | None = None
    data: bytes = b""


_last = _Last()


def view_parsed(data: bytes) -> ParsedView:
    """ParsedView(data). For the bytes that this thread looked at last it is the view of then:
    the stages and the sink of one process look at each batch in turn."""
    if _last.view is None or _last.data is not data:
        _last.view, _last.data = ParsedView(data), data
    return _last.view


def encode_parsed(envelope: Mapping[str, Any], columns: Mapping[str, ArrayLike]) -> bytes:
    """ParsedBatch bytes from the fields of its envelope (with `names`) and its columns.

    Shapes and dtypes are those of `ParsedView`; a column of another dtype is converted if its
    values fit. A column may be left out: it then reads as its default. Every payload starts on a
    multiple of 8 bytes. Raises InputError for names, shapes and row counts that do not match.
    """
    return SCHEMA.write(envelope, columns)
