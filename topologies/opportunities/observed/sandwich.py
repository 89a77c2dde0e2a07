"""Sandwiches: an actor swaps, others swap the same way at a worse price for it, and the actor swaps
back, in one slot or over the slots of a leader group.

It is one only if the actor ends no worse in both mints and better in one, nearly all of what it
bought is sold, and the others, of whom none is the same actor (actors.py) or goes in and out
itself, lost against the pool without the front. Who does not gain by it after fees and tips, as far
as that can be told, has made none.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from mevstream.cext.wallets import Wallets
from mevstream.codecs import opportunities as bits
from mevstream.codecs.opportunities import Exactness, Kind, Role
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.observed.actors import FLEET, Actors, bid, is_telling
from mevstream.topologies.opportunities.observed.arbitrage import has_unknown_venue
from mevstream.topologies.opportunities.observed.costs import costs_of
from mevstream.topologies.opportunities.observed.losses import expected_without
from mevstream.topologies.opportunities.observed.marks import Marks
from mevstream.topologies.opportunities.observed.model import (
    LARGEST_AMOUNT,
    Found,
    Leg,
    Place,
    Victim,
    transactions,
)

# So many of a thousand parts of what was bought are sold again, or of what was sold bought back,
# at least: a rest may be left over by rounding, but who keeps more holds a position.
_SOLD = 999

# Less than one part in so many, of what a victim should have got or of what went through where the
# gain cannot be held against the costs, is rounding or drift.
_LEAST_SHARE = 100_000

_OWN = (Role.front, Role.back)


@dataclass(frozen=True, slots=True)
class _Trade:
    """Fronts and backs of one actor that come out even, and who was between."""

    fronts: Sequence[Leg]
    backs: Sequence[Leg]
    victims: Sequence[Leg]
    between: int
    """Legs of others in the pool from the first front to the last back."""

    @property
    def spent(self) -> int:
        return sum(leg.trader_in for leg in self.fronts)

    @property
    def bought(self) -> int:
        return sum(leg.trader_out for leg in self.fronts)

    @property
    def sold(self) -> int:
        return sum(leg.trader_in for leg in self.backs)

    @property
    def received(self) -> int:
        return sum(leg.trader_out for leg in self.backs)

    @property
    def wide(self) -> bool:
        return self.fronts[0].slot != self.backs[-1].slot


class _Pool:
    """The legs between two mints in one pool, and whose they are."""

    def __init__(
        self,
        legs: Sequence[Leg],
        actors: Sequence[int],
        funders: Sequence[set[int]],
        batches: Sequence[ParsedView],
        sol: bytes,
        marks: Marks,
    ) -> None:
        self.legs = legs
        self.batches = batches
        self.sol = sol
        self.marks = marks
        self._actor = {leg.number: actor for leg, actor in zip(legs, actors, strict=True)}
        self._funders = {leg.number: own for leg, own in zip(legs, funders, strict=True)}
        first: dict[int, Leg] = {}
        both: dict[int, None] = {}
        for leg, actor in zip(legs, actors, strict=True):
            if leg.reverses(first.setdefault(actor, leg)):
                both[actor] = None
        self.in_and_out = both
        """The actors with legs in both directions, in order."""

    @cached_property
    def flat(self) -> list[int]:
        """The actors that went in and out again with the same tokens. Where so many do that side by
        side they are a fleet, whatever they bid, and who of them gains does so by the others."""
        return [
            actor
            for actor in self.in_and_out
            if any(_is_flat(one, other) for one, other in pairwise(_runs(self.of(actor))))
        ]

    def of(self, actor: int) -> list[Leg]:
        return [leg for leg in self.legs if self._actor[leg.number] == actor]

    def others(self, actor: int) -> list[Leg]:
        return [leg for leg in self.legs if self._actor[leg.number] != actor]

    def is_outsider(self, leg: Leg) -> bool:
        """Whether it is of somebody who has no legs in the other direction: who goes in and out
        is not there to hold what it bought."""
        return self._actor[leg.number] not in self.in_and_out

    def is_funded_with(self, leg: Leg, own: Sequence[Leg]) -> bool:
        """Whether somebody, be it a public service, gave something to its wallet and to one of
        these."""
        return any(self._funders[leg.number] & self._funders[one.number] for one in own)

    def is_like(self, leg: Leg, own: Sequence[Leg]) -> bool:
        """Whether its transaction looks as if the one who made these had made it, too: the same
        amount goes in, or it has the same odd bid or limit of compute units."""
        if any(one.same_way(leg) and one.trader_in == leg.trader_in for one in own):
            return True
        price, limit = bid(leg, self.batches)
        bids = [bid(one, self.batches) for one in own]
        return (is_telling(limit) and any(limit == of_own for _, of_own in bids)) or (
            is_telling(price) and (price, limit) in bids
        )


def _is_flat(front: Sequence[Leg], back: Sequence[Leg]) -> bool:
    bought, sold = sum(leg.trader_out for leg in front), sum(leg.trader_in for leg in back)
    return bought * _SOLD <= sold * 1000 <= bought * 1000


def sandwiches(
    legs: Sequence[Leg],
    since: int,
    batches: Sequence[ParsedView],
    sol: bytes,
    marks: Marks,
    wallets: Wallets,
) -> Iterator[Found]:
    """The sandwiches of one pool that leg number `since` or a later one completes.

    legs: those of the pool in the leader group, in order; batches: those that they came in; sol:
    the mint of wrapped SOL; marks: where pools stood before the group; wallets: whose they are.
    """
    actors = Actors(legs, batches, wallets)
    pairs: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for i, leg in enumerate(legs):
        pairs[min(leg.mint_in, leg.mint_out), max(leg.mint_in, leg.mint_out)].append(i)
    for members in pairs.values():
        own = [legs[i] for i in members]
        pool = _Pool(
            own,
            [actors.of[i] for i in members],
            [actors.funders[i] for i in members],
            batches,
            sol,
            marks,
        )
        if len(pool.in_and_out) >= FLEET and len(pool.flat) >= FLEET:
            continue
        for actor in pool.in_and_out:
            if actor in actors.fleets:
                continue
            yield from _of_actor(pool, actor, since)


def _runs(legs: Sequence[Leg]) -> list[list[Leg]]:
    """Those that go the same way one after the other."""
    runs: list[list[Leg]] = []
    for leg in legs:
        if runs and runs[-1][-1].same_way(leg):
            runs[-1].append(leg)
        else:
            runs.append([leg])
    return runs


def _of_actor(pool: _Pool, actor: int, since: int) -> Iterator[Found]:
    runs = _runs(pool.of(actor))
    i = 0
    while i + 1 < len(runs):
        fronts, backs = runs[i], runs[i + 1]
        i += 1
        # What the legs of slots that have ended make was told then.
        told = [leg for leg in backs if leg.number < since]
        if told and _first_sandwich(pool, actor, fronts, told) is not None:
            i += 1
        elif backs[-1].number >= since:
            found = _first_sandwich(pool, actor, fronts, backs)
            if found is not None:
                yield found
                i += 1


def _first_sandwich(
    pool: _Pool, actor: int, fronts: Sequence[Leg], backs: Sequence[Leg]
) -> Found | None:
    """That of all these legs, else of the last front with the backs, else …"""
    choices = [(fronts, backs), (fronts[-1:], backs), (fronts, backs[:1]), (fronts[-1:], backs[:1])]
    for front, back in choices:
        trade = _trade(pool, actor, front, back)
        if trade is not None and (found := _sandwich(pool, trade)) is not None:
            return found
    return None


def _trade(pool: _Pool, actor: int, front: Sequence[Leg], back: Sequence[Leg]) -> _Trade | None:
    between = [leg for leg in pool.others(actor) if front[0].number < leg.number < back[-1].number]
    own = [*front, *back]
    victims = [
        leg
        for leg in between
        if leg.same_way(front[0])
        and pool.is_outsider(leg)
        and not pool.is_like(leg, own)
        and not pool.is_funded_with(leg, own)
    ]
    if not victims:
        return None
    # A front behind the last victim, or a back before the first, had no part in it.
    last, first = victims[-1].number, victims[0].number
    trade = _Trade(
        [leg for leg in front if leg.number < last],
        [leg for leg in back if leg.number > first],
        victims,
        len(between),
    )
    return trade if trade.fronts and trade.backs and _comes_out_even(trade) else None


def _comes_out_even(trade: _Trade) -> bool:
    """No worse in both mints, better in one, and out again of what was bought."""
    if trade.sold > trade.bought or trade.received < trade.spent:
        return False
    if trade.sold == trade.bought and trade.received == trade.spent:
        return False
    sold_again = trade.sold * 1000 >= trade.bought * _SOLD
    bought_back = trade.spent * 1000 >= trade.received * _SOLD
    if not (sold_again or bought_back):
        return False
    # Over several slots many trade in a pool; an attacker has little but victims around it.
    return not trade.wide or 2 * len(trade.victims) >= trade.between


def _sandwich(pool: _Pool, trade: _Trade) -> Found | None:
    """The opportunity, if anybody lost and the attacker did not."""
    batches = pool.batches
    last = trade.backs[-1].number
    expected = expected_without(
        [leg for leg in pool.legs if leg.number <= last],
        {leg.number for leg in trade.fronts},
        trade.victims,
        batches,
        pool.marks,
    )
    lost = [
        (leg, amount, exactness)
        for leg, (amount, exactness) in zip(trade.victims, expected, strict=True)
        if (amount - leg.trader_out) * _LEAST_SHARE > amount
    ]
    if not lost:
        return None
    roles = (
        [(leg, Role.front) for leg in trade.fronts]
        + [(leg, Role.victim) for leg, _, _ in lost]
        + [(leg, Role.back) for leg in trade.backs]
    )
    roles.sort(key=lambda pair: pair[0].number)
    places = [Place(role, batches[leg.batch], leg.row) for leg, role in roles]
    position = {leg.number: i for i, (leg, _) in enumerate(roles)}
    victims = [
        Victim(position[leg.number], leg.trader_out, min(amount, LARGEST_AMOUNT), exactness)
        for leg, amount, exactness in lost
    ]
    front = batches[trade.fronts[0].batch]
    row = trade.fronts[0].row
    # In the mint in which more was gained, as a share of what went through.
    in_first = (trade.received - trade.spent) * trade.bought >= (
        trade.bought - trade.sold
    ) * trade.spent
    mint = int((front.swap_mint_in if in_first else front.swap_mint_out)[row])
    decimals = int((front.swap_decimals_in if in_first else front.swap_decimals_out)[row])
    profit = trade.received - trade.spent if in_first else trade.bought - trade.sold
    costs = costs_of(transactions(places, _OWN))
    net, reasons = costs.net(profit, front.keys[mint].tobytes() == pool.sol)
    turnover = trade.spent if in_first else trade.bought
    if (net is not None and net <= 0) or (net is None and profit * _LEAST_SHARE < turnover):
        return None
    return Found(
        kind=Kind.sandwich,
        legs=places,
        own=0,
        mint=mint,
        decimals=decimals,
        profit=profit,
        net_lamports=net,
        reasons=reasons | _reasons(trade, places, roles, [exact for _, _, exact in lost]),
        victims=victims,
    )


def _reasons(
    trade: _Trade,
    places: list[Place],
    roles: Sequence[tuple[Leg, Role]],
    exactness: Sequence[Exactness],
) -> int:
    own = (*trade.fronts, *trade.backs)
    payers = {leg.payer for leg in own}
    traders = {leg.trader for leg in own}
    positions = {leg.tx_index for leg, _ in roles}
    routed = any(leg.routed for leg in own)
    same_wallet = len(payers) == 1 or (len(traders) == 1 and not routed)
    same_tokens = trade.sold == trade.bought and not same_wallet
    return (
        (bits.WIDE if trade.wide else bits.ONE_SLOT)
        | (
            0
            if trade.wide or max(positions) - min(positions) >= len(positions)
            else bits.NEIGHBOURS
        )
        | (bits.EVEN if trade.sold == trade.bought else 0)
        | (bits.SAME_WALLET if same_wallet else 0)
        | (bits.SAME_TOKENS if same_tokens else 0)
        | (bits.LINKED_WALLETS if not (same_wallet or same_tokens) else 0)
        | (bits.SEVERAL_WALLETS if len(payers) > 1 else 0)
        | (bits.EXACT_LOSS if all(exact == Exactness.exact for exact in exactness) else 0)
        | (bits.ROUTED if routed else 0)
        | (bits.OTHERS_BETWEEN if trade.between > len(trade.victims) else 0)
        | (bits.UNKNOWN_VENUE if has_unknown_venue(places) else 0)
    )
