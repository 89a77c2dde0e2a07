"""mev.parsed → mev.features for one market partition, whose pools are its state."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mevstream.cext.pool_table import PoolTable
from mevstream.codecs.columns import NONE
from mevstream.codecs.envelope import ENVELOPE
from mevstream.codecs.features import STATE_SCHEMA, encode_features
from mevstream.codecs.parsed import ParsedView, view_parsed
from mevstream.errors import InputError
from mevstream.schemas.features_pb2 import ClosedSlot
from mevstream.settings import load_settings
from mevstream.topologies.chain import FEATURES, PARSED, Record, StatefulStage
from mevstream.topologies.features.pairs import QUOTE_MINTS, quote_mints
from mevstream.topologies.giving_up import give_up

NAME = "features"

STATE_VERSION = 1

# Names are those of the venue registry; more of them than this, or longer ones, can only be forged.
_MAX_VENUES = 1024
_MAX_VENUE_LENGTH = 64
_MOST_BATCHES = 0xFFFFFFFF

Columns = dict[str, NDArray[Any]]


def open_stage() -> StatefulStage:
    """The stage as the settings `hub_mints` and `pools` have it."""
    settings = load_settings()
    return FeatureStage(pools=settings.pools, quotes=quote_mints(settings.hub_mints))


class FeatureStage:
    """One FeatureBatch for each ParsedBatch.

    Batches come in the order of (slot, seq). A slot closes with its last batch, or with the first
    batch of another block; the record of the batch that closes it has its candles. Transactions
    whose block nobody knows (no blockhash) move the pools and give no candles: they are no whole
    slot.

    pools: how many are remembered; `quotes`: the ranking of quote mints (pairs.py).
    """

    def __init__(self, *, pools: int = 1 << 16, quotes: Sequence[bytes] = QUOTE_MINTS) -> None:
        self._capacity = pools
        self._quotes = quotes
        self._table = PoolTable(quotes, pools)
        self._open: ClosedSlot | None = None
        self._venues: dict[str, int] = {}

    def __call__(self, value: bytes, /) -> list[Record]:
        try:
            view = view_parsed(value)
            self._check(view)
        except (InputError, ValueError) as error:
            return [give_up(NAME, PARSED, value, error)]
        return [Record(FEATURES, self._take(view))]

    def _check(self, view: ParsedView) -> None:
        """Before anything changes: raises for a batch that cannot be read to its end."""
        self._table.check(view)
        if view.n_swaps and view.swap_tx.max() >= view.n_tx:
            raise InputError(f"ParsedBatch: swap_tx points outside {view.n_tx} transactions")
        if len(view.blockhash) not in (0, 32):
            raise InputError("ParsedBatch: blockhash is not 32 bytes")

    def _take(self, view: ParsedView) -> bytes:
        table = self._table
        table.begin()
        closed: list[ClosedSlot] = []
        candles: list[Columns] = []
        open_ = self._open
        if open_ is not None and _block(open_) != _block(view):
            closed.append(open_)
            candles.append(table.take_candles())
            open_ = None
        if open_ is None and view.blockhash:
            open_ = ClosedSlot(
                chain=view.chain,
                slot=view.slot,
                blockhash=view.blockhash,
                block_time=view.block_time,
            )
        venues = np.array([self._code(name) for name in view.names], dtype=np.uint32)
        swaps = table.swaps(view, venues, open_ is not None)
        if open_ is not None:
            open_.commitment = max(open_.commitment, view.commitment)  # pyright: ignore[reportAttributeAccessIssue]
            open_.batches = min(open_.batches + 1, _MOST_BATCHES)
            if view.last:
                open_.batches_total = min(view.seq + 1, _MOST_BATCHES)
                closed.append(open_)
                candles.append(table.take_candles())
                open_ = None
        self._open = open_
        for slot, columns in zip(closed, candles, strict=True):
            slot.candles = len(columns["pool"])
        return encode_features(
            {
                **{name: getattr(view, name) for name in ENVELOPE},
                "names": self._names(),
                "closed": closed,
            },
            {
                "keys": table.keys(),
                "swap_tx_index": view.tx_index[view.swap_tx],
                **{name: getattr(view, name) for name in _PASSED_ON},
                **{f"swap_{name}": column for name, column in swaps.items()},
                **_candle_columns(candles),
            },
        )

    def _code(self, venue: str) -> int:
        code = self._venues.get(venue)
        if code is None:
            if len(self._venues) == _MAX_VENUES or len(venue) > _MAX_VENUE_LENGTH:
                return NONE
            code = self._venues[venue] = len(self._venues)
        return code

    def _names(self) -> list[str]:
        """The venues of the table's batch."""
        names = list(self._venues)
        return [names[code] for code in self._table.venues()]

    # -- state ------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """A FeatureState message. It has at most the pools and the candles of one slot."""
        pools, candles = self._table.dump()
        return STATE_SCHEMA.write(
            {"version": STATE_VERSION, "open": self._open, "names": list(self._venues)},
            {
                "keys": self._table.keys(),
                **{f"pool_{name}": column for name, column in pools.items()},
                **{f"candle_{name}": column for name, column in candles.items()},
            },
        )

    def restore(self, snapshot: bytes) -> None:
        message, columns = STATE_SCHEMA.read(snapshot)
        if message.version != STATE_VERSION:
            raise InputError(f"FeatureState: version {message.version} is not known here")
        venues = {name: code for code, name in enumerate(message.names)}
        if not len(venues) == len(message.names) <= _MAX_VENUES:
            raise InputError("FeatureState: its names are not those of venues")
        codes = columns["candle_venue"]
        if (codes[codes != NONE] >= len(venues)).any():
            raise InputError("FeatureState: candle_venue points outside its names")
        table = PoolTable(self._quotes, self._capacity)
        try:
            table.load(columns["keys"], _of("pool", columns), _of("candle", columns))
        except ValueError as error:
            raise InputError(f"FeatureState: {error}") from None
        self._table, self._venues = table, venues
        self._open = message.open if message.HasField("open") else None


_PASSED_ON = ("swap_outer", "swap_inner", "swap_leg", "swap_replica")


def _block(of: ParsedView | ClosedSlot) -> tuple[str, int, bytes]:
    return of.chain, of.slot, of.blockhash


def _candle_columns(parts: list[Columns]) -> Columns:
    """The columns of mev.features, of which the mean impact is computed here."""
    if not parts:
        return {}
    columns = parts[0]
    if len(parts) > 1:
        columns = {name: np.concatenate([part[name] for part in parts]) for name in columns}
    weight, total = columns.pop("impact_weight"), columns.pop("impact_sum")
    mean = np.full(len(weight), np.nan)
    np.divide(total, weight, out=mean, where=weight > 0)
    return {f"candle_{name}": column for name, column in columns.items()} | {
        "candle_impact_mean": mean
    }


def _of(table: str, columns: Columns) -> Columns:
    return {
        name.removeprefix(f"{table}_"): column
        for name, column in columns.items()
        if name.startswith(f"{table}_")
    }
