"""Replay of concentrated liquidity and of bins, on the stretch of the curve that the swaps show.

In q, the root of the price of what comes out in what goes in, a swap through liquidity L takes
L·Δq in and gives L·(1/q - 1/q'). Events tell the prices at which swaps began and ended, or the
liquidity there; what they do not tell follows from both amounts, also where one tick was crossed.
A bin has one price, and how much was taken of each follows from both amounts; of three bins and
more it is taken to rise or fall evenly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mevstream.codecs.opportunities import Exactness
from mevstream.codecs.parsed import NO_TICK
from mevstream.topologies.opportunities.observed.replay import Swap

Expected = list[tuple[int, Exactness]]

_Q64 = 2.0**64
_BINS = "meteora_dlmm"
# In basis points, as pools are made with.
_STEPS = (1, 2, 4, 5, 8, 10, 15, 16, 20, 25, 30, 50, 75, 80, 100, 125, 150, 200, 250, 400)
_MOST_BINS = 2000


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the path: what goes in (without fee) and comes out over all of it. Within it the
    curve is that of one liquidity from `q`, or of one price where `liquidity` is 0."""

    amount_in: float
    amount_out: float
    liquidity: float = 0.0
    q: float = 0.0

    def out(self, amount_in: float) -> float:
        if amount_in >= self.amount_in:
            return self.amount_out
        if not self.liquidity:
            return self.amount_out * amount_in / self.amount_in
        return self.liquidity / self.q - self.liquidity / (self.q + amount_in / self.liquidity)


def replay(
    path: Sequence[Swap], after: Sequence[Swap], fronts: set[int], wanted: set[int]
) -> Expected | None:
    """As products.replay. What is sold between moves the price back over the stretch that is known,
    and is left out."""
    forward = [swap for swap in path if swap.forward]
    found = _bins(forward) if path[0].venue == _BINS else _ranges(forward)
    if found is None:
        return None
    pieces, exactness = found
    if len(forward) < len(path):
        exactness = Exactness.approximate
    expected: Expected = []
    taken = given = 0.0
    for swap in forward:
        if swap.number in fronts:
            continue
        taken += _net(swap)
        total = _along(pieces, taken)
        if swap.number in wanted:
            expected.append((max(0, swap.received(math.floor(total - given))), exactness))
        given = total
    return expected


def _net(swap: Swap) -> int:
    """What goes in without the fee."""
    return swap.net_in - (swap.fee or 0)


def _along(pieces: Sequence[Piece], amount_in: float) -> float:
    """What comes out for that much from the beginning of the path."""
    out = 0.0
    for piece in pieces:
        out += piece.out(amount_in)
        amount_in -= piece.amount_in
        if amount_in <= 0:
            break
    return out


# -- concentrated liquidity -----------------------------------------------------------------------


@dataclass(slots=True)
class _Stretch:
    """A swap on its way: `first` and `last` are the liquidity where it begins and ends, 0 where
    that is not known."""

    begin: float
    end: float
    amount_in: float
    amount_out: float
    first: float = 0.0
    last: float = 0.0

    def near(self, one: float, other: float) -> bool:
        slack = 1e-7 + 4 / min(self.amount_in, self.amount_out)
        return abs(one - other) <= slack * max(one, other)


def _ranges(swaps: Sequence[Swap]) -> tuple[list[Piece], Exactness] | None:
    stretches: list[_Stretch] = []
    for swap in swaps:
        stretch = _stretch(swap, stretches[-1].end if stretches else 0.0)
        if stretch is None:
            return None
        stretches.append(stretch)
    for one in stretches:
        by_in = one.amount_in / (one.end - one.begin)
        by_out = one.amount_out / (1 / one.begin - 1 / one.end)
        if one.near(by_in, by_out) and (not one.last or one.near(by_in, one.last)):
            one.first = one.last = by_in
    for one, other in pairwise(stretches):
        other.first = other.first or one.last
    for other, one in pairwise(reversed(stretches)):
        one.last = one.last or other.first
    pieces: list[Piece] = []
    exactness = Exactness.in_range
    for one in stretches:
        found = _pieces(one)
        if found is None:
            # Several ticks, or liquidity that nobody told: one curve from end to end.
            exactness = Exactness.approximate
            middle = one.amount_in / (one.end - one.begin)
            found = [Piece(one.amount_in, one.amount_out, middle, one.begin)]
        pieces += found
    return pieces, exactness


