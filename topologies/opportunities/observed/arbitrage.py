"""Atomic arbitrage: one transaction whose swaps, on two pools or more, give back at least what they
took of every mint and more of one.

That covers split routes and several cycles in one transaction. A transaction of which only some of
the swaps are known here is none, and neither is a round trip through a single pool.
"""

from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import (
    EVEN,
    NEIGHBOURS,
    ONE_SLOT,
    UNKNOWN_VENUE,
    Exactness,
    Kind,
    Role,
)
from mevstream.codecs.parsed import UNKNOWN_VENUE as NO_VENUE
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.observed.backrun import Target
from mevstream.topologies.opportunities.observed.costs import settle_cycle
from mevstream.topologies.opportunities.observed.model import Found, Place, Victim

MOST_HOPS = 256

Cycle = tuple[int, int, int, int, int, bool]
"""What `Window.take` tells of one."""


def arbitrage(view: ParsedView, cycle: Cycle, target: Target | None, sol: bytes) -> Found:
    """The arbitrage that a cycle of the batch is; with a target it is a backrun.

    sol: the mint of wrapped SOL. The profit is what the signers kept of what the legs brought
    (costs.py).
    """
    tx, first, n, mint, gain, even = cycle
    places = [Place(Role.hop, view, row) for row in range(first, first + n)]
    in_sol = view.keys[mint].tobytes() == sol
    profit, net, reasons = settle_cycle(view, tx, range(first, first + n), mint, gain, in_sol)
    reasons |= ONE_SLOT | (EVEN if even else 0)
    reasons |= UNKNOWN_VENUE if has_unknown_venue(places) else 0
    if target is None:
        return Found(
            kind=Kind.arbitrage,
            legs=places,
            own=0,
            mint=mint,
            decimals=_decimals(view, first, n, mint),
            profit=profit,
            net_lamports=net,
            reasons=reasons,
        )
    return Found(
        kind=Kind.backrun,
        legs=[target.place, *places],
        own=1,
        mint=mint,
        decimals=_decimals(view, first, n, mint),
        profit=profit,
        net_lamports=net,
        reasons=reasons | (NEIGHBOURS if target.neighbour else 0),
        victims=(Victim(0, target.got, target.got, Exactness.none),),
        precedence=MOST_HOPS - (target.own.row - first),
    )


def has_unknown_venue(places: list[Place]) -> bool:
    """Whether a leg is told by the token flow of an unlisted program alone."""
    for place in places:
        venue = int(place.view.swap_venue[place.row])
        if venue == NONE or place.view.names[venue] == NO_VENUE:
            return True
    return False


def _decimals(view: ParsedView, first: int, n: int, mint: int) -> int:
    for row in range(first, first + n):
        if int(view.swap_mint_in[row]) == mint:
            return int(view.swap_decimals_in[row])
        if int(view.swap_mint_out[row]) == mint:
            return int(view.swap_decimals_out[row])
    return 255
