"""What is predicted on the simulated chain: whole searches find no more, and agents take it."""

from __future__ import annotations

from collections import Counter

import pytest

from mevstream.cext.base58 import decode_sized
from mevstream.cext.cycles import Cycle, CycleGraph
from mevstream.cext.decoder import BatchDecoder
from mevstream.cext.negative_cycles import negative_cycle
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.predicted.cycles import Rules
from mevstream.topologies.raw.batches import BatchWriter
from mevstream.topologies.raw.simulator import Block, Simulator, SimulatorConfig, output
from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from opportunities.forecast import Row, cycles
from opportunities.scene import HUBS, new_stage, run

SLOTS = 150
EXPIRY = 4


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    config = SimulatorConfig(
        seed=77,
        transactions_per_slot=60,
        users=160,
        user_groups=4,
        pools_per_venue=8,
        arbitrage_failed_share=0.5,
        mev=MevConfig(break_even_share=0, look_alikes_per_slot=0, burst_share=0),
    )
    return list(Simulator(config).blocks(SLOTS))


@pytest.fixture(scope="module")
def batches(blocks: list[Block]) -> list[bytes]:
    writer, decode = BatchWriter("solana", 1 << 20, lambda: 1), BatchDecoder().decode
    return [decode(raw) for block in blocks for raw in output.raw_batches(block, writer)]


@pytest.fixture(scope="module")
def rows(batches: list[bytes]) -> list[Row]:
    return cycles(run(batches, new_stage(rules=Rules(tip=0))))


def test_agents_take_what_was_predicted(blocks: list[Block], rows: list[Row]) -> None:
    """What agents took of one market had been told, at most EXPIRY slots ago: through the same
    pools, or with some of them a cycle that gains more (of a market only the best is told, and
    agents take any). Cycles of four hops go through two markets here."""
    told: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        told.setdefault(row["at"], []).append(row)
    counts: Counter[str] = Counter()
    for block in blocks:
        for record in block.opportunities:
            if record["kind"] not in ("arbitrage", "backrun"):
                continue
            own = [
                tuple(place)
                for place, role in zip(record["transactions"], record["roles"], strict=True)
                if role not in ("target", "victim")
            ]
            pools = {decode_sized(pool, 32) for pool in record["pools"]}
            before = [
                row
                for at, some in told.items()
                for row in some
                if at < own[0] and own[0][0] - at[0] <= EXPIRY
            ]
            hops = f"{record['kind']}, {len(record['pools'])} hops"
            counts[f"{hops}: taken"] += 1
            counts[f"{hops}: told"] += any(
                {hop["pool"] for hop in row["hops"]} == pools for row in before
            )
            counts[f"{hops}: it or a better one told"] += any(
                row["profit"] >= record["profit"]
                for row in before
                if pools & {hop["pool"] for hop in row["hops"]}
            )
    print("\n" + "\n".join(f"{name:46}{count:6}" for name, count in sorted(counts.items())))
    for kind in ("arbitrage", "backrun"):
        for hops in (2, 3):
            name = f"{kind}, {hops} hops"
            assert counts[f"{name}: taken"] > 5
            assert counts[f"{name}: it or a better one told"] >= 0.8 * counts[f"{name}: taken"]


def gain(graph: CycleGraph, cycle: Cycle, mints: list[bytes]) -> int:
    """The most that a cycle gains in wrapped SOL, by its pools' integers; 0 where it has none."""
    if HUBS[0] not in (route := [mints[number] for number in cycle.mints]):
        return 0
    at = route.index(HUBS[0])
    turned = cycle._replace(
        pools=cycle.pools[at:] + cycle.pools[:at], mints=cycle.mints[at:] + cycle.mints[:at]
    )

    def profit(amount: int) -> int:
        out = graph.quote(turned, amount)
        return -amount if out is None else out - amount

    low, high = 1, 10**15
    while high - low > 8:
        left, right = low + (high - low) // 3, high - (high - low) // 3
        if profit(left) < profit(right):
            low = left
        else:
            high = right
    return max(profit(amount) for amount in range(low, high + 1))


def against(graph: CycleGraph, pool: int, mints: list[bytes], mint: bytes) -> list[Cycle]:
    """The best cycles that enter the pool by the mint."""
    return [c for c in graph.search(pool, top=16) if mints[c.mints[0]] == mint]


def test_whole_searches_find_no_more(blocks: list[Block]) -> None:
    """Of each market that a transaction's cycle is told of, the search that knows no markets finds
    no better one through the pools that moved, and Bellman-Ford does find one. Where Bellman-Ford
    finds one in the end, its market was told, or it does not pay its costs."""
    writer, decode = BatchWriter("solana", 1, lambda: 1), BatchDecoder().decode
    stage = new_stage(rules=Rules(tip=0))
    told: set[bytes | None] = set()
    looked: Counter[str] = Counter()
    for block in blocks[:30]:
        for raw in output.raw_batches(block, writer):
            message = decode(raw)
            view = ParsedView(message)
            for row in cycles(run([message], stage)):
                told.add(row["market"])
                graph, mints = stage.pools.graph({row["market"], *HUBS})
                assert negative_cycle(graph) is not None
                if row["market"] is None or row["profit_mint"] != HUBS[0]:
                    continue
                looked["told"] += 1
                for leg in range(view.n_swaps):
                    columns = (view.swap_pool, view.swap_mint_in, view.swap_mint_out)
                    pool, entered, left = (view.keys[c[leg]].tobytes() for c in columns)
                    for ends in ((entered, left), (left, entered)):
                        number = stage.pools.number(pool, *ends)
                        if number is not None:
                            for cycle in against(graph, number, mints, left):
                                if row["market"] in [mints[n] for n in cycle.mints]:
                                    looked["others"] += 1
                                    most = gain(graph, cycle, mints)
                                    assert row["profit"] >= most * (1 - 1e-6) - 50
    for market in {mint for mint in stage.pools.graph()[1] if mint not in HUBS} - told:
        graph, mints = stage.pools.graph({market, *HUBS})
        found = negative_cycle(graph)
        # Between hubs alone are cycles of no market.
        if found is not None and len(found[0]) <= 4 and market in [mints[n] for n in found[1]]:
            looked["not told"] += 1
            assert gain(graph, Cycle(*found, 0.0, 0.0, 0.0), mints) <= 5000
    print("\n", dict(looked))
    assert looked["told"] > 50
    assert looked["others"] > 100
