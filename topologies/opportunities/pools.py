"""The pools of one market partition: state after every swap, and how right the quotes were.

Each leg is quoted before it moves its pool, by what its event tells of the state before it or by
where earlier legs left the pool; what the quote says of the amount that the trader did not name is
held against what came. docs/pools.md says what each venue tells.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mevstream.cext.cycles import CycleGraph
from mevstream.cext.pool_states import MODELS
from mevstream.cext.predict import Exposure, Prediction, Predictor
from mevstream.codecs.columns import NONE, ColumnSchema
from mevstream.codecs.parsed import ParsedView
from mevstream.errors import InputError
from mevstream.schemas.pools_pb2 import PoolSnapshot

VERSION = 1

SCHEMA = ColumnSchema(PoolSnapshot, leaders=("pool_pool",), widths={"keys": 32})

EXACT, IN_RANGE, APPROXIMATE = 1, 2, 3
"""Exactness of a state, as cext/quotes.pxd numbers it: quotes are right to the unit; to the unit as
long as the price stays where the liquidity is constant; by an inferred rate or reserve."""

MODEL_OF = {
    "raydium_amm_v4": "amm_v4",
    "raydium_cpmm": "cpmm",
    "raydium_cpmm_fork": "cpmm",
    "raydium_clmm": "clmm",
    "pancake_swap": "clmm",
    "byreal": "clmm",
    "stabble_clmm": "clmm",
    "orca_whirlpool": "whirlpool",
    "meteora_dlmm": "dlmm",
    "meteora_damm_v2": "damm_v2",
    "pump_fun": "pump_bonding",
    "pump_swap": "pump_amm",
    "orca_v1": "spl_swap",
    "orca_v2": "spl_swap",
    "saros": "spl_swap",
    "fluxbeam": "spl_swap",
    "stepn": "spl_swap",
    "token_swap": "spl_swap",
    "penguin": "spl_swap",
    "step": "spl_swap",
}
"""By venue. Others have no curve that swaps tell: order books, oracle market makers, stable pools,
shares of yield vaults."""

VENUES = tuple(MODEL_OF)
"""What a Hop's `venue` is a position in."""

_VENUE_NUMBERS = {name: number for number, name in enumerate(VENUES)}


@dataclass
class Quoted:
    """Counts of one venue's legs: quoted by what they tell themselves, or by earlier legs; of
    those, to the unit, and off by at most one in a thousand. `drifted`: the leg told another state
    before it than earlier legs had left (liquidity changed, or a leg was missing)."""

    legs: int = 0
    told: int = 0
    told_exact: int = 0
    told_close: int = 0
    tracked: int = 0
    tracked_exact: int = 0
    tracked_close: int = 0
    drifted: int = 0


class Applied(NamedTuple):
    """What `Pools.apply` gives.

    checks: a row a leg: `source` (0 not quoted, 1 by what the leg tells, 2 by earlier legs),
    `exactness` of that state, `quoted` and `actual` in base units, `drift`. between_hubs: bool, a
    row a leg. predictions, exposures: see Predictor.apply.
    """

    checks: dict[str, NDArray[Any]]
    between_hubs: NDArray[np.bool_]
    predictions: list[Prediction]
    exposures: list[Exposure]


class Pools:
    """capacity: how many pools are remembered; those longest untouched are forgotten. hubs: mints,
    32 bytes each, wrapped SOL first: only pools with one of them are searched for cycles."""

    def __init__(self, capacity: int = 1 << 16, hubs: Iterable[bytes] = ()) -> None:
        self._capacity = capacity
        self._hubs = tuple(hubs)
        self._states = Predictor(capacity, self._hubs)
        self._counted = self._states.quoted()

    def __len__(self) -> int:
        return len(self._states)

    def graph(self, within: Collection[bytes] | None = None) -> tuple[CycleGraph, list[bytes]]:
        """(graph, mints): the pools as they stand, for slow checks, and its mints' keys; `within`:
        only those between these mints take part."""
        return self._states.graph(within)

    def number(self, pool: bytes, mint_0: bytes, mint_1: bytes) -> int | None:
        """The pool's number in the graph, by its key and its mints in the order of its sides."""
        return self._states.number(pool, mint_0, mint_1)

    def apply(
        self, view: ParsedView, least: float = np.inf, least_exposure: float = np.inf
    ) -> Applied:
        """Moves the pools by a batch's legs and liquidity changes, and tells the cycles that are
        worth `least` lamports then, and the legs that others could have taken `least_exposure`
        lamports from. Raises InputError for a batch whose rows point outside its tables; then
        nothing has changed."""
        try:
            checks, between, predictions, exposures = self._states.apply(
                view, *_numbers(view.names), least, least_exposure
            )
        except ValueError as error:
            raise InputError(f"ParsedBatch: {error}") from None
        return Applied(checks, between.astype(bool), predictions, exposures)

    def forget_places(self) -> None:
        """Where the pools stand is not known any more, because something may have moved them that
        never came; what was learned of their rates stays."""
        self._states.forget_places()

    def newly_quoted(self) -> dict[str, Quoted]:
        """The same since the last call of this, of venues with any."""
        rows = self._states.quoted()
        new = (rows - self._counted).tolist()
        self._counted = rows
        return {name: Quoted(*row) for name, row in zip(VENUES, new, strict=False) if row[0]}

    @property
    def quoted(self) -> dict[str, Quoted]:
        """How the legs at home of each venue were quoted, since the start; no part of the
        snapshot."""
        rows: list[list[int]] = self._states.quoted().tolist()
        return {name: Quoted(*row) for name, row in zip(VENUES, rows, strict=False) if row[0]}

    # -- state ------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """A PoolSnapshot message (schemas/pools.proto)."""
        keys, columns = self._states.dump()
        return SCHEMA.write(
            {"version": VERSION, "venues": VENUES},
            {"keys": keys, **{f"pool_{name}": column for name, column in columns.items()}},
        )

    def restore(self, snapshot: bytes) -> None:
        """Puts back a state, in place of what there is. Raises InputError for what is none; then
        nothing has changed."""
        message, columns = SCHEMA.read(snapshot)
        if message.version != VERSION:
            raise InputError(f"PoolSnapshot: version {message.version} is not known here")
        states = Predictor(max(self._capacity, len(columns["pool_pool"])), self._hubs)
        venues = columns["pool_venue"]
        known = np.array([_VENUE_NUMBERS.get(name, NONE) for name in message.venues], np.uint32)
        if len(venues) and (venues >= len(known)).any():
            raise InputError("PoolSnapshot: a venue points outside its table")
        columns["pool_venue"] = known[venues]
        try:
            states.load(
                columns["keys"],
                {name.removeprefix("pool_"): column for name, column in columns.items()},
            )
        except (ValueError, OverflowError) as error:
            raise InputError(f"PoolSnapshot: {error}") from None
        self._states = states
        self._counted = states.quoted()


@lru_cache(64)
def _numbers_of(names: tuple[str, ...]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    models = [MODELS.index(MODEL_OF.get(name, "none")) for name in names]
    venues = [_VENUE_NUMBERS.get(name, NONE) for name in names]
    return np.array(models, np.uint32), np.array(venues, np.uint32)


def _numbers(names: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Of each name the number of its model, 0 for none, and that of its venue."""
    return _numbers_of(tuple(names))
