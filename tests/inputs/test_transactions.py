"""What one transaction becomes: versions, errors, and fields that old blocks do not have."""

import base64
from typing import Any

import orjson
import pytest
import solders.transaction_status as status
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.keypair import Keypair
from solders.message import MessageHeader, MessageV1, TransactionConfig
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.parsed import ParsedView
from mevstream.codecs.raw import encode_raw
from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction
from mevstream.topologies.raw.json_transaction import MalformedTransaction, encode_transaction
from mevstream.topologies.raw.transaction_errors import (
    INSTRUCTION_ERRORS,
    TRANSACTION_ERRORS,
    encode_error,
)
from mevstream.topologies.raw.transaction_wire import parse_transaction

from .conversions import base58, message_json

META: dict[str, Any] = {"err": None, "fee": 5000, "preBalances": [1], "postBalances": [1]}


def v1_transaction(config: TransactionConfig) -> VersionedTransaction:
    payer = Keypair.from_seed(bytes(range(32)))
    other = Pubkey(bytes([9]) * 32)
    instructions = [
        CompiledInstruction(1, bytes([1, 2, 3]), bytes([0, 1])),
        CompiledInstruction(1, bytes(300), b""),
    ]
    message = MessageV1(
        MessageHeader(1, 0, 1), config, Hash(bytes([7]) * 32), [payer.pubkey(), other], instructions
    )
    return VersionedTransaction(message, [payer])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"priority_fee": 0},
        {"priority_fee": 2**64 - 1, "heap_size": 5},
        {"compute_unit_limit": 200_000},
        {"loaded_accounts_data_size_limit": 1, "compute_unit_limit": 2, "priority_fee": 3},
    ],
)
def test_v1(values: dict[str, int]) -> None:
    """SIMD-0385 as solders writes it; the JSON form of it gives the same bytes."""
    source = v1_transaction(TransactionConfig(**values))
    text = base64.b64encode(bytes(source)).decode()
    payload = encode_transaction({"transaction": [text, "base64"], "meta": META, "version": 1})
    transaction = ConfirmedTransaction.FromString(payload).transaction
    assert list(transaction.signatures) == [bytes(s) for s in source.signatures]
    message = transaction.message
    assert message.versioned
    assert message.HasField("config")
    assert {field.name: value for field, value in message.config.ListFields()} == values
    assert [bytes(key) for key in source.message.account_keys] == list(message.account_keys)
    assert message.recent_blockhash == bytes([7]) * 32
    assert message.header.num_required_signatures == 1
    assert message.header.num_readonly_unsigned_accounts == 1
    assert [(i.program_id_index, i.accounts, i.data) for i in message.instructions] == [
        (1, b"\0\1", b"\1\2\3"),
        (1, b"", bytes(300)),
    ]

    names = {
        "priority_fee": "priorityFee",
        "compute_unit_limit": "computeUnitLimit",
        "loaded_accounts_data_size_limit": "loadedAccountsDataSizeLimit",
        "heap_size": "heapSize",
    }
    as_json = message_json(message)
    del as_json["addressTableLookups"]
    as_json["transactionConfig"] = {names[name]: value for name, value in values.items()}
    encoded = {
        "signatures": [base58(s) for s in transaction.signatures],
        "message": as_json,
    }
    assert encode_transaction({"transaction": encoded, "meta": META, "version": 1}) == payload


def test_v1_with_a_config_not_known_yet_is_malformed() -> None:
    data = bytearray(bytes(v1_transaction(TransactionConfig())))
    for mask in (0b1, 0b10, 0b100000, 1 << 31):
        data[4:8] = mask.to_bytes(4, "little")
        with pytest.raises(ValueError, match="mask"):
            parse_transaction(bytes(data))


@pytest.mark.parametrize("length", range(1, 179))
def test_v1_cut_off(length: int) -> None:
    data = bytes(v1_transaction(TransactionConfig(priority_fee=7)))
    with pytest.raises(ValueError, match=r"cut off|should have"):
        parse_transaction(data[:length])


