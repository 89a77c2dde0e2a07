"""One transaction of a JSON-RPC answer into ConfirmedTransaction bytes.

The same transaction gives the same bytes in the encodings `json`, `base64`, `base64+zstd` and
`base58`, and the bytes that long-term storage has of it. JSON shapes: Solana's RPC reference
(getBlock, getTransaction) and UiTransactionStatusMeta of anza-xyz/agave.
"""

from binascii import a2b_base64
from typing import Any, cast

import zstandard

from mevstream.cext.base58 import decode, decode_sized
from mevstream.schemas.confirmed_block_pb2 import (
    CompiledInstruction,
    ConfirmedTransaction,
    InnerInstruction,
    InnerInstructions,
    Message,
    MessageAddressTableLookup,
    MessageHeader,
    ReturnData,
    Reward,
    RewardType,
    TokenBalance,
    Transaction,
    TransactionConfig,
    TransactionError,
    TransactionStatusMeta,
    UiTokenAmount,
)
from mevstream.topologies.raw.transaction_errors import encode_error
from mevstream.topologies.raw.transaction_wire import parse_transaction

# A v1 transaction has at most 4096 bytes; what decompresses to far more is no transaction.
_MAX_WIRE_SIZE = 65536
_REWARD_TYPES = cast("dict[str, RewardType]", dict(RewardType.items()))
_WRONG_SHAPE = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
    zstandard.ZstdError,
)


class MalformedTransaction(ValueError):
    """The entry is no transaction as RPC gives it; says where it is not."""


class ReducedEncoding(ValueError):
    """The whole answer was asked for in a form that leaves out what decoding needs."""


# Parsed JSON is typed Any below: its shape is checked by using it, and what does not fit raises one
# of _WRONG_SHAPE, which becomes a MalformedTransaction that names the place.


def encode_transaction(entry: Any) -> bytes:
    """ConfirmedTransaction bytes of `entry`, an object with `transaction`, `meta` and `version`.

    A version not known here keeps its signatures and meta; its message is left out. Raises
    ReducedEncoding for jsonParsed and for `transactionDetails: accounts`, MalformedTransaction
    for anything else that is no transaction.
    """
    place = "transaction"
    try:
        encoded = entry["transaction"]
        confirmed = ConfirmedTransaction()
        if type(encoded) is dict:
            confirmed.transaction.CopyFrom(_json_transaction(encoded, entry.get("version")))
        else:
            confirmed.transaction.CopyFrom(parse_transaction(_wire_bytes(encoded)))
        meta = entry.get("meta")
        if meta is not None:
            place = "meta"
            _fill_meta(confirmed.meta, meta)
        return confirmed.SerializeToString()
    except (MalformedTransaction, ReducedEncoding):
        raise
    except _WRONG_SHAPE as error:
        raise _malformed(place, error) from None


def _malformed(place: str, error: Exception) -> MalformedTransaction:
    cause = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
    return MalformedTransaction(f"{place}: {cause}")


def _wire_bytes(encoded: Any) -> bytes:
    if type(encoded) is str:
        # What RPC called "binary" before it named encodings.
        return decode(encoded)
    text, encoding = encoded
    match encoding:
        case "base64":
            return a2b_base64(text, strict_mode=True)
        case "base58":
            return decode(text)
        case "base64+zstd":
            frame = a2b_base64(text, strict_mode=True)
            with zstandard.ZstdDecompressor().stream_reader(frame) as stream:
                data = stream.read(_MAX_WIRE_SIZE + 1)
            if len(data) > _MAX_WIRE_SIZE:
                raise ValueError("zstd frame that holds more than a transaction")
            return data
        case _:
            raise ValueError("encoding is none of 'base64', 'base64+zstd' and 'base58'")


