"""Who belongs to whom: an actor is more than a wallet.

Two wallets that trade in a pool are one actor's where one pays the other's transactions or trades
through the other's authority, where one sells to the last unit what another one got (unless that
is a round number), where lamports, tokens or a closed account went from one to the other in the
leader group, directly or through wallets between (cext/wallets.pyx), and where many
of them bid the same price for the same compute units: a fleet of one bot. A router is no actor: its
accounts trade for everybody, so only the payer counts there. Neither is a service that many wallets
have to do with.

What the batches do not tell, and so is not used: who funded a wallet before the leader group, and
which unlisted program called a venue.
"""

from collections import defaultdict
from collections.abc import Sequence

from mevstream.cext.wallets import Wallets
from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.observed.model import Leg

FLEET = 4
"""From so many wallets on that bid or do the same it is no coincidence."""

LEAST_DIGITS = 4
"""Amounts with fewer digits before their zeros are equal by chance, or because people like round
numbers."""

_LOOK_BACK = 32


def is_telling(amount: int) -> bool:
    """Whether nobody else has the same by chance."""
    return len(str(amount).rstrip("0")) >= LEAST_DIGITS


def wallets_of(leg: Leg) -> list[int]:
    """Whose keys a leg was traded with, as numbers of the window."""
    traders = [leg.payer] if leg.routed or leg.trader == NONE else [leg.payer, leg.trader]
    return [wallet for wallet in dict.fromkeys(traders) if wallet != NONE]


def bid(leg: Leg, batches: Sequence[ParsedView]) -> tuple[int, int]:
    """What a leg's transaction bids for a compute unit, and its limit of them; 0 for none."""
    view = batches[leg.batch]
    price, limit = int(view.tx_cu_price[leg.tx]), int(view.tx_cu_limit[leg.tx])
    return price, 0 if limit == NONE else limit


class Actors:
    """The actors of the legs of one pool: `of[i]` is the number of the actor of legs[i].

    legs: in order, all of one pool; batches: those that they came in; wallets: whose they are,
    and who gave them something. `funders[i]` are those who gave something to the wallets
    of legs[i], public services, too; `fleets` are actors with wallets of which somebody gave
    something to FLEET or more that trade in this pool.
    """

    of: list[int]
    funders: list[set[int]]
    fleets: set[int]

    def __init__(
        self, legs: Sequence[Leg], batches: Sequence[ParsedView], wallets: Wallets
    ) -> None:
        self._parents: dict[int, int] = {}
        gave: dict[int, set[int]] = {}
        for leg in legs:
            self._find(leg.payer)
            for wallet in wallets_of(leg):
                self._join(leg.payer, wallet)
                self._join(leg.payer, wallets.owner(wallet))
                if wallet not in gave:
                    gave[wallet] = wallets.funders(wallet)
        self._join_fleets(legs, batches)
        self._join_same_tokens(legs)
        self.of = [self._find(leg.payer) for leg in legs]
        self.funders = [set[int]().union(*(gave[one] for one in wallets_of(leg))) for leg in legs]
        funded: defaultdict[int, set[int]] = defaultdict(set)
        for wallet, givers in gave.items():
            for giver in givers:
                funded[giver].add(wallet)
        self.fleets = {
            self._find(wallet)
            for members in funded.values()
            if len(members) >= FLEET
            for wallet in members
        }

    def _find(self, key: int) -> int:
        parents = self._parents
        root = parents.setdefault(key, key)
        while parents[root] != root:
            root = parents[root]
        while parents[key] != root:
            parents[key], key = root, parents[key]
        return root

    def _join(self, one: int, other: int) -> None:
        one, other = self._find(one), self._find(other)
        # The smaller number is the one that was seen first.
        self._parents[max(one, other)] = min(one, other)

    def _join_fleets(self, legs: Sequence[Leg], batches: Sequence[ParsedView]) -> None:
        """Wallets that bid the same price a unit for the same number of units; without a bid
        everybody looks the same."""
        wallets: defaultdict[tuple[int, int], dict[int, None]] = defaultdict(dict)
        for leg in legs:
            own = bid(leg, batches)
            if all(own):
                wallets[own][self._find(leg.payer)] = None
        for members in wallets.values():
            first, *others = members
            if len(members) >= FLEET:
                for other in others:
                    self._join(first, other)

    def _join_same_tokens(self, legs: Sequence[Leg]) -> None:
        """Who sells exactly what one or two legs before had brought to other wallets."""
        for i, back in enumerate(legs):
            if not is_telling(back.trader_in):
                continue
            bought = [leg for leg in legs[max(0, i - _LOOK_BACK) : i] if leg.reverses(back)]
            by_amount = {leg.trader_out: leg for leg in bought}
            if whole := by_amount.get(back.trader_in):
                self._join(whole.payer, back.payer)
                continue
            for leg in bought:
                rest = by_amount.get(back.trader_in - leg.trader_out)
                if rest is not None and rest is not leg and rest.payer != leg.payer:
                    self._join(leg.payer, back.payer)
                    self._join(rest.payer, back.payer)
                    break
