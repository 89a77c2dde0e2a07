"""The signed form of a simulated transaction: its bytes, its size, real signatures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from solders.keypair import Keypair

from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction, Message, Transaction

V1_PREFIX, V0_PREFIX = b"\x81", b"\x80"


def _shortvec(n: int) -> bytes:
    return bytes([n]) if n < 0x80 else bytes([n & 0x7F | 0x80, n >> 7])


def _with_length(data: bytes) -> bytes:
    return _shortvec(len(data)) + data


def message_bytes(message: Message) -> bytes:
    """What is signed: the message in the layout of its version (protocol facts 5.3)."""
    header = message.header
    head = bytes(
        [
            header.num_required_signatures,
            header.num_readonly_signed_accounts,
            header.num_readonly_unsigned_accounts,
        ]
    )
    if message.HasField("config"):
        return _v1_message(message, head)
    out = head + _shortvec(len(message.account_keys)) + b"".join(message.account_keys)
    out += message.recent_blockhash + _shortvec(len(message.instructions))
    for ix in message.instructions:
        out += bytes([ix.program_id_index]) + _with_length(ix.accounts) + _with_length(ix.data)
    if not message.versioned:
        return out
    out += _shortvec(len(message.address_table_lookups))
    for lookup in message.address_table_lookups:
        out += lookup.account_key + _with_length(lookup.writable_indexes)
        out += _with_length(lookup.readonly_indexes)
    return V0_PREFIX + out


def _v1_message(message: Message, head: bytes) -> bytes:
    config, mask, values = message.config, 0, b""
    if config.HasField("priority_fee"):
        mask |= 0b11
        values += config.priority_fee.to_bytes(8, "little")
    if config.HasField("compute_unit_limit"):
        mask |= 0b100
        values += config.compute_unit_limit.to_bytes(4, "little")
    if config.HasField("loaded_accounts_data_size_limit"):
        mask |= 0b1000
        values += config.loaded_accounts_data_size_limit.to_bytes(4, "little")
    if config.HasField("heap_size"):
        mask |= 0b10000
        values += config.heap_size.to_bytes(4, "little")
    out = V1_PREFIX + head + mask.to_bytes(4, "little") + message.recent_blockhash
    out += bytes([len(message.instructions), len(message.account_keys)])
    out += b"".join(message.account_keys) + values
    for ix in message.instructions:
        out += bytes([ix.program_id_index, len(ix.accounts)]) + len(ix.data).to_bytes(2, "little")
    return out + b"".join(ix.accounts + ix.data for ix in message.instructions)


def transaction_bytes(transaction: Transaction) -> bytes:
    """The packet: signatures before the message, behind it in version 1."""
    message = message_bytes(transaction.message)
    signatures = b"".join(transaction.signatures)
    if message[:1] == V1_PREFIX:
        return message + signatures
    return _shortvec(len(transaction.signatures)) + signatures + message


def sign_block(
    data: bytes, payloads: Iterable[memoryview], ends: Sequence[int], start: int,
    keypairs: Mapping[bytes, Keypair],
) -> bytes:  # fmt: skip
    """A block's bytes with every signature made by its keypair (keypairs: by public key)."""
    out = bytearray(data)
    begin = start
    for payload, end in zip(payloads, ends, strict=True):
        transaction = ConfirmedTransaction.FromString(bytes(payload)).transaction
        signed = message_bytes(transaction.message)
        # The old signatures stand one after another behind the first; find them from there.
        at = begin
        for i, old in enumerate(transaction.signatures):
            at = data.index(old, at, end)
            key = transaction.message.account_keys[i]
            out[at : at + 64] = bytes(keypairs[key].sign_message(signed))
        begin = end
    return bytes(out)
