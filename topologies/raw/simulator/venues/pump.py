"""PumpSwap and the Pump.fun bonding curve (protocol facts 2.10, 2.11)."""

from __future__ import annotations

from collections.abc import Sequence

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.blob import U64, Key, Piece
from mevstream.topologies.raw.simulator.programs import Disc
from mevstream.topologies.raw.simulator.registers import LegField, Register
from mevstream.topologies.raw.simulator.template import Meta, r, w, ws
from mevstream.topologies.raw.simulator.venues.base import (
    Instructions,
    Swap,
    system_transfer,
    token_transfer,
    u64,
)

# -- PumpSwap ------------------------------------------------------------------------------------


def _pump_swap_accounts(p: Swap) -> list[Meta]:
    token, quote = p.pool.mints
    program = p.fixed[programs.PUMP_SWAP]
    head = [
        w(p.pool.account), ws(p.leg.trader), r(p.fixed[programs.PUMP_SWAP_CONFIG]),
        r(token.account), r(quote.account), w(p.user_0), w(p.user_1),
        w(p.pool.vaults[0]), w(p.pool.vaults[1]),
        r(p.world.pump_swap_recipient), w(p.world.pump_swap_recipient_wsol),
        r(p.fixed[token.program]), r(p.fixed[quote.program]), r(p.fixed[programs.SYSTEM]),
        r(p.fixed[programs.ASSOCIATED]), r(p.fixed[programs.PUMP_SWAP_EVENT_AUTHORITY]),
        r(program), w(p.own("creator_wsol")), r(p.own("creator_authority")),
    ]  # fmt: skip
    if p.leg.side_in == 1:
        head += [r(p.own("volume")), w(p.own("user_volume"))]
    return [
        *head, r(p.own("fee_config")), r(p.fixed[programs.PUMP_FEES]),
        r(p.own("pool_v2")), r(p.own("buyback")), w(p.own("buyback_wsol")),
    ]  # fmt: skip


def _data(p: Swap) -> Sequence[Piece]:
    if p.leg.side_in == 1:
        return (Disc.BUY, p.u64(LegField.OUT), p.u64(LegField.LIMIT), b"\x01")
    return (Disc.SELL, p.u64(LegField.IN), p.u64(LegField.LIMIT))


def _pump_swap_run(p: Swap) -> None:
    buy = p.leg.side_in == 1
    tx, pool = p.tx, p.pool
    tx.log(f"Instruction: {'Buy' if buy else 'Sell'}")
    tx.burn(26_000, jitter=True)
    if p.fails():
        return
    quote = pool.mints[1]
    fees = (
        (LegField.PROTOCOL, p.world.pump_swap_recipient_wsol),
        (LegField.CREATOR, p.own("creator_wsol")),
    )
    if buy:
        p.pay_out(pool.account, checked=True)
        p.pay_in(checked=True)
        payer, payer_account = p.leg.trader, p.user_1
    else:
        p.pay_in(checked=True)
        token_transfer(tx, quote, pool.vaults[1], p.user_1, pool.account, p.reg(LegField.RECEIVED))
        payer, payer_account = pool.account, pool.vaults[1]
    for field, recipient in fees:
        tx.burn(2600)
        token_transfer(tx, quote, payer_account, recipient, payer, p.reg(field))
    tx.burn(5000)
    base, amount = (LegField.OUT, LegField.IN) if buy else (LegField.IN, LegField.OUT)
    total = LegField.TOTAL_IN if buy else LegField.RECEIVED
    user_base = LegField.DESTINATION if buy else LegField.SOURCE
    user_quote = LegField.SOURCE if buy else LegField.DESTINATION
    event: list[Piece] = [
        Disc.EVENT_BUY if buy else Disc.EVENT_SELL, U64(Register.TIME),
        p.u64(base), p.u64(LegField.LIMIT), p.u64(user_base), p.u64(user_quote),
        p.u64(LegField.RESERVE_0), p.u64(LegField.RESERVE_1), p.u64(LegField.QUOTE),
        u64(pool.lp_bps), p.u64(LegField.LP), u64(pool.protocol_bps), p.u64(LegField.PROTOCOL),
        p.u64(amount), p.u64(total),
        Key(pool.account), Key(p.leg.trader), Key(p.user_0), Key(p.user_1),
        Key(p.world.pump_swap_recipient), Key(p.world.pump_swap_recipient_wsol),
        Key(p.own("creator")), u64(pool.creator_bps), p.u64(LegField.CREATOR),
    ]  # fmt: skip
    if buy:
        # track_volume, unclaimed, claimed, volume, last update, min base out, ix_name.
        event += [b"\x01", u64(0), u64(0), p.u64(LegField.QUOTE), U64(Register.TIME),
                  p.u64(LegField.OUT), b"\x03\0\0\0buy"]  # fmt: skip
    event.append(bytes(32))
    tx.emit_self(p.fixed[programs.PUMP_SWAP_EVENT_AUTHORITY], event, units=2004)


