"""Random chains of ParsedBatch messages in which few pools are traded often."""

from collections.abc import Sequence

import numpy as np

from mevstream.codecs.parsed import encode_parsed
from mevstream.topologies.features.pairs import QUOTE_MINTS

NONE = 0xFFFFFFFF
VENUES = ("pump_swap", "raydium_clmm", "unknown")


def chain(
    seed: int, *, slots: int = 6, batches: int = 4, swaps: int = 30, markets: int = 12
) -> list[bytes]:
    """Slots of up to `batches` batches. Some slots miss their last batch, some come again with
    another block, some have transactions whose block nobody knows."""
    rng = np.random.default_rng(seed)
    result: list[bytes] = []
    for slot in range(100, 100 + slots):
        for fork in range(2 if rng.random() < 0.2 else 1):
            n = int(rng.integers(1, batches + 1))
            kind = rng.random()
            for seq in range(n):
                last = seq == n - 1 and kind > 0.2
                envelope = {
                    "slot": slot,
                    "parent_slot": slot - 1,
                    "seq": seq,
                    "last": last,
                    "chain": "solana",
                    "block_time": 1_700_000_000 + slot,
                    "blockhash": b"" if kind > 0.9 else bytes([slot % 256, fork]) * 16,
                    "partition": 1,
                    "partitions": 3,
                }
                result.append(batch(rng, envelope, int(rng.integers(0, swaps + 1)), markets))
    return result


def batch(
    rng: np.random.Generator, envelope: dict[str, object], n: int, markets: int = 12
) -> bytes:
    pools = [bytes([7, i]) * 16 for i in range(markets)]
    mints = [*QUOTE_MINTS[:4], *(bytes([9, i]) * 16 for i in range(5))]
    table: Sequence[bytes] = [pools[i] for i in rng.permutation(markets)] + mints

    def some(values: int, first: int = 0, none: float = 0.03) -> "np.ndarray":
        index = rng.integers(first, first + values, n)
        return np.where(rng.random(n) < none, NONE, index).astype(np.uint32)

    def amounts(bits: int) -> "np.ndarray":
        raw = rng.integers(0, 1 << 63, n, dtype=np.uint64) << np.uint64(1)
        raw >>= rng.integers(64 - bits, 64, n).astype(np.uint64)
        return np.where(rng.random(n) < 0.03, 0, raw).astype(np.uint64)

    amount_in = amounts(64)
    reserve_in = np.where(rng.random(n) < 0.9, np.maximum(amounts(64), amount_in), 3)
    n_tx = n + 2
    return encode_parsed(
        {**envelope, "names": VENUES},
        {
            "keys": np.frombuffer(b"".join(table), np.uint8).reshape(-1, 32),
            "tx_index": np.arange(n_tx, dtype=np.uint32) + 17,
            "swap_tx": np.sort(rng.integers(0, n_tx, n)).astype(np.uint32),
            "swap_outer": rng.integers(0, 5, n).astype(np.uint32),
            "swap_inner": some(4),
            "swap_leg": rng.integers(0, 2, n).astype(np.uint32),
            "swap_venue": some(len(VENUES), none=0),
            "swap_pool": some(markets),
            "swap_mint_in": some(len(mints), markets),
            "swap_mint_out": some(len(mints), markets),
            "swap_decimals_in": rng.choice([6, 9, 255], n).astype(np.uint32),
            "swap_decimals_out": rng.choice([6, 9, 255], n).astype(np.uint32),
            "swap_flags": rng.integers(0, 256, n).astype(np.uint32),
            "swap_amount_in": amount_in,
            "swap_amount_out": amounts(64),
            "swap_reserve_in": reserve_in.astype(np.uint64),
            "swap_reserve_out": amounts(50),
            "swap_price_after": np.where(rng.random(n) < 0.2, np.nan, rng.random(n)),
            "swap_replica": (rng.random(n) < 0.2).astype(np.uint32),
        },
    )


def huge(n: int) -> bytes:
    """A slot of n legs in one pool with the largest amounts there are: 2^64 - 1 in, one less out,
    USDC for another mint."""
    envelope = {"slot": 1, "block_time": 1_700_000_001, "last": True, "blockhash": b"h" * 32}
    zeros = np.zeros(n, np.uint32)
    return encode_parsed(
        {**envelope, "names": VENUES},
        {
            "keys": np.frombuffer(b"p" * 32 + b"m" * 32 + QUOTE_MINTS[0], np.uint8).reshape(-1, 32),
            "tx_index": [0],
            **{f"swap_{name}": zeros for name in ("tx", "pool", "venue", "flags")},
            **{f"swap_reserve_{side}": zeros for side in ("in", "out")},
            **{f"swap_decimals_{side}": zeros + 6 for side in ("in", "out")},
            "swap_price_after": np.full(n, np.nan),
            "swap_mint_in": zeros + 1,
            "swap_mint_out": zeros + 2,
            "swap_amount_in": np.full(n, 2**64 - 1, np.uint64),
            "swap_amount_out": np.full(n, 2**64 - 2, np.uint64),
        },
    )
