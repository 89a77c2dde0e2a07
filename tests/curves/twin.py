"""The programs' arithmetic once more, over Python's integers, written from their sources."""

from __future__ import annotations

U64 = 1 << 64
Q64 = 1 << 64


class Refused(Exception):
    """What the compiled functions raise ValueError or OverflowError for."""


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def u64(value: int) -> int:
    if not 0 <= value < U64:
        raise Refused
    return value


def product_out(reserve_in: int, reserve_out: int, net: int) -> int:
    if not reserve_in or not reserve_out:
        raise Refused
    return reserve_out - ceil_div(reserve_in * reserve_out, reserve_in + net)


def product_in(reserve_in: int, reserve_out: int, out: int) -> int:
    if not reserve_in or out >= reserve_out:
        raise Refused
    return u64(ceil_div(reserve_in * reserve_out, reserve_out - out) - reserve_in)


def fee_out(reserve_in: int, reserve_out: int, amount: int, rate: int, unit: int) -> int:
    return product_out(reserve_in, reserve_out, amount - ceil_div(amount * rate, unit))


def fee_in(reserve_in: int, reserve_out: int, out: int, rate: int, unit: int) -> int:
    if rate >= unit:
        raise Refused
    return u64(ceil_div(product_in(reserve_in, reserve_out, out) * unit, unit - rate))


def token_swap(
    reserve_in: int, reserve_out: int, amount: int, trade: int, owner: int, unit: int
) -> tuple[int, int]:
    """spl-token-swap: SwapCurve::swap, Fees::calculate_fee, CheckedCeilDiv."""
    fees = sum(max(amount * rate // unit, 1) if rate and amount else 0 for rate in (trade, owner))
    invariant, new_in = reserve_in * reserve_out, reserve_in + amount - fees
    if fees > amount or not invariant or new_in > invariant:
        raise Refused
    new_out, rest = divmod(invariant, new_in)
    if rest:
        new_out += 1
        new_in = ceil_div(invariant, new_out)
    if new_out >= reserve_out or new_in < reserve_in:
        raise Refused
    return new_in - reserve_in + fees, reserve_out - new_out


def pump_fees(quote: int, fees: tuple[int, int, int]) -> list[int]:
    return [ceil_div(quote * bps, 10_000) for bps in fees]


def pump_sell(
    base: int, quote: int, amount: int, fees: tuple[int, int, int]
) -> tuple[int, int, int, int]:
    price = product_out(base, quote, amount)
    taken = pump_fees(price, fees)
    if sum(taken) > price:
        raise Refused
    return amount, price, price - taken[0], price - sum(taken)


def pump_buy(
    base: int, quote: int, amount: int, fees: tuple[int, int, int], *, curve: bool
) -> tuple[int, int, int, int]:
    if not quote or amount >= base:
        raise Refused
    if curve:
        price = quote * amount // (base - amount) + 1
    else:
        price = ceil_div(quote * amount, base - amount)
    taken = pump_fees(u64(price), fees)
    return amount, price, u64(price + taken[0]), u64(price + sum(taken))


def pump_buy_for(
    base: int, quote: int, spendable: int, fees: tuple[int, int, int], *, curve: bool
) -> tuple[int, int, int, int]:
    net = spendable * 10_000 // (10_000 + sum(fees))
    net -= max(net + sum(pump_fees(net, fees)) - spendable, 0)
    if net < 1 + curve:
        raise Refused
    tokens = product_out(quote, base, net - curve)
    taken = pump_fees(net, fees)
    return tokens, net, u64(net + taken[0]), u64(net + sum(taken))


# -- concentrated liquidity -----------------------------------------------------------------------


def delta_0(liquidity: int, low: int, high: int, *, up: bool) -> int:
    """libraries/liquidity_math.rs: two divisions, each rounded."""
    if not 0 < low <= high:
        raise Refused
    first = liquidity * Q64 * (high - low)
    value = ceil_div(ceil_div(first, high), low) if up else first // high // low
    return u64(value)


def delta_1(liquidity: int, low: int, high: int, *, up: bool) -> int:
    if low > high:
        raise Refused
    value = liquidity * (high - low)
    return u64(ceil_div(value, Q64) if up else value // Q64)


def next_root(liquidity: int, root: int, amount: int, *, zero: bool, into: bool) -> int:
    if not liquidity or not root:
        raise Refused
    if zero:
        divisor = liquidity * Q64 + (amount if into else -amount) * root
        if divisor <= 0:
            raise Refused
        value = ceil_div(liquidity * Q64 * root, divisor)
    elif into:
        value = root + amount * Q64 // liquidity
    else:
        value = root - ceil_div(amount * Q64, liquidity)
    if not 0 < value < 1 << 128:
        raise Refused
    return value


def step(
    root: int,
    target: int,
    liquidity: int,
    amount: int,
    rate: int,
    *,
    zero_in: bool,
    exact_in: bool,
    fee_on_input: bool,
) -> tuple[int, int, int, int]:
    unit = 1_000_000
    if rate >= unit or not root or not target:
        raise Refused
    if target > root if zero_in else target < root:
        raise Refused
    moved = amount
    if exact_in and fee_on_input:
        moved = amount * (unit - rate) // unit
    elif not exact_in and not fee_on_input:
        moved = u64(ceil_div(amount * unit, unit - rate))
    try:
        low, high = sorted((root, target))
        delta = delta_0 if zero_in == exact_in else delta_1
        reached = moved >= delta(liquidity, low, high, up=exact_in)
    except Refused:
        reached = False
    end = target
    if not reached:
        end = next_root(liquidity, root, moved, zero=zero_in == exact_in, into=exact_in)
        if not min(root, target) <= end <= max(root, target):
            raise Refused
    low, high = sorted((root, end))
    given = (delta_0 if zero_in else delta_1)(liquidity, low, high, up=True)
    out = (delta_1 if zero_in else delta_0)(liquidity, low, high, up=False)
    if not exact_in:
        out = min(out, moved)
    if not fee_on_input:
        fee = ceil_div(out * rate, unit)
        out -= fee
        if exact_in and end != target:
            given = amount
    elif exact_in and end != target:
        fee = amount - given
        if fee < 0:
            raise Refused
    else:
        fee = ceil_div(given * rate, unit - rate)
        u64(given + fee)
    return end, given, out, fee
