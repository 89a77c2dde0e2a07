"""RawBatch bytes from the transactions of one slot.

A batch is written as the envelope's message bytes followed by the transactions' field bytes, which
is the same as one message: protobuf fields may be joined end to end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mevstream.schemas.raw_pb2 import Commitment, RawBatch

# The largest that the topic allows.
MAX_BATCH = 256
# Field 4 (transactions), length-delimited.
_TRANSACTION_TAG = b"\x22"


@dataclass(slots=True)
class SlotHeader:
    """What every batch of a slot says about it. Hashes are 32 raw bytes, or empty if not told."""

    slot: int
    parent_slot: int = 0
    block_time: int | None = None
    blockhash: bytes = b""
    parent_blockhash: bytes = b""
    block_height: int | None = None
    commitment: Commitment = Commitment.COMMITMENT_CONFIRMED


@dataclass(frozen=True, slots=True)
class BatchWriter:
    """How batches are made in one run: chain name, transactions a batch, clock (Unix ns)."""

    chain: str
    batch_size: int
    clock: Callable[[], int]

    def block(
        self, header: SlotHeader, source: str, count: int, run: Callable[[int, int], bytes]
    ) -> Iterator[bytes]:
        """Batches of a whole block of `count` transactions, the last one flagged, at least one.

        `run(first, count)` gives transactions as the bytes of repeated field 4.
        """
        for seq, first in enumerate(range(0, max(count, 1), self.batch_size)):
            size = min(self.batch_size, count - first)
            last = first + size == count
            yield self.batch(header, source, seq, run(first, size), first_index=first, last=last)

    def batch(
        self,
        header: SlotHeader,
        source: str,
        seq: int,
        fields: bytes,
        *,
        first_index: int = 0,
        indexes: Sequence[int] = (),
        last: bool,
    ) -> bytes:
        """One RawBatch. `indexes` lists positions in the block that do not follow on."""
        return (
            RawBatch(
                slot=header.slot,
                parent_slot=header.parent_slot,
                block_time=header.block_time,
                seq=seq,
                last=last,
                source=source,
                received_ns=self.clock(),
                first_index=first_index,
                tx_index=indexes,
                blockhash=header.blockhash,
                parent_blockhash=header.parent_blockhash,
                block_height=header.block_height,
                chain="" if self.chain == "solana" else self.chain,
                commitment=header.commitment,
            ).SerializeToString()
            + fields
        )


def transaction_fields(payloads: Sequence[bytes]) -> bytes:
    """Payloads (ConfirmedTransaction bytes) as the bytes of repeated field 4."""
    parts: list[bytes] = []
    for payload in payloads:
        parts.append(_TRANSACTION_TAG + _varint(len(payload)))
        parts.append(payload)
    return b"".join(parts)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
