"""What agents say they did is what the chain shows: by balances before and after, not by legs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from simulator import replay
from solders.pubkey import Pubkey

from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.raw.simulator.agents.sandwiches import SHAPES
from mevstream.topologies.raw.simulator.programs import TIP_ACCOUNTS

from .conftest import Chain
from .oracle import OTHERS, parsed_batches

KINDS = {"arbitrage", "backrun", "sandwich", "jit", "liquidation"}
LOOK_ALIKES = {
    "volume_bots", "wash_trades", "market_maker", "split_route", "shared_router", "losing_cycle",
    "token_2022_sandwich", "self_sandwich", "failed_back", "late_trade", "liquidity_for_nobody",
    "staying_liquidity",
}  # fmt: skip
LEADER_SLOTS = 4
# Units of a mint in the middle that a purchase by tokens out may leave.
REST = 1000
# Kinds of liquidity_kind that move tokens, and the lending programs by their truth names.
ADD, REMOVE = 0, 1
PROTOCOLS = {"kamino": "kamino_lend", "save": "save", "marginfi": "marginfi", "drift": "drift_v2"}


def changes(chain: Chain, record: dict[str, Any]) -> Counter[str]:
    """By mint, what the wallets have more after the actor's transactions than before, fees and tips
    given back. Lamports and wrapped SOL are one."""
    out = Counter[str]()
    wallets = set(record["wallets"])
    for role, signature in zip(record["roles"], record["signatures"], strict=True):
        if role in OTHERS and role != "transfer":
            continue
        _, transaction = chain.by_signature[signature]
        meta, keys = transaction.message.meta, transaction.keys
        for balances, sign in ((meta.pre_token_balances, -1), (meta.post_token_balances, 1)):
            for balance in balances:
                if balance.owner in wallets:
                    out[balance.mint] += sign * int(balance.ui_token_amount.amount)
        native = [i for i, key in enumerate(keys) if key in wallets]
        out[replay.WSOL] += sum(meta.post_balances[i] - meta.pre_balances[i] for i in native)
        out[replay.WSOL] += meta.fee
        out[replay.WSOL] += sum(
            meta.post_balances[i] - meta.pre_balances[i]
            for i, key in enumerate(keys)
            if key in TIP_ACCOUNTS
        )
    return out


def test_records_are_in_chain_order_and_name_their_transactions(chain: Chain):
    told = chain.records("opportunity") + chain.records("look_alike")
    for record in told:
        places = [tuple(place) for place in record["transactions"]]
        assert places == sorted(set(places))
        for (slot, index), signature in zip(places, record["signatures"], strict=True):
            where, transaction = chain.by_signature[signature]
            assert (where, transaction.index) == (slot, index)
        assert record["slots"] == sorted({slot for slot, _ in places})
    assert {r["kind"] for r in chain.records("opportunity")} == KINDS
    assert {r["kind"] for r in chain.records("look_alike")} >= LOOK_ALIKES


def test_nothing_is_told_twice(chain: Chain):
    told = chain.records("opportunity") + chain.records("look_alike")
    own = Counter(
        s
        for r in told
        for role, s in zip(r["roles"], r["signatures"], strict=True)
        if role != "target"
    )
    assert max(own.values()) == 1


@pytest.mark.parametrize("kind", ["arbitrage", "backrun", "sandwich", "liquidation", "jit"])
def test_profit_is_the_change_of_the_balances(chain: Chain, kind: str):
    records = chain.records("opportunity", kind)
    assert len(records) >= 10
    for record in records:
        gained = changes(chain, record)
        if record.get("protocol") in ("marginfi", "drift"):
            # They keep their own accounts.
            assert not any(gained.values())
            continue
        expected = Counter(record.get("changes") or {record["profit_mint"]: record["profit"]})
        if kind != "liquidation":
            # A purchase by tokens out leaves some units of what it may cost.
            for mint in [m for m in gained if m not in expected]:
                assert 0 <= gained.pop(mint) < REST
        # The rent of accounts that are made and closed within one record is none of it.
        assert +gained == +expected, record
        assert -gained == -expected, record
        if record["profit"] is not None:
            assert record["profit"] > 0 or kind == "liquidation"
            if record["profit_mint"] == replay.WSOL:
                costs = record["fee_lamports"] + record["tip_lamports"]
                assert record["net_lamports"] == record["profit"] - costs


def test_sandwiches_come_in_every_shape_and_hurt(chain: Chain):
    shapes = Counter[str]()
    for record in chain.records("opportunity", "sandwich"):
        shapes[record["variant"]] += 1
        victims = record["victims"]
        assert [v["signature"] for v in victims] == [
            s
            for role, s in zip(record["roles"], record["signatures"], strict=True)
            if role == "victim"
        ]
        assert record["victim_loss"] == sum(v["loss"] for v in victims)
        assert all(v["loss"] == v["expected"] - v["got"] > 0 for v in victims)
        assert not {v["wallet"] for v in victims} & set(record["wallets"])
        assert len({slot // LEADER_SLOTS for slot in record["slots"]}) == 1
        assert (record["tip_payer"] is None) == (record["tip_lamports"] == 0)
        if record["variant"] == "several_wallets":
            assert len(record["wallets"]) == 2
        elif record["variant"] != "wide":
            places = record["transactions"]
            assert places[-1][1] - places[0][1] == len(places) - 1
    assert set(shapes) == {*SHAPES, "wide"}


def test_backruns_stand_behind_their_target(chain: Chain):
    hops = Counter[int]()
    for record in chain.records("opportunity", "backrun"):
        (slot, target), (same, own) = record["transactions"]
        assert (slot, target + 1) == (same, own)
        hops[record["target_hop"]] += 1
    assert len(hops) > 1


def test_optional_cycles_cost_more_than_they_gain(chain: Chain):
    cycles = chain.records("opportunity", "arbitrage") + chain.records("opportunity", "backrun")
    in_sol = [r for r in cycles if r["net_lamports"] is not None]
    assert all(r["optional"] == (r["net_lamports"] <= 0) for r in in_sol)
    assert len({r["variant"] for r in cycles}) == 3
    assert len({r["router"] for r in cycles}) == 2
    assert any(r["optional"] for r in cycles)


LOSERS = ("losing_cycle", "token_2022_cycle", "sandwich_without_gain", "token_2022_sandwich")


def of_wallet(chain: Chain, record: dict[str, Any], wallet: str) -> Counter[str]:
    """What one wallet of a look-alike has more after its transactions."""
    mine = [s for s in record["signatures"] if chain.by_signature[s][1].keys[0] == wallet]
    return changes(chain, {"wallets": [wallet], "roles": ["own"] * len(mine), "signatures": mine})


def test_look_alikes_that_lose_lose(chain: Chain):
    """By balances: each wallet of a fleet, who goes in a circle, who is first and last."""
    seen = Counter[str]()
    for record in chain.records("look_alike"):
        if record["kind"] == "volume_bots":
            wallets = record["wallets"]
        elif record["kind"] in LOSERS:
            wallets = record["wallets"][:1]
        else:
            continue
        seen[record["kind"]] += 1
        for wallet in wallets:
            gained = of_wallet(chain, record, wallet)
            assert max(gained.values()) < REST, record
            assert -gained
    assert set(seen) >= {"volume_bots", "losing_cycle", "token_2022_cycle", "token_2022_sandwich"}


def test_washers_and_makers(chain: Chain):
    """A washer ends with less; a market maker's stock does not come out even."""
    for record in chain.records("look_alike", "wash_trades"):
        gained = Counter[str]()
        for wallet in record["wallets"]:
            gained.update(of_wallet(chain, record, wallet))
        assert min(gained.values()) < 0
        assert not +gained
    for record in chain.records("look_alike", "market_maker"):
        maker = of_wallet(chain, record, record["wallets"][0])
        assert sum(1 for amount in maker.values() if amount) == 2


