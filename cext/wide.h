/* Integers of more than 64 bits: little-endian arrays of 64-bit limbs.
 *
 * The programs compute with 256 and 512 bits; a product of a liquidity in Q64 (192 bits) and a
 * root price (128 bits) needs 320. Everything here is exact.
 */
#ifndef MEVSTREAM_WIDE_H
#define MEVSTREAM_WIDE_H

#include <stdint.h>

typedef unsigned __int128 mv_u128;

/* How many limbs there are without leading zeros. */
static inline int wide_size(const uint64_t *a, int n) {
    while (n && a[n - 1] == 0)
        n--;
    return n;
}

static inline void wide_of(uint64_t *out, mv_u128 value) {
    out[0] = (uint64_t)value;
    out[1] = (uint64_t)(value >> 64);
}

/* out[0 … na + nb) = a * b; out is neither of them. */
static inline void wide_mul(const uint64_t *a, int na, const uint64_t *b, int nb, uint64_t *out) {
    for (int i = 0; i < na + nb; i++)
        out[i] = 0;
    for (int i = 0; i < na; i++) {
        uint64_t carry = 0;
        for (int k = 0; k < nb; k++) {
            mv_u128 sum = (mv_u128)a[i] * b[k] + out[i + k] + carry;
            out[i + k] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        out[i + nb] = carry;
    }
}

/* a[0 … n) += b[0 … nb), nb <= n; the carry out of it. */
static inline uint64_t wide_add(uint64_t *a, int n, const uint64_t *b, int nb) {
    uint64_t carry = 0;
    for (int i = 0; i < n; i++) {
        mv_u128 sum = (mv_u128)a[i] + (i < nb ? b[i] : 0) + carry;
        a[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

static inline int wide_compare(const uint64_t *a, const uint64_t *b, int n) {
    while (n--) {
        if (a[n] != b[n])
            return a[n] < b[n] ? -1 : 1;
    }
    return 0;
}

/* a[0 … n) -= b[0 … nb), nb <= n; a is at least b. */
static inline void wide_subtract(uint64_t *a, int n, const uint64_t *b, int nb) {
    uint64_t borrow = 0;
    for (int i = 0; i < n; i++) {
        mv_u128 rest = (mv_u128)a[i] - (i < nb ? b[i] : 0) - borrow;
        a[i] = (uint64_t)rest;
        borrow = (uint64_t)(rest >> 64) & 1;
    }
}

enum { WIDE_LIMBS = 8 };

/* Floor, or ceiling with round_up, of n / d, into the `room` limbs of `out`. 0 where d is 0 or the
 * quotient does not fit. At most WIDE_LIMBS limbs each. Knuth, The Art of Computer Programming,
 * volume 2, 4.3.1, algorithm D. */
static int wide_div(const uint64_t *n, int nn, const uint64_t *d, int nd, int round_up,
                    uint64_t *out, int room) {
    uint64_t u[WIDE_LIMBS + 1], v[WIDE_LIMBS], q[WIDE_LIMBS + 1] = {0};
    int rest = 0;
    nn = wide_size(n, nn);
    nd = wide_size(d, nd);
    if (nd == 0 || nn > WIDE_LIMBS || nd > WIDE_LIMBS)
        return 0;
    if (nn < nd) {
        rest = nn > 0;
    } else if (nd == 1) {
        mv_u128 remainder = 0;
        for (int i = nn - 1; i >= 0; i--) {
            remainder = remainder << 64 | n[i];
            q[i] = (uint64_t)(remainder / d[0]);
            remainder %= d[0];
        }
        rest = remainder != 0;
    } else {
        int shift = __builtin_clzll(d[nd - 1]);
        for (int i = 0; i < nd; i++)
            v[i] = d[i] << shift | (shift && i ? d[i - 1] >> (64 - shift) : 0);
        u[nn] = shift ? n[nn - 1] >> (64 - shift) : 0;
        for (int i = 0; i < nn; i++)
            u[i] = n[i] << shift | (shift && i ? n[i - 1] >> (64 - shift) : 0);
        for (int k = nn - nd; k >= 0; k--) {
            mv_u128 head = (mv_u128)u[k + nd] << 64 | u[k + nd - 1];
            mv_u128 guess = u[k + nd] >= v[nd - 1] ? UINT64_MAX : head / v[nd - 1];
            mv_u128 left = head - guess * v[nd - 1];
            while (left >> 64 == 0 && guess * v[nd - 2] > (left << 64 | u[k + nd - 2])) {
                guess--;
                left += v[nd - 1];
            }
            uint64_t carry = 0, borrow = 0;
            for (int i = 0; i < nd; i++) {
                mv_u128 product = guess * v[i] + carry;
                mv_u128 part = (mv_u128)u[k + i] - (uint64_t)product - borrow;
                carry = (uint64_t)(product >> 64);
                u[k + i] = (uint64_t)part;
                borrow = (uint64_t)(part >> 64) & 1;
            }
            mv_u128 part = (mv_u128)u[k + nd] - carry - borrow;
            u[k + nd] = (uint64_t)part;
            if ((uint64_t)(part >> 64) & 1) {
                guess--;
                u[k + nd] += wide_add(u + k, nd, v, nd);
            }
            q[k] = (uint64_t)guess;
        }
        rest = wide_size(u, nd) > 0;
    }
    if (rest && round_up) {
        uint64_t one = 1;
        wide_add(q, WIDE_LIMBS + 1, &one, 1);
    }
    if (wide_size(q, WIDE_LIMBS + 1) > room)
        return 0;
    for (int i = 0; i < room; i++)
        out[i] = q[i];
    return 1;
}

/* Floor or ceiling of a * b / d; 0 where it is none or does not fit 128 bits. */
static inline int wide_mul_div(mv_u128 a, mv_u128 b, mv_u128 d, int round_up, mv_u128 *out) {
    uint64_t x[2], y[2], z[2], product[4], quotient[2];
    if ((a | b) >> 64 == 0) {
        mv_u128 small = a * b;
        if (d == 0)
            return 0;
        *out = small / d + (round_up && small % d != 0);
        return 1;
    }
    wide_of(x, a);
    wide_of(y, b);
    wide_of(z, d);
    wide_mul(x, 2, y, 2, product);
    if (!wide_div(product, 4, z, 2, round_up, quotient, 2))
        return 0;
    *out = (mv_u128)quotient[1] << 64 | quotient[0];
    return 1;
}

#endif
