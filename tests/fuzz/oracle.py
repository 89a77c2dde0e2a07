"""What a finding is, and what protobuf itself says of a transaction: the one right answer."""

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction


class Finding(Exception):
    """Two answers to one question. `data` is the smallest input known to show it.

    `what` is the kind: findings of one kind are taken for one fault. `detail` may differ.
    """

    def __init__(self, what: str, data: bytes, detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.data = data
        self.detail = detail


def exact(data: bytes) -> memoryview:
    """A copy that ends where its allocation ends, so that a read beyond it is seen.

    A bytes object will not do: it holds one byte more, and small ones share one allocation.
    """
    copy = np.empty(len(data), dtype=np.uint8)
    copy[:] = np.frombuffer(data, dtype=np.uint8)
    return copy.data


def parse(data: bytes) -> ConfirmedTransaction | None:
    """The transaction as protobuf reads it, None if it refuses."""
    try:
        return ConfirmedTransaction.FromString(data)
    except DecodeError:
        return None


def transaction_columns(message: ConfirmedTransaction, size: int) -> dict[str, Any]:
    """The tx_* columns that follow from the message alone, by name."""
    transaction = message.transaction
    body = transaction.message
    meta = message.meta
    signature = transaction.signatures[0] if transaction.signatures else b""
    return {
        "tx_signature": signature if len(signature) == 64 else bytes(64),
        "tx_instructions": len(body.instructions),
        "tx_inner_instructions": sum(len(group.instructions) for group in meta.inner_instructions),
        "tx_signatures": len(transaction.signatures),
        "tx_accounts": len(body.account_keys)
        + len(meta.loaded_writable_addresses)
        + len(meta.loaded_readonly_addresses),
        "tx_bytes": size,
        "tx_fee": meta.fee,
        "tx_payer_pre": meta.pre_balances[0] if meta.pre_balances else 0,
        "tx_payer_post": meta.post_balances[0] if meta.post_balances else 0,
        "tx_compute_units": meta.compute_units_consumed,
    }
