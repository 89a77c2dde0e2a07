"""ParsedBatch rows as JSON lines: the records of `mevstream inspect`.

Integers stay integers, keys and signatures become base58, and the order is that of the chain: each
transaction is followed by its swaps. The fields and their order are part of the interface.
"""

from collections.abc import Collection
from functools import lru_cache

import numpy as np
import orjson
from solders.pubkey import Pubkey
from solders.signature import Signature

from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import COMPUTE_UNITS_KNOWN, SUCCESS, VOTE, ParsedView

# Wallets, pools and mints come back batch after batch, and base58 costs more than all the rest.
_CACHED_KEYS = 1 << 16


def json_lines(view: ParsedView, records: Collection[str]) -> bytes:
    """The lines of one batch, each ended by a newline.

    `records` names what is wanted: "transaction", "swap"; others have no rows in a ParsedBatch.
    """
    signatures = _signatures(view)
    keys = _keys(view)
    transactions = _transactions(view, signatures, keys) if "transaction" in records else []
    if "swap" not in records or not view.n_swaps:
        return b"".join(transactions)
    swaps = _swaps(view, signatures, keys)
    if not transactions:
        return b"".join(swaps)
    lines: list[bytes] = []
    ends = np.searchsorted(view.swap_tx, np.arange(view.n_tx), side="right").tolist()
    start = 0
    for transaction, end in zip(transactions, ends, strict=True):
        lines.append(transaction)
        lines += swaps[start:end]
        start = end
    return b"".join(lines)


@lru_cache(_CACHED_KEYS)
def _base58(key: bytes) -> str:
    return str(Pubkey.from_bytes(key))


def _keys(view: ParsedView) -> dict[int, str | None]:
    keys: dict[int, str | None] = {NONE: None}
    keys.update(enumerate(_base58(key.tobytes()) for key in view.keys))
    return keys


def _signatures(view: ParsedView) -> list[str]:
    return [str(Signature.from_bytes(row.tobytes())) for row in view.tx_signature]


def _transactions(
    view: ParsedView, signatures: list[str], keys: dict[int, str | None]
) -> list[bytes]:
    slot = view.slot
    return [
        orjson.dumps(
            {
                "record": "transaction",
                "slot": slot,
                "tx_index": tx_index,
                "signature": signature,
                "fee_payer": keys[payer],
                "version": _version(version),
                "success": bool(flags & SUCCESS),
                "is_vote": bool(flags & VOTE),
                "fee": fee,
                "compute_units": units if flags & COMPUTE_UNITS_KNOWN else None,
                "tip_lamports": tip,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for tx_index, signature, payer, version, flags, fee, units, tip in zip(
            view.tx_index.tolist(),
            signatures,
            view.tx_payer.tolist(),
            view.tx_version.tolist(),
            view.tx_flags.tolist(),
            view.tx_fee.tolist(),
            view.tx_compute_units.tolist(),
            view.tx_tip.tolist(),
            strict=True,
        )
    ]


def _version(column: int) -> str | int | None:
    if column == NONE:
        return None
    return "legacy" if column == 0 else column - 1


def _swaps(view: ParsedView, signatures: list[str], keys: dict[int, str | None]) -> list[bytes]:
    tx_index = view.tx_index.tolist()
    names: dict[int, str | None] = {NONE: None}
    names.update(enumerate(view.names))
    slot = view.slot
    return [
        orjson.dumps(
            {
                "record": "swap",
                "slot": slot,
                "tx_index": tx_index[tx],
                "signature": signatures[tx],
                "ix_path": str(outer) if inner == NONE else f"{outer}.{inner}",
                "program": keys[program],
                "venue": names[venue],
                "router": names[router],
                "pool": keys[pool],
                "trader": keys[trader],
                "mint_in": keys[mint_in],
                "mint_out": keys[mint_out],
                "amount_in": amount_in,
                "amount_out": amount_out,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for (
            tx,
            outer,
            inner,
            program,
            venue,
            router,
            pool,
            trader,
            mint_in,
            mint_out,
            amount_in,
            amount_out,
        ) in zip(
            view.swap_tx.tolist(),
            view.swap_outer.tolist(),
            view.swap_inner.tolist(),
            view.swap_program.tolist(),
            view.swap_venue.tolist(),
            view.swap_router.tolist(),
            view.swap_pool.tolist(),
            view.swap_trader.tolist(),
            view.swap_mint_in.tolist(),
            view.swap_mint_out.tolist(),
            view.swap_amount_in.tolist(),
            view.swap_amount_out.tolist(),
            strict=True,
        )
    ]