def _json_transaction(value: Any, version: Any) -> Transaction:
    if "message" not in value and "accountKeys" in value:
        raise ReducedEncoding(
            "transactionDetails 'accounts' leaves out the instructions; ask for 'full'"
        )
    signatures = [decode_sized(text, 64) for text in _list(value["signatures"])]
    if version not in (None, "legacy") and type(version) is not int:
        raise TypeError("version is neither 'legacy' nor a number")
    if type(version) is int and version not in (0, 1):
        return Transaction(signatures=signatures)
    place = "message"
    try:
        message = value["message"]
        place = "message.accountKeys"
        keys = _list(message["accountKeys"])
        if keys and type(keys[0]) is dict:
            raise ReducedEncoding(
                "jsonParsed replaces the data of instructions by a reading of it, which cannot be "
                "undone; ask for encoding 'base64' or 'json'"
            )
        keys = [decode_sized(text, 32) for text in keys]
        place = "message.recentBlockhash"
        blockhash = decode_sized(message["recentBlockhash"], 32)
        place = "message.instructions"
        instructions = [
            CompiledInstruction(
                program_id_index=_integer(instruction["programIdIndex"]),
                accounts=_indexes(instruction["accounts"]),
                data=decode(instruction["data"]),
            )
            for instruction in _list(message["instructions"])
        ]
        place = "message.header"
        header = message["header"]
        result = Message(
            header=MessageHeader(
                num_required_signatures=_integer(header["numRequiredSignatures"]),
                num_readonly_signed_accounts=_integer(header["numReadonlySignedAccounts"]),
                num_readonly_unsigned_accounts=_integer(header["numReadonlyUnsignedAccounts"]),
            ),
            account_keys=keys,
            recent_blockhash=blockhash,
            instructions=instructions,
        )
        place = "message.addressTableLookups"
        lookups = message.get("addressTableLookups")
        # RPC names the version only if it was asked to; legacy transactions have no such list.
        result.versioned = lookups is not None if version is None else version != "legacy"
        if lookups:
            result.address_table_lookups.extend(
                MessageAddressTableLookup(
                    account_key=decode_sized(lookup["accountKey"], 32),
                    writable_indexes=_indexes(lookup["writableIndexes"]),
                    readonly_indexes=_indexes(lookup["readonlyIndexes"]),
                )
                for lookup in _list(lookups)
            )
        if version == 1:
            place = "message.transactionConfig"
            result.config.CopyFrom(_transaction_config(message))
    except _WRONG_SHAPE as error:
        if isinstance(error, ReducedEncoding):
            raise
        raise _malformed(place, error) from None
    return Transaction(signatures=signatures, message=result)


def _transaction_config(message: Any) -> TransactionConfig:
    values: Any = message.get("transactionConfig") or {}
    return TransactionConfig(
        priority_fee=_optional_integer(values.get("priorityFee")),
        compute_unit_limit=_optional_integer(values.get("computeUnitLimit")),
        loaded_accounts_data_size_limit=_optional_integer(
            values.get("loadedAccountsDataSizeLimit")
        ),
        heap_size=_optional_integer(values.get("heapSize")),
    )


