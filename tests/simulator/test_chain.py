"""The simulated chain against a slow second opinion (replay.py), and against its own statistics."""

from collections import Counter
from statistics import median
from typing import Any

import pytest

from mevstream.errors import InputError
from mevstream.topologies.raw.simulator import Block, Simulator, SimulatorConfig
from mevstream.topologies.raw.simulator.programs import TIP_ACCOUNTS, VENUE_NAMES
from mevstream.topologies.raw.simulator.wire import transaction_bytes

from . import logs, replay

SMALL: dict[str, Any] = {
    "transactions_per_slot": 300,
    "validators": 60,
    "users": 160,
    "user_groups": 4,
    "pools_per_venue": 6,
    "routes": 40,
    "arbitrage_routes": 12,
}


class Chain:
    """Some blocks, parsed once for all tests."""

    def __init__(self, simulator: Simulator, n: int) -> None:
        self.simulator = simulator
        self.supply = simulator.supply()
        self.fee_of = {m.address: m.fee_bps for m in simulator.world.mints if m.fee_bps}
        self.blocks = list(simulator.blocks(n))
        self.parsed = [replay.parse(block.data) for block in self.blocks]
        self.transactions = [t for _, group in self.parsed for t in group]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain(Simulator(SimulatorConfig(seed=11, sandwiches_per_slot=0.5)), 8)


def blocks_equal(one: list[Block], two: list[Block]) -> bool:
    return [b.data for b in one] == [b.data for b in two]


def test_equal_seeds_give_equal_bytes_however_they_are_asked_for():
    one, two = (Simulator(SimulatorConfig(seed=5, **SMALL)) for _ in range(2))
    whole = list(one.blocks(6))
    pieces = [*two.blocks(1), *two.blocks(3), *two.blocks(2)]
    assert blocks_equal(whole, pieces)
    assert [b.truth for b in whole] == [b.truth for b in pieces]


def test_other_seeds_give_other_chains():
    one, two = (list(Simulator(SimulatorConfig(seed=s, **SMALL)).blocks(2)) for s in (5, 6))
    assert not blocks_equal(one, two)


def test_balances_follow_from_the_instructions_and_lamports_are_conserved(chain: Chain):
    ledger = replay.Ledger(chain.fee_of)
    burned = 0
    for block, group in chain.parsed:
        for transaction in group:
            ledger.run(transaction)
        burned += ledger.close_block(block)
    signatures = sum(b.counts["signatures"] for b in chain.blocks)
    base = 5000 * signatures
    assert burned >= base // 2
    # Each block rounds the burned half up.
    assert burned - base // 2 <= len(chain.blocks)
    assert chain.supply - chain.simulator.supply() == burned
    assert ledger.withheld, "no transfer fee was withheld"


def test_tokens_of_every_mint_are_conserved(chain: Chain):
    """Per mint: what the transactions of a block show before and after differs by the transfer
    fees withheld, and for wrapped SOL by what was wrapped."""
    before: dict[str, dict[str, int]] = {}
    after: dict[str, dict[str, int]] = {}
    withheld: Counter[str] = Counter()
    for transaction in chain.transactions:
        meta, keys = transaction.message.meta, transaction.keys
        for balances, into in (
            (meta.pre_token_balances, before),
            (meta.post_token_balances, after),
        ):
            for balance in balances:
                amounts = into.setdefault(balance.mint, {})
                account, amount = keys[balance.account_index], int(balance.ui_token_amount.amount)
                if into is after:
                    amounts[account] = amount
                else:
                    amounts.setdefault(account, amount)
        if not transaction.failed:
            for call in transaction.calls:
                moved = replay.transfer(call, chain.fee_of)
                if moved is not None and moved.fee:
                    withheld[call.accounts[1]] += moved.fee
    for mint, amounts in before.items():
        if mint != replay.WSOL:
            lost = sum(amounts.values()) - sum(after[mint].values())
            assert lost == withheld[mint], mint
    assert withheld


def test_truth_is_what_the_transfers_and_events_say(chain: Chain):
    for block, (_, group) in zip(chain.blocks, chain.parsed, strict=True):
        found = replay.swaps_of(group, block.slot, chain.fee_of)
        assert found == block.truth
        assert len(found) == block.n_swaps


