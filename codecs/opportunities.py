"""OpportunityBatch: views on its columns, and messages made of columns."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from mevstream.codecs.columns import NONE, ColumnSchema
from mevstream.codecs.envelope import EnvelopeView
from mevstream.errors import InputError
from mevstream.schemas.opportunities_pb2 import OpportunityBatch


class Kind(IntEnum):
    """opp_kind."""

    arbitrage = 1
    backrun = 2
    sandwich = 3
    liquidation = 4
    jit_liquidity = 5
    exposure = 6


class Origin(IntEnum):
    """opp_origin."""

    observed = 1
    predicted = 2


class Role(IntEnum):
    """leg_role."""

    hop = 1
    front = 2
    victim = 3
    back = 4
    target = 5
    add = 6
    remove = 7
    repay = 8
    seize = 9


class Exactness(IntEnum):
    """opp_exactness and victim_exactness; of several the largest goes for all."""

    none = 0
    exact = 1
    in_range = 2
    approximate = 3


# Bits of opp_reasons, as schemas/opportunities.proto explains them.
TIPPED, NEIGHBOURS, ONE_SLOT, EVEN, NET_TOLD, NET_POSITIVE = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
SAME_WALLET, LINKED_WALLETS, SAME_TOKENS = 0x40, 0x80, 0x100
EXACT_LOSS, FROM_BALANCES, SEVERAL_WALLETS = 0x200, 0x400, 0x800
UNKNOWN_VENUE, ROUTED, WIDE, OTHERS_BETWEEN, IN_PART = 0x10000, 0x20000, 0x40000, 0x80000, 0x100000
EXCHANGED = 0x200000

_OF_KEYS = ("opp_actor", "opp_profit_mint", "opp_tip_payer", "opp_market")
_LEG_KEYS = ("leg_pool", "leg_trader", "leg_mint_in", "leg_mint_out")
KEY_COLUMNS = (*_OF_KEYS, *_LEG_KEYS, "victim_wallet", "victim_mint", "tx_payer", "tx_blockhash")
"""Columns that hold rows of `keys`."""

NAME_COLUMNS = ("leg_venue", "leg_router")
"""Columns that hold positions in `names`."""

ROW_COLUMNS = {
    "opp_first_tx": "n_tx",
    "opp_last_tx": "n_tx",
    "leg_opp": "n_opportunities",
    "leg_tx": "n_tx",
    "victim_opp": "n_opportunities",
    "victim_leg": "n_legs",
}
"""Columns that hold rows of another table, and what counts those."""

SCHEMA = ColumnSchema(
    OpportunityBatch,
    leaders=("opp_kind", "leg_opp", "victim_opp", "tx_slot"),
    widths={"keys": 32, "opp_id": 16, "tx_signature": 64},
    defaults={
        **dict.fromkeys((*KEY_COLUMNS, *NAME_COLUMNS, "opp_inner", "leg_inner"), NONE),
        **dict.fromkeys(("opp_decimals", "leg_decimals_in", "leg_decimals_out"), 255),
        "opp_confidence": 0,
    },
)


class OpportunityView(EnvelopeView):
    """An OpportunityBatch message, looked at in place.

    Beside the envelope, every column of schemas/opportunities.proto is an attribute: a read-only,
    one-dimensional array of uint32 (fixed32), uint64 (fixed64), int64 (sfixed64) or float32 with
    `n_opportunities` rows (opp_*), `n_legs` (leg_*), `n_victims` (victim_*) or `n_tx` (tx_*).
    `keys` is uint8 of shape (k, 32), `opp_id` of shape (n, 16), `tx_signature` of shape (n, 64),
    `names` a list of str. A column that the writer did not know reads as NONE for keys, names and
    a top-level inner position, as 255 for decimals, else as 0. The arrays keep the message alive.

    Opening checks the wire format and the row counts and raises InputError; `validate` checks the
    rows, too.
    """

    n_opportunities: int
    n_legs: int
    n_victims: int
    n_tx: int
    names: list[str]
    partition: int
    partitions: int

    if TYPE_CHECKING:

        def __getattr__(self, column: str) -> NDArray[Any]: ...

    def __init__(self, data: bytes) -> None:
        message, columns = SCHEMA.read(data)
        super().__init__(message)
        self.names = list(message.names)
        self.partition, self.partitions = message.partition, message.partitions
        self.n_opportunities = len(columns["opp_kind"])
        self.n_legs = len(columns["leg_opp"])
        self.n_victims = len(columns["victim_opp"])
        self.n_tx = len(columns["tx_slot"])
        self.__dict__.update(columns)

    def validate(self) -> None:
        """Raises InputError where a column points outside its table, the rows of legs or victims
        are not in the order of their opportunities, or a block hash is not 32 bytes or none."""
        SCHEMA.check_references(self, KEY_COLUMNS, len(self.keys))
        SCHEMA.check_references(self, NAME_COLUMNS, len(self.names))
        for column, size in ROW_COLUMNS.items():
            rows = getattr(self, column)
            if len(rows) and rows.max() >= getattr(self, size):
                raise InputError(f"OpportunityBatch: {column} points outside its table")
        for column in ("leg_opp", "victim_opp"):
            rows = getattr(self, column)
            if (rows[1:] < rows[:-1]).any():
                raise InputError(f"OpportunityBatch: {column} is not in order")
        if len(self.blockhash) not in (0, 32):
            raise InputError("OpportunityBatch: blockhash is not 32 bytes")


def encode_opportunities(envelope: Mapping[str, Any], columns: Mapping[str, ArrayLike]) -> bytes:
    """OpportunityBatch bytes from the fields of its envelope (with `names`) and its columns; what
    goes for `encode_parsed` goes here."""
    return SCHEMA.write(envelope, columns)