def _fill_meta(out: TransactionStatusMeta, meta: Any) -> None:
    place = "err"
    try:
        error = meta["err"]
        if error is not None:
            out.err.CopyFrom(TransactionError(err=encode_error(error)))
        place = "fee"
        out.fee = _integer(meta["fee"])
        place = "preBalances"
        out.pre_balances.extend(_integers(meta["preBalances"]))
        place = "postBalances"
        out.post_balances.extend(_integers(meta["postBalances"]))
        place = "innerInstructions"
        inner = meta.get("innerInstructions")
        if inner is None:
            out.inner_instructions_none = True
        elif inner:
            out.inner_instructions.extend(map(_inner_instructions, _list(inner)))
        place = "logMessages"
        logs = meta.get("logMessages")
        if logs is None:
            out.log_messages_none = True
        else:
            out.log_messages.extend(_list(logs))
        place = "preTokenBalances"
        if balances := meta.get("preTokenBalances"):
            out.pre_token_balances.extend(map(_token_balance, _list(balances)))
        place = "postTokenBalances"
        if balances := meta.get("postTokenBalances"):
            out.post_token_balances.extend(map(_token_balance, _list(balances)))
        place = "rewards"
        if rewards := meta.get("rewards"):
            out.rewards.extend(map(_reward, _list(rewards)))
        place = "loadedAddresses"
        if loaded := meta.get("loadedAddresses"):
            out.loaded_writable_addresses.extend(
                [decode_sized(text, 32) for text in _list(loaded["writable"])]
            )
            out.loaded_readonly_addresses.extend(
                [decode_sized(text, 32) for text in _list(loaded["readonly"])]
            )
        place = "returnData"
        returned = meta.get("returnData")
        if returned is None:
            out.return_data_none = True
        else:
            out.return_data.CopyFrom(
                ReturnData(
                    program_id=decode_sized(returned["programId"], 32),
                    data=a2b_base64(returned["data"][0], strict_mode=True),
                )
            )
        place = "computeUnitsConsumed"
        if (units := meta.get("computeUnitsConsumed")) is not None:
            out.compute_units_consumed = _integer(units)
        place = "costUnits"
        if (units := meta.get("costUnits")) is not None:
            out.cost_units = _integer(units)
    except _WRONG_SHAPE as error:
        if isinstance(error, ReducedEncoding):
            raise
        raise _malformed(f"meta.{place}", error) from None


def _inner_instructions(value: Any) -> InnerInstructions:
    instructions: list[InnerInstruction] = []
    for instruction in _list(value["instructions"]):
        if "programIdIndex" not in instruction and "programId" in instruction:
            raise ReducedEncoding("inner instructions are in jsonParsed form; ask for 'base64'")
        instructions.append(
            InnerInstruction(
                program_id_index=_integer(instruction["programIdIndex"]),
                accounts=_indexes(instruction["accounts"]),
                data=decode(instruction["data"]),
                # Null in blocks of 2022, which leaves the field out.
                stack_height=_optional_integer(instruction.get("stackHeight")),
            )
        )
    return InnerInstructions(index=_integer(value["index"]), instructions=instructions)


def _token_balance(value: Any) -> TokenBalance:
    amount = value["uiTokenAmount"]
    return TokenBalance(
        account_index=_integer(value["accountIndex"]),
        mint=value["mint"],
        ui_token_amount=UiTokenAmount(
            ui_amount=amount.get("uiAmount"),
            decimals=_integer(amount["decimals"]),
            amount=amount["amount"],
            ui_amount_string=amount.get("uiAmountString"),
        ),
        # Blocks before the middle of 2022 name neither.
        owner=value.get("owner"),
        program_id=value.get("programId"),
    )


def _reward(value: Any) -> Reward:
    kind = value.get("rewardType")
    commission, basis_points = value.get("commission"), value.get("commissionBps")
    return Reward(
        pubkey=value["pubkey"],
        lamports=_integer(value["lamports"]),
        post_balance=_integer(value["postBalance"]),
        # Null for a fee reward of old; a kind that is not known yet is no reason to fail either.
        reward_type=_REWARD_TYPES.get(kind, RewardType.Unspecified),
        commission="" if commission is None else str(_integer(commission)),
        commission_bps="" if basis_points is None else str(_integer(basis_points)),
    )


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError("array expected")
    return cast("list[Any]", value)


def _integer(value: Any) -> int:
    # protobuf would take true for 1.
    if type(value) is not int:
        raise TypeError("integer expected")
    return value


def _optional_integer(value: Any) -> int | None:
    return None if value is None else _integer(value)


def _integers(values: Any) -> list[int]:
    for value in _list(values):
        if type(value) is not int:
            raise TypeError("array of integers expected")
    return values


def _indexes(values: Any) -> bytes:
    """Account indexes, one byte each."""
    return bytes(_list(values))
