"""The real transactions as ConfirmedTransaction messages, by an own reader of the JSON forms."""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from mevstream.cext.base58 import decode as b58
from mevstream.schemas import confirmed_block_pb2 as cb
from reference import decoder


class Decoded(NamedTuple):
    """A transaction, where it is from (`file[index]`), and the reference decoder's word on it."""

    name: str
    message: cb.ConfirmedTransaction
    decoded: decoder.Transaction


def block(path: Path) -> list[cb.ConfirmedTransaction]:
    """Transactions of one block file (getBlock JSON or ConfirmedBlock, gzip)."""
    data = gzip.decompress(path.read_bytes())
    if ".pb" in path.suffixes:
        return list(cb.ConfirmedBlock.FromString(data).transactions)
    block = json.loads(data)
    return [transaction(record) for record in block.get("result", block)["transactions"]]


def file(path: Path) -> list[cb.ConfirmedTransaction]:
    """Transactions of one file of transactions/ or golden/; ValueError or TypeError if broken."""
    text = path.read_bytes()
    record = json.loads(gzip.decompress(text) if path.suffix == ".gz" else text)
    if isinstance(record, dict):
        record = record.get("raw", record)
        if isinstance(record, str):
            record = json.loads(record)
        record = record.get("result", record)
        record = record.get("transactions", [record])
    return [transaction(one) for one in record]


def transaction(record: dict[str, Any]) -> cb.ConfirmedTransaction:
    """One getTransaction result, or one entry of getBlock's transactions."""
    made = cb.ConfirmedTransaction()
    if isinstance(record["transaction"], list):
        _fill_encoded(made.transaction, record["transaction"][0])
    else:
        _fill_json(made.transaction, record["transaction"], record.get("version", "legacy"))
    _fill_meta(made.meta, record["meta"])
    return made


def _fill_encoded(made: cb.Transaction, text: str) -> None:
    sent = VersionedTransaction.from_bytes(base64.b64decode(text))
    made.signatures.extend(bytes(signature) for signature in sent.signatures)
    header, message = sent.message.header, made.message
    message.header.num_required_signatures = header.num_required_signatures
    message.header.num_readonly_signed_accounts = header.num_readonly_signed_accounts
    message.header.num_readonly_unsigned_accounts = header.num_readonly_unsigned_accounts
    message.account_keys.extend(bytes(key) for key in sent.message.account_keys)
    message.recent_blockhash = bytes(sent.message.recent_blockhash)
    for ix in sent.message.instructions:
        message.instructions.add(
            program_id_index=ix.program_id_index,
            accounts=bytes(ix.accounts),
            data=bytes(ix.data),
        )
    if isinstance(sent.message, MessageV0):
        message.versioned = True
        for lookup in sent.message.address_table_lookups:
            message.address_table_lookups.add(
                account_key=bytes(lookup.account_key),
                writable_indexes=bytes(lookup.writable_indexes),
                readonly_indexes=bytes(lookup.readonly_indexes),
            )


def _fill_json(made: cb.Transaction, record: dict[str, Any], version: "str | int") -> None:
    made.signatures.extend(b58(text) for text in record["signatures"])
    message, told = made.message, record["message"]
    message.header.num_required_signatures = told["header"]["numRequiredSignatures"]
    message.header.num_readonly_signed_accounts = told["header"]["numReadonlySignedAccounts"]
    message.header.num_readonly_unsigned_accounts = told["header"]["numReadonlyUnsignedAccounts"]
    message.account_keys.extend(b58(text) for text in told["accountKeys"])
    message.recent_blockhash = b58(told["recentBlockhash"])
    for ix in told["instructions"]:
        message.instructions.add(
            program_id_index=ix["programIdIndex"],
            accounts=bytes(ix["accounts"]),
            data=b58(ix["data"]),
        )
    message.versioned = version != "legacy"
    for lookup in told.get("addressTableLookups") or []:
        message.address_table_lookups.add(
            account_key=b58(lookup["accountKey"]),
            writable_indexes=bytes(lookup["writableIndexes"]),
            readonly_indexes=bytes(lookup["readonlyIndexes"]),
        )


def _fill_meta(made: cb.TransactionStatusMeta, told: dict[str, Any]) -> None:
    if told["err"] is not None:
        made.err.err = b"\x00\x00\x00\x00"
    made.fee = told["fee"]
    made.pre_balances.extend(told["preBalances"])
    made.post_balances.extend(told["postBalances"])
    for group in told.get("innerInstructions") or []:
        inner = made.inner_instructions.add(index=group["index"])
        for ix in group["instructions"]:
            added = inner.instructions.add(
                program_id_index=ix["programIdIndex"],
                accounts=bytes(ix["accounts"]),
                data=b58(ix["data"]),
            )
            if ix.get("stackHeight") is not None:
                added.stack_height = ix["stackHeight"]
    made.log_messages.extend(told.get("logMessages") or [])
    for field, key in (
        (made.pre_token_balances, "preTokenBalances"),
        (made.post_token_balances, "postTokenBalances"),
    ):
        for balance in told.get(key) or []:
            added = field.add(
                account_index=balance["accountIndex"],
                mint=balance["mint"],
                owner=balance.get("owner", ""),
                program_id=balance.get("programId", ""),
            )
            added.ui_token_amount.decimals = balance["uiTokenAmount"]["decimals"]
            added.ui_token_amount.amount = balance["uiTokenAmount"]["amount"]
    loaded = told.get("loadedAddresses") or {}
    made.loaded_writable_addresses.extend(b58(text) for text in loaded.get("writable", []))
    made.loaded_readonly_addresses.extend(b58(text) for text in loaded.get("readonly", []))
    if told.get("computeUnitsConsumed") is not None:
        made.compute_units_consumed = told["computeUnitsConsumed"]


def everything(data: Path) -> Iterator[Decoded]:
    """All that the data folder holds in a readable form, blocks first."""
    for path in sorted((data / "blocks").iterdir()):
        for index, made in enumerate(block(path)):
            yield Decoded(f"{path.name}[{index}]", made, decoder.decode(made))
    singles = [*data.glob("transactions/*/*.json.gz"), *data.glob("golden/transactions/*.json")]
    for path in sorted(singles):
        if not path.name.startswith("broken"):
            for index, made in enumerate(file(path)):
                yield Decoded(f"{path.name}[{index}]", made, decoder.decode(made))
