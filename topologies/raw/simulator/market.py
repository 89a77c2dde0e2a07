"""Mints and pools of the simulated chain, and the liquidity that concentrated pools begin with."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

from mevstream.cext import curves
from mevstream.topologies.raw.simulator.programs import Venue

# Ranges of a concentrated pool beside the wide one, and bins to each side of a DLMM pool's.
MORE_RANGES = 4
BINS_EACH_SIDE = 40
TICKS_EACH_SIDE = 1500
_CONTEXT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Mint:
    """A token. column: of the users who hold it; price: lamports per base unit."""

    account: int
    address: str
    decimals: int
    program: str
    fee_bps: int
    column: int
    group: int
    price: float


@dataclass(slots=True)
class Pool:
    """A pool as the engine needs it, and the accounts that its instructions name."""

    venue: Venue
    account: int
    mints: tuple[Mint, Mint]
    vaults: tuple[int, int]
    hub_side: int
    hub_is_sol: bool
    fee_rate: int = 0
    protocol_rate: int = 0
    fund_rate: int = 0
    lp_bps: int = 0
    protocol_bps: int = 0
    creator_bps: int = 0
    transfer_fee_bps: tuple[int, int] = (0, 0)
    liquidity: int = 0
    sqrt_price: int = 0
    tick: int = 0
    first_tick: int = 0
    tick_prices: NDArray[np.uint64] | None = None
    bin_price: int = 0
    bin_id: int = 0
    # Initialised ticks with what crossing them upwards adds; bins' amounts and prices, as two
    # words each, from `first_bin` on.
    edges: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    first_bin: int = 0
    bins: NDArray[np.uint64] | None = None
    bin_prices: NDArray[np.uint64] | None = None
    real: tuple[int, int] = (0, 0)
    virtual: tuple[int, int] = (0, 0)
    anchor: tuple[int, int] = (0, 0)
    own: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def spacing(self) -> int:
        """Ticks on which positions may begin and end."""
        return {100: 1, 500: 10, 2500: 60}.get(self.fee_rate, 64)

    @property
    def token(self) -> Mint:
        """The mint that is not the hub."""
        return self.mints[1 - self.hub_side]

    @property
    def hub(self) -> Mint:
        """The quote mint."""
        return self.mints[self.hub_side]


def bin_price(number: int, step_bps: int) -> int:
    """(1 + step / 10000) ** number in Q64.64, by DLMM's own chain of rounded products: powers of
    the inverse, turned over at the end."""
    one, most = 1 << 64, (1 << 128) - 1
    power = most // (one + (step_bps << 64) // 10_000)
    result, left = one, abs(number)
    while left:
        if left & 1:
            result = result * power >> 64
        power = power * power >> 64
        left >>= 1
    return most // result if number > 0 else result


def set_range(
    pool: Pool, reserve_0: int, reserve_1: int, rng: random.Random | None
) -> None:  # fmt: skip
    """One range around the price, with rng several. Tick prices are those of the program."""
    sqrt_price = math.isqrt((reserve_1 << 128) // reserve_0)
    orca = pool.venue is Venue.WHIRLPOOL
    tick = curves.tick_at(sqrt_price, orca=orca)
    first = tick - TICKS_EACH_SIDE
    table = np.empty((2 * TICKS_EACH_SIDE + 1, 2), np.uint64)
    for i in range(len(table)):
        value = curves.tick_root(first + i, orca=orca)
        table[i] = value & (2**64 - 1), value >> 64
    pool.liquidity = math.isqrt(reserve_0 * reserve_1)
    pool.sqrt_price, pool.tick, pool.first_tick = sqrt_price, tick, first
    pool.tick_prices = table
    if rng:
        _add_ranges(pool, rng)


def set_bin(pool: Pool, reserve_0: int, reserve_1: int, rng: random.Random | None) -> None:
    """One bin with all reserves, or with rng many."""
    step = Decimal("1.0025")
    pool.bin_id = round(math.log(reserve_1 / reserve_0) / math.log(1.0025))
    pool.bin_price = int(_CONTEXT.multiply(_CONTEXT.power(step, pool.bin_id), Decimal(2**64)))
    if rng:
        _add_bins(pool, reserve_0, reserve_1, rng)


def _add_ranges(pool: Pool, rng: random.Random) -> None:
    """Positions of a half to twice the wide one's liquidity, around the price or beside it."""
    spacing = pool.spacing
    last = pool.first_tick + 2 * TICKS_EACH_SIDE
    edges = {pool.first_tick: pool.liquidity, last: -pool.liquidity}
    for _ in range(MORE_RANGES):
        width = max(spacing, rng.randrange(40, 500) // spacing * spacing)
        lower = (pool.tick + rng.randrange(-width - 200, 200)) // spacing * spacing
        more = int(pool.liquidity * rng.uniform(0.5, 2))
        edges[lower] = edges.get(lower, 0) + more
        edges[lower + width] = edges.get(lower + width, 0) - more
    pool.edges = sorted((tick, net) for tick, net in edges.items() if net)
    pool.liquidity = sum(net for tick, net in pool.edges if tick <= pool.tick)


def _add_bins(pool: Pool, reserve_0: int, reserve_1: int, rng: random.Random) -> None:
    """The reserves over many bins: x above the active one, y below it, both in it."""
    n = 2 * BINS_EACH_SIDE + 1
    pool.first_bin = pool.bin_id - BINS_EACH_SIDE
    pool.bins, pool.bin_prices = np.zeros((n, 2), np.uint64), np.zeros((n, 2), np.uint64)
    for i in range(n):
        price = bin_price(pool.first_bin + i, 25)
        pool.bin_prices[i] = price & (2**64 - 1), price >> 64
        share = rng.uniform(0.3, 1) / (BINS_EACH_SIDE + 1)
        pool.bins[i] = (
            int(reserve_0 * share) if i >= BINS_EACH_SIDE else 0,
            int(reserve_1 * share) if i <= BINS_EACH_SIDE else 0,
        )
    pool.bin_price = bin_price(pool.bin_id, 25)
