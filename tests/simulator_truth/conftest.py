"""One chain with agents, parsed once for all tests of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pytest
from simulator import replay

from mevstream.topologies.raw.simulator import Block, MevConfig, Simulator, SimulatorConfig

# Small slots with much MEV in them.
WORLD: dict[str, Any] = {
    "transactions_per_slot": 50,
    "validators": 60,
    "users": 160,
    "user_groups": 4,
    "pools_per_venue": 12,
    "routes": 40,
    "arbitrage_routes": 12,
    "token_2022_share": 0.4,
    "sandwiches_per_slot": 0.5,
}
BUSY: dict[str, Any] = {
    "look_alikes_per_slot": 0.6,
    "jit_per_slot": 0.2,
    "liquidations_per_slot": 0.2,
    "break_even_share": 0.1,
    "fleet": 10,
}


def config(seed: int, **changes: Any) -> SimulatorConfig:
    """A chain full of MEV."""
    return SimulatorConfig(seed=seed, mev=MevConfig(**BUSY), **{**WORLD, **changes})


class Chain:
    """Blocks with what agents did in them, parsed by the slow replay."""

    def __init__(self, seed: int, slots: int) -> None:
        self.simulator = Simulator(config(seed))
        self.fee_of = {m.address: m.fee_bps for m in self.simulator.world.mints if m.fee_bps}
        # Pools before each block, for who replays it.
        self.states: list[list[dict[str, Any]]] = []
        self.blocks: list[Block] = []
        engine: Any = self.simulator._engine
        for _ in range(slots):
            self.states.append([engine.state(n) for n in range(len(self.pools))])
            self.blocks += self.simulator.blocks(1)

    @property
    def pools(self) -> list[Any]:
        return self.simulator.world.pools

    @cached_property
    def parsed(self) -> list[list[replay.Transaction]]:
        return [replay.parse(block.data)[1] for block in self.blocks]

    @cached_property
    def by_signature(self) -> dict[str, tuple[int, replay.Transaction]]:
        return {
            str(replay.Signature.from_bytes(t.signature)): (block.slot, t)
            for block, group in zip(self.blocks, self.parsed, strict=True)
            for t in group
        }

    @cached_property
    def pools_with_changes(self) -> dict[int, set[str]]:
        """By slot, the pools whose liquidity was changed."""
        out: dict[int, set[str]] = {block.slot: set() for block in self.blocks}
        for o in (o for block in self.blocks for o in block.opportunities):
            if o["kind"] in ("jit", "liquidity_for_nobody", "staying_liquidity"):
                for slot, _ in o["transactions"]:
                    out[slot].update(o["pools"])
        return out

    def records(self, record: str, kind: str | None = None) -> list[dict[str, Any]]:
        """What was told, by record and kind."""
        return [
            o
            for block in self.blocks
            for o in block.opportunities
            if o["record"] == record and kind in (None, o["kind"])
        ]


@pytest.fixture(scope="package")
def chain() -> Chain:
    return Chain(31, 300)
