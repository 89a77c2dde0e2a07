"""Liquidity just in time: an owner adds liquidity to a pool before somebody's swap, and takes it
out again behind it, with the fees that the swap paid.

It is one only if all of what was added, and nothing else, comes out of the same position (or of the
same owner's shares) in the same slot, and somebody else swapped in between where the position
provides liquidity. Liquidity that more than a few swaps traded against was not there for one, and
that which earned no fees was there for nobody.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mevstream.codecs import opportunities as bits
from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import Exactness, Kind, Role
from mevstream.codecs.parsed import DELTA_TOLD, FEE_TOLD, LIQUIDITY_KINDS, NO_TICK, ParsedView
from mevstream.topologies.opportunities.observed.costs import costs_of
from mevstream.topologies.opportunities.observed.model import (
    LARGEST_PROFIT,
    Found,
    Move,
    Piece,
    Place,
    Victim,
    transactions,
)

MOST_SWAPS = 8
"""Swaps of the pool while the liquidity was there: of more it was not there for one."""

# The liquidity that comes out is what went in, but for one part in so many: rounding. Where it is
# told in tokens alone, their worth may also have changed with the price that the swap moved.
_SAME = 1000
_SAME_WORTH = 20

_ADD, _REMOVE = LIQUIDITY_KINDS.index("add"), LIQUIDITY_KINDS.index("remove")
_COLLECT = LIQUIDITY_KINDS.index("collect")

# The venue whose ranges are of bins, the last of which is in the range.
_BINS = "meteora_dlmm"

_OWN = (Role.add, Role.remove)


class _Change(NamedTuple):
    """A row of a batch's liquidity changes; `batch` is its number among those of the slot."""

    batch: int
    view: ParsedView
    row: int
    kind: int

    @property
    def tx(self) -> int:
        return int(self.view.liquidity_tx[self.row])

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Its place in the slot."""
        outer, inner = int(self.view.liquidity_outer[self.row]), self.inner
        return self.batch, self.tx, outer, 0 if inner == NONE else inner + 1

    @property
    def inner(self) -> int:
        return int(self.view.liquidity_inner[self.row])

    @property
    def mints(self) -> tuple[bytes, bytes]:
        view, row = self.view, self.row
        mints = (int(view.liquidity_mint_a[row]), int(view.liquidity_mint_b[row]))
        return _key(view, mints[0]), _key(view, mints[1])

    @property
    def amounts(self) -> tuple[int, int]:
        view, row = self.view, self.row
        return int(view.liquidity_amount_a[row]), int(view.liquidity_amount_b[row])

    @property
    def fees(self) -> tuple[int, int] | None:
        view, row = self.view, self.row
        if not int(view.liquidity_flags[row]) & FEE_TOLD:
            return None
        return int(view.liquidity_fee_a[row]), int(view.liquidity_fee_b[row])

    @property
    def delta(self) -> int | None:
        view, row = self.view, self.row
        if not int(view.liquidity_flags[row]) & DELTA_TOLD:
            return None
        return int(view.liquidity_delta_high[row]) << 64 | int(view.liquidity_delta_low[row])

    @property
    def payer(self) -> bytes:
        return _key(self.view, int(self.view.tx_payer[self.tx]))


Whose = tuple[bytes, bytes, bytes]
"""Pool, position, owner; no bytes for none."""


def just_in_time(batches: Sequence[ParsedView], hubs: Iterable[bytes], sol: bytes) -> list[Found]:
    """What the removals of the last batch complete.

    batches: those of the slot so far that have swaps or liquidity changes, in order; hubs: the
    mints that profit is told in where the pool has one, sol the one of them that comes first.
    """
    last = batches[-1]
    removals = np.flatnonzero((last.liquidity_kind == _REMOVE) & (last.liquidity_replica == 0))
    if not len(removals):
        return []
    positions: defaultdict[Whose, list[_Change]] = defaultdict(list)
    if not any((view.liquidity_kind == _ADD).any() for view in batches):
        return []
    wanted = {whose for row in removals.tolist() if (whose := _whose(last, row)) is not None}
    for number, view in enumerate(batches):
        for row, kind in enumerate(view.liquidity_kind.tolist()):
            if kind in (_ADD, _REMOVE, _COLLECT) and (whose := _whose(view, row)) in wanted:
                positions[whose].append(_Change(number, view, row, kind))
    found: list[Found] = []
    for (pool, _, owner), changes in positions.items():
        for visit in _visits(changes, len(batches) - 1):
            one = _found(visit, _Market(pool, owner, batches), {*hubs}, sol)
            if one is not None:
                found.append(one)
    return found


def _key(view: ParsedView, index: int) -> bytes:
    return b"" if index == NONE else view.keys[index].tobytes()


def _whose(view: ParsedView, row: int) -> Whose | None:
    """None where it cannot be told."""
    pool = _key(view, int(view.liquidity_pool[row]))
    position = _key(view, int(view.liquidity_position[row]))
    owner = _key(view, int(view.liquidity_owner[row]))
    return (pool, position, owner) if pool and (position or owner) else None


# -- what was there for a while -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Visit:
    """Additions to a position in a row, and the removals that follow them with what is collected in
    their transactions."""

    adds: Sequence[_Change]
    removes: Sequence[_Change]
    collects: Sequence[_Change]

    @property
    def taken(self) -> list[_Change]:
        return sorted((*self.removes, *self.collects), key=lambda change: change.order)

    @property
    def change(self) -> tuple[int, int]:
        """What the owner has more of both tokens."""
        given = [change.amounts for change in self.adds]
        taken = [change.amounts for change in self.taken]
        return (
            sum(a for a, _ in taken) - sum(a for a, _ in given),
            sum(b for _, b in taken) - sum(b for _, b in given),
        )

    def earned_nothing(self) -> bool:
        """Whether the fees are told, and are none."""
        fees = [fees for change in self.taken if (fees := change.fees) is not None]
        return bool(fees) and not any(a or b for a, b in fees)

    def is_whole(self, targets: Sequence[Place]) -> bool:
        """Whether what was added, and that alone, came out: by liquidity, else by the worth of the
        tokens at the price of the targets."""
        added = [change.delta for change in self.adds]
        removed = [change.delta for change in self.removes]
        if None not in added and None not in removed:
            before = sum(delta for delta in added if delta is not None)
            after = sum(delta for delta in removed if delta is not None)
            return before > 0 and abs(after - before) * _SAME <= before
        first = self.adds[0]
        price_a = price_b = 0
        for target in targets:
            leg = target.columns()
            ways = (leg["amount_in"], leg["amount_out"])
            if leg["mint_in"] == NONE:
                return False
            mint = target.view.keys[leg["mint_in"]].tobytes()
            a_first = mint == first.mints[0]
            a, b = ways if a_first else ways[::-1]
            price_a, price_b = price_a + a, price_b + b

        def worth(changes: Iterable[_Change]) -> int:
            return sum(a * price_b + b * price_a for a, b in (one.amounts for one in changes))

        before, after = worth(self.adds), worth(self.removes)
        return before > 0 and abs(after - before) * _SAME_WORTH <= before


def _visits(changes: Sequence[_Change], last: int) -> Iterator[_Visit]:
    """Runs of additions and of the removals behind them, those that end in batch number `last`. One
    that is looked at again with more removals is another one only if all of it came out then."""
    adds: list[_Change] = []
    removes: list[_Change] = []
    for change in (change for change in changes if change.kind != _COLLECT):
        if change.kind == _ADD:
            if removes:
                adds, removes = [], []
            adds.append(change)
        elif adds:
            removes.append(change)
            if change.batch == last:
                yield _Visit(
                    tuple(adds),
                    tuple(removes),
                    [
                        collect
                        for collect in changes
                        if collect.kind == _COLLECT
                        and (collect.batch, collect.tx) in {(r.batch, r.tx) for r in removes}
                    ],
                )


# -- for whom it was there ------------------------------------------------------------------------


class _Market:
    """The swaps of a pool in the slot, by others than the liquidity's owner."""

    def __init__(self, pool: bytes, owner: bytes, batches: Sequence[ParsedView]) -> None:
        self._pool, self._owner, self.batches = pool, owner, batches

    def targets(self, visit: _Visit) -> tuple[list[Place], int]:
        """(the swaps that traded against the liquidity, how many others of the pool there were
        while it was there); no targets where it was there for more than a few."""
        start, end = visit.adds[0].order, visit.removes[-1].order
        own = {change.payer for change in (*visit.adds, *visit.removes)} | {self._owner}
        targets: list[Place] = []
        others = 0
        first = visit.adds[0]
        tick = int(first.view.liquidity_tick[first.row])
        for number in range(start[0], end[0] + 1):
            view = self.batches[number]
            for row in self._rows(view):
                tx, inner = int(view.swap_tx[row]), int(view.swap_inner[row])
                path = (number, tx, int(view.swap_outer[row]), 0 if inner == NONE else inner + 1)
                if not start < path < end:
                    continue
                # Not every venue tells where a swap began: where the one before it ended.
                began = int(view.swap_tick_before[row])
                ticks = (tick if began == NO_TICK else began, int(view.swap_tick[row]))
                tick = ticks[1]
                payer = _key(view, int(view.tx_payer[tx]))
                trader = _key(view, int(view.swap_trader[row]))
                if {payer, trader} & (own - {b""}) or not _in_range(ticks, visit.adds):
                    others += 1
                else:
                    targets.append(Place(Role.target, view, row))
                if others + len(targets) > MOST_SWAPS:
                    return [], others
        return targets, others

    def _rows(self, view: ParsedView) -> list[int]:
        (keys,) = np.nonzero((view.keys == np.frombuffer(self._pool, np.uint8)).all(axis=1))
        return np.flatnonzero(np.isin(view.swap_pool, keys)).tolist() if len(keys) else []


