"""Atomic arbitrage: cycles that gain, alone or behind a swap that made them; and those who are
late, in bursts of failing attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mevstream.topologies.raw.simulator import transactions
from mevstream.topologies.raw.simulator.agents.desk import DIRECT, ROUTER, Agent, Desk
from mevstream.topologies.raw.simulator.agents.sandwiches import depth
from mevstream.topologies.raw.simulator.agents.truth import LookAlike, Opportunity, Sent
from mevstream.topologies.raw.simulator.programs import Venue
from mevstream.topologies.raw.simulator.template import Template
from mevstream.topologies.raw.simulator.transactions import Hop
from mevstream.topologies.raw.simulator.world import World

HOPS = 4
# Cycles of each number of hops that agents know.
MOST_CYCLES = {2: 160, 3: 140, 4: 100}
# A victim's part of a pool, of which the backrun takes some back.
VICTIM_SHARES = (0.006, 0.012, 0.025)
# Cycles that are looked at before an agent gives up.
LOOKS = 24
GLANCES = 96
# Of the cycles, those that go through Jupiter.
ROUTED_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Cycle:
    """Pools with the side that goes in; the first takes what the last gives."""

    hops: tuple[tuple[int, int], ...]
    group: int


def find_cycles(world: World, seed: int) -> list[Cycle]:
    """Cycles of 2 to 4 pools from wrapped SOL or USDC. Mints with a transfer fee, and curves that
    pay lamports, are left out."""
    import random

    rng = random.Random(f"cycles {seed}")  # noqa: S311 - repeatable on purpose
    pools = world.pools
    plain = [
        n for n, p in enumerate(pools)
        if p.venue is not Venue.PUMP_FUN and not any(p.transfer_fee_bps)
    ]  # fmt: skip
    bridges = [n for n in plain if pools[n].token is world.wsol]
    tokens = [n for n in plain if pools[n].token is not world.wsol]
    buy, sell = (
        {n: (n, pools[n].hub_side) for n in plain},
        {n: (n, 1 - pools[n].hub_side) for n in plain},
    )

    def bridge(n: int, start: object) -> tuple[int, int]:
        return (n, 0 if pools[n].mints[0] is start else 1)

    found: dict[int, list[Cycle]] = {2: [], 3: [], 4: []}
    for one in tokens:
        for two in tokens:
            a, b = pools[one], pools[two]
            if one == two or a.token is not b.token:
                continue
            if a.hub is b.hub:
                found[2].append(Cycle((buy[one], sell[two]), a.token.group))
            else:
                # Into the token by one hub, out by the other, and over a bridge back.
                found[3] += [
                    Cycle((buy[one], sell[two], bridge(n, b.hub)), a.token.group) for n in bridges
                ]
    for n in bridges:
        found[2] += [Cycle((bridge(n, world.usdc), bridge(m, world.wsol)), 0)
                     for m in bridges if m != n]  # fmt: skip
    crossings = list(found[3])
    rng.shuffle(crossings)
    for one in crossings[:60]:
        for two in crossings[:60]:
            pair = (*one.hops[:2], *two.hops[:2])
            if (
                one.group == two.group
                and len({p for p, _ in pair}) == HOPS
                and pools[one.hops[0][0]].hub is pools[two.hops[1][0]].hub
                and pools[one.hops[1][0]].hub is pools[two.hops[0][0]].hub
            ):
                found[4].append(Cycle(pair, one.group))
    out: list[Cycle] = []
    for length, cycles in found.items():
        rng.shuffle(cycles)
        out += cycles[: MOST_CYCLES[length]]
    rng.shuffle(out)
    return out


def as_array(cycles: Sequence[Cycle]) -> NDArray[np.int32]:
    """For the engine: int32 (n, HOPS, 2), -1 where a cycle is shorter."""
    table = np.full((max(len(cycles), 1), HOPS, 2), -1, np.int32)
    for i, cycle in enumerate(cycles):
        table[i, : len(cycle.hops)] = cycle.hops
    return table


class Arbitrageurs:
    """What they know of the chain."""

    def __init__(self, desk: Desk, cycles: Sequence[Cycle]) -> None:
        self.desk, self.cycles = desk, cycles
        # Each cycle is somebody's: by which program, and whether in a bundle.
        rng, share = desk.random, desk.config.bundled_share
        self._manners = [(rng.random() < ROUTED_SHARE, rng.random() < share) for _ in cycles]
        self._through: dict[tuple[int, int], list[int]] = {}
        for number, cycle in enumerate(cycles):
            for hop in cycle.hops:
                self._through.setdefault(hop, []).append(number)

    def alone(self) -> Agent:
        """Takes what the pools' prices differ by, before anybody has traded them in this slot."""
        desk = self.desk
        if not self.cycles:
            return
        number = desk.engine.find_cycle(desk.random.randrange(len(self.cycles)), GLANCES, True)
        if number >= 0:
            self._take(number, None)
        yield from ()

    def behind(self) -> Agent:
        """Somebody's large swap, and behind it the cycle that it opened: one that gained nothing
        before it, and whose other pools nobody has traded in this slot."""
        desk, rng = self.desk, self.desk.random
        for _ in range(LOOKS if self.cycles else 0):
            cycle = rng.choice(self.cycles)
            pool, side = rng.choice(cycle.hops)
            # Towards the price of old, rather than away from it.
            if desk.engine.above(pool) == (side == 0):
                continue
            open_to_all = [
                n for n in self._through[pool, side]
                if self._is_quiet(n) and not desk.engine.gains(n)
            ]  # fmt: skip
            if not open_to_all:
                continue
            taker = desk.steady("taker", self._group(pool, cycle), [(pool, 1 - side)])
            amount = int(depth(desk.model(pool), 1 - side) * rng.choice(VICTIM_SHARES))
            what = desk.world.pools[pool]
            if taker is None or amount < 100_000 or not desk.can_pay(taker, what, 1 - side, amount):
                continue
            via = rng.choice((DIRECT, ROUTER))
            victim = desk.swap(taker, pool, 1 - side, amount, via=via)
            if victim is not None:
                opened = [n for n in open_to_all if desk.engine.gains(n)]
                if opened:
                    self._take(rng.choice(opened), victim)
                return
        yield from ()

    def _is_quiet(self, number: int) -> bool:
        return all(self.desk.engine.is_free(p, True) for p, _ in self.cycles[number].hops)

    def _group(self, pool: int, cycle: Cycle) -> int:
        group = self.desk.world.pools[pool].token.group
        return group if group >= 0 else cycle.group

    def _take(self, number: int, behind: Sent | None) -> None:
        desk, rng, cycle = self.desk, self.desk.random, self.cycles[number]
        bot = desk.steady("bot", cycle.group, cycle.hops)
        amount, gain = desk.engine.best_input(number)
        if bot is None or gain <= 0:
            return
        first, side = cycle.hops[0]
        mint = desk.world.pools[first].mints[side]
        most = desk.held(bot, mint) // 2
        if amount > most:
            amount = most
            gain = desk.engine.gain_of(number, amount)
        worth, price = desk.lamports_of(mint, gain), desk.price()
        limit = 200_000 + 100_000 * len(cycle.hops)
        fee = 5_000 + -(-price * limit // 1_000_000)
        by_router, bundled = self._manners[number]
        even, tip = False, 0
        if bundled:
            tip = desk.tip_of(worth - fee, rng.betavariate(5, 5))
            even = rng.random() * desk.config.bundled_share < desk.config.break_even_share
        if even:
            # A little more is paid than gained.
            tip = max(worth - fee, 1_000) + rng.randrange(2_000)
        elif worth < fee + tip + 2_000:
            return
        sent = desk.send(
            self._template(number, limit), bot, amount, hops=cycle.hops, tip=tip, price=price
        )
        if sent is not None:
            self._tell(sent, behind, by_router=by_router)
            self._burst(number, limit, amount)

    def _template(self, number: int, limit: int, *, failing: bool = False) -> int:
        desk, cycle = self.desk, self.cycles[number]
        by_router, bundled = self._manners[number]
        style = desk.style(cycle.group, tipped=bundled and not failing, limit=limit)
        hops = [Hop(pool, side) for pool, side in cycle.hops]

        def make() -> Template:
            if by_router:
                return transactions.route(
                    desk.world, style, hops, shared=False, failing_leg=None, failing=failing
                )
            return transactions.bot_arbitrage(
                desk.world, style, hops, bot=number % len(desk.world.bots), failing=failing,
                early=number % 2 == 0,
            )  # fmt: skip

        return desk.template(("cycle", number, failing), make)

    def _tell(self, sent: Sent, behind: Sent | None, *, by_router: bool) -> None:
        desk = self.desk
        first, side = sent.hops[0]
        mint = desk.world.pools[first].mints[side]
        gain = sent.received - sent.paid
        pools = [desk.address(pool) for pool, _ in sent.hops]
        if gain <= 0:
            desk.tell(LookAlike("losing_cycle", [sent], pools))
            return
        worth = desk.lamports_of(mint, gain)
        also: dict[str, object] = {"hops": len(sent.hops), "router": by_router}
        parts: list[tuple[str, Sent]] = [("cycle", sent)]
        if behind is not None:
            pool, _ = behind.hops[0]
            parts.insert(0, ("target", behind))
            # Which hop trades the pool that the swap moved.
            also["target_hop"] = [p for p, _ in sent.hops].index(pool)
        desk.tell(
            Opportunity(
                "backrun" if behind is not None else "arbitrage",
                f"{len(sent.hops)}_hops",
                parts,
                pools,
                mint.address,
                gain,
                native=desk.is_sol(mint),
                optional=worth <= sent.fee + sent.tip,
                also=also,
            )
        )

    def _burst(self, number: int, limit: int, amount: int) -> None:
        """Those who saw the same, and are late."""
        desk, config = self.desk, self.desk.config
        if desk.random.random() >= config.burst_share:
            return
        size = round(config.burst_median * desk.random.lognormvariate(0, 1.2))
        size = min(max(size, 1), config.burst_largest)
        template = self._template(number, limit, failing=True)
        bots = desk.world.agents["bot"][self.cycles[number].group]
        desk.engine.spam(template, bots, size, amount)
