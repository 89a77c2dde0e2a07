"""A simulated block as the answer of the RPC method getBlock, encodings json and base64."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Literal

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from mevstream.schemas.confirmed_block_pb2 import (
    CompiledInstruction,
    ConfirmedBlock,
    ConfirmedTransaction,
    InnerInstruction,
    Message,
    RewardType,
    TokenBalance,
    TransactionStatusMeta,
)
from mevstream.topologies.raw.simulator.wire import transaction_bytes

Encoding = Literal["json", "base64"]
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def get_block(data: bytes, encoding: Encoding) -> dict[str, Any]:
    """The `result` of getBlock for ConfirmedBlock bytes of the simulator."""
    block = ConfirmedBlock.FromString(data)
    return {
        "previousBlockhash": block.previous_blockhash,
        "blockhash": block.blockhash,
        "parentSlot": block.parent_slot,
        "blockTime": block.block_time.timestamp,
        "blockHeight": block.block_height.block_height,
        "transactions": [_transaction(t, encoding) for t in block.transactions],
        "rewards": [
            {
                "pubkey": reward.pubkey,
                "lamports": reward.lamports,
                "postBalance": reward.post_balance,
                "rewardType": RewardType.Name(reward.reward_type),
                "commission": None,
            }
            for reward in block.rewards
        ],
    }


def _transaction(entry: ConfirmedTransaction, encoding: Encoding) -> dict[str, Any]:
    message = entry.transaction.message
    version = 1 if message.HasField("config") else 0 if message.versioned else "legacy"
    transaction: Any
    if encoding == "base64":
        packet = transaction_bytes(entry.transaction)
        transaction = [base64.b64encode(packet).decode(), "base64"]
    else:
        transaction = {
            "signatures": [str(Signature.from_bytes(s)) for s in entry.transaction.signatures],
            "message": _message(message),
        }
    return {"transaction": transaction, "meta": _meta(entry.meta), "version": version}


def _message(message: Message) -> dict[str, Any]:
    header = message.header
    out: dict[str, Any] = {
        "accountKeys": _keys(message.account_keys),
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "recentBlockhash": str(Hash.from_bytes(message.recent_blockhash)),
        "instructions": [_instruction(ix, 1) for ix in message.instructions],
    }
    if message.HasField("config"):
        config = message.config
        out["transactionConfig"] = {
            "priorityFee": config.priority_fee,
            "computeUnitLimit": config.compute_unit_limit,
        }
    elif message.versioned:
        out["addressTableLookups"] = [
            {
                "accountKey": str(Pubkey.from_bytes(lookup.account_key)),
                "writableIndexes": list(lookup.writable_indexes),
                "readonlyIndexes": list(lookup.readonly_indexes),
            }
            for lookup in message.address_table_lookups
        ]
    return out


def _instruction(ix: CompiledInstruction | InnerInstruction, height: int) -> dict[str, Any]:
    return {
        "programIdIndex": ix.program_id_index,
        "accounts": list(ix.accounts),
        "data": _base58(ix.data),
        "stackHeight": height,
    }


def _meta(meta: TransactionStatusMeta) -> dict[str, Any]:
    error = _error(meta.err.err) if meta.HasField("err") else None
    out: dict[str, Any] = {
        "err": error,
        "status": {"Ok": None} if error is None else {"Err": error},
        "fee": meta.fee,
        "preBalances": list(meta.pre_balances),
        "postBalances": list(meta.post_balances),
        "innerInstructions": [
            {
                "index": group.index,
                "instructions": [_instruction(ix, ix.stack_height) for ix in group.instructions],
            }
            for group in meta.inner_instructions
        ],
        "logMessages": list(meta.log_messages),
        "preTokenBalances": [_token_balance(b) for b in meta.pre_token_balances],
        "postTokenBalances": [_token_balance(b) for b in meta.post_token_balances],
        "rewards": [],
        "loadedAddresses": {
            "writable": _keys(meta.loaded_writable_addresses),
            "readonly": _keys(meta.loaded_readonly_addresses),
        },
        "computeUnitsConsumed": meta.compute_units_consumed,
        "costUnits": meta.cost_units,
    }
    if meta.HasField("return_data"):
        returned = meta.return_data
        out["returnData"] = {
            "programId": str(Pubkey.from_bytes(returned.program_id)),
            "data": [base64.b64encode(returned.data).decode(), "base64"],
        }
    return out


def _error(bincode: bytes) -> dict[str, Any]:
    """The one kind of error that the simulator makes: InstructionError with a custom code."""
    return {"InstructionError": [bincode[4], {"Custom": int.from_bytes(bincode[9:13], "little")}]}


def _token_balance(balance: TokenBalance) -> dict[str, Any]:
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


def _keys(keys: Iterable[bytes]) -> list[str]:
    return [str(Pubkey.from_bytes(key)) for key in keys]


def _base58(data: bytes) -> str:
    # solders writes base58 of 32 and 64 bytes only.
    value, text = int.from_bytes(data, "big"), ""
    while value:
        value, digit = divmod(value, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text
