"""Replay of concentrated liquidity, on the stretch of the curve that the swaps show.

Every swap tells where the price ended, some where it began, some the liquidity there. Summed over a
chain of swaps their amounts say how much of both tokens lies between any two of those prices
(knots): with one liquidity between two knots, or with one tick between liquidities that are known,
both sums and the tick's whole number leave one answer, and the program's own arithmetic gives what
another swap gets there. Between knots with more ticks they leave several: the middle is taken, and
what passes there is called approximate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mevstream.cext import curves
from mevstream.codecs.opportunities import Exactness
from mevstream.topologies.opportunities.observed.replay import EXACT_OUT, Expected, Path, Swap

_ONE = 1 << 64
_MILLION = 1_000_000
_LOWEST, _HIGHEST = 4295048016, 79226673515401279992447579055

# Units that sums of both amounts may be off by rounding, for each swap and tick in them.
_ROUNDING = 3
# Amounts from so many times that on say something of the curve.
_TELLING = 200


@dataclass(slots=True)
class _Knot:
    """A price that a swap ended or began at: root price, what lies of token 1 and 0 between there
    and the first one, base units; the liquidity there, 0 where nobody told or inferred it."""

    root: int
    one: int
    zero: int
    liquidity: int = 0
    told: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    """One liquidity between two root prices. sure: there is no other answer; told: by events.
    summed: it may be another one within its span, but the amounts of the whole span are right."""

    low: int
    high: int
    liquidity: int
    sure: bool
    told: bool = False
    summed: bool = False


def replay(path: Path) -> Expected | None:
    """What the swaps that are wanted would have got; None where the pool is none of these."""
    swaps = path.swaps
    if any(
        not swap.root or swap.side not in (0, 1) or min(swap.net_in, swap.amount_out) <= 0
        for swap in swaps
    ):
        return None
    rates = _rates(swaps, path.root_before)
    if rates is None:
        return None
    uniform = len(set(rates)) == 1
    slack = _ROUNDING * (len(swaps) + 2)
    roots, knots, is_known = _knots(path, rates, slack)
    pieces = _pieces(knots, slack, orca=swaps[0].venue == "orca_whirlpool")
    if not pieces:
        return None
    bounds = _bounds(path, pieces, roots, rates)
    least, most = (
        _Market(
            [
                replace(piece, liquidity=bounds[i][which]) if i in bounds else piece
                for i, piece in enumerate(pieces)
            ]
        )
        for which in (0, 1)
    )
    expected, stops, touched = _without(path, least, roots[path.start], rates)
    if expected is None:
        return None
    known = {knot.root for knot in knots}
    if not (
        all(pieces[i].sure or pieces[i].summed for i in touched)
        and all(root in known or least.is_sure(root) for root in stops)
    ):
        exactness = Exactness.approximate
    elif (
        uniform
        and is_known
        and all(pieces[i].sure and i in bounds for i in touched)
        # More liquidity gives more everywhere.
        and _without(path, most, roots[path.start], rates)[0] == expected
        and all(
            _gives(least, swap, root, rate)
            for swap, root, rate in zip(
                swaps[path.start :], roots[path.start :], rates[path.start :], strict=True
            )
        )
    ):
        exactness = Exactness.exact
    else:
        exactness = Exactness.in_range
    return [(amount, exactness) for amount in expected]


# -- fees -----------------------------------------------------------------------------------------


def _rates(swaps: Sequence[Swap], before: int) -> list[int] | None:
    """The fee of each swap in parts per million: as told; else by how far the price moved in one
    liquidity. None where that does not tell."""
    told: list[tuple[int, float]] = []
    for swap in swaps:
        if swap.fee is not None:
            told.append((swap.net_in, swap.fee / swap.net_in))
        else:
            begin = swap.root_before or before
            if begin and swap.liquidity:
                used = _amounts(swap.liquidity, begin, swap.root)[1 - swap.side]
                if 0 < used <= swap.net_in:
                    told.append((swap.net_in, 1 - used / swap.net_in))
        before = swap.root
    if not told:
        return None
    # That of the largest is bounded best; where no fee is told, ticks between make it larger.
    if all(swap.fee is None for swap in swaps):
        common = round(min(rate for _, rate in told) * _MILLION)
    else:
        common = round(max(told)[1] * _MILLION)
    rates: list[int] = []
    for swap in swaps:
        charged = -(-swap.net_in * common // _MILLION)
        near = swap.fee is None or abs(swap.fee - charged) <= _ROUNDING * 4
        rates.append(
            common if near or swap.fee is None else round(swap.fee * _MILLION / swap.net_in)
        )
    return rates if all(0 <= rate < _MILLION // 2 for rate in rates) else None


def _used(swap: Swap, rate: int) -> int:
    """What went into the curve."""
    if swap.fee is not None:
        return swap.net_in - swap.fee
    return swap.net_in * (_MILLION - rate) // _MILLION


# -- what lies between two prices -----------------------------------------------------------------


def _amounts(liquidity: int, low: int, high: int) -> tuple[int, int]:
    """Of token 1 and token 0, rounded down."""
    low, high = min(low, high), max(low, high)
    width = high - low
    return liquidity * width >> 64, (liquidity << 64) * width // (low * high)


def _knots(path: Path, rates: Sequence[int], slack: int) -> tuple[list[int], list[_Knot], bool]:
    """The root price before each swap, the knots in the order of their prices, and whether it is
    known where the first swap began."""
    first = path.swaps[0]
    begin = first.root_before or path.root_before
    known = bool(begin)
    if not begin:
        begin = _begin(first, rates[0], slack)
        known = begin > 0
        begin = abs(begin)
    start = _Knot(begin, 0, 0)
    knots = {begin: start}
    roots: list[int] = []
    one = zero = 0
    for swap, rate in zip(path.swaps, rates, strict=True):
        roots.append(begin)
        used = _used(swap, rate)
        if swap.side == 1:
            one, zero = one + used, zero + swap.amount_out
        else:
            one, zero = one - swap.amount_out, zero - used
        begin = swap.root
        knot = knots.setdefault(begin, _Knot(begin, one, zero))
        if swap.liquidity:
            knot.liquidity, knot.told = swap.liquidity, True
    if known and path.liquidity_before and not start.liquidity and not first.root_before:
        start.liquidity, start.told = path.liquidity_before, True
    return roots, sorted(knots.values(), key=lambda knot: knot.root), known


def _begin(swap: Swap, rate: int, slack: int) -> int:
    """Where a swap began that was in one liquidity, as told behind it; negative where that does not
    agree with both amounts: then where it would have begun had it been so."""
    usable = swap.net_in * (_MILLION - rate) // _MILLION
    if swap.liquidity:
        if swap.side == 1:
            begin = swap.root - (usable << 64) // swap.liquidity
        else:
            rest = (swap.liquidity << 64) - usable * swap.root
            begin = (swap.liquidity << 64) * swap.root // rest if rest > 0 else 0
        if _LOWEST <= begin <= _HIGHEST:
            out = _amounts(swap.liquidity, begin, swap.root)[swap.side]
            if abs(out - swap.amount_out) <= slack and swap.amount_out >= _TELLING:
                return begin
    used, out = _used(swap, rate), swap.amount_out
    one, zero = (used, out) if swap.side == 1 else (out, used)
    begin = (one << 128) // (max(zero, 1) * swap.root)
    return -min(max(begin, _LOWEST), _HIGHEST)


def _pieces(knots: list[_Knot], slack: int, *, orca: bool) -> list[_Piece]:
    """The liquidity from the lowest price to the highest; beyond the knots it goes on, which nobody
    told."""
    spans = list(pairwise(knots))
    solved: dict[int, list[_Piece]] = {}
    # What one span tells of a knot may solve the next one.
    for _ in spans:
        before = len(solved)
        for i, (a, b) in enumerate(spans):
            if i not in solved and (found := _solve(a, b, slack, orca=orca)):
                solved[i] = found
                a.liquidity = a.liquidity or found[0].liquidity
                b.liquidity = b.liquidity or found[-1].liquidity
        if len(solved) == before:
            break
    pieces: list[_Piece] = []
    for i, (a, b) in enumerate(spans):
        found = solved.get(i) or _guess(a, b)
        before = pieces[-1] if pieces else None
        if before and before.sure and found[0].sure:
            # No tick is at a knot: it is the same liquidity.
            best = max(before, found[0], key=lambda piece: (piece.told, piece.high - piece.low))
            pieces[-1] = replace(best, low=before.low, high=found[0].high)
            del found[0]
        pieces += found
    if not pieces:
        return []
    low, high = pieces[0], pieces[-1]
    beyond = (
        _Piece(_LOWEST, low.low, low.liquidity, sure=False),
        *pieces,
        _Piece(high.high, _HIGHEST, high.liquidity, sure=False),
    )
    return [piece for piece in beyond if piece.low < piece.high]


def _solve(a: _Knot, b: _Knot, slack: int, *, orca: bool) -> list[_Piece] | None:
    """One liquidity, or two with a tick between; None where that is not all that may be."""
    one, zero = b.one - a.one, b.zero - a.zero
    if min(one, zero) < _TELLING * slack:
        # Too little to tell: only what events say of both ends.
        if a.liquidity and a.liquidity == b.liquidity and a.told and b.told:
            return [_Piece(a.root, b.root, a.liquidity, sure=True, told=True)]
        return None

    def fits(pieces: Sequence[_Piece]) -> bool:
        both = [_amounts(piece.liquidity, piece.low, piece.high) for piece in pieces]
        return (
            abs(sum(x for x, _ in both) - one) <= slack
            and abs(sum(y for _, y in both) - zero) <= slack
        )

    width = b.root - a.root
    by_one, by_zero = (one << 64) // width, zero * a.root * b.root // (width << 64)
    told = {knot.liquidity for knot in (a, b) if knot.told}
    if len(told) < 2:
        # What is inferred of the ends from other spans may be less precise.
        flat = told.pop() if told else by_one if one > zero else by_zero
        piece = _Piece(a.root, b.root, flat, sure=True, told=a.told or b.told)
        if fits([piece]):
            return [piece]
    found = [pieces for pieces in _with_tick(a, b, orca=orca) if fits(pieces)]
    return found[0] if len(found) == 1 else None


def _with_tick(a: _Knot, b: _Knot, *, orca: bool) -> Iterator[list[_Piece]]:
    """Two liquidities with a tick between that may lie there."""
    one, zero = b.one - a.one, b.zero - a.zero
    if a.liquidity and b.liquidity:
        if a.liquidity == b.liquidity:
            return
        root = ((one << 64) + a.liquidity * a.root - b.liquidity * b.root) // (
            a.liquidity - b.liquidity
        )
    elif a.liquidity or b.liquidity:
        # What the other liquidity has more, to the tick, is the same by both amounts.
        known, far = (a.liquidity, b.root) if a.liquidity else (b.liquidity, a.root)
        flat = _amounts(known, a.root, b.root)
        more_one, more_zero = one - flat[0], zero - flat[1]
        if more_zero == 0 or more_one == 0:
            return
        root = (more_one << 128) // (more_zero * far)
    else:
        return
    if not a.root < root < b.root:
        return
    middle = curves.tick_at(root, orca=orca)
    for tick in range(middle - 2, middle + 4):
        at = curves.tick_root(tick, orca=orca)
        if not a.root < at < b.root:
            continue
        first, last = a.liquidity, b.liquidity
        if not last:
            last = first + ((one - _amounts(first, a.root, b.root)[0]) << 64) // (b.root - at)
        elif not first:
            first = last + ((one - _amounts(last, a.root, b.root)[0]) << 64) // (at - a.root)
        if first > 0 and last > 0:
            yield [
                _Piece(a.root, at, first, sure=True, told=a.told),
                _Piece(at, b.root, last, sure=True, told=b.told),
            ]


def _guess(a: _Knot, b: _Knot) -> list[_Piece]:
    """A curve with both sums: of two liquidities that meet in the middle, else of one."""
    one, zero = max(b.one - a.one, 0), max(b.zero - a.zero, 0)
    low, high = a.root / _ONE, b.root / _ONE
    middle = (low * high) ** 0.5
    inverse = 1 / low - 1 / middle, 1 / middle - 1 / high
    # one = x(m - l) + y(h - m), zero = x·inverse + y·inverse
    det = (middle - low) * inverse[1] - (high - middle) * inverse[0]
    first = last = 0.0
    if det:
        first = (one * inverse[1] - zero * (high - middle)) / det
        last = (zero * (middle - low) - one * inverse[0]) / det
    if min(first, last) < 1:
        flat = max((one * zero * low * high) ** 0.5 / (high - low), 1.0)
        return [_Piece(a.root, b.root, int(flat), sure=False)]
    root = min(max(int(middle * _ONE), a.root + 1), b.root)
    return [
        _Piece(a.root, root, int(first), sure=False, summed=True),
        _Piece(root, b.root, int(last), sure=False, summed=True),
    ]


# -- liquidity to the unit ------------------------------------------------------------------------


def _bounds(
    path: Path, pieces: Sequence[_Piece], roots: Sequence[int], rates: Sequence[int]
) -> dict[int, tuple[int, int]]:
    """The least and the greatest liquidity of the pieces (by number) in which swaps ended: where
    the price stopped tells it better than amounts do."""
    bounds = {i: (p.liquidity, p.liquidity) for i, p in enumerate(pieces) if p.sure and p.told}
    legs = list(zip(path.swaps, roots, rates, strict=True))
    for _ in pieces:
        found: dict[int, tuple[int, int]] = {}
        for swap, root, rate in legs:
            entered = _enter(pieces, bounds, swap, root, rate)
            if entered is None:
                continue
            i, begin, left = entered
            low, high = found.get(i, (1, 1 << 127))
            least, most = _moved_by(swap, begin, left * (_MILLION - rate) // _MILLION)
            found[i] = max(low, least), min(high, most)
        found = {i: (low, high) for i, (low, high) in found.items() if low <= high < 1 << 127}
        if not found:
            break
        bounds |= found
    return bounds


def _enter(
    pieces: Sequence[_Piece],
    bounds: dict[int, tuple[int, int]],
    swap: Swap,
    root: int,
    rate: int,
) -> tuple[int, int, int] | None:
    """The piece without bounds in which a swap ended, if all before it have them: its number, the
    price there at first, and what was left to go in."""
    left = swap.net_in
    up = swap.side == 1
    for i in range(len(pieces)) if up else reversed(range(len(pieces))):
        piece = pieces[i]
        if (piece.high <= root) if up else (piece.low >= root):
            continue
        end = piece.high if up else piece.low
        if piece.low <= swap.root <= piece.high:
            is_new = i not in bounds and piece.sure and swap.root not in (root, end) and left > 0
            return (i, root, left) if is_new else None
        if i not in bounds:
            return None
        step = curves.range_swap_step(root, end, bounds[i][0], left, rate, zero_in=not up)
        left -= step.net_in + step.fee
        root = end
    return None


def _moved_by(swap: Swap, root: int, usable: int) -> tuple[int, int]:
    """The liquidity with which `usable` moves the price from there to where the swap ended."""
    moved = abs(swap.root - root)
    if swap.side == 1:
        return (usable << 64) // (moved + 1) + 1, (usable << 64) // moved
    wide = usable * root
    return wide * (swap.root - 1) // ((moved + 1) << 64), wide * swap.root // (moved << 64) + 1


# -- replay ---------------------------------------------------------------------------------------


class _Market:
    """A pool of pieces, in the order of their prices."""

    def __init__(self, pieces: Sequence[_Piece]) -> None:
        self.pieces = pieces

    def index(self, root: int, side: int) -> int:
        """The piece in which a swap of that side goes on from a root price."""
        for i, piece in enumerate(self.pieces):
            if root < piece.high or (side == 0 and root == piece.high):
                return i
        return len(self.pieces) - 1

    def swap(self, swap: Swap, root: int, rate: int) -> curves.RangeSwapped:
        """What goes into the swap, from a root price on. Raises ValueError where it cannot be
        done."""
        return self._run(root, swap.side, swap.net_in, rate, exact_in=True)

    def again(self, swap: Swap, root: int, rate: int) -> curves.RangeSwapped:
        """The swap as it was sent: of one that named what comes out that comes out. Raises
        ValueError where it cannot be done."""
        if swap.mode == EXACT_OUT:
            return self._run(root, swap.side, swap.amount_out, rate, exact_in=False)
        return self.swap(swap, root, rate)

    def _run(
        self, root: int, side: int, amount: int, rate: int, *, exact_in: bool
    ) -> curves.RangeSwapped:
        start = self.index(root, side)
        way = 1 if side == 1 else -1
        end = len(self.pieces) if way == 1 else -1
        ticks: list[tuple[int, int]] = []
        for i in range(start, end, way):
            here = self.pieces[i]
            following = self.pieces[i + way].liquidity if i + way != end else 0
            net = (following - here.liquidity) * way
            ticks.append((here.high if way == 1 else here.low, net))
        return curves.range_swap(
            root,
            self.pieces[start].liquidity,
            amount,
            rate,
            ticks,
            zero_in=side == 0,
            exact_in=exact_in,
        )

    def is_sure(self, root: int) -> bool:
        return all(p.sure for p in self.pieces if p.low <= root <= p.high)

    def between(self, low: int, high: int) -> list[int]:
        """Numbers of the pieces that the price passes."""
        return [i for i, p in enumerate(self.pieces) if p.low < high and low < p.high]


def _without(
    path: Path, market: _Market, root: int, rates: Sequence[int]
) -> tuple[list[int] | None, list[int], list[int]]:
    """(what the wanted swaps get without the fronts, the prices at which they and the others begin
    and end, numbers of the pieces that they pass)."""
    expected: list[int] = []
    stops = [root]
    for i in range(path.start, path.end + 1):
        swap = path.swaps[i]
        if swap.number in path.fronts:
            continue
        try:
            bought = market.swap(swap, root, rates[i])
            root = market.again(swap, root, rates[i]).root
        except (ValueError, OverflowError):
            return None, [], []
        stops += (bought.root, root)
        if swap.number in path.wanted:
            expected.append(max(0, swap.received(bought.amount_out)))
    return expected, stops, market.between(min(stops), max(stops))


def _gives(market: _Market, swap: Swap, root: int, rate: int) -> bool:
    """Whether the swap is what the program gives there, to the unit."""
    try:
        done = market.again(swap, root, rate)
    except (ValueError, OverflowError):
        return False
    wanted = (swap.net_in, swap.amount_out, swap.root)
    return (done.amount_in, done.amount_out, done.root) == wanted
