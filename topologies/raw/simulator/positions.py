"""Liquidity positions of concentrated pools: opened with their liquidity, emptied and closed
(protocol facts 2.2, 2.4, 2.6; events by the programs' own sources).

The token that stands for a position is made and burned without being shown among the balances.
"""

from __future__ import annotations

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.blob import U32, U64, Key, Piece
from mevstream.topologies.raw.simulator.builder import TemplateBuilder
from mevstream.topologies.raw.simulator.market import Pool
from mevstream.topologies.raw.simulator.programs import Disc, Venue
from mevstream.topologies.raw.simulator.registers import Register
from mevstream.topologies.raw.simulator.template import Meta, r, s, w, ws
from mevstream.topologies.raw.simulator.transactions import TOKEN_ACCOUNT_SIZE, WALLET
from mevstream.topologies.raw.simulator.venues.base import token_transfer, u64
from mevstream.topologies.raw.simulator.world import RENT, user

# Registers that whoever sends them fills: range, liquidity, tokens put in or taken out without
# fees, fees of both, what leaves the vaults, the pool's tick, its liquidity before and after.
LOWER, UPPER, LIQUIDITY, AMOUNT_0, AMOUNT_1 = (Register.EXTRA + i for i in range(5))
FEE_0, FEE_1, OUT_0, OUT_1, TICK, BEFORE, AFTER = (Register.EXTRA + i for i in range(5, 12))
_WIDE = bytes(8)
_MOST = b"\xff" * 8


class _Parts:
    """A provider's accounts for a pool."""

    def __init__(self, tx: TemplateBuilder, pool: Pool) -> None:
        world = tx.world
        self.tx, self.pool, self.fixed = tx, pool, world.fixed
        self.position, self.mint, self.token = (
            user(world.column(name)) for name in ("position", "position_mint", "position_token")
        )
        tx.temporary |= {self.position, self.mint, self.token}
        self.tokens = tuple(user(m.column) for m in pool.mints)
        # Its mint can be closed, and made again, only with Token-2022.
        self.nft_program = world.fixed[programs.SPL_2022]
        self.token_program = world.fixed[programs.SPL]

    def make_token(self) -> None:
        """The position's account, its token and that token's account, with one unit."""
        tx, system = self.tx, self.fixed[programs.SYSTEM]
        for account in (self.position, self.mint, self.token):
            data = (b"\0\0\0\0", u64(RENT), u64(TOKEN_ACCOUNT_SIZE), Key(self.nft_program))
            tx.run(system, [ws(WALLET), ws(account)], data)
            tx.pay_rent(WALLET, account)
        tx.run(
            self.nft_program, [w(self.mint)], (b"\x14\0", Key(self.pool.account), b"\0"),
            units=2967, logs=["Instruction: InitializeMint2"],
        )  # fmt: skip
        tx.run(
            self.nft_program, [w(self.token), r(self.mint)], (b"\x12", Key(WALLET)), units=4214,
            logs=["Instruction: InitializeAccount3"],
        )  # fmt: skip
        tx.run(
            self.nft_program, [w(self.mint), w(self.token), r(self.pool.account)],
            (b"\x07", u64(1)), units=4492, logs=["Instruction: MintTo"],
        )  # fmt: skip

    def burn_token(self) -> None:
        """Burns the token and gives the rents back."""
        tx = self.tx
        tx.run(
            self.nft_program, [w(self.token), w(self.mint), s(WALLET)], (b"\x08", u64(1)),
            units=4753, logs=["Instruction: Burn"],
        )  # fmt: skip
        for account in (self.token, self.mint):
            tx.run(
                self.nft_program, [w(account), w(WALLET), s(WALLET)], (b"\x09",), units=2915,
                logs=["Instruction: CloseAccount"],
            )  # fmt: skip
            tx.close_account(account, WALLET)
        # The program owns the position's account: its lamports move without a transfer.
        tx.close_account(self.position, WALLET)

    def pay_in(self, *, checked: bool) -> None:
        for side, register in ((0, AMOUNT_0), (1, AMOUNT_1)):
            token_transfer(
                self.tx, self.pool.mints[side], self.tokens[side], self.pool.vaults[side], WALLET,
                register, checked=checked,
            )  # fmt: skip

    def pay_out(self, registers: tuple[int, int], *, checked: bool) -> None:
        for side, register in enumerate(registers):
            token_transfer(
                self.tx, self.pool.mints[side], self.pool.vaults[side], self.tokens[side],
                self.pool.account, register, checked=checked,
            )  # fmt: skip

    def own(self, *names: str) -> list[int]:
        return [self.pool.own[name] for name in names]


