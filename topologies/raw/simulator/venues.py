"""One swap instruction per venue: its accounts, its data, what it calls, logs and emits.

`swap(tx, leg)` runs the instruction in the open frame (or at top level); `accounts(...)` alone
is what a router lists for the hop. Layouts: protocol facts 2.3 to 2.7, 2.10, 2.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.programs import Disc, Venue
from mevstream.topologies.raw.simulator.registers import LegField, Register, leg_register
from mevstream.topologies.raw.simulator.template import (
    U32,
    U64,
    Key,
    Meta,
    Piece,
    TemplateBuilder,
    r,
    s,
    w,
    ws,
)
from mevstream.topologies.raw.simulator.world import Mint, Pool, World

SQRT_MIN = 4295048017
SQRT_MAX = 79226673515401279992447579054


@dataclass(frozen=True, slots=True)
class Leg:
    """Who swaps what. variant: which of the venue's instructions; failing: it ends in the
    program's slippage error."""

    pool: int
    side_in: int
    trader: int
    source: int
    destination: int
    # Where the first leg's tokens come from, if not from `source`.
    funds: int | None = None
    chained: bool = False
    variant: int = 0
    failing: bool = False


def u64(value: int) -> bytes:
    """Eight bytes little-endian."""
    return value.to_bytes(8, "little")


def token_transfer(
    tx: TemplateBuilder,
    mint: Mint,
    source: int,
    destination: int,
    authority: int,
    register: int,
    *,
    checked: bool = True,
    fee_register: int | None = None,
    with_fee: bool = False,
    units: int | None = None,
) -> None:
    """A Token or Token-2022 transfer. fee_register: what a mint with a transfer fee withholds;
    with_fee: the instruction names the fee."""
    program = tx.world.fixed[mint.program]
    fee = fee_register if mint.fee_bps and fee_register is not None else -1
    metas = [w(source), r(mint.account), w(destination), s(authority)]
    amount: tuple[Piece, ...] = (U64(register),)
    decimals = bytes([mint.decimals])
    if mint.program == programs.SPL_2022 and with_fee and fee >= 0:
        data = (b"\x1a\x01", *amount, decimals, U64(fee))
        logs = ["Instruction: TransferFeeExtension", "Instruction: TransferCheckedWithFee"]
    elif checked or mint.program == programs.SPL_2022:
        data = (b"\x0c", *amount, decimals)
        logs = ["Instruction: TransferChecked"]
    else:
        metas = [w(source), w(destination), s(authority)]
        data = (b"\x03", *amount)
        logs = ["Instruction: Transfer"]
    cost = units or (2924 if mint.program == programs.SPL_2022 else 6200 if checked else 4645)
    tx.run(program, metas, data, units=cost, logs=logs)
    tx.move_tokens(source, destination, register, fee)


def system_transfer(tx: TemplateBuilder, source: int, destination: int, register: int) -> None:
    """Lamports by the System program."""
    tx.run(
        tx.world.fixed[programs.SYSTEM],
        [ws(source), w(destination)],
        (b"\x02\0\0\0", U64(register)),
        units=150,
    )
    tx.move_lamports(source, destination, register)


def slippage(venue: Venue) -> tuple[int, str]:
    """Error code and log line of the venue's slippage check."""
    code, name = programs.SLIPPAGE_ERROR[venue]
    return code, anchor_error(code, name)


def anchor_error(code: int, name: str) -> str:
    """The line that an Anchor program logs before it fails."""
    return f"AnchorError occurred. Error Code: {name}. Error Number: {code}."


