"""Whether swaps tell enough of a pool to say what another one would have got there.

Amounts of a chain of swaps tell what lies between the prices at which they stopped, and events the
liquidity there (CLMM). Where one swap alone passes over two ticks that nobody stopped between, or
over a bin that nobody stopped in, the chain leaves open which of them had how much.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from mevstream.topologies.raw.simulator.agents.curves import Fill, PoolModel
from mevstream.topologies.raw.simulator.programs import Venue


class Seen:
    """What swaps (side, fill) from a state of the pool on tell of it."""

    def __init__(self, model: PoolModel, swaps: Iterable[tuple[int, Fill]]) -> None:
        self._venue = model.pool.venue
        self._edges = [price for price, _ in model.edges]
        model = model.copy()
        stops = [_place(model)]
        for side, fill in swaps:
            model.swap(side, fill.paid)
            stops.append(_place(model))
        self._stops = sorted(set(stops))
        self._spans = self._solved()

    def tells(self, model: PoolModel) -> bool:
        """Whether it is known what lies between there and where the swaps stopped."""
        place = _place(model)
        match self._venue:
            case Venue.DLMM:
                number = place[0]
                bins = {at for at, _ in self._stops}
                inside = [stop for stop in self._stops if stop[0] == number]
                below = number - 1 in bins or any(stop <= place for stop in inside)
                above = number + 1 in bins or any(stop >= place for stop in inside)
                return bool(inside) and below and above
            case Venue.RAYDIUM_CLMM | Venue.WHIRLPOOL:
                return place in self._stops or any(a <= place <= b for a, b in self._spans)
            case _:
                return True

    def _solved(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Between which stops the liquidity can be told: there is one tick at most, and with one
        it is known at an end."""
        spans = [
            (a, b, sum(a[0] < edge <= b[0] for edge in self._edges))
            for a, b in pairwise(self._stops)
        ]
        known = set(self._stops) if self._venue is Venue.RAYDIUM_CLMM else set[tuple[int, int]]()
        solved: list[tuple[tuple[int, int], tuple[int, int]]] = []
        for _ in spans:
            solved = [
                (a, b) for a, b, n in spans if n == 0 or (n == 1 and (a in known or b in known))
            ]
            known.update(stop for span in solved for stop in span)
        return solved


def _place(model: PoolModel) -> tuple[int, int]:
    """In the order of the price."""
    if model.pool.venue is Venue.DLMM:
        return model.active, model.bins[model.active][1]
    return model.price, 0
