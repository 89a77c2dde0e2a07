/* What a swap gives and costs, by the integer arithmetic of each program, rounding included.
 *
 * Amounts are base units, u64. Functions return 1, or 0 where the program would refuse: no
 * reserves, nothing left to give, a number that does not fit. Fees are taken as the programs take
 * them; where a caller needs them apart they are told.
 */
#ifndef MEVSTREAM_CURVES_H
#define MEVSTREAM_CURVES_H

#include "wide.h"

static inline int curve_u64(mv_u128 value, uint64_t *out) {
    *out = (uint64_t)value;
    return value >> 64 == 0;
}

/* ceil(amount * rate / unit); a rate of at most `unit`. */
static inline uint64_t curve_fee(uint64_t amount, uint64_t rate, uint64_t unit) {
    mv_u128 product = (mv_u128)amount * rate;
    return (uint64_t)(product / unit + (product % unit != 0));
}

/* What has to be paid so that `net` is left: ceil(net * unit / (unit - rate)). */
static inline int curve_gross(uint64_t net, uint64_t rate, uint64_t unit, uint64_t *out) {
    if (rate >= unit)
        return 0;
    mv_u128 product = (mv_u128)net * unit;
    return curve_u64(product / (unit - rate) + (product % (unit - rate) != 0), out);
}

/* -- constant product -------------------------------------------------------------------------- */

/* floor(reserve_out * net / (reserve_in + net)) */
static inline int curve_product_out(uint64_t reserve_in, uint64_t reserve_out, uint64_t net,
                                    uint64_t *out) {
    mv_u128 total = (mv_u128)reserve_in + net;
    if (reserve_in == 0 || reserve_out == 0)
        return 0;
    *out = (uint64_t)((mv_u128)reserve_out * net / total);
    return 1;
}

/* ceil(reserve_in * amount_out / (reserve_out - amount_out)) */
static inline int curve_product_in(uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_out,
                                   uint64_t *out) {
    if (reserve_in == 0 || amount_out >= reserve_out)
        return 0;
    mv_u128 product = (mv_u128)reserve_in * amount_out;
    uint64_t rest = reserve_out - amount_out;
    return curve_u64(product / rest + (product % rest != 0), out);
}

/* Fee rounded up on the input, rate / unit. Raydium AMM v4 (25 / 10,000), Raydium CPMM (1e-6). */
static inline int curve_fee_in_out(uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_in,
                                   uint64_t rate, uint64_t unit, uint64_t *out) {
    if (rate > unit)
        return 0;
    return curve_product_out(reserve_in, reserve_out, amount_in - curve_fee(amount_in, rate, unit),
                             out);
}

static inline int curve_fee_in_in(uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_out,
                                  uint64_t rate, uint64_t unit, uint64_t *out) {
    return curve_product_in(reserve_in, reserve_out, amount_out, out) &&
           curve_gross(*out, rate, unit, out);
}

/* floor(amount * rate / unit), but 1 where that is 0 and there is a rate. */
static inline uint64_t curve_least_one(uint64_t amount, uint64_t rate, uint64_t unit) {
    if (rate == 0 || amount == 0 || unit == 0)
        return 0;
    uint64_t fee = (uint64_t)((mv_u128)amount * rate / unit);
    return fee ? fee : 1;
}

/* SPL token-swap and its deployments (two fees on the input), Meteora DAMM v1 over the vaults'
 * shares (one). The output's new reserve is rounded up, and then no more is taken than that takes:
 * *taken may be less than amount_in. */
static inline int curve_token_swap(uint64_t reserve_in, uint64_t reserve_out, uint64_t amount_in,
                                   uint64_t trade_rate, uint64_t owner_rate, uint64_t unit,
                                   uint64_t *taken, uint64_t *out) {
    mv_u128 product = (mv_u128)reserve_in * reserve_out, left, needed;
    uint64_t trade = curve_least_one(amount_in, trade_rate, unit);
    uint64_t owner = curve_least_one(amount_in, owner_rate, unit);
    if (trade > amount_in || owner > amount_in - trade || product == 0)
        return 0;
    needed = (mv_u128)reserve_in + (amount_in - trade - owner);
    left = product / needed;
    if (left == 0)
        return 0;
    if (product % needed) {
        left++;
        needed = product / left + (product % left != 0);
    }
    if (left >= reserve_out || needed < reserve_in)
        return 0;
    *out = reserve_out - (uint64_t)left;
    return curve_u64(needed - reserve_in + trade + owner, taken);
}

