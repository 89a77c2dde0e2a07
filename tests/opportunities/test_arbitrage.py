"""Cycles within a transaction, and whom they followed."""

from typing import Any

import numpy as np
import pytest

from mevstream.codecs import opportunities as bits
from opportunities.scene import FEE, SOL, USDC, Chain, Pool, Tx, found, key, pool


def market(price: int = 100) -> tuple[Pool, Pool]:
    """Two pools of X against SOL, the second dearer by some per cent."""
    return (
        pool("cheap", SOL, "X", 1_000_000_000_000, 100_000_000_000_000),
        pool("dear", SOL, "X", 1_000_000_000_000 * price // 94, 100_000_000_000_000),
    )


def test_two_pools() -> None:
    cheap, dear = market()
    buy = cheap.swap(SOL, 5_000_000_000)
    sell = dear.swap("X", buy.amount_out)
    chain = Chain()
    chain.add(1, Tx("bot", [buy, sell], tip=7000))
    (one,) = found(chain)
    gain = sell.amount_out - 5_000_000_000
    assert gain > 0
    assert (one.kind, one.actor, one.mint) == ("arbitrage", key("bot"), key(SOL))
    assert (one.profit, one.net, one.loss) == (gain, gain - FEE - 7000, 0)
    assert one.roles == ["hop", "hop"]
    assert one.reasons == (
        bits.TIPPED | bits.ONE_SLOT | bits.EVEN | bits.NET_TOLD | bits.NET_POSITIVE
    )


def test_split_route_back_into_one_pool() -> None:
    cheap, dear = market()
    other = pool("cheap too", SOL, "X", 1_000_000_000_000, 100_000_000_000_000)
    buys = [cheap.swap(SOL, 2_000_000_000), other.swap(SOL, 3_000_000_000)]
    sell = dear.swap("X", sum(buy.amount_out for buy in buys))
    chain = Chain()
    chain.add(1, Tx("bot", [*buys, sell]))
    (one,) = found(chain)
    assert one.profit == sell.amount_out - 5_000_000_000


def test_a_gain_in_another_currency_is_told_in_it_without_lamports() -> None:
    a = pool("a", USDC, "X", 10_000_000_000, 10_000_000_000)
    b = pool("b", USDC, "X", 11_000_000_000, 10_000_000_000)
    buy = a.swap(USDC, 10_000_000)
    sell = b.swap("X", buy.amount_out - 3)
    chain = Chain()
    chain.add(1, Tx("bot", [buy, sell]))
    (one,) = found(chain)
    assert (one.mint, one.profit) == (key(USDC), sell.amount_out - 10_000_000)
    assert one.net == 0
    # Three units of X stay with the bot.
    assert not one.reasons & (bits.NET_TOLD | bits.EVEN)


def test_what_costs_more_than_it_gains_is_told_with_its_net() -> None:
    cheap, dear = market()
    buy = cheap.swap(SOL, 5_000_000_000)
    sell = dear.swap("X", buy.amount_out)
    chain = Chain()
    chain.add(1, Tx("bot", [buy, sell], tip=10**12))
    (one,) = found(chain)
    assert one.net == one.profit - FEE - 10**12 < 0
    assert one.reasons & bits.NET_TOLD
    assert not one.reasons & bits.NET_POSITIVE


def test_of_a_transaction_whose_block_nobody_knows() -> None:
    cheap, dear = market()
    victim = dear.swap(SOL, 90_000_000_000)
    buy = cheap.swap(SOL, 5_000_000_000)
    sell = dear.swap("X", buy.amount_out)
    chain = Chain()
    chain.add(1, Tx("somebody", [victim]), Tx("bot", [buy, sell]))
    # Without a block there is no order: nobody is known to have gone before.
    (one,) = found(chain, blockhash=b"", last=False)
    assert (one.kind, one.profit) == ("arbitrage", sell.amount_out - 5_000_000_000)


def test_unknown_venues_are_told() -> None:
    cheap, dear = market()
    dear.venue = "unknown"
    buy = cheap.swap(SOL, 5_000_000_000)
    chain = Chain()
    chain.add(1, Tx("bot", [buy, dear.swap("X", buy.amount_out)]))
    (one,) = found(chain)
    assert one.reasons & bits.UNKNOWN_VENUE


# What the signers' balances tell of a cycle that brings `gain` and pays a tip of 7000: lamports and
# wrapped SOL. Then how much less than by the legs profit and net are (negative: all that there is);
# None: the legs tell.
KEPT = {
    "all in the account that traded": (lambda gain: (gain - FEE - 7000, gain), 0, 0),
    "all unwrapped": (lambda gain: (gain - FEE - 7000, 0), 0, 0),
    "fee and tip unwrapped": (lambda gain: (gain - FEE - 7000, gain - FEE - 7000), 0, 0),
    "three are left with a router": (lambda gain: (gain - FEE - 7003, gain - 3), 3, 3),
    "another service was paid": (lambda gain: (gain - FEE - 9000, gain), 0, 2000),
    "four were kept": (lambda _: (4 - FEE - 7000, 4), -4, -4),
    "a program pays fee and tip": (lambda _: (0, 0), None, None),
    "it went to others": (lambda _: (-FEE - 7000, 0), None, None),
    "more came from elsewhere": (lambda gain: (2 * gain - FEE - 7000, 2 * gain), None, None),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_the_signers_kept(case: str) -> None:
    balances, less, net_less = KEPT[case]
    cheap, dear = market()
    buy = cheap.swap(SOL, 5_000_000_000)
    sell = dear.swap("X", buy.amount_out)
    gain = sell.amount_out - 5_000_000_000
    lamports, wrapped = balances(gain)
    chain = Chain()
    chain.add(1, Tx("bot", [buy, sell], tip=7000, signers=(lamports, {SOL: wrapped})))
    (one,) = found(chain)
    wanted = [gain - n if n >= 0 else -n for n in (less or 0, net_less or 0)]
    assert [one.profit, one.net + FEE + 7000] == wanted
    assert bool(one.reasons & bits.FROM_BALANCES) == (less is not None)


def test_a_tip_that_somebody_else_paid_is_not_given_back() -> None:
    cheap, dear = market()
    buy = cheap.swap(SOL, 5_000_000_000)
    sell = dear.swap("X", buy.amount_out)
    gain = sell.amount_out - 5_000_000_000
    # Two thirds of the gain were unwrapped; the tip came from elsewhere.
    signers = (gain - FEE, {SOL: gain // 3})
    chain = Chain()
    chain.add(1, Tx("bot", [buy, sell], tip=7000, tip_payer="other", signers=signers))
    (one,) = found(chain)
    assert (one.profit, one.net) == (gain, gain - FEE)
    assert one.reasons & bits.FROM_BALANCES


def test_of_another_currency_the_token_accounts_tell() -> None:
    a = pool("a", USDC, "X", 10_000_000_000, 10_000_000_000)
    b = pool("b", USDC, "X", 11_000_000_000, 10_000_000_000)
    buy = a.swap(USDC, 10_000_000)
    sell = b.swap("X", buy.amount_out)
    gain = sell.amount_out - 10_000_000
    chain = Chain()
    chain.add(1, Tx("bot", [buy, sell], signers=(-FEE - 9000, {USDC: gain - 5, "X": 0})))
    (one,) = found(chain)
    assert (one.profit, one.net) == (gain - 5, 0)
    assert one.reasons & bits.FROM_BALANCES
    assert not one.reasons & bits.NET_TOLD


# -- what is none ---------------------------------------------------------------------------------


def none_of(*transactions: Tx) -> None:
    chain = Chain()
    chain.add(1, *transactions)
    assert found(chain) == []


def test_split_and_multi_hop_routes_of_a_user() -> None:
    a, b = market()
    c = pool("c", "X", USDC, 10**14, 10**12)
    halves = [a.swap(SOL, 10**9, router="jupiter_v6"), b.swap(SOL, 10**9, router="jupiter_v6")]
    bought = sum(swap.amount_out for swap in halves)
    none_of(Tx("user", [*halves, c.swap("X", bought, router="jupiter_v6")]))


def test_a_round_trip_that_loses() -> None:
    a, b = market(price=94)
    buy = a.swap(SOL, 10**9)
    none_of(Tx("user", [buy, b.swap("X", buy.amount_out)]))


def test_a_round_trip_through_one_pool() -> None:
    # Wash trading; it could only gain by an error of a pool.
    a, _ = market()
    buy = a.swap(SOL, 10**9)
    sell = a.swap("X", buy.amount_out)
    sell.amount_out += 10**9
    none_of(Tx("user", [buy, sell]))


def test_inventory_that_was_sold_is_no_gain() -> None:
    a, b = market()
    buy = a.swap(SOL, 10**9)
    none_of(Tx("maker", [buy, b.swap("X", buy.amount_out + 10**9)]))


def test_failed_attempts() -> None:
    a, b = market()
    buy = a.swap(SOL, 10**9)
    none_of(Tx("bot", [buy, b.swap("X", buy.amount_out)], failed=True))


def test_only_some_of_the_swaps_are_here() -> None:
    a, b = market()
    buy = a.swap(SOL, 10**9)
    none_of(Tx("bot", [buy, b.swap("X", buy.amount_out)], swaps_told=3))


def test_a_token_fee_that_eats_the_gain() -> None:
    # The pool gave enough for a gain; what arrived, less a fee withheld, was not.
    a, b = market(price=100)
    buy = a.swap(SOL, 10**9)
    buy.trader_out = buy.amount_out * 9 // 10
    none_of(Tx("bot", [buy, b.swap("X", buy.trader_out)]))


# -- backruns -------------------------------------------------------------------------------------


def followed(target: int, *, between: int = 0, own: bool = False, back: bool = False) -> list[str]:
    """The kinds of what is found where `target` SOL moved the dear pool before the arbitrage."""
    cheap, dear = market(price=94)
    chain = Chain()
    chain.add(1, Tx("bot" if own else "user", [dear.swap(SOL, target)]))
    if back:
        chain.add(1, Tx("other", [dear.swap("X", 1000)]))
    for n in range(between):
        chain.add(1, Tx(f"else {n}", [pool("far", SOL, "Y", 10**12, 10**12).swap(SOL, 10**6)]))
    buy = cheap.swap(SOL, 5_000_000_000)
    chain.add(1, Tx("bot", [buy, dear.swap("X", buy.amount_out)]))
    return [one.kind for one in found(chain)]


def test_backrun() -> None:
    cheap, dear = market(price=94)
    target = dear.swap(SOL, 60_000_000_000)
    buy = cheap.swap(SOL, 5_000_000_000)
    sell = dear.swap("X", buy.amount_out)
    chain = Chain()
    chain.add(1, Tx("user", [target]), Tx("bot", [buy, sell]))
    (one,) = found(chain)
    assert (one.kind, one.actor) == ("backrun", key("bot"))
    assert one.roles == ["target", "hop", "hop"]
    assert one.victims == ((key("user"), target.amount_out, target.amount_out, 0),)
    assert one.loss == 0
    assert one.reasons & bits.NEIGHBOURS
    assert followed(60_000_000_000, between=3) == ["backrun"]


@pytest.mark.parametrize(
    "case",
    [
        {"target": 60_000_000_000, "own": True},  # its own swap
        {"target": 60_000_000_000, "back": True},  # somebody else was there before
    ],
)
def test_an_arbitrage_that_followed_nobody(case: dict[str, Any]) -> None:
    assert followed(**case) == ["arbitrage"]


def test_a_swap_that_is_too_small_to_have_made_it() -> None:
    cheap, dear = market()
    small = dear.swap(SOL, 1_000_000)
    buy = cheap.swap(SOL, 5_000_000_000)
    chain = Chain()
    chain.add(1, Tx("user", [small]), Tx("bot", [buy, dear.swap("X", buy.amount_out)]))
    assert [one.kind for one in found(chain)] == ["arbitrage"]


def test_a_swap_of_the_slot_before_is_no_target() -> None:
    cheap, dear = market(price=94)
    target = dear.swap(SOL, 60_000_000_000)
    buy = cheap.swap(SOL, 5_000_000_000)
    chain = Chain()
    chain.add(4, Tx("user", [target]))
    chain.add(5, Tx("bot", [buy, dear.swap("X", buy.amount_out)]))
    assert [one.kind for one in found(chain)] == ["arbitrage"]


def test_amounts_of_any_size() -> None:
    """Sums of amounts do not wrap around."""
    most = int(np.iinfo(np.uint64).max)
    a, b = market()
    first = a.swap(SOL, 10**9)
    second = b.swap("X", first.amount_out)
    for swap in (first, second):
        swap.trader_in = swap.trader_out = most
    second.trader_in, first.trader_in = most, 1
    chain = Chain()
    chain.add(1, Tx("bot", [first, second]))
    # 2^64 - 2 is more than a profit column holds.
    assert found(chain) == []


# -- the pitfalls of labelling, by name ----------------------------------------------------------


def test_cycles_that_end_in_another_mint_of_equal_worth() -> None:
    """Who gives USDC and gets more USDT has exchanged one for the other."""
    a = pool("a", USDC, SOL, 10**12, 10**13)
    b = pool("b", SOL, "USDT", 10**13, 11 * 10**11)
    buy = a.swap(USDC, 10**9)
    sell = b.swap(SOL, buy.amount_out)
    assert sell.amount_out > 10**9
    none_of(Tx("user", [buy, sell]))


def test_rent_that_comes_back_is_no_profit() -> None:
    """A wallet closes other accounts meanwhile: its lamports grow by more than the cycle gained."""
    cheap, dear = market()
    buy = cheap.swap(SOL, 5_000_000_000)
    sell = dear.swap("X", buy.amount_out)
    gain, rent = sell.amount_out - 5_000_000_000, 5 * 2_039_280
    chain = Chain()
    chain.add(1, Tx("bot", [buy, sell], signers=(gain + rent - FEE, {SOL: 0})))
    (one,) = found(chain)
    assert (one.profit, one.net) == (gain, gain - FEE)


def test_a_loss_stays_one_with_the_rent_that_comes_back() -> None:
    a, b = market(price=94)
    buy = a.swap(SOL, 10**9)
    none_of(Tx("user", [buy, b.swap("X", buy.amount_out)], signers=(2_039_280, {SOL: 2_039_280})))


def test_flash_loans_are_no_legs() -> None:
    """What is borrowed and paid back moves no swap; its fee is less that the signers keep."""
    cheap, dear = market()
    buy = cheap.swap(SOL, 5_000_000_000)
    sell = dear.swap("X", buy.amount_out)
    gain = sell.amount_out - 5_000_000_000
    fee = 4_500_000
    chain = Chain()
    chain.add(1, Tx("bot", [buy, sell], signers=(gain - fee - FEE, {SOL: gain - fee})))
    (one,) = found(chain)
    assert (one.profit, one.net) == (gain - fee, gain - fee - FEE)
    assert one.reasons & bits.FROM_BALANCES


def test_shared_accounts_of_a_router_are_no_trader() -> None:
    """Jupiter's authority trades for one user here, for another there: two transactions."""
    a, b = market()
    authority = "router's authority"
    buy = a.swap(SOL, 10**9, authority, router="jupiter_v6")
    sell = b.swap("X", buy.amount_out, authority, router="jupiter_v6")
    none_of(Tx("one user", [buy]), Tx("another user", [sell]))


def test_a_cycle_without_a_tip_is_one() -> None:
    cheap, dear = market()
    buy = cheap.swap(SOL, 5_000_000_000)
    chain = Chain()
    chain.add(1, Tx("bot", [buy, dear.swap("X", buy.amount_out)], tip=0))
    (one,) = found(chain)
    assert not one.reasons & bits.TIPPED


def test_the_order_within_a_transaction_does_not_matter() -> None:
    """The same cycle however the legs are nested: instructions and inner ones are rows in order."""
    cheap, dear = market()
    sell = dear.swap("X", 450_000_000_000)
    buy = cheap.swap(SOL, 4_600_000_000)
    assert buy.amount_out >= sell.amount_in
    assert sell.amount_out > buy.amount_in
    chain = Chain()
    chain.add(1, Tx("bot", [sell, buy]))
    assert [one.kind for one in found(chain)] == ["arbitrage"]


def test_fees_of_a_pool_that_go_elsewhere() -> None:
    """A creator takes a share of what the pool gave: the trader's side counts."""
    cheap, dear = market()
    buy = cheap.swap(SOL, 5_000_000_000)
    sell = dear.swap("X", buy.amount_out)
    sell.trader_out = sell.amount_out - 1_000_000
    chain = Chain()
    chain.add(1, Tx("bot", [buy, sell]))
    (one,) = found(chain)
    assert one.profit == sell.trader_out - 5_000_000_000
