"""Which agents act in which slot, and the truth of a block when it is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from solders.signature import Signature

from mevstream.topologies.raw.simulator.agents.arbitrage import Arbitrageurs, Cycle
from mevstream.topologies.raw.simulator.agents.desk import Agent, Desk
from mevstream.topologies.raw.simulator.agents.liquidations import Liquidators
from mevstream.topologies.raw.simulator.agents.liquidity import Providers
from mevstream.topologies.raw.simulator.agents.lookalikes import Impostors
from mevstream.topologies.raw.simulator.agents.sandwiches import SHAPES, bundle, wide

Agenda = list[tuple[int, Callable[[], None]]]


class Crew:
    """The agents of one chain."""

    def __init__(self, desk: Desk, cycles: Sequence[Cycle]) -> None:
        self._desk = desk
        self._arbitrageurs = Arbitrageurs(desk, cycles)
        self._providers = Providers(desk)
        self._liquidators = Liquidators(desk)
        self._impostors = Impostors(desk, cycles, self._providers)
        config = desk.world.config
        attempts = config.arbitrage_share * (1 - config.vote_share) * config.transactions_per_slot
        self._arbitrages = attempts * (1 - config.arbitrage_failed_share)
        # Agents that go on in another slot.
        self._waiting: list[Agent] = []

    def agenda(self, slot: int, transactions: int) -> Agenda:
        """What happens in a slot of so many transactions: (after how many, what)."""
        desk = self._desk
        desk.slot, desk.sent, desk.told = slot, [], []
        out: Agenda = []
        rng, config = desk.random, desk.config

        def later(agent: Agent, latest: float = 1.0) -> None:
            at = rng.randrange(max(1, int(transactions * latest)))
            out.append((at, lambda: self._go_on(agent)))

        waiting, self._waiting = self._waiting, []
        for agent in waiting:
            later(agent)
        for _ in range(self._how_many(self._arbitrages)):
            if rng.random() < config.backrun_share:
                later(self._arbitrageurs.behind())
            else:
                # Before this slot's trades, so that it is behind none of them.
                later(self._arbitrageurs.alone(), 0.05)
        for _ in range(self._how_many(desk.world.config.sandwiches_per_slot)):
            if rng.random() < config.wide_share:
                later(wide(desk), 0.8)
            else:
                later(bundle(desk, rng.choice(SHAPES)))
        for _ in range(self._how_many(config.jit_per_slot)):
            later(self._providers.just_in_time())
        for _ in range(self._how_many(config.liquidations_per_slot)):
            later(self._liquidators.any())
        for _ in range(self._how_many(config.look_alikes_per_slot)):
            later(self._impostors.any(), 0.9)
        out.sort(key=lambda entry: entry[0])
        return out

    def finish(self, data: bytes) -> list[dict[str, Any]]:
        """The truth that is complete with the block: data, its bytes."""
        for sent in self._desk.sent:
            sent.signature = str(Signature.from_bytes(data[sent.at : sent.at + 64]))
        told = sorted(self._desk.told, key=lambda what: what.end)
        return [what.record() for what in told]

    def _go_on(self, agent: Agent) -> None:
        for _ in agent:
            self._waiting.append(agent)
            return

    def _how_many(self, mean: float) -> int:
        whole, part = divmod(mean, 1.0)
        return int(whole) + (self._desk.random.random() < part)
