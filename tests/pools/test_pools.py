"""Pools whose rates, liquidity and bin step no event tells: learned from the legs, then exact."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mevstream.cext import curves
from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import ParsedView, encode_parsed
from mevstream.errors import InputError
from mevstream.schemas.pools_pb2 import PoolSnapshot
from mevstream.topologies.opportunities.pools import EXACT, MODEL_OF, SCHEMA, Pools

Q64 = 1 << 64
POOL, MINT_0, MINT_1 = (bytes([i]) * 32 for i in (7, 1, 2))
EVENT, RESERVES, FEE_TOLD, CREATOR_FEE = 1, 16, 32, 256


def words(name: str, value: int) -> dict[str, int]:
    return {name: value % Q64, f"{name}_high": value >> 64}


def view(venue: str, legs: list[dict[str, int]], **changed: list[int]) -> ParsedView:
    """A batch of legs on one pool, each with `side`."""
    n = len(legs)
    sides = np.array([leg["side"] for leg in legs], np.uint32)
    columns: dict[str, Any] = {
        "keys": np.frombuffer(POOL + MINT_0 + MINT_1, np.uint8).reshape(3, 32),
        "tx_index": [0],
        "swap_tx": np.zeros(n, np.uint32),
        "swap_venue": np.zeros(n, np.uint32),
        "swap_pool": np.zeros(n, np.uint32),
        "swap_mint_in": 1 + sides,
        "swap_mint_out": 2 - sides,
    }
    for name in set().union(*legs):
        values = [leg[name] for leg in legs]
        # By itself numpy makes doubles of large and small integers together.
        columns[f"swap_{name}"] = np.array(values, np.int64 if min(values) < 0 else np.uint64)
    return ParsedView(encode_parsed({"slot": 5, "names": [venue]}, columns | changed))


class Product:
    """A CPMM pool, of whose fee two shares in 1e-6 go elsewhere; creator: a rate of the input in
    1e-6, which the fee has in it and which goes, too."""

    venue = "raydium_cpmm"

    def __init__(
        self,
        random: Random,
        shares: tuple[int, int] = (120_000, 40_000),
        creator: int = 0,
        told: bool = True,
    ) -> None:
        self.shares, self.creator, self.told = shares, creator, told
        self.reserves = [random.randrange(10**9, 10**13) for _ in range(2)]
        self.rate = random.choice([100, 2500, 4000, 10_000, 20_000])

    def leg(self, random: Random, side: int) -> dict[str, int]:
        amount = random.randrange(10**4, self.reserves[side] // 10)
        before = self.reserves[side], self.reserves[1 - side]
        rate = self.rate + self.creator
        out = curves.cpmm_out(*before, amount, rate)
        fee = -(-amount * rate // 10**6)
        creators = fee * self.creator // rate
        taken = creators + sum((fee - creators) * share // 10**6 for share in self.shares)
        self.reserves[side] += amount - taken
        self.reserves[1 - side] -= out
        flags = EVENT | (FEE_TOLD if self.told else 0) | (CREATOR_FEE if self.creator else 0)
        told = {"curve_in": before[0], "curve_out": before[1], "fee": fee if self.told else 0}
        return {"amount_in": amount, "amount_out": out, "flags": flags, **told}


class Range:
    """Liquidity without ticks; `whirlpool`: roots before and after are told, else after it the
    liquidity, too, and no fee."""

    def __init__(self, random: Random, whirlpool: bool) -> None:
        self.whirlpool = whirlpool
        self.venue = "orca_whirlpool" if whirlpool else "raydium_clmm"
        self.root = curves.tick_root(random.randrange(-50_000, 50_000), orca=whirlpool)
        self.liquidity = random.randrange(10**11, 10**15)
        self.rate = random.choice([100, 400, 500, 2500, 3000, 10_000])

    def leg(self, random: Random, side: int) -> dict[str, int]:
        held = self.liquidity * Q64 // self.root, self.liquidity * self.root // Q64
        amount = random.randrange(held[side] // 1000, held[side] // 20)
        target = 4295048016 if side == 0 else curves.tick_root(443636, orca=self.whirlpool)
        step = curves.range_swap_step(
            self.root, target, self.liquidity, amount, self.rate, zero_in=side == 0
        )
        told = words("root", step.root)
        if self.whirlpool:
            told |= {"fee": step.fee, **words("root_before", self.root)}
            told |= words("liquidity", 0)
        else:
            told |= {"fee": 0, **words("liquidity", self.liquidity)}
        self.root = step.root
        flags = EVENT | (FEE_TOLD if self.whirlpool else 0)
        return {"amount_in": amount, "amount_out": step.amount_out, "flags": flags, **told}


class Bins:
    """One bin after another, never two in one leg."""

    venue = "meteora_dlmm"

    def __init__(self, random: Random) -> None:
        self.step = random.choice([1, 2, 5, 10, 20, 25, 80, 100, 200])
        self.bin = random.choice([-1, 1]) * random.randrange(50, 500)

    def leg(self, random: Random, side: int) -> dict[str, int]:
        self.bin += random.choice([-1, 0, 1])
        rate, amount = random.randrange(10**5, 10**7), random.randrange(10**8, 10**12)
        price = curves.bin_price(self.bin, self.step)
        out = curves.bin_swap_out(price, amount, rate, x_in=side == 0)
        told = {"fee_rate": rate, "tick_before": self.bin, "tick": self.bin}
        return {"amount_in": amount, "amount_out": out, "flags": EVENT, **told}


KINDS: dict[str, Any] = {
    "cpmm": Product,
    "whirlpool": lambda random: Range(random, True),
    "clmm": lambda random: Range(random, False),
    "dlmm": Bins,
}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32))
def test_what_no_event_tells_is_learned(kind: str, seed: int) -> None:
    random = Random(seed)
    pool = KINDS[kind](random)
    legs: list[dict[str, int]] = []
    for _ in range(12):
        side = random.randrange(2)
        legs.append({**pool.leg(random, side), "side": side, "mode": 0})
    pools = Pools()
    checks = pools.apply(view(pool.venue, legs)).checks
    assert checks["drift"].sum() == 0
    # Known from the first legs on. Of a liquidity that is only bounded the quote is off by one
    # unit at most wherever a larger leg has bounded it.
    assert checks["source"][3:].all()
    off = np.abs(checks["quoted"].astype(np.int64) - checks["actual"].astype(np.int64))
    if kind == "whirlpool":
        smallest = min(leg["amount_out"] for leg in legs)
        largest = max(leg["amount_out"] for leg in legs)
        assert (off[6:] <= 2 + 2 * largest // smallest).all()
    else:
        assert (off[6:] == 0).all()


def left(pools: Pools) -> tuple[int, list[int]]:
    """Exactness and reserves of the only pool."""
    _, columns = SCHEMA.read(pools.snapshot())
    (exactness,) = columns["pool_exactness"].tolist()
    return exactness, [int(columns[f"pool_reserve_{side}"][0]) for side in range(2)]


def exact_legs(pool: Product, random: Random, n: int = 60) -> int:
    """How often the pool is called exact behind its own leg, which it has to be then."""
    pools, exact = Pools(), 0
    for _ in range(n):
        side = random.randrange(2)
        pools.apply(view(pool.venue, [{**pool.leg(random, side), "side": side, "mode": 0}]))
        exactness, reserves = left(pools)
        if exactness == EXACT:
            exact += 1
            assert reserves == pool.reserves
    return exact


@given(
    seed=st.integers(0, 2**32),
    shares=st.sampled_from([(120_000, 40_000), (250_000, 50_000), (160_000, 0), (0, 0)])
    | st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda n: (n[0] * 10**4, n[1] * 10**4)),
    told=st.booleans(),
)
def test_what_leaves_the_pool_of_its_fees_is_learned(
    seed: int, shares: tuple[int, int], told: bool
) -> None:
    random = Random(seed)
    assert exact_legs(Product(random, shares, told=told), random) >= 30


@given(
    seed=st.integers(0, 2**32), shares=st.tuples(*[st.integers(0, 500_000)] * 2), told=st.booleans()
)
def test_shares_of_no_whole_per_cent_are_never_taken_for_some(
    seed: int, shares: tuple[int, int], told: bool
) -> None:
    random = Random(seed)
    exact_legs(Product(random, shares, told=told), random, 30)


def test_shares_that_change_are_learned_anew() -> None:
    random = Random(5)
    pool = Product(random)
    assert exact_legs(pool, random) > 30
    pools, exactness = Pools(), 0
    wrong: list[int] = []
    for number in range(120):
        if number == 60:
            pool.shares = (100_000, 60_000)
        side = random.randrange(2)
        pools.apply(view(pool.venue, [{**pool.leg(random, side), "side": side, "mode": 0}]))
        exactness, reserves = left(pools)
        if exactness == EXACT and reserves != pool.reserves:
            wrong.append(number)
    # Only a leg whose fee they part in another way tells.
    assert wrong == [60] or len(wrong) < 4
    assert exactness == EXACT


def test_with_a_fee_of_the_creator_nothing_is_sure() -> None:
    random = Random(4)
    assert exact_legs(Product(random, creator=500), random) == 0


def test_liquidity_that_came_between_is_drift() -> None:
    pool = Product(Random(1))
    legs = [{**pool.leg(Random(2), 0), "side": 0, "mode": 0}]
    pool.reserves = [2 * reserve for reserve in pool.reserves]
    legs.append({**pool.leg(Random(3), 1), "side": 1, "mode": 0})
    pools = Pools()
    checks = pools.apply(view(pool.venue, legs)).checks
    assert checks["drift"].tolist() == [0, 1]
    assert checks["quoted"][1] == checks["actual"][1]
    assert pools.quoted[pool.venue].drifted == 1


def test_the_graph_moves_with_the_pools() -> None:
    pool = Product(Random(1))
    pools = Pools()
    assert pools.number(POOL, MINT_0, MINT_1) is None
    leg = {**pool.leg(Random(2), 0), "side": 0, "mode": 0}
    pools.apply(view(pool.venue, [leg]))
    assert pools.number(POOL, MINT_0, MINT_1) == 0
    assert pools.number(POOL, MINT_1, MINT_0) is None
    graph, mints = pools.graph()
    assert graph.search(0) == []
    assert mints == [MINT_0, MINT_1]
    with pytest.raises(ValueError, match="96 bytes"):
        pools.number(POOL, MINT_0, b"")


@pytest.mark.parametrize("column", ["swap_pool", "swap_mint_in", "swap_mint_out", "swap_venue"])
def test_rows_outside_their_tables(column: str) -> None:
    pool = Product(Random(1))
    leg = {**pool.leg(Random(2), 0), "side": 0, "mode": 0}
    pools = Pools()
    empty = pools.snapshot()
    with pytest.raises(InputError, match="outside a table"):
        pools.apply(view(pool.venue, [leg, leg], **{column: [0, 9]}))
    assert pools.snapshot() == empty
    pools.apply(view(pool.venue, [leg, leg], **{column: [NONE, NONE]}))
    assert len(pools) == 0


U32 = ("flags", "mode", "fee_rate", "fee_rate_protocol", "fee_rate_creator")
I32 = ("tick_before", "tick")
U64 = (
    *("amount_in", "amount_out", "withheld_in", "trader_in", "fee", "reserve_in", "reserve_out"),
    *("curve_in", "curve_out", "root_before", "root_before_high", "root", "root_high"),
    *("liquidity", "liquidity_high"),
)


@pytest.mark.parametrize("venue", MODEL_OF)
@given(seed=st.integers(0, 2**32))
def test_no_leg_stops_it(venue: str, seed: int) -> None:
    """Numbers of any size in any column: quotes or none, and a snapshot that comes back."""
    random = Random(seed)

    def number(bits: int) -> int:
        return random.choice([0, 1, 2**bits - 1, random.getrandbits(random.randrange(1, bits + 1))])

    legs = [
        {
            "side": random.randrange(2),
            **{name: number(32) for name in U32},
            **{name: number(32) - 2**31 for name in I32},
            **{name: number(64) for name in U64},
        }
        for _ in range(8)
    ]
    pools = Pools()
    pools.apply(view(venue, legs))
    snapshot = pools.snapshot()
    again = Pools()
    again.restore(snapshot)
    assert again.snapshot() == snapshot


def test_what_is_no_snapshot() -> None:
    pool = Product(Random(1))
    pools = Pools()
    pools.apply(view(pool.venue, [{**pool.leg(Random(2), 0), "side": 0, "mode": 0}]))
    good = pools.snapshot()
    for bad in (b"\xff", b"", b"\x08\x63", good + good):
        with pytest.raises(InputError, match="PoolSnapshot"):
            pools.restore(bad)
        assert pools.snapshot() == good
    # Legs would cut an empty interval, and look for a round rate in it.
    state = PoolSnapshot.FromString(good)
    state.pool_rate_low[0], state.pool_rate_high[0] = 10, 5
    with pytest.raises(InputError, match="a rate is above and below"):
        pools.restore(state.SerializeToString())


def test_a_sum_that_no_vault_holds_is_no_reserve() -> None:
    """Quoted by what the leg tells (1), or where it cannot be by where the one before left it."""
    reserves = (10**12, 10**19)
    legs: list[dict[str, int]] = []
    for _ in range(2):
        out = curves.token_swap_out(*reserves, 10**9, 25, 5).amount_out
        reserves = (reserves[0] + 10**9, reserves[1] - out)
        told = {"reserve_in": reserves[0], "reserve_out": reserves[1]}
        legs.append({"side": 0, "mode": 0, "amount_in": 10**9, "amount_out": out, **told})
        legs[-1]["flags"] = RESERVES
    assert Pools().apply(view("orca_v2", legs)).checks["source"].tolist() == [0, 1]
    legs[1]["amount_out"] = 2**64 - 1
    assert Pools().apply(view("orca_v2", legs)).checks["source"].tolist() == [0, 2]


def test_a_hub_that_is_no_key() -> None:
    with pytest.raises(ValueError, match="32 bytes each"):
        Pools(hubs=[bytes(31)])
