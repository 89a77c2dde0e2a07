"""What the batches of the chain say about themselves, under the same names."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from mevstream.errors import InputError
from mevstream.schemas.features_pb2 import FeatureBatch
from mevstream.schemas.opportunities_pb2 import OpportunityBatch
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.schemas.raw_pb2 import RawBatch

ENVELOPE = (
    "slot",
    "parent_slot",
    "block_time",
    "seq",
    "last",
    "source",
    "received_ns",
    "blockhash",
    "parent_blockhash",
    "block_height",
    "chain",
    "commitment",
    "partition",
    "partitions",
)
"""What a stage passes on from a ParsedBatch to what follows from it, under the same names."""


class EnvelopeView:
    """The envelope of a batch: slot, parent_slot, seq (position of the batch in its slot), last
    (it closes the slot), block_time (Unix seconds), blockhash, parent_blockhash (32 bytes or
    none), block_height, chain, commitment (schemas.raw_pb2.Commitment), source, received_ns
    (nanoseconds since the epoch). None is what the source did not tell."""

    slot: int
    parent_slot: int
    seq: int
    last: bool
    block_time: int | None
    blockhash: bytes
    parent_blockhash: bytes
    block_height: int | None
    chain: str
    commitment: int
    source: str
    received_ns: int

    def __init__(self, message: RawBatch | ParsedBatch | FeatureBatch | OpportunityBatch) -> None:
        self.slot = message.slot
        self.parent_slot = message.parent_slot
        self.seq = message.seq
        self.last = message.last
        self.block_time = message.block_time if message.HasField("block_time") else None
        self.blockhash = message.blockhash
        self.parent_blockhash = message.parent_blockhash
        self.block_height = message.block_height if message.HasField("block_height") else None
        self.chain = message.chain or "solana"
        self.commitment = message.commitment
        self.source = message.source
        self.received_ns = message.received_ns


def envelope_bytes(message_class: type[Message], envelope: Mapping[str, Any]) -> bytes:
    """The bytes of a message with these fields; None leaves a field out.

    Raises InputError, naming the field, for one that the message does not have or a value that
    does not fit it.
    """
    try:
        return message_class(**envelope).SerializeToString()
    except (TypeError, ValueError) as error:
        cause = error
    for name, value in envelope.items():
        try:
            message_class(**{name: value})
        except (TypeError, ValueError) as error:
            raise InputError(f"{message_class.DESCRIPTOR.name}: {name}: {error}") from None
    raise InputError(f"{message_class.DESCRIPTOR.name}: {cause}")
