"""Whom an arbitrage ran behind: the swap that had just moved one of its pools the other way."""

from collections.abc import Sequence
from dataclasses import dataclass

from mevstream.codecs.opportunities import Role
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.observed.model import Leg, Place

LEAST_SHARE = 2
"""The target moved at least one part in so many of what the arbitrage moved back."""

LOOK_BACK = 8
"""Swaps of a pool before the arbitrage that count as just before it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A swap that somebody ran behind, what it brought, and the arbitrage's leg in its pool."""

    place: Place
    got: int
    neighbour: bool
    own: Leg


def find_target(
    own: Leg, before: Sequence[Leg], batches: Sequence[ParsedView], actor: set[int]
) -> Target | None:
    """Of the legs of that pool and slot `before` the arbitrage's own one, the newest first, the
    largest of those just before it that went the other way; none where one of the same way came
    between, or where they are too small to have made the arbitrage.

    actor: keys of the arbitrage's payer and traders. What they did themselves is no target.
    """
    largest: Leg | None = None
    for leg in before:
        if not leg.reverses(own) or leg.payer in actor or leg.trader in actor:
            break
        if largest is None or leg.trader_out > largest.trader_out:
            largest = leg
    if largest is None or largest.trader_out * LEAST_SHARE < own.trader_in:
        return None
    return Target(
        Place(Role.target, batches[largest.batch], largest.row),
        got=largest.trader_out,
        neighbour=largest.tx_index + 1 == own.tx_index,
        own=own,
    )
