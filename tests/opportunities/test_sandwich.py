"""Sandwiches, and all that has their shape and is none."""

from __future__ import annotations

from bisect import bisect_left

import pytest

from mevstream.codecs import opportunities as bits
from mevstream.codecs.opportunities import Exactness
from opportunities.attack import Attack, deep
from opportunities.scene import FEE, SOL, Chain, Told, Tx, found, key, pool


def expected(*sizes: int, ahead: int = 0) -> list[int]:
    """What victims of these sizes get without a front."""
    clean = deep()
    return [clean.swap(SOL, size).amount_out for size in sizes]


def test_classic() -> None:
    attack = Attack()
    attack.front(tip=20_000)
    attack.victim()
    attack.back()
    one = attack.one
    gain = one.legs[2][4] - 2_000_000_000
    assert gain > 0
    assert (one.kind, one.actor, one.mint) == ("sandwich", key("attacker"), key(SOL))
    assert (one.profit, one.net) == (gain, gain - 2 * FEE - 20_000)
    assert one.roles == ["front", "victim", "back"]
    got = one.legs[1][4]
    (without,) = expected(5_000_000_000)
    assert one.victims == ((key("victim"), got, without, Exactness.exact),)
    assert one.loss == without - got > 0
    assert one.reasons == (
        bits.TIPPED | bits.NEIGHBOURS | bits.ONE_SLOT | bits.EVEN | bits.NET_TOLD
        | bits.NET_POSITIVE | bits.SAME_WALLET | bits.EXACT_LOSS
    )  # fmt: skip


def test_several_victims_and_others_between() -> None:
    attack = Attack()
    attack.front()
    attack.victim(name="one", size=3_000_000_000)
    attack.chain.add(4, Tx("seller", [attack.pool.swap("X", 1_000_000)]))
    attack.victim(name="two", size=4_000_000_000)
    attack.back()
    one = attack.one
    clean = deep()
    wanted = [clean.swap(SOL, 3_000_000_000).amount_out]
    clean.swap("X", 1_000_000)
    wanted.append(clean.swap(SOL, 4_000_000_000).amount_out)
    assert [(wallet, without) for wallet, _, without, _ in one.victims] == [
        (key("one"), wanted[0]),
        (key("two"), wanted[1]),
    ]
    assert one.reasons & bits.OTHERS_BETWEEN
    assert one.reasons & bits.EXACT_LOSS


