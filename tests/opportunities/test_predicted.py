"""Cycles that could be taken and what swaps stood to lose, against all there are; and the same rows
however the chain is parted, cut or interrupted."""

from __future__ import annotations

from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mevstream.cext.predict import Hop, Prediction
from mevstream.codecs.opportunities import Exactness, Kind, OpportunityView, Origin
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.predicted.cycles import Rules, predicted
from mevstream.topologies.opportunities.predicted.tips import LEAST_TIP, WINDOW, TipFloor
from mevstream.topologies.parsed.market import open_split
from opportunities.forecast import Row, alike, cycles, exposures, foreseen
from opportunities.scene import HUBS, SOL, USDC, Chain, Change, Pool, Tx, key, new_stage, pool, run

COST = 5000 + LEAST_TIP


def told_pool(name: str, a: str, b: str, reserve_a: int, reserve_b: int, **more: Any) -> Pool:
    return pool(name, a, b, reserve_a, reserve_b, curve=True, **more)


def gain(route: list[tuple[Pool, str]], amount: int) -> int:
    """What a cycle of pools, each with the mint that goes in, gives back above the amount."""
    got = amount
    for one, mint in route:
        got = one.quote(mint, got)
    return got - amount


def best(route: list[tuple[Pool, str]]) -> tuple[int, int]:
    """(profit, input) by narrowing down on a hill."""
    low, high = 1, min(min(one.reserves.values()) for one, _ in route)
    while high - low > 8:
        left, right = low + (high - low) // 3, high - (high - low) // 3
        if gain(route, left) < gain(route, right):
            low = left
        else:
            high = right
    return max((gain(route, amount), -amount) for amount in range(low, high + 1))


def two_pools() -> tuple[Pool, Pool]:
    return (
        told_pool("one", SOL, "X", 10**12, 10**14),
        told_pool("two", SOL, "X", 10**12, 10**14),
    )


def seen(chain: Chain, slot: int, *pools: Pool) -> None:
    """A small swap in each of them, so that all are known."""
    chain.add(slot, *(Tx("somebody", [one.swap(one.a, 1000)]) for one in pools))


def test_a_backrun_is_told_to_the_unit() -> None:
    chain, (one, two) = Chain(), two_pools()
    seen(chain, 4, one, two)
    chain.add(4, Tx("big", [one.swap(SOL, 4 * 10**10)]))
    profit, amount = best([(two, SOL), (one, "X")])
    (row,) = cycles(run(chain.batches()))
    assert row["kind"] == Kind.backrun
    assert row["at"] == (4, 2)
    assert row["profit"] == pytest.approx(profit, abs=2)
    assert row["input"] == pytest.approx(-amount, rel=1e-3)
    assert row["opened"] == row["profit"]
    assert (row["fee"], row["tip"]) == (5000, LEAST_TIP)
    assert row["net_lamports"] == row["profit"] - COST
    assert (row["exactness"], row["expiry"]) == (Exactness.exact, 8)
    assert (row["actor"], row["market"]) == (None, key("X"))
    assert [hop["pool"] for hop in row["hops"]] == [key("two"), key("one")]
    # What the hops say is what the pools give.
    got = row["input"]
    for hop, (one_, mint) in zip(row["hops"], [(two, SOL), (one, "X")], strict=True):
        assert (hop["amount_in"], hop["amount_out"]) == (got, one_.quote(mint, got))
        assert (hop["venue"], hop["trader"], hop["mint_in"]) == ("raydium_amm_v4", None, key(mint))
        got = hop["amount_out"]
    assert got - row["input"] == row["profit"]


def test_what_is_taken_is_not_told_again() -> None:
    chain, (one, two) = Chain(), two_pools()
    seen(chain, 4, one, two)
    chain.add(4, Tx("big", [one.swap(SOL, 4 * 10**10)]))
    _, amount = best([(two, SOL), (one, "X")])
    buy = two.swap(SOL, -amount)
    chain.add(4, Tx("bot", [buy, one.swap("X", buy.amount_out)]))
    chain.add(5, Tx("small", [two.swap(SOL, 10**6)]))
    assert [row["at"] for row in cycles(run(chain.batches()))] == [(4, 2)]


