"""RawBatches from the transactions of one slot."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mevstream.cext.split import Extents
from mevstream.codecs.raw import encode_raw
from mevstream.schemas.raw_pb2 import Commitment


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
        self, header: SlotHeader, source: str, transactions: Extents | Sequence[bytes]
    ) -> Iterator[bytes]:
        """Batches of a whole block, at least one, the last one flagged.

        Of a message's fields (4, as ConfirmedBlock has them) each run is copied as it lies.
        """
        count = len(transactions)
        for seq, first in enumerate(range(0, max(count, 1), self.batch_size)):
            size = min(self.batch_size, count - first)
            if isinstance(transactions, Extents):
                run, payloads = transactions.run(first, size), ()
            else:
                run, payloads = b"", transactions[first : first + size]
            last = first + size == count
            yield self.batch(header, source, seq, payloads, run=run, first_index=first, last=last)

    def batch(
        self,
        header: SlotHeader,
        source: str,
        seq: int,
        payloads: Sequence[bytes],
        *,
        run: bytes = b"",
        first_index: int = 0,
        indexes: Sequence[int] = (),
        last: bool,
    ) -> bytes:
        """One RawBatch. `indexes` lists positions in the block that do not follow on."""
        envelope = {
            "slot": header.slot,
            "parent_slot": header.parent_slot,
            "block_time": header.block_time,
            "seq": seq,
            "last": last,
            "source": source,
            "received_ns": self.clock(),
            "first_index": first_index,
            "tx_index": indexes,
            "blockhash": header.blockhash,
            "parent_blockhash": header.parent_blockhash,
            "block_height": header.block_height,
            "chain": "" if self.chain == "solana" else self.chain,
            "commitment": header.commitment,
        }
        return encode_raw(envelope, payloads, run=run)
