"""Stored blocks (solana.storage.ConfirmedBlock) into RawBatches, without parsing transactions."""

from collections import Counter
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from mevstream.cext.split import split
from mevstream.errors import InputError
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock
from mevstream.topologies.raw.batches import BatchWriter, SlotHeader
from mevstream.topologies.raw.hashes import parse_hash
from mevstream.topologies.raw.slots import SlotAssembler

_TRANSACTIONS, _REWARDS = 4, 5


def stored_block(
    data: bytes,
    slot: int | None,
    source: str,
    writer: BatchWriter,
    assembler: SlotAssembler,
    counts: Counter[str],
) -> Iterator[bytes]:
    """RawBatch bytes of the block `data`, which does not tell its slot itself.

    Raises InputError, before the first batch, where `data` is cut off or no ConfirmedBlock.
    """
    try:
        parts = split(data, _TRANSACTIONS, (_REWARDS,))
        block = ConfirmedBlock.FromString(parts.rest)
    except (ValueError, DecodeError) as error:
        raise InputError(
            f"{source}: neither JSON nor a stream of updates, and as a stored block {error}"
        ) from None
    if not block.blockhash and not len(parts):
        raise InputError(f"{source}: has neither the blockhash nor the transactions of a block")
    if slot is None:
        raise InputError(
            f"{source}: a stored block does not tell its slot, nor does the file name; "
            "give it with --slot"
        )
    header = SlotHeader(
        slot,
        parent_slot=block.parent_slot,
        block_time=block.block_time.timestamp if block.HasField("block_time") else None,
        blockhash=parse_hash(block.blockhash, f"{source}: blockhash"),
        parent_blockhash=parse_hash(block.previous_blockhash, f"{source}: previous blockhash"),
        block_height=block.block_height.block_height if block.HasField("block_height") else None,
    )
    assembler.claim(slot, source)
    counts["transactions"] += len(parts)
    yield from writer.block(header, source, parts)
