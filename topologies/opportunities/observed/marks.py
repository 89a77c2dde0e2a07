"""Where pools of concentrated liquidity stood when a leader group ended: what their next swap began
at, if its event does not tell."""

from collections.abc import Iterable

import numpy as np

from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import LIQUIDITY_KINDS, ParsedView

CAPACITY = 1 << 16
"""Pools that are remembered; of more those go first that nobody traded for longest."""

_MOVES = tuple(LIQUIDITY_KINDS.index(kind) for kind in ("add", "remove"))

Place = tuple[int, int]
"""Slot, position of the transaction in it."""


class Marks:
    """`of[pool]`: root price (Q64.64) and liquidity after the pool's last swap; liquidity 0 if it
    was changed since. pool: 32 bytes."""

    of: dict[bytes, tuple[int, int]]

    def __init__(self, of: dict[bytes, tuple[int, int]] | None = None) -> None:
        self.of = {} if of is None else of

    def note(self, views: Iterable[ParsedView]) -> None:
        """Takes in the swaps and liquidity changes of batches, in order. Pools whose events tell
        where a swap began are not remembered."""
        for view in views:
            self._note(view)
        while len(self.of) > CAPACITY:
            del self.of[next(iter(self.of))]

    def _note(self, view: ParsedView) -> None:
        told = (view.swap_root != 0) | (view.swap_root_high != 0)
        begun = (view.swap_root_before != 0) | (view.swap_root_before_high != 0)
        here = (view.swap_pool != NONE) & (view.swap_replica == 0)
        for row in np.flatnonzero(told & ~begun & here).tolist():
            pool = view.keys[view.swap_pool[row]].tobytes()
            self.of.pop(pool, None)
            self.of[pool] = (
                int(view.swap_root_high[row]) << 64 | int(view.swap_root[row]),
                int(view.swap_liquidity_high[row]) << 64 | int(view.swap_liquidity[row]),
            )
        for row in _changes(view):
            pool = view.keys[view.liquidity_pool[row]].tobytes()
            if mark := self.of.get(pool):
                self.of[pool] = (mark[0], 0)


def changes(pool: bytes, views: Iterable[ParsedView]) -> list[Place]:
    """Where liquidity was added to or removed from a pool, in order."""
    return [
        (view.slot, int(view.tx_index[view.liquidity_tx[row]]))
        for view in views
        for row in _changes(view)
        if view.keys[view.liquidity_pool[row]].tobytes() == pool
    ]


def _changes(view: ParsedView) -> list[int]:
    """The rows that move liquidity of a pool that is told."""
    if not view.n_liquidity:
        return []
    moves = np.isin(view.liquidity_kind, _MOVES) & (view.liquidity_pool != NONE)
    return np.flatnonzero(moves).tolist()