def _stretch(swap: Swap, before: float) -> _Stretch | None:
    """before: q where the swap before ended; 0 if there is none."""
    amount_in, amount_out = _net(swap), swap.amount_out
    if not swap.root or swap.side not in (0, 1) or amount_in <= 0 or amount_out <= 0:
        return None
    end = _q(swap.root, swap.side)
    liquidity = float(swap.liquidity)
    if swap.root_before:
        begin = _q(swap.root_before, swap.side)
    elif before:
        begin = before
    elif liquidity:
        begin = end - amount_in / liquidity
    else:
        return None
    if not 0 < begin < end:
        return None
    return _Stretch(begin, end, amount_in, amount_out, last=liquidity)


def _q(root: int, side: int) -> float:
    """Token 1 goes in: the root itself; token 0: its inverse."""
    return root / _Q64 if side == 1 else _Q64 / root


def _pieces(one: _Stretch) -> list[Piece] | None:
    """One liquidity, or two with a tick between."""
    if one.first and one.near(one.first, one.last):
        return [Piece(one.amount_in, one.amount_out, one.first, one.begin)]
    begin, end, amount_in, amount_out = one.begin, one.end, one.amount_in, one.amount_out
    if one.first:
        # What the second liquidity does between tick and end is the same by both amounts.
        above = amount_in - one.first * (end - begin)
        below = amount_out * end + one.first * (1 - end / begin)
    elif one.last:
        above = amount_in - one.last * (end - begin)
        below = amount_out * begin + one.last * (begin / end - 1)
    else:
        return None
    tick = above / below if below else 0.0
    if not begin < tick < end:
        return None
    first = one.first or (amount_in - one.last * (end - tick)) / (tick - begin)
    last = (amount_in - first * (tick - begin)) / (end - tick)
    if first <= 0 or last <= 0:
        return None
    in_first, out_first = first * (tick - begin), first * (1 / begin - 1 / tick)
    return [
        Piece(in_first, out_first, first, begin),
        Piece(amount_in - in_first, amount_out - out_first, last, tick),
    ]


# -- bins -----------------------------------------------------------------------------------------


def _bins(swaps: Sequence[Swap]) -> tuple[list[Piece], Exactness] | None:
    if any(
        NO_TICK in (swap.tick_before, swap.tick)
        or abs(swap.tick - swap.tick_before) > _MOST_BINS
        or swap.side not in (0, 1)
        or _net(swap) <= 0
        or swap.amount_out <= 0
        for swap in swaps
    ):
        return None
    step = next((step for step in _STEPS if all(_is_step(step, swap) for swap in swaps)), None)
    if step is None:
        return None
    pieces: list[Piece] = []
    exactness = Exactness.in_range
    for swap in swaps:
        rates = _rates(step, swap)
        amounts = _spread(rates, _net(swap), swap.amount_out)
        if len(rates) > 2:
            exactness = Exactness.approximate
        pieces += [Piece(a, a * rate) for a, rate in zip(amounts, rates, strict=True) if a > 0]
    return pieces, exactness


def _rate(step: int, tick: int, side: int) -> float:
    """What comes out of a bin for one that goes in."""
    price = (1 + step / 10_000) ** tick
    return price if side == 0 else 1 / price


def _rates(step: int, swap: Swap) -> list[float]:
    way = 1 if swap.tick >= swap.tick_before else -1
    ticks = range(swap.tick_before, swap.tick + way, way)
    return [_rate(step, tick, swap.side) for tick in ticks]


def _is_step(step: int, swap: Swap) -> bool:
    """Whether what the swap got is between what its first and last bin give."""
    best, worst = (_rate(step, tick, swap.side) for tick in (swap.tick_before, swap.tick))
    slack = 2 / swap.amount_out + 2 / _net(swap)
    got = swap.amount_out / _net(swap)
    return worst * (1 - slack) <= got <= best * (1 + slack)


def _spread(rates: Sequence[float], amount_in: int, amount_out: int) -> list[float]:
    """What went into each bin: a line over them with both sums."""
    n = len(rates)
    if n == 1:
        return [float(amount_in)]
    places = [k - (n - 1) / 2 for k in range(n)]
    mean = amount_in / n
    slope = (amount_out - mean * sum(rates)) / sum(
        p * rate for p, rate in zip(places, rates, strict=True)
    )
    return [max(0.0, mean + slope * p) for p in places]