def test_a_cycle_that_was_there_before_is_no_backrun() -> None:
    chain, (one, two) = Chain(), two_pools()
    one.reserves[SOL] = 11 * 10**11
    seen(chain, 4, one, two)
    chain.add(5, Tx("more", [one.swap(SOL, 10**10)]))
    first, second = cycles(run(chain.batches()))
    # Nobody knows what the other pool was before it was first seen.
    assert (first["kind"], first["opened"], first["at"]) == (Kind.arbitrage, 0, (4, 1))
    assert (second["kind"], second["at"]) == (Kind.arbitrage, (5, 0))
    assert 0 < second["opened"] < second["profit"]
    assert second["opened"] == pytest.approx(second["profit"] - first["profit"], rel=1e-6)


def test_what_does_not_pay_its_costs() -> None:
    chain, (one, two) = Chain(), two_pools()
    seen(chain, 4, one, two)
    chain.add(4, Tx("big", [one.swap(SOL, 4 * 10**10)]))
    profit = best([(two, SOL), (one, "X")])[0]
    for net, tip, n in ((profit - COST - 3, None, 1), (profit - COST + 3, None, 0), (0, profit, 0)):
        stage = new_stage(rules=Rules(net=net, tip=tip))
        assert len(cycles(run(chain.batches(), stage))) == n


def test_routes_over_hubs() -> None:
    """Three and four hops through one market; through two markets nothing is told."""
    for legs in (1, 2):
        chain = Chain()
        cheap = told_pool("cheap", SOL, "X", 10**12, 10**14)
        dear = told_pool("dear", USDC if legs == 1 else "USDT", "X", 10**11, 10**14)
        bridge = told_pool("bridge", SOL, USDC, 10**13, 10**12)
        back = told_pool("back", USDC, "USDT", 10**12, 10**12)
        pools = [cheap, dear, bridge, back]
        seen(chain, 4, *pools)
        chain.add(4, Tx("big", [dear.swap(dear.a, 10**10)]))
        rows = cycles(run(chain.batches()))
        assert [len(row["hops"]) for row in rows if row["at"] == (4, 4)] == [2 + legs]
        assert rows[-1]["hops"][0]["mint_in"] == key(SOL)
    chain = Chain()
    pools = [
        told_pool("x", SOL, "X", 10**12, 10**14),
        told_pool("xy", "X", "Y", 10**14, 10**14),
        told_pool("y", SOL, "Y", 2 * 10**12, 10**14),
    ]
    seen(chain, 4, *pools)
    chain.add(4, Tx("big", [pools[0].swap(SOL, 10**11)]))
    assert cycles(run(chain.batches())) == []


def test_pools_between_hubs_alone() -> None:
    chain = Chain()
    one = told_pool("one", SOL, USDC, 10**13, 10**12)
    two = told_pool("two", SOL, USDC, 10**13, 10**12)
    seen(chain, 4, one, two)
    chain.add(4, Tx("big", [one.swap(SOL, 5 * 10**11)]))
    (row,) = cycles(run(chain.batches()))
    assert (row["kind"], row["market"]) == (Kind.backrun, None)


def test_liquidity_moves_reserves() -> None:
    """Without it the second swap would be told by another state than earlier legs left."""
    chain, (one, two) = Chain(), two_pools()
    seen(chain, 4, one, two)
    a, b = one.reserves[SOL] // 2, one.reserves["X"] // 2
    chain.add(4, Tx("owner", changes=[Change("add", one, (a, b))]))
    one.reserves = {SOL: one.reserves[SOL] + a, "X": one.reserves["X"] + b}
    chain.add(4, Tx("big", [one.swap(SOL, 4 * 10**10)]))
    stage = new_stage()
    (row,) = cycles(run(chain.batches(), stage))
    assert row["profit"] == pytest.approx(best([(two, SOL), (one, "X")])[0], abs=2)
    assert row["opened"] == row["profit"]
    assert stage.pools.quoted["raydium_amm_v4"].drifted == 0