# -- Pump.fun ------------------------------------------------------------------------------------


def _pump_fun_accounts(p: Swap) -> list[Meta]:
    token = p.pool.mints[0]
    program = p.fixed[programs.PUMP_FUN]
    buy = p.leg.side_in == 1
    token_program, creator = r(p.fixed[token.program]), w(p.own("creator_vault"))
    head = [
        r(p.fixed[programs.PUMP_GLOBAL]), w(p.world.pump_fee_recipient), r(token.account),
        w(p.pool.account), w(p.pool.vaults[0]), w(p.user_0), ws(p.leg.trader),
        r(p.fixed[programs.SYSTEM]),
        *((token_program, creator) if buy else (creator, token_program)),
        r(p.fixed[programs.PUMP_EVENT_AUTHORITY]), r(program),
    ]  # fmt: skip
    if buy:
        head += [r(p.own("volume")), w(p.own("user_volume"))]
    return [
        *head, r(p.own("fee_config")), r(p.fixed[programs.PUMP_FEES]),
        r(p.own("curve_v2")), w(p.own("buyback")),
    ]  # fmt: skip


def _pump_fun_run(p: Swap) -> None:
    buy = p.leg.side_in == 1
    tx, pool, trader = p.tx, p.pool, p.leg.trader
    token = pool.mints[0]
    tx.log(f"Instruction: {'Buy' if buy else 'Sell'}")
    tx.burn(24_000, jitter=True)
    if p.fails():
        return
    fees = (
        (LegField.PROTOCOL, p.world.pump_fee_recipient),
        (LegField.CREATOR, p.own("creator_vault")),
    )
    if buy:
        token_transfer(
            tx, token, pool.vaults[0], p.user_0, pool.account, p.reg(LegField.OUT), checked=False
        )
        system_transfer(tx, trader, pool.account, p.reg(LegField.QUOTE))
        for field, recipient in fees:
            system_transfer(tx, trader, recipient, p.reg(field))
    else:
        # The program owns the curve's account: it moves lamports without a transfer.
        token_transfer(
            tx, token, p.user_0, pool.vaults[0], trader, p.reg(LegField.IN), checked=False
        )
        tx.move_lamports(pool.account, trader, p.reg(LegField.RECEIVED))
        for field, recipient in fees:
            tx.move_lamports(pool.account, recipient, p.reg(field))
    tx.burn(4000)
    name = b"\x03\0\0\0buy" if buy else b"\x04\0\0\0sell"
    reserves = (
        p.u64(LegField.VIRTUAL_SOL), p.u64(LegField.VIRTUAL_TOKEN),
        p.u64(LegField.REAL_SOL), p.u64(LegField.REAL_TOKEN),
    )  # fmt: skip
    tx.emit_self(
        p.fixed[programs.PUMP_EVENT_AUTHORITY],
        (
            Disc.EVENT_TRADE, Key(token.account), p.u64(LegField.QUOTE),
            p.u64(LegField.OUT if buy else LegField.IN), bytes([buy]), Key(trader),
            U64(Register.TIME), *reserves, Key(p.world.pump_fee_recipient),
            u64(pool.protocol_bps), p.u64(LegField.PROTOCOL), Key(p.own("creator")),
            u64(pool.creator_bps), p.u64(LegField.CREATOR),
            bytes([buy]), u64(0), u64(0), p.u64(LegField.QUOTE) if buy else u64(0),
            U64(Register.TIME), name,
            # mayhem, cashback (bps, amount), buyback (bps, amount), shareholders, quote mint.
            b"\0", bytes(32), bytes(4), Key(p.world.wsol.account), p.u64(LegField.QUOTE),
            p.u64(LegField.VIRTUAL_SOL), p.u64(LegField.REAL_SOL),
        ),
        units=2003,
    )  # fmt: skip


PUMP_SWAP = Instructions(_pump_swap_accounts, _data, _pump_swap_run)
PUMP_FUN = Instructions(_pump_fun_accounts, _data, _pump_fun_run)
