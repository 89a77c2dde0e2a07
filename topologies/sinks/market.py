"""Candles of FeatureBatch messages as rows of the table `market_data`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mevstream.codecs.columns import NONE
from mevstream.codecs.features import FeatureView
from mevstream.schemas.features_pb2 import ClosedSlot
from mevstream.topologies.sinks.columns import (
    KEY,
    NAME,
    SCHEMA_VERSION,
    Array,
    Run,
    Values,
    block_time,
    fixed_width,
    items,
    key_bytes,
    record_batch,
)

VOLUME = pa.decimal128(38, 0)
"""Sums of u64 amounts, exact: whole numbers of up to 2^96."""

# Columns that are stored as they are, under the name that they have in `candle_*`.
_VALUES: dict[str, pa.DataType] = {
    "decimals_base": pa.uint8(),
    "decimals_quote": pa.uint8(),
    "open": pa.float64(),
    "high": pa.float64(),
    "low": pa.float64(),
    "close": pa.float64(),
    "price_after": pa.float64(),
    "swaps": pa.uint32(),
    "buys": pa.uint32(),
    "reserve_base": pa.uint64(),
    "reserve_quote": pa.uint64(),
    "impact_max": pa.float64(),
    "impact_mean": pa.float64(),
    "flags": pa.uint8(),
}


def market_rows(
    views: Sequence[FeatureView], run: Run, keep: Callable[[ClosedSlot], bool] = lambda _: True
) -> pa.RecordBatch:
    """A row for each candle of the batches, in their order, of the slots that `keep` tells.

    The views must have passed `FeatureView.validate`. Keys are 32 bytes, volumes whole decimals.
    """
    slots = [slot for view in views for slot in view.closed]
    sizes = np.array([slot.candles for slot in slots], dtype=np.int64)
    kept = np.flatnonzero(np.repeat(np.array([keep(slot) for slot in slots], dtype=bool), sizes))
    views = [view for view in views if view.n_candles]

    def column(name: str, dtype: Any) -> Array:
        parts = [getattr(view, f"candle_{name}") for view in views]
        return np.concatenate([np.empty(0, dtype), *parts])[kept]

    def of_slot(values: Sequence[Any], dtype: Any) -> Array:
        return np.repeat(np.array(values, dtype=dtype), sizes)[kept]

    def volume(side: str) -> Values:
        names = (f"volume_{side}", f"volume_{side}_high")
        words = np.stack([column(name, np.uint64) for name in names], axis=1)
        return fixed_width(VOLUME, np.ascontiguousarray(words))

    rows = [view.n_candles for view in views]
    tables = items(np.concatenate([view.keys for view in views] + [np.zeros((1, 32), np.uint8)]))
    first_key = np.repeat(_starts([len(view.keys) for view in views]), rows)[kept]

    def key(name: str) -> Array:
        indexes = column(name, np.uint32).astype(np.int64)
        return tables[np.where(indexes == NONE, len(tables) - 1, indexes + first_key)]

    names = [name for view in views for name in view.names]
    first_name = np.repeat(_starts([len(view.names) for view in views]), rows)[kept]
    venues = column("venue", np.uint32).astype(np.int64)
    venues = np.where(venues == NONE, len(names), venues + first_name)

    n = len(kept)
    columns: dict[str, tuple[pa.DataType, Values]] = {
        "chain": (NAME, _labels([slot.chain or "solana" for slot in slots], sizes, kept)),
        "slot": (pa.uint64(), of_slot([slot.slot for slot in slots], np.uint64)),
        "pool": (KEY, key("pool")),
        "mint_base": (KEY, key("base")),
        "mint_quote": (KEY, key("quote")),
        "blockhash": (KEY, of_slot([key_bytes(slot.blockhash) for slot in slots], "V32")),
        "block_time": (
            pa.uint32(),
            of_slot([block_time(slot.block_time) for slot in slots], np.uint32),
        ),
        "venue": (NAME, _labels([*names, ""], None, venues)),
        **{name: (type_, column(name, type_.to_pandas_dtype())) for name, type_ in _VALUES.items()},
        "volume_base": (VOLUME, volume("base")),
        "volume_quote": (VOLUME, volume("quote")),
        "schema_version": (pa.uint16(), np.full(n, SCHEMA_VERSION, dtype=np.uint16)),
        "run_id": (NAME, (np.zeros(n, dtype=np.int32), [run.run_id])),
        "version": (pa.uint64(), np.full(n, run.version, dtype=np.uint64)),
    }
    return record_batch(columns)


def _starts(sizes: Sequence[int]) -> Array:
    counts = np.array(sizes, dtype=np.int64)
    return np.cumsum(counts) - counts


def _labels(texts: Sequence[str], sizes: Array | None, rows: Array) -> tuple[Array, list[str]]:
    """texts[rows] as (int32 codes, texts); with `sizes` each text stands for so many rows."""
    unique: dict[str, int] = {}
    codes = np.array([unique.setdefault(text, len(unique)) for text in texts], dtype=np.int32)
    return (codes if sizes is None else np.repeat(codes, sizes))[rows], list(unique)
