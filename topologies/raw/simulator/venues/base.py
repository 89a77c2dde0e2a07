"""What the swap instructions of all venues share: the leg, transfers, errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.blob import U64, Piece
from mevstream.topologies.raw.simulator.builder import TemplateBuilder
from mevstream.topologies.raw.simulator.programs import Venue
from mevstream.topologies.raw.simulator.registers import LegField, leg_register
from mevstream.topologies.raw.simulator.template import Meta, r, s, w, ws
from mevstream.topologies.raw.simulator.world import Mint, Pool, World


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
    # Of 256, of what a leg beside others takes; 0: the rest.
    share: int = 0
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


class Swap:
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
            share=self.leg.share,
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


@dataclass(frozen=True, slots=True)
class Instructions:
    """A venue's swap instruction: its accounts, its data, and what it does when it runs."""

    accounts: Callable[[Swap], list[Meta]]
    data: Callable[[Swap], Sequence[Piece]]
    run: Callable[[Swap], None]