def test_unknown_versions_keep_signatures_and_meta() -> None:
    signature = bytes(range(64))
    wire = b"\x01" + signature + b"\x85" + b"whatever comes then"
    encoded = {"signatures": [base58(signature)], "message": {"unheard": "of"}}
    expected = ConfirmedTransaction()
    expected.transaction.signatures.append(signature)
    expected.meta.fee = 5000
    expected.meta.pre_balances.append(1)
    expected.meta.post_balances.append(1)
    expected.meta.inner_instructions_none = True
    expected.meta.log_messages_none = True
    expected.meta.return_data_none = True
    text = [base64.b64encode(wire).decode(), "base64"]
    for transaction in (text, encoded):
        entry = {"transaction": transaction, "meta": META, "version": 5}
        assert encode_transaction(entry) == expected.SerializeToString()
    # A version that, like v1, comes first: where its signatures are is not known.
    assert not parse_transaction(b"\x82" + bytes(200)).signatures


def test_decoder_takes_what_is_left_of_them() -> None:
    """Version 1 in full; of a version not known, what could be read, marked as such (flag 4)."""
    v1 = base64.b64encode(bytes(v1_transaction(TransactionConfig(compute_unit_limit=9)))).decode()
    unknown = base64.b64encode(b"\x01" + bytes(range(64)) + b"\x85" + b"?").decode()
    failed = {**META, "err": "NotNamedYet"}
    payloads = [
        encode_transaction({"transaction": [text, "base64"], "meta": meta})
        for text, meta in ((v1, META), (unknown, META), (v1, failed))
    ]
    view = ParsedView(BatchDecoder().decode(encode_raw({"slot": 5}, payloads)))
    assert view.tx_version.tolist() == [2, 0xFFFFFFFF, 2]
    assert [flags & 4 for flags in view.tx_flags.tolist()] == [0, 4, 0]
    assert [flags & 1 for flags in view.tx_flags.tolist()] == [1, 1, 0]
    assert view.tx_cu_limit.tolist()[0] == 9
    assert bytes(view.tx_signature[1]) == bytes(range(64))


def test_version_is_told_by_lookups_where_rpc_does_not() -> None:
    message = {
        "header": dict.fromkeys(
            ("numRequiredSignatures", "numReadonlySignedAccounts", "numReadonlyUnsignedAccounts"), 1
        ),
        "accountKeys": [],
        "recentBlockhash": base58(bytes([1]) * 32),
        "instructions": [],
    }
    versioned = {**message, "addressTableLookups": []}
    for value, version, expected in (
        (message, None, False),
        (versioned, None, True),
        (message, "legacy", False),
        (message, 0, True),
    ):
        entry = {"transaction": {"signatures": [], "message": value}, "version": version}
        payload = encode_transaction(entry)
        assert ConfirmedTransaction.FromString(payload).transaction.message.versioned is expected


def test_absent_and_null_fields_of_meta() -> None:
    """What is null is marked so; what 2022 did not have yet is left out."""
    inner = {"index": 0, "instructions": [{"programIdIndex": 1, "accounts": [], "data": "1"}]}
    balance = {
        "accountIndex": 1,
        "mint": "m",
        "uiTokenAmount": {"amount": "0", "decimals": 6, "uiAmount": None},
    }
    old = {**META, "innerInstructions": [inner], "preTokenBalances": [balance], "logMessages": []}
    transaction = ["", "base58"]
    with pytest.raises(MalformedTransaction):
        encode_transaction({"transaction": transaction, "meta": old})
    entry = {"transaction": {"signatures": []}, "version": 9, "meta": old}
    meta = ConfirmedTransaction.FromString(encode_transaction(entry)).meta
    assert not meta.inner_instructions[0].instructions[0].HasField("stack_height")
    assert meta.inner_instructions[0].instructions[0].data == b"\0"
    assert not meta.log_messages_none
    assert not meta.inner_instructions_none
    assert not meta.HasField("compute_units_consumed")
    assert meta.pre_token_balances[0].ui_token_amount.ui_amount == 0
    assert meta.pre_token_balances[0].owner == ""

    entry["meta"] = {
        **META,
        "innerInstructions": None,
        "logMessages": None,
        "rewards": None,
        "preTokenBalances": None,
        "computeUnitsConsumed": 0,
        "returnData": {"programId": "11111111111111111111111111111111", "data": ["", ""]},
        "rewards_unheard_of": 1,
    }
    meta = ConfirmedTransaction.FromString(encode_transaction(entry)).meta
    assert meta.inner_instructions_none
    assert meta.log_messages_none
    assert not meta.return_data_none
    assert meta.HasField("compute_units_consumed")
    assert meta.return_data.program_id == bytes(32)

    del entry["meta"]
    assert not ConfirmedTransaction.FromString(encode_transaction(entry)).HasField("meta")


