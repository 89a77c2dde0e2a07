"""What the detectors see of a swap, and what they tell of an opportunity."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mevstream.codecs.columns import NONE
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


LEG_COLUMNS = (
    "outer",
    "inner",
    "leg",
    "venue",
    "router",
    "pool",
    "trader",
    "mint_in",
    "mint_out",
    "decimals_in",
    "decimals_out",
    "amount_in",
    "amount_out",
    "trader_in",
    "trader_out",
)
"""The columns leg_… that are those of a batch's swap legs."""

LARGEST_AMOUNT = (1 << 64) - 1
LARGEST_PROFIT = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Place:
    """A row of a batch's swap legs, and the part that it has in an opportunity."""

    role: Role
    view: ParsedView
    row: int

    @property
    def tx(self) -> int:
        return int(self.view.swap_tx[self.row])

    @property
    def is_replica(self) -> bool:
        return bool(self.view.swap_replica[self.row])

    def columns(self) -> dict[str, int]:
        """LEG_COLUMNS, with rows of the batch's keys and names."""
        return {name: int(getattr(self.view, f"swap_{name}")[self.row]) for name in LEG_COLUMNS}


@dataclass(frozen=True, slots=True)
class Move:
    """Tokens of one mint that an actor gives to a pool or lender (`add`, `repay`) or takes from it
    (`remove`, `seize`): a leg with one side.

    tx, venue, pool, trader, mint: rows of the batch's transactions, names and keys, or NONE.
    amount: what the vault got or gave; own: what the actor paid or received; base units.
    """

    role: Role
    view: ParsedView
    tx: int
    outer: int
    inner: int
    leg: int
    venue: int
    pool: int
    trader: int
    mint: int
    decimals: int
    amount: int
    own: int

    @property
    def is_replica(self) -> bool:
        """Those that have their home elsewhere are not told here."""
        return False

    @property
    def given(self) -> bool:
        return self.role in (Role.add, Role.repay)

    def columns(self) -> dict[str, int]:
        """LEG_COLUMNS, with rows of the batch's keys and names; the other side has no mint."""
        way, other = ("in", "out") if self.given else ("out", "in")
        return {
            "outer": self.outer,
            "inner": self.inner,
            "leg": self.leg,
            "venue": self.venue,
            "router": NONE,
            "pool": self.pool,
            "trader": self.trader,
            f"mint_{way}": self.mint,
            f"decimals_{way}": self.decimals,
            f"amount_{way}": min(self.amount, LARGEST_AMOUNT),
            f"trader_{way}": min(self.own, LARGEST_AMOUNT),
            f"mint_{other}": NONE,
            f"decimals_{other}": 255,
            f"amount_{other}": 0,
            f"trader_{other}": 0,
        }


Piece = Place | Move


@dataclass(frozen=True, slots=True)
class Victim:
    """leg: its place among the legs of the opportunity, a swap. Amounts in base units of what it
    got."""

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
    legs: Sequence[Piece]
    own: int
    mint: int
    decimals: int
    profit: int
    net_lamports: int | None
    reasons: int
    victims: Sequence[Victim] = field(default_factory=tuple[Victim, ...])
    precedence: int = 0
    origin: Origin = Origin.observed


def transactions(places: Iterable[Piece], roles: Iterable[Role]) -> list[tuple[ParsedView, int]]:
    """The transactions of the legs in these roles, each once, in their order: (batch, row)."""
    wanted = set(roles)
    found: dict[tuple[int, int], tuple[ParsedView, int]] = {}
    for place in places:
        if place.role in wanted:
            found.setdefault((id(place.view), place.tx), (place.view, place.tx))
    return list(found.values())
