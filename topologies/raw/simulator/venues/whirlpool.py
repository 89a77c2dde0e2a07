"""Orca Whirlpool (protocol facts 2.6), with its two-hop instructions.

Variants: 0 swap, 1 swap_v2 (the only one that Token-2022 mints take).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.blob import Key, Piece
from mevstream.topologies.raw.simulator.builder import TemplateBuilder
from mevstream.topologies.raw.simulator.programs import Disc, Venue
from mevstream.topologies.raw.simulator.registers import LegField
from mevstream.topologies.raw.simulator.template import Meta, r, s, w
from mevstream.topologies.raw.simulator.venues.base import (
    Instructions,
    Leg,
    Swap,
    slippage,
    token_transfer,
)

SQRT_MIN = 4295048017
SQRT_MAX = 79226673515401279992447579054


def _whirlpool_accounts(p: Swap) -> list[Meta]:
    ticks = [w(p.own(n)) for n in ("ticks_0", "ticks_1", "ticks_2")]
    sides = [w(p.user_0), w(p.pool.vaults[0]), w(p.user_1), w(p.pool.vaults[1])]
    if p.leg.variant == 0:
        return [
            r(p.fixed[programs.SPL]), s(p.leg.trader), w(p.pool.account), *sides, *ticks,
            r(p.own("oracle")),
        ]  # fmt: skip
    mint_a, mint_b = p.pool.mints
    return [
        r(p.fixed[mint_a.program]), r(p.fixed[mint_b.program]), r(p.fixed[programs.MEMO]),
        s(p.leg.trader), w(p.pool.account), r(mint_a.account), r(mint_b.account), *sides, *ticks,
        w(p.own("oracle")),
    ]  # fmt: skip


def _sqrt_limit(p: Swap) -> bytes:
    return (SQRT_MIN if p.leg.side_in == 0 else SQRT_MAX).to_bytes(16, "little")


def _whirlpool_data(p: Swap) -> Sequence[Piece]:
    a_to_b = bytes([1, p.leg.side_in == 0])
    if p.leg.variant == 0:
        return (Disc.SWAP, *p.amounts(), _sqrt_limit(p), a_to_b)
    return (Disc.SWAP_V2, *p.amounts(), _sqrt_limit(p), a_to_b, b"\0")


def _traded(p: Swap) -> None:
    p.tx.log_event(
        "Program data: ",
        (
            Disc.EVENT_TRADED, Key(p.pool.account), bytes([p.leg.side_in == 0]),
            *p.u128(LegField.SQRT_BEFORE), *p.u128(LegField.SQRT_AFTER),
            p.u64(LegField.IN), p.u64(LegField.OUT),
            p.u64(LegField.IN_FEE), p.u64(LegField.OUT_FEE),
            p.u64(LegField.LP), p.u64(LegField.PROTOCOL),
        ),
    )  # fmt: skip


def _whirlpool_run(p: Swap) -> None:
    v2 = p.leg.variant == 1
    p.tx.log(f"Instruction: {'SwapV2' if v2 else 'Swap'}")
    p.tx.burn(34_000, jitter=True)
    if p.fails():
        return
    p.pay_in(checked=v2, with_fee=v2)
    p.tx.burn(3100)
    p.pay_out(p.pool.account, checked=v2, with_fee=v2)
    _traded(p)
    p.tx.burn(2400)


def two_hop(tx: TemplateBuilder, one: Leg, two: Leg, *, v2: bool, failing: bool = False) -> None:
    """Whirlpool's two_hop_swap: both pools in one instruction, two legs at one ix path."""
    if v2:
        # The middle token goes from vault to vault.
        one, two = replace(one, destination=two.destination), replace(two, source=one.source)
    first = Swap(tx, one, len(tx.legs))
    second = Swap(tx, two, len(tx.legs) + 1)
    fixed = tx.world.fixed
    limits = (_sqrt_limit(first), _sqrt_limit(second))
    directions = bytes([1, one.side_in == 0, two.side_in == 0])
    amounts = (first.u64(LegField.IN), second.u64(LegField.LIMIT))
    ticks = [w(p.own(n)) for p in (first, second) for n in ("ticks_0", "ticks_1", "ticks_2")]
    oracles = [w(p.own("oracle")) for p in (first, second)]
    if v2:
        metas = [
            w(first.pool.account), w(second.pool.account), r(first.mint_in.account),
            r(first.mint_out.account), r(second.mint_out.account),
            *(r(fixed[m.program]) for m in (first.mint_in, first.mint_out, second.mint_out)),
            w(one.source), w(first.vault_in), w(first.vault_out), w(second.vault_in),
            w(second.vault_out), w(two.destination), s(one.trader), *ticks, *oracles,
            r(fixed[programs.MEMO]),
        ]  # fmt: skip
        data = (Disc.TWO_HOP_SWAP_V2, *amounts, directions, *limits, b"\0")
    else:
        metas = [r(fixed[programs.SPL]), s(one.trader)]
        metas += [w(p.pool.account) for p in (first, second)]
        for p in (first, second):
            metas += [w(p.user_0), w(p.pool.vaults[0]), w(p.user_1), w(p.pool.vaults[1])]
        metas += [*ticks, *oracles]
        data = (Disc.TWO_HOP_SWAP, *amounts, directions, *limits)
    with tx.call(fixed[programs.WHIRLPOOL], metas, data, units=3000):
        first.declare()
        second.declare()
        tx.log(f"Instruction: TwoHopSwap{'V2' if v2 else ''}")
        tx.burn(66_000, jitter=True)
        if failing:
            tx.fail(*slippage(Venue.WHIRLPOOL))
            return
        first.pay_in(checked=v2, with_fee=v2)
        if v2:
            token_transfer(
                tx, first.mint_out, first.vault_out, second.vault_in, first.pool.account,
                first.reg(LegField.OUT),
            )  # fmt: skip
        else:
            first.pay_out(first.pool.account, checked=False)
            second.pay_in(checked=False)
        second.pay_out(second.pool.account, checked=v2, with_fee=v2)
        _traded(first)
        _traded(second)
        tx.burn(5000)


WHIRLPOOL = Instructions(_whirlpool_accounts, _whirlpool_data, _whirlpool_run)
