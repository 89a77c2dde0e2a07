"""A recorded Yellowstone stream into transactions: SubscribeUpdate messages, each after its length
as u32 big-endian (schemas/geyser.proto)."""

from collections import Counter
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from mevstream.cext.split import confirmed_transaction, last_field, split
from mevstream.errors import InputError
from mevstream.schemas.geyser_pb2 import (
    SlotStatus,
    SubscribeUpdate,
    SubscribeUpdateBlock,
    SubscribeUpdateBlockMeta,
    SubscribeUpdateSlot,
    SubscribeUpdateTransaction,
)
from mevstream.schemas.raw_pb2 import Commitment
from mevstream.topologies.raw.batches import SlotHeader
from mevstream.topologies.raw.hashes import parse_hash
from mevstream.topologies.raw.slots import SlotAssembler
from mevstream.topologies.raw.streams import ByteStream

_UPDATES = {
    field.number: field.name
    for field in SubscribeUpdate.DESCRIPTOR.oneofs_by_name["update_oneof"].fields
}
_UPDATE_MASK = sum(1 << number for number in _UPDATES)
# Fields of SubscribeUpdateTransaction and of SubscribeUpdateBlock.
_TRANSACTION = 1
_TRANSACTIONS, _REWARDS, _ACCOUNTS, _ENTRIES = 6, 3, 11, 13

_COMMITMENTS = {
    SlotStatus.SLOT_CONFIRMED: Commitment.COMMITMENT_CONFIRMED,
    SlotStatus.SLOT_FINALIZED: Commitment.COMMITMENT_FINALIZED,
}


def read_updates(
    stream: ByteStream,
    assembler: SlotAssembler,
    counts: Counter[str],
    *,
    slot: int | None,
    max_bytes: int,
) -> Iterator[bytes]:
    """Feeds a stream to the assembler and passes on the batches that get ready.

    `slot` stands in for updates without one. Updates that carry no transaction are counted under
    their kind. Raises InputError where the stream is cut off or a message of it is malformed.
    """
    reader = _UpdateReader(stream.name, assembler, counts, slot)
    number = 0
    while length := stream.read(4):
        number += 1
        size = int.from_bytes(length, "big")
        place = f"{stream.name}: message {number}"
        if len(length) < 4:
            raise InputError(f"{place} is cut off within its length")
        if size > max_bytes:
            raise InputError(f"{place} announces {size} bytes, more than the limit of {max_bytes}")
        message = stream.read(size)
        if len(message) < size:
            raise InputError(f"{place} is cut off: {len(message)} of {size} bytes")
        try:
            reader.update(message, f"message {number}")
        except (ValueError, DecodeError) as error:
            raise InputError(f"{place} is no SubscribeUpdate: {error}") from None
        yield from assembler.drain()


class _UpdateReader:
    def __init__(
        self, name: str, assembler: SlotAssembler, counts: Counter[str], slot: int | None
    ) -> None:
        self._name = name
        self._assembler = assembler
        self._counts = counts
        self._slot = slot

    def update(self, message: bytes, place: str) -> None:
        number, start, end = last_field(message, _UPDATE_MASK)
        kind = _UPDATES.get(number, "unknown")
        self._counts[f"updates.{kind}"] += 1
        match kind:
            case "transaction":
                self._transaction(message[start:end], place)
            case "block":
                self._block(message[start:end], place)
            case "block_meta":
                self._block_meta(SubscribeUpdateBlockMeta.FromString(message[start:end]))
            case "slot":
                self._slot_status(SubscribeUpdateSlot.FromString(message[start:end]))
            case _:
                pass

    def _transaction(self, update: bytes, place: str) -> None:
        parts = split(update, _TRANSACTION)
        slot = SubscribeUpdateTransaction.FromString(parts.rest).slot
        if not len(parts):
            raise ValueError("transaction update without a transaction")
        # Repeated, which no writer does, they are one message.
        info = b"".join(parts.payload(i) for i in range(len(parts)))
        index, payload = confirmed_transaction(info)
        slot = self._require_slot(slot, place)
        self._assembler.advance(slot)
        self._assembler.add(self._header(slot), index, payload, self._name, place)

    def _block(self, update: bytes, place: str) -> None:
        parts = split(update, _TRANSACTIONS, (_REWARDS, _ACCOUNTS, _ENTRIES))
        block = SubscribeUpdateBlock.FromString(parts.rest)
        slot = self._require_slot(block.slot, place)
        self._assembler.advance(slot)
        header = self._describe(slot, block)
        for i in range(len(parts)):
            index, payload = confirmed_transaction(parts.payload(i))
            self._assembler.add(header, index, payload, self._name, place)
        if len(parts):
            self._assembler.complete(slot, len(parts))
        elif not block.executed_transaction_count:
            self._assembler.empty(header, self._name)

    def _block_meta(self, meta: SubscribeUpdateBlockMeta) -> None:
        if meta.slot:
            self._assembler.advance(meta.slot)
            self._describe(meta.slot, meta)
            self._assembler.complete(meta.slot, meta.executed_transaction_count)

    def _slot_status(self, update: SubscribeUpdateSlot) -> None:
        name = SlotStatus.Name(update.status) if update.status in SlotStatus.values() else "unknown"
        self._counts[f"slots.{name.removeprefix('SLOT_').lower()}"] += 1
        if not update.slot:
            return
        self._assembler.advance(update.slot)
        header = self._header(update.slot)
        if update.HasField("parent"):
            header.parent_slot = update.parent
        if update.status == SlotStatus.SLOT_DEAD:
            header.commitment = Commitment.COMMITMENT_DEAD
            self._assembler.dead(update.slot)
        else:
            told = _COMMITMENTS.get(update.status, Commitment.COMMITMENT_PROCESSED)
            header.commitment = max(header.commitment, told)

    def _describe(
        self, slot: int, block: SubscribeUpdateBlock | SubscribeUpdateBlockMeta
    ) -> SlotHeader:
        header = self._header(slot)
        header.parent_slot = block.parent_slot
        header.blockhash = parse_hash(block.blockhash, f"{self._name}: blockhash of {slot}")
        header.parent_blockhash = parse_hash(
            block.parent_blockhash, f"{self._name}: parent blockhash of {slot}"
        )
        if block.HasField("block_time"):
            header.block_time = block.block_time.timestamp
        if block.HasField("block_height"):
            header.block_height = block.block_height.block_height
        return header

    def _header(self, slot: int) -> SlotHeader:
        # A subscription may ask for processed transactions, and the updates do not say.
        return self._assembler.header(slot, Commitment.COMMITMENT_PROCESSED)

    def _require_slot(self, slot: int, place: str) -> int:
        # proto3 does not write a zero, so 0 means that none was told.
        slot = slot or self._slot or 0
        if not slot:
            raise InputError(
                f"{self._name}: {place} names no slot, nor does the file name; give it with --slot"
            )
        return slot
