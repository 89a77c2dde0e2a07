"""Quotes by the integer arithmetic of each program: what a swap gives and costs, to the unit.

For C and Cython the functions are in curves.h and curves.pxd; these are the same for Python.
Amounts, reserves and liquidity are integers in base units, root prices Q64.64 of token 1 (y, b) per
token 0 (x, a), rates integers in the unit that the function names. ValueError is raised where the
program would refuse the swap, OverflowError for a number that the program's type cannot hold.

Sources: raydium-io/raydium-amm math.rs, raydium-io/raydium-cp-swap curve/, raydium-io/raydium-clmm
libraries/, orca-so/whirlpools math/, solana-program-library token-swap curve/, pump-fun
pump-public-docs, MeteoraAg/damm-v2 curve, MeteoraAg/dlmm-sdk commons/.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from typing import NamedTuple

RAYDIUM_UNIT = 10_000
CPMM_UNIT = RANGE_UNIT = 1_000_000
METEORA_UNIT = 1_000_000_000


class Swapped(NamedTuple):
    amount_in: int
    amount_out: int


class PumpSwapped(NamedTuple):
    base: int
    quote: int
    vault: int
    trader: int


class Stepped(NamedTuple):
    root: int
    net_in: int
    amount_out: int
    fee: int


class RangeSwapped(NamedTuple):
    amount_in: int
    amount_out: int
    fee: int
    root: int
    liquidity: int


cdef u128 wide(value) except? 0:
    return u128_join(value & 0xFFFFFFFFFFFFFFFF, value >> 64)


cdef object integer(u128 value):
    cdef object high = u128_high(value)   # an int of Python's, which has room for the shift
    return high << 64 | u128_low(value)


cdef refused(str what):
    return ValueError(f"{what}: the program would refuse this swap")


# -- constant product -----------------------------------------------------------------------------

def raydium_v4_out(
    uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_in, uint64_t rate=25,
    uint64_t unit=RAYDIUM_UNIT):
    """Raydium AMM v4, SwapBaseIn. Reserves as the ray_log tells them (vaults without what is owed
    to the protocol); the fee, rate / unit, is rounded up and stays in the pool."""
    cdef uint64_t out
    if unit == 0 or not curve_fee_in_out(reserve_in, reserve_out, amount_in, rate, unit, &out):
        raise refused("raydium_amm_v4")
    return out


def raydium_v4_in(
    uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_out, uint64_t rate=25,
    uint64_t unit=RAYDIUM_UNIT):
    """Raydium AMM v4, SwapBaseOut: what has to be paid."""
    cdef uint64_t paid
    if not curve_fee_in_in(reserve_in, reserve_out, amount_out, rate, unit, &paid):
        raise refused("raydium_amm_v4")
    return paid


def cpmm_out(
    uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_in, uint32_t trade_rate,
    uint32_t creator_rate=0, bint creator_on_input=True):
    """Raydium CPMM, swap_base_input; rates in 1e-6. Reserves are vaults without the fees owed;
    amount_in is what arrives (without a Token-2022 transfer fee). With the creator's fee on the
    input, both are taken together; on the output, it is rounded up there."""
    cdef uint64_t out
    cdef uint64_t rate = <uint64_t>trade_rate + (creator_rate if creator_on_input else 0)
    if creator_rate > CPMM_UNIT or not curve_fee_in_out(
            reserve_in, reserve_out, amount_in, rate, CPMM_UNIT, &out):
        raise refused("raydium_cpmm")
    return out if creator_on_input else out - curve_fee(out, creator_rate, CPMM_UNIT)


def cpmm_in(
    uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_out, uint32_t trade_rate,
    uint32_t creator_rate=0, bint creator_on_input=True):
    """Raydium CPMM, swap_base_output: what has to arrive."""
    cdef uint64_t paid = amount_out
    cdef uint64_t rate = <uint64_t>trade_rate + (creator_rate if creator_on_input else 0)
    if not creator_on_input and not curve_gross(amount_out, creator_rate, CPMM_UNIT, &paid):
        raise refused("raydium_cpmm")
    if not curve_fee_in_in(reserve_in, reserve_out, paid, rate, CPMM_UNIT, &paid):
        raise refused("raydium_cpmm")
    return paid


def token_swap_out(
    uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_in, uint64_t trade_rate,
    uint64_t owner_rate, uint64_t unit=10_000):
    """SPL token-swap and its deployments (orca_v1, orca_v2, …); with owner_rate 0 Meteora DAMM v1
    over the vaults' shares. Fees are rounded down, but to 1 at least; the pool may take less than
    amount_in, because the output's new reserve is rounded up first. As a Swapped."""
    cdef uint64_t taken, out
    if unit == 0 or trade_rate > unit or owner_rate > unit or not curve_token_swap(
            reserve_in, reserve_out, amount_in, trade_rate, owner_rate, unit, &taken, &out):
        raise refused("token_swap")
    return Swapped(taken, out)


