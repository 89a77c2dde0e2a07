"""Writes transactions and blocks in the forms that inputs come in, from their protobuf form.

Written apart from the readers under test, and against solders where it has the same thing.
"""

import base64
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import zstandard

from mevstream.schemas.confirmed_block_pb2 import (
    ConfirmedBlock,
    ConfirmedTransaction,
    Message,
    RewardType,
    TokenBalance,
    Transaction,
    TransactionStatusMeta,
)
from mevstream.schemas.geyser_pb2 import SubscribeUpdate
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.transaction_errors import INSTRUCTION_ERRORS, TRANSACTION_ERRORS

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def parse(batches: Iterable[bytes]) -> list[RawBatch]:
    """The batches as messages, after a check that each slot's come together, numbered, closed."""
    parsed = [RawBatch.FromString(batch) for batch in batches]
    for before, after in pairwise(parsed):
        if before.last:
            assert after.seq == 0
        else:
            assert (after.slot, after.seq) == (before.slot, before.seq + 1)
    for batch in parsed:
        assert len(batch.transactions) <= 256
        assert len(batch.tx_index) in (0, len(batch.transactions))
    if parsed:
        assert parsed[0].seq == 0
        assert parsed[-1].last
    return parsed


def rows(batches: Iterable[RawBatch]) -> list[tuple[int, int, bytes]]:
    """(slot, position in the block, ConfirmedTransaction bytes) of every transaction."""
    result: list[tuple[int, int, bytes]] = []
    for batch in batches:
        positions = batch.tx_index or range(
            batch.first_index, batch.first_index + len(batch.transactions)
        )
        result += [
            (batch.slot, position, payload)
            for position, payload in zip(positions, batch.transactions, strict=True)
        ]
    return result


# -- wire ---------------------------------------------------------------------


def _shortvec(length: int) -> bytes:
    out = bytearray()
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*out, length])


def wire(transaction: Transaction) -> bytes:
    """A legacy or v0 transaction as it is signed and sent."""
    message = transaction.message
    parts = [_shortvec(len(transaction.signatures)), *transaction.signatures]
    if message.versioned:
        parts.append(b"\x80")
    header = message.header
    parts.append(
        bytes(
            (
                header.num_required_signatures,
                header.num_readonly_signed_accounts,
                header.num_readonly_unsigned_accounts,
            )
        )
    )
    parts += [_shortvec(len(message.account_keys)), *message.account_keys]
    parts += [message.recent_blockhash, _shortvec(len(message.instructions))]
    for instruction in message.instructions:
        parts += [bytes((instruction.program_id_index,)), _shortvec(len(instruction.accounts))]
        parts += [instruction.accounts, _shortvec(len(instruction.data)), instruction.data]
    if message.versioned:
        parts.append(_shortvec(len(message.address_table_lookups)))
        for lookup in message.address_table_lookups:
            parts += [lookup.account_key, _shortvec(len(lookup.writable_indexes))]
            parts += [lookup.writable_indexes, _shortvec(len(lookup.readonly_indexes))]
            parts.append(lookup.readonly_indexes)
    return b"".join(parts)


# -- JSON ---------------------------------------------------------------------


def _error_json(encoded: bytes) -> Any:
    names = list(TRANSACTION_ERRORS)
    name = names[struct.unpack_from("<I", encoded)[0]]
    if name == "InstructionError":
        index, variant = struct.unpack_from("<BI", encoded, 4)
        inner: Any = list(INSTRUCTION_ERRORS)[variant]
        if inner == "Custom":
            inner = {"Custom": struct.unpack_from("<I", encoded, 9)[0]}
        return {name: [index, inner]}
    if name == "DuplicateInstruction":
        return {name: encoded[4]}
    if len(encoded) > 4:
        return {name: {"account_index": encoded[4]}}
    return name


def _token_balance_json(balance: TokenBalance) -> dict[str, Any]:
    amount = balance.ui_token_amount
    return {
        "accountIndex": balance.account_index,
        "mint": balance.mint,
        "owner": balance.owner,
        "programId": balance.program_id,
        "uiTokenAmount": {
            "amount": amount.amount,
            "decimals": amount.decimals,
            "uiAmount": amount.ui_amount or None,
            "uiAmountString": amount.ui_amount_string,
        },
    }


