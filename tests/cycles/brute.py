"""Every simple cycle through a pool, one after another, each with its best input by bisection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

Q64 = 1 << 64


@dataclass(frozen=True)
class Pool:
    """A curve as the search has it, without rounding, from the definition of each."""

    mints: tuple[int, int]
    kind: str
    rates: tuple[int, ...]
    reserves: tuple[int, int] = (0, 0)
    root: int = 0
    liquidity: int = 0
    low: int = 0
    high: int = 0

    def limit(self, side: int) -> float:
        """The most that can go in before the range ends, fee included."""
        if self.kind == "range":
            keep = 1 - self.rates[0] / 1e6
            root = self.root / Q64
            if side == 0 and self.low:
                return self.liquidity * (1 / (self.low / Q64) - 1 / root) / keep
            if side == 1 and self.high:
                return self.liquidity * (self.high / Q64 - root) / keep
        if self.kind == "bin" and self.reserves[1 - side]:
            price = self.root / Q64 if side == 0 else Q64 / self.root
            return self.reserves[1 - side] / price / (1 - self.rates[0] / 1e9)
        return inf

    def out(self, side: int, amount: float) -> float:
        if self.kind == "product":
            net = amount * (1 - self.rates[0] / 1e6)
            given = self.reserves[1 - side] * net / (self.reserves[side] + net)
            return given * (1 - self.rates[1] / 1e6)
        if self.kind == "pump_swap":
            fees = sum(self.rates) / 1e4
            if side == 0:
                given = self.reserves[1] * amount / (self.reserves[0] + amount)
                return given * (1 - fees)
            net = amount / (1 + fees)
            return self.reserves[0] * net / (self.reserves[1] + net)
        root = self.root / Q64
        if self.kind == "range":
            net = amount * (1 - self.rates[0] / 1e6)
            # Token 0 and 1 that full-range liquidity would hold at that price.
            held = (self.liquidity / root, self.liquidity * root)
            return held[1 - side] * net / (held[side] + net)
        net = amount * (1 - self.rates[0] / 1e9)
        return net * (root if side == 0 else 1 / root)


def cycles(pools: dict[int, Pool], first: int, hops: int) -> Iterator[tuple[list[int], int]]:
    """(pools, first mint) of the simple cycles that begin with that pool, both ways round."""

    def walk(path: list[int], seen: list[int], at: int) -> Iterator[list[int]]:
        for number, pool in pools.items():
            if at not in pool.mints or number in path:
                continue
            other = pool.mints[1 - pool.mints.index(at)]
            if other == seen[0]:
                yield [*path, number]
            elif other not in seen and len(path) + 1 < hops:
                yield from walk([*path, number], [*seen, other], other)

    for start in pools[first].mints:
        other = next(mint for mint in pools[first].mints if mint != start)
        for path in walk([first], [start, other], other):
            yield path, start


def best(pools: dict[int, Pool], path: list[int], start: int) -> float:
    """The most that the cycle gains, in its first mint: its profit has one hill."""

    def sides() -> Iterator[tuple[Pool, int]]:
        at = start
        for number in path:
            pool = pools[number]
            side = pool.mints.index(at)
            yield pool, side
            at = pool.mints[1 - side]

    legs = list(sides())

    def profit(amount: float) -> float:
        out = amount
        for pool, side in legs:
            if out > pool.limit(side) * (1 + 1e-12):
                return -inf
            out = pool.out(side, out)
        return out - amount

    # Below the slope at nothing it never rises.
    if profit(1e-3) <= 0:
        return 0.0
    low, high = 0.0, 1e14
    for _ in range(90):
        left, right = low + (high - low) * 0.4, low + (high - low) * 0.6
        if profit(left) >= profit(right):
            high = right
        else:
            low = left
    return max(profit(low), 0.0)
