"""Mutations of a ConfirmedTransaction on three levels: its meaning, its wire format, its bytes.

Deterministic: the same seed and the same inputs give the same mutants.
"""

from base64 import b64encode
from collections.abc import Sequence
from random import Random
from struct import pack
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from fuzz.dictionary import (
    AMOUNTS,
    EVENT_PREFIXES,
    INTEGERS,
    KEY_TEXTS,
    LOGS,
    PREFIXES,
    PROGRAMS,
)
from fuzz.wire import fields_of, varint
from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction

# A mutant may grow, but not without end: it is mutated again and again.
MAX_BYTES = 1 << 16


class Mutator:
    """Makes mutants of `seeds`, serialised ConfirmedTransactions, which `keep` extends."""

    def __init__(self, seeds: Sequence[bytes], random: Random, *, kept: int = 4000) -> None:
        self.seeds = list(seeds)
        self.random = random
        self._originals = len(self.seeds)
        self._capacity = self._originals + kept

    def keep(self, mutant: bytes) -> None:
        """A mutant that led somewhere new becomes a seed; the oldest such one goes when full."""
        if len(self.seeds) < self._capacity:
            self.seeds.append(mutant)
        else:
            self.seeds[self.random.randrange(self._originals, self._capacity)] = mutant

    def mutant(self) -> bytes:
        """A serialised ConfirmedTransaction, or what is left of one."""
        random = self.random
        data = random.choice(self.seeds)
        kind = random.random()
        if kind < 0.55:
            data = self._meaning(data)
        if kind > 0.45:
            data = mutate_wire(data, ConfirmedTransaction.DESCRIPTOR, random)
        if kind > 0.88:
            data = flip_bytes(data, random)
        return data[:MAX_BYTES]

    def _meaning(self, data: bytes) -> bytes:
        message = ConfirmedTransaction()
        try:
            message.ParseFromString(data)
        except DecodeError:
            return data
        for _ in range(self.random.choice((1, 1, 2, 4, 8))):
            self.random.choice(_MEANINGS)(message, self.random)
        return message.SerializeToString()


def flip_bytes(data: bytes, random: Random) -> bytes:
    """Bytes changed, inserted, removed, repeated or cut off, without regard to any format."""
    mutant = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        if not mutant:
            return random.randbytes(random.randrange(8))
        at = random.randrange(len(mutant))
        match random.randrange(7):
            case 0:
                mutant[at] = random.randrange(256)
            case 1:
                mutant[at] ^= 1 << random.randrange(8)
            case 2:
                mutant[at:at] = random.randbytes(random.randrange(1, 5))
            case 3:
                del mutant[at : at + random.randrange(1, 9)]
            case 4:
                mutant[at:at] = mutant[at : at + random.randrange(1, 64)]
            case 5:
                mutant[at : at + 1] = varint(random.choice(INTEGERS))
            case _:
                del mutant[at:]
    return bytes(mutant)


# -- wire format: fields moved, doubled, retyped, with the enclosing lengths kept right ------------


def mutate_wire(
    data: bytes, descriptor: Any, random: Random, deeper: float = 0.8, last: bool | None = None
) -> bytes:
    """Changes one field, at each level with the chance `deeper` of one inside it instead.

    Now and then (`last`, chosen at random if None) what was changed becomes the last field of every
    message around it: reading past it is then reading past the end.
    """
    fields = fields_of(data)
    if not fields:
        return flip_bytes(data, random)
    if last is None:
        last = random.random() < 0.2
    number, wire_type, start, value, end = random.choice(fields)
    field = descriptor.fields_by_number.get(number)
    if (
        field is not None
        and field.type == FieldDescriptor.TYPE_MESSAGE
        and wire_type == 2
        and random.random() < deeper
    ):
        inside = mutate_wire(data[value:end], field.message_type, random, deeper, last)
        changed = varint(number << 3 | 2) + varint(len(inside)) + inside
    elif last and random.random() < 0.5:
        changed = data[start:end]
    else:
        changed = _change_field(number, wire_type, data[value:end], random)
    place = 1 if last else random.randrange(8)
    match place:
        case 0:
            return data[:end] + changed + data[end:]
        case 1:
            return data[:start] + data[end:] + changed
        case 2:
            return changed + data[:start] + data[end:]
        case _:
            return data[:start] + changed + data[end:]


