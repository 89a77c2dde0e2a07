"""The same opportunities however a slot is cut into batches, parted by market, or interrupted."""

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_truth import oracle

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs import opportunities as bits
from mevstream.codecs.opportunities import Kind, OpportunityView, Origin
from mevstream.codecs.parsed import ParsedView
from mevstream.errors import InputError
from mevstream.schemas.opportunities_pb2 import OpportunityState
from mevstream.topologies.chain import DEAD_LETTER
from mevstream.topologies.opportunities.observed.marks import Marks
from mevstream.topologies.parsed.market import open_split
from mevstream.topologies.raw.batches import BatchWriter
from mevstream.topologies.raw.simulator import Simulator, output
from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from mevstream.topologies.raw.simulator.config import SimulatorConfig
from mevstream.topologies.raw.sources import open_sources
from opportunities.scene import (
    HUBS,
    SOL,
    Chain,
    Change,
    Told,
    Tx,
    key,
    new_stage,
    pool,
    run,
    told,
)


def market() -> Chain:
    """Every kind of opportunity, some over several slots."""
    chain = Chain()
    one = pool("one", SOL, "X", 10**12, 10**14)
    two = pool("two", SOL, "X", 10**12, 10**14)
    three = pool("three", "X", "Y", 10**14, 10**14)
    four = pool("four", SOL, "Y", 11 * 10**11, 10**14)
    chain.add(4, Tx("user", [one.swap(SOL, 4 * 10**10)]))
    buy = two.swap(SOL, 10**9)
    chain.add(4, Tx("bot", [buy, one.swap("X", buy.amount_out)]))
    front = one.swap(SOL, 2 * 10**10)
    chain.add(4, Tx("attacker", [front]), Tx("victim", [one.swap(SOL, 5 * 10**10)]))
    chain.add(4, Tx("attacker", [one.swap("X", front.amount_out)]))
    front = two.swap(SOL, 2 * 10**10)
    chain.add(5, Tx("first wallet", [front]))
    chain.add(6, Tx("another victim", [two.swap(SOL, 5 * 10**10)]))
    chain.add(6, Tx("second wallet", [two.swap("X", front.amount_out)]))
    # A route through two markets, behind a swap in the second one.
    chain.add(7, Tx("big", [four.swap(SOL, 9 * 10**10)]))
    x = two.swap(SOL, 10**9)
    y = three.swap("X", x.amount_out)
    chain.add(7, Tx("bot", [x, y, four.swap("Y", y.amount_out)]))
    return chain


KINDS = ["backrun", "sandwich", "sandwich", "backrun"]


def counting(found: list[Told], views: list[OpportunityView]) -> list[Told]:
    """Of those with one id the one with the largest precedence."""
    precedence = [
        int(p) for view in views for p in view.opp_precedence[view.opp_origin == Origin.observed]
    ]
    best: dict[str, tuple[int, Told]] = {}
    for rank, one in zip(precedence, found, strict=True):
        if one.id not in best or rank > best[one.id][0]:
            best[one.id] = (rank, one)
    return sorted((one for _, one in best.values()), key=lambda one: one.id)


def test_what_there_is() -> None:
    assert [one.kind for one in told(run(market().batches()))] == KINDS


@given(st.lists(st.integers(1, 6), max_size=4))
def test_any_cut_of_a_slot(cuts: list[int]) -> None:
    whole = told(run(market().batches()))
    assert told(run(market().batches(cuts))) == whole


@given(st.lists(st.integers(1, 6), max_size=4), st.integers(0, 30))
def test_a_snapshot_between_any_two_batches(cuts: list[int], at: int) -> None:
    batches = market().batches(cuts)
    first = new_stage()
    views = run(batches[:at], first)
    second = new_stage()
    second.restore(first.snapshot())
    views += run(batches[at:], second)
    assert told(views) == told(run(market().batches()))


def parted(batches: list[bytes], partitions: int) -> list[Told]:
    split = open_split(HUBS)
    stages = [new_stage() for _ in range(partitions)]
    views: list[OpportunityView] = []
    for message in batches:
        for stage, part in zip(stages, split(message, partitions), strict=True):
            views += run([part], stage)
    return counting(told(views), views)