def test_many_fronts_and_backs() -> None:
    attack = Attack()
    attack.front()
    attack.front()
    attack.victim()
    attack.back(amount=attack.bought // 3)
    attack.back(amount=attack.bought - attack.bought // 3)
    one = attack.one
    assert one.roles == ["front", "front", "victim", "back", "back"]
    assert one.profit == sum(leg[4] for leg in one.legs[3:]) - attack.spent


def test_the_other_direction() -> None:
    """The attacker sells what it has, and buys it back cheaper."""
    pool_ = deep()
    chain = Chain()
    front = pool_.swap("X", 300_000_000_000)
    victim = pool_.swap("X", 400_000_000_000)
    clean = deep().swap("X", 400_000_000_000).amount_out
    # As many X as were sold cost fewer SOL now.
    cost = bisect_left(
        range(front.amount_out), front.amount_in, key=lambda amount: pool_.quote(SOL, amount)
    )
    back = pool_.swap(SOL, cost)
    chain.add(8, Tx("attacker", [front]), Tx("victim", [victim]), Tx("attacker", [back]))
    (one,) = found(chain)
    assert one.victims == ((key("victim"), victim.amount_out, clean, Exactness.exact),)
    # A few X too many, by rounding; the gain is in SOL.
    assert 0 <= back.amount_out - front.amount_in < 1000
    assert (one.mint, one.profit) == (key(SOL), front.amount_out - cost)


def test_two_payers_with_one_authority() -> None:
    attack = Attack()
    attack.front(payer="first", trader="authority")
    attack.victim()
    attack.back(payer="second", trader="authority")
    one = attack.one
    assert one.reasons & bits.SAME_WALLET
    assert one.reasons & bits.SEVERAL_WALLETS


def test_two_wallets_one_payer() -> None:
    attack = Attack()
    attack.front(payer="purse", trader="first")
    attack.victim()
    attack.back(payer="purse", trader="second")
    assert attack.one.reasons & bits.SAME_WALLET


def test_another_wallet_sells_the_same_tokens() -> None:
    attack = Attack()
    attack.front(payer="first")
    attack.victim()
    attack.back(payer="second")
    one = attack.one
    assert one.reasons & bits.SAME_TOKENS
    assert one.reasons & bits.SEVERAL_WALLETS


def test_one_wallet_sells_what_two_others_bought() -> None:
    attack = Attack()
    attack.front(payer="first")
    attack.front(payer="second")
    attack.victim()
    attack.back(payer="third")
    assert attack.one.roles == ["front", "front", "victim", "back"]


@pytest.mark.parametrize(("front", "back"), [(4, 5), (4, 7), (5, 6)])
def test_over_the_slots_of_a_leader(front: int, back: int) -> None:
    attack = Attack()
    attack.front(slot=front)
    attack.victim(slot=back)
    attack.back(slot=back)
    one = attack.one
    assert one.slot == front
    assert one.reasons & bits.WIDE
    assert not one.reasons & bits.ONE_SLOT


def test_once_although_its_slots_are_looked_at_again() -> None:
    attack = Attack()
    attack.front()
    attack.victim()
    attack.back()
    attack.chain.add(5, Tx("somebody", [attack.pool.swap("X", 1_000_000)]))
    attack.chain.add(6, Tx("attacker", [attack.pool.swap("X", 1_000)]))
    assert len(attack.found) == 1


def test_one_after_the_other() -> None:
    attack = Attack()
    for n in range(3):
        attack.bought = 0
        attack.front(slot=4 + n)
        attack.victim(slot=4 + n, name=f"victim {n}")
        attack.back(slot=4 + n)
    assert [one.slot for one in attack.found] == [4, 5, 6]


def test_without_reserves_the_curve_through_front_and_victims_tells_the_loss() -> None:
    attack = Attack(told=False, size=1_000_000_000)
    attack.front()
    attack.victim()
    attack.back()
    one = attack.one
    (without,) = expected(5_000_000_000)
    (victim,) = one.victims
    assert victim[3] == Exactness.approximate
    # The fee that stays in the pool is the difference.
    assert abs(victim[2] - without) < without / 1000
    assert not one.reasons & bits.EXACT_LOSS


# -- what is none ---------------------------------------------------------------------------------


def test_an_attacker_who_loses_money() -> None:
    attack = Attack()
    attack.front()
    attack.victim(size=1_000_000)  # moves the price less than the fees cost
    attack.back()
    assert attack.found == []


def test_an_attacker_whose_tip_is_more_than_the_gain() -> None:
    attack = Attack()
    attack.front(tip=10_000_000_000)
    attack.victim()
    attack.back()
    assert attack.found == []


def test_market_makers_whose_inventory_does_not_return() -> None:
    attack = Attack()
    attack.front()
    attack.victim()
    attack.back(amount=attack.bought // 2)
    assert attack.found == []


def test_who_sells_more_than_was_bought() -> None:
    attack = Attack()
    attack.front()
    attack.victim()
    attack.back(amount=attack.bought + 1_000_000)
    assert attack.found == []


def test_without_a_victim() -> None:
    attack = Attack()
    attack.front()
    attack.back()
    assert attack.found == []


def test_a_victim_of_the_same_actor() -> None:
    attack = Attack()
    attack.front(payer="purse", trader="first")
    attack.chain.add(4, Tx("purse", [attack.pool.swap(SOL, 5_000_000_000, "second")]))
    attack.back(payer="purse", trader="first")
    assert attack.found == []


def test_a_router_is_no_actor() -> None:
    """Two users of a router, whose accounts trade for both, around a third."""
    attack = Attack()
    front = attack.pool.swap(SOL, 2_000_000_000, "router's authority", router="jupiter_v6")
    attack.chain.add(4, Tx("one user", [front]))
    attack.victim()
    back = attack.pool.swap(
        "X", front.amount_out - 5_000, "router's authority", router="jupiter_v6"
    )
    attack.chain.add(4, Tx("another user", [back]))
    assert attack.found == []


def test_a_fleet_of_wallets_with_equal_bids() -> None:
    """Some of a volume bot's wallets gain by what the others buy."""
    market = deep()
    chain = Chain()
    bid = (21_034, 250_000)
    first = 0
    for n in range(10):
        bought = market.swap(SOL, 2_000_000_000 + n)
        chain.add(4, Tx(f"wallet {n}", [bought], bid=bid))
        first = first or bought.amount_out
    chain.add(4, Tx("wallet 0", [market.swap("X", first)], bid=bid))
    assert found(chain) == []
    # With bids of their own they are strangers to each other.
    for n, tx in enumerate(chain.slots[4]):
        tx.bid = (n + 1, 250_000)
    assert len(found(chain)) == 1


@pytest.mark.parametrize(("wallets", "labelled"), [(3, True), (4, False), (8, False)])
def test_many_who_go_in_and_out_are_a_fleet(wallets: int, labelled: bool) -> None:
    """Each with a bid and a size of its own; some gain by those who have not sold yet."""
    market = deep()
    chain = Chain()
    for n in range(wallets):
        bought = market.swap(SOL, 2_000_000_000 + n)
        chain.add(4, Tx(f"wallet {n}", [bought]))
        chain.add(4, Tx(f"later {n}", [market.swap(SOL, 1_900_000_000 + n)]))
        chain.add(4, Tx(f"wallet {n}", [market.swap("X", bought.amount_out)]))
    assert bool(found(chain)) == labelled


def test_wash_trades_of_equal_size() -> None:
    market = deep()
    chain = Chain()
    for n in range(8):
        bought = market.swap(SOL, 2_000_000_000)
        chain.add(4, Tx(f"buyer {n}", [bought], fee=10_000))
        chain.add(4, Tx(f"seller {n}", [market.swap("X", bought.amount_out)], fee=10_000))
    assert found(chain) == []


def test_who_goes_in_and_out_is_no_victim() -> None:
    """Two wallets that trade against each other in turn."""
    market = deep()
    chain = Chain()
    one, two = market.swap(SOL, 2_000_000_000), market.swap(SOL, 5_000_000_000)
    chain.add(4, Tx("one", [one]), Tx("two", [two]))
    chain.add(4, Tx("one", [market.swap("X", one.amount_out)]))
    chain.add(4, Tx("two", [market.swap("X", two.amount_out - 1000)]))
    assert found(chain) == []


def test_over_several_slots_of_a_busy_pool() -> None:
    """Somebody holds for a slot while many trade both ways."""
    attack = Attack()
    attack.front(slot=4)
    for n in range(4):
        attack.chain.add(4, Tx(f"seller {n}", [attack.pool.swap("X", 100_000_000 + n)]))
    attack.victim(slot=5)
    attack.back(slot=5)
    assert attack.found == []


def test_over_the_end_of_a_leader() -> None:
    attack = Attack()
    attack.front(slot=7)
    attack.victim(slot=8)
    attack.back(slot=8)
    assert attack.found == []


def test_a_front_that_moved_no_price() -> None:
    """Quotes of a maker who sets them itself: everybody gets the same."""
    chain = Chain()
    maker = deep(told=False)
    rate = 97
    legs: list[Tx] = []
    for payer, mint, amount in (
        ("bot", SOL, 10**9),
        ("user", SOL, 10**9),
        ("bot", "X", 97 * 10**9),
    ):
        swap = maker.swap(mint, amount)
        swap.amount_out = amount * rate if mint == SOL else amount // (rate - 1)
        legs.append(Tx(payer, [swap]))
    chain.add(4, *legs)
    assert found(chain) == []


def test_transactions_that_nobody_puts_in_order() -> None:
    attack = Attack()
    attack.front()
    attack.victim()
    attack.back()
    assert found(attack.chain, blockhash=b"") == []


def test_a_failed_front_or_back() -> None:
    attack = Attack()
    attack.front()
    attack.victim()
    attack.back(failed=True)
    assert attack.found == []


def quoted(*legs: tuple[str, str, int, int]) -> list[Told]:
    """What is found in a pool without reserves: payer, mint in, amounts in and out."""
    chain = Chain()
    maker = deep(told=False)
    for payer, mint, amount, out in legs:
        swap = maker.swap(mint, amount)
        swap.amount_out = out
        chain.add(4, Tx(payer, [swap]))
    return found(chain)


def test_a_price_that_a_maker_moved_itself() -> None:
    """Who bought before its quotes rose and sold after them took it from the maker, not from who
    bought between."""
    rises = [("bot", SOL, 10**10, 10**12), ("user", SOL, 9 * 10**9, 891 * 10**9)]
    assert quoted(*rises, ("bot", "X", 10**12, 102 * 10**8)) == []
    # On a curve what the user pays more is all that there is to be taken.
    (one,) = quoted(*rises, ("bot", "X", 10**12, 10**10 + 5 * 10**7))
    assert one.loss > 0


@pytest.mark.parametrize("size", [2_000_000_000, 1_234_567_891])
def test_a_victim_that_trades_as_much_as_the_front(size: int) -> None:
    """Fleets and washers repeat an amount; whoever measures a front by its victim does not."""
    attack = Attack(size=size)
    attack.front()
    for n in range(5):
        attack.victim(name=f"wallet {n}", size=size)
    attack.back()
    assert attack.found == []


def test_a_victim_with_the_attackers_own_bid() -> None:
    attack = Attack()
    bid = (21_034, 250_000)
    attack.front(bid=bid)
    attack.chain.add(4, Tx("victim", [attack.pool.swap(SOL, 5_000_000_000)], bid=bid))
    attack.back(bid=bid)
    assert attack.found == []
    # Round ones are everybody's.
    for tx in attack.chain.slots[4]:
        tx.bid = (100_000, 200_000)
    assert len(attack.found) == 1
    # Whose price is drawn anew each time, but whose program always needs as much.
    for n, tx in enumerate(attack.chain.slots[4]):
        tx.bid = (100_000 + n, 123_457)
    assert attack.found == []


def test_round_amounts_are_sold_by_many() -> None:
    """A wallet that sells a million tokens need not have got them from who bought a million."""
    chain = Chain()
    market = deep(told=False)
    front = market.swap(SOL, 2_000_000_000)
    front.amount_out = 200_000_000_000
    victim = market.swap(SOL, 5_000_000_000)
    back = market.swap("X", 200_000_000_000)
    back.amount_out = 2_100_000_000
    chain.add(4, Tx("one", [front]), Tx("victim", [victim]), Tx("another", [back]))
    assert found(chain) == []
    front.amount_out = back.amount_in = 199_999_999_999
    assert len(found(chain)) == 1


def test_a_gain_of_some_units_of_another_currency() -> None:
    """Fees are paid in lamports, and nobody tells here what they are worth."""
    market = pool("pool", "USDC", "X", 10**12, 10**14)
    chain = Chain()
    front = market.swap("USDC", 10**10)
    chain.add(4, Tx("bot", [front]), Tx("user", [market.swap("USDC", 10**9)]))
    back = market.swap("X", front.amount_out)
    chain.add(4, Tx("bot", [back]))
    back.amount_out = 10**10 + 3
    assert found(chain) == []
    back.amount_out = 10**10 + 3_000_000
    assert len(found(chain)) == 1


def test_a_loss_of_some_units() -> None:
    market, clean = deep(), deep()
    chain = Chain()
    front = market.swap(SOL, 10_000)
    victim = market.swap(SOL, 5_000_000_000)
    assert clean.swap(SOL, 5_000_000_000).amount_out > victim.amount_out
    back = market.swap("X", front.amount_out)
    back.amount_out = 10**9
    chain.add(4, Tx("bot", [front]), Tx("user", [victim]), Tx("bot", [back]))
    assert found(chain) == []