# -- Pump.fun and PumpSwap ------------------------------------------------------------------------

cdef PumpFees pump_fees(fees):
    cdef PumpFees out
    out.pool, out.protocol, out.creator = fees
    return out


cdef pump_swapped(const PumpQuote* quote):
    return PumpSwapped(quote.base, quote.quote, quote.vault, quote.trader)


def pump_swap_sell(uint64_t base_reserve, uint64_t quote_reserve, uint64_t base, fees):
    """PumpSwap, sell: `base` for quote, whose fees (pool, protocol, creator, in basis points) are
    each rounded up. `vault` of the result leaves the pool, `trader` is what the trader gets."""
    cdef PumpQuote quote
    cdef PumpFees rates = pump_fees(fees)
    if not pump_sell(base_reserve, quote_reserve, base, &rates, &quote):
        raise refused("pump_swap")
    return pump_swapped(&quote)


def pump_swap_buy(uint64_t base_reserve, uint64_t quote_reserve, uint64_t base, fees):
    """PumpSwap, buy: exactly `base`. `vault` enters the pool, `trader` is what the trader pays."""
    cdef PumpQuote quote
    cdef PumpFees rates = pump_fees(fees)
    if not pump_buy(base_reserve, quote_reserve, base, False, &rates, &quote):
        raise refused("pump_swap")
    return pump_swapped(&quote)


def pump_swap_buy_for(uint64_t base_reserve, uint64_t quote_reserve, uint64_t spendable, fees):
    """PumpSwap, buy_exact_quote_in: as much base as `spendable` pays for."""
    cdef PumpQuote quote
    cdef PumpFees rates = pump_fees(fees)
    if not pump_buy_for(base_reserve, quote_reserve, spendable, False, &rates, &quote):
        raise refused("pump_swap")
    return pump_swapped(&quote)


def pump_fun_sell(uint64_t tokens_reserve, uint64_t quote_reserve, uint64_t tokens, fees):
    """Pump.fun, sell; virtual reserves; fees (protocol, creator) in basis points. `vault` leaves
    the curve and is what its event tells, `trader` is what the trader gets."""
    cdef PumpQuote quote
    cdef PumpFees rates = pump_fees((0, *fees))
    if not pump_sell(tokens_reserve, quote_reserve, tokens, &rates, &quote):
        raise refused("pump_fun")
    return pump_swapped(&quote)


def pump_fun_buy(uint64_t tokens_reserve, uint64_t quote_reserve, uint64_t tokens, fees):
    """Pump.fun, buy: exactly `tokens`."""
    cdef PumpQuote quote
    cdef PumpFees rates = pump_fees((0, *fees))
    if not pump_buy(tokens_reserve, quote_reserve, tokens, True, &rates, &quote):
        raise refused("pump_fun")
    return pump_swapped(&quote)


def pump_fun_buy_for(uint64_t tokens_reserve, uint64_t quote_reserve, uint64_t spendable, fees):
    """Pump.fun, buy_exact_sol_in: as many tokens as `spendable` pays for."""
    cdef PumpQuote quote
    cdef PumpFees rates = pump_fees((0, *fees))
    if not pump_buy_for(tokens_reserve, quote_reserve, spendable, True, &rates, &quote):
        raise refused("pump_fun")
    return pump_swapped(&quote)


# -- concentrated liquidity -----------------------------------------------------------------------

def range_swap_step(
    root, target, liquidity, uint64_t amount, uint32_t rate, *, bint zero_in,
    bint exact_in=True, bint fee_on_input=True):
    """One step of Raydium CLMM or Orca Whirlpool from the root price `root` towards `target`,
    which it does not pass, with constant liquidity; `amount` is what is left to be given (exact_in)
    or taken; the fee is `rate` in 1e-6. As a Stepped: net_in is without a fee on the input."""
    cdef RangeStep step
    cdef RangeLiquidity held = range_liquidity(wide(liquidity), False)
    if not range_step(&held, wide(root), wide(target), amount, rate, RANGE_UNIT, exact_in, zero_in,
                      fee_on_input, &step):
        raise refused("concentrated liquidity")
    return Stepped(integer(step.root), step.net_in, step.out, step.fee)


