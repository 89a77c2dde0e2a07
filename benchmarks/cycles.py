"""The cycle search after each pool update, beside what looks at the whole graph.

2,000 pools between 1,000 mints, as on Solana: every mint has a pool against the first (SOL),
others against two more hubs, a few between two tokens; parallel pools by a power law. A pool moves
to reserves a little off, then the best cycle through it is searched; the time is taken inside,
update by update, also in the tables of markets that the opportunities link
searches. The rivals ask whether there is any cycle in the whole graph.
"""

import math
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Report, Row, interleaved
from mevstream.cext.cycles import CycleGraph
from mevstream.cext.markets import Markets
from mevstream.cext.negative_cycles import negative_cycle

MINTS, POOLS, UPDATES, ROUNDS = 1_000, 2_000, 20_000, 5
# More parallel pools than that has no pair.
PARALLEL = 30
FEES = (2_500, 2_000, 2_500, 400, 10_000)


def pairs(rng: np.random.Generator) -> list[tuple[int, int]]:
    """The mints of each pool."""
    found = [(0, mint) for mint in range(1, MINTS)]
    count = dict.fromkeys(found, 1)
    while len(found) < POOLS:
        kind, mint = rng.random(), int(min(rng.zipf(1.3), MINTS - 1))
        if kind < 0.45:
            pair = (0, mint)
        elif kind < 0.8:
            pair = (1, mint) if mint != 1 else (0, 1)
        elif kind < 0.9:
            pair = (2, mint)
        else:
            pair = (int(rng.integers(3, MINTS)), mint)
        if pair[0] != pair[1] and count.get(pair, 0) < PARALLEL:
            count[pair] = count.get(pair, 0) + 1
            found.append(pair)
    return found


class World:
    """The pools, and where each update takes which."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.pairs = pairs(rng)
        price = rng.lognormal(0, 2, MINTS)
        size = rng.lognormal(25, 2, POOLS)
        first, second = np.array(self.pairs).T
        self.fees = rng.choice(FEES, POOLS)
        self.middle = np.array([size / price[first], size / price[second]]).T
        self.reserves = self.near(rng, np.arange(POOLS))
        self.moves = rng.integers(0, POOLS, UPDATES).astype(np.uint32)
        self.targets = self.near(rng, self.moves)

    def near(self, rng: np.random.Generator, pools: NDArray[Any]) -> NDArray[np.uint64]:
        """Reserves whose price is a tenth of a per cent off, less or more."""
        off = np.exp(rng.normal(0, 0.0012, len(pools)))
        reserves = self.middle[pools] * np.array([np.ones_like(off), off]).T
        return np.maximum(reserves, 1_000).astype(np.uint64)

    def graph(self) -> CycleGraph:
        graph = CycleGraph()
        for _ in range(MINTS):
            graph.mint()
        for number, pair in enumerate(self.pairs):
            graph.pool(*pair)
            first, second = self.reserves[number].tolist()
            graph.set_curve(
                number, "product", rates=(int(self.fees[number]), 0), reserves=(first, second)
            )
        return graph

    def networkx(self) -> Any:
        """The best pool of each pair and direction, by the negative logarithm of its rate."""
        graph: Any = nx.DiGraph()
        for (a, b), (x, y), fee in zip(self.pairs, self.reserves, self.fees, strict=True):
            for u, v, rate in ((a, b, y / x), (b, a, x / y)):
                weight = -math.log(rate * (1 - fee / 1e6))
                if not graph.has_edge(u, v) or graph[u][v]["weight"] > weight:
                    graph.add_edge(u, v, weight=weight)
        return graph


def searches(world: World) -> tuple[list[Row], dict[str, float]]:
    """A row for each depth: seconds an update."""
    rows: list[Row] = []
    facts: dict[str, float] = {}
    profits = np.zeros(UPDATES)
    for hops in (2, 3, 4):
        took = np.empty((ROUNDS, UPDATES), np.int64)
        for number in range(ROUNDS):
            graph = world.graph()
            profits = graph.run(world.moves, world.targets, hops, took[number])
        # The update itself, whatever disturbed one round of it.
        best = np.median(took, axis=0)
        rows.append(Row(f"to {hops} hops", float(np.median(best)) / 1e9, float(best.min()) / 1e9))
        facts[f"p99 µs to {hops} hops"] = round(float(np.percentile(best, 99)) / 1e3, 2)
        facts[f"gains to {hops} hops"] = int((profits > 0).sum())
    return rows, facts


HUBS = 3
MARKETS = "the link's search, by market"


def by_market(world: World) -> tuple[Row, dict[str, float]]:
    """The same updates in what the opportunities link searches by: cycles of up to four hops with
    one mint at most that is no hub, both ways through the pool."""
    mints = [bytes([mint % 256, mint // 256]) + b"mint".rjust(30, b".") for mint in range(MINTS)]
    keys = b"".join(
        number.to_bytes(32, "big") + mints[a] + mints[b]
        for number, (a, b) in enumerate(world.pairs)
    )
    took = np.empty((ROUNDS, UPDATES), np.int64)
    worth = np.zeros(UPDATES)
    for number in range(ROUNDS):
        worth = Markets(mints[:HUBS]).run(
            np.frombuffer(keys, np.uint8).reshape(-1, 96),
            world.fees.astype(np.uint32),
            world.reserves,
            world.moves,
            world.targets,
            took[number],
        )
    best = np.median(took, axis=0)
    facts: dict[str, float] = {
        "p99 µs by market": round(float(np.percentile(best, 99)) / 1e3, 2),
        "gains by market": int((worth > 0).sum()),
    }
    return Row(MARKETS, float(np.median(best)) / 1e9, float(best.min()) / 1e9), facts


def run() -> Report:
    """Rows for 2, 3 and 4 hops; the baseline is four hops."""
    world = World()
    rows, facts = searches(world)
    row, more = by_market(world)
    rows.append(row)
    facts |= more
    graph = world.graph()
    whole = world.networkx()
    rivals: dict[str, Callable[[], object]] = {
        "Bellman–Ford in C, until any cycle is found": partial(negative_cycle, graph),
    }
    rows += interleaved(rivals, 30)
    rows += interleaved(
        {"networkx, negative_edge_cycle": partial(nx.negative_edge_cycle, whole)}, 3, warm_up=1
    )
    # An arbitrage ends both early: a graph without one is looked at to the end.
    still = world.graph()
    for number in range(POOLS):
        first, second = world.middle[number]
        still.set_curve(
            number,
            "product",
            rates=(int(world.fees[number]), 0),
            reserves=(int(first) + 1, int(second) + 1),
        )
    assert negative_cycle(still) is None
    rows += interleaved(
        {"Bellman–Ford in C, nothing to be found": partial(negative_cycle, still)}, 30
    )
    degrees = np.bincount(np.array(world.pairs).reshape(-1), minlength=MINTS)
    return Report(
        title="Cycles after a pool update",
        unit="µs",
        rows=rows,
        baseline="to 4 hops",
        facts={
            "pools": POOLS,
            "mints": MINTS,
            "updates": UPDATES,
            "pools of the largest hubs": ", ".join(map(str, sorted(degrees)[-3:])),
            "median of pools a mint": median(degrees.tolist()),
            **facts,
        },
    )
