"""Changes to a transaction that leave its swaps what they are.

Each returns a new message; `moved` of it tells where an instruction's ix path has gone.
"""

import re
import struct
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from fuzz.wire import fields_of, read_varint, varint
from reference.transaction import TOKEN_PROGRAMS, Tx
from solders.pubkey import Pubkey

from mevstream.schemas.confirmed_block_pb2 import (
    ConfirmedTransaction,
    InnerInstruction,
    InnerInstructions,
)

Path = tuple[int, int | None]
WRAPPER = Pubkey.from_string("Wrapper111111111111111111111111111111111111")


class Mutated(NamedTuple):
    message: ConfirmedTransaction
    moved: Callable[[Path], Path] = lambda path: path


def copy(message: ConfirmedTransaction) -> ConfirmedTransaction:
    made = ConfirmedTransaction()
    made.CopyFrom(message)
    return made


def reordered_accounts(message: ConfirmedTransaction, random: Random) -> Mutated:
    """The static accounts after the fee payer in another order."""
    made = copy(message)
    body, meta = made.transaction.message, made.meta
    count = len(body.account_keys)
    order = [0, *random.sample(range(1, count), count - 1)]
    place = {old: new for new, old in enumerate(order)}
    keys = list(body.account_keys)
    body.account_keys[:] = [keys[old] for old in order]
    for ix in _instructions(made):
        ix.program_id_index = place.get(ix.program_id_index, ix.program_id_index)
        ix.accounts = bytes(place.get(index, index) for index in ix.accounts)
    for balance in [*meta.pre_token_balances, *meta.post_token_balances]:
        balance.account_index = place.get(balance.account_index, balance.account_index)
    for balances in (meta.pre_balances, meta.post_balances):
        if len(balances) >= count:
            balances[:count] = [balances[old] for old in order]
    return Mutated(made)


def loaded_accounts(message: ConfirmedTransaction, random: Random) -> Mutated:
    """The last static accounts come from a lookup table (programs and all: indexes stay)."""
    made = copy(message)
    body, meta = made.transaction.message, made.meta
    kept = random.randrange(1, len(body.account_keys) + 1)
    keys, loaded = list(body.account_keys), list(meta.loaded_writable_addresses)
    body.account_keys[:] = keys[:kept]
    meta.loaded_writable_addresses[:] = [*keys[kept:], *loaded]
    body.versioned = True
    body.address_table_lookups.add(account_key=bytes(32), writable_indexes=bytes(len(keys) - kept))
    return Mutated(made)


def wrapped(message: ConfirmedTransaction, random: Random) -> Mutated:
    """A top-level instruction is called by an unknown program instead."""
    made = copy(message)
    body, meta = made.transaction.message, made.meta
    tx = Tx(message)
    swaps = sorted({ix.outer for ix in tx.instructions if ix.data})
    outer = random.choice(swaps)
    meta.loaded_readonly_addresses.append(bytes(WRAPPER))
    wrapper = len(tx.accounts)
    called = body.instructions[outer]
    group = _group(made, outer)
    inner = [copy_inner(ix) for ix in group.instructions]
    del group.instructions[:]
    group.instructions.add(
        program_id_index=called.program_id_index,
        accounts=called.accounts,
        data=called.data,
        stack_height=2,
    )
    for ix in inner:
        ix.stack_height = (ix.stack_height or 2) + 1
        group.instructions.append(ix)
    called.program_id_index, called.data = wrapper, random.randbytes(9)
    meta.log_messages[:] = list(_wrapped_logs(list(meta.log_messages), outer))

    def moved(path: Path) -> Path:
        if path[0] != outer:
            return path
        return outer, 0 if path[1] is None else path[1] + 1

    return Mutated(made, moved)


def _wrapped_logs(lines: list[str], outer: int) -> Iterator[str]:
    """Logs as they are with one more program around instruction `outer`."""
    position, depth = -1, 0
    for line in lines:
        invoke = re.match(r"^Program (\w+) invoke \[(\d+)\]$", line)
        if invoke:
            depth = int(invoke[2])
            position += depth == 1
            if position == outer:
                if depth == 1:
                    yield f"Program {WRAPPER} invoke [1]"
                yield f"Program {invoke[1]} invoke [{depth + 1}]"
                continue
        yield line
        if re.match(r"^Program \w+ (success|failed)", line):
            if depth == 1 and position == outer:
                yield f"Program {WRAPPER} success"
            depth -= 1


