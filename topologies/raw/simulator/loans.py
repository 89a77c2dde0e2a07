"""Accounts of the simulated chain's lending programs: markets, reserves, obligations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solders.pubkey import Pubkey

from mevstream.topologies.raw.simulator.market import Mint

if TYPE_CHECKING:
    from mevstream.topologies.raw.simulator.world import World

OBLIGATIONS = 6
SOL, USDC = "sol", "usdc"
# By the name of the market; those of the first two give share tokens for deposits.
MARKETS = ("kamino", "save", "marginfi", "drift")
WITH_SHARES = MARKETS[:2]


@dataclass(frozen=True, slots=True)
class Reserve:
    """One mint of a lending program. share: the token that stands for deposits."""

    mint: Mint
    account: int
    vault: int
    share: Mint | None
    share_vault: int
    fee_account: int
    insurance: int
    oracle: int


@dataclass(frozen=True, slots=True)
class Market:
    """A lending program's market. obligations: (account, its owner, statistics of the owner)."""

    name: str
    account: int
    authority: int
    reserves: dict[str, Reserve]
    obligations: list[tuple[int, int, int]]


class Lending:
    """The markets of a world, and their share tokens by column name."""

    def __init__(self, world: World) -> None:
        self.shares: dict[str, Mint] = {}
        self.markets = {name: self._market(world, name) for name in MARKETS}

    def _market(self, world: World, name: str) -> Market:
        authority = world.account(world.random_key())
        return Market(
            name,
            world.account(world.random_key()),
            authority,
            {
                which: self._reserve(world, name, which, mint, authority)
                for which, mint in ((SOL, world.wsol), (USDC, world.usdc))
            },
            [
                (
                    world.account(world.random_key(), 24_000_000),
                    world.account(world.random_key()),
                    world.account(world.random_key()),
                )
                for _ in range(OBLIGATIONS)
            ],
        )

    def _reserve(self, world: World, name: str, which: str, mint: Mint, authority: int) -> Reserve:
        def tokens(of: Mint, amount: float) -> int:
            return world.token_account(world.random_key(), of, authority, int(amount))

        deep = 5e6 * 1e9 / mint.price
        share, share_vault = None, -1
        column = f"{name}_{which}"
        if name in WITH_SHARES:
            address = str(Pubkey.from_bytes(world.random_key()))
            share = world.mint(address, mint.decimals, world.column(column), -1, mint.price)
            self.shares[column] = share
            share_vault = tokens(share, deep)
        return Reserve(
            mint,
            world.account(world.random_key()),
            tokens(mint, deep),
            share,
            share_vault,
            tokens(mint, 0),
            tokens(mint, 0),
            world.account(world.random_key()),
        )
