"""Actors of several wallets: what they give to each other tells, what services get does not."""

from __future__ import annotations

import numpy as np
import pytest

from mevstream.codecs import opportunities as bits
from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import ParsedView, encode_parsed
from mevstream.errors import InputError
from mevstream.topologies.parsed.market import open_split
from opportunities.attack import Attack, deep
from opportunities.scene import HUBS, SOL, Chain, Gift, Told, Tx, found, key, new_stage, run, told

REST = 12_345
"""Tokens that the wallet that sells keeps, so that the amounts alone tell nothing."""


def between_wallets(
    *gifts: Gift, before: bool = False, slot: int = 4, others: tuple[Tx, ...] = ()
) -> Attack:
    """`first` buys, a victim buys, `second` sells nearly all of it; the gifts are in transactions
    of their own, between or before."""
    attack = Attack()
    payments = [Tx(gift.giver, gifts=[gift]) for gift in gifts]
    attack.chain.add(4, *others, *(payments if before else ()))
    attack.front(payer="first")
    attack.victim()
    if not before:
        attack.chain.add(slot, *payments)
    attack.back(slot=slot, payer="second", amount=attack.bought - REST)
    return attack


def is_linked(attack: Attack) -> bool:
    """Whether it is found, as one of linked wallets."""
    if not attack.found:
        return False
    one = attack.one
    assert one.roles == ["front", "victim", "back"]
    assert one.reasons & bits.LINKED_WALLETS
    assert one.reasons & bits.SEVERAL_WALLETS
    assert not one.reasons & (bits.SAME_WALLET | bits.SAME_TOKENS)
    assert [wallet for wallet, *_ in one.victims] == [key("victim")]
    return True


def test_strangers_are_no_actor() -> None:
    assert between_wallets().found == []
    assert between_wallets(Gift("third", "fourth"), Gift("first", "fourth")).found == []


@pytest.mark.parametrize("kind", ["lamports", "tokens", "close"])
@pytest.mark.parametrize("giver", ["first", "second"])
@pytest.mark.parametrize("before", [True, False])
def test_one_gave_the_other_something(kind: str, giver: str, before: bool) -> None:
    receiver = "second" if giver == "first" else "first"
    assert is_linked(between_wallets(Gift(giver, receiver, kind), before=before))  # pyright: ignore[reportArgumentType]


def test_over_the_slots_of_a_leader() -> None:
    attack = between_wallets(Gift("first", "second", "tokens"), slot=6)
    assert is_linked(attack)
    assert attack.one.reasons & bits.WIDE


def test_in_the_transactions_of_the_swaps() -> None:
    attack = Attack()
    attack.front(payer="first", gifts=[Gift("first", "between", "tokens")])
    attack.victim()
    attack.back(
        payer="second", amount=attack.bought - REST, gifts=[Gift("second", "between", "close")]
    )
    assert is_linked(attack)


@pytest.mark.parametrize(
    "gifts",
    [
        [("first", "between"), ("between", "second")],
        [("purse", "first"), ("purse", "second")],
        [("first", "one"), ("one", "two"), ("two", "three"), ("three", "second")],
        [("first", "purse"), ("second", "purse"), ("purse", "elsewhere")],
    ],
)
def test_through_wallets_between(gifts: list[tuple[str, str]]) -> None:
    assert is_linked(between_wallets(*(Gift(*gift) for gift in gifts)))
    assert is_linked(between_wallets(*(Gift(*gift) for gift in reversed(gifts)), before=True))


def test_both_close_their_accounts_to_one() -> None:
    close = [Gift(wallet, "purse", "close") for wallet in ("first", "second")]
    assert is_linked(between_wallets(*close))


def test_an_authority_that_is_linked() -> None:
    """Payers have nothing to do with each other; those who trade have."""
    attack = Attack()
    attack.front(payer="payer", trader="first")
    attack.victim()
    attack.chain.add(4, Tx("first", gifts=[Gift("first", "second")]))
    attack.back(payer="another payer", trader="second", amount=attack.bought - REST)
    assert is_linked(attack)


def test_of_the_leader_group_before() -> None:
    attack = Attack()
    attack.chain.add(3, Tx("first", gifts=[Gift("first", "second")]))
    attack.front(payer="first")
    attack.victim()
    attack.back(payer="second", amount=attack.bought - REST)
    assert attack.found == []


# -- what links nobody ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lamports", "tokens"])
def test_who_only_gets_is_a_service(kind: str) -> None:
    """Both pay a fee to the same account, and so may their victim."""
    fees = [Gift(wallet, "fees", kind) for wallet in ("first", "second", "victim")]  # pyright: ignore[reportArgumentType]
    assert between_wallets(*fees).found == []


def test_a_hub_links_nobody() -> None:
    """It pays both of them, and many others."""
    own = [Gift("hub", "first"), Gift("hub", "second")]
    others = [Gift("hub", f"customer {n}") for n in range(6)]
    assert is_linked(between_wallets(*own, *others))
    assert is_linked(between_wallets(*own, *others, *others))  # the same ones
    others.append(Gift("customer 6", "hub"))
    assert between_wallets(*own, *others).found == []


def test_a_fee_of_attacker_and_victim_does_not_make_them_one() -> None:
    attack = Attack()
    attack.front(gifts=[Gift("attacker", "fees")])
    attack.victim()
    attack.chain.add(4, Tx("victim", gifts=[Gift("victim", "fees")]))
    attack.back(gifts=[Gift("attacker", "fees")])
    assert attack.one.roles == ["front", "victim", "back"]
    assert attack.one.reasons & bits.SAME_WALLET


