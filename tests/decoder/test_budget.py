"""Compute limits and prices: from compute-budget instructions, or from a v1 message's config."""

import struct

import pytest
from solders.pubkey import Pubkey

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import ParsedView
from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction
from mevstream.schemas.raw_pb2 import RawBatch

COMPUTE_BUDGET = bytes(Pubkey.from_string("ComputeBudget111111111111111111111111111111"))
LIMIT = b"\x02" + struct.pack("<I", 250_000)
PRICE = b"\x03" + struct.pack("<Q", 7_000)


def made(*instructions: bytes) -> ConfirmedTransaction:
    message = ConfirmedTransaction()
    message.transaction.signatures.append(bytes(64))
    message.transaction.message.account_keys.extend([bytes([1]) * 32, COMPUTE_BUDGET])
    for data in instructions:
        message.transaction.message.instructions.add(program_id_index=1, data=data)
    message.meta.fee = 5_000
    return message


def budget(message: ConfirmedTransaction) -> tuple[int, int]:
    batch = RawBatch(slot=1, transactions=[message.SerializeToString()])
    view = ParsedView(BatchDecoder().decode(batch.SerializeToString()))
    return int(view.tx_cu_limit[0]), int(view.tx_cu_price[0])


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ((), (NONE, 0)),
        ((LIMIT,), (250_000, 0)),
        ((PRICE, LIMIT), (250_000, 7_000)),
        ((b"\x02\x01", b"\x03", b""), (NONE, 0)),  # cut short
    ],
)
def test_instructions(instructions: tuple[bytes, ...], expected: tuple[int, int]) -> None:
    assert budget(made(*instructions)) == expected


@pytest.mark.parametrize(
    ("fee", "limit", "expected"),
    [
        (1_750, 250_000, (250_000, 7_000)),
        (1, 3, (3, 333_333)),
        (5, 0, (0, 0)),
        (2**64 - 1, 1, (1, 2**64 - 1)),  # a price beyond 64 bits is the largest there is
    ],
)
def test_config_of_a_v1_message(fee: int, limit: int, expected: tuple[int, int]) -> None:
    message = made(LIMIT, PRICE)  # which a v1 message does not heed
    config = message.transaction.message.config
    config.priority_fee, config.compute_unit_limit = fee, limit
    assert budget(message) == expected
