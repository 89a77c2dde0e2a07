"""Hand-made chains of ParsedBatch messages: transactions of named wallets in pools that move by
their curve."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mevstream.cext.base58 import decode_sized
from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import Kind, OpportunityView, Role
from mevstream.codecs.parsed import SIGNERS_TOLD, encode_parsed
from mevstream.settings import HUB_MINTS
from mevstream.topologies.chain import OPPORTUNITIES, StatefulStage
from mevstream.topologies.opportunities.stage import OpportunityStage

HUBS = [decode_sized(mint, 32) for mint in HUB_MINTS]
SOL, USDC = "SOL", "USDC"
_KNOWN: dict[str, bytes] = dict(zip((SOL, USDC, "USDT", "USD1"), HUBS, strict=True))
NAMES = ["raydium_amm_v4", "orca_whirlpool", "unknown", "jupiter_v6", "dflow"]
FEE = 5000


def key(name: str) -> bytes:
    """The 32 bytes that a name stands for."""
    return _KNOWN.get(name) or hashlib.blake2b(name.encode(), digest_size=32).digest()


@dataclass
class Pool:
    """A constant-product pool, 0.25 % of what comes in charged and kept, rounded up; `told`: its
    legs tell the reserves. `venue` is only a name."""

    name: str
    a: str
    b: str
    reserves: dict[str, int]
    told: bool = True
    venue: str = "raydium_amm_v4"
    fee: int = 25

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


@dataclass
class Tx:
    """payer: also the trader of legs that name none."""

    payer: str
    swaps: Sequence[Swap]
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
    wide = [name for name in columns if name.startswith(("swap_trader_", "swap_amount_"))]
    columns |= {name: np.array(columns[name], np.uint64) for name in wide}
    columns["keys"] = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 32)
    return encode_parsed({**envelope, "names": NAMES}, columns)


def _told(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def new_stage() -> OpportunityStage:
    return OpportunityStage(HUBS)


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
    """legs: role, slot, index, trader in, trader out; victims: wallet, got, expected, exactness."""
    found: list[Told] = []
    for v in views:
        for o in range(v.n_opportunities):
            legs = np.flatnonzero(v.leg_opp == o)
            victims = np.flatnonzero(v.victim_opp == o)
            found.append(
                Told(
                    v.opp_id[o].tobytes().hex(),
                    Kind(int(v.opp_kind[o])).name,
                    int(v.tx_slot[v.opp_first_tx[o]]),
                    v.keys[v.opp_actor[o]].tobytes(),
                    v.keys[v.opp_profit_mint[o]].tobytes(),
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
