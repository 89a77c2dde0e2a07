"""What the detectors see of a swap, and what they tell of an opportunity."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mevstream.codecs.opportunities import Exactness, Kind, Origin, Role
from mevstream.codecs.parsed import ParsedView
from mevstream.settings import HUB_MINTS

WRAPPED_SOL = HUB_MINTS[0]


class Leg(NamedTuple):
    """A swap leg of the window (cext/detect.pyx), in the order of the chain.

    `number` counts the legs of the leader group; `batch` is the batch that it came in, `row` and
    `tx` are its rows there. pool … payer are numbers of keys in the window. The amounts are the
    trader's: what was paid and what arrived, base units.
    """

    number: int
    slot: int
    tx_index: int
    batch: int
    row: int
    tx: int
    pool: int
    mint_in: int
    mint_out: int
    trader: int
    payer: int
    routed: bool
    trader_in: int
    trader_out: int

    def same_way(self, other: "Leg") -> bool:
        return self.mint_in == other.mint_in and self.mint_out == other.mint_out

    def reverses(self, other: "Leg") -> bool:
        return self.mint_in == other.mint_out and self.mint_out == other.mint_in


@dataclass(frozen=True, slots=True)
class Place:
    """A row of a batch's swap legs, and the part that it has in an opportunity."""

    role: Role
    view: ParsedView
    row: int


@dataclass(frozen=True, slots=True)
class Victim:
    """leg: its place among the legs of the opportunity. Amounts in base units of what it got."""

    leg: int
    got: int
    expected: int
    exactness: Exactness

    @property
    def loss(self) -> int:
        return max(0, self.expected - self.got)


@dataclass(frozen=True, slots=True)
class Found:
    """An opportunity. `mint` is a row of `keys` in the view of the leg `legs[own]`, which is the
    actor's first one; profit, net and precedence as the columns opp_… are."""

    kind: Kind
    legs: Sequence[Place]
    own: int
    mint: int
    decimals: int
    profit: int
    net_lamports: int | None
    reasons: int
    victims: Sequence[Victim] = field(default_factory=tuple[Victim, ...])
    precedence: int = 0
    origin: Origin = Origin.observed


def transactions(places: Iterable[Place], roles: Iterable[Role]) -> list[tuple[ParsedView, int]]:
    """The transactions of the legs in these roles, each once, in their order: (batch, row)."""
    wanted = set(roles)
    found: dict[tuple[int, int], tuple[ParsedView, int]] = {}
    for place in places:
        if place.role in wanted:
            tx = int(place.view.swap_tx[place.row])
            found.setdefault((id(place.view), tx), (place.view, tx))
    return list(found.values())
