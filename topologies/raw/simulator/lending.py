"""Liquidations of the simulated chain's lending programs, as they run (protocol facts 3.1 to 3.4;
events by the programs' own sources).

Loans are not followed: an obligation that is liquidated is one that had to be.
"""

from __future__ import annotations

from dataclasses import dataclass

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.blob import U64, Key, Piece
from mevstream.topologies.raw.simulator.builder import TemplateBuilder
from mevstream.topologies.raw.simulator.loans import SOL, USDC, Market
from mevstream.topologies.raw.simulator.market import Mint
from mevstream.topologies.raw.simulator.programs import Disc
from mevstream.topologies.raw.simulator.registers import Register
from mevstream.topologies.raw.simulator.template import r, s, w
from mevstream.topologies.raw.simulator.venues.base import token_transfer

# Registers that whoever sends a liquidation fills.
REPAID = Register.EXTRA
SHARE_TOKENS = Register.EXTRA + 1
SEIZED = Register.EXTRA + 2
PROTOCOL_FEE = Register.EXTRA + 3
# marginfi: health before and after, then the balances before, and after, as doubles.
HEALTH = Register.EXTRA + 4
BALANCES = Register.EXTRA + 6


@dataclass(frozen=True, slots=True)
class Liquidation:
    """Which obligation, and for what. source, target: the liquidator's accounts of the debt and of
    the collateral; shares: of the collateral's share token; margin: with the program itself
    (marginfi: one account; Drift: account, statistics). redeem: shares become collateral."""

    market: Market
    obligation: int
    debt: str
    collateral: str
    source: int
    target: int
    shares: int
    margin: tuple[int, int]
    redeem: bool = True


def liquidate(tx: TemplateBuilder, user: int, what: Liquidation) -> None:
    """Runs the liquidation by `user`, at top level."""
    match what.market.name:
        case "kamino":
            _kamino(tx, user, what)
        case "save":
            _save(tx, user, what)
        case "marginfi":
            _marginfi(tx, user, what)
        case _:
            _drift(tx, user, what)


def _transfer(
    tx: TemplateBuilder, mint: Mint, source: int, target: int, by: int, register: int, *,
    checked: bool = True,
) -> None:  # fmt: skip
    token_transfer(tx, mint, source, target, by, register, checked=checked)


def _burn(tx: TemplateBuilder, mint: Mint, source: int, by: int, register: int) -> None:
    tx.run(
        tx.world.fixed[mint.program], [w(source), w(mint.account), s(by)], (b"\x08", U64(register)),
        units=4753, logs=["Instruction: Burn"],
    )  # fmt: skip
    tx.burn_tokens(source, register)


def _redeem(tx: TemplateBuilder, user: int, what: Liquidation, *, checked: bool) -> None:
    """Debt in, share tokens out and burned, collateral out, the protocol's fee of it back."""
    debt, taken = what.market.reserves[what.debt], what.market.reserves[what.collateral]
    share, authority = taken.share, what.market.authority
    if share is None:
        raise ValueError(f"{what.market.name} has no share tokens")
    _transfer(tx, debt.mint, what.source, debt.vault, user, REPAID, checked=checked)
    tx.burn(18_000)
    _transfer(tx, share, taken.share_vault, what.shares, authority, SHARE_TOKENS, checked=checked)
    if not what.redeem:
        return
    _burn(tx, share, what.shares, user, SHARE_TOKENS)
    _transfer(tx, taken.mint, taken.vault, what.target, authority, SEIZED, checked=checked)
    _transfer(tx, taken.mint, what.target, taken.fee_account, user, PROTOCOL_FEE, checked=checked)


def _kamino(tx: TemplateBuilder, user: int, what: Liquidation) -> None:
    fixed, market = tx.world.fixed, what.market
    debt, taken = market.reserves[what.debt], market.reserves[what.collateral]
    share = taken.share or taken.mint
    token = r(fixed[programs.SPL])
    metas = [
        s(user), w(market.obligations[what.obligation][0]), r(market.account), r(market.authority),
        w(debt.account), r(debt.mint.account), w(debt.vault),
        w(taken.account), r(taken.mint.account), w(share.account), w(taken.share_vault),
        w(taken.vault), w(taken.fee_account), w(what.source), w(what.shares), w(what.target),
        token, token, token, r(fixed[programs.INSTRUCTIONS_SYSVAR]),
    ]  # fmt: skip
    data = (Disc.KAMINO_LIQUIDATE, U64(REPAID), bytes(16))
    with tx.call(fixed[programs.KAMINO], metas, data, units=60_000):
        tx.log("Instruction: LiquidateObligationAndRedeemReserveCollateral")
        tx.burn(60_000, jitter=True)
        _redeem(tx, user, what, checked=True)