def test_truth_has_every_venue_directly_and_routed(chain: Chain):
    records = [r for block in chain.blocks for r in block.truth]
    seen = Counter((r["venue"], r["router"]) for r in records)
    assert {venue for venue, _ in seen} == set(VENUE_NAMES)
    assert all(seen[venue, None] and seen[venue, "jupiter_v6"] for venue in VENUE_NAMES)
    assert all(r["amount_in"] and r["amount_out"] for r in records)
    paths = Counter((r["slot"], r["tx_index"], r["ix_path"]) for r in records)
    assert max(paths.values()) == 2, "no two-hop instruction"


def test_counts_are_those_of_the_transactions(chain: Chain):
    tips = {name: i for i, name in enumerate(TIP_ACCOUNTS)}
    for block, (_, group) in zip(chain.blocks, chain.parsed, strict=True):
        paid = [
            sum(
                int.from_bytes(call.data[4:12], "little")
                for call in transaction.calls
                if call.program == replay.SYSTEM
                and call.data[:4] == b"\x02\0\0\0"
                and call.accounts[1] in tips
            )
            for transaction in group
            if not transaction.failed
        ]
        votes = [t.is_vote for t in group]
        assert dict(block.counts) == {
            "transactions": len(group),
            "votes": sum(votes),
            "failed": sum(t.failed for t in group),
            "succeeded": len(group) - sum(votes) - sum(t.failed for t in group),
            "tips": sum(p > 0 for p in paid),
            "tip_lamports": sum(paid),
            "fee_lamports": sum(t.message.meta.fee for t in group),
            "signatures": sum(len(t.message.transaction.signatures) for t in group),
        }
        assert block.votes.tolist() == votes


def test_blocks_follow_one_another(chain: Chain):
    for (one, _), (two, _), older, newer in zip(
        chain.parsed, chain.parsed[1:], chain.blocks, chain.blocks[1:], strict=False
    ):
        assert two.previous_blockhash == one.blockhash == older.blockhash
        assert two.parent_slot == older.slot == newer.slot - 1
        assert two.block_height.block_height == one.block_height.block_height + 1
        assert two.block_time.timestamp >= one.block_time.timestamp


def test_logs_are_well_formed(chain: Chain):
    for transaction in chain.transactions:
        logs.check(transaction)


def test_packets_are_within_their_limits(chain: Chain):
    sizes = Counter()
    for transaction in chain.transactions:
        message = transaction.message.transaction.message
        version = 1 if message.HasField("config") else 0 if message.versioned else -1
        size = len(transaction_bytes(transaction.message.transaction))
        assert size <= (4096 if version == 1 else 1232)
        assert len(transaction.keys) == len(set(transaction.keys))
        assert len(transaction.keys) <= (64 if version == 1 else 128)
        sizes[version] += 1
    assert set(sizes) == {-1, 0, 1}


def test_signatures_are_unique_and_named_in_the_truth(chain: Chain):
    signatures = [s for t in chain.transactions for s in t.message.transaction.signatures]
    assert len(set(signatures)) == len(signatures)
    assert all(len(s) == 64 for s in signatures)


def test_failed_transactions_pay_their_fee_and_nothing_else(chain: Chain):
    failed = [t for t in chain.transactions if t.failed]
    assert failed
    codes: Counter[int] = Counter()
    for transaction in failed:
        meta = transaction.message.meta
        error = meta.err.err
        assert error[:4] == b"\x08\0\0\0"
        assert error[5:9] == b"\x19\0\0\0"
        assert len(error) == 13
        codes[int.from_bytes(error[9:], "little")] += 1
        changes = [a - b for a, b in zip(meta.pre_balances, meta.post_balances, strict=True)]
        assert changes == [meta.fee] + [0] * (len(changes) - 1)
    assert codes[6001], "no slippage error of the router"
    assert any(t.message.meta.inner_instructions for t in failed)


