"""Liquidations, with and without a swap of the collateral in their transaction."""

from __future__ import annotations

import pytest

from mevstream.codecs import opportunities as bits
from opportunities.scene import (
    FEE,
    HUBS,
    SOL,
    USDC,
    Chain,
    Liquidation,
    Swap,
    Told,
    Tx,
    found,
    key,
    new_stage,
    pool,
    run,
    told,
)


def one_of(*liquidations: Liquidation, swaps: tuple[Swap, ...] = (), **tx: object) -> Told:
    (one,) = of(*liquidations, swaps=swaps, **tx)
    return one


def of(*liquidations: Liquidation, swaps: tuple[Swap, ...] = (), **tx: object) -> list[Told]:
    chain = Chain()
    chain.add(
        4,
        Tx("user"),
        Tx("keeper", swaps, liquidations=liquidations, **tx),  # pyright: ignore[reportArgumentType]
    )
    return found(chain)


def test_collateral_that_is_kept() -> None:
    one = one_of(Liquidation((USDC, 1000), (SOL, 5_000_000), fee=50_000), tip=7000)
    assert (one.kind, one.actor, one.mint) == ("liquidation", key("keeper"), key(USDC))
    assert one.legs == (("repay", 4, 1, 1000, 0), ("seize", 4, 1, 0, 4_950_000))
    assert (one.profit, one.net, one.victims) == (-1000, 0, ())
    assert one.reasons == bits.TIPPED | bits.ONE_SLOT | bits.EXCHANGED


def test_a_fee_that_is_paid_on_top() -> None:
    one = one_of(Liquidation((USDC, 1000), (SOL, 5000), fee=25, on_top=True))
    assert [leg[3:] for leg in one.legs] == [(1025, 0), (0, 5000)]


def test_collateral_that_is_swapped_back() -> None:
    back = pool("pool", SOL, "X", 10**12, 10**12).swap("X", 5_000_000)
    event = Liquidation((SOL, 4_000_000), ("X", 5_010_000), fee=10_000)
    one = one_of(event, swaps=(back,), tip=20_000)
    assert one.roles == ["repay", "seize", "hop"]
    assert one.profit == back.amount_out - 4_000_000 > 0
    assert one.net == one.profit - FEE - 20_000
    assert one.reasons & bits.NET_POSITIVE
    assert not one.reasons & bits.EXCHANGED


def test_collateral_that_is_swapped_back_over_another_mint() -> None:
    first = pool("one", "X", "Y", 10**12, 10**12).swap("X", 5_000_000)
    second = pool("two", SOL, "Y", 10**12, 10**12).swap("Y", first.amount_out)
    one = one_of(Liquidation((SOL, 4_000_000), ("X", 5_000_000)), swaps=(first, second))
    assert one.roles == ["repay", "seize", "hop", "hop"]
    assert one.profit == second.amount_out - 4_000_000


def test_a_loss_is_told_as_one() -> None:
    back = pool("pool", SOL, "X", 10**12, 10**12).swap("X", 5_000_000)
    one = one_of(Liquidation((SOL, 6_000_000), ("X", 5_000_000)), swaps=(back,))
    assert one.net == one.profit - FEE < 0
    assert not one.reasons & bits.NET_POSITIVE


def test_collateral_of_which_a_part_is_kept() -> None:
    back = pool("pool", SOL, "X", 10**12, 10**12).swap("X", 4_000_000)
    one = one_of(Liquidation((SOL, 3_000_000), ("X", 5_000_000)), swaps=(back,))
    assert one.roles == ["repay", "seize", "hop"]
    assert one.reasons & bits.EXCHANGED
    assert one.net == 0


def test_swaps_that_have_nothing_to_do_with_it() -> None:
    other = pool("pool", SOL, "Z", 10**12, 10**12).swap("Z", 1000)
    one = one_of(Liquidation((SOL, 3_000_000), ("X", 5_000_000)), swaps=(other,))
    assert one.roles == ["repay", "seize"]


def test_several_in_one_transaction() -> None:
    """The swap belongs to the one before it."""
    back = pool("pool", SOL, "X", 10**12, 10**12).swap("X", 5_000_000)
    first = Liquidation((SOL, 4_000_000), ("X", 5_000_000), account="one")
    second = Liquidation((SOL, 4_000_000), ("X", 5_000_000), account="two", outer=2)
    one, two = of(first, second, swaps=(back,))
    assert (one.roles, two.roles) == (["repay", "seize", "hop"], ["repay", "seize"])
    assert one.id != two.id


def test_several_mints_in_one_instruction() -> None:
    legs = [
        Liquidation((SOL, 4_000_000), ("X", 5_000_000)),
        Liquidation((SOL, 1_000_000), ("Y", 5_000), leg=1),
    ]
    one = one_of(*legs)
    assert one.roles == ["repay", "seize", "repay", "seize"]
    assert one.profit == -5_000_000


@pytest.mark.parametrize("mints", [(None, SOL), (SOL, None), (None, None)])
def test_mints_and_amounts_that_are_not_known(mints: tuple[str | None, str | None]) -> None:
    event = Liquidation((mints[0], 0), (mints[1], 0), amounts_known=False)
    one = one_of(event)
    assert one.reasons & bits.IN_PART
    assert one.reasons & bits.EXCHANGED
    assert not one.reasons & bits.NET_TOLD


def test_a_failed_one() -> None:
    assert of(Liquidation((USDC, 1), (SOL, 1)), failed=True) == []


def test_amounts_beyond_all_tokens() -> None:
    assert of(Liquidation((USDC, 2**64 - 1), (SOL, 1))) == []


def test_single_transactions_have_it_too() -> None:
    chain = Chain()
    chain.add(4, Tx("keeper", liquidations=[Liquidation((USDC, 1000), (SOL, 5000))]))
    assert [one.kind for one in found(chain, blockhash=b"")] == ["liquidation"]


def test_between_hubs_only_swaps_between_hubs_count() -> None:
    """Of others not all are where the liquidation has its home."""
    direct = pool("direct", SOL, USDC, 10**12, 10**12).swap(SOL, 5_000_000)
    event = Liquidation((USDC, 4_000_000), (SOL, 5_000_000))
    assert one_of(event, swaps=(direct,)).roles == ["repay", "seize", "hop"]
    first = pool("one", SOL, "X", 10**12, 10**12).swap(SOL, 5_000_000)
    second = pool("two", USDC, "X", 10**12, 10**12).swap("X", first.amount_out)
    assert one_of(event, swaps=(first, second)).roles == ["repay", "seize"]


def test_told_once_however_it_is_parted() -> None:
    from mevstream.topologies.parsed.market import open_split

    back = pool("pool", SOL, "X", 10**12, 10**12).swap("X", 5_000_000)
    chain = Chain()
    for repay, collateral in ((SOL, "X"), ("Y", "X"), (USDC, SOL)):
        event = Liquidation((repay, 4_000_000), (collateral, 5_000_000), account=repay)
        chain.add(4, Tx("keeper", [back] if repay == SOL else [], liquidations=[event]))
    whole = found(chain)
    assert len(whole) == 3
    split = open_split(HUBS)
    for partitions in (2, 5):
        stages = [new_stage() for _ in range(partitions)]
        parts = [
            one
            for message in chain.batches()
            for stage, part in zip(stages, split(message, partitions), strict=True)
            for one in told(run([part], stage))
        ]
        assert sorted(parts, key=lambda one: one.id) == sorted(whole, key=lambda one: one.id)
