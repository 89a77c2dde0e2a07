"""Liquidity just in time, and what has its shape and is none."""

from __future__ import annotations

from typing import Any

import pytest

from mevstream.codecs import opportunities as bits
from mevstream.codecs.parsed import NO_TICK
from opportunities.scene import (
    FEE,
    SOL,
    Chain,
    Change,
    Told,
    Tx,
    found,
    key,
    new_stage,
    pool,
    run,
    told,
)

# What goes in, and what comes out with the fees.
IN, OUT, FEES = (5_000_000_000, 700_000_000), (5_900_000_000, 610_000_000), (2_000_000, 0)


class Visit:
    """An addition, a swap and a removal, each of which a test may change or leave out."""

    def __init__(self) -> None:
        self.pool = pool("pool", SOL, "X", 10**12, 10**14, venue="orca_whirlpool")
        self.chain = Chain()

    def add(self, slot: int = 4, payer: str = "lp", **more: Any) -> None:
        tip = more.pop("tip", 0)
        self.chain.add(
            slot, Tx(payer, changes=[Change("add", self.pool, **{"amounts": IN, **more})], tip=tip)
        )

    def swap(self, slot: int = 4, payer: str = "taker", size: int = 10**9, **more: Any) -> None:
        self.chain.add(slot, Tx(payer, [self.pool.swap(SOL, size, **more)]))

    def remove(self, slot: int = 4, payer: str = "lp", **more: Any) -> None:
        tip = more.pop("tip", 0)
        change = Change("remove", self.pool, **{"amounts": OUT, "fees": FEES, **more})
        self.chain.add(slot, Tx(payer, changes=[change], tip=tip))

    @property
    def found(self) -> list[Told]:
        return found(self.chain)

    @property
    def one(self) -> Told:
        (one,) = self.found
        return one


def test_add_swap_remove() -> None:
    visit = Visit()
    visit.add()
    visit.swap()
    visit.remove(tip=30_000)
    one = visit.one
    assert (one.kind, one.actor, one.mint) == ("jit_liquidity", key("lp"), key(SOL))
    # Two legs each: one for either mint.
    assert one.roles == ["add", "add", "target", "remove", "remove"]
    assert [leg[3] for leg in one.legs[:2]] == list(IN)
    assert [leg[4] for leg in one.legs[3:]] == list(OUT)
    assert one.profit == OUT[0] - IN[0]
    # It gave X for SOL: what that is worth in lamports is not told.
    assert one.net == 0
    assert one.reasons == (
        bits.TIPPED | bits.NEIGHBOURS | bits.ONE_SLOT | bits.SAME_WALLET | bits.EXCHANGED
    )
    got = one.legs[2][4]
    assert one.victims == ((key("taker"), got, got, 0),)
    assert one.loss == 0


def test_the_net_is_told_where_no_mint_is_lost() -> None:
    visit = Visit()
    visit.add()
    visit.swap()
    visit.remove(amounts=(IN[0] + 100_000, IN[1]), fees=(100_000, 0))
    one = visit.one
    assert (one.profit, one.net) == (100_000, 100_000 - 2 * FEE)
    assert one.reasons & bits.NET_TOLD
    assert not one.reasons & bits.EXCHANGED


def test_collected_fees_are_part_of_it() -> None:
    visit = Visit()
    visit.add()
    visit.swap()
    changes = [
        Change("remove", visit.pool, (100, 200)),
        Change("collect", visit.pool, (7, 0), None, fees=(7, 0)),
        Change("close", visit.pool, (0, 0), None),
    ]
    visit.chain.add(4, Tx("lp", changes=changes))
    one = visit.one
    assert one.profit == 107 - IN[0]
    assert [leg[4] for leg in one.legs[3:]] == [100, 200, 7]


def test_in_steps() -> None:
    visit = Visit()
    visit.add(delta=600_000)
    visit.add(delta=400_000)
    visit.swap()
    visit.remove(delta=250_000)
    visit.remove(delta=750_000)
    assert visit.one.profit == 2 * (OUT[0] - IN[0])


def test_one_visit_after_the_other() -> None:
    visit = Visit()
    for _ in range(2):
        visit.add()
        visit.swap()
        visit.remove()
    assert len({one.id for one in visit.found}) == 2


def test_an_owner_for_whom_another_wallet_pays() -> None:
    visit = Visit()
    visit.add(payer="purse", owner="lp")
    visit.swap()
    visit.remove(payer="lp")
    one = visit.one
    assert one.reasons & bits.SEVERAL_WALLETS
    assert one.actor == key("purse")


def test_shares_of_a_pool() -> None:
    visit = Visit()
    visit.add(position=None)
    visit.swap()
    visit.remove(position=None)
    assert visit.one.kind == "jit_liquidity"