@pytest.mark.parametrize("partitions", [1, 2, 3, 5, 8])
def test_partitions(partitions: int) -> None:
    views = run(market().batches([2]))
    assert parted(market().batches([2]), partitions) == counting(told(views), views)


@pytest.mark.parametrize("partitions", [3, 4])
def test_partitions_of_a_simulated_chain(partitions: int) -> None:
    config = SimulatorConfig(
        seed=3,
        transactions_per_slot=300,
        sandwiches_per_slot=0.5,
        mev=MevConfig(look_alikes_per_slot=0.5, jit_per_slot=0.5, liquidations_per_slot=0.5),
    )
    writer = BatchWriter("solana", 128, lambda: 1)
    decode = BatchDecoder().decode
    blocks = Simulator(config).blocks(24)
    batches = [decode(raw) for block in blocks for raw in output.raw_batches(block, writer)]
    views = run(batches)
    whole = counting(told(views), views)
    assert {one.kind for one in whole} == {kind.name for kind in Kind} - {"exposure"}
    assert parted(batches, partitions) == whole


def test_a_block_that_takes_the_place_of_another() -> None:
    """What a dead fork did is forgotten."""
    chain = Chain()
    one = pool("one", SOL, "X", 10**12, 10**14)
    front = one.swap(SOL, 2 * 10**10)
    chain.add(4, Tx("attacker", [front]))
    fork = chain.batches()
    rival = Chain()
    rival.add(4, Tx("victim", [one.swap(SOL, 5 * 10**10)]))
    rival.add(4, Tx("attacker", [one.swap("X", front.amount_out)]))
    assert told(run([*fork, *rival.batches(blockhash=b"r" * 32)])) == []
    later = Chain()
    later.add(5, *rival.slots[4])
    assert [one.kind for one in told(run([*fork, *later.batches()]))] == ["sandwich"]


def test_a_slot_without_its_last_batch_ends_with_the_next() -> None:
    batches = market().batches(last=False)
    assert [one.kind for one in told(run(batches[:1]))] == ["backrun"]
    assert [one.kind for one in told(run(batches[:2]))] == ["backrun", "sandwich"]


def test_sums_beyond_64_bits() -> None:
    """The smallest number that there is, and not the end of the worker."""
    chain = market()
    for block in chain.slots.values():
        for tx in block:
            tx.fee = tx.tip = 2**64 - 1
    found = told(run(chain.batches()))
    assert [one.kind for one in found] == ["backrun", "backrun"]
    assert {one.net for one in found} == {-(2**63)}


def test_bad_input() -> None:
    stage = new_stage()
    (letter,) = stage(b"\xff\xff\xff")
    assert letter.topic == DEAD_LETTER
    with pytest.raises(InputError, match="version 7"):
        stage.restore(b"\x08\x07")
    with pytest.raises(InputError):
        stage.restore(b"\xff")
    with pytest.raises(InputError):
        stage.restore(b"\x08\x02\x82\x01\x01\xff")
    state = OpportunityState.FromString(new_stage().snapshot())
    for pools in (b"", b"\xff", b"\x08\x63"):
        state.pools = pools
        with pytest.raises(InputError, match="PoolSnapshot"):
            stage.restore(state.SerializeToString())
    assert [one.kind for one in told(run(market().batches(), stage))] == KINDS


# -- real data ------------------------------------------------------------------------------------


def decoded(path: Path) -> list[bytes]:
    decode = BatchDecoder().decode
    return [decode(raw) for raw in open_sources([str(path)])]


# As the token balances of those who signed show; legs of some gave more, to routers and others.
ARBITRAGES = {
    285000037: {182: 75136, 547: 495604, 548: 362697},
    316719544: {1347: 1127037, 1439: 150279, 1937: 95786639},
    332254908: {1538: 81824, 1541: 6356, 1638: 2456, 1643: 7213, 1723: 690, 1815: 1521, 1833: 866},
}


@pytest.mark.parametrize("partitions", [1, 4])
def test_real_blocks_have_arbitrage_and_no_sandwich(shared_data: Path, partitions: int) -> None:
    found = parted(decoded(shared_data / "blocks"), partitions)
    assert {one.kind for one in found} == {"arbitrage"}
    gains: dict[int, dict[int, int]] = {}
    for one in found:
        gains.setdefault(one.slot, {})[one.legs[0][2]] = one.profit
    assert gains == ARBITRAGES


