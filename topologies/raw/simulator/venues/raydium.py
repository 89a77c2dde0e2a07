"""Raydium: AMM v4, CPMM, CLMM (protocol facts 2.3 to 2.5)."""

from __future__ import annotations

from collections.abc import Sequence

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.blob import U32, Key, Piece
from mevstream.topologies.raw.simulator.programs import Disc, Venue
from mevstream.topologies.raw.simulator.registers import LegField
from mevstream.topologies.raw.simulator.template import Meta, r, s, w, ws
from mevstream.topologies.raw.simulator.venues.base import (
    Instructions,
    Swap,
    u64,
)

# -- Raydium AMM v4 ------------------------------------------------------------------------------
# Variants: 0 seventeen accounts, 1 eighteen (with target_orders), 2 SwapBaseInV2 with eight.


def _v4_accounts(p: Swap) -> list[Meta]:
    user = [w(p.leg.source), w(p.leg.destination), s(p.leg.trader)]
    vaults = [w(p.pool.vaults[0]), w(p.pool.vaults[1])]
    authority = r(p.fixed[programs.RAYDIUM_V4_AUTHORITY])
    head = [r(p.fixed[programs.SPL]), w(p.pool.account), authority]
    if p.leg.variant == 2:
        return [*head, *vaults, *user]
    head.append(w(p.own("open_orders")))
    if p.leg.variant == 1:
        head.append(w(p.own("target_orders")))
    market = [
        r(p.fixed[programs.OPENBOOK]),
        *(w(p.own(n)) for n in ("market", "bids", "asks", "event_queue")),
        *(w(p.own(n)) for n in ("market_base", "market_quote")),
        r(p.own("market_signer")),
    ]
    return [*head, *vaults, *market, *user]


def _v4_data(p: Swap) -> Sequence[Piece]:
    return (b"\x10" if p.leg.variant == 2 else b"\x09", *p.amounts())


def _v4_run(p: Swap) -> None:
    p.tx.burn(11_000, jitter=True)
    direction = 2 if p.leg.side_in == 0 else 1
    log = (
        b"\x03", *p.amounts(), u64(direction), p.u64(LegField.SOURCE),
        p.u64(LegField.RESERVE_0), p.u64(LegField.RESERVE_1), p.u64(LegField.OUT),
    )  # fmt: skip
    if p.leg.failing:
        code, text = programs.SLIPPAGE_ERROR[Venue.RAYDIUM_V4]
        p.tx.fail(code, f"Error: {text}")
        return
    p.tx.log_event("Program log: ray_log: ", log)
    p.pay_in(checked=False)
    p.tx.burn(2981)
    p.pay_out(p.fixed[programs.RAYDIUM_V4_AUTHORITY], checked=False)
    p.tx.burn(900)


# -- Raydium CPMM --------------------------------------------------------------------------------


def _cpmm_accounts(p: Swap) -> list[Meta]:
    return [
        ws(p.leg.trader), r(p.fixed[programs.RAYDIUM_CPMM_AUTHORITY]), r(p.own("config")),
        w(p.pool.account), w(p.leg.source), w(p.leg.destination), w(p.vault_in), w(p.vault_out),
        r(p.fixed[p.mint_in.program]), r(p.fixed[p.mint_out.program]),
        r(p.mint_in.account), r(p.mint_out.account), w(p.own("observation")),
    ]  # fmt: skip


def _cpmm_data(p: Swap) -> Sequence[Piece]:
    return (Disc.CPMM_SWAP_BASE_INPUT, *p.amounts())


def _cpmm_run(p: Swap) -> None:
    p.tx.log("Instruction: SwapBaseInput")
    p.tx.burn(19_000, jitter=True)
    if p.fails():
        return
    p.tx.log_event(
        "Program data: ",
        (
            Disc.EVENT_SWAP, Key(p.pool.account),
            p.u64(LegField.RESERVE_IN), p.u64(LegField.RESERVE_OUT),
            p.u64(LegField.IN_NET), p.u64(LegField.OUT),
            p.u64(LegField.IN_FEE), p.u64(LegField.OUT_FEE), b"\x01",
            Key(p.mint_in.account), Key(p.mint_out.account),
            p.u64(LegField.FEE), u64(0), b"\x01",
        ),
    )  # fmt: skip
    p.pay_in(checked=True)
    p.tx.burn(2300)
    p.pay_out(p.fixed[programs.RAYDIUM_CPMM_AUTHORITY], checked=True)
    p.tx.burn(1900)


# -- Raydium CLMM --------------------------------------------------------------------------------
# Variants: 0 swap, 1 swap_v2.


def _clmm_accounts(p: Swap) -> list[Meta]:
    head = [
        ws(p.leg.trader), r(p.own("config")), w(p.pool.account),
        w(p.leg.source), w(p.leg.destination), w(p.vault_in), w(p.vault_out),
        w(p.own("observation")), r(p.fixed[programs.SPL]),
    ]  # fmt: skip
    ticks = [w(p.own("ticks_0")), w(p.own("ticks_1"))]
    if p.leg.variant == 0:
        return [*head, *ticks]
    return [
        *head, r(p.fixed[programs.SPL_2022]), r(p.fixed[programs.MEMO]),
        r(p.mint_in.account), r(p.mint_out.account), w(p.own("bitmap")), *ticks,
    ]  # fmt: skip


def _clmm_data(p: Swap) -> Sequence[Piece]:
    disc = Disc.SWAP_V2 if p.leg.variant else Disc.SWAP
    return (disc, *p.amounts(), bytes(16), b"\x01")


def _clmm_run(p: Swap) -> None:
    v2 = p.leg.variant == 1
    p.tx.log(f"Instruction: {'SwapV2' if v2 else 'Swap'}")
    p.tx.burn(52_000, jitter=True)
    if p.fails():
        return
    p.pay_in(checked=v2)
    p.tx.burn(3000)
    p.pay_out(p.pool.account, checked=v2)
    zero = u64(0)
    sides = (p.u64(LegField.IN), zero, p.u64(LegField.OUT), zero)
    fees = (p.u64(LegField.FEE), zero)
    if p.leg.side_in == 1:
        sides, fees = (sides[2], zero, sides[0], zero), fees[::-1]
    p.tx.log_event(
        "Program data: ",
        (
            Disc.EVENT_SWAP, Key(p.pool.account), Key(p.leg.trader), Key(p.user_0), Key(p.user_1),
            *sides, bytes([p.leg.side_in == 0]), *p.u128(LegField.SQRT_AFTER),
            *p.u128(LegField.LIQUIDITY), U32(p.reg(LegField.TICK)), *fees,
        ),
    )  # fmt: skip
    p.tx.burn(8000)


AMM_V4 = Instructions(_v4_accounts, _v4_data, _v4_run)
CPMM = Instructions(_cpmm_accounts, _cpmm_data, _cpmm_run)
CLMM = Instructions(_clmm_accounts, _clmm_data, _clmm_run)