def test_the_decoder_finds_positions_and_liquidations(chain: Chain):
    """Amounts confirmed by the programs' events, accounts and ranges as told."""
    changed, liquidated = {}, {}
    for parsed in parsed_batches(chain.blocks):
        view = ParsedView(parsed)
        for i in range(view.n_liquidity):
            if view.liquidity_kind[i] in (ADD, REMOVE):
                place = view.slot, int(view.tx_index[view.liquidity_tx[i]])
                changed[place] = (view, i)
        for i in range(view.n_liquidations):
            liquidated[view.slot, int(view.tx_index[view.liquidation_tx[i]])] = (view, i)
    for record in chain.records("opportunity", "jit"):
        (add, remove) = (
            changed.pop(tuple(place))
            for role, place in zip(record["roles"], record["transactions"], strict=True)
            if role in ("add", "remove")
        )
        for (view, i), kind in ((add, ADD), (remove, REMOVE)):
            assert view.liquidity_kind[i] == kind
            assert view.liquidity_flags[i] & 3 == 1
            assert [int(view.liquidity_lower[i]), int(view.liquidity_upper[i])] == record["range"]
            assert int(view.liquidity_delta_low[i]) == record["liquidity"]
            assert _key(view, view.liquidity_owner[i]) == record["wallets"][0]
            assert _key(view, view.liquidity_pool[i]) == record["pools"][0]
    for record in chain.records("opportunity", "liquidation"):
        view, i = liquidated.pop(tuple(record["transactions"][0]))
        assert view.names[view.liquidation_protocol[i]] == PROTOCOLS[record["protocol"]]
        assert _key(view, view.liquidation_liquidator[i]) == record["wallets"][0]
        assert _key(view, view.liquidation_account[i]) == record["account"]
        assert int(view.liquidation_repay_amount[i]) == record["repay_amount"]
        assert int(view.liquidation_collateral_amount[i]) == record["collateral_amount"]
        assert _key(view, view.liquidation_repay_mint[i]) == record["repay_mint"]
        assert _key(view, view.liquidation_collateral_mint[i]) == record["collateral_mint"]
    assert not liquidated


def _key(view: ParsedView, row: Any) -> str:
    return str(Pubkey.from_bytes(view.keys[int(row)].tobytes()))