/* -- Pump.fun and PumpSwap: fees on the quote side, in basis points, each rounded up ----------- */

typedef struct {
    uint64_t base;   /* tokens */
    uint64_t quote;  /* what the curve prices them at */
    uint64_t vault;  /* quote that enters or leaves the pool: with or without the pool's own fee */
    uint64_t trader; /* quote that the trader pays or gets */
} PumpQuote;

typedef struct {
    uint32_t pool;
    uint32_t protocol;
    uint32_t creator;
} PumpFees;

static inline mv_u128 pump_fees(uint64_t quote, const PumpFees *fees, uint64_t *pool) {
    *pool = curve_fee(quote, fees->pool, 10000);
    return (mv_u128)*pool + curve_fee(quote, fees->protocol, 10000) +
           curve_fee(quote, fees->creator, 10000);
}

static inline int pump_rates(const PumpFees *fees) {
    return fees->pool <= 10000 && fees->protocol <= 10000 && fees->creator <= 10000;
}

static inline int pump_paid(PumpQuote *q, const PumpFees *fees) {
    uint64_t pool;
    mv_u128 all = pump_fees(q->quote, fees, &pool);
    return curve_u64((mv_u128)q->quote + pool, &q->vault) &&
           curve_u64((mv_u128)q->quote + all, &q->trader);
}

/* base tokens for quote. `curve`: the bonding curve, where fees leave before the curve. */
static inline int pump_sell(uint64_t base_reserve, uint64_t quote_reserve, uint64_t base,
                            const PumpFees *fees, PumpQuote *q) {
    uint64_t pool;
    q->base = base;
    if (!pump_rates(fees) || !curve_product_out(base_reserve, quote_reserve, base, &q->quote))
        return 0;
    mv_u128 all = pump_fees(q->quote, fees, &pool);
    if (all > q->quote)
        return 0;
    q->vault = q->quote - pool;
    q->trader = q->quote - (uint64_t)all;
    return 1;
}

/* `base` tokens bought. PumpSwap rounds their price up; the bonding curve rounds it down and adds
 * one. */
static inline int pump_buy(uint64_t base_reserve, uint64_t quote_reserve, uint64_t base, int curve,
                           const PumpFees *fees, PumpQuote *q) {
    q->base = base;
    if (!pump_rates(fees) || base >= base_reserve || quote_reserve == 0)
        return 0;
    mv_u128 product = (mv_u128)quote_reserve * base;
    uint64_t rest = base_reserve - base;
    mv_u128 price = product / rest + (curve ? 1 : product % rest != 0);
    return curve_u64(price, &q->quote) && pump_paid(q, fees);
}

/* As many tokens as `spendable` pays for with its fees (pump-public-docs, idl/pump.json): the
 * curve buys for one unit less than it takes. */
static inline int pump_buy_for(uint64_t base_reserve, uint64_t quote_reserve, uint64_t spendable,
                               int curve, const PumpFees *fees, PumpQuote *q) {
    uint64_t pool;
    if (!pump_rates(fees) || base_reserve == 0 || quote_reserve == 0)
        return 0;
    uint64_t bps = (uint64_t)fees->pool + fees->protocol + fees->creator;
    q->quote = (uint64_t)((mv_u128)spendable * 10000 / (10000 + bps));
    mv_u128 all = (mv_u128)q->quote + pump_fees(q->quote, fees, &pool);
    if (all > spendable)
        q->quote -= all - spendable < q->quote ? (uint64_t)(all - spendable) : q->quote;
    if (q->quote < (curve ? 2 : 1))
        return 0;
    return curve_product_out(quote_reserve, base_reserve, q->quote - (curve ? 1 : 0), &q->base) &&
           pump_paid(q, fees);
}

/* -- concentrated liquidity ---------------------------------------------------------------------
 *
 * Root prices are Q64.64 of token 1 per token 0. A liquidity comes as L * 2^64 (192 bits), which is
 * what Meteora DAMM v2 stores (in 128); Raydium CLMM and Orca Whirlpool store L.
 * raydium-io/raydium-clmm libraries/{sqrt_price_math,swap_math}.rs, orca-so/whirlpools
 * math/{token_math,swap_math}.rs, MeteoraAg/damm-v2 curve.rs: one arithmetic. */

