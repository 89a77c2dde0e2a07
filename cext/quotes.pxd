"""One pool's curve as plain data, and what it gives: the common form of all venues.

Side 0 is the pool's first token (token 0, x, a; the base of a Pump pool), side 1 the second; a swap
enters on one side and leaves on the other.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int32_t, uint32_t, uint64_t

from mevstream.cext.curves cimport (
    PumpFees, PumpQuote, RangeLiquidity, RangeStep, bin_out, curve_fee, curve_fee_in_out,
    curve_product_out, curve_token_swap, pump_buy_for, pump_sell, range_amount_0, range_amount_1,
    range_liquidity, range_next, range_step, u128, u128_double, u128_high, u128_join, u128_less,
    u128_low,
)

cdef enum CurveKind:
    NO_CURVE = 0
    PRODUCT = 1        # rates 1e-6: 0 on the input, 1 on the output; each rounded up
    TOKEN_SWAP = 2     # rates 1e-6: 0 trade, 1 owner; each rounded down, but to 1
    PUMP_SWAP = 3      # rates in basis points: 0 pool, 1 protocol, 2 creator; on side 1
    PUMP_CURVE = 4     # the same, on virtual reserves
    RANGE = 5          # Raydium CLMM, Whirlpool: rate 0 in 1e-6 on the input
    RANGE_SCALED = 6   # DAMM v2: rate 0 in 1e-9; bit n of rate 1: on the input where side n enters
    BIN = 7            # one bin of DLMM: rate 0 in 1e-9 on the input; `root` is the bin's price

cdef enum Exactness:
    UNKNOWN = 0
    EXACT = 1          # quotes are right to the unit
    IN_RANGE = 2       # … as long as the price stays where the liquidity is constant
    APPROXIMATE = 3    # a rate or reserve is inferred

cdef struct Curve:
    uint32_t kind
    uint32_t exactness
    uint32_t rate[3]
    int32_t tick             # of the price, or the bin
    uint64_t reserve[2]      # BIN: what the bin holds, 0 unknown
    uint64_t root[2]         # Q64.64, low word first; likewise the next three
    uint64_t liquidity[2]
    uint64_t low[2]          # between these root prices the liquidity is constant; 0 unknown
    uint64_t high[2]

# out = o * x / (i + x) for x up to cap: every curve, as long as it does not leave its range.
cdef struct Fraction:
    double i
    double o
    double cap


cdef inline u128 root_of(const uint64_t* words) noexcept nogil:
    return u128_join(words[0], words[1])


cdef inline bint quote_range(
    const Curve* c, int side, uint64_t amount, uint64_t* out) noexcept nogil:
    """Within the range that is known; 0 where the swap leaves it."""
    cdef RangeLiquidity held = range_liquidity(root_of(c.liquidity), c.kind == RANGE_SCALED)
    cdef u128 root = root_of(c.root), low = root_of(c.low), high = root_of(c.high), end
    cdef u128 limit = low if side == 0 else high
    cdef RangeStep step
    cdef uint64_t fee = 0
    if c.kind == RANGE:
        if u128_low(limit) == 0 and u128_high(limit) == 0:
            limit = u128_join(4295048016, 0) if side == 0 else u128_join(
                0x35BB7F32A81B33AF, 0xFFFEC4B1)
        if not range_step(&held, root, limit, amount, c.rate[0], 1_000_000, True, side == 0, True,
                          &step):
            return False
        out[0] = step.out
        return step.net_in + step.fee == amount
    if c.rate[0] > 1_000_000_000:
        return False
    if c.rate[1] >> side & 1:
        fee = curve_fee(amount, c.rate[0], 1_000_000_000)
    if fee > amount or not range_next(&held, root, amount - fee, side == 0, True, &end):
        return False
    if side == 0:
        if u128_less(end, low) or not range_amount_1(&held, end, root, False, out):
            return False
    elif (u128_less(high, end) and (c.high[0] | c.high[1])) or not range_amount_0(
            &held, root, end, False, out):
        return False
    if not c.rate[1] >> side & 1:
        out[0] -= curve_fee(out[0], c.rate[0], 1_000_000_000)
    return True


cdef inline bint quote(const Curve* c, int side, uint64_t amount, uint64_t* out) noexcept nogil:
    """What the trader gets for `amount` on that side, to the unit; 0 where the curve cannot say:
    nothing is known, or the swap leaves the range that is."""
    cdef uint64_t taken
    cdef PumpFees fees
    cdef PumpQuote pump
    if c.kind == PRODUCT:
        if c.rate[1] > 1_000_000 or not curve_fee_in_out(
                c.reserve[side], c.reserve[1 - side], amount, c.rate[0], 1_000_000, out):
            return False
        out[0] -= curve_fee(out[0], c.rate[1], 1_000_000)
        return True
    if c.kind == TOKEN_SWAP:
        return c.rate[0] <= 1_000_000 and c.rate[1] <= 1_000_000 and curve_token_swap(
            c.reserve[side], c.reserve[1 - side], amount, c.rate[0], c.rate[1], 1_000_000, &taken,
            out)
    if c.kind == PUMP_SWAP or c.kind == PUMP_CURVE:
        fees.pool, fees.protocol, fees.creator = c.rate[0], c.rate[1], c.rate[2]
        if side == 0:
            if not pump_sell(c.reserve[0], c.reserve[1], amount, &fees, &pump):
                return False
            out[0] = pump.trader
            return True
        if not pump_buy_for(
                c.reserve[0], c.reserve[1], amount, c.kind == PUMP_CURVE, &fees, &pump):
            return False
        out[0] = pump.base
        return True
    if c.kind == RANGE or c.kind == RANGE_SCALED:
        return quote_range(c, side, amount, out)
    if c.kind == BIN:
        if c.rate[0] > 1_000_000_000 or not bin_out(
                root_of(c.root), amount - curve_fee(amount, c.rate[0], 1_000_000_000), side == 0,
                out):
            return False
        return c.reserve[1 - side] == 0 or out[0] <= c.reserve[1 - side]
    return False


cdef inline bint fraction(const Curve* c, int side, Fraction* f) noexcept nogil:
    """The curve without rounding; 0 where nothing is known, or nothing could be had."""
    cdef double root, liquidity, edge, keep, bps
    f.cap = INFINITY
    if c.kind == PRODUCT or c.kind == TOKEN_SWAP:
        keep = 1.0 - (c.rate[0] + (c.rate[1] if c.kind == TOKEN_SWAP else 0)) * 1e-6
        f.i = <double>c.reserve[side] / keep
        f.o = <double>c.reserve[1 - side]
        if c.kind == PRODUCT:
            f.o *= 1.0 - c.rate[1] * 1e-6
    elif c.kind == PUMP_SWAP or c.kind == PUMP_CURVE:
        bps = (<double>c.rate[0] + c.rate[1] + c.rate[2]) * 1e-4
        f.i = <double>c.reserve[side] * (1.0 + bps if side == 1 else 1.0)
        f.o = <double>c.reserve[1 - side] * (1.0 - bps if side == 0 else 1.0)
    elif c.kind == RANGE or c.kind == RANGE_SCALED:
        root = u128_double(root_of(c.root)) / 18446744073709551616.0
        liquidity = u128_double(root_of(c.liquidity))
        keep = 1.0 - c.rate[0] * 1e-6
        if c.kind == RANGE_SCALED:
            liquidity /= 18446744073709551616.0
            keep = 1.0 - c.rate[0] * 1e-9
        if root <= 0.0 or keep <= 0.0:
            return False
        f.i = liquidity / root if side == 0 else liquidity * root
        f.o = liquidity * root if side == 0 else liquidity / root
        edge = u128_double(root_of(c.low) if side == 0 else root_of(c.high))
        edge /= 18446744073709551616.0
        if edge > 0.0:
            f.cap = liquidity / edge - f.i if side == 0 else liquidity * edge - f.i
        if c.kind == RANGE or c.rate[1] >> side & 1:
            f.i /= keep
            f.cap /= keep
        else:
            f.o *= keep
    elif c.kind == BIN:
        # A constant price: reserves so large that nothing moves it.
        root = u128_double(root_of(c.root)) / 18446744073709551616.0
        keep = 1.0 - c.rate[0] * 1e-9
        if root <= 0.0:
            return False
        f.i = 1e40
        f.o = 1e40 * keep * (root if side == 0 else 1.0 / root)
        if c.reserve[1 - side] and keep > 0.0:
            f.cap = <double>c.reserve[1 - side] * (1.0 / root if side == 0 else root) / keep
    else:
        return False
    return 0.0 < f.i < INFINITY and 0.0 < f.o < INFINITY and f.cap > 0.0
