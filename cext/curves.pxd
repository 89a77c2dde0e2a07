"""Declarations of curves.h and ticks.h: what a swap gives and costs, to the unit, without the GIL.

Functions that return bint return 0 where the program would refuse the swap.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t

cdef extern from "wide.h" nogil:
    # 128 bits. C code computes with it; Cython must never make one of its own out of a sum.
    ctypedef unsigned long long u128 "mv_u128"
    bint wide_mul_div(u128 a, u128 b, u128 d, bint round_up, u128* out)

cdef extern from * nogil:
    """
    #define CURVE_JOIN(low, high) ((mv_u128)(high) << 64 | (low))
    #define CURVE_HIGH(a) ((uint64_t)((mv_u128)(a) >> 64))
    #define CURVE_LOW(a) ((uint64_t)(a))
    #define CURVE_DOUBLE(a) ((double)(mv_u128)(a))
    #define CURVE_MIDDLE(a, b) ((a) + ((mv_u128)(b) - (a)) / 2)
    #define CURVE_LESS(a, b) ((mv_u128)(a) < (mv_u128)(b))
    """
    u128 u128_join "CURVE_JOIN"(uint64_t low, uint64_t high)
    uint64_t u128_high "CURVE_HIGH"(u128 value)
    uint64_t u128_low "CURVE_LOW"(u128 value)
    double u128_double "CURVE_DOUBLE"(u128 value)
    bint u128_less "CURVE_LESS"(u128 a, u128 b)
    u128 u128_middle "CURVE_MIDDLE"(u128 a, u128 b)

cdef extern from "curves.h" nogil:
    uint64_t curve_fee(uint64_t amount, uint64_t rate, uint64_t unit)
    bint curve_gross(uint64_t net, uint64_t rate, uint64_t unit, uint64_t* out)
    bint curve_product_out(
        uint64_t reserve_in, uint64_t reserve_out, uint64_t net, uint64_t* out)
    bint curve_product_in(
        uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_out, uint64_t* out)
    bint curve_fee_in_out(
        uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_in, uint64_t rate,
        uint64_t unit, uint64_t* out)
    bint curve_fee_in_in(
        uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_out, uint64_t rate,
        uint64_t unit, uint64_t* out)
    bint curve_token_swap(
        uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_in, uint64_t trade_rate,
        uint64_t owner_rate, uint64_t unit, uint64_t* taken, uint64_t* out)

    ctypedef struct PumpFees:
        uint32_t pool
        uint32_t protocol
        uint32_t creator

    ctypedef struct PumpQuote:
        uint64_t base
        uint64_t quote
        uint64_t vault
        uint64_t trader

    bint pump_sell(
        uint64_t base_reserve, uint64_t quote_reserve, uint64_t base, const PumpFees* fees,
        PumpQuote* out)
    bint pump_buy(
        uint64_t base_reserve, uint64_t quote_reserve, uint64_t base, bint curve,
        const PumpFees* fees, PumpQuote* out)
    bint pump_buy_for(
        uint64_t base_reserve, uint64_t quote_reserve, uint64_t spendable, bint curve,
        const PumpFees* fees, PumpQuote* out)

    ctypedef struct RangeLiquidity:
        uint64_t limbs[3]

    ctypedef struct RangeStep:
        u128 root
        uint64_t net_in
        uint64_t out
        uint64_t fee

    RangeLiquidity range_liquidity(u128 liquidity, bint scaled)
    bint range_amount_0(
        const RangeLiquidity* liquidity, u128 low, u128 high, bint round_up, uint64_t* out)
    bint range_amount_1(
        const RangeLiquidity* liquidity, u128 low, u128 high, bint round_up, uint64_t* out)
    bint range_next(
        const RangeLiquidity* liquidity, u128 root, uint64_t amount, bint zero, bint into,
        u128* next)
    bint range_liquidity_of(
        uint64_t amount, bint zero, u128 low, u128 high, bint scaled, bint round_up, u128* out)
    bint range_step(
        const RangeLiquidity* liquidity, u128 root, u128 target, uint64_t amount, uint64_t rate,
        uint64_t unit, bint exact_in, bint zero_in, bint fee_on_input, RangeStep* step)

    bint bin_rate(int32_t bin_id, uint32_t bin_step, u128* out)
    bint bin_out(u128 price, uint64_t net, bint x_in, uint64_t* out)
    bint bin_in(u128 price, uint64_t out, bint x_in, uint64_t* net)

cdef extern from "ticks.h" nogil:
    enum:
        TICK_MAX
    u128 tick_price(int32_t tick, bint orca)
    int32_t tick_below(u128 root, bint orca)
