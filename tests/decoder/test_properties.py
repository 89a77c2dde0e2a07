"""What does not change a swap must not change what either decoder says of it.

Real transactions are changed in ways that keep their meaning; the compiled decoder has to agree
with the reference on the result, and the result with the original.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from decoder import mutations
from decoder.mutations import Mutated
from decoder.test_reference import comparable
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import compiled, decoder
from reference.load import Decoded

from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction

Mutation = Callable[[ConfirmedTransaction, Random], Mutated]
MUTATIONS: list[Mutation] = [
    mutations.reordered_accounts,
    mutations.loaded_accounts,
    mutations.wrapped,
    mutations.split_transfer,
    mutations.checked_transfers,
]
EXAMPLES = settings(max_examples=150, deadline=None)


class Swaps(list[Decoded]):
    def __repr__(self) -> str:
        return f"<{len(self)} transactions>"  # a failure would print them all


@pytest.fixture(scope="session")
def swaps(corpus: list[Decoded]) -> Swaps:
    """One transaction for each combination of venues, instructions and account counts."""
    distinct = {
        tuple((leg.program, leg.router, leg.mint_in) for leg in entry.decoded.legs): entry
        for entry in corpus
        if entry.decoded.legs
    }
    return Swaps(distinct.values())


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
@EXAMPLES
@given(choice=st.integers(0, 10**6), seed=st.integers(0, 2**32))
def test_mutations_keep_the_swaps(swaps: Swaps, mutation: Mutation, choice: int, seed: int) -> None:
    name, message, before = swaps[choice % len(swaps)]
    changed, moved = mutation(message, Random(seed))
    reference = decoder.decode(changed)
    (found,) = compiled.transactions([changed])
    legs = [comparable(*both) for both in zip(found.legs, reference.legs, strict=True)]
    assert tuple(legs) == reference.legs, name
    for leg, old in zip(reference.legs, before.legs, strict=True):
        outer, inner = moved((old.outer, old.inner))
        assert leg == replace(old, outer=outer, inner=inner), name
    kept = replace(before, legs=reference.legs, version=reference.version)
    assert reference == kept, name
    assert replace(found, legs=reference.legs) == kept, name


@EXAMPLES
@given(choice=st.integers(0, 10**6), seed=st.integers(0, 2**32))
def test_other_bytes_of_the_same_message(swaps: Swaps, choice: int, seed: int) -> None:
    name, message, _ = swaps[choice % len(swaps)]
    plain = message.SerializeToString()
    other = mutations.scrambled(plain, message.DESCRIPTOR, Random(seed))
    read = ConfirmedTransaction.FromString(other)
    read.DiscardUnknownFields()
    assert read == message, name
    one, two = compiled.batch([plain]), compiled.batch([other])
    del one.tx_bytes[:], two.tx_bytes[:]
    assert one == two, name
