"""A chain with agents is as sound as one without: balances, logs, the decoder, every curve."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest
from simulator import logs, replay
from simulator.test_chain import SMALL
from simulator.test_decoder import DIFFERS, decode, swap_rows

from mevstream.cext.decoder import BatchDecoder
from mevstream.errors import InputError
from mevstream.topologies.raw.simulator import MevConfig, Simulator, SimulatorConfig
from mevstream.topologies.raw.simulator.agents.curves import Fill, PoolModel
from mevstream.topologies.raw.simulator.programs import VENUE_NAMES

from .conftest import Chain, config

# SHA-256 of 20 blocks of seed 5 without agents.
OF_OLD = "bc2d20abf66594acd6295b174c28cbb3d4e875fe68c7e553d8150dbc02183a3f"


def test_without_agents_a_seed_gives_what_it_always_gave():
    digest = hashlib.sha256()
    for block in Simulator(SimulatorConfig(seed=5, **SMALL)).blocks(20):
        assert not block.opportunities
        digest.update(block.data)
    assert digest.hexdigest() == OF_OLD


def test_equal_seeds_give_equal_chains_however_they_are_asked_for():
    one, two = (Simulator(config(7)) for _ in range(2))
    whole = list(one.blocks(30))
    pieces = [*two.blocks(1), *two.blocks(11), *two.blocks(18)]
    assert [b.data for b in whole] == [b.data for b in pieces]
    assert [b.opportunities for b in whole] == [b.opportunities for b in pieces]
    assert any(b.opportunities for b in whole)


def test_balances_follow_from_the_instructions(chain: Chain):
    ledger = replay.Ledger(chain.fee_of)
    for block, group in zip(chain.blocks, chain.parsed, strict=True):
        for transaction in group:
            ledger.run(transaction)
            logs.check(transaction)
        ledger.close_block(replay.parse(block.data)[0])
    assert ledger.withheld


def test_swaps_are_those_of_the_transfers_and_of_the_decoder(chain: Chain):
    decoder = BatchDecoder()
    for block, group in zip(chain.blocks, chain.parsed, strict=True):
        assert replay.swaps_of(group, block.slot, chain.fee_of) == block.truth
        view = decode(decoder, block)
        rows = swap_rows(view, block)
        names = ("record", "signature")
        assert rows == [{k: v for k, v in r.items() if k not in names} for r in block.truth]
        assert not (view.swap_flags & DIFFERS).any()


def test_pools_move_by_their_curve(chain: Chain):
    """Every swap once more in Python integers, from the state before its block on."""
    numbers = {chain.simulator.world.name(p.account): n for n, p in enumerate(chain.pools)}
    done, moved = Counter[str](), Counter[str]()
    for block, states in zip(chain.blocks, chain.states, strict=True):
        models: dict[int, PoolModel] = {}
        changed = chain.pools_with_changes[block.slot]
        for record in block.truth:
            number = numbers[str(record["pool"])]
            if record["pool"] in changed:
                continue
            pool = chain.pools[number]
            model = models.setdefault(number, PoolModel(pool, states[number]))
            side = 0 if record["mint_in"] == pool.mints[0].address else 1
            before = model.copy()
            fill = _swap(model, side, int(str(record["amount_in"])), int(str(record["amount_out"])))
            assert fill == (record["amount_in"], record["amount_out"]), record
            done[VENUE_NAMES[pool.venue]] += 1
            moved["ticks"] += model.segment != before.segment
            moved["bins"] += model.active != before.active
    assert set(done) == set(VENUE_NAMES)
    assert min(moved["ticks"], moved["bins"]) > 20, "no swap left its range or bin"


def _swap(model: PoolModel, side: int, taken: int, given: int) -> tuple[int, int]:
    """(in, out) on the pool's side, of a leg that put `taken` in."""
    if not (model.exact_out and side == 1):
        fill = model.swap(side, taken)
        assert fill is not None
        return fill.pool_in, fill.pool_out
    again = model.again(side, Fill(taken * 2, given, taken, given))
    assert again is not None
    return again[0].pool_in, again[0].pool_out


@pytest.mark.parametrize(
    "knobs",
    [{"backrun_share": 1.5}, {"jit_per_slot": -1.0}, {"fleet": 2}, {"burst_median": 0}],
)
def test_senseless_knobs_are_named(knobs: dict[str, Any]):
    with pytest.raises(InputError, match="simulator: "):
        MevConfig(**knobs)


def test_what_a_purchase_expects_is_the_most_that_its_payment_buys(chain: Chain):
    """On pools where tokens are bought by how many come out: one more costs no less."""
    engine: Any = chain.simulator._engine
    checked = 0
    for number, pool in enumerate(chain.pools):
        model = PoolModel(pool, engine.state(number))
        if not model.exact_out:
            continue
        fill = model.copy().swap(1, model.reserves[1] // 300)
        again = model.copy().again(1, fill) if fill else None
        assert fill is not None
        assert again is not None
        assert again[0] == fill
        more = [model.copy().again(1, Fill(fill.paid, 0, 0, again[1] + n)) for n in (0, 1)]
        assert more[0] is not None
        assert more[1] is not None
        assert more[0][0].paid <= fill.paid <= more[1][0].paid
        checked += 1
    assert checked