@pytest.mark.parametrize(
    "gifts",
    [
        [("attacker", "victim")],
        [("victim", "attacker")],
        [("purse", "attacker"), ("purse", "victim")],
        [("attacker", "between"), ("between", "victim")],
        # Even through a hub.
        [("purse", who) for who in ("attacker", "victim", *map(str, range(9)))],
    ],
)
def test_whom_the_attacker_funds_is_no_victim(gifts: list[tuple[str, str]]) -> None:
    attack = Attack()
    attack.chain.add(4, *(Tx(giver, gifts=[Gift(giver, to)]) for giver, to in gifts))
    attack.front()
    attack.victim()
    attack.back()
    assert attack.found == []
    attack.chain.slots[4] = attack.chain.slots[4][len(gifts) :]
    assert len(attack.found) == 1


@pytest.mark.parametrize("wallets", [4, 7, 20])
@pytest.mark.parametrize("bystander", [True, False])
def test_a_treasury_and_its_fleet(wallets: int, bystander: bool) -> None:
    """Each wallet bids its own price and has its own size, and sells what another one bought; some
    gain by the others, and by whoever trades between."""
    market = deep()
    chain = Chain()
    for n in range(wallets):
        chain.add(4, Tx("treasury", gifts=[Gift("treasury", f"wallet {n}")]))
    bought: list[int] = []
    for n in range(wallets - 1):
        swap = market.swap(SOL, 2_000_000_000 + 1_000_003 * n)
        bought.append(swap.amount_out)
        chain.add(4, Tx(f"wallet {n}", [swap], bid=(n + 1, 250_000)))
    if bystander:
        chain.add(4, Tx("bystander", [market.swap(SOL, 5_000_000_000)]))
    last = f"wallet {wallets - 1}"
    chain.add(4, Tx(last, [market.swap("X", bought[0])], bid=(77, 250_000)))
    assert found(chain) == []
    for tx in chain.slots[4]:
        tx.gifts = ()
    assert len(found(chain)) == 1


def test_a_failed_transfer() -> None:
    attack = between_wallets(Gift("first", "second"))
    (payment,) = [tx for tx in attack.chain.slots[4] if tx.gifts]
    assert is_linked(attack)
    payment.failed = True
    assert attack.found == []


# -- cut, parted, interrupted ---------------------------------------------------------------------


def transfers_everywhere() -> Chain:
    """A transfer in a batch of its own, before and behind the swaps of several slots."""
    chain = between_wallets(Gift("first", "between"), Gift("between", "second"), slot=6).chain
    chain.add(5, Tx("somebody", gifts=[Gift("somebody", "nobody")]))
    chain.add(7, Tx("somebody", gifts=[Gift("somebody", "nobody", "close")]))
    return chain


WANTED = found(transfers_everywhere())


@pytest.mark.parametrize("cuts", [(), (1,), (2, 3), range(8)])
@pytest.mark.parametrize("partitions", [1, 2, 5])
def test_the_same_in_parts_and_with_snapshots(cuts: tuple[int, ...], partitions: int) -> None:
    assert len(WANTED) == 1
    split = open_split(HUBS)
    parts = [split(message, partitions) for message in transfers_everywhere().batches(cuts)]
    labels: list[Told] = []
    for number in range(partitions):
        stage = new_stage()
        for batch in parts:
            labels += told(run([batch[number]], stage))
            snapshot, stage = stage.snapshot(), new_stage()
            stage.restore(snapshot)
            assert stage.snapshot() == snapshot
    assert labels == WANTED


def test_links_of_a_block_that_was_replaced_are_forgotten() -> None:
    attack = between_wallets(Gift("first", "second"), slot=5)
    first = attack.chain.batches([1])
    assert len(told(run(first))) == 1
    (payment,) = [tx for tx in attack.chain.slots[5] if tx.gifts]
    payment.gifts = ()
    again = attack.chain.batches([1], blockhash=key("another block"))
    assert told(run([*first[:3], *again[2:]])) == []
    assert told(run([*again[:3], *first[2:]])) == told(run(first))


def test_batches_of_a_writer_that_tells_no_links() -> None:
    def without(message: bytes) -> bytes:
        view = ParsedView(message)
        names = [name for name in view.schema.columns if not name.startswith("link_")]
        envelope = {name: getattr(view, name) for name in view.schema.envelope}
        return encode_parsed(envelope, {name: getattr(view, name) for name in names})

    batches = [without(message) for message in transfers_everywhere().batches()]
    assert [ParsedView(batch).n_links for batch in batches] == [0] * 4
    assert told(run(batches)) == []


def test_links_outside_the_keys_and_to_nobody() -> None:
    def batch(receiver: int) -> bytes:
        return encode_parsed(
            {"slot": 4, "blockhash": bytes(32), "last": True},
            {
                "keys": np.zeros((1, 32), np.uint8),
                "link_index": [0],
                "link_from": [0],
                "link_to": [receiver],
            },
        )

    stage = new_stage()
    stage.detect(ParsedView(batch(NONE)))
    with pytest.raises(ValueError, match="points outside 1 keys"):
        stage.detect(ParsedView(batch(1)))
    with pytest.raises(InputError, match="link_to points outside 1 keys"):
        ParsedView(batch(1)).validate()