class _Swap:
    """A leg being built: shorthands for its pool, its sides and its registers."""

    def __init__(self, tx: TemplateBuilder, leg: Leg, number: int) -> None:
        self.tx = tx
        self.leg = leg
        self.number = number
        self.world: World = tx.world
        self.pool: Pool = tx.world.pools[leg.pool]
        self.fixed = tx.world.fixed
        i = leg.side_in
        self.mint_in, self.mint_out = self.pool.mints[i], self.pool.mints[1 - i]
        self.vault_in, self.vault_out = self.pool.vaults[i], self.pool.vaults[1 - i]
        # The trader's accounts by side.
        pair = (leg.source, leg.destination)
        self.user_0, self.user_1 = pair if i == 0 else pair[::-1]

    def reg(self, field: LegField) -> int:
        return leg_register(self.number, field)

    def u64(self, field: LegField) -> U64:
        return U64(self.reg(field))

    def u128(self, field: LegField) -> tuple[U64, U64]:
        return U64(self.reg(field)), U64(self.reg(field) + 1)

    def amounts(self) -> tuple[U64, U64]:
        """(amount in, least amount out), as most swap instructions begin."""
        return self.u64(LegField.IN), self.u64(LegField.LIMIT)

    def own(self, name: str) -> int:
        return self.pool.own[name]

    def declare(self) -> None:
        self.tx.leg(
            pool=self.leg.pool,
            side_in=self.leg.side_in,
            trader=self.leg.trader,
            source=self.leg.source,
            destination=self.leg.destination,
            funds=self.leg.source if self.leg.funds is None else self.leg.funds,
            chained=self.leg.chained,
            account=self.pool.account,
            mints=(self.mint_in.address, self.mint_out.address),
        )

    def fails(self) -> bool:
        """Ends the instruction with the venue's slippage error, if it is to fail."""
        if self.leg.failing:
            self.tx.fail(*slippage(self.pool.venue))
        return self.leg.failing

    def pay_in(self, *, checked: bool, with_fee: bool = False, units: int | None = None) -> None:
        token_transfer(
            self.tx, self.mint_in, self.leg.source, self.vault_in, self.leg.trader,
            self.reg(LegField.IN), checked=checked, fee_register=self.reg(LegField.IN_FEE),
            with_fee=with_fee, units=units,
        )  # fmt: skip

    def pay_out(self, authority: int, *, checked: bool, with_fee: bool = False) -> None:
        token_transfer(
            self.tx, self.mint_out, self.vault_out, self.leg.destination, authority,
            self.reg(LegField.OUT), checked=checked, fee_register=self.reg(LegField.OUT_FEE),
            with_fee=with_fee,
        )  # fmt: skip


def accounts(tx: TemplateBuilder, leg: Leg) -> list[Meta]:
    """The account list of the leg's instruction, for a router's own list."""
    return _ACCOUNTS[tx.world.pools[leg.pool].venue](_Swap(tx, leg, len(tx.legs)))


def swap(tx: TemplateBuilder, leg: Leg) -> None:
    """Runs the leg's instruction."""
    part = _Swap(tx, leg, len(tx.legs))
    venue = part.pool.venue
    program = part.fixed[programs.VENUE_PROGRAMS[venue]]
    with tx.call(program, _ACCOUNTS[venue](part), _DATA[venue](part), units=3000):
        part.declare()
        _RUN[venue](part)


# -- Raydium AMM v4 ------------------------------------------------------------------------------
# Variants: 0 seventeen accounts, 1 eighteen (with target_orders), 2 SwapBaseInV2 with eight.


def _v4_accounts(p: _Swap) -> list[Meta]:
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


def _v4_data(p: _Swap) -> Sequence[Piece]:
    return (b"\x10" if p.leg.variant == 2 else b"\x09", *p.amounts())


def _v4_run(p: _Swap) -> None:
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


def _cpmm_accounts(p: _Swap) -> list[Meta]:
    return [
        ws(p.leg.trader), r(p.fixed[programs.RAYDIUM_CPMM_AUTHORITY]), r(p.own("config")),
        w(p.pool.account), w(p.leg.source), w(p.leg.destination), w(p.vault_in), w(p.vault_out),
        r(p.fixed[p.mint_in.program]), r(p.fixed[p.mint_out.program]),
        r(p.mint_in.account), r(p.mint_out.account), w(p.own("observation")),
    ]  # fmt: skip


def _cpmm_data(p: _Swap) -> Sequence[Piece]:
    return (Disc.CPMM_SWAP_BASE_INPUT, *p.amounts())


def _cpmm_run(p: _Swap) -> None:
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


def _clmm_accounts(p: _Swap) -> list[Meta]:
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


def _clmm_data(p: _Swap) -> Sequence[Piece]:
    disc = Disc.SWAP_V2 if p.leg.variant else Disc.SWAP
    return (disc, *p.amounts(), bytes(16), b"\x01")


def _clmm_run(p: _Swap) -> None:
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


# -- Orca Whirlpool ------------------------------------------------------------------------------
# Variants: 0 swap, 1 swap_v2 (the only one that Token-2022 mints take).


def _whirlpool_accounts(p: _Swap) -> list[Meta]:
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


def _sqrt_limit(p: _Swap) -> bytes:
    return (SQRT_MIN if p.leg.side_in == 0 else SQRT_MAX).to_bytes(16, "little")