def test_behind_a_gap_pools_are_not_known() -> None:
    chain, (one, two) = Chain(), two_pools()
    seen(chain, 4, one, two)
    chain.add(6, Tx("big", [one.swap(SOL, 4 * 10**10)]))
    assert cycles(run(chain.batches())) == []
    stage = new_stage()
    assert len(cycles(run(chain.batches(parent_slot=4), stage))) == 1
    # A batch that never came is a gap, too.
    chain.add(6, Tx("second", [two.swap(SOL, 10**6)]))
    batches = chain.batches([1], parent_slot=4)
    assert cycles(run([batches[0], *batches[3:]])) == []


def test_an_exposure_is_what_a_front_would_take() -> None:
    chain, (one, _) = Chain(), two_pools()
    amount = 3 * 10**10
    alone = one.quote(SOL, amount)
    before = dict(one.reserves)
    bought = one.swap(SOL, amount).amount_out
    behind = one.swap(SOL, amount).amount_out
    gained = one.swap("X", bought).amount_out - amount
    one.reserves = before
    chain.add(4, Tx("victim", [one.swap(SOL, amount)]))
    chain.add(4, Tx("small", [one.swap(SOL, 10**6)]))
    (row,) = exposures(run(chain.batches()))
    assert row["profit"] == pytest.approx(gained, rel=1e-3)
    assert row["victim_loss"] == pytest.approx(alone - behind, rel=1e-3)
    assert row["net_lamports"] == row["profit"] - 2 * 5000 - LEAST_TIP
    (victim,) = row["victim"]
    assert victim["expected"] == alone
    assert victim["got"] == alone - victim["loss"] == alone - row["victim_loss"]
    assert victim["wallet"] == key("victim")
    assert row["actor"] is None


def test_nobody_loses_more_than_came() -> None:
    """Where the curve gives more than the swap got."""
    chain, (one, _) = Chain(), two_pools()
    swap = one.swap(SOL, 3 * 10**10)
    swap.amount_out = swap.trader_out = 5
    chain.add(4, Tx("victim", [swap]))
    (row,) = exposures(run(chain.batches()))
    assert (row["victim_loss"], row["victim"][0]["got"], row["victim"][0]["loss"]) == (5, 0, 5)


def test_the_last_slot_there_is() -> None:
    chain, (one, two) = Chain(), two_pools()
    seen(chain, 2**64 - 1, one, two)
    chain.add(2**64 - 1, Tx("big", [one.swap(SOL, 4 * 10**10)]))
    (row,) = cycles(run(chain.batches(block_time=None)))
    assert row["expiry"] == 2**64 - 1


@pytest.mark.parametrize("value", [1e300, float("inf")])
def test_a_mint_that_is_worth_more_than_all(value: float) -> None:
    chain, (one, _) = Chain(), two_pools()
    chain.add(4, Tx("big", [one.swap(SOL, 4 * 10**10)]))
    (message,) = chain.batches()
    hop = Hop(key("one"), 0, key("X"), key("Y"), 6, 6, 1, 2)
    found = Prediction(0, key("X"), [hop, hop], 1, 10**6, None, value, Exactness.exact)
    (row,) = predicted(ParsedView(message), [found], Rules(), 0, key(SOL))
    assert row.net == 2**62 - 1 - 5000


# -- the tip floor --------------------------------------------------------------------------------


def test_the_tip_floor_is_of_earlier_slots() -> None:
    floor = TipFloor(50)
    assert floor.at(10) == LEAST_TIP
    floor.add(10, [5000, 100_000, 7000])
    assert floor.at(10) == LEAST_TIP
    assert floor.at(11) == 7000
    assert TipFloor(50, 0).at(10) == 0
    again = TipFloor(50)
    again.put(floor.slots())
    assert again.at(11) == 7000
    assert floor.at(10 + WINDOW) == 7000
    assert floor.at(11 + WINDOW) == LEAST_TIP
    floor.add(11 + WINDOW, [9])
    assert floor.slots() == [(11 + WINDOW, [9])]


