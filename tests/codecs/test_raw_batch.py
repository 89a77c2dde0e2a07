"""RawBatch both ways, from single transactions and from runs of a stored block."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mevstream.cext.split import split
from mevstream.codecs.raw import RawView, encode_raw
from mevstream.errors import InputError
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock, ConfirmedTransaction
from mevstream.schemas.raw_pb2 import RawBatch

ENVELOPES = st.fixed_dictionaries(
    {
        "slot": st.integers(0, 2**64 - 1),
        "parent_slot": st.integers(0, 2**64 - 1),
        "block_time": st.none() | st.integers(-(2**63), 2**63 - 1),
        "seq": st.integers(0, 2**32 - 1),
        "last": st.booleans(),
        "source": st.text(max_size=9),
        "received_ns": st.integers(0, 2**64 - 1),
        "blockhash": st.binary(max_size=32),
        "parent_blockhash": st.binary(max_size=32),
        "block_height": st.none() | st.integers(0, 2**64 - 1),
        "chain": st.sampled_from(["", "solana", "eclipse"]),
        "commitment": st.integers(0, 4),
    }
)
TRANSACTIONS = st.lists(st.binary(max_size=300), max_size=20)


def assert_envelope(view: RawView, envelope: dict[str, Any]) -> None:
    for name, value in envelope.items():
        assert getattr(view, name) == (value or "solana" if name == "chain" else value)


@given(ENVELOPES, TRANSACTIONS, st.integers(0, 2**32 - 20))
def test_our_bytes_parse_with_protobuf(
    envelope: dict[str, Any], transactions: list[bytes], first: int
) -> None:
    data = encode_raw({**envelope, "first_index": first}, transactions)
    assert RawBatch.FromString(data) == RawBatch(
        **envelope, first_index=first, transactions=transactions
    )
    view = RawView(data)
    assert_envelope(view, envelope)
    assert view.transactions == transactions
    assert view.tx_index.tolist() == list(range(first, first + len(transactions)))


@given(ENVELOPES, TRANSACTIONS, st.data())
def test_protobufs_bytes_read_by_our_view(
    envelope: dict[str, Any], transactions: list[bytes], data: st.DataObject
) -> None:
    n = len(transactions)
    index = data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=n, max_size=n))
    message = RawBatch(**envelope, tx_index=index, transactions=transactions)
    view = RawView(message.SerializeToString())
    assert_envelope(view, envelope)
    assert view.transactions == transactions
    assert view.tx_index.tolist() == index


def test_transactions_are_views_on_the_message() -> None:
    data = encode_raw({}, [b"first", bytearray(b""), memoryview(b"third")])
    view = RawView(data)
    assert view.transactions == [b"first", b"", b"third"]
    assert all(transaction.obj is data for transaction in view.transactions)
    assert all(transaction.readonly for transaction in view.transactions)


def test_runs_of_a_stored_block_become_batches() -> None:
    transactions = [
        ConfirmedTransaction(transaction={"signatures": [i.to_bytes(64, "big")]})
        for i in range(600)
    ]
    block = ConfirmedBlock(blockhash="hash", transactions=transactions).SerializeToString()
    extents = split(block, ConfirmedBlock.TRANSACTIONS_FIELD_NUMBER)
    back: list[bytes] = []
    for first in range(0, 600, 256):
        count = min(256, 600 - first)
        data = encode_raw({"slot": 7, "first_index": first}, run=extents.run(first, count))
        view = RawView(data)
        assert view.tx_index.tolist() == list(range(first, first + count))
        back += [bytes(transaction) for transaction in view.transactions]
    assert back == [transaction.SerializeToString() for transaction in transactions]


def test_run_and_single_transactions_together() -> None:
    run = RawBatch(transactions=[b"a", b"b"]).SerializeToString()
    assert RawView(encode_raw({}, [b"c"], run=run)).transactions == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x22\x05abc", "malformed"),
        (b"\x0c", "malformed"),
        (b"no protobuf", "."),
        (RawBatch(transactions=[b"a"], tx_index=[1, 2]).SerializeToString(), "1 transactions, but"),
        (RawBatch(transactions=[b"a", b"b"], first_index=2**32 - 1).SerializeToString(), "range"),
        (b"\x3a\x01\xff", "UTF-8"),
    ],
)
def test_reading_refuses(data: bytes, error: str) -> None:
    with pytest.raises(InputError, match=f"^RawBatch: .*{error}"):
        RawView(data)


@pytest.mark.parametrize(
    ("envelope", "transactions", "error"),
    [
        ({"slot": -1}, [], "slot: .*range"),
        ({"nonce": 1}, [], "nonce"),
        ({"transactions": [b"a"]}, [], "in the envelope"),
        ({"blockhash": "text"}, [], "blockhash: ."),
        ({}, ["text"], "bytes-like"),
        ({}, [5], "bytes-like"),
    ],
)
def test_writing_refuses(envelope: dict[str, Any], transactions: list[Any], error: str) -> None:
    with pytest.raises(InputError, match=f"^RawBatch: .*{error}"):
        encode_raw(envelope, transactions)
