"""The compiled decoder against the reference decoder, leg by leg over all real transactions."""

from collections import Counter
from dataclasses import replace

import pytest
from reference import compiled
from reference.decoder import Leg, Transaction
from reference.holdings import holdings
from reference.links import links
from reference.load import Decoded
from reference.transaction import base58

from mevstream.codecs.parsed import LINK_KINDS, SIGNERS_TOLD

BATCH = 256
# Venues that the package has a name for and the reference only sees as a flow.
NAMED_BY_PACKAGE = {"raydium_cpmm_fork"}


@pytest.fixture(scope="session")
def pairs(corpus: list[Decoded]) -> list[tuple[Decoded, Transaction]]:
    """Every transaction with the reference's word on it, and the compiled decoder's."""
    found: list[Transaction] = []
    for start in range(0, len(corpus), BATCH):
        found += compiled.transactions([entry.message for entry in corpus[start : start + BATCH]])
    return list(zip(corpus, found, strict=True))


def comparable(leg: Leg, reference: Leg) -> Leg:
    """`leg` of the compiled decoder with what the reference leaves open taken from there."""
    if leg.venue in NAMED_BY_PACKAGE:
        leg = replace(leg, venue="unknown")
    if reference.venue == "unknown":
        leg = replace(leg, pool=reference.pool)
    return leg


def test_decoder_equals_reference(pairs: list[tuple[Decoded, Transaction]]) -> None:
    venues: Counter[str] = Counter()
    for (name, _message, reference), decoded in pairs:
        assert len(decoded.legs) == len(reference.legs), name
        for leg, wanted in zip(decoded.legs, reference.legs, strict=True):
            assert comparable(leg, wanted) == wanted, name
            venues[wanted.venue] += 1
        assert replace(decoded, legs=reference.legs) == reference, name
    assert len(pairs) == 4557
    assert sum(venues.values()) == 573
    assert len(venues) >= 30


def test_what_is_left_with_the_signers(corpus: list[Decoded]) -> None:
    """Of every transaction with two legs or more, as its balances tell."""
    told = 0
    for start in range(0, len(corpus), BATCH):
        part = corpus[start : start + BATCH]
        parsed = compiled.batch(message.SerializeToString() for _, message, _ in part)
        for row, (name, message, reference) in enumerate(part):
            wanted = holdings(message) if len(reference.legs) > 1 else None
            assert bool(parsed.tx_flags[row] & SIGNERS_TOLD) == (wanted is not None), name
            if wanted is None:
                assert not any(parsed.tx_signers_lamports[row : row + 1]), name
                continue
            told += 1
            assert parsed.tx_signers_lamports[row] == wanted.lamports, name
            of_tx = [leg for leg, tx in enumerate(parsed.swap_tx) if tx == row]
            for leg in of_tx:
                at = 32 * parsed.swap_mint_in[leg]
                mint = base58(parsed.keys[at : at + 32])
                assert parsed.swap_signers_in[leg] == wanted.tokens[mint], name
    assert told > 50


def test_who_gave_something_to_whom(corpus: list[Decoded]) -> None:
    """Of every transaction, by the positions that the batch gives them."""
    kinds: Counter[str] = Counter()
    for start in range(0, len(corpus), BATCH):
        part = corpus[start : start + BATCH]
        parsed = compiled.batch(message.SerializeToString() for _, message, _ in part)
        found = compiled.links(parsed)
        assert [at for at, _ in found] == sorted(at for at, _ in found)
        for row, (name, message, reference) in enumerate(part):
            own = [link for at, link in found if at == row]
            assert own == links(message, reference.legs), name
            kinds.update(link.kind for link in own)
    assert all(kinds[kind] >= 5 for kind in LINK_KINDS), kinds
    assert sum(kinds.values()) < len(corpus) / 8, kinds