def _whirlpool_data(p: _Swap) -> Sequence[Piece]:
    a_to_b = bytes([1, p.leg.side_in == 0])
    if p.leg.variant == 0:
        return (Disc.SWAP, *p.amounts(), _sqrt_limit(p), a_to_b)
    return (Disc.SWAP_V2, *p.amounts(), _sqrt_limit(p), a_to_b, b"\0")


def _traded(p: _Swap) -> None:
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


def _whirlpool_run(p: _Swap) -> None:
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
    first = _Swap(tx, one, len(tx.legs))
    second = _Swap(tx, two, len(tx.legs) + 1)
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


# -- Meteora DLMM --------------------------------------------------------------------------------
# Variants: 0 swap, 1 swap2.


def _dlmm_accounts(p: _Swap) -> list[Meta]:
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


def _dlmm_data(p: _Swap) -> Sequence[Piece]:
    if p.leg.variant:
        return (Disc.SWAP_2, *p.amounts(), bytes(4))
    return (Disc.SWAP, *p.amounts())


def _dlmm_run(p: _Swap) -> None:
    p.tx.log(f"Instruction: {'Swap2' if p.leg.variant else 'Swap'}")
    p.tx.burn(28_000, jitter=True)
    if p.fails():
        return
    p.pay_in(checked=True)
    p.tx.burn(3500)
    p.pay_out(p.pool.account, checked=True)
    active = p.pool.bin_id.to_bytes(4, "little", signed=True)
    p.tx.burn(3300)
    p.tx.emit_self(
        p.fixed[programs.DLMM_EVENT_AUTHORITY],
        (
            Disc.EVENT_DLMM_SWAP, Key(p.pool.account), Key(p.leg.trader), active, active,
            p.u64(LegField.IN), p.u64(LegField.OUT), bytes([p.leg.side_in == 0]),
            p.u64(LegField.FEE), p.u64(LegField.PROTOCOL),
            p.pool.fee_rate.to_bytes(16, "little"), u64(0),
        ),
        units=2135,
    )  # fmt: skip


# -- PumpSwap ------------------------------------------------------------------------------------


def _pump_swap_accounts(p: _Swap) -> list[Meta]:
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


def _pump_swap_data(p: _Swap) -> Sequence[Piece]:
    if p.leg.side_in == 1:
        return (Disc.BUY, p.u64(LegField.OUT), p.u64(LegField.LIMIT), b"\x01")
    return (Disc.SELL, p.u64(LegField.IN), p.u64(LegField.LIMIT))


def _pump_swap_run(p: _Swap) -> None:
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


def _pump_fun_accounts(p: _Swap) -> list[Meta]:
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


def _pump_fun_data(p: _Swap) -> Sequence[Piece]:
    if p.leg.side_in == 1:
        return (Disc.BUY, p.u64(LegField.OUT), p.u64(LegField.LIMIT), b"\x01")
    return (Disc.SELL, p.u64(LegField.IN), p.u64(LegField.LIMIT))


def _pump_fun_run(p: _Swap) -> None:
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


_ACCOUNTS = {
    Venue.RAYDIUM_V4: _v4_accounts,
    Venue.RAYDIUM_CPMM: _cpmm_accounts,
    Venue.RAYDIUM_CLMM: _clmm_accounts,
    Venue.WHIRLPOOL: _whirlpool_accounts,
    Venue.DLMM: _dlmm_accounts,
    Venue.PUMP_SWAP: _pump_swap_accounts,
    Venue.PUMP_FUN: _pump_fun_accounts,
}
_DATA = {
    Venue.RAYDIUM_V4: _v4_data,
    Venue.RAYDIUM_CPMM: _cpmm_data,
    Venue.RAYDIUM_CLMM: _clmm_data,
    Venue.WHIRLPOOL: _whirlpool_data,
    Venue.DLMM: _dlmm_data,
    Venue.PUMP_SWAP: _pump_swap_data,
    Venue.PUMP_FUN: _pump_fun_data,
}
_RUN = {
    Venue.RAYDIUM_V4: _v4_run,
    Venue.RAYDIUM_CPMM: _cpmm_run,
    Venue.RAYDIUM_CLMM: _clmm_run,
    Venue.WHIRLPOOL: _whirlpool_run,
    Venue.DLMM: _dlmm_run,
    Venue.PUMP_SWAP: _pump_swap_run,
    Venue.PUMP_FUN: _pump_fun_run,
}
