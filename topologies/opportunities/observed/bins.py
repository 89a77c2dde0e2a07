"""Replay of pools of bins (Meteora DLMM), on the stretch of the curve that the swaps show.

A bin has one price, so in it what lies in the pool of x is a line in what lies of y, whose slope
the bin's number tells. Summed over a chain of swaps their amounts say how both have changed, so one
swap that ended or began in a bin fixes its line, and the pool's curve is the upper envelope of its
bins' lines. Of a bin that all swaps passed over only bounds are known: it takes as much as the
points of the others leave it, or nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mevstream.cext import curves
from mevstream.codecs.opportunities import Exactness
from mevstream.codecs.parsed import NO_TICK
from mevstream.topologies.opportunities.observed.replay import EXACT_OUT, Expected, Path, Swap

VENUE = "meteora_dlmm"
# In basis points, as pools are made with.
_STEPS = (1, 2, 4, 5, 8, 10, 15, 16, 20, 25, 30, 40, 50, 60, 75, 80, 100, 125, 150, 160, 200, 250,
          300, 400, 500)  # fmt: skip
_MOST_BINS = 2000
# Of a loss that may be off by one part in so many it is said that it was found in range.
_CLOSE = 1000


def replay(path: Path) -> Expected | None:
    """What the swaps that are wanted would have got; None where the pool is none of these."""
    swaps = path.swaps
    if swaps[0].venue != VENUE or any(
        NO_TICK in (swap.tick_before, swap.tick)
        or abs(swap.tick - swap.tick_before) > _MOST_BINS
        or swap.side not in (0, 1)
        or _used(swap) <= 0
        or swap.amount_out <= 0
        for swap in swaps
    ):
        return None
    steps = [step for step in _STEPS if all(_is_step(step, swap) for swap in swaps)]
    if not steps:
        return None
    points = _points(swaps)
    least, most = _curves(points, steps[0])
    outs = [_without(path, curve, points[2 * path.start]) for curve in (least, most)]
    expected: Expected = []
    for swap, *bounds in zip(
        [swap for swap in path.replayed if swap.number in path.wanted], *outs, strict=True
    ):
        amount = swap.received(sum(bounds) // 2)
        loss = amount - swap.trader_out
        sure = len(steps) == 1 and abs(bounds[0] - bounds[1]) * _CLOSE <= 2 * loss
        exactness = Exactness.in_range if sure else Exactness.approximate
        expected.append((max(0, amount), exactness))
    return expected


def _used(swap: Swap) -> int:
    """What goes in without the fee."""
    return swap.net_in - (swap.fee or 0)


def _price(step: int, number: int) -> float:
    """y for x."""
    return curves.bin_price(number, step) / 2.0**64


def _is_step(step: int, swap: Swap) -> bool:
    """Whether what the swap got is between what its first and last bin give."""
    try:
        ends = [_price(step, number) for number in (swap.tick_before, swap.tick)]
    except ValueError:
        return False
    best, worst = ends if swap.side == 0 else [1 / price for price in ends]
    out, used = swap.amount_out + swap.fee_out, _used(swap)
    slack = (2 + abs(swap.tick - swap.tick_before)) * (1 / out + 1 / used)
    return worst * (1 - slack) <= out / used <= best * (1 + slack)


# -- the curve ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Point:
    """Where a swap began or ended: the bin, what the pool has of x and y more than at the first."""

    bin: int
    x: int
    y: int


def _points(swaps: Sequence[Swap]) -> list[_Point]:
    """Two of each swap: before and after."""
    points: list[_Point] = []
    x = y = 0
    for swap in swaps:
        points.append(_Point(swap.tick_before, x, y))
        used, out = _used(swap), swap.amount_out + swap.fee_out
        x, y = (x + used, y - out) if swap.side == 0 else (x - out, y + used)
        points.append(_Point(swap.tick, x, y))
    return points


@dataclass(frozen=True, slots=True)
class _Curve:
    """Lines x = offset - y / price, (price, offset) each."""

    lines: Sequence[tuple[float, float]]

    def x(self, y: float) -> float:
        return max(offset - y / price for price, offset in self.lines)

    def y(self, x: float) -> float:
        return max((offset - x) * price for price, offset in self.lines)


def _curves(points: Sequence[_Point], step: int) -> tuple[_Curve, _Curve]:
    """The lowest and the highest curve through the points."""
    offsets: dict[int, list[float]] = {}
    for point in points:
        offsets.setdefault(point.bin, []).append(point.x + point.y / _price(step, point.bin))
    known = {number: sum(all_) / len(all_) for number, all_ in offsets.items()}
    least: list[tuple[float, float]] = []
    most: list[tuple[float, float]] = []
    for number in range(min(known) - 1, max(known) + 2):
        price = _price(step, number)
        if number in known:
            least.append((price, known[number]))
            most.append((price, known[number]))
        else:
            most.append((price, min(point.x + point.y / price for point in points)))
    return _Curve(least), _Curve(most)


# -- replay ---------------------------------------------------------------------------------------


def _without(path: Path, curve: _Curve, start: _Point) -> list[int]:
    """What the pool gives the wanted swaps without the fronts, fees on the output taken off."""
    y = float(start.y)
    x = curve.x(y)
    found: list[int] = []
    for swap in path.replayed:
        if swap.number in path.fronts:
            continue
        used, taken = _used(swap), swap.amount_out + swap.fee_out
        if swap.side == 0:
            after = x + used
            out = y - curve.y(after)
            if swap.mode == EXACT_OUT:
                after = curve.x(y - taken)
            bought, x, y = out, after, curve.y(after)
        else:
            after = y + used
            out = x - curve.x(after)
            if swap.mode == EXACT_OUT:
                after = curve.y(x - taken)
            bought, x, y = out, curve.x(after), after
        if swap.number in path.wanted:
            kept = bought * swap.amount_out / taken if swap.fee_out else bought
            found.append(int(max(kept, 0.0)))
    return found