# -- errors -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "encoded"),
    [
        ("AccountInUse", "00000000"),
        ("CommitCancelled", "26000000"),
        ({"InstructionError": [2, {"Custom": 6001}]}, "08000000021900000071170000"),
        ({"InstructionError": [0, "GenericError"]}, "080000000000000000"),
        ({"InstructionError": [255, "ComputationalBudgetExceeded"]}, "08000000ff25000000"),
        ({"InstructionError": [1, {"BorshIoError": "Unknown"}]}, "08000000012c000000"),
        ({"InstructionError": [1, "BorshIoError"]}, "08000000012c000000"),
        ({"InstructionError": [1, "NotNamedYet"]}, "0800000001ffffffff"),
        ({"DuplicateInstruction": 3}, "1e00000003"),
        ({"InsufficientFundsForRent": {"account_index": 4}}, "1f00000004"),
        ({"ProgramExecutionTemporarilyRestricted": {"account_index": 5}}, "2300000005"),
        ("NotNamedYet", "ffffffff"),
        ({"NotNamedYet": [1, 2]}, "ffffffff"),
    ],
)
def test_errors(error: object, encoded: str) -> None:
    assert encode_error(error).hex() == encoded


def test_error_names_are_those_of_solders() -> None:
    """An oracle for the names; solders does not give the numbers of all of them."""
    with_content = {
        "InstructionError",
        "DuplicateInstruction",
        "InsufficientFundsForRent",
        "ProgramExecutionTemporarilyRestricted",
    }
    names = {n for n in dir(status.TransactionErrorFieldless) if n[0].isupper()}
    assert set(TRANSACTION_ERRORS) == names | with_content
    names = {n for n in dir(status.InstructionErrorFieldless) if n[0].isupper()}
    # BailOut is younger than solders.
    assert set(INSTRUCTION_ERRORS) == names | {"Custom", "BailOut"}


def test_instruction_error_numbers_keep_the_order_of_solders() -> None:
    """solders numbers the variants without content among themselves, in order of declaration;
    BorshIoError has moved there since it lost its content."""
    enum = status.InstructionErrorFieldless
    listed = [name for name in INSTRUCTION_ERRORS if hasattr(enum, name)]
    listed.remove("BorshIoError")
    assert sorted(listed, key=lambda name: int(getattr(enum, name))) == listed


# -- any bytes ----------------------------------------------------------------


@given(st.binary(max_size=400))
def test_wire_form_of_anything(data: bytes) -> None:
    """Bytes are a transaction or a ValueError, and a transaction means what solders reads in it."""
    try:
        parsed = parse_transaction(data)
    except ValueError:
        return
    if parsed.HasField("message") and not parsed.message.HasField("config"):
        assert bytes(VersionedTransaction.from_bytes(data)) == data


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_any_value_for_an_error(value: object) -> None:
    entry = {"transaction": {"signatures": []}, "version": 9, "meta": {**META, "err": value}}
    try:
        payload = encode_transaction(orjson.loads(orjson.dumps(entry, default=str)))
    except (MalformedTransaction, TypeError):
        return
    assert ConfirmedTransaction.FromString(payload).meta.HasField("err") is (value is not None)