typedef struct {
    uint64_t limbs[3];
} RangeLiquidity;

static inline RangeLiquidity range_liquidity(mv_u128 liquidity, int scaled) {
    RangeLiquidity l = {{0, 0, 0}};
    wide_of(l.limbs + (scaled ? 0 : 1), liquidity);
    return l;
}

/* Token 0 between two root prices: L * (high - low) / (high * low). */
static inline int range_amount_0(const RangeLiquidity *l, mv_u128 low, mv_u128 high, int round_up,
                                 uint64_t *out) {
    uint64_t difference[2], product[5], a[2], b[2], divisor[4];
    if (low == 0 || low > high)
        return 0;
    wide_of(difference, high - low);
    wide_of(a, low);
    wide_of(b, high);
    wide_mul(l->limbs, 3, difference, 2, product);
    wide_mul(a, 2, b, 2, divisor);
    return wide_div(product, 5, divisor, 4, round_up, out, 1);
}

/* Token 1 between two root prices: L * (high - low) / 2^64. */
static inline int range_amount_1(const RangeLiquidity *l, mv_u128 low, mv_u128 high, int round_up,
                                 uint64_t *out) {
    uint64_t difference[2], product[5];
    if (low > high)
        return 0;
    wide_of(difference, high - low);
    wide_mul(l->limbs, 3, difference, 2, product);
    if (product[3] || product[4])
        return 0;
    *out = product[2] + (round_up && (product[0] | product[1]) ? 1 : 0);
    return !(round_up && (product[0] | product[1]) && *out == 0);
}

/* The root price after `amount` of token 0 (rounded up) or 1 (down) went in, or came out. */
static inline int range_next(const RangeLiquidity *l, mv_u128 root, uint64_t amount, int zero,
                             int into, mv_u128 *next) {
    uint64_t r[2], quotient[2], product[5], divisor[4], moved[3];
    if (root == 0 || wide_size(l->limbs, 3) == 0)
        return 0;
    wide_of(r, root);
    if (zero) {
        wide_mul(&amount, 1, r, 2, moved);
        for (int i = 0; i < 4; i++)
            divisor[i] = i < 3 ? l->limbs[i] : 0;
        if (into) {
            wide_add(divisor, 4, moved, 3);
        } else {
            if (wide_compare(divisor, moved, 3) <= 0)
                return 0;
            wide_subtract(divisor, 4, moved, 3);
        }
        wide_mul(l->limbs, 3, r, 2, product);
        if (!wide_div(product, 5, divisor, 4, 1, quotient, 2))
            return 0;
        *next = (mv_u128)quotient[1] << 64 | quotient[0];
        return 1;
    }
    product[0] = product[1] = 0;
    product[2] = amount;
    if (!wide_div(product, 3, l->limbs, 3, !into, quotient, 2))
        return 0;
    mv_u128 change = (mv_u128)quotient[1] << 64 | quotient[0];
    if (into ? __builtin_add_overflow(root, change, next) : change >= root)
        return 0;
    if (!into)
        *next = root - change;
    return 1;
}

/* The liquidity that has `amount` of token 0 or 1 between two root prices, rounded. */
static inline int range_liquidity_of(uint64_t amount, int zero, mv_u128 low, mv_u128 high,
                                     int scaled, int round_up, mv_u128 *out) {
    uint64_t a[2], b[2], part[3], product[6] = {0}, divisor[4] = {0}, quotient[2];
    if (low == 0 || low >= high)
        return 0;
    /* token 0: amount * low * high / (high - low); token 1: amount * 2^128 / (high - low), of
     * which a liquidity that is not scaled has 64 binary places less. */
    wide_of(divisor + (scaled ? 0 : 1), high - low);
    if (zero) {
        wide_of(a, low);
        wide_of(b, high);
        wide_mul(a, 2, &amount, 1, part);
        wide_mul(part, 3, b, 2, product);
    } else {
        product[2] = amount;
    }
    if (!wide_div(product, 6, divisor, 4, round_up, quotient, 2))
        return 0;
    *out = (mv_u128)quotient[1] << 64 | quotient[0];
    return 1;
}

typedef struct {
    mv_u128 root;     /* after the step */
    uint64_t net_in;  /* what the curve takes, without a fee on the input */
    uint64_t out;     /* what the curve gives, less a fee on the output */
    uint64_t fee;     /* in the token that it is taken from */
} RangeStep;

