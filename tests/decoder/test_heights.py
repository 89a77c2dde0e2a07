"""Blocks of 2022 have no stack heights: the log's invoke lines stand in for them, and without a
log most legs are still found."""

from collections import Counter

import pytest
from reference import compiled
from reference.decoder import Transaction
from reference.load import Decoded

from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction


def stripped(message: ConfirmedTransaction, *, log: bool) -> ConfirmedTransaction:
    """A copy as old blocks have it."""
    copy = ConfirmedTransaction()
    copy.CopyFrom(message)
    for group in copy.meta.inner_instructions:
        for instruction in group.instructions:
            instruction.ClearField("stack_height")
    if not log:
        del copy.meta.log_messages[:]
    return copy


def amounts(transactions: list[Transaction]) -> Counter[tuple[object, ...]]:
    return Counter(
        (leg.venue, leg.pool, leg.path, leg.amount_in, leg.amount_out)
        for transaction in transactions
        for leg in transaction.legs
    )


@pytest.fixture(scope="module")
def swaps(corpus: list[Decoded]) -> list[ConfirmedTransaction]:
    return [entry.message for entry in corpus if entry.decoded.legs]


def test_heights_come_from_the_log(swaps: list[ConfirmedTransaction]) -> None:
    wanted = amounts(compiled.transactions(swaps))
    assert wanted.total() > 500
    found = amounts(compiled.transactions([stripped(m, log=True) for m in swaps]))
    truncated = sum(m.meta.log_messages[-1:] == ["Log truncated"] for m in swaps)
    assert (wanted - found).total() <= 2 * truncated
    assert found.total() >= wanted.total() - 2 * truncated


def test_heights_are_inferred_without_a_log(swaps: list[ConfirmedTransaction]) -> None:
    wanted = amounts(compiled.transactions(swaps))
    found = amounts(compiled.transactions([stripped(m, log=False) for m in swaps]))
    # Curves whose amounts only an event tells, and vaults a call deeper, are lost.
    assert (wanted - found).total() < wanted.total() * 0.05
    assert (found - wanted).total() < wanted.total() * 0.005
