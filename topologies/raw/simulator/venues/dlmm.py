"""Meteora DLMM (protocol facts 2.7). Variants: 0 swap, 1 swap2."""

from __future__ import annotations

from collections.abc import Sequence

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.blob import U32, Key, Piece
from mevstream.topologies.raw.simulator.programs import Disc
from mevstream.topologies.raw.simulator.registers import LegField
from mevstream.topologies.raw.simulator.template import Meta, r, s, w
from mevstream.topologies.raw.simulator.venues.base import (
    Instructions,
    Swap,
    u64,
)


def _dlmm_accounts(p: Swap) -> list[Meta]:
    program = p.fixed[programs.DLMM]
    memo = [r(p.fixed[programs.MEMO])] if p.leg.variant else []
    mint_x, mint_y = p.pool.mints
    return [
        w(p.pool.account), r(program), w(p.pool.vaults[0]), w(p.pool.vaults[1]),
        w(p.leg.source), w(p.leg.destination), r(mint_x.account), r(mint_y.account),
        w(p.own("oracle")), r(program), s(p.leg.trader),
        r(p.fixed[mint_x.program]), r(p.fixed[mint_y.program]), *memo,
        r(p.fixed[programs.DLMM_EVENT_AUTHORITY]), r(program),
        w(p.own("bins_0")), w(p.own("bins_1")),
    ]  # fmt: skip


def _dlmm_data(p: Swap) -> Sequence[Piece]:
    if p.leg.variant:
        return (Disc.SWAP_2, *p.amounts(), bytes(4))
    return (Disc.SWAP, *p.amounts())


def _dlmm_run(p: Swap) -> None:
    p.tx.log(f"Instruction: {'Swap2' if p.leg.variant else 'Swap'}")
    p.tx.burn(28_000, jitter=True)
    if p.fails():
        return
    p.pay_in(checked=True)
    p.tx.burn(3500)
    p.pay_out(p.pool.account, checked=True)
    bins = U32(p.reg(LegField.BIN_BEFORE)), U32(p.reg(LegField.BIN_AFTER))
    p.tx.burn(3300)
    p.tx.emit_self(
        p.fixed[programs.DLMM_EVENT_AUTHORITY],
        (
            Disc.EVENT_DLMM_SWAP, Key(p.pool.account), Key(p.leg.trader), *bins,
            p.u64(LegField.IN), p.u64(LegField.OUT), bytes([p.leg.side_in == 0]),
            p.u64(LegField.FEE), p.u64(LegField.PROTOCOL),
            p.pool.fee_rate.to_bytes(16, "little"), u64(0),
        ),
        units=2135,
    )  # fmt: skip


DLMM = Instructions(_dlmm_accounts, _dlmm_data, _dlmm_run)