/* One step from `root` towards `target`, which it does not pass: `amount` is what is left to be
 * given (exact_in) or taken, fee included where it is on the given side; `rate` of `unit`. */
static int range_step(const RangeLiquidity *l, mv_u128 root, mv_u128 target, uint64_t amount,
                      uint64_t rate, uint64_t unit, int exact_in, int zero_in, int fee_on_input,
                      RangeStep *s) {
    mv_u128 low, high;
    uint64_t limit = 0, moved = amount;
    int reachable;
    if (rate >= unit || root == 0 || target == 0 || (zero_in ? target > root : target < root))
        return 0;
    if (exact_in && fee_on_input)
        moved = (uint64_t)((mv_u128)amount * (unit - rate) / unit);
    else if (!exact_in && !fee_on_input && !curve_gross(amount, rate, unit, &moved))
        return 0;
    low = zero_in ? target : root;
    high = zero_in ? root : target;
    reachable = zero_in == exact_in ? range_amount_0(l, low, high, exact_in, &limit)
                                    : range_amount_1(l, low, high, exact_in, &limit);
    if (reachable && moved >= limit)
        s->root = target;
    else if (!range_next(l, root, moved, zero_in == exact_in, exact_in, &s->root))
        return 0;
    if (zero_in ? s->root < target || s->root > root : s->root > target || s->root < root)
        return 0;
    low = zero_in ? s->root : root;
    high = zero_in ? root : s->root;
    if (!(zero_in ? range_amount_0(l, low, high, 1, &s->net_in)
                  : range_amount_1(l, low, high, 1, &s->net_in)) ||
        !(zero_in ? range_amount_1(l, low, high, 0, &s->out)
                  : range_amount_0(l, low, high, 0, &s->out)))
        return 0;
    if (!exact_in && s->out > moved)
        s->out = moved;
    if (!fee_on_input) {
        s->fee = curve_fee(s->out, rate, unit);
        s->out -= s->fee;
        if (exact_in && s->root != target)
            s->net_in = amount;
    } else if (exact_in && s->root != target) {
        if (s->net_in > amount)
            return 0;
        s->fee = amount - s->net_in;
    } else {
        uint64_t paid;
        if (!curve_gross(s->net_in, rate, unit, &paid))
            return 0;
        s->fee = paid - s->net_in;
    }
    return 1;
}

/* -- bins (Meteora DLMM; dlmm-sdk commons/src/math/{price_math,u64x64_math}.rs) ----------------- */

/* (1 + bin_step / 10,000) ^ bin_id as Q64.64. */
static int bin_rate(int32_t bin_id, uint32_t bin_step, mv_u128 *out) {
    const mv_u128 one = (mv_u128)1 << 64;
    mv_u128 base = one + ((mv_u128)bin_step << 64) / 10000, result = one;
    int64_t left = bin_id < 0 ? -(int64_t)bin_id : bin_id;
    int invert = bin_id < 0;
    if (left >= 0x80000)
        return 0;
    if (left) {
        /* Of a base of one and more the inverse is raised, which stays below 64 bits. */
        base = ~(mv_u128)0 / base;
        invert = !invert;
    }
    for (int bit = 0; left >> bit; bit++) {
        /* Only a bin step of 0 leaves a base of 64 bits and more, which the program refuses. */
        if (bit && (base >> 64 || (base = base * base >> 64, 0)))
            return 0;
        if (left >> bit & 1)
            result = result * base >> 64;
    }
    if (result == 0)
        return 0;
    *out = invert ? ~(mv_u128)0 / result : result;
    return 1;
}

/* Within one bin, token x (0) or y (1) in: what is left after the fee, at the bin's price. */
static inline int bin_out(mv_u128 price, uint64_t net, int x_in, uint64_t *out) {
    mv_u128 amount;
    return wide_mul_div(net, x_in ? price : (mv_u128)1 << 64, x_in ? (mv_u128)1 << 64 : price, 0,
                        &amount) &&
           curve_u64(amount, out);
}

/* What, before the fee, takes `out` from a bin. */
static inline int bin_in(mv_u128 price, uint64_t out, int x_in, uint64_t *net) {
    mv_u128 amount;
    return wide_mul_div(out, x_in ? (mv_u128)1 << 64 : price, x_in ? price : (mv_u128)1 << 64, 1,
                        &amount) &&
           curve_u64(amount, net);
}

#endif
