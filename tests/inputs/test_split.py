"""The compiled parts that inputs stand on: cutting messages, and base58."""

from random import Random

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from mevstream.cext.base58 import MAX_TEXT_LENGTH, decode, decode_sized
from mevstream.cext.split import confirmed_transaction, last_field, split
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock, ConfirmedTransaction
from mevstream.schemas.geyser_pb2 import SubscribeUpdateTransactionInfo
from mevstream.schemas.raw_pb2 import RawBatch

from .conversions import base58


@given(st.lists(st.binary(max_size=40), max_size=20), st.randoms())
def test_runs_are_the_fields_themselves(payloads: list[bytes], random: Random) -> None:
    """Fields in one stretch and in pieces, with others between them."""
    message = b""
    others = b""
    for payload in payloads:
        if random.random() < 0.3:
            other = random.choice((b"\x18\x05", b"\x4d\x01\x02\x03\x04", b"\x53\x08\x01\x54"))
            message += other
            others += other
        message += b"\x22" + bytes([len(payload)]) + payload
    parts = split(message, 4)
    assert len(parts) == len(payloads)
    assert parts.rest == others
    assert [parts.payload(i) for i in range(len(payloads))] == payloads
    for first in range(len(payloads) + 1):
        for count in range(len(payloads) - first + 1):
            run = RawBatch.FromString(parts.run(first, count))
            assert list(run.transactions) == payloads[first : first + count]


@pytest.mark.parametrize(("first", "count"), [(0, 3), (3, 0), (-1, 1), (0, -1), (2, 1)])
def test_runs_outside(first: int, count: int) -> None:
    parts = split(b"\x22\x01a\x22\x01b", 4)
    with pytest.raises(IndexError):
        parts.run(first, count)
    with pytest.raises(IndexError):
        parts.payload(2)


@given(st.binary(max_size=60))
def test_well_formed_as_protobuf_has_it(data: bytes) -> None:
    """Field 4 is left out of the comparison: whether its value is a message is not looked at."""
    try:
        rest = split(data, 4).rest
    except ValueError:
        # RawBatch takes any bytes for field 4, so it judges the outermost level only.
        with pytest.raises(DecodeError):
            RawBatch.FromString(data)
        return
    block = ConfirmedBlock()
    try:
        block.ParseFromString(rest)
    except DecodeError:
        return
    assert not block.transactions


def test_last_field_of_a_oneof() -> None:
    mask = 1 << 2 | 1 << 3
    assert last_field(b"", mask)[0] == 0
    assert last_field(b"\x12\x01a\x1a\x02bc\x0a\x00", mask) == (3, 5, 7)
    assert last_field(b"\x1a\x01a\x12\x00", mask) == (2, 5, 5)
    # Field 3 as a varint is not the member of the oneof.
    assert last_field(b"\x12\x01a\x18\x05", mask) == (2, 2, 3)
    with pytest.raises(ValueError, match="byte 3 of 4"):
        last_field(b"\x12\x01a\x1a", mask)


@given(
    st.lists(
        st.sampled_from(
            [
                b"\x1a\x03\x0a\x01s",  # transaction with a signature
                b"\x1a\x83\x80\x00\x0a\x01t",  # its length in three bytes
                b"\x22\x02\x10\x05",  # meta with a fee
                b"\x28\x07",  # index
                b"\x28\x80\x80\x00",
                b"\x0a\x01x",  # signature
                b"\x10\x01",  # is_vote
                b"\x7a\x01y",  # not known
            ]
        )
    ).map(b"".join)
)
def test_retagging_is_protobufs_own_reading(info: bytes) -> None:
    index, payload = confirmed_transaction(info)
    expected = SubscribeUpdateTransactionInfo.FromString(info)
    assert index == expected.index
    confirmed = ConfirmedTransaction.FromString(payload)
    assert confirmed.transaction == expected.transaction
    assert confirmed.meta == expected.meta
    assert confirmed.HasField("meta") == expected.HasField("meta")


@given(st.binary(max_size=200))
def test_base58_both_ways(data: bytes) -> None:
    assert decode(base58(data)) == data


def test_base58_of_keys() -> None:
    for seed in range(50):
        key = Random(seed).randbytes(32)
        assert decode_sized(str(Pubkey(key)), 32) == key
    with pytest.raises(ValueError, match="32 bytes"):
        decode_sized("11", 32)
    with pytest.raises(ValueError, match="32 bytes"):
        decode_sized("1" * 100, 32)


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "1 1", "ä", "11\0", "z" * 5 + "!"])
def test_base58_outside_its_alphabet(text: str) -> None:
    with pytest.raises(ValueError, match="not base58"):
        decode(text)


def test_base58_has_a_limit() -> None:
    longest = decode("z" * MAX_TEXT_LENGTH)
    assert int.from_bytes(longest, "big") == 58**MAX_TEXT_LENGTH - 1
    with pytest.raises(ValueError, match="more than"):
        decode("z" * (MAX_TEXT_LENGTH + 1))
