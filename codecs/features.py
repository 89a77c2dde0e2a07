"""FeatureBatch and FeatureState: views on their columns, and messages made of columns."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from mevstream.codecs.columns import NONE, ColumnSchema
from mevstream.codecs.envelope import EnvelopeView
from mevstream.errors import InputError
from mevstream.schemas.features_pb2 import ClosedSlot, FeatureBatch, FeatureState

# Bits of swap_flags and candle_flags, as schemas/features.proto numbers them.
BUY, PAIRED, RESERVES_TOLD, RESERVES_KNOWN = 1, 2, 16, 32

_KEYS = ("pool", "base", "quote")
KEY_COLUMNS = tuple(f"{table}_{name}" for table in ("swap", "candle") for name in _KEYS)
"""Columns that hold rows of `keys`."""

NAME_COLUMNS = ("swap_venue", "candle_venue")
"""Columns that hold positions in `names`."""

_DECIMALS = ("decimals_base", "decimals_quote")
SCHEMA = ColumnSchema(
    FeatureBatch,
    leaders=("swap_tx_index", "candle_pool"),
    widths={"keys": 32},
    defaults={
        **dict.fromkeys((*KEY_COLUMNS, *NAME_COLUMNS, "swap_inner"), NONE),
        **{f"{table}_{name}": 255 for table in ("swap", "candle") for name in _DECIMALS},
    },
)

STATE_SCHEMA = ColumnSchema(
    FeatureState,
    leaders=("pool_pool", "candle_pool"),
    widths={"keys": 32},
    defaults={
        "candle_venue": NONE,
        **{f"candle_{name}": 255 for name in _DECIMALS},
        **dict.fromkeys(("candle_impact_sum", "candle_impact_weight"), 0),
    },
)


class FeatureView(EnvelopeView):
    """A FeatureBatch message, looked at in place.

    Beside the envelope, every column of schemas/features.proto is an attribute: a read-only,
    one-dimensional array of uint32 (fixed32), uint64 (fixed64) or float64 (double) with
    `n_swaps` rows (swap_*) or `n_candles` rows (candle_*). `keys` is uint8 of shape (k, 32),
    `names` a list of str. `closed` are the slots whose candles these are, in their order.

    A column that the writer did not know reads as NONE for keys, names and `swap_inner`, as 255
    for decimals, NaN for double, else as 0. The arrays keep the message alive.

    Opening checks the wire format and the row counts and raises InputError; `validate` checks the
    rows, too.
    """

    n_swaps: int
    n_candles: int
    names: list[str]
    closed: list[ClosedSlot]
    partition: int
    partitions: int

    if TYPE_CHECKING:

        def __getattr__(self, column: str) -> NDArray[Any]: ...

    def __init__(self, data: bytes) -> None:
        message, columns = SCHEMA.read(data)
        super().__init__(message)
        self.names = list(message.names)
        self.closed = list(message.closed)
        self.partition, self.partitions = message.partition, message.partitions
        self.n_swaps = len(columns["swap_tx_index"])
        self.n_candles = len(columns["candle_pool"])
        self.__dict__.update(columns)
        if sum(closed.candles for closed in self.closed) != self.n_candles:
            raise InputError(f"FeatureBatch: {self.n_candles} candles are not those of its slots")

    def validate(self) -> None:
        """Raises InputError where a key or name column points outside its table, or a block hash
        is not 32 bytes or none."""
        SCHEMA.check_references(self, KEY_COLUMNS, len(self.keys))
        SCHEMA.check_references(self, NAME_COLUMNS, len(self.names))
        hashes = [self.blockhash, *(closed.blockhash for closed in self.closed)]
        if any(len(blockhash) not in (0, 32) for blockhash in hashes):
            raise InputError("FeatureBatch: blockhash is not 32 bytes")


def encode_features(envelope: Mapping[str, Any], columns: Mapping[str, ArrayLike]) -> bytes:
    """FeatureBatch bytes from the fields of its envelope (with `names` and `closed`) and its
    columns; what goes for `encode_parsed` goes here."""
    return SCHEMA.write(envelope, columns)