def test_tips_of_swaps_between_hubs_make_the_floor() -> None:
    chain, (one, two) = Chain(), two_pools()
    bridge = told_pool("bridge", SOL, USDC, 10**13, 10**12)
    chain.add(3, Tx("searcher", [bridge.swap(SOL, 1000)], tip=50_000))
    chain.add(3, Tx("other", [one.swap(SOL, 1000)], tip=900_000))
    seen(chain, 4, one, two)
    chain.add(4, Tx("big", [one.swap(SOL, 4 * 10**10)], tip=10**6))
    (row,) = cycles(run(chain.batches()))
    assert row["tip"] == 50_000


# -- all cycles -----------------------------------------------------------------------------------

MARKETS = ("X", "Y", "Z")
QUOTES = (SOL, USDC, "USDT")
WORTH = {SOL: 1.0, USDC: 7.0, "USDT": 7.0, "X": 0.01, "Y": 3.0, "Z": 0.5}


def random_chain(
    seed: int, swaps: int = 24
) -> tuple[Chain, list[Pool], list[list[dict[str, int]]]]:
    """A chain, its pools, and what each of them had after each transaction."""
    random = Random(seed)
    pairs = [(SOL, USDC), (USDC, "USDT"), (SOL, "USDT")]
    pairs += [(random.choice(QUOTES), random.choice(MARKETS)) for _ in range(8)]
    pairs += [("X", "Y"), ("X", "Y")]
    pools: list[Pool] = []
    for number, (a, b) in enumerate(pairs):
        size = random.randrange(10**11, 10**13)
        tilt = 1 + random.gauss(0, 0.01)
        reserves = (int(size / WORTH[a]), int(size * tilt / WORTH[b]))
        pools.append(told_pool(f"pool {number}", a, b, *reserves))
    chain = Chain()
    states: list[list[dict[str, int]]] = []
    order = list(range(len(pools))) + [random.randrange(len(pools)) for _ in range(swaps)]
    for place, number in enumerate(order):
        legs = [number, *(random.randrange(len(pools)) for _ in range(random.choice([0, 0, 1])))]
        tx = [
            pools[n].swap(mint := random.choice([pools[n].a, pools[n].b]),
                          max(1000, pools[n].reserves[mint] // random.choice([50, 200, 10**6])))
            for n in legs
        ]  # fmt: skip
        tip = random.choice([0, 0, 2000, 70_000])
        chain.add(4 + place // 5, Tx(f"wallet {place}", tx, tip=tip))
        states.append([dict(one.reserves) for one in pools])
    return chain, pools, states


def routes(pools: list[Pool], moved: Pool, entered: str) -> list[list[tuple[Pool, str]]]:
    """All cycles of two to four pools with the moved one, entered by that mint, through one market
    at most, from each of their hubs."""
    found: list[list[tuple[Pool, str]]] = []
    for n in (2, 3, 4):
        for others in permutations([one for one in pools if one is not moved], n - 1):
            route, mint = [(moved, entered)], moved.other(entered)
            for one in others:
                if mint not in (one.a, one.b):
                    break
                route.append((one, mint))
                mint = one.other(mint)
            mints = [mint for _, mint in route]
            outside = [mint for mint in mints if mint in MARKETS]
            if len(route) == n and mint == entered and len(set(mints)) == n and len(outside) < 2:
                found.append(route)
    return found


@given(st.integers(0, 10**6))
def test_nothing_better_is_missed(seed: int) -> None:
    """After each transaction the best cycle of each market that it made better is told, and is
    worth what the best of all cycles is."""
    chain, pools, states = random_chain(seed, swaps=4)
    stage = new_stage(rules=Rules(tip=0))
    rows = cycles(run(chain.batches(), stage))
    order = [tx for _, block in sorted(chain.slots.items()) for tx in block]
    known: set[str] = set()
    for tx, state in zip(order, states, strict=True):
        fresh = {swap.pool.name for swap in tx.swaps} - known
        known |= fresh
        for one, reserves in zip(pools, state, strict=True):
            one.reserves = dict(reserves)
        there = [one for one in pools if one.name in known]
        told = {row["market"]: row for row in rows if row["at"] == (tx.slot, tx.index)}
        wanted: dict[bytes | None, float] = {}
        for swap in tx.swaps:
            ways = {swap.mint_out} | ({swap.mint_in} if swap.pool.name in fresh else set())
            for way in ways:
                for route in routes(there, swap.pool, way):
                    market = next((key(mint) for _, mint in route if mint in MARKETS), None)
                    start = min(
                        (n for n, (_, mint) in enumerate(route) if mint not in MARKETS),
                        key=lambda n: (route[n][1] != SOL, key(route[n][1])),
                    )
                    route = route[start:] + route[:start]
                    if route[0][1] != SOL:
                        continue  # worth what pools say
                    profit = _closed(route)
                    wanted[market] = max(wanted.get(market, 0.0), profit)
        for market, profit in wanted.items():
            # Units of dollars that are rounded off are worth seven lamports each.
            if profit > 5000 + 50:
                assert told[market]["net_lamports"] + 5000 >= profit - 50
    for row in rows:
        assert row["profit"] > 0


def _closed(route: list[tuple[Pool, str]]) -> float:
    """The best profit of products with a fee on the input, in closed form."""
    i, o = float("inf"), float("inf")
    for one, mint in route:
        a, b = one.reserves[mint] / 0.9975, float(one.reserves[one.other(mint)])
        i, o = (a, b) if i == float("inf") else (i * a / (a + o), o * b / (a + o))
    return (o**0.5 - i**0.5) ** 2 if o > i else 0.0


# -- the same rows --------------------------------------------------------------------------------


def parted(batches: list[bytes], partitions: int, **options: Any) -> list[Row]:
    split = open_split(HUBS)
    stages = [new_stage(**options) for _ in range(partitions)]
    views: list[OpportunityView] = []
    for message in batches:
        for stage, part in zip(stages, split(message, partitions), strict=True):
            views += run([part], stage)
    return foreseen(views)


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 5]), st.lists(st.integers(1, 6), max_size=3))
def test_partitions(seed: int, partitions: int, cuts: list[int]) -> None:
    batches = random_chain(seed)[0].batches(cuts)
    assert alike(parted(batches, partitions)) == alike(foreseen(run(batches)))