def _change_field(number: int, wire_type: int, value: bytes, random: Random) -> bytes:
    tag = varint(number << 3 | wire_type)
    length = varint(len(value)) if wire_type == 2 else b""
    match random.randrange(14):
        case 0:
            return b""
        case 1:
            return varint(number << 3 | wire_type, random.randrange(2, 12)) + length + value
        case 2 if wire_type == 2:
            return tag + varint(len(value), random.randrange(2, 12)) + value
        case 3 if wire_type == 2:
            return tag + varint(random.choice(INTEGERS)) + value
        case 4:
            return tag + (
                varint(random.choice(INTEGERS)) if wire_type == 0 else length + value[:-1]
            )
        case 5:
            return varint(number << 3) + varint(
                random.choice(INTEGERS), random.choice((0, 5, 10, 11))
            )
        case 6:
            return varint(number << 3 | random.choice((1, 5))) + random.randbytes(
                random.choice((4, 8))
            )
        case 7:
            # A group, well formed or not; how deep groups may nest is bounded in protobuf.
            depth = random.choice((1, 1, 2, 99, 100, 101, 200))
            closing = random.choice((number, number, number + 1)) << 3 | 4
            return varint(number << 3 | 3) * depth + varint(closing) * depth
        case 8:
            return varint(random.choice(INTEGERS) & 0xFFFFFFFF) + length + value
        case 9:
            return (
                random.choice((b"\x00", b"\x07", b"\x06\x01", b"\xfa\x7f\x00"))
                + tag
                + length
                + value
            )
        case 10 if wire_type == 2:
            changed = flip_bytes(value, random)
            return tag + varint(len(changed)) + changed
        case 11 if wire_type == 2:
            return tag + b"\x00"
        case 12:
            return varint(random.randrange(1, 50) << 3 | wire_type) + length + value
        case _:
            return (tag + length + value) * random.choice((2, 2, 3, 40))


# -- meaning: well-formed transactions that no validator would produce -----------------------------


def _instruction(message: Any, random: Random) -> Any | None:
    """A top-level or an inner instruction."""
    groups = message.meta.inner_instructions
    if groups and random.random() < 0.6:
        instructions = random.choice(groups).instructions
    else:
        instructions = message.transaction.message.instructions
    return random.choice(instructions) if instructions else None


def _data(message: Any, random: Random) -> None:
    instruction = _instruction(message, random)
    if instruction is None:
        return
    data = instruction.data
    match random.randrange(7):
        case 0:
            instruction.data = flip_bytes(data, random)
        case 1:
            prefix = random.choice(PREFIXES)
            instruction.data = prefix + data[len(prefix) :]
        case 2:
            instruction.data = data[: random.randrange(len(data) + 1)]
        case 3:
            instruction.data = data + random.randbytes(random.choice((1, 8, 32, 300)))
        case 4:
            at = random.choice((1, 2, 4, 8, 16, 24))
            instruction.data = data[:at] + pack("<Q", random.choice(INTEGERS)) + data[at + 8 :]
        case 5:
            other = _instruction(message, random)
            instruction.data = other.data if other is not None else b""
        case _:
            instruction.data = random.choice(PREFIXES) + random.randbytes(random.randrange(300))


def _accounts(message: Any, random: Random) -> None:
    instruction = _instruction(message, random)
    if instruction is None:
        return
    accounts = bytearray(instruction.accounts)
    match random.randrange(6):
        case 0:
            random.shuffle(accounts)
        case 1:
            del accounts[random.randrange(len(accounts) + 1) :]
        case 2:
            accounts += random.randbytes(random.choice((1, 5, 30, 300)))
        case 3 if accounts:
            accounts[random.randrange(len(accounts))] = random.choice((0, 1, 63, 64, 127, 128, 255))
        case 4 if len(accounts) > 1:
            accounts[random.randrange(len(accounts))] = random.choice(accounts)
        case _:
            accounts.reverse()
    instruction.accounts = bytes(accounts)


def _program(message: Any, random: Random) -> None:
    instruction = _instruction(message, random)
    keys = message.transaction.message.account_keys
    if instruction is None:
        return
    if keys and random.random() < 0.7:
        keys[min(instruction.program_id_index, len(keys) - 1)] = random.choice(PROGRAMS)
    elif random.random() < 0.5:
        instruction.program_id_index = random.randrange(len(keys) + 1)
    else:
        instruction.program_id_index = random.choice(INTEGERS) & 0xFFFFFFFF


def _keys(message: Any, random: Random) -> None:
    body = message.transaction.message
    meta = message.meta
    keys = random.choice(
        (body.account_keys, meta.loaded_writable_addresses, meta.loaded_readonly_addresses)
    )
    match random.randrange(6):
        case 0 if keys:
            del keys[random.randrange(len(keys))]
        case 1 if keys:
            at = random.randrange(len(keys))
            keys[at] = random.choice((keys[at][:31], keys[at] + b"\0", b"", keys[0]))
        case 2 if keys:
            keys[random.randrange(len(keys))] = random.choice(PROGRAMS)
        case 3:
            keys.extend(random.randbytes(32) for _ in range(random.choice((1, 2, 64, 300))))
        case 4:
            del keys[random.randrange(len(keys) + 1) :]
        case _:
            keys.append(random.choice(PROGRAMS))


