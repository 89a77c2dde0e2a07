"""Target: the search for cycles, in graphs of pools with any curves that can be set."""

import json
import math
from random import Random
from typing import Any

import numpy as np

from fuzz.dictionary import INTEGERS
from fuzz.oracle import Finding
from mevstream.cext.cycles import Cycle, CycleGraph
from mevstream.cext.negative_cycles import negative_cycle
from mevstream.cext.pool_graph import KINDS

Q64 = 1 << 64
# Rates of each kind, and the unit that they are below.
RATES = {
    "product": (2, 10**6),
    "token_swap": (2, 10**6),
    "pump_swap": (3, 10**4),
    "pump_curve": (3, 10**4),
    "range": (1, 10**6),
    "range_scaled": (2, 10**9),
    "bin": (1, 10**9),
}
# Of two worths that were found in other orders of the same multiplications.
CLOSE = 1e-6
# A gain that no rounding makes.
CLEAR = 1e-6


class GraphTarget:
    """Calls of CycleGraph: what is found is a cycle, is found whether or not its mints are hubs,
    and gives to the unit what it is said to."""

    name = "graph"
    inputs_a_turn = 4

    def __init__(self, random: Random) -> None:
        self.random = random

    # -- calls ------------------------------------------------------------------------------------

    def generate(self) -> bytes:
        """A list of calls, as JSON."""
        random = self.random
        mints = random.randrange(2, 7)
        calls: list[list[Any]] = [["mint", random.choice((1.0, 1.0, 0.5, 1e-300, 1e300))]] * mints
        # Near one price most are on cycles that gain a little.
        calm = random.random() < 0.6
        for _ in range(random.randrange(2, 14)):
            calls.append(["pool", *random.sample(range(mints), 2)])
            calls.append(self._curve(sum(call[0] == "pool" for call in calls) - 1, calm))
        pools = sum(call[0] == "pool" for call in calls)
        for _ in range(random.randrange(12)):
            pool = random.randrange(pools + (random.random() < 0.1))
            match random.randrange(8):
                case 0:
                    calls.append(["remove", pool])
                case 1:
                    calls.append(["pool", *random.sample(range(mints), 2)])
                case 2:
                    reserves = [[self._amount(calm), self._amount(calm)] for _ in range(2)]
                    calls.append(["run", [pool, random.randrange(pools)], reserves])
                case 3 | 4:
                    calls.append(self._curve(pool, calm and random.random() < 0.9))
                case _:
                    calls.append(
                        ["search", pool, random.randrange(2, 5), random.choice((1, 3, 16))]
                    )
        calls.append(["search", random.randrange(pools), 4, 16])
        return json.dumps(calls).encode()

    def _amount(self, calm: bool) -> int:
        random = self.random
        if calm:
            return random.randrange(9 * 10**8, 11 * 10**8)
        return random.choice((*INTEGERS, random.getrandbits(random.randrange(1, 65))))

    def _wide(self, calm: bool) -> int:
        random = self.random
        if calm:
            return random.randrange(9 * Q64 // 10, 11 * Q64 // 10)
        return random.choice((0, 1, Q64 - 1, Q64, 2**127, 2**128 - 1, random.getrandbits(128)))

    def _curve(self, pool: int, calm: bool) -> list[Any]:
        random = self.random
        kind = random.choice(list(KINDS))
        n, unit = RATES[kind]
        rates = [random.choice((0, unit // 400, unit // 100)) for _ in range(n)]
        if not calm:
            rates = [random.choice((0, 1, unit - 1, unit, random.randrange(unit))) for _ in rates]
        if kind == "range_scaled":
            rates[1] = random.randrange(4)
        root = self._wide(calm)
        liquidity = self._amount(calm) if calm else self._wide(False)
        more: dict[str, Any] = {
            "rates": rates,
            "reserves": [self._amount(calm), self._amount(calm)],
            "root": root,
            "liquidity": liquidity * (Q64 if calm and kind == "range_scaled" else 1),
        }
        if random.random() < 0.5:
            more["low"] = root * 99 // 100 if calm else self._wide(False)
            more["high"] = min(root * 101 // 100, 2**128 - 1) if calm else self._wide(False)
        return ["set_curve", pool, kind, more]

    # -- check ------------------------------------------------------------------------------------

    def check(self, data: bytes) -> int:
        calls: list[list[Any]] = json.loads(data)
        self.cycles(calls, data)
        return len(calls)

    def cycles(self, calls: list[list[Any]], data: bytes) -> list[Cycle]:
        """Those that the calls find. Raises Finding, with `data`."""
        # One in which every mint is a hub, and one without.
        graphs = [CycleGraph(hub_degree=0), CycleGraph(hub_degree=1000)]
        found: list[Cycle] = []
        for name, *arguments in calls:
            if name == "search":
                found += self._search(graphs, arguments, data)
                continue
            answers = [self._call(graph, name, arguments) for graph in graphs]
            if repr(answers[0]) != repr(answers[1]) and name != "run":
                raise Finding(f"hubs answer {name} otherwise", data)
        # What was found may have gone since.
        for cycle in found:
            for graph in graphs:
                self._call(graph, "quote", [cycle, 1000])
        return found

    def _call(self, graph: CycleGraph, name: str, arguments: list[Any]) -> Any:
        """The answer, or that it was refused."""
        try:
            if name == "set_curve":
                *place, more = arguments
                return graph.set_curve(*place, **more)
            if name == "run":
                pools, reserves = arguments
                return graph.run(np.array(pools, np.uint32), np.array(reserves, np.uint64)).tolist()
            return getattr(graph, name)(*arguments)
        except (ValueError, OverflowError) as error:
            return str(error)

    def _search(self, graphs: list[CycleGraph], arguments: list[Any], data: bytes) -> list[Cycle]:
        found: list[list[Cycle]] = []
        for graph in graphs:
            cycles = self._call(graph, "search", arguments)
            if isinstance(cycles, str):
                return []
            found.append(cycles)
            for cycle in cycles:
                self._judge(graph, cycle, arguments, data)
        best = [cycles[0].worth if cycles else 0.0 for cycles in found]
        if not math.isclose(*best, rel_tol=CLOSE, abs_tol=CLOSE):
            raise Finding("hubs have other cycles", data, f"{best}")
        clear = any(one.profit > CLEAR * one.amount_in > 0 for cycles in found for one in cycles)
        if clear and negative_cycle(graphs[0]) is None:
            raise Finding("a cycle that Bellman-Ford does not find", data)
        return found[0]

    def _judge(self, graph: CycleGraph, cycle: Cycle, arguments: list[Any], data: bytes) -> None:
        pool, hops, _ = arguments
        n = len(cycle.pools)
        if not 2 <= n <= hops or cycle.pools[0] != pool or len(cycle.mints) != n:
            raise Finding("another cycle than was asked for", data, repr(cycle))
        if len(set(cycle.pools)) < n or len(set(cycle.mints)) < n:
            raise Finding("a cycle that is not simple", data, repr(cycle))
        if not (cycle.amount_in > 0 and cycle.profit > 0 and cycle.worth >= 0):
            raise Finding("a cycle without a gain", data, repr(cycle))
        amount, profit = graph.optimum(cycle)
        if amount == profit == 0:
            return
        if amount <= 0 or profit <= 0 or graph.quote(cycle, amount) != amount + profit:
            raise Finding("an optimum that is none", data, repr((cycle, amount, profit)))