def meta_json(meta: TransactionStatusMeta) -> dict[str, Any]:
    value: dict[str, Any] = {
        "err": _error_json(meta.err.err) if meta.HasField("err") else None,
        "fee": meta.fee,
        "preBalances": list(meta.pre_balances),
        "postBalances": list(meta.post_balances),
        "innerInstructions": None
        if meta.inner_instructions_none
        else [
            {
                "index": inner.index,
                "instructions": [
                    {
                        "programIdIndex": i.program_id_index,
                        "accounts": list(i.accounts),
                        "data": base58(i.data),
                        "stackHeight": i.stack_height if i.HasField("stack_height") else None,
                    }
                    for i in inner.instructions
                ],
            }
            for inner in meta.inner_instructions
        ],
        "logMessages": None if meta.log_messages_none else list(meta.log_messages),
        "preTokenBalances": [_token_balance_json(b) for b in meta.pre_token_balances],
        "postTokenBalances": [_token_balance_json(b) for b in meta.post_token_balances],
        "rewards": [
            {
                "pubkey": r.pubkey,
                "lamports": r.lamports,
                "postBalance": r.post_balance,
                "rewardType": RewardType.Name(r.reward_type),
                "commission": int(r.commission) if r.commission else None,
            }
            for r in meta.rewards
        ],
        "loadedAddresses": {
            "writable": [base58(key) for key in meta.loaded_writable_addresses],
            "readonly": [base58(key) for key in meta.loaded_readonly_addresses],
        },
    }
    if not meta.return_data_none:
        value["returnData"] = {
            "programId": base58(meta.return_data.program_id),
            "data": [base64.b64encode(meta.return_data.data).decode(), "base64"],
        }
    if meta.HasField("compute_units_consumed"):
        value["computeUnitsConsumed"] = meta.compute_units_consumed
    if meta.HasField("cost_units"):
        value["costUnits"] = meta.cost_units
    return value


def message_json(message: Message) -> dict[str, Any]:
    value: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": message.header.num_required_signatures,
            "numReadonlySignedAccounts": message.header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": message.header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [base58(key) for key in message.account_keys],
        "recentBlockhash": base58(message.recent_blockhash),
        "instructions": [
            {
                "programIdIndex": i.program_id_index,
                "accounts": list(i.accounts),
                "data": base58(i.data),
                "stackHeight": None,
            }
            for i in message.instructions
        ],
    }
    if message.versioned:
        value["addressTableLookups"] = [
            {
                "accountKey": base58(lookup.account_key),
                "writableIndexes": list(lookup.writable_indexes),
                "readonlyIndexes": list(lookup.readonly_indexes),
            }
            for lookup in message.address_table_lookups
        ]
    return value


def transaction_json(payload: bytes, encoding: str) -> dict[str, Any]:
    """An element of getBlock's `transactions`."""
    confirmed = ConfirmedTransaction.FromString(payload)
    transaction = confirmed.transaction
    match encoding:
        case "json":
            encoded: Any = {
                "signatures": [base58(s) for s in transaction.signatures],
                "message": message_json(transaction.message),
            }
        case "base58":
            encoded = [base58(wire(transaction)), encoding]
        case "base64":
            encoded = [base64.b64encode(wire(transaction)).decode(), encoding]
        case "base64+zstd":
            frame = zstandard.ZstdCompressor().compress(wire(transaction))
            encoded = [base64.b64encode(frame).decode(), encoding]
        case _:
            raise ValueError(encoding)
    return {
        "transaction": encoded,
        "meta": meta_json(confirmed.meta),
        "version": 0 if transaction.message.versioned else "legacy",
    }


def block_json(payloads: Sequence[bytes], header: RawBatch, encoding: str) -> dict[str, Any]:
    """What getBlock answers, without the response around it."""
    return {
        "blockhash": base58(header.blockhash),
        "previousBlockhash": base58(header.parent_blockhash),
        "parentSlot": header.parent_slot,
        "blockTime": header.block_time if header.HasField("block_time") else None,
        "blockHeight": header.block_height if header.HasField("block_height") else None,
        "transactions": [transaction_json(payload, encoding) for payload in payloads],
    }


# -- protobuf -----------------------------------------------------------------


def block_protobuf(payloads: Sequence[bytes], header: RawBatch) -> bytes:
    """A stored block."""
    block = ConfirmedBlock(
        blockhash=base58(header.blockhash),
        previous_blockhash=base58(header.parent_blockhash),
        parent_slot=header.parent_slot,
        transactions=[ConfirmedTransaction.FromString(payload) for payload in payloads],
    )
    if header.HasField("block_time"):
        block.block_time.timestamp = header.block_time
    if header.HasField("block_height"):
        block.block_height.block_height = header.block_height
    block.rewards.add(pubkey="11111111111111111111111111111111", lamports=-1)
    return block.SerializeToString()


def transaction_update(slot: int, index: int, payload: bytes) -> SubscribeUpdate:
    update = SubscribeUpdate(filters=["all"])
    update.transaction.slot = slot
    fill_info(update.transaction.transaction, index, payload)
    return update


def fill_info(info: Any, index: int, payload: bytes) -> None:
    """Fills a SubscribeUpdateTransactionInfo."""
    confirmed = ConfirmedTransaction.FromString(payload)
    info.signature = confirmed.transaction.signatures[0]
    info.transaction.CopyFrom(confirmed.transaction)
    info.meta.CopyFrom(confirmed.meta)
    info.index = index


def framed(updates: Iterable[SubscribeUpdate]) -> bytes:
    """A recorded stream: each message after its length."""
    return b"".join(
        struct.pack(">I", len(message)) + message
        for message in (update.SerializeToString() for update in updates)
    )
