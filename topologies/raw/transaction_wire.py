"""Transactions in the form that is signed and sent, into the protobuf form.

Layouts: legacy and v0 (docs of Solana, "transaction structure"), v1 (SIMD-0385):

legacy  shortvec signatures of 64 bytes, then the message: 3 header bytes, shortvec keys,
        blockhash, shortvec instructions {program u8, shortvec accounts, shortvec data}
v0      the same with 0x80 before the message and, after it, shortvec lookups
        {table key, shortvec writable, shortvec readonly}
v1      0x81, 3 header bytes, mask u32, blockhash, instruction and key counts u8, keys, config
        values, headers {program u8, accounts u8, data u16}, payloads, and signatures at the end
"""

from collections.abc import Callable

from mevstream.schemas.confirmed_block_pb2 import (
    CompiledInstruction,
    Message,
    MessageAddressTableLookup,
    MessageHeader,
    Transaction,
    TransactionConfig,
)

_VERSION_BIT = 0x80
_V1 = 0x81
# Bits of the v1 config mask; the priority fee (u64) takes the first two.
_PRIORITY_FEE, _UNIT_LIMIT, _DATA_LIMIT, _HEAP_SIZE = 0b11, 0b100, 0b1000, 0b10000
_KNOWN_CONFIG = _PRIORITY_FEE | _UNIT_LIMIT | _DATA_LIMIT | _HEAP_SIZE


def parse_transaction(data: bytes) -> Transaction:
    """Returns `data` as a Transaction message.

    Of a version not known here only the signatures are taken, if they come first; the message is
    left out. Raises ValueError where `data` is cut off or longer than the transaction.
    """
    try:
        if data[0] == _V1:
            return _parse_v1(data)
        if data[0] > _V1:
            return Transaction()
        count, at = _shortvec(data, 0)
        signatures: list[bytes] = []
        for _ in range(count):
            signatures.append(data[at : at + 64])
            at += 64
        if data[at] > _VERSION_BIT:
            return Transaction(signatures=signatures)
        message = _parse_message(data, at)
    except IndexError:
        raise ValueError(f"transaction of {len(data)} bytes is cut off") from None
    return Transaction(signatures=signatures, message=message)


def _parse_message(data: bytes, at: int) -> Message:
    versioned = data[at] == _VERSION_BIT
    if versioned:
        at += 1
    header = _header(data, at)
    count, at = _shortvec(data, at + 3)
    keys, at = _keys(data, at, count)
    blockhash = data[at : at + 32]
    count, at = _shortvec(data, at + 32)
    instructions: list[CompiledInstruction] = []
    for _ in range(count):
        program = data[at]
        accounts, at = _bytes(data, at + 1)
        payload, at = _bytes(data, at)
        instructions.append(
            CompiledInstruction(program_id_index=program, accounts=accounts, data=payload)
        )
    lookups: list[MessageAddressTableLookup] = []
    if versioned:
        count, at = _shortvec(data, at)
        for _ in range(count):
            table = data[at : at + 32]
            writable, at = _bytes(data, at + 32)
            readonly, at = _bytes(data, at)
            lookups.append(
                MessageAddressTableLookup(
                    account_key=table, writable_indexes=writable, readonly_indexes=readonly
                )
            )
    _check_end(data, at)
    return Message(
        header=header,
        account_keys=keys,
        recent_blockhash=blockhash,
        instructions=instructions,
        versioned=versioned,
        address_table_lookups=lookups,
    )


def _parse_v1(data: bytes) -> Transaction:
    header = _header(data, 1)
    mask = int.from_bytes(data[4:8], "little")
    if mask & ~_KNOWN_CONFIG or mask & _PRIORITY_FEE not in (0, _PRIORITY_FEE):
        raise ValueError(f"v1 transaction with the config mask {mask:#x}, which is not known")
    blockhash = data[8:40]
    instruction_count, key_count = data[40], data[41]
    keys, at = _keys(data, 42, key_count)
    config = TransactionConfig()

    def value(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(data[at - size : at], "little")

    _set_config(config, mask, value)
    headers = at
    at += 4 * instruction_count
    instructions: list[CompiledInstruction] = []
    for i in range(headers, at, 4):
        account_count, length = data[i + 1], data[i + 2] | data[i + 3] << 8
        accounts = data[at : at + account_count]
        at += account_count
        instructions.append(
            CompiledInstruction(
                program_id_index=data[i], accounts=accounts, data=data[at : at + length]
            )
        )
        at += length
    signatures = [data[i : i + 64] for i in range(at, at + 64 * data[1], 64)]
    _check_end(data, at + 64 * data[1])
    message = Message(
        header=header,
        account_keys=keys,
        recent_blockhash=blockhash,
        instructions=instructions,
        versioned=True,
        config=config,
    )
    return Transaction(signatures=signatures, message=message)


def _set_config(config: TransactionConfig, mask: int, value: Callable[[int], int]) -> None:
    if mask & _PRIORITY_FEE:
        config.priority_fee = value(8)
    if mask & _UNIT_LIMIT:
        config.compute_unit_limit = value(4)
    if mask & _DATA_LIMIT:
        config.loaded_accounts_data_size_limit = value(4)
    if mask & _HEAP_SIZE:
        config.heap_size = value(4)


def _header(data: bytes, at: int) -> MessageHeader:
    return MessageHeader(
        num_required_signatures=data[at],
        num_readonly_signed_accounts=data[at + 1],
        num_readonly_unsigned_accounts=data[at + 2],
    )


def _keys(data: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    end = at + 32 * count
    return [data[i : i + 32] for i in range(at, end, 32)], end


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _shortvec(data, at)
    return data[at : at + length], at + length


def _shortvec(data: bytes, at: int) -> tuple[int, int]:
    """A length of one to three bytes, seven bits a byte, in its shortest form; below 2**16."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value = byte & 0x7F
    byte = data[at + 1]
    value |= (byte & 0x7F) << 7
    at += 2
    if byte >= 0x80:
        byte = data[at]
        value |= byte << 14
        at += 1
    if byte == 0 or value > 0xFFFF:
        raise ValueError(f"malformed length before byte {at}")
    return value, at


def _check_end(data: bytes, at: int) -> None:
    # Slices past the end come out short without an error, so lengths are held against it here.
    if at != len(data):
        raise ValueError(f"transaction of {len(data)} bytes should have {at}")