def test_fees_are_base_plus_priority(chain: Chain):
    priced = 0
    for transaction in chain.transactions:
        message = transaction.message.transaction.message
        limit = price = 0
        for call in transaction.calls:
            if call.program.startswith("ComputeBudget"):
                if call.data[0] == 2:
                    limit = int.from_bytes(call.data[1:5], "little")
                elif call.data[0] == 3:
                    price = int.from_bytes(call.data[1:9], "little")
        priority = message.config.priority_fee or -(-price * limit // 1_000_000)
        base = 5000 * len(
            message.header.ListFields() and transaction.message.transaction.signatures
        )
        assert transaction.message.meta.fee == base + priority
        priced += priority > 0
    assert priced


def test_statistics_are_those_of_the_defaults():
    """Shares and sizes of protocol facts 7.1, 7.2, 7.5 and 7.7, over 60 slots."""
    config = SimulatorConfig(seed=3)
    blocks = list(Simulator(config).blocks(60))
    total = Counter[str]()
    for block in blocks:
        total.update(block.counts)
    per_slot = [b.counts["transactions"] for b in blocks]
    assert sum(per_slot) / len(per_slot) == pytest.approx(1290, rel=0.02)
    assert min(per_slot) != max(per_slot)
    assert total["votes"] / total["transactions"] == pytest.approx(0.52, abs=0.01)
    user = total["transactions"] - total["votes"]
    assert total["failed"] / user == pytest.approx(0.45, abs=0.03)
    assert total["tips"] / total["succeeded"] == pytest.approx(0.15, abs=0.08)
    assert sum(b.n_swaps for b in blocks) / user == pytest.approx(0.4, abs=0.1)
    venues = Counter(r["venue"] for b in blocks[:20] for r in b.truth)
    assert min(venues.values()) / sum(venues.values()) > 0.02


def test_tips_are_log_normal_by_median_and_95th_percentile():
    simulator = Simulator(SimulatorConfig(seed=4, arbitrage_share=0.0, **SMALL))
    tips = []
    for block in simulator.blocks(40):
        for transaction in replay.parse(block.data)[1]:
            if not transaction.failed:
                tips += [
                    int.from_bytes(c.data[4:12], "little")
                    for c in transaction.calls
                    if c.program == replay.SYSTEM
                    and c.accounts[1:2]
                    and c.accounts[1] in TIP_ACCOUNTS
                ]
    assert len(tips) > 300
    assert median(tips) == pytest.approx(10_000, rel=0.5)
    assert sorted(tips)[int(0.95 * len(tips))] == pytest.approx(1_450_000, rel=0.6)


def test_a_long_chain_keeps_going():
    """Prices stay near their start and nobody runs dry: swaps are as many late as early."""
    simulator = Simulator(SimulatorConfig(seed=8, **SMALL))
    swaps = [block.n_swaps for block in simulator.blocks(1500)]
    early, late = sum(swaps[:300]), sum(swaps[-300:])
    assert late > 0.85 * early


def test_without_token_2022_and_sandwiches_and_v1():
    config = SimulatorConfig(
        seed=2, token_2022_share=0.0, sandwiches_per_slot=0.0, v1_share=0.0, **SMALL
    )
    for block in Simulator(config).blocks(2):
        for transaction in replay.parse(block.data)[1]:
            assert not transaction.message.transaction.message.HasField("config")
            assert replay.SPL_2022 not in {c.program for c in transaction.calls}


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"seed": -1}, "seed"),
        ({"vote_share": 1.5}, "vote_share"),
        ({"users": 10}, "users"),
        ({"transactions_per_slot": 0}, "transactions_per_slot"),
        ({"route_share": 0.6, "arbitrage_share": 0.6}, "shares exceed 1"),
        ({"venue_shares": {"raydium_amm_v4": 1.0}}, "venue_shares"),
        ({"tip_p95_lamports": 1}, "tip_p95_lamports"),
        ({"first_slot": 1}, "first_slot"),
        ({"mints_per_group": 0}, "mints_per_group"),
    ],
)
def test_senseless_knobs_are_named(knobs: dict, named: str):
    with pytest.raises(InputError, match=named):
        SimulatorConfig(**knobs)
