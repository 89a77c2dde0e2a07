"""What is predicted, done in the simulator's own pools: the told amounts come out, hop by hop."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from opportunities.forecast import Row, cycles
from opportunities.scene import new_stage, run

from mevstream.cext.base58 import decode_sized
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.opportunities import Exactness
from mevstream.topologies.opportunities.predicted.cycles import Rules
from mevstream.topologies.raw.batches import BatchWriter
from mevstream.topologies.raw.simulator import output
from mevstream.topologies.raw.simulator.agents.curves import Fill, PoolModel

from .conftest import Chain

Place = tuple[int, int]


@dataclass
class Pools:
    """The chain's pools behind each transaction, followed by the swaps that it says it has."""

    chain: Chain
    models: dict[Place, dict[bytes, PoolModel]] = field(init=False)

    def __post_init__(self) -> None:
        """Of each transaction with swaps the pools as it leaves them; pools whose liquidity was
        changed in the slot are left out."""
        self.models = {}
        world = self.chain.simulator.world
        numbers = {str(world.name(p.account)): n for n, p in enumerate(self.chain.pools)}
        for block, states in zip(self.chain.blocks, self.chain.states, strict=True):
            changed = self.chain.pools_with_changes[block.slot]
            now = {
                decode_sized(name, 32): PoolModel(self.chain.pools[number], states[number])
                for name, number in numbers.items()
                if name not in changed
            }
            for record in block.truth:
                key = decode_sized(str(record["pool"]), 32)
                if key in now:
                    now[key] = now[key].copy()
                    self._move(now[key], record)
                self.models[block.slot, int(str(record["tx_index"]))] = dict(now)

    @staticmethod
    def _move(model: PoolModel, record: dict[str, Any]) -> None:
        side = side_of(model, decode_sized(record["mint_in"], 32))
        taken, given = record["amount_in"], record["amount_out"]
        if model.exact_out and side == 1:
            assert model.again(side, Fill(taken * 2, given, taken, given)) is not None
        else:
            assert model.swap(side, taken) is not None


def side_of(model: PoolModel, mint: bytes) -> int:
    return [decode_sized(one.address, 32) for one in model.pool.mints].index(mint)


def outcome(model: PoolModel, hop: Row) -> str:
    """exact; else what is wrong with the told amount, or what the told exactness does not cover:
    the hop left the range whose liquidity is known."""
    side = side_of(model, hop["mint_in"])
    amount, told = hop["amount_in"], hop["amount_out"]
    if model.exact_out and side == 1:
        # What the program's purchase for an exact amount gives; as one of so many tokens, which is
        # all that is done here, it costs no more.
        done = model.copy().again(1, Fill(amount, told, 0, told))
        assert done is not None
        fill, expected = done
        return "exact" if fill.paid <= amount and expected == told else "off"
    after = model.copy()
    fill = after.swap(side, amount)
    if after.segment != model.segment or (fill is None and model.edges):
        return "left its range"
    return "exact" if fill is not None and fill.received == told else "off"


@pytest.fixture(scope="module")
def rows(chain: Chain) -> list[Row]:
    writer, decode = BatchWriter("solana", 1 << 20, lambda: 1), BatchDecoder().decode
    batches = [decode(raw) for b in chain.blocks for raw in output.raw_batches(b, writer)]
    return cycles(run(batches, new_stage(rules=Rules(tip=0))))


def test_predicted_cycles_can_be_taken_as_they_are_told(chain: Chain, rows: list[Row]) -> None:
    pools = Pools(chain)
    hops: Counter[tuple[str, str, str]] = Counter()
    whole: Counter[tuple[str, str]] = Counter()
    for row in rows:
        called = Exactness(row["exactness"]).name
        after = pools.models[row["at"]]
        if any(hop["pool"] not in after for hop in row["hops"]):
            whole[called, "liquidity changed in the slot"] += 1
            continue
        results = [outcome(after[hop["pool"]], hop) for hop in row["hops"]]
        for hop, result in zip(row["hops"], results, strict=True):
            hops[called, hop["venue"], result] += 1
        worst = max(results, key=["exact", "left its range", "off"].index)
        whole[called, worst] += 1
    print("\n" + "\n".join(f"{' | '.join(key):60}{n:6}" for key, n in sorted(whole.items())))
    print("\n".join(f"{' | '.join(key):60}{n:6}" for key, n in sorted(hops.items())))
    for called in ("exact", "in_range"):
        assert whole[called, "exact"] > 50
        assert not whole[called, "off"]
    assert not whole["exact", "left its range"]
    # Pools whose program takes shares of the fee out of them are among those that are sure.
    assert hops["exact", "raydium_cpmm", "exact"] + hops["in_range", "raydium_cpmm", "exact"] > 20
