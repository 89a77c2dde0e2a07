"""The pools of one market partition: state after every swap, and how right the quotes were.

Each leg is quoted before it moves its pool, by what its event tells of the state before it or by
where earlier legs left the pool; what the quote says of the amount that the trader did not name is
held against what came. docs/pools.md says what each venue tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mevstream.cext.cycles import CycleGraph
from mevstream.cext.pool_states import MODELS, PoolStates
from mevstream.codecs.columns import ColumnSchema
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

    def add(self, other: "Quoted") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class Pools:
    """capacity: how many pools are remembered; those longest untouched are forgotten."""

    def __init__(self, capacity: int = 1 << 16) -> None:
        self._capacity = capacity
        self._states = PoolStates(capacity)
        self.quoted: dict[str, Quoted] = {}
        """By venue, since the start; no part of the snapshot."""

    def __len__(self) -> int:
        return len(self._states)

    @property
    def graph(self) -> CycleGraph:
        """The same pools as a graph, which every `apply` moves."""
        return self._states.graph

    def number(self, pool: bytes, mint_0: bytes, mint_1: bytes) -> int | None:
        """The pool's number in the graph, by its key and its mints in the order of its sides."""
        return self._states.number(pool, mint_0, mint_1)

    def apply(self, view: ParsedView) -> dict[str, NDArray[Any]]:
        """Moves the pools by a batch's legs. A row a leg: `source` (0 not quoted, 1 by what the leg
        tells, 2 by earlier legs), `exactness` of that state, `quoted` and `actual` in base units,
        `drift`. Raises InputError for a batch whose rows point outside its tables; then nothing has
        changed."""
        try:
            checks = self._states.apply(view, _models(view.names))
        except ValueError as error:
            raise InputError(f"ParsedBatch: {error}") from None
        self._count(view, checks)
        return checks

    def _count(self, view: ParsedView, checks: dict[str, NDArray[Any]]) -> None:
        source, quoted, actual = checks["source"], checks["quoted"], checks["actual"]
        exact = quoted == actual
        off = np.where(quoted > actual, quoted - actual, actual - quoted)
        close = off <= actual // 1000
        home = view.swap_replica == 0
        for number, name in enumerate(view.names):
            rows = home & (view.swap_venue == number)
            if not rows.any():
                continue
            told, tracked = rows & (source == 1), rows & (source == 2)
            counts = (
                rows,
                told,
                told & exact,
                told & close,
                tracked,
                tracked & exact,
                tracked & close,
                rows & (checks["drift"] == 1),
            )
            self.quoted.setdefault(name, Quoted()).add(
                Quoted(*(int(np.count_nonzero(mask)) for mask in counts))
            )

    # -- state ------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """A PoolSnapshot message (schemas/pools.proto)."""
        keys, columns = self._states.dump()
        return SCHEMA.write(
            {"version": VERSION},
            {"keys": keys, **{f"pool_{name}": column for name, column in columns.items()}},
        )

    def restore(self, snapshot: bytes) -> None:
        """Puts back a state, in place of what there is. Raises InputError for what is none; then
        nothing has changed."""
        message, columns = SCHEMA.read(snapshot)
        if message.version != VERSION:
            raise InputError(f"PoolSnapshot: version {message.version} is not known here")
        states = PoolStates(max(self._capacity, len(columns["pool_pool"])))
        try:
            states.load(
                columns["keys"],
                {name.removeprefix("pool_"): column for name, column in columns.items()},
            )
        except (ValueError, OverflowError) as error:
            raise InputError(f"PoolSnapshot: {error}") from None
        self._states = states


def _models(names: Sequence[str]) -> NDArray[np.uint32]:
    """The number of each name's model, 0 for none."""
    return np.array([MODELS.index(MODEL_OF.get(name, "none")) for name in names], np.uint32)