def split_transfer(message: ConfirmedTransaction, random: Random) -> Mutated:
    """One nested token transfer is made in two parts."""
    made = copy(message)
    tx = Tx(message)
    found = [
        ix
        for ix in tx.instructions
        if ix.inner is not None
        and (t := tx.transfer(ix))
        and t.amount > 1
        and not t.fee
        and ix.data[0] != 26
    ]
    if not found:
        return Mutated(made)
    chosen = random.choice(found)
    outer, at = chosen.outer, chosen.inner or 0
    group = _group(made, outer)
    inner = [copy_inner(ix) for ix in group.instructions]
    first, second = inner[at], copy_inner(inner[at])
    (amount,) = struct.unpack_from("<Q", first.data, 1)
    part = random.randrange(1, amount)
    for half, size in ((first, part), (second, amount - part)):
        half.data = half.data[:1] + struct.pack("<Q", size) + half.data[9:]
    del group.instructions[:]
    group.instructions.extend([*inner[: at + 1], second, *inner[at + 1 :]])

    def moved(path: Path) -> Path:
        later = path[0] == outer and path[1] is not None and path[1] > at
        return (outer, (path[1] or 0) + 1) if later else path

    return Mutated(made, moved)


def checked_transfers(message: ConfirmedTransaction, random: Random) -> Mutated:
    """Plain transfers name their mint; those of Token-2022 name a fee of nothing as well."""
    made = copy(message)
    tx = Tx(message)
    mints: dict[str, int] = {}
    for ix in tx.instructions:
        transfer = tx.transfer(ix)
        if ix.inner is None or transfer is None or transfer.mint is None or random.random() < 0.2:
            continue
        if transfer.mint not in mints:
            mints[transfer.mint] = len(tx.accounts) + len(mints)
            mint = Pubkey.from_string(transfer.mint)
            made.meta.loaded_readonly_addresses.append(bytes(mint))
        if mints[transfer.mint] > 255:
            continue
        changed = _group(made, ix.outer).instructions[ix.inner]
        decimals = bytes([tx.decimals.get(transfer.mint, 0)])
        if changed.data[0] == 3:
            source, destination, *rest = changed.accounts
            changed.accounts = bytes([source, mints[transfer.mint], destination, *rest])
            changed.data = b"\x0c" + changed.data[1:9] + decimals
        if changed.data[0] == 12 and ix.program == TOKEN_PROGRAMS[1] and not transfer.fee:
            changed.data = b"\x1a\x01" + changed.data[1:10] + bytes(8)
    return Mutated(made)


def _instructions(message: ConfirmedTransaction) -> Iterator[InnerInstruction]:
    """Top-level and inner instructions, which have the same fields."""
    yield from message.transaction.message.instructions  # type: ignore[misc]
    for group in message.meta.inner_instructions:
        yield from group.instructions


def _group(message: ConfirmedTransaction, outer: int) -> InnerInstructions:
    for group in message.meta.inner_instructions:
        if group.index == outer:
            return group
    return message.meta.inner_instructions.add(index=outer)


def copy_inner(ix: InnerInstruction) -> InnerInstruction:
    made = InnerInstruction()
    made.CopyFrom(ix)
    return made


# -- the same message in other bytes ----------------------------------------------------------


# pre_balances, post_balances.
LAMPORTS = (3, 4)


def scrambled(data: bytes, kind: Any, random: Random) -> bytes:
    """`data` with its fields in another order, unknown ones between them, at every depth, and
    balances one by one instead of packed.

    kind: protobuf's descriptor of the message.
    Fields of one number keep their order among themselves, as protobuf demands.
    """
    fields: dict[int, list[bytes]] = {}
    for number, wire, start, value, end in fields_of(data):
        known = kind.fields_by_number.get(number)
        if wire == 2 and known is not None and known.message_type is not None:
            inner = scrambled(data[value:end], known.message_type, random)
            encoded = varint(number << 3 | 2) + varint(len(inner)) + inner
        elif wire == 2 and kind.name == "TransactionStatusMeta" and number in LAMPORTS:
            encoded = b"".join(varint(number << 3) + part for part in _varints(data[value:end]))
        else:
            encoded = data[start:end]
        fields.setdefault(number, []).append(encoded)
    for _ in range(random.randrange(3)):
        fields.setdefault(random.choice([100, 2047, 2048, 70_000, (1 << 29) - 1]), []).append(b"")
    queue = [number for number, parts in fields.items() for _ in parts]
    random.shuffle(queue)
    made = bytearray()
    for number in queue:
        part = fields[number].pop(0)
        made += part or _unknown(number, random)
    return bytes(made)


def _unknown(number: int, random: Random) -> bytes:
    wire = random.choice([0, 1, 2, 5])
    size = random.randrange(20)
    value = {
        0: varint(random.getrandbits(64)),
        1: random.randbytes(8),
        2: varint(size) + random.randbytes(size),
        5: random.randbytes(4),
    }[wire]
    return varint(number << 3 | wire) + value


def _varints(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        start = at
        _, at = read_varint(data, at)
        yield data[start:at]
