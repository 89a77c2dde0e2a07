"""The compiled quotes against the same arithmetic over Python's integers, over all they take."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curves import twin
from mevstream.cext import curves

# Numbers of any length, so that each limb and each carry gets its turn.
U64 = st.one_of(
    st.integers(0, 2**64 - 1), st.integers(0, 64).flatmap(lambda b: st.integers(0, 2**b - 1))
)
U128 = st.integers(1, 128).flatmap(lambda bits: st.integers(0, 2**bits - 1))
ROOT = st.integers(4295048016, 79226673521066979257578248091)
BPS = st.tuples(*[st.integers(0, 10_000)] * 3)


def same(compiled: Callable[[], object], reference: Callable[[], object]) -> None:
    """Both give the same, or both refuse."""
    try:
        wanted = reference()
    except twin.Refused:
        with pytest.raises((ValueError, OverflowError)):
            compiled()
    else:
        assert compiled() == wanted


@given(U64, U64, U64, st.integers(0, 10_000))
def test_raydium_v4(a: int, b: int, amount: int, rate: int) -> None:
    same(
        partial(curves.raydium_v4_out, a, b, amount, rate),
        partial(twin.fee_out, a, b, amount, rate, 10_000),
    )
    same(
        partial(curves.raydium_v4_in, a, b, amount, rate),
        partial(twin.fee_in, a, b, amount, rate, 10_000),
    )


@given(U64, U64, U64, st.integers(0, 400_000), st.integers(0, 400_000), st.booleans())
def test_cpmm(a: int, b: int, amount: int, trade: int, creator: int, on_input: bool) -> None:
    rate = trade + creator if on_input else trade
    unit = 1_000_000

    def out() -> int:
        given_ = twin.fee_out(a, b, amount, rate, unit)
        return given_ if on_input else given_ - twin.ceil_div(given_ * creator, unit)

    def paid() -> int:
        gross = amount if on_input else twin.u64(twin.ceil_div(amount * unit, unit - creator))
        return twin.fee_in(a, b, gross, rate, unit)

    same(partial(curves.cpmm_out, a, b, amount, trade, creator, on_input), out)
    same(partial(curves.cpmm_in, a, b, amount, trade, creator, on_input), paid)


@given(U64, U64, U64, st.integers(0, 10_000), st.integers(0, 10_000))
@example(2**64 - 1, 2**64 - 1, 2**64 - 1, 0, 0)
def test_token_swap(a: int, b: int, amount: int, trade: int, owner: int) -> None:
    same(
        partial(curves.token_swap_out, a, b, amount, trade, owner),
        partial(twin.token_swap, a, b, amount, trade, owner, 10_000),
    )


@given(U64, U64, U64, BPS)
def test_pump(base: int, quote: int, amount: int, fees: tuple[int, int, int]) -> None:
    on_curve = (0, *fees[1:])
    for compiled, reference in (
        (partial(curves.pump_swap_sell, base, quote, amount, fees), partial(twin.pump_sell)),
        (
            partial(curves.pump_swap_buy, base, quote, amount, fees),
            partial(twin.pump_buy, curve=False),
        ),
        (
            partial(curves.pump_swap_buy_for, base, quote, amount, fees),
            partial(twin.pump_buy_for, curve=False),
        ),
    ):
        same(compiled, partial(reference, base, quote, amount, fees))
    for compiled, reference in (
        (curves.pump_fun_sell, partial(twin.pump_sell)),
        (curves.pump_fun_buy, partial(twin.pump_buy, curve=True)),
        (curves.pump_fun_buy_for, partial(twin.pump_buy_for, curve=True)),
    ):
        same(
            partial(compiled, base, quote, amount, fees[1:]),
            partial(reference, base, quote, amount, on_curve),
        )


ANY_ROOT = st.one_of(ROOT, U128)


@given(
    ANY_ROOT,
    ANY_ROOT,
    U128,
    U64,
    st.integers(0, 1_000_000),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_range_step(
    root: int,
    target: int,
    liquidity: int,
    amount: int,
    rate: int,
    zero_in: bool,
    exact_in: bool,
    fee_on_input: bool,
) -> None:
    root, target = (max if zero_in else min)(root, target), (min if zero_in else max)(root, target)
    arguments: dict[str, Any] = {
        "zero_in": zero_in,
        "exact_in": exact_in,
        "fee_on_input": fee_on_input,
    }
    same(
        partial(curves.range_swap_step, root, target, liquidity, amount, rate, **arguments),
        partial(twin.step, root, target, liquidity, amount, rate, **arguments),
    )


# As pools are: prices near one, liquidity and amounts such that a step moves the price a little.
@given(
    st.integers(-20_000, 20_000),
    st.integers(1, 100),
    st.integers(10**6, 10**18),
    st.integers(1, 10**12),
    st.sampled_from([100, 400, 2500, 10_000]),
    st.booleans(),
    st.booleans(),
)
def test_swap_over_ticks_is_its_steps(
    tick: int, spacing: int, liquidity: int, amount: int, rate: int, zero_in: bool, exact_in: bool
) -> None:
    sign = -1 if zero_in else 1
    root = curves.tick_root(tick, orca=True)
    # Going up crosses the lower edges of positions: liquidity is added; going down, taken back.
    ticks = [
        (curves.tick_root(tick + sign * spacing * i, orca=True), sign * (liquidity // 10))
        for i in range(1, 6)
    ]
    left, at, held, total_in, total_out = amount, root, liquidity, 0, 0
    crossed = 0
    for target, net in ticks:
        try:
            end, given_, out, fee = twin.step(
                at, target, held, left, rate, zero_in=zero_in, exact_in=exact_in, fee_on_input=True
            )
        except twin.Refused:
            return
        total_in, total_out, at = total_in + given_ + fee, total_out + out, end
        left -= min(left, given_ + fee if exact_in else out)
        if end == target and (target, net) != ticks[-1]:
            held, crossed = held - net * -sign, crossed + 1
        if not left:
            break
    swap = partial(
        curves.range_swap, root, liquidity, amount, rate, ticks, zero_in=zero_in, exact_in=exact_in
    )
    if left:
        with pytest.raises(ValueError, match="beyond"):
            swap()
        return
    found = swap()
    assert (found.amount_in, found.amount_out, found.root) == (total_in, total_out, at)
    assert found.liquidity == held == liquidity + crossed * (liquidity // 10)
    if exact_in:
        assert found.amount_in == amount


@given(ANY_ROOT, U128, U64, st.integers(0, 10**9), st.booleans(), st.booleans())
def test_damm_v2(
    root: int, liquidity: int, amount: int, rate: int, a_in: bool, on_input: bool
) -> None:
    """Its liquidity has 64 binary places, so it can be a fraction of a whole unit."""

    def wanted() -> tuple[int, int, int]:
        fee = twin.ceil_div(amount * rate, 10**9) if on_input else 0
        if not root or not liquidity:
            raise twin.Refused
        net = amount - fee
        if a_in:
            end = twin.ceil_div(liquidity * root, liquidity + net * root)
        else:
            end = root + (net << 128) // liquidity
        if not 0 < end < 1 << 128:
            raise twin.Refused
        low, high = sorted((root, end))
        out = liquidity * (high - low) >> 128 if a_in else liquidity * (high - low) // (high * low)
        out = twin.u64(out)
        fee_out = 0 if on_input else twin.ceil_div(out * rate, 10**9)
        return out - fee_out, fee + fee_out, end

    def compiled() -> tuple[int, int, int]:
        found = curves.damm_v2_out(root, liquidity, amount, rate, a_in=a_in, fee_on_input=on_input)
        return found.amount_out, found.fee, found.root

    same(compiled, wanted)


@pytest.mark.parametrize("orca", [True, False])
def test_roots_of_ticks(orca: bool) -> None:
    """The bounds are those that the programs state; between them the roots rise, and are right to
    nine digits and more."""
    last = 79226673515401279992447579055 if orca else 79226673521066979257578248091
    assert curves.tick_root(-443636, orca=orca) == 4295048016
    assert curves.tick_root(443636, orca=orca) == last
    assert curves.tick_root(0, orca=orca) == 2**64
    roots = [curves.tick_root(tick, orca=orca) for tick in range(-443636, 443637, 997)]
    assert roots == sorted(set(roots))
    with localcontext() as context:
        context.prec = 40
        for tick in range(-443636, 443637, 9973):
            exact = (Decimal("1.0001") ** tick).sqrt() * 2**64
            found = curves.tick_root(tick, orca=orca)
            assert abs(found - exact) < exact * Decimal("1e-9") + 1


@given(st.integers(-443636, 443635), st.booleans(), st.data())
def test_tick_at_a_root(tick: int, orca: bool, data: st.DataObject) -> None:
    low, high = curves.tick_root(tick, orca=orca), curves.tick_root(tick + 1, orca=orca)
    assert curves.tick_at(data.draw(st.integers(low, high - 1)), orca=orca) == tick


def test_no_such_tick() -> None:
    for tick in (-443637, 443637, -(2**31), 2**31 - 1):
        with pytest.raises(ValueError, match="no tick"):
            curves.tick_root(tick, orca=True)
    with pytest.raises(ValueError, match="no tick"):
        curves.tick_at(4295048015, orca=False)


@given(st.integers(-5_000, 5_000), st.integers(1, 400))
def test_price_of_a_bin(bin_id: int, step: int) -> None:
    with localcontext() as context:
        context.prec = 50
        exact = (1 + Decimal(step) / 10_000) ** bin_id
    if not Decimal("1e-7") < exact < Decimal("1e7"):
        return
    found = Decimal(curves.bin_price(bin_id, step)) / 2**64
    assert abs(found / exact - 1) < Decimal("1e-8")


def test_prices_of_bins_that_were_read_on_chain() -> None:
    """Where the arithmetic is short: one step up, its inverse, and the largest exponent."""
    base = 2**64 + (25 << 64) // 10_000
    inverse = (2**128 - 1) // base
    assert curves.bin_price(0, 25) == 2**64
    assert curves.bin_price(-1, 25) == inverse
    assert curves.bin_price(1, 25) == (2**128 - 1) // inverse
    assert curves.bin_price(-3, 25) == inverse * (inverse * inverse >> 64) >> 64
    for bin_id, step in ((0x80000, 1), (-0x80000, 1), (400_000, 100), (5, 0), (-(2**31), 10)):
        with pytest.raises(ValueError, match="no bin"):
            curves.bin_price(bin_id, step)


@given(U128, U64, st.integers(0, 10**9), st.booleans(), st.booleans())
def test_within_a_bin(price: int, amount: int, rate: int, x_in: bool, on_input: bool) -> None:
    def net_out(net: int) -> int:
        if not x_in and not price:
            raise twin.Refused
        return twin.u64(price * net >> 64 if x_in else (net << 64) // price)

    def out() -> int:
        fee = twin.ceil_div(amount * rate, 10**9)
        if on_input:
            return net_out(amount - fee)
        given_ = net_out(amount)
        return given_ - twin.ceil_div(given_ * rate, 10**9)

    def paid() -> int:
        if (x_in and not price) or rate == 10**9:
            raise twin.Refused
        net = twin.ceil_div(amount << 64, price) if x_in else twin.ceil_div(price * amount, 2**64)
        return twin.u64(twin.ceil_div(twin.u64(net) * 10**9, 10**9 - rate))

    same(partial(curves.bin_swap_out, price, amount, rate, x_in=x_in, fee_on_input=on_input), out)
    same(partial(curves.bin_swap_in, price, amount, rate, x_in=x_in), paid)


@given(
    st.integers(0, 65535),
    st.integers(1, 400),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_dlmm_fee_rate(factor: int, step: int, power: int, control: int, moved: int) -> None:
    base = factor * step * 10 * 10**power
    variable = (control * (moved * step) ** 2 + 99_999_999_999) // 100_000_000_000
    assert curves.dlmm_fee_rate(factor, step, power, control, moved) == min(base + variable, 10**8)


def test_a_fee_power_of_any_size() -> None:
    for power in (18, 19, 32, 255):
        assert curves.dlmm_fee_rate(1, 10**6, power, 10**6, 1) == 10**8
    with pytest.raises(OverflowError):
        curves.dlmm_fee_rate(1, 1, 256)


def test_no_unit() -> None:
    for quote in (curves.raydium_v4_out, curves.raydium_v4_in):
        with pytest.raises(ValueError, match="refuse"):
            quote(1000, 1000, 10, 0, 0)
    with pytest.raises(ValueError, match="refuse"):
        curves.token_swap_out(1000, 1000, 10, 0, 0, 0)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_beyond_64_bits(number: int) -> None:
    for arguments in ((number, 1, 1), (1, number, 1), (1, 1, number)):
        with pytest.raises(OverflowError):
            curves.raydium_v4_out(*arguments)
    with pytest.raises(OverflowError):
        curves.range_swap_step(2**128, 1, 1, 1, 1, zero_in=True)