def range_swap(
    root, liquidity, uint64_t amount, uint32_t rate, ticks, *, bint zero_in, bint exact_in=True):
    """A swap of Raydium CLMM or Orca Whirlpool over the `ticks` that are known: (root price,
    liquidity net) in the order in which the swap meets them. The last one is the limit: it is no
    tick that is crossed, and ValueError is raised for a swap that it would cut short. As a
    RangeSwapped: amount_in with its fee, and where the pool then stands."""
    cdef uint64_t left = amount, moved
    cdef RangeStep step
    cdef RangeLiquidity held
    total_in = total_out = total_fee = 0
    for place, (target, net) in enumerate(ticks, 1):
        if liquidity == 0:
            root = target
        else:
            held = range_liquidity(wide(liquidity), False)
            if not range_step(&held, wide(root), wide(target), left, rate, RANGE_UNIT, exact_in,
                              zero_in, True, &step):
                raise refused("concentrated liquidity")
            root = integer(step.root)
            moved = step.net_in + step.fee if exact_in else step.out
            left -= min(left, moved)
            total_in += step.net_in + step.fee
            total_out += step.out
            total_fee += step.fee
        if root == target and place < len(ticks):
            liquidity += -net if zero_in else net
        if left == 0:
            return RangeSwapped(total_in, total_out, total_fee, root, liquidity)
    raise ValueError("the swap goes beyond the ticks that are known")


def damm_v2_out(
    root, liquidity, uint64_t amount_in, uint32_t rate, *, bint a_in, bint fee_on_input,
    root_min=0, root_max=(1 << 128) - 1):
    """Meteora DAMM v2 (one range), exact in; `liquidity` as the pool stores it (times 2^64), rate
    in 1e-9. As a RangeSwapped."""
    cdef RangeLiquidity held = range_liquidity(wide(liquidity), True)
    cdef u128 start = wide(root), end, low, high
    cdef uint64_t fee = 0, out
    cdef bint fits
    if rate > METEORA_UNIT:
        raise refused("meteora_damm_v2")
    if fee_on_input:
        fee = curve_fee(amount_in, rate, METEORA_UNIT)
    if not range_next(&held, start, amount_in - fee, a_in, True, &end):
        raise refused("meteora_damm_v2")
    low, high = (end, start) if a_in else (start, end)
    fits = range_amount_1(&held, low, high, False, &out) if a_in else range_amount_0(
        &held, low, high, False, &out)
    after = integer(end)
    if not fits or not root_min <= after <= root_max:
        raise refused("meteora_damm_v2")
    if not fee_on_input:
        fee = curve_fee(out, rate, METEORA_UNIT)
        out -= fee
    return RangeSwapped(amount_in, out, fee, after, liquidity)


def tick_root(int32_t tick, *, bint orca):
    """Root price at a tick, as Orca Whirlpool or Raydium CLMM computes it; -443636 … 443636."""
    cdef u128 root = tick_price(tick, orca)
    if u128_high(root) == 0 and u128_low(root) == 0:
        raise ValueError(f"no tick: {tick}")
    return integer(root)


def tick_at(root, *, bint orca):
    """The last tick whose root price is not above `root`."""
    cdef int32_t tick = tick_below(wide(root), orca)
    if tick < -TICK_MAX:
        raise ValueError(f"no tick has a root price of {root}")
    return tick


# -- bins -----------------------------------------------------------------------------------------

def bin_price(int32_t bin_id, uint32_t bin_step):
    """Meteora DLMM: price of y per x in a bin, Q64.64; the step in basis points, not 0."""
    cdef u128 price
    if bin_step == 0 or bin_step > 10_000 or not bin_rate(bin_id, bin_step, &price):
        raise ValueError(f"no bin: {bin_id} with step {bin_step}")
    return integer(price)


def bin_swap_out(price, uint64_t amount_in, uint32_t rate, *, bint x_in, bint fee_on_input=True):
    """Meteora DLMM: what one bin gives for amount_in, if it has as much; fee `rate` in 1e-9 (base
    and variable part together), rounded up."""
    cdef uint64_t out
    if rate > METEORA_UNIT:
        raise refused("meteora_dlmm")
    if fee_on_input:
        amount_in -= curve_fee(amount_in, rate, METEORA_UNIT)
    if not bin_out(wide(price), amount_in, x_in, &out):
        raise refused("meteora_dlmm")
    return out if fee_on_input else out - curve_fee(out, rate, METEORA_UNIT)


def bin_swap_in(price, uint64_t amount_out, uint32_t rate, *, bint x_in):
    """Meteora DLMM: what has to be paid to take amount_out from one bin, fee on the input."""
    cdef uint64_t net
    if not bin_in(wide(price), amount_out, x_in, &net) or not curve_gross(
            net, rate, METEORA_UNIT, &net):
        raise refused("meteora_dlmm")
    return net


def dlmm_fee_rate(
    uint32_t base_factor, uint32_t bin_step, uint8_t base_fee_power=0,
    uint32_t variable_fee_control=0, uint32_t volatility_accumulator=0):
    """Meteora DLMM: base and variable fee together in 1e-9, at most 10 %."""
    moved = int(volatility_accumulator) * int(bin_step)
    cdef object power = base_fee_power   # an int of Python's: C's would not hold what it makes of 10
    base = int(base_factor) * int(bin_step) * 10 * 10**power
    return min(base + -(-int(variable_fee_control) * moved**2 // 10**11), 10**8)
