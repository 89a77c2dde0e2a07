"""Observed detection against the simulator's truth, over slots of seeds kept for this test.

Run with -s (or let it fail) to see the tables. TRUTH_SEEDS=1,2,3 and TRUTH_SLOTS=5000 judge other
chains, and longer ones.
"""

from __future__ import annotations

import hashlib
import os

import pytest

from mevstream.topologies.raw.simulator import Block, MevConfig, Simulator, SimulatorConfig

from . import oracle
from .conftest import WORLD

CHAINS = range(4, 8)


def kept_seed(n: int) -> int:
    """Nobody has chosen it, or looked at its chain while rules were made."""
    return int.from_bytes(hashlib.sha256(f"truth {n}".encode()).digest()[:4], "big")


SEEDS = [int(seed) for seed in os.environ.get("TRUTH_SEEDS", "").split(",") if seed] or [
    kept_seed(n) for n in CHAINS
]
SLOTS = int(os.environ.get("TRUTH_SLOTS", "600"))
# What each kind needs: precision, recall.
NEEDED = {
    "arbitrage": (1.0, 0.98),
    "sandwich": (1.0, 0.98),
    "liquidation": (1.0, 0.98),
    "backrun": (0.95, 0.95),
    "jit": (0.95, 0.95),
}
# The largest relative error of amounts, 0 where they are not named. Where transactions do not tell
# what a pool would have given (topologies/raw/simulator/agents/told.py) no rule can.
CLOSE = {
    "profit, elsewhere": 1e-3,
    "victims' loss, elsewhere": 1e-3,
    "victims' loss, not told": 0.02,
    "loss called in_range": 1e-3,
    # Of a victim that lost next to nothing; that of all of a sandwich is bounded above.
    "loss called approximate": 1.0,
}


def chain(seed: int) -> list[Block]:
    """Small slots, each kind often enough to count."""
    config = SimulatorConfig(
        seed=seed,
        mev=MevConfig(
            look_alikes_per_slot=0.25,
            jit_per_slot=0.08,
            liquidations_per_slot=0.08,
            break_even_share=0.08,
            fleet=8,
        ),
        **{
            **WORLD,
            "transactions_per_slot": 30,
            "sandwiches_per_slot": 0.2,
            "pools_per_venue": 8,
            "arbitrage_failed_share": 0.9,
        },
    )
    return list(Simulator(config).blocks(SLOTS))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_of_a_chain(seed: int):
    """Precision and recall of each kind, amounts, and no look-alike."""
    blocks = chain(seed)
    report = oracle.judge(
        (record for block in blocks for record in block.opportunities), oracle.detect(blocks)
    )
    text = f"seed {seed}, {SLOTS} slots\n{report.text()}"
    print(f"\n{text}")
    for kind, (precision, recall) in NEEDED.items():
        score = report.scores[kind]
        assert score.true >= SLOTS / 40
        assert score.precision >= precision, f"{kind} {score.invented[:3]}\n{text}"
        assert score.recall >= recall, f"{kind} {score.missed[:3]}\n{text}"
        for what, errors in score.amounts.items():
            wrong = [error for error in errors if error > CLOSE.get(what, 0.0)]
            assert not wrong, f"{kind}, {what}: {len(wrong)} of {len(errors)}\n{text}"
    # Most losses can be told; that they cannot is no way out.
    losses = report.scores["sandwich"].amounts
    assert len(losses["victims' loss, constant product"]) > SLOTS / 25
    assert len(losses["victims' loss, elsewhere"]) > len(losses["victims' loss, not told"]) > 0
    assert len(report.look_alikes) >= 9
    assert not +report.labelled, text
