"""RawBatch: transactions as the bytes they came in."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from mevstream.cext.columnar import join
from mevstream.cext.split import split
from mevstream.codecs.envelope import EnvelopeView, envelope_bytes
from mevstream.errors import InputError
from mevstream.schemas.raw_pb2 import RawBatch

BATCH_SIZE = 256
"""The most transactions that a RawBatch holds."""

Buffer = bytes | bytearray | memoryview


class RawView(EnvelopeView):
    """A RawBatch message, looked at in place.

    Beside the envelope: `transactions`, a memoryview on the message for each
    ConfirmedTransaction, and `tx_index`, their positions in the block (uint32).
    Raises InputError for what is no RawBatch. What the transactions hold is not looked at.
    """

    transactions: list[memoryview]
    tx_index: NDArray[np.uint32]

    def __init__(self, data: bytes) -> None:
        try:
            extents = split(data, RawBatch.TRANSACTIONS_FIELD_NUMBER)
            message = RawBatch.FromString(extents.rest)
        except (ValueError, DecodeError) as error:
            raise InputError(f"RawBatch: {error}") from None
        super().__init__(message)
        self.transactions = extents.payloads()
        n = len(self.transactions)
        if message.tx_index:
            self.tx_index = np.array(message.tx_index, np.uint32)
        else:
            first = message.first_index
            if first + n > 1 << 32:
                raise InputError(f"RawBatch: first_index {first} is out of range")
            self.tx_index = np.arange(first, first + n, dtype=np.uint32)
        if len(self.tx_index) != n:
            raise InputError(
                f"RawBatch: {n} transactions, but {len(self.tx_index)} positions in tx_index"
            )


def encode_raw(
    envelope: Mapping[str, Any], transactions: Iterable[Buffer] = (), *, run: Buffer = b""
) -> bytes:
    """RawBatch bytes from the fields of its envelope (with `first_index` or `tx_index`) and its
    transactions: first those of `run`, records of field 4 with tags and lengths as they lie in a
    stored block (`cext.split.Extents.run`), then `transactions`, one serialised
    ConfirmedTransaction each. Raises InputError for an unknown field or a value that does not fit.
    """
    if "transactions" in envelope:
        raise InputError("RawBatch: transactions in the envelope")
    head = envelope_bytes(RawBatch, envelope) + run
    try:
        return join(head, RawBatch.TRANSACTIONS_FIELD_NUMBER, transactions)
    except (TypeError, ValueError) as error:
        raise InputError(f"RawBatch: {error}") from None