# The token balances of this one do not show the fee and the tip that its payer unwrapped from the
# account that traded.
_UNWRAPPED = {"jowency_swap_saber_1": 5000 + 6091}
# What is left in the end of those that gained SOL: fee, tips to Jito and to others paid.
_NET = {
    "jowency_swap_fusion_via_pumpswap_1": 9666986 - 140261 - 4061161,
    "jowency_swap_jupiter_v4_1": 9375 - 5002,
    "jowency_swap_manifest_1": 597721 - 10580 - 5000,
    "jowency_swap_mercurial_1": 13569 - 5800 - 2789,
    "jowency_swap_orca_v1_1": 55814 - 5000 - 15603,
    "jowency_swap_saber_1": 33951,
    "jowency_swap_saros_1": 73290 - 5237,
}


def test_real_arbitrages(shared_data: Path) -> None:
    """Of all single transactions these are some, with the gain that their balances show."""
    folder = shared_data / "transactions"
    wanted = orjson.loads((folder / "expected.json").read_bytes())
    arbitrages = 0
    nets: dict[str, int] = {}
    for name, facts in wanted.items():
        if facts["slot"] is None:
            continue
        found = told(run(decoded(folder / name)))
        cycles = (facts["arbitrage"] or {}).get("cycle", {})
        assert len(found) == bool(cycles), name
        if cycles:
            arbitrages += 1
            gain = max(cycle["gain"] for cycle in cycles.values())
            stem = Path(name).name.removesuffix(".json.gz")
            assert found[0].profit == gain + _UNWRAPPED.get(stem, 0), name
            assert found[0].reasons & bits.FROM_BALANCES
            if found[0].reasons & bits.NET_TOLD:
                nets[stem] = found[0].net
    assert arbitrages == 8
    assert nets == _NET


def test_where_pools_stood_is_in_the_snapshot() -> None:
    """Raydium's events do not tell where a swap began: that is where the leader group before it
    left the pool, also for whom that was interrupted."""
    config = SimulatorConfig(
        seed=3, transactions_per_slot=60, sandwiches_per_slot=2.0, mev=MevConfig()
    )
    blocks = list(Simulator(config).blocks(40))
    whole, first, second = new_stage(), new_stage(), new_stage()
    batches = list(oracle.parsed_batches(blocks))
    wanted = told(run(batches, whole))
    views = run(batches[:22], first)
    snapshot = first.snapshot()
    second.restore(snapshot)
    assert told([*views, *run(batches[22:], second)]) == wanted
    assert second.snapshot() == whole.snapshot()
    marks = OpportunityState.FromString(snapshot).marks
    assert marks
    assert len(marks) % 64 == 0
    # Who begins in the middle may know less.
    losses = {one.id: one.loss for one in wanted}
    later = told(run(batches[22:]))
    assert {one.id for one in later} <= {*losses}


def test_marks_that_are_cut_off() -> None:
    state = OpportunityState.FromString(new_stage().snapshot())
    state.marks = bytes(63)
    with pytest.raises(InputError, match="marks"):
        new_stage().restore(state.SerializeToString())


def test_marks() -> None:
    chain = Chain()
    clmm, whirlpool = pool("clmm", SOL, "X", 10**12, 10**14), pool("orca", SOL, "X", 1, 1)
    chain.add(4, Tx("one", [clmm.swap(SOL, 10**9, roots=(0, 7), liquidity=5)]))
    # Whose events tell where a swap begins need not be remembered.
    chain.add(4, Tx("one", [whirlpool.swap(SOL, 10**9, roots=(6, 7), liquidity=5)]))
    again = clmm.swap(SOL, 10**9, roots=(0, 8), liquidity=6)
    chain.add(5, Tx("two", [again], changes=[Change("add", clmm, (1, 1))]))
    first, second = (ParsedView(batch) for batch in chain.batches())
    marks = Marks()
    marks.note([first])
    assert marks.of == {key("clmm"): (7, 5)}
    # Liquidity that came since is not known.
    marks.note([second])
    assert marks.of == {key("clmm"): (8, 0)}
