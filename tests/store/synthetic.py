"""Random but repeatable batches: RawBatch messages and what a decoder would make of them."""

from collections.abc import Iterator, Sequence

import numpy as np
from google.protobuf.message import DecodeError

from mevstream.codecs.parsed import KEY_COLUMNS, NAME_COLUMNS, SCHEMA, encode_parsed
from mevstream.schemas.raw_pb2 import Commitment, RawBatch
from mevstream.topologies.chain import CHAIN, DEAD_LETTER, PARSED, RAW, SLOTS, Link
from mevstream.topologies.parsed.stage import parse

NONE = 0xFFFFFFFF
VENUES = ("raydium_amm_v4", "orca_whirlpool", "pump_swap", "unknown")
ROUTERS = ("jupiter_v6",)


def blockhash(slot: int, fork: int = 0) -> bytes:
    return np.random.default_rng((slot, fork, 1)).bytes(32)


def raw_slot(
    slot: int,
    transactions: int = 300,
    *,
    fork: int = 0,
    batch_size: int = 100,
    commitment: Commitment = Commitment.COMMITMENT_FINALIZED,
    known_block: bool = True,
) -> list[bytes]:
    """The RawBatch messages of a slot. Each transaction is 24 bytes that decode() draws from."""
    rng = np.random.default_rng((slot, fork))
    starts = range(0, max(transactions, 1), batch_size)
    return [
        RawBatch(
            slot=slot,
            parent_slot=slot - 1,
            block_time=1_700_000_000 + slot,
            transactions=[rng.bytes(24) for _ in range(min(batch_size, transactions - start))],
            seq=seq,
            last=start == starts[-1],
            source="synthetic",
            received_ns=1_700_000_000_000_000_000 + slot,
            first_index=start,
            blockhash=blockhash(slot, fork) if known_block else b"",
            parent_blockhash=blockhash(slot - 1) if known_block else b"",
            block_height=slot - 7,
            commitment=commitment,
        ).SerializeToString()
        for seq, start in enumerate(starts)
    ]


def raw_chain(first: int, slots: int, transactions: int = 300) -> Iterator[bytes]:
    for slot in range(first, first + slots):
        yield from raw_slot(slot, transactions)


def decode(raw: bytes) -> bytes:
    """Stands in for the decoder: bytes → ParsedBatch at mainnet's mix, or ValueError.

    A transaction of other than 24 bytes is malformed.
    """
    try:
        batch = RawBatch.FromString(raw)
    except DecodeError as error:
        raise ValueError(f"RawBatch: {error}") from None
    good = [i for i, data in enumerate(batch.transactions) if len(data) == 24]
    seeds = [int.from_bytes(batch.transactions[i], "little") for i in good]
    return parsed(batch, np.array(good, dtype=np.uint32) + batch.first_index, seeds)