def _save(tx: TemplateBuilder, user: int, what: Liquidation) -> None:
    fixed, market = tx.world.fixed, what.market
    debt, taken = market.reserves[what.debt], market.reserves[what.collateral]
    share = taken.share or taken.mint
    obligation, token = w(market.obligations[what.obligation][0]), r(fixed[programs.SPL])
    if what.redeem:
        metas = [
            w(what.source), w(what.shares), w(what.target), w(debt.account), w(debt.vault),
            w(taken.account), w(share.account), w(taken.share_vault), w(taken.vault),
            w(taken.fee_account), obligation, r(market.account), r(market.authority), s(user),
            token,
        ]  # fmt: skip
    else:
        metas = [
            w(what.source), w(what.shares), w(debt.account), w(debt.vault), r(taken.account),
            w(taken.share_vault), obligation, r(market.account), r(market.authority), s(user),
            token,
        ]  # fmt: skip
    name = "Liquidate Obligation"
    if what.redeem:
        name += " and Redeem Reserve Collateral"
    data = (b"\x11" if what.redeem else b"\x0c", U64(REPAID))
    with tx.call(fixed[programs.SAVE], metas, data, units=30_000):
        tx.log(f"Instruction: {name}")
        tx.burn(30_000, jitter=True)
        _redeem(tx, user, what, checked=False)


def _marginfi(tx: TemplateBuilder, user: int, what: Liquidation) -> None:
    """Deposits and debts change hands within the program; only the insurance fund's fee moves."""
    fixed, market = tx.world.fixed, what.market
    debt, taken = market.reserves[what.debt], market.reserves[what.collateral]
    account, owner, _ = market.obligations[what.obligation]
    metas = [
        r(market.account), w(taken.account), w(debt.account), w(what.margin[0]), s(user),
        w(account), r(market.authority), w(debt.vault), w(debt.insurance),
        r(fixed[programs.SPL]), r(taken.oracle), r(debt.oracle), r(taken.account), r(debt.account),
    ]  # fmt: skip
    data = (Disc.MARGINFI_LIQUIDATE, U64(SEIZED), b"\x04\x04")
    with tx.call(fixed[programs.MARGINFI], metas, data, units=90_000):
        tx.log("Instruction: LendingAccountLiquidate")
        tx.burn(110_000, jitter=True)
        _transfer(
            tx, debt.mint, debt.vault, debt.insurance, market.authority, PROTOCOL_FEE,
            checked=False,
        )  # fmt: skip
        event: list[Piece] = [
            Disc.EVENT_MARGINFI_LIQUIDATE, b"\x01", Key(user), Key(what.margin[0]), Key(user),
            Key(market.account), Key(account), Key(owner), Key(taken.account),
            Key(taken.mint.account), Key(debt.account), Key(debt.mint.account),
            *(U64(HEALTH + i) for i in range(2)), *(U64(BALANCES + i) for i in range(8)),
        ]  # fmt: skip
        tx.log_event("Program data: ", event)


def _drift(tx: TemplateBuilder, user: int, what: Liquidation) -> None:
    """As with marginfi, and nothing moves at all."""
    fixed, market = tx.world.fixed, what.market
    debt, taken = market.reserves[what.debt], market.reserves[what.collateral]
    account, owner, statistics = market.obligations[what.obligation]
    del owner
    number = {USDC: b"\0\0", SOL: b"\x01\0"}
    metas = [
        r(market.account), s(user), w(what.margin[0]), w(what.margin[1]), w(account),
        w(statistics), r(taken.oracle), r(debt.oracle), w(taken.account), w(debt.account),
    ]  # fmt: skip
    data = (
        Disc.DRIFT_LIQUIDATE_SPOT, number[what.collateral], number[what.debt], U64(REPAID),
        bytes(8), b"\0",
    )  # fmt: skip
    with tx.call(fixed[programs.DRIFT], metas, data, units=120_000):
        tx.log("Instruction: LiquidateSpot")
        tx.burn(140_000, jitter=True)
        event: list[Piece] = [
            Disc.EVENT_DRIFT_LIQUIDATION, U64(Register.TIME), b"\x01", Key(account),
            Key(what.margin[0]), bytes(16 + 16 + 8), b"\x07\0", b"\0", bytes(4), bytes(66),
            number[what.collateral], bytes(8), U64(SEIZED), bytes(8),
            number[what.debt], bytes(8), U64(REPAID), bytes(8), U64(PROTOCOL_FEE),
            # Records of the other types, all zero.
            bytes(52 + 52 + 52 + 50),
        ]  # fmt: skip
        tx.log_event("Program data: ", event)
