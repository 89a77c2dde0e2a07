"""The search against every cycle there is, while pools come, move and go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cycles.brute import Pool, best, cycles
from mevstream.cext.cycles import Cycle, CycleGraph
from mevstream.cext.negative_cycles import negative_cycle

Q64 = 1 << 64


@st.composite
def products(draw: st.DrawFn, mints: tuple[int, int]) -> Pool:
    size = draw(st.integers(10**6, 10**12))
    # Prices that differ by some per cent, so that some cycles gain and most do not.
    tilt = draw(st.integers(900, 1100))
    rates = (draw(st.sampled_from([0, 100, 2500, 10_000])), draw(st.sampled_from([0, 0, 5000])))
    return Pool(mints, "product", rates, (size, size * tilt // 1000))


@st.composite
def any_pools(draw: st.DrawFn, mints: tuple[int, int]) -> Pool:
    kind = draw(st.sampled_from(["product", "pump_swap", "range", "bin"]))
    if kind == "product":
        return draw(products(mints))
    if kind == "pump_swap":
        size = draw(st.integers(10**6, 10**12))
        return Pool(mints, kind, (20, 93, 30), (size, size * draw(st.integers(900, 1100)) // 1000))
    root = Q64 * draw(st.integers(900, 1100)) // 1000
    if kind == "range":
        low = root * 999 // 1000 if draw(st.booleans()) else 0
        high = root * 1001 // 1000 if draw(st.booleans()) else 0
        liquidity = draw(st.integers(10**7, 10**13))
        return Pool(mints, kind, (2500,), (0, 0), root, liquidity, low, high)
    held = (draw(st.integers(10**5, 10**10)), draw(st.integers(10**5, 10**10)))
    return Pool(mints, kind, (1_000_000,), held, root)


@st.composite
def graphs(draw: st.DrawFn, kinds: Any = products) -> tuple[int, dict[int, Pool]]:
    n_mints = draw(st.integers(2, 7))
    pairs = st.tuples(st.integers(0, n_mints - 1), st.integers(0, n_mints - 1))
    edges = draw(st.lists(pairs.filter(lambda p: p[0] != p[1]), min_size=2, max_size=14))
    return n_mints, {i: draw(kinds(pair)) for i, pair in enumerate(edges)}


def put(graph: CycleGraph, number: int, pool: Pool) -> None:
    graph.set_curve(
        number,
        pool.kind,
        rates=pool.rates,
        reserves=pool.reserves,
        root=pool.root,
        liquidity=pool.liquidity,
        low=pool.low,
        high=pool.high,
    )


def build(n_mints: int, pools: dict[int, Pool], hub_degree: int) -> CycleGraph:
    graph = CycleGraph(hub_degree)
    for _ in range(n_mints):
        graph.mint()
    for number, pool in pools.items():
        assert graph.pool(*pool.mints) == number
        put(graph, number, pool)
    return graph


def check(graph: CycleGraph, pools: dict[int, Pool], number: int, hops: int) -> None:
    every = [(best(pools, path, start), path, start) for path, start in cycles(pools, number, hops)]
    wanted = sorted((profit for profit, _, _ in every if profit > 1e-3), reverse=True)
    found = graph.search(number, hops, 16)
    assert [cycle.profit for cycle in found] == sorted((c.profit for c in found), reverse=True)
    for cycle, profit in zip(found, wanted, strict=False):
        assert cycle.profit == pytest.approx(profit, rel=1e-4, abs=2e-3)
    assert len([c for c in found if c.profit > 2e-3]) <= len(wanted)
    assert len(found) >= min(len([p for p in wanted if p > 2e-3]), 16)
    paths = {(tuple(path), start): profit for profit, path, start in every}
    for cycle in found:
        # It is one of them, and gains what is said.
        assert paths[cycle.pools, cycle.mints[0]] == pytest.approx(cycle.profit, rel=1e-4, abs=2e-3)


# With hubs from the first edges on, from some, and with none.
HUBS = st.sampled_from([0, 1, 2, 4, 1000])


@given(graphs(), HUBS, st.integers(2, 4))
def test_every_cycle_is_found(
    case: tuple[int, dict[int, Pool]], hub_degree: int, hops: int
) -> None:
    n_mints, pools = case
    graph = build(n_mints, pools, hub_degree)
    for number in pools:
        check(graph, pools, number, hops)


@given(graphs(any_pools), HUBS)
def test_other_curves_and_the_ends_of_their_ranges(
    case: tuple[int, dict[int, Pool]], hub_degree: int
) -> None:
    n_mints, pools = case
    graph = build(n_mints, pools, hub_degree)
    for number in pools:
        check(graph, pools, number, 4)


@given(graphs(), HUBS, st.data())
def test_pools_move_come_and_go(
    case: tuple[int, dict[int, Pool]], hub_degree: int, data: st.DataObject
) -> None:
    n_mints, pools = case
    graph = build(n_mints, pools, hub_degree)
    pools = dict(pools)
    for _ in range(data.draw(st.integers(1, 8))):
        action = data.draw(st.sampled_from(["move", "remove", "add"]))
        if action == "add" or not pools:
            first = data.draw(st.integers(0, n_mints - 1))
            pair = (first, (first + data.draw(st.integers(1, n_mints - 1))) % n_mints)
            number = graph.pool(*pair)
            assert number not in pools
            pools[number] = data.draw(products(pair))
            put(graph, number, pools[number])
            continue
        number = data.draw(st.sampled_from(sorted(pools)))
        if action == "remove":
            graph.remove(number)
            del pools[number]
            with pytest.raises(ValueError, match=f"no pool {number}"):
                graph.search(number)
        else:
            pools[number] = data.draw(products(pools[number].mints))
            put(graph, number, pools[number])
    for number in pools:
        check(graph, pools, number, 4)


@pytest.mark.parametrize("value", [0.001, 1000.0])
def test_worth_compares_the_two_directions(value: float) -> None:
    """The same gain either way round, in the one mint or in the other."""
    graph = CycleGraph()
    a, b = graph.mint(1.0), graph.mint(value)
    for pair, reserves in (
        ((a, b), (10**9, 10**9)),
        ((a, b), (11 * 10**8, 10**9)),
        ((a, b), (10**9, 11 * 10**8)),
    ):
        graph.set_curve(graph.pool(*pair), "product", rates=(100, 0), reserves=reserves)
    first, second = graph.search(0, 4, 4)
    assert first.profit == pytest.approx(second.profit)
    assert (first.mints[0], second.mints[0]) == ((a, b) if value < 1 else (b, a))
    assert {first.pools, second.pools} == {(0, 1), (0, 2)}
    assert first.worth == first.profit * max(value, 1.0)


@given(graphs(any_pools), HUBS)
def test_bellman_ford_finds_no_more(case: tuple[int, dict[int, Pool]], hub_degree: int) -> None:
    n_mints, pools = case
    graph = build(n_mints, pools, hub_degree)
    found = {number: graph.search(number, 4) for number in pools}
    cycle = negative_cycle(graph)
    if cycle is None:
        assert not any(found.values())
        return
    numbers, mints = cycle
    assert len(set(mints)) == len(mints) == len(numbers)
    rate = 1.0
    for number, mint in zip(numbers, mints, strict=True):
        rate *= pools[number].out(pools[number].mints.index(mint), 1e-3) / 1e-3
    assert rate > 1 - 1e-6
    if len(numbers) <= 4 and rate > 1 + 1e-6:
        for number in numbers:
            assert found[number]


@given(graphs(any_pools), HUBS)
def test_gross_to_the_unit(case: tuple[int, dict[int, Pool]], hub_degree: int) -> None:
    """The best input in whole units gains what the integer quotes of its hops say, and that is
    what the closed form says but for the rounding of each hop."""
    n_mints, pools = case
    graph = build(n_mints, pools, hub_degree)
    for number in pools:
        for cycle in graph.search(number, 4, 4):
            amount, profit = graph.optimum(cycle)
            if not amount:
                assert cycle.profit < 50
                continue
            assert graph.quote(cycle, amount) == amount + profit
            # Rounding takes a few units at each hop, which later hops carry on.
            assert profit <= cycle.profit + 1e-6 * cycle.amount_in + 1
            assert profit >= cycle.profit - 50 - 1e-3 * cycle.profit


def test_what_is_no_cycle() -> None:
    graph = build(
        3,
        {
            i: Pool(pair, "product", (0, 0), (10**6, 10**6))
            for i, pair in enumerate([(0, 1), (1, 2)])
        },
        32,
    )
    for pools, mints in (((0, 1), (0, 1)), ((0,), (0,)), ((0, 7), (0, 1)), ((0, 1), (2, 1))):
        with pytest.raises(ValueError, match=r"no (cycle|pool)"):
            graph.quote(Cycle(pools, mints, 1.0, 1.0, 1.0), 5)
    for arguments in ((0, 1), (0, 5), (0, 4, 0), (0, 4, 17), (2, 4), (-1, 4)):
        with pytest.raises(ValueError):
            graph.search(*arguments)
    for pair in ((0, 0), (0, 3), (3, 0)):
        with pytest.raises(ValueError):
            graph.pool(*pair)
    for curve in (
        {"rates": (10**6, 0)},
        {"rates": (0, 0, 0, 0)},
        {"reserves": (2**64, 1)},
        {"reserves": (-1, 1)},
    ):
        with pytest.raises((ValueError, OverflowError)):
            graph.set_curve(0, "product", **curve)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        graph.set_curve(0, "triangle")
    with pytest.raises(ValueError):
        graph.mint(float("nan"))


def test_a_curve_that_gives_nothing_takes_no_part() -> None:
    graph = build(
        2,
        {
            0: Pool((0, 1), "product", (0, 0), (10**6, 10**6)),
            1: Pool((1, 0), "product", (0, 0), (10**6, 2 * 10**6)),
        },
        1,
    )
    assert len(graph.search(0)) == 1
    graph.set_curve(1, "product", reserves=(0, 10**6))
    assert graph.search(0) == []
    assert graph.search(1) == []
