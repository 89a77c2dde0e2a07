"""What the victims of a front would have got without it.

The pool is replayed from where it stood before the front, with everybody's swaps but the front's:
by the program's own arithmetic where the batches tell what it priced by (products.py, ranges.py),
which is exact; else on the curve through front and victims. A swap whose input was named brings
what that input buys; one whose output was named takes the same again, and what it would have got
is what its input would have bought.
"""

from collections.abc import Sequence

from mevstream.codecs.opportunities import Exactness
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.observed import bins, products, ticks
from mevstream.topologies.opportunities.observed.marks import Marks, changes
from mevstream.topologies.opportunities.observed.model import Leg
from mevstream.topologies.opportunities.observed.replay import Expected, Path, Swap, read_swap

# The curve through swaps is no program's: one part in so many is left to it.
_FAIR = 10_000


def expected_without(
    legs: Sequence[Leg],
    fronts: set[int],
    victims: Sequence[Leg],
    batches: Sequence[ParsedView],
    marks: Marks,
) -> Expected:
    """For each victim what it would have got without the fronts, and how that was found.

    legs: all legs of the pool in the leader group up to the last back, in order; fronts: numbers of
    legs. Legs in the direction of the front are `victims` or bystanders. marks: where pools stood
    before the group.
    """
    wanted = {leg.number for leg in victims}
    start = min(i for i, leg in enumerate(legs) if leg.number in fronts)
    view = batches[legs[start].batch]
    pool = view.keys[view.swap_pool[legs[start].row]].tobytes()
    root, liquidity = marks.of.get(pool, (0, 0))
    amid = False
    for change in changes(pool, batches):
        # Swaps before a change of the liquidity tell nothing of what is there behind it.
        before = [leg for leg in legs if (leg.slot, leg.tx_index) <= change]
        if len(before) <= start:
            legs, start, liquidity = legs[len(before) :], start - len(before), 0
            root = read_swap(before[-1], victims[0], batches).root if before else root
        else:
            amid |= len(before) < len(legs)
    swaps = [read_swap(leg, victims[0], batches) for leg in legs]
    end = max(i for i, leg in enumerate(legs) if leg.number in wanted)
    path = Path(swaps, start, end, fronts, wanted, root, liquidity)
    for replay in (ticks.replay, bins.replay, products.replay):
        found = replay(path)
        if found is not None:
            return [(amount, Exactness.approximate if amid else how) for amount, how in found]
    amounts = _curve(path.replayed, fronts, wanted)
    if _gave_away(swaps[start:]):
        amounts = [0] * len(amounts)
    return [(amount, Exactness.approximate) for amount in amounts]


def _gave_away(swaps: Sequence[Swap]) -> bool:
    """Whether the pool gave more than a price that only these swaps move can have given: then it
    was moved from elsewhere (an oracle, a maker's quote), and whom that hit is no victim of the
    swaps before it."""
    first_in, first_out = swaps[0].amount_in, swaps[0].amount_out
    total_in = sum(swap.amount_in for swap in swaps if swap.forward)
    total_out = sum(swap.amount_out for swap in swaps if swap.forward)
    kept_in = total_in - sum(swap.amount_out for swap in swaps if not swap.forward)
    kept_out = total_out - sum(swap.amount_in for swap in swaps if not swap.forward)
    if kept_out <= 0:
        # All of it came back, and some more: the pool may not have lost by it.
        return kept_in < 0
    if not 0 < kept_in < total_in:
        return kept_in <= 0
    fair = _along(first_in, first_out, total_in, total_out, 0, kept_in)
    return fair * _FAIR < kept_out * (_FAIR - 1)


def _curve(swaps: Sequence[Swap], fronts: set[int], wanted: set[int]) -> list[int]:
    """On out(in) = y·in / (x + in), the curve that gives what the fronts got, and all until the
    victim together. The fee, being a share of what comes in, is part of it."""
    front_in = front_out = others_in = others_out = 0
    expected: list[int] = []
    for swap in swaps:
        if not swap.forward:
            continue
        if swap.number in fronts:
            front_in, front_out = front_in + swap.amount_in, front_out + swap.amount_out
            continue
        before_in = others_in
        others_in, others_out = others_in + swap.amount_in, others_out + swap.amount_out
        if swap.number in wanted:
            total_in, total_out = front_in + others_in, front_out + others_out
            out = _along(front_in, front_out, total_in, total_out, before_in, others_in)
            expected.append(max(0, swap.received(out)) if out else 0)
    return expected


def _along(
    first_in: int, first_out: int, total_in: int, total_out: int, start: int, end: int
) -> int:
    """What the piece start … end of the input gives on the curve through (first_in, first_out) and
    (total_in, total_out), rounded down; 0 where there is no such curve: no price moved."""
    rest_in, rest_out = total_in - first_in, total_out - first_out
    if min(first_in, first_out, rest_in, rest_out) <= 0:
        return 0
    # 1/out = a/in + b, with a = x/y and b = 1/y, both times first_out·total_out·rest_in.
    a = rest_out * first_in * total_in
    b = total_out * rest_in - rest_out * total_in
    if b <= 0:
        return 0
    scale = first_out * total_out * rest_in

    def out(amount: int) -> int:
        return scale * amount // (a + b * amount)

    return out(end) - out(start)