def test_bins_that_tell_no_liquidity_are_held_against_worth() -> None:
    for removed, is_one in ((10**8, True), (12 * 10**7, False)):
        visit = Visit()
        swap = visit.pool.swap(SOL, 10**8)
        visit.add(delta=None, amounts=(0, swap.amount_out))
        visit.chain.add(4, Tx("taker", [swap]))
        visit.remove(delta=None, amounts=(removed, 0), fees=(1, 0))
        assert bool(visit.found) is is_one


@pytest.mark.parametrize("ticks", [(-5, 3), (15, 9), (-20, 20), (-10, -10)])
def test_swaps_that_pass_the_range(ticks: tuple[int, int]) -> None:
    visit = Visit()
    visit.add()
    visit.swap(ticks=ticks)
    visit.remove()
    assert visit.one.roles[2] == "target"


def test_a_swap_that_leaves_the_range_where_only_its_end_is_told() -> None:
    visit = Visit()
    visit.add(tick=-3)
    visit.swap(ticks=(NO_TICK, -11))
    # It began where the one before it ended.
    visit.swap(ticks=(NO_TICK, -30))
    visit.remove()
    one = visit.one
    assert one.roles == ["add", "add", "target", "remove", "remove"]
    assert one.reasons & bits.OTHERS_BETWEEN


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 2]])
def test_any_cut_and_a_snapshot_between(cuts: list[int]) -> None:
    visit = Visit()
    visit.add()
    visit.swap()
    visit.remove()
    whole = visit.found
    batches = visit.chain.batches(cuts)
    for at in range(len(batches)):
        first, second = new_stage(), new_stage()
        views = run(batches[:at], first)
        second.restore(first.snapshot())
        assert told([*views, *run(batches[at:], second)]) == whole


# -- what is none ---------------------------------------------------------------------------------


def test_a_rebalance_without_a_swap_between() -> None:
    visit = Visit()
    visit.remove(position="old")
    visit.add(position="new")
    visit.swap()
    visit.add(position="other")
    visit.remove(position="other")
    assert visit.found == []


def test_different_owners() -> None:
    visit = Visit()
    visit.add(payer="one", position=None)
    visit.swap()
    visit.remove(payer="two", position=None)
    assert visit.found == []


def test_different_positions_of_one_owner() -> None:
    visit = Visit()
    visit.add(position="new")
    visit.swap()
    visit.remove(position="old")
    assert visit.found == []


@pytest.mark.parametrize("delta", [500_000, 990_000, 1_500_000])
def test_a_position_that_stays_or_was_there_before(delta: int) -> None:
    visit = Visit()
    visit.add()
    visit.swap()
    visit.remove(delta=delta)
    assert visit.found == []


def test_a_position_that_stays_over_the_slot() -> None:
    visit = Visit()
    visit.add(slot=4)
    visit.swap(slot=4)
    visit.remove(slot=5)
    assert visit.found == []


@pytest.mark.parametrize("ticks", [(10, 30), (30, 10), (-30, -11)])
def test_swaps_out_of_the_range(ticks: tuple[int, int]) -> None:
    visit = Visit()
    visit.add()
    visit.swap(ticks=ticks)
    visit.remove(fees=None)
    assert visit.found == []


def test_fees_that_are_none() -> None:
    visit = Visit()
    visit.add()
    visit.swap()
    visit.remove(fees=(0, 0))
    assert visit.found == []


def test_the_own_swap() -> None:
    visit = Visit()
    visit.add()
    visit.swap(payer="lp")
    visit.swap(payer="purse", trader="lp")
    visit.remove()
    assert visit.found == []


def test_a_swap_of_another_pool() -> None:
    visit = Visit()
    visit.add()
    visit.chain.add(4, Tx("taker", [pool("other", SOL, "X", 10**9, 10**9).swap(SOL, 1000)]))
    visit.remove()
    assert visit.found == []


def test_liquidity_for_everybody() -> None:
    visit = Visit()
    visit.add()
    for n in range(9):
        visit.swap(payer=f"taker {n}")
    visit.remove()
    assert visit.found == []


def test_a_failed_removal() -> None:
    visit = Visit()
    visit.add()
    visit.swap()
    visit.chain.add(4, Tx("lp", changes=[Change("remove", visit.pool, OUT)], failed=True))
    assert visit.found == []


def test_transactions_that_nobody_puts_in_order() -> None:
    visit = Visit()
    visit.add()
    visit.swap()
    visit.remove()
    assert found(visit.chain, blockhash=b"") == []


def test_amounts_beyond_all_tokens() -> None:
    visit = Visit()
    visit.add(amounts=(0, 2**64 - 1))
    visit.swap()
    visit.remove(amounts=(2**64 - 1, 0))
    assert visit.found == []