def open_position(tx: TemplateBuilder, pool: Pool) -> None:
    """A new position of WALLET with its liquidity."""
    (_open_clmm if pool.venue is Venue.RAYDIUM_CLMM else _open_whirlpool)(tx, pool)


def close_position(tx: TemplateBuilder, pool: Pool) -> None:
    """Takes everything out of it, and closes it."""
    (_close_clmm if pool.venue is Venue.RAYDIUM_CLMM else _close_whirlpool)(tx, pool)


# -- Whirlpool -----------------------------------------------------------------------------------


def _open_whirlpool(tx: TemplateBuilder, pool: Pool) -> None:
    p = _Parts(tx, pool)
    program = p.fixed[programs.WHIRLPOOL]
    metas = [
        ws(WALLET), r(WALLET), w(p.position), ws(p.mint), w(p.token), r(pool.account),
        r(p.nft_program), r(p.fixed[programs.SYSTEM]), r(p.fixed[programs.ASSOCIATED]),
        r(p.fixed[programs.WHIRLPOOL]),
    ]  # fmt: skip
    with tx.call(
        program,
        metas,
        (Disc.OPEN_POSITION_EXTENSIONS, U32(LOWER), U32(UPPER), b"\0"),
        units=20_000,
    ):
        tx.log("Instruction: OpenPositionWithTokenExtensions")
        tx.burn(20_000, jitter=True)
        p.make_token()
    with tx.call(
        program, _whirlpool_liquidity(p),
        (Disc.INCREASE_LIQUIDITY, U64(LIQUIDITY), _WIDE, _MOST, _MOST), units=24_000,
    ):  # fmt: skip
        tx.log("Instruction: IncreaseLiquidity")
        tx.burn(24_000)
        p.pay_in(checked=False)
        tx.log_event("Program data: ", _whirlpool_event(p, Disc.EVENT_INCREASED))


def _whirlpool_liquidity(p: _Parts) -> list[Meta]:
    pool = p.pool
    ticks = [w(a) for a in p.own("ticks_0", "ticks_1")]
    return [
        w(pool.account), r(p.token_program), s(WALLET), w(p.position), r(p.token),
        w(p.tokens[0]), w(p.tokens[1]), w(pool.vaults[0]), w(pool.vaults[1]), *ticks,
    ]  # fmt: skip


def _whirlpool_event(p: _Parts, disc: bytes) -> list[Piece]:
    return [
        disc, Key(p.pool.account), Key(p.position), U32(LOWER), U32(UPPER), U64(LIQUIDITY), _WIDE,
        U64(AMOUNT_0), U64(AMOUNT_1), bytes(16),
    ]  # fmt: skip


def _close_whirlpool(tx: TemplateBuilder, pool: Pool) -> None:
    p = _Parts(tx, pool)
    program, token = p.fixed[programs.WHIRLPOOL], r(p.token_program)
    with tx.call(
        program, _whirlpool_liquidity(p),
        (Disc.DECREASE_LIQUIDITY, U64(LIQUIDITY), _WIDE, bytes(16)), units=24_000,
    ):  # fmt: skip
        tx.log("Instruction: DecreaseLiquidity")
        tx.burn(24_000, jitter=True)
        p.pay_out((AMOUNT_0, AMOUNT_1), checked=False)
        tx.log_event("Program data: ", _whirlpool_event(p, Disc.EVENT_DECREASED))
    metas = [
        r(pool.account), s(WALLET), w(p.position), r(p.token), w(p.tokens[0]), w(pool.vaults[0]),
        w(p.tokens[1]), w(pool.vaults[1]), token,
    ]  # fmt: skip
    with tx.call(program, metas, (Disc.COLLECT_FEES,), units=11_000):
        tx.log("Instruction: CollectFees")
        tx.burn(11_000)
        p.pay_out((FEE_0, FEE_1), checked=False)
    metas = [s(WALLET), w(WALLET), w(p.position), w(p.mint), w(p.token), r(p.nft_program)]
    with tx.call(program, metas, (Disc.CLOSE_POSITION_EXTENSIONS,), units=9_000):
        tx.log("Instruction: ClosePositionWithTokenExtensions")
        tx.burn(9_000)
        p.burn_token()