@given(st.integers(0, 10**6), st.lists(st.integers(1, 6), max_size=3), st.integers(0, 30))
def test_cuts_and_restarts(seed: int, cuts: list[int], at: int) -> None:
    """Behind a restart row by row in the same order, too."""
    chain = random_chain(seed)[0]
    batches = chain.batches(cuts)
    last = new_stage()
    whole = foreseen(run(batches, last))
    assert alike(whole) == alike(foreseen(run(chain.batches())))
    first = new_stage()
    views = run(batches[:at], first)
    second = new_stage()
    second.restore(first.snapshot())
    views += run(batches[at:], second)
    assert foreseen(views) == whole
    assert second.snapshot() == last.snapshot()


def test_the_random_chain_has_something_of_everything() -> None:
    rows = [row for seed in range(40) for row in foreseen(run(random_chain(seed)[0].batches()))]
    assert {len(row["leg"]) - 1 for row in rows if row["kind"] != Kind.exposure} == {2, 3, 4}
    assert {row["kind"] for row in rows} == {Kind.arbitrage, Kind.backrun, Kind.exposure}
    assert {row["market"] for row in rows} == {None, *map(key, MARKETS)}
    assert all(row["origin"] == Origin.predicted for row in rows)
    assert len({row["id"] for row in rows}) > 40