def parsed(batch: RawBatch, tx_index: "np.ndarray", seeds: Sequence[int]) -> bytes:
    n = len(seeds)
    rng = np.random.default_rng(list(seeds) or [0])

    def u32(high: int, rows: int = n) -> "np.ndarray":
        return rng.integers(0, high, rows, dtype=np.uint32)

    def u64(high: int, rows: int = n) -> "np.ndarray":
        return rng.integers(0, high, rows, dtype=np.uint64)

    keys = rng.integers(0, 256, (20 + n, 32), dtype=np.uint8)
    vote = rng.random(n) < 0.52
    success = rng.random(n) < 0.7
    failed = ~success
    swaps = np.where((rng.random(n) < 0.15) & success & ~vote, u32(3) + 1, 0).astype(np.uint32)
    swap_tx = np.repeat(np.arange(n, dtype=np.uint32), swaps)
    m = len(swap_tx)
    tip = np.where(success & (rng.random(n) < 0.05), u64(10**6) + 1, 0).astype(np.uint64)
    none = np.full(n, NONE, dtype=np.uint32)
    columns = {
        "malformed": np.array(
            [i for i, data in enumerate(batch.transactions) if len(data) != 24], dtype=np.uint32
        ),
        "keys": keys,
        "tx_index": tx_index,
        "tx_payer": u32(len(keys)),
        "tx_flags": success + 2 * vote + 4 * (rng.random(n) < 0.01) + 32,
        "tx_version": np.where(rng.random(n) < 0.01, none, u32(2)),
        "tx_error": np.where(failed, 8, none),
        "tx_error_instruction": np.where(failed, u32(5), none),
        "tx_error_detail": np.where(failed, 25, none),
        "tx_error_custom": np.where(failed, u32(7000), none),
        "tx_cu_limit": np.where(rng.random(n) < 0.3, none, u32(1_400_000)),
        "tx_instructions": u32(8),
        "tx_inner_instructions": u32(40),
        "tx_signatures": u32(2) + 1,
        "tx_accounts": u32(64),
        "tx_bytes": u32(1232),
        "tx_swaps": swaps,
        "tx_swap_attempts": np.where(failed & ~vote, u32(2), 0),
        "tx_tip_payer": np.where(tip > 0, u32(len(keys)), none),
        "tx_signature": rng.integers(0, 256, (n, 64), dtype=np.uint8),
        "tx_fee": u64(10**5),
        "tx_tip": tip,
        "tx_payer_pre": u64(10**12),
        "tx_payer_post": u64(10**12),
        "tx_compute_units": u64(1_400_000),
        "tx_cu_price": u64(10**7),
        "swap_tx": swap_tx,
        "swap_outer": u32(6, m),
        "swap_inner": np.where(rng.random(m) < 0.3, NONE, u32(20, m)),
        "swap_leg": np.arange(m, dtype=np.uint32) - np.searchsorted(swap_tx, swap_tx),
        "swap_venue": u32(len(VENUES), m),
        "swap_router": np.where(rng.random(m) < 0.5, NONE, len(VENUES)),
        **{
            f"swap_{name}": u32(len(keys), m)
            for name in (
                "program",
                "pool",
                "trader",
                "mint_in",
                "mint_out",
                "vault_in",
                "vault_out",
            )
        },
        "swap_decimals_in": np.full(m, 9, dtype=np.uint32),
        "swap_decimals_out": np.where(rng.random(m) < 0.1, 255, 6),
        "swap_flags": u32(256, m),
        **{
            f"swap_{name}": u64(10**12, m)
            for name in (
                "amount_in",
                "amount_out",
                "trader_in",
                "trader_out",
                "reserve_in",
                "reserve_out",
                "fee",
            )
        },
        "swap_price_after": np.where(rng.random(m) < 0.2, np.nan, rng.random(m)),
    }
    for table, most in (("liquidity", 5), ("liquidation", 4)):
        # More than on mainnet, so that the smallest test has some.
        txs = np.flatnonzero(success & ~vote & (rng.random(n) < 0.3)).astype(np.uint32)
        columns |= other_rows(rng, table, txs, len(keys), most)
    envelope = {
        field.name: getattr(batch, field.name)
        for field in RawBatch.DESCRIPTOR.fields
        if field.name not in ("transactions", "tx_index", "first_index")
    }
    return encode_parsed({**envelope, "names": [*VENUES, *ROUTERS]}, columns)


def other_rows(
    rng: "np.random.Generator", table: str, txs: "np.ndarray", n_keys: int, kinds: int
) -> "dict[str, np.ndarray]":
    """Columns of a table with a row for each of some transactions."""
    columns: dict[str, np.ndarray] = {}
    for name, dtype in SCHEMA.columns.items():
        if not name.startswith(f"{table}_") or name.endswith("_replica"):
            continue
        most = {8: 2**62, 4: 256}[dtype.itemsize]
        if name in KEY_COLUMNS or name in NAME_COLUMNS or name == f"{table}_kind":
            most = n_keys if name in KEY_COLUMNS else len(VENUES)
            most = kinds if name == f"{table}_kind" else most
        values = rng.integers(0, most, len(txs)).astype(dtype)
        columns[name] = values - dtype.type(100) if dtype.kind == "i" else values
    return columns | {f"{table}_tx": txs}


def stand_in() -> tuple[Link, ...]:
    """The chain with decode() in the place of the decoder."""
    return (
        Link(
            "parsed",
            input=RAW,
            outputs=(PARSED, SLOTS, DEAD_LETTER),
            open_stage=lambda: lambda raw: parse(raw, decode),
        ),
        *CHAIN[1:],
    )
