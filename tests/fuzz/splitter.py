"""Targets: the splitter of protobuf messages and base58, the compiled parts of the input edges."""

from random import Random
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from fuzz.mutate import Mutator, flip_bytes, mutate_wire
from fuzz.oracle import Finding, exact
from fuzz.seeds import made_transactions, real_transactions, shared_data
from mevstream.cext import base58, split
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock, ConfirmedTransaction
from mevstream.schemas.geyser_pb2 import SubscribeUpdateTransactionInfo

TRANSACTIONS = 4
BLOCK_FIELDS = range(1, 9)


def _message_with(number: int) -> Any:
    """A message type whose only field is `repeated bytes payloads` under that number.

    All other fields are unknown to it: protobuf checks how they are framed, and nothing inside.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"payloads{number}.proto", syntax="proto3")
    field = file.message_type.add(name=f"Payloads{number}").field.add(name="payloads")
    field.number = number
    field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"Payloads{number}"))


def _read(message: Any, data: bytes) -> Any:
    try:
        return message.FromString(data)
    except DecodeError:
        return None


class SplitTarget:
    """A block cut at its top level, held against protobuf with a message of that one field."""

    name = "split"
    inputs_a_turn = 16

    def __init__(self, random: Random) -> None:
        self.random = random
        shared = shared_data()
        transactions = made_transactions() + (real_transactions(shared, 50) if shared else [])
        self.mutator = Mutator(transactions, random)
        self.payloads = _message_with(TRANSACTIONS)

    def generate(self) -> bytes:
        random = self.random
        block = ConfirmedBlock(blockhash="1" * 32, parent_slot=41)
        block.block_time.timestamp = 1_700_000_000
        data = block.SerializeToString()
        for _ in range(random.randrange(4)):
            payload = random.choice(self.mutator.seeds)
            data += ConfirmedBlock(
                transactions=[ConfirmedTransaction.FromString(payload)]
            ).SerializeToString()
        for _ in range(random.choice((1, 2, 4))):
            data = mutate_wire(data, ConfirmedBlock.DESCRIPTOR, random, deeper=0.2)
        return flip_bytes(data, random) if random.random() < 0.1 else data

    def check(self, data: bytes) -> int:
        known = _read(self.payloads, data)
        try:
            extents = split.split(data, TRANSACTIONS)
        except ValueError:
            if known is not None:
                raise Finding("split refuses what protobuf reads", data) from None
            return 1
        if known is None:
            raise Finding("split reads what protobuf refuses", data)
        if [extents.payload(i) for i in range(len(extents))] != list(known.payloads):
            raise Finding("split finds other payloads than protobuf", data)
        joined = extents.rest + extents.run(0, len(extents))
        whole, parts = _read(ConfirmedBlock, data), _read(ConfirmedBlock, joined)
        if (whole is None) != (parts is None) or (
            whole is not None and whole.SerializeToString() != parts.SerializeToString()
        ):
            raise Finding("split loses a field", data)
        mask = sum(1 << number for number in BLOCK_FIELDS)
        number, start, end = split.last_field(data, mask)
        if number and not (number in BLOCK_FIELDS and 0 <= start <= end <= len(data)):
            raise Finding("last_field points outside the message", data)
        return 1


class TransactionInfoTarget:
    """A Yellowstone transaction turned into a ConfirmedTransaction without parsing it."""

    name = "info"
    inputs_a_turn = 16

    def __init__(self, random: Random) -> None:
        self.random = random
        self.transactions = [ConfirmedTransaction.FromString(data) for data in made_transactions()]

    def generate(self) -> bytes:
        random = self.random
        transaction = random.choice(self.transactions)
        info = SubscribeUpdateTransactionInfo(
            signature=bytes(64),
            transaction=transaction.transaction,
            meta=transaction.meta,
            index=random.randrange(2000),
        )
        data = info.SerializeToString()
        for _ in range(random.choice((1, 2, 4))):
            data = mutate_wire(data, info.DESCRIPTOR, random, deeper=0.5)
        return data

    def check(self, data: bytes) -> int:
        info = _read(SubscribeUpdateTransactionInfo, data)
        try:
            index, confirmed = split.confirmed_transaction(exact(data))
        except ValueError:
            if info is not None:
                raise Finding("refuses what protobuf reads", data) from None
            return 1
        if info is None:
            # Only the top level is looked at here; the decoder refuses the rest.
            return 1
        expected = ConfirmedTransaction(
            transaction=info.transaction if info.HasField("transaction") else None,
            meta=info.meta if info.HasField("meta") else None,
        )
        found = _read(ConfirmedTransaction, confirmed)
        if index != info.index or found is None:
            raise Finding("index or transaction lost", data)
        if found.SerializeToString() != expected.SerializeToString():
            raise Finding("another transaction than protobuf has", data)
        return 1


class Base58Target:
    """Text to bytes, held against arithmetic on whole numbers."""

    name = "base58"
    inputs_a_turn = 16
    ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

    def __init__(self, random: Random) -> None:
        self.random = random

    def generate(self) -> bytes:
        random = self.random
        length = random.choice((0, 1, 31, 32, 43, 44, 45, 87, 88, 89, random.randrange(2000)))
        digits = random.choices(self.ALPHABET, k=length)
        if digits and random.random() < 0.2:
            digits[random.randrange(length)] = random.choice("0OIl é\0\uffff")
        if random.random() < 0.3:
            ones = random.randrange(length + 1)
            digits[:ones] = "1" * ones
        return "".join(digits).encode()

    def check(self, data: bytes) -> int:
        text = data.decode()
        expected = self._decode(text)
        for size in (None, 32, 64):
            try:
                found = base58.decode(text) if size is None else base58.decode_sized(text, size)
            except ValueError:
                found = None
            wanted = expected if size is None or len(expected or b"") == size else None
            if found != wanted:
                raise Finding("wrong", data, f"{found!r}, arithmetic has {wanted!r}")
        return 3

    def _decode(self, text: str) -> bytes | None:
        number = 0
        for digit in text:
            place = self.ALPHABET.find(digit)
            if place < 0:
                return None
            number = number * 58 + place
        zeros = len(text) - len(text.lstrip("1"))
        return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