def _inner(message: Any, random: Random) -> None:
    groups = message.meta.inner_instructions
    if not groups or random.random() < 0.1:
        group = groups.add()
        group.index = random.choice((0, 1, 2, 255, 2**32 - 1))
        return
    group = random.choice(groups)
    match random.randrange(8):
        case 0:
            group.index = random.choice((0, 1, 2, 3, 255, 2**31, 2**32 - 1))
        case 1:
            groups.add().CopyFrom(group)
        case 2 if group.instructions:
            group.instructions.add().CopyFrom(random.choice(group.instructions))
        case 3 if group.instructions:
            del group.instructions[random.randrange(len(group.instructions)) :]
        case 4:
            del groups[random.randrange(len(groups))]
        case 5 if group.instructions:
            random.choice(group.instructions).ClearField("stack_height")
        case 6 if group.instructions:
            for instruction in group.instructions:
                instruction.stack_height = random.randrange(6)
        case _:
            if group.instructions:
                random.choice(group.instructions).stack_height = (
                    random.choice(INTEGERS) & 0xFFFFFFFF
                )


def _token_balances(message: Any, random: Random) -> None:
    meta = message.meta
    balances = random.choice((meta.pre_token_balances, meta.post_token_balances))
    if not balances:
        balances.add().account_index = random.randrange(4)
    balance = random.choice(balances)
    match random.randrange(9):
        case 0:
            balance.ui_token_amount.amount = random.choice(AMOUNTS)
        case 1:
            balance.mint = random.choice(KEY_TEXTS)
        case 2:
            balance.owner = random.choice(KEY_TEXTS)
        case 3:
            balance.program_id = random.choice(KEY_TEXTS)
        case 4:
            balance.account_index = random.choice((0, 1, 255, 256, 2**16, 2**31, 2**32 - 1))
        case 5:
            balance.ui_token_amount.decimals = random.choice((0, 9, 255, 256, 2**32 - 1))
        case 6:
            balances.add().CopyFrom(balance)
        case 7:
            balance.ClearField("ui_token_amount")
        case _:
            del balances[random.randrange(len(balances))]


def _logs(message: Any, random: Random) -> None:
    logs = message.meta.log_messages
    at = random.randrange(len(logs) + 1)
    match random.randrange(7):
        case 0:
            logs.insert(at, random.choice(LOGS))
        case 1:
            event = random.choice(EVENT_PREFIXES) + random.randbytes(
                random.choice((0, 8, 113, 300))
            )
            logs.insert(at, "Program data: " + b64encode(event).decode())
        case 2:
            ray_log = bytes([random.randrange(6)]) + random.randbytes(
                random.choice((0, 16, 56, 72))
            )
            logs.insert(at, "Program log: ray_log: " + b64encode(ray_log).decode())
        case 3 if logs:
            del logs[random.randrange(len(logs))]
        case 4 if logs:
            at = random.randrange(len(logs))
            logs[at] = logs[at][: random.randrange(len(logs[at]) + 1)]
        case 5 if logs:
            logs.insert(at, random.choice(logs))
        case _:
            if logs:
                at = random.randrange(len(logs))
                line = flip_bytes(logs[at].encode(), random)
                logs[at] = line.decode("utf-8", "replace")


def _meta(message: Any, random: Random) -> None:
    meta = message.meta
    match random.randrange(9):
        case 0:
            meta.err.err = random.choice(
                (b"", b"\x08\0\0\0", b"\x08\0\0\0\x02\x19\0\0\0\x71\x17\0\0", random.randbytes(13))
            )
        case 1:
            meta.ClearField("err")
        case 2:
            meta.fee = random.choice(INTEGERS)
        case 3:
            meta.compute_units_consumed = random.choice(INTEGERS)
        case 4:
            meta.ClearField("compute_units_consumed")
        case 5:
            balances = random.choice((meta.pre_balances, meta.post_balances))
            del balances[random.randrange(len(balances) + 1) :]
        case 6:
            balances = random.choice((meta.pre_balances, meta.post_balances))
            balances.append(random.choice(INTEGERS))
        case 7:
            meta.inner_instructions_none = not meta.inner_instructions_none
        case _:
            message.ClearField("meta")


def _body(message: Any, random: Random) -> None:
    transaction = message.transaction
    body = transaction.message
    match random.randrange(8):
        case 0:
            body.versioned = not body.versioned
        case 1:
            body.config.compute_unit_limit = random.choice(INTEGERS) & 0xFFFFFFFF
            body.config.priority_fee = random.choice(INTEGERS)
        case 2:
            body.header.num_required_signatures = random.choice((0, 1, 255, 2**32 - 1))
        case 3:
            transaction.signatures.append(random.randbytes(random.choice((0, 1, 63, 64, 65))))
        case 4:
            del transaction.signatures[random.randrange(len(transaction.signatures) + 1) :]
        case 5 if body.instructions:
            body.instructions.add().CopyFrom(random.choice(body.instructions))
        case 6 if body.instructions:
            del body.instructions[random.randrange(len(body.instructions))]
        case _:
            message.ClearField("transaction")


_MEANINGS = (
    _data,
    _data,
    _data,
    _accounts,
    _accounts,
    _program,
    _program,
    _keys,
    _inner,
    _inner,
    _token_balances,
    _token_balances,
    _logs,
    _logs,
    _meta,
    _body,
)
