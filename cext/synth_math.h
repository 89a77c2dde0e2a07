/* Integer maths of the simulated pools: constant product, one concentrated range, one bin.
 *
 * Formulas and rounding are those of the programs (protocol facts 2.3 to 2.7, 2.10, 2.11).
 * Every function works in 128 bits and takes a 256-bit product where the programs do.
 */
#ifndef MEVSTREAM_SYNTH_MATH_H
#define MEVSTREAM_SYNTH_MATH_H

#include <stdint.h>

typedef unsigned __int128 synth_u128;

/* floor or ceil of a * b / d; the quotient has to fit 128 bits. */
static synth_u128 synth_mul_div(synth_u128 a, synth_u128 b, synth_u128 d, int round_up) {
    synth_u128 a0 = (uint64_t)a, a1 = a >> 64, b0 = (uint64_t)b, b1 = b >> 64;
    synth_u128 low = a0 * b0, mid = a1 * b0, mid2 = a0 * b1, high = a1 * b1;
    synth_u128 carry = (low >> 64) + (uint64_t)mid + (uint64_t)mid2;
    synth_u128 quotient = 0, rest;
    low = (uint64_t)low | (carry << 64);
    high += (mid >> 64) + (mid2 >> 64) + (carry >> 64);
    if (high == 0) {
        quotient = low / d;
        rest = low % d;
    } else {
        rest = high % d;
        for (int bit = 127; bit >= 0; bit--) {
            int overflow = (int)(rest >> 127);
            rest = (rest << 1) | ((low >> bit) & 1);
            if (overflow || rest >= d) {
                rest -= d;
                quotient |= (synth_u128)1 << bit;
            }
        }
    }
    return quotient + (round_up && rest != 0);
}

static inline uint64_t synth_ceil_div(synth_u128 a, uint64_t d) {
    return (uint64_t)((a + d - 1) / d);
}

/* x*y=k, exact in, fee already taken: floor(reserve_out * net / (reserve_in + net)). */
static inline uint64_t synth_product_out(uint64_t reserve_in, uint64_t reserve_out, uint64_t net) {
    return (uint64_t)((synth_u128)reserve_out * net / ((synth_u128)reserve_in + net));
}

/* x*y=k, exact out: ceil(reserve_in * out / (reserve_out - out)). */
static inline uint64_t synth_product_in(uint64_t reserve_in, uint64_t reserve_out, uint64_t out) {
    synth_u128 d = reserve_out - out;
    return (uint64_t)(((synth_u128)reserve_in * out + d - 1) / d);
}

/* Token-2022 transfer fee: ceil(amount * bps / 10000). */
static inline uint64_t synth_transfer_fee(uint64_t amount, uint32_t bps) {
    return bps ? synth_ceil_div((synth_u128)amount * bps, 10000) : 0;
}

/* One concentrated range. sqrt_price is Q64.64 of token1/token0; *next is set to the price after,
 * *consumed to the part of `net` that the curve takes (the rest is fee). 0 where it overflows. */
static int synth_range_swap(uint64_t liquidity, synth_u128 sqrt_price, int zero_for_one,
                            uint64_t net, synth_u128 *next, uint64_t *consumed, uint64_t *out) {
    synth_u128 wide = (synth_u128)liquidity << 64, product, low, high, delta0, delta1;
    if (liquidity == 0 || net == 0)
        return 0;
    if (zero_for_one) {
        if (__builtin_mul_overflow((synth_u128)net, sqrt_price, &product) ||
            __builtin_add_overflow(wide, product, &product))
            return 0;
        *next = synth_mul_div(wide, sqrt_price, product, 1);
    } else {
        *next = sqrt_price + ((synth_u128)net << 64) / liquidity;
    }
    low = zero_for_one ? *next : sqrt_price;
    high = zero_for_one ? sqrt_price : *next;
    delta0 = synth_mul_div(wide, high - low, high, zero_for_one);
    delta0 = delta0 / low + (zero_for_one && delta0 % low != 0);
    delta1 = synth_mul_div(liquidity, high - low, (synth_u128)1 << 64, !zero_for_one);
    if ((delta0 >> 64) || (delta1 >> 64))
        return 0;
    *consumed = (uint64_t)(zero_for_one ? delta0 : delta1);
    *out = (uint64_t)(zero_for_one ? delta1 : delta0);
    return *consumed <= net;
}

/* Amounts of the two tokens between two prices, low <= high; up: rounded up. 0 and *fits = 0 where
 * one does not fit 64 bits. */
static uint64_t synth_delta(uint64_t liquidity, synth_u128 low, synth_u128 high, int side, int up,
                            int *fits) {
    synth_u128 out;
    if (side == 0) {
        out = synth_mul_div((synth_u128)liquidity << 64, high - low, high, up);
        out = out / low + (up && out % low != 0);
    } else {
        out = synth_mul_div(liquidity, high - low, (synth_u128)1 << 64, up);
    }
    if (out >> 64) {
        *fits = 0;
        return 0;
    }
    return (uint64_t)out;
}

/* One step of an exact-in swap within one range, at most to the price `target`. *next is the price
 * after, *in and *fee what it took of `remaining`. 0 where it overflows; 2 where target is reached.
 */
static int synth_range_step(uint64_t liquidity, synth_u128 price, synth_u128 target, int zero_for_one,
                            uint64_t remaining, uint32_t fee_rate, synth_u128 *next, uint64_t *in,
                            uint64_t *out, uint64_t *fee) {
    uint64_t usable = (uint64_t)((synth_u128)remaining * (1000000 - fee_rate) / 1000000);
    synth_u128 low = zero_for_one ? target : price, high = zero_for_one ? price : target;
    int fits = 1;
    uint64_t whole = synth_delta(liquidity, low, high, zero_for_one ? 0 : 1, 1, &fits);
    if (fits && usable >= whole) {
        *next = target;
        *in = whole;
        *out = synth_delta(liquidity, low, high, zero_for_one ? 1 : 0, 0, &fits);
        *fee = synth_ceil_div((synth_u128)whole * fee_rate, 1000000 - fee_rate);
        return fits ? 2 : 0;
    }
    if (!synth_range_swap(liquidity, price, zero_for_one, usable, next, in, out))
        return 0;
    *fee = remaining - *in;
    return 1;
}

/* What a bin takes for `out` at a Q64.64 price of token1/token0, rounded up; 0 where it overflows. */
static uint64_t synth_bin_in(synth_u128 price, int zero_for_one, uint64_t out) {
    synth_u128 one = (synth_u128)1 << 64;
    synth_u128 in = zero_for_one ? synth_mul_div(one, out, price, 1) : synth_mul_div(price, out, one, 1);
    return (in >> 64) ? 0 : (uint64_t)in;
}

/* Amount of the other side at a Q64.64 price of token1/token0, rounded down; 0 where it overflows. */
static uint64_t synth_at_price(synth_u128 price, int zero_for_one, uint64_t net) {
    synth_u128 one = (synth_u128)1 << 64, out;
    if (price == 0)
        return 0;
    out = zero_for_one ? synth_mul_div(price, net, one, 0) : synth_mul_div(one, net, price, 0);
    return (out >> 64) ? 0 : (uint64_t)out;
}

#endif