def _in_range(ticks: tuple[int, int], adds: Iterable[_Change]) -> bool:
    """Whether a swap between these ticks or bins was where one of the additions provides liquidity;
    what is not told does not speak against it."""
    if NO_TICK in ticks:
        return True
    for add in adds:
        lower = int(add.view.liquidity_lower[add.row])
        upper = int(add.view.liquidity_upper[add.row])
        if NO_TICK in (lower, upper):
            return True
        venue = int(add.view.liquidity_venue[add.row])
        is_last_in = venue != NONE and add.view.names[venue] == _BINS
        if max(ticks) >= lower and min(ticks) < upper + is_last_in:
            return True
    return False


# -- what it was ----------------------------------------------------------------------------------


def _found(visit: _Visit, market: _Market, hubs: set[bytes], sol: bytes) -> Found | None:
    targets, others = market.targets(visit)
    if not targets or visit.earned_nothing() or not visit.is_whole(targets):
        return None
    first = visit.adds[0]
    view, row = first.view, first.row
    names = first.mints
    # Rows that do not tell both mints may have their home elsewhere.
    if b"" in names or any(change.mints != names for change in (*visit.adds, *visit.removes)):
        return None
    changes = visit.change
    rank = [2 if name == sol else name in hubs for name in names]
    side = int(rank[1] >= rank[0])
    profit, other = changes[side], changes[1 - side]
    if max(map(abs, changes)) > LARGEST_PROFIT:
        return None
    pieces: list[tuple[tuple[int, int, int, int], Piece]] = [
        (change.order, move)
        for changes_, role in ((visit.adds, Role.add), (visit.taken, Role.remove))
        for change in changes_
        for move in _moves(change, role)
    ]
    number_of = {id(batch): n for n, batch in enumerate(market.batches)}
    for target in targets:
        leg = target.columns()
        inner = 0 if leg["inner"] == NONE else leg["inner"] + 1
        pieces.append(((number_of[id(target.view)], target.tx, leg["outer"], inner), target))
    pieces.sort(key=lambda pair: pair[0])
    legs = [piece for _, piece in pieces]
    if legs[0].role != Role.add:
        return None
    costs = costs_of(own := transactions(legs, _OWN))
    exchanged = profit < 0 or other < 0
    net, reasons = costs.net(profit, names[side] == sol and not exchanged)
    decimals = (view.liquidity_decimals_a, view.liquidity_decimals_b)[side]
    positions = {int(leg.view.tx_index[leg.tx]) for leg in legs}
    payers = {_key(batch, int(batch.tx_payer[tx])) for batch, tx in own}
    return Found(
        kind=Kind.jit_liquidity,
        legs=legs,
        own=0,
        mint=int((view.liquidity_mint_a, view.liquidity_mint_b)[side][row]),
        decimals=int(decimals[row]),
        profit=profit,
        net_lamports=net,
        reasons=reasons
        | bits.ONE_SLOT
        | (bits.EXCHANGED if exchanged else 0)
        | (bits.NEIGHBOURS if max(positions) - min(positions) < len(positions) else 0)
        | (bits.SAME_WALLET if len(payers) == 1 else bits.SEVERAL_WALLETS)
        | (bits.OTHERS_BETWEEN if others else 0),
        victims=[
            Victim(i, got, got, Exactness.none)
            for i, leg in enumerate(legs)
            if isinstance(leg, Place)
            for got in (leg.columns()["trader_out"],)
        ],
    )


def _moves(change: _Change, role: Role) -> list[Move]:
    """A leg for each token that moved; for nothing that of the first one."""
    view, row = change.view, change.row
    sides = [
        Move(
            role=role,
            view=view,
            tx=change.tx,
            outer=int(view.liquidity_outer[row]),
            inner=change.inner,
            leg=int(view.liquidity_leg[row]),
            venue=int(view.liquidity_venue[row]),
            pool=int(view.liquidity_pool[row]),
            trader=int(view.liquidity_owner[row]),
            mint=int(mint[row]),
            decimals=int(decimals[row]),
            amount=amount,
            own=amount,
        )
        for mint, decimals, amount in (
            (view.liquidity_mint_a, view.liquidity_decimals_a, change.amounts[0]),
            (view.liquidity_mint_b, view.liquidity_decimals_b, change.amounts[1]),
        )
    ]
    return [move for move in sides if move.own] or sides[:1]