# -- Raydium CLMM --------------------------------------------------------------------------------


def _changed(p: _Parts) -> list[Piece]:
    return [
        Disc.EVENT_LIQUIDITY_CHANGE, Key(p.pool.account), U32(TICK), U32(LOWER), U32(UPPER),
        U64(BEFORE), _WIDE, U64(AFTER), _WIDE,
    ]  # fmt: skip


def _open_clmm(tx: TemplateBuilder, pool: Pool) -> None:
    p = _Parts(tx, pool)
    fixed = p.fixed
    bitmap, lower, upper = p.own("bitmap", "ticks_0", "ticks_1")
    metas = [
        ws(WALLET), r(WALLET), ws(p.mint), w(p.token), w(pool.account), w(bitmap), w(lower),
        w(upper), w(p.position), w(p.tokens[0]), w(p.tokens[1]), w(pool.vaults[0]),
        w(pool.vaults[1]), r(fixed[programs.RENT_SYSVAR]), r(fixed[programs.SYSTEM]),
        r(p.token_program), r(fixed[programs.ASSOCIATED]), r(p.nft_program),
        r(pool.mints[0].account), r(pool.mints[1].account),
    ]  # fmt: skip
    data = (
        Disc.OPEN_POSITION_22, U32(LOWER), U32(UPPER), U32(LOWER), U32(UPPER), U64(LIQUIDITY),
        _WIDE, _MOST, _MOST, b"\0\0",
    )  # fmt: skip
    with tx.call(fixed[programs.RAYDIUM_CLMM], metas, data, units=40_000):
        tx.log("Instruction: OpenPositionWithToken22Nft")
        tx.burn(40_000, jitter=True)
        p.make_token()
        p.pay_in(checked=True)
        tx.log_event("Program data: ", _changed(p))
        tx.log_event(
            "Program data: ",
            [
                Disc.EVENT_POSITION_MADE, Key(pool.account), Key(WALLET), Key(WALLET), U32(LOWER),
                U32(UPPER), U64(LIQUIDITY), _WIDE, U64(AMOUNT_0), U64(AMOUNT_1), bytes(16),
            ],
        )  # fmt: skip


def _close_clmm(tx: TemplateBuilder, pool: Pool) -> None:
    p = _Parts(tx, pool)
    fixed, program = p.fixed, p.fixed[programs.RAYDIUM_CLMM]
    bitmap, lower, upper = p.own("bitmap", "ticks_0", "ticks_1")
    metas = [
        s(WALLET), r(p.token), w(p.position), w(pool.account), w(bitmap), w(pool.vaults[0]),
        w(pool.vaults[1]), w(lower), w(upper), w(p.tokens[0]), w(p.tokens[1]), r(p.token_program),
        r(fixed[programs.SPL_2022]), r(fixed[programs.MEMO]), r(pool.mints[0].account),
        r(pool.mints[1].account),
    ]  # fmt: skip
    data = (Disc.DECREASE_LIQUIDITY_V2, U64(LIQUIDITY), _WIDE, bytes(16))
    with tx.call(program, metas, data, units=36_000):
        tx.log("Instruction: DecreaseLiquidityV2")
        tx.burn(36_000, jitter=True)
        tx.log_event("Program data: ", _changed(p))
        p.pay_out((OUT_0, OUT_1), checked=True)
        tx.log_event(
            "Program data: ",
            [
                Disc.EVENT_DECREASE, Key(p.mint), U64(LIQUIDITY), _WIDE, U64(AMOUNT_0),
                U64(AMOUNT_1), U64(FEE_0), U64(FEE_1), bytes(24), bytes(16),
            ],
        )  # fmt: skip
    metas = [
        ws(WALLET), w(p.mint), w(p.token), w(p.position), r(fixed[programs.SYSTEM]),
        r(p.nft_program),
    ]  # fmt: skip
    with tx.call(program, metas, (Disc.CLOSE_POSITION,), units=9_000):
        tx.log("Instruction: ClosePosition")
        tx.burn(9_000)
        p.burn_token()
