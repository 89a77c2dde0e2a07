"""What victims would have got on pools of ticks and bins, held against a second model of them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from mevstream.cext import curves
from mevstream.codecs.opportunities import Exactness
from mevstream.codecs.parsed import NO_TICK
from mevstream.topologies.opportunities.observed import bins, products, ticks
from mevstream.topologies.opportunities.observed.replay import EXACT_OUT, Path, Swap
from mevstream.topologies.raw.simulator.agents.curves import PoolModel
from mevstream.topologies.raw.simulator.agents.told import Seen
from mevstream.topologies.raw.simulator.programs import Venue

NAMES = {
    Venue.RAYDIUM_CLMM: "raydium_clmm",
    Venue.WHIRLPOOL: "orca_whirlpool",
    Venue.DLMM: "meteora_dlmm",
}


def tick_pool(rng: random.Random, venue: Venue, positions: int, width: int = 600) -> PoolModel:
    """A wide position, and some narrow ones around the price."""
    orca = venue is Venue.WHIRLPOOL
    tick = rng.randrange(-60_000, 60_000)
    base = rng.randrange(10**11, 10**14)
    nets = Counter({tick - 5000: base, tick + 5000: -base})
    for _ in range(positions):
        low = tick + rng.randrange(-width, width)
        high = low + rng.randrange(5, width)
        more = int(base * rng.uniform(0.2, 2))
        nets[low] += more
        nets[high] -= more
    edges = [(curves.tick_root(t, orca=orca), net) for t, net in sorted(nets.items()) if net]
    price = curves.tick_root(tick, orca=orca) + rng.randrange(1000)
    below = [net for root, net in edges if root <= price]
    return model(venue, sqrt_price=price, liquidity=sum(below), edges=edges, segment=len(below))


def bin_pool(rng: random.Random, most: int = 30, first: int = -700, step: int = 25) -> PoolModel:
    active = most // 2
    table: list[tuple[int, int, int]] = []
    for i in range(most):
        price = curves.bin_price(first + i, step)
        whole = rng.randrange(10**9, 10**10)
        x = whole if i > active else 0
        y = whole * price >> 64 if i < active else 0
        if i == active:
            x, y = whole // 2, (whole - whole // 2) * price >> 64
        table.append((x, y, price))
    pool = model(Venue.DLMM, bins=table, active=active)
    pool.first_bin = first  # type: ignore[attr-defined]
    return pool


def model(venue: Venue, **state: Any) -> PoolModel:
    rate = 2_500_000 if venue is Venue.DLMM else 2500
    pool: Any = SimpleNamespace(venue=venue, fee_rate=rate, transfer_fee_bps=(0, 0))
    empty = {
        "reserves": (0, 0), "sqrt_price": 0, "liquidity": 0, "edges": [], "segment": 0, "bins": [],
        "active": 0,
    }  # fmt: skip
    return PoolModel(pool, {**empty, **state})


def swap(pool: PoolModel, number: int, side: int, amount: int, front: int) -> Swap:
    """A swap as its event tells it, and the pool after it."""
    venue, before = pool.pool.venue, (pool.price, pool.active)
    sizes = list(pool.bins)
    done = pool.swap(side, amount)
    assert done is not None
    fee = _fee(pool, sizes, before, side, amount)
    first = getattr(pool, "first_bin", 0)
    is_bins = venue is Venue.DLMM
    return Swap(
        number=number,
        venue=NAMES[venue],
        forward=side == front,
        amount_in=amount,
        amount_out=done.pool_out,
        trader_in=amount,
        trader_out=done.received,
        reserve_in=0,
        reserve_out=0,
        told=False,
        mode=0,
        side=side,
        rates=(None, None, None),
        fee=fee,
        fee_out=0,
        root_before=before[0] if venue is Venue.WHIRLPOOL else 0,
        root=pool.price,
        liquidity=pool.liquidity if venue is Venue.RAYDIUM_CLMM else 0,
        withheld_in=0,
        tick_before=first + before[1] if is_bins else NO_TICK,
        tick=first + pool.active if is_bins else NO_TICK,
    )


def _fee(pool: PoolModel, sizes: Any, before: tuple[int, int], side: int, amount: int) -> int:
    """What did not go into the curve."""
    if pool.pool.venue is Venue.DLMM:
        return amount - sum(b[side] - a[side] for a, b in zip(sizes, pool.bins, strict=True))
    edges = sorted(root for root, _ in pool.edges)
    low, high = sorted((before[0], pool.price))
    stops = [low, *(root for root in edges if low < root < high), high]
    used = 0
    for a, b in pairwise(stops):
        liquidity = sum(net for root, net in pool.edges if root <= a)
        step = curves.range_swap_step(
            b if side == 0 else a, a if side == 0 else b, liquidity, 1 << 62, 0, zero_in=side == 0
        )
        used += step.net_in
    return amount - used


class Scene:
    """A front, a victim and a back in a pool, each with others beside it."""

    def __init__(self, pool: PoolModel, rng: random.Random, share: float) -> None:
        self.side = rng.randrange(2)
        self.begin = pool.copy()
        clean = pool.copy()
        whole = _depth(pool, self.side)
        front = int(whole * share * rng.uniform(0.4, 1.2))
        victims = [int(whole * share * rng.uniform(0.7, 1.3)) for _ in range(rng.choice((1, 1, 2)))]
        self.swaps = [swap(pool, 0, self.side, front, self.side)]
        seen: list[tuple[int, Any]] = [(self.side, SimpleNamespace(paid=front))]
        self.expected: list[int] = []
        places = [clean.copy()]
        for n, amount in enumerate(victims, 1):
            self.swaps.append(swap(pool, n, self.side, amount, self.side))
            seen.append((self.side, SimpleNamespace(paid=amount)))
            fill = clean.swap(self.side, amount)
            assert fill is not None
            self.expected.append(fill.received)
            places.append(clean.copy())
        back = self.swaps[0].amount_out
        self.swaps.append(swap(pool, len(victims) + 1, 1 - self.side, back, self.side))
        seen.append((1 - self.side, SimpleNamespace(paid=back)))
        told = Seen(self.begin, seen)
        self.told = all(told.tells(place) for place in places)
        self.path = Path(
            self.swaps,
            0,
            len(victims),
            {0},
            set(range(1, len(victims) + 1)),
            self.begin.price,
            self.begin.liquidity if pool.pool.venue is Venue.RAYDIUM_CLMM else 0,
        )

    def check(self, found: list[tuple[int, Exactness]], name: str, seen: Counter[Any]) -> None:
        """A flag says no more than what is so."""
        victims = self.swaps[1:-1]
        for victim, wanted, (amount, how) in zip(victims, self.expected, found, strict=True):
            loss = wanted - victim.trader_out
            if how == Exactness.exact:
                assert amount == wanted
            elif how == Exactness.in_range:
                assert abs(amount - wanted) <= max(loss / 1000, 3)
            else:
                seen[name, "modest"] += self.told
            seen[name, how.name] += 1


def _depth(pool: PoolModel, side: int) -> int:
    if pool.pool.venue is Venue.DLMM:
        total = sum(b[1 - side] for b in pool.bins)
        price = pool.bins[pool.active][2]
        return (total << 64) // price if side == 0 else total * price >> 64
    wide = pool.liquidity
    return wide * pool.price >> 64 if side == 1 else (wide << 64) // pool.price


@pytest.mark.parametrize("venue", [Venue.RAYDIUM_CLMM, Venue.WHIRLPOOL])
@pytest.mark.parametrize("positions", [0, 1, 2, 4])
def test_ticks(venue: Venue, positions: int) -> None:
    seen = Counter[Any]()
    for seed in range(60):
        rng = random.Random(f"{venue} {positions} {seed}")
        scene = Scene(tick_pool(rng, venue, positions), rng, 0.01)
        found = ticks.replay(scene.path)
        assert found is not None
        scene.check(found, venue.name, seen)
    # Only CLMM tells the liquidity where a swap ended.
    least = {0: 60, 1: 30, 2: 20, 4: 10} if venue is Venue.RAYDIUM_CLMM else {0: 60, 1: 25, 2: 10}
    assert seen[venue.name, "exact"] >= least.get(positions, 1), seen
    assert seen[venue.name, "modest"] <= 6, seen


@pytest.mark.parametrize("share", [0.01, 0.04, 0.08])
def test_bins(share: float) -> None:
    seen = Counter[Any]()
    for seed in range(60):
        rng = random.Random(f"{share} {seed}")
        scene = Scene(bin_pool(rng), rng, share)
        found = bins.replay(scene.path)
        assert found is not None
        scene.check(found, "bins", seen)
    assert seen["bins", "in_range"] >= 30, seen
    assert not seen["bins", "modest"], seen


def test_a_first_price_that_nobody_told() -> None:
    """It follows from what the front paid, if it crossed no tick, to the unit."""
    for seed in range(20):
        rng = random.Random(f"first {seed}")
        scene = Scene(tick_pool(rng, Venue.RAYDIUM_CLMM, 0), rng, 0.01)
        path = Path(scene.swaps, 0, scene.path.end, scene.path.fronts, scene.path.wanted)
        found = ticks.replay(path)
        assert found == [(amount, Exactness.exact) for amount in scene.expected]


def test_a_first_price_that_cannot_be_told() -> None:
    seen = Counter[Any]()
    for seed in range(60):
        rng = random.Random(f"unknown {seed}")
        scene = Scene(tick_pool(rng, Venue.RAYDIUM_CLMM, 4, width=100), rng, 0.01)
        path = Path(scene.swaps, 0, scene.path.end, scene.path.fronts, scene.path.wanted)
        scene.told = False
        scene.check(ticks.replay(path) or [], "clmm", seen)
    assert seen["clmm", "approximate"] >= 10, seen
    assert not seen["clmm", "exact"], seen


def test_fees_that_events_do_not_tell() -> None:
    for seed in range(20):
        rng = random.Random(f"fees {seed}")
        scene = Scene(tick_pool(rng, Venue.RAYDIUM_CLMM, 0), rng, 0.01)
        swaps = [replace(one, fee=None) for one in scene.swaps]
        path = Path(swaps, 0, scene.path.end, scene.path.fronts, scene.path.wanted,
                    scene.path.root_before, scene.path.liquidity_before)  # fmt: skip
        assert ticks.replay(path) == [(amount, Exactness.exact) for amount in scene.expected]


def test_a_victim_that_named_what_comes_out() -> None:
    """It takes the same again; its payment would have bought more."""
    rng = random.Random("out")
    scene = Scene(tick_pool(rng, Venue.WHIRLPOOL, 0), rng, 0.01)
    swaps = [
        replace(s, mode=EXACT_OUT) if s.number in scene.path.wanted else s for s in scene.swaps
    ]
    path = Path(swaps, 0, scene.path.end, {0}, scene.path.wanted)
    found = ticks.replay(path)
    assert found is not None
    assert found[0][0] == scene.expected[0]


def test_what_is_none_of_these_pools() -> None:
    rng = random.Random("none")
    scene = Scene(tick_pool(rng, Venue.WHIRLPOOL, 0), rng, 0.01)
    assert bins.replay(scene.path) is None
    assert products.replay(scene.path) is None
    path = Scene(bin_pool(rng), rng, 0.02).path
    assert ticks.replay(path) is None
    assert products.replay(path) is None
