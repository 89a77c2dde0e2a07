"""Liquidations: somebody's debt is repaid for collateral, and what is taken may be swapped back
into what was repaid within the transaction.

The lending program decides that it is one; nothing is inferred from the flow of tokens.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from mevstream.codecs import opportunities as bits
from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import Kind, Role
from mevstream.codecs.parsed import AMOUNTS_UNKNOWN, FEE_IN_COLLATERAL, FEE_TOLD, ParsedView
from mevstream.topologies.opportunities.observed.costs import costs_of
from mevstream.topologies.opportunities.observed.model import (
    LARGEST_PROFIT,
    Found,
    Move,
    Place,
)

# The collateral is sold if no more than one part in so many is left.
_SOLD = 1000


def liquidations(view: ParsedView, hubs: Collection[bytes], sol: bytes) -> Iterator[Found]:
    """The liquidations of a batch that have their home in it, one for each instruction.

    hubs: mints that are no market of their own; sol: the mint of wrapped SOL.
    """
    events = list(_events(view))
    for number, rows in enumerate(events):
        if view.liquidation_replica[rows[0]]:
            continue
        tx = int(view.liquidation_tx[rows[0]])
        # Swaps belong to the liquidation before them, those before the first to that one.
        is_first = number == 0 or int(view.liquidation_tx[events[number - 1][0]]) != tx
        after = None if is_first else _path(view, "liquidation", rows[0])
        following = events[number + 1] if number + 1 < len(events) else None
        before = None
        if following is not None and int(view.liquidation_tx[following[0]]) == tx:
            before = _path(view, "liquidation", following[0])
        one = _found(view, tx, rows, _swaps(view, tx, after, before), hubs, sol)
        if one is not None:
            yield one


def _events(view: ParsedView) -> Iterator[list[int]]:
    """The rows of each instruction."""
    rows: list[int] = []
    here: tuple[int, int, int] | None = None
    paths = zip(
        view.liquidation_tx.tolist(),
        view.liquidation_outer.tolist(),
        view.liquidation_inner.tolist(),
        strict=True,
    )
    for row, path in enumerate(paths):
        if rows and path != here:
            yield rows
            rows = []
        here = path
        rows.append(row)
    if rows:
        yield rows


def _path(view: ParsedView, table: str, row: int) -> tuple[int, int]:
    inner = int(getattr(view, f"{table}_inner")[row])
    return int(getattr(view, f"{table}_outer")[row]), 0 if inner == NONE else inner + 1


def _swaps(
    view: ParsedView, tx: int, after: tuple[int, int] | None, before: tuple[int, int] | None
) -> list[int]:
    """The swap legs of the transaction between two paths."""
    return [
        row
        for row in np.flatnonzero(view.swap_tx == tx).tolist()
        if (after is None or after < _path(view, "swap", row))
        and (before is None or _path(view, "swap", row) < before)
    ]


def _found(
    view: ParsedView,
    tx: int,
    rows: Sequence[int],
    swaps: Sequence[int],
    hubs: Collection[bytes],
    sol: bytes,
) -> Found | None:
    moves = [move for row in rows for move in _moves(view, row)]
    changes: defaultdict[int, int] = defaultdict(int)
    for move in moves:
        changes[move.mint] += -move.own if move.given else move.own
    repaid = moves[0].mint
    seized = {move.mint: 0 for move in moves if not move.given and move.mint != repaid}
    for move in moves:
        if move.mint in seized:
            seized[move.mint] += move.own
    hops = _swaps_back(view, swaps, repaid, set(seized), hubs)
    for row in hops:
        changes[int(view.swap_mint_in[row])] -= int(view.swap_trader_in[row])
        changes[int(view.swap_mint_out[row])] += int(view.swap_trader_out[row])
    profit = changes[repaid]
    if abs(profit) > LARGEST_PROFIT:
        return None
    # Whether profit and loss are all in what was repaid.
    exchanged = (
        repaid == NONE
        or any(amount < 0 for mint, amount in changes.items() if mint != repaid)
        or any(changes[mint] * _SOLD > amount for mint, amount in seized.items())
        or any(int(view.liquidation_flags[row]) & AMOUNTS_UNKNOWN for row in rows)
    )
    costs = costs_of([(view, tx)])
    in_sol = repaid != NONE and view.keys[repaid].tobytes() == sol
    net, reasons = costs.net(profit, in_sol and not exchanged)
    if any(int(view.liquidation_flags[row]) & AMOUNTS_UNKNOWN for row in rows):
        reasons |= bits.IN_PART
    return Found(
        kind=Kind.liquidation,
        # The swaps come last, although some may have been before.
        legs=[*moves, *(Place(Role.hop, view, row) for row in hops)],
        own=0,
        mint=repaid,
        decimals=moves[0].decimals,
        profit=profit,
        net_lamports=net,
        reasons=reasons | bits.ONE_SLOT | (bits.EXCHANGED if exchanged else 0),
    )


def _swaps_back(
    view: ParsedView,
    swaps: Sequence[int],
    repaid: int,
    seized: Collection[int],
    hubs: Collection[bytes],
) -> list[int]:
    """The swaps that together give collateral for what was repaid, and nothing else for it; none
    if they do not."""
    if repaid == NONE or NONE in seized or not seized:
        return []
    if all(view.keys[mint].tobytes() in hubs for mint in (repaid, *seized)):
        # Only swaps between hubs are at hand wherever the liquidation has its home.
        swaps = [
            row
            for row in swaps
            if all(
                mint != NONE and view.keys[mint].tobytes() in hubs
                for mint in (int(view.swap_mint_in[row]), int(view.swap_mint_out[row]))
            )
        ]
    changes: defaultdict[int, int] = defaultdict(int)
    for row in swaps:
        changes[int(view.swap_mint_in[row])] -= int(view.swap_trader_in[row])
        changes[int(view.swap_mint_out[row])] += int(view.swap_trader_out[row])
    given = {mint for mint, change in changes.items() if change < 0}
    if not given or not given <= set(seized) or changes[repaid] <= 0 or NONE in changes:
        return []
    return list(swaps)


def _moves(view: ParsedView, row: int) -> list[Move]:
    """What is repaid, with the protocol's fee if that is paid on top, and what is seized, without
    the fee if that is taken out of it."""
    flags = int(view.liquidation_flags[row])
    fee = int(view.liquidation_fee[row]) if flags & FEE_TOLD else 0
    in_collateral = bool(flags & FEE_IN_COLLATERAL)
    paid = int(view.liquidation_repay_amount[row])
    taken = int(view.liquidation_collateral_amount[row])

    def move(role: Role, side: str, amount: int, own: int) -> Move:
        return Move(
            role=role,
            view=view,
            tx=int(view.liquidation_tx[row]),
            outer=int(view.liquidation_outer[row]),
            inner=int(view.liquidation_inner[row]),
            leg=int(view.liquidation_leg[row]),
            venue=int(view.liquidation_protocol[row]),
            pool=int(view.liquidation_account[row]),
            trader=int(view.liquidation_liquidator[row]),
            mint=int(getattr(view, f"liquidation_{side}_mint")[row]),
            decimals=int(getattr(view, f"liquidation_{side}_decimals")[row]),
            amount=amount,
            own=own,
        )

    return [
        move(Role.repay, "repay", paid, paid + (0 if in_collateral else fee)),
        move(Role.seize, "collateral", taken, max(0, taken - fee) if in_collateral else taken),
    ]
