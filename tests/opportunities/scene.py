"""Hand-made chains of ParsedBatch messages: transactions of named wallets in pools that move by
their curve."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mevstream.cext.base58 import decode_sized
from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import Kind, OpportunityView, Origin, Role
from mevstream.codecs.parsed import (
    AMOUNTS_UNKNOWN,
    DELTA_TOLD,
    FEE_IN_COLLATERAL,
    FEE_TOLD,
    LINK_KINDS,
    LIQUIDITY_KINDS,
    NO_TICK,
    SIGNERS_TOLD,
    encode_parsed,
)
from mevstream.settings import HUB_MINTS
from mevstream.topologies.chain import OPPORTUNITIES, StatefulStage
from mevstream.topologies.opportunities.stage import OpportunityStage

HUBS = [decode_sized(mint, 32) for mint in HUB_MINTS]
SOL, USDC = "SOL", "USDC"
_KNOWN: dict[str, bytes] = dict(zip((SOL, USDC, "USDT", "USD1"), HUBS, strict=True))
NAMES = ["raydium_amm_v4", "orca_whirlpool", "unknown", "jupiter_v6", "dflow", "kamino"]
FEE = 5000


def key(name: str) -> bytes:
    """The 32 bytes that a name stands for."""
    return _KNOWN.get(name) or hashlib.blake2b(name.encode(), digest_size=32).digest()


@dataclass
class Pool:
    """A constant-product pool, 0.25 % of what comes in charged and kept, rounded up; `told`: its
    legs tell the reserves; `curve`: as the program has them before the swap, too. `venue` is only
    a name."""

    name: str
    a: str
    b: str
    reserves: dict[str, int]
    told: bool = True
    venue: str = "raydium_amm_v4"
    fee: int = 25
    curve: bool = False

    def quote(self, mint_in: str, amount: int) -> int:
        net = amount + (-amount * self.fee // 10_000)
        return self.reserves[self.other(mint_in)] * net // (self.reserves[mint_in] + net)

    def other(self, mint: str) -> str:
        return self.b if mint == self.a else self.a

    def swap(self, mint_in: str, amount: int, trader: str | None = None, **more: Any) -> Swap:
        """A leg, and the pool after it. `more` are fields of it."""
        out = self.quote(mint_in, amount)
        mint_out = self.other(mint_in)
        self.reserves[mint_in] += amount
        self.reserves[mint_out] -= out
        reserves = (self.reserves[mint_in], self.reserves[mint_out])
        return Swap(self, mint_in, mint_out, amount, out, trader, reserves, **more)


def pool(name: str, a: str, b: str, reserve_a: int, reserve_b: int, **more: Any) -> Pool:
    return Pool(name, a, b, {a: reserve_a, b: reserve_b}, **more)


@dataclass
class Swap:
    pool: Pool
    mint_in: str
    mint_out: str
    amount_in: int
    amount_out: int
    trader: str | None = None
    reserves: tuple[int, int] = (0, 0)
    router: str | None = None
    trader_in: int | None = None
    trader_out: int | None = None
    ticks: tuple[int, int] = (NO_TICK, NO_TICK)
    # Root prices before and after, liquidity after; 0 untold.
    roots: tuple[int, int] = (0, 0)
    liquidity: int = 0


@dataclass
class Change:
    """Liquidity of a position of the payer, unless `owner` names another one. kind: a number of
    LIQUIDITY_KINDS; fees: collected ones in the amounts, None untold; delta None: untold."""

    kind: str
    pool: Pool
    amounts: tuple[int, int]
    delta: int | None = 1_000_000
    position: str | None = "position"
    owner: str | None = None
    fees: tuple[int, int] | None = None
    ticks: tuple[int, int] = (-10, 10)
    tick: int = 0


@dataclass
class Liquidation:
    """`fee` is in the collateral unless `on_top`; account: the obligation."""

    repay: tuple[str | None, int]
    collateral: tuple[str | None, int]
    fee: int = 0
    on_top: bool = False
    account: str = "obligation"
    outer: int = 0
    leg: int = 0
    amounts_known: bool = True


@dataclass
class Gift:
    """What one wallet gives to another one. kind: one of LINK_KINDS."""

    giver: str
    receiver: str
    kind: Literal["lamports", "tokens", "close"] = "lamports"


@dataclass
class Tx:
    """payer: also the trader of legs that name none. Swaps are in instruction 1, liquidity changes
    in 2."""

    payer: str
    swaps: Sequence[Swap] = ()
    tip: int = 0
    fee: int = FEE
    bid: tuple[int, int] = (0, NONE)
    failed: bool = False
    tip_payer: str | None = None
    swaps_told: int | None = None
    # What its signers have more, in lamports and by mint; None: not told.
    signers: tuple[int, dict[str, int]] | None = None
    slot: int = 0
    index: int = 0
    changes: Sequence[Change] = ()
    liquidations: Sequence[Liquidation] = ()
    gifts: Sequence[Gift] = ()


@dataclass
class Chain:
    """Slots of transactions; positions are as they are added."""

    slots: dict[int, list[Tx]] = field(default_factory=dict)

    def add(self, slot: int, *transactions: Tx) -> None:
        block = self.slots.setdefault(slot, [])
        for tx in transactions:
            tx.slot, tx.index = slot, len(block)
            block.append(tx)

    def batches(self, cuts: Sequence[int] = (), **envelope: Any) -> list[bytes]:
        """Each slot parted before the transactions at these positions."""
        result: list[bytes] = []
        for slot, block in sorted(self.slots.items()):
            ends = sorted({min(cut, len(block)) for cut in cuts} | {len(block)})
            start = 0
            for seq, end in enumerate(ends):
                head = {
                    "slot": slot,
                    "parent_slot": slot - 1,
                    "seq": seq,
                    "last": seq == len(ends) - 1,
                    "chain": "solana",
                    "block_time": 1_700_000_000 + slot,
                    "blockhash": key(f"block {slot}"),
                    **envelope,
                }
                result.append(batch(block[start:end], head))
                start = end
        return result


def batch(transactions: Sequence[Tx], envelope: dict[str, Any]) -> bytes:
    rows: dict[bytes, int] = {}

    def row(name: str | None) -> int:
        return NONE if name is None else rows.setdefault(key(name), len(rows))

    legs = [
        (t, tx, swap) for t, tx in enumerate(transactions) for swap in tx.swaps if not tx.failed
    ]
    columns: dict[str, Any] = {
        "tx_index": [tx.index for tx in transactions],
        "tx_payer": [row(tx.payer) for tx in transactions],
        "tx_flags": [
            (0 if tx.failed else 1) | (0 if tx.signers is None else SIGNERS_TOLD)
            for tx in transactions
        ],
        "tx_signers_lamports": [tx.signers[0] if tx.signers else 0 for tx in transactions],
        "swap_signers_in": [
            tx.signers[1].get(s.mint_in, 0) if tx.signers else 0 for _, tx, s in legs
        ],
        "tx_fee": [tx.fee for tx in transactions],
        "tx_tip": [tx.tip for tx in transactions],
        "tx_tip_payer": [row(tx.tip_payer or tx.payer) if tx.tip else NONE for tx in transactions],
        "tx_cu_price": [tx.bid[0] for tx in transactions],
        "tx_cu_limit": [tx.bid[1] for tx in transactions],
        "tx_swaps": [
            len(tx.swaps) if tx.swaps_told is None else tx.swaps_told for tx in transactions
        ],
        "tx_signature": np.array(
            [list(key(f"{tx.slot} {tx.index}") * 2) for tx in transactions], np.uint8
        ).reshape(-1, 64),
        "swap_tx": [t for t, *_ in legs],
        "swap_outer": [1] * len(legs),
        "swap_inner": [n for tx in transactions if not tx.failed for n in range(len(tx.swaps))],
        "swap_venue": [NAMES.index(s.pool.venue) for *_, s in legs],
        "swap_router": [NONE if s.router is None else NAMES.index(s.router) for *_, s in legs],
        "swap_pool": [row(s.pool.name) for *_, s in legs],
        "swap_trader": [row(s.trader or tx.payer) for _, tx, s in legs],
        "swap_mint_in": [row(s.mint_in) for *_, s in legs],
        "swap_mint_out": [row(s.mint_out) for *_, s in legs],
        "swap_decimals_in": [9] * len(legs),
        "swap_decimals_out": [6] * len(legs),
        "swap_flags": [16 if s.pool.told else 0 for *_, s in legs],
        "swap_amount_in": [s.amount_in for *_, s in legs],
        "swap_amount_out": [s.amount_out for *_, s in legs],
        "swap_trader_in": [_told(s.trader_in, s.amount_in) for *_, s in legs],
        "swap_trader_out": [_told(s.trader_out, s.amount_out) for *_, s in legs],
        "swap_reserve_in": [s.reserves[0] if s.pool.told else 0 for *_, s in legs],
        "swap_reserve_out": [s.reserves[1] if s.pool.told else 0 for *_, s in legs],
    }
    told = [(s.reserves[0] - s.amount_in, s.reserves[1] + s.amount_out) for *_, s in legs]
    columns |= {
        f"swap_curve_{way}": np.array(
            [t[n] if s.pool.curve else 0 for t, (*_, s) in zip(told, legs, strict=True)], np.uint64
        )
        for n, way in enumerate(("in", "out"))
    }
    columns |= {
        "swap_tick_before": [s.ticks[0] for *_, s in legs],
        "swap_tick": [s.ticks[1] for *_, s in legs],
        "swap_root_before": [s.roots[0] for *_, s in legs],
        "swap_root": [s.roots[1] for *_, s in legs],
        "swap_liquidity": [s.liquidity for *_, s in legs],
    }
    columns |= _changes(transactions, row) | _liquidations(transactions, row)
    gifts = [(tx, gift) for tx in transactions for gift in tx.gifts if not tx.failed]
    columns |= {
        "link_index": [tx.index for tx, _ in gifts],
        "link_kind": [LINK_KINDS.index(gift.kind) for _, gift in gifts],
        "link_from": [row(gift.giver) for _, gift in gifts],
        "link_to": [row(gift.receiver) for _, gift in gifts],
    }
    wide = [
        name
        for name in columns
        if name.startswith(("swap_trader_", "swap_amount_", "liquidity_delta_"))
        or name.endswith(("_amount_a", "_amount_b", "_fee_a", "_fee_b", "_amount", "_fee"))
    ]
    columns |= {name: np.array(columns[name], np.uint64) for name in wide}
    columns["keys"] = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 32)
    return encode_parsed({**envelope, "names": NAMES}, columns)


def _changes(transactions: Sequence[Tx], row: Callable[[str | None], int]) -> dict[str, Any]:
    rows = [
        (t, tx, n, change)
        for t, tx in enumerate(transactions)
        for n, change in enumerate(tx.changes)
        if not tx.failed
    ]
    of = [change for *_, change in rows]
    return {
        "liquidity_tx": [t for t, *_ in rows],
        "liquidity_outer": [2] * len(rows),
        "liquidity_inner": [n for *_, n, _ in rows],
        "liquidity_kind": [LIQUIDITY_KINDS.index(c.kind) for c in of],
        "liquidity_venue": [NAMES.index(c.pool.venue) for c in of],
        "liquidity_pool": [row(c.pool.name) for c in of],
        "liquidity_position": [row(c.position) for c in of],
        "liquidity_owner": [row(c.owner or tx.payer) for _, tx, _, c in rows],
        "liquidity_mint_a": [row(c.pool.a) for c in of],
        "liquidity_mint_b": [row(c.pool.b) for c in of],
        "liquidity_decimals_a": [9] * len(rows),
        "liquidity_decimals_b": [6] * len(rows),
        "liquidity_flags": [
            (0 if c.fees is None else FEE_TOLD) | (0 if c.delta is None else DELTA_TOLD) for c in of
        ],
        "liquidity_lower": [c.ticks[0] for c in of],
        "liquidity_upper": [c.ticks[1] for c in of],
        "liquidity_tick": [c.tick for c in of],
        "liquidity_amount_a": [c.amounts[0] for c in of],
        "liquidity_amount_b": [c.amounts[1] for c in of],
        "liquidity_fee_a": [(c.fees or (0, 0))[0] for c in of],
        "liquidity_fee_b": [(c.fees or (0, 0))[1] for c in of],
        "liquidity_delta_low": [(c.delta or 0) & 2**64 - 1 for c in of],
        "liquidity_delta_high": [(c.delta or 0) >> 64 for c in of],
    }


def _liquidations(transactions: Sequence[Tx], row: Callable[[str | None], int]) -> dict[str, Any]:
    rows = [
        (t, tx, one)
        for t, tx in enumerate(transactions)
        for one in tx.liquidations
        if not tx.failed
    ]
    of = [one for *_, one in rows]
    return {
        "liquidation_tx": [t for t, *_ in rows],
        "liquidation_outer": [one.outer for one in of],
        "liquidation_leg": [one.leg for one in of],
        "liquidation_inner": [NONE] * len(rows),
        "liquidation_protocol": [NAMES.index("kamino")] * len(rows),
        "liquidation_liquidator": [row(tx.payer) for _, tx, _ in rows],
        "liquidation_account": [row(one.account) for one in of],
        "liquidation_repay_mint": [row(one.repay[0]) for one in of],
        "liquidation_collateral_mint": [row(one.collateral[0]) for one in of],
        "liquidation_repay_decimals": [6] * len(rows),
        "liquidation_collateral_decimals": [9] * len(rows),
        "liquidation_flags": [
            (FEE_TOLD if one.fee else 0)
            | (0 if one.on_top else FEE_IN_COLLATERAL)
            | (0 if one.amounts_known else AMOUNTS_UNKNOWN)
            for one in of
        ],
        "liquidation_repay_amount": [one.repay[1] for one in of],
        "liquidation_collateral_amount": [one.collateral[1] for one in of],
        "liquidation_fee": [one.fee for one in of],
    }


def _told(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def new_stage(**options: Any) -> OpportunityStage:
    return OpportunityStage(HUBS, **options)


def run(batches: Iterable[bytes], stage: StatefulStage | None = None) -> list[OpportunityView]:
    stage = stage or new_stage()
    views: list[OpportunityView] = []
    for message in batches:
        (record,) = stage(message)
        assert record.topic == OPPORTUNITIES
        view = OpportunityView(record.value)
        view.validate()
        views.append(view)
    return views


@dataclass(frozen=True)
class Told:
    """An opportunity as the tests compare it."""

    id: str
    kind: str
    slot: int
    actor: bytes
    mint: bytes
    profit: int
    net: int
    loss: int
    reasons: int
    legs: tuple[tuple[str, int, int, int, int], ...]
    victims: tuple[tuple[bytes, int, int, int], ...]

    @property
    def roles(self) -> list[str]:
        return [role for role, *_ in self.legs]


def told(views: Iterable[OpportunityView]) -> list[Told]:
    """The observed ones. legs: role, slot, index, trader in, trader out; victims: wallet, got,
    expected, exactness."""
    found: list[Told] = []
    for v in views:
        for o in np.flatnonzero(v.opp_origin == Origin.observed).tolist():
            legs = np.flatnonzero(v.leg_opp == o)
            victims = np.flatnonzero(v.victim_opp == o)
            found.append(
                Told(
                    v.opp_id[o].tobytes().hex(),
                    Kind(int(v.opp_kind[o])).name,
                    int(v.tx_slot[v.opp_first_tx[o]]),
                    v.keys[v.opp_actor[o]].tobytes(),
                    b"" if (mint := v.opp_profit_mint[o]) == NONE else v.keys[mint].tobytes(),
                    int(v.opp_profit[o]),
                    int(v.opp_net_lamports[o]),
                    int(v.opp_victim_loss[o]),
                    int(v.opp_reasons[o]),
                    tuple(
                        (
                            Role(int(v.leg_role[i])).name,
                            int(v.tx_slot[v.leg_tx[i]]),
                            int(v.tx_index[v.leg_tx[i]]),
                            int(v.leg_trader_in[i]),
                            int(v.leg_trader_out[i]),
                        )
                        for i in legs
                    ),
                    tuple(
                        (
                            v.keys[v.victim_wallet[i]].tobytes(),
                            int(v.victim_got[i]),
                            int(v.victim_expected[i]),
                            int(v.victim_exactness[i]),
                        )
                        for i in victims
                    ),
                )
            )
    return found


def found(chain: Chain, **envelope: Any) -> list[Told]:
    return told(run(chain.batches(**envelope)))
