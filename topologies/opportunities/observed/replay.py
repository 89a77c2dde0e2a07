"""A swap as a replay of its pool needs it: amounts, and what its event tells of the curve."""

from collections.abc import Sequence
from dataclasses import dataclass

from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import Exactness
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.observed.model import Leg

_RESERVES_TOLD, _FEE_TOLD, _FEE_IN_OUTPUT = 16, 32, 64
EXACT_OUT = 1

Expected = list[tuple[int, Exactness]]
"""What each victim would have got, and how that was found."""


@dataclass(frozen=True, slots=True)
class Swap:
    """A leg. `forward`: in the direction of the front. amount_*: the pool's side; reserve_*: what
    the curve prices by, before the leg, in the leg's own direction (0: not told), else the vaults;
    fee: None where it is not told, or not taken of the input; fee_out: that of the output; rates
    in 1e-9, None untold; root_*: Q64.64, 0 untold; liquidity: after the leg."""

    number: int
    venue: str
    forward: bool
    amount_in: int
    amount_out: int
    trader_in: int
    trader_out: int
    reserve_in: int
    reserve_out: int
    told: bool
    mode: int
    side: int
    rates: tuple[int | None, int | None, int | None]
    fee: int | None
    fee_out: int
    root_before: int
    root: int
    liquidity: int
    withheld_in: int
    tick_before: int
    tick: int

    def received(self, out: int) -> int:
        """What the trader gets where the pool gives `out`: less a transfer fee in basis points,
        rounded up, if one explains what was withheld of this swap; else the same is withheld."""
        withheld = self.amount_out - self.trader_out
        points = round(withheld * 10_000 / self.amount_out) if self.amount_out else 0
        if withheld and -(-self.amount_out * points // 10_000) == withheld:
            return out - -(-out * points // 10_000)
        return out - withheld

    @property
    def net_in(self) -> int:
        """What arrives at the pool."""
        return self.amount_in - self.withheld_in


@dataclass(frozen=True, slots=True)
class Path:
    """The swaps of a pool that are known, in order. From `start`, which is a front, to `end`, the
    last one that is wanted, it is replayed without those whose numbers are `fronts`. root_before
    and liquidity_before: where it stood before the first one (0: nobody knows)."""

    swaps: Sequence[Swap]
    start: int
    end: int
    fronts: set[int]
    wanted: set[int]
    root_before: int = 0
    liquidity_before: int = 0

    @property
    def replayed(self) -> Sequence[Swap]:
        return self.swaps[self.start : self.end + 1]


def read_swap(leg: Leg, ways: Leg, batches: Sequence[ParsedView]) -> Swap:
    """ways: a leg in the direction of the front."""
    view, row = batches[leg.batch], leg.row
    flags = int(view.swap_flags[row])
    amount_in, amount_out = int(view.swap_amount_in[row]), int(view.swap_amount_out[row])
    reserve_in, reserve_out = int(view.swap_curve_in[row]), int(view.swap_curve_out[row])
    told = bool(reserve_in and reserve_out)
    if not told and flags & _RESERVES_TOLD:
        arrived = amount_in - int(view.swap_withheld_in[row])
        reserve_in = int(view.swap_reserve_in[row]) - arrived
        reserve_out = int(view.swap_reserve_out[row]) + amount_out
    venue = int(view.swap_venue[row])
    return Swap(
        number=leg.number,
        venue="" if venue == NONE else view.names[venue],
        forward=leg.same_way(ways),
        amount_in=amount_in,
        amount_out=amount_out,
        trader_in=leg.trader_in,
        trader_out=leg.trader_out,
        reserve_in=reserve_in,
        reserve_out=reserve_out,
        told=told,
        mode=int(view.swap_mode[row]),
        side=int(view.swap_side[row]),
        rates=(
            _rate(view.swap_fee_rate[row]),
            _rate(view.swap_fee_rate_protocol[row]),
            _rate(view.swap_fee_rate_creator[row]),
        ),
        fee=int(view.swap_fee[row]) if flags & _FEE_TOLD and not flags & _FEE_IN_OUTPUT else None,
        fee_out=int(view.swap_fee[row]) if flags & _FEE_TOLD and flags & _FEE_IN_OUTPUT else 0,
        root_before=_wide(view.swap_root_before[row], view.swap_root_before_high[row]),
        root=_wide(view.swap_root[row], view.swap_root_high[row]),
        liquidity=_wide(view.swap_liquidity[row], view.swap_liquidity_high[row]),
        withheld_in=int(view.swap_withheld_in[row]),
        tick_before=int(view.swap_tick_before[row]),
        tick=int(view.swap_tick[row]),
    )


def _rate(value: int) -> int | None:
    return None if int(value) == NONE else int(value)


def _wide(low: int, high: int) -> int:
    return int(low) | int(high) << 64
