/* Root prices (Q64.64) at ticks: 1.0001 ^ (tick / 2), as the two programs compute them.
 *
 * Constants: raydium-io/raydium-clmm libraries/tick_math.rs, orca-so/whirlpools math/tick_math.rs.
 * The two differ in the last digits.
 */
#ifndef MEVSTREAM_TICKS_H
#define MEVSTREAM_TICKS_H

#include "wide.h"

enum { TICK_MAX = 443636 };

#define TICK_WIDE(high, low) ((mv_u128)(high) << 64 | (low))

/* 2^64 / 1.0001 ^ (2 ^ (i - 1)) */
static const uint64_t TICK_RAYDIUM[19] = {
    0xfffcb933bd6fb800, 0xfff97272373d4000, 0xfff2e50f5f657000, 0xffe5caca7e10f000,
    0xffcb9843d60f7000, 0xff973b41fa98e800, 0xff2ea16466c9b000, 0xfe5dee046a9a3800,
    0xfcbe86c7900bb000, 0xf987a7253ac65800, 0xf3392b0822bb6000, 0xe7159475a2caf000,
    0xd097f3bdfd2f2000, 0xa9f746462d9f8000, 0x70d869a156f31c00, 0x31be135f97ed3200,
    0x9aa508b5b85a500,  0x5d6af8dedc582c,   0x2216e584f5fa,
};

static const uint64_t TICK_ORCA_NEGATIVE[19] = {
    18445821805675392311u, 18444899583751176498u, 18443055278223354162u, 18439367220385604838u,
    18431993317065449817u, 18417254355718160513u, 18387811781193591352u, 18329067761203520168u,
    18212142134806087854u, 17980523815641551639u, 17526086738831147013u, 16651378430235024244u,
    15030750278693429944u, 12247334978882834399u, 8131365268884726200u,  3584323654723342297u,
    696457651847595233u,   26294789957452057u,    37481735321082u,
};

/* 2^96 * 1.0001 ^ (2 ^ (i - 1)), high and low word. */
static const uint64_t TICK_ORCA_POSITIVE[19][2] = {
    {0x1000346d6, 0xff11672ae55ad00f},
    {0x100068db8, 0xbac710cb295e9e1b},
    {0x1000d1b9c, 0x68abe5f76b30fb75},
    {0x1001a37e4, 0xa234cb0830516e51},
    {0x100347278, 0xab0e92ada25ab460},
    {0x10068efb0, 0x0a525480a5d7fdc2},
    {0x100d20a63, 0xb4173839df9daaa5},
    {0x101a4c11c, 0x742dd7729738df5e},
    {0x1034c35c3, 0x1f64cfa6dc0d6de4},
    {0x106a34b78, 0xc8aaffbf81bed5a3},
    {0x10d72a6a4, 0x6ccd8bce9ae771b1},
    {0x11b9a258e, 0x63928596dc757faa},
    {0x13a2e2bda, 0x04f8379f3cd17be5},
    {0x181954be6, 0x9e0da8fe77f2ab42},
    {0x244c2655d, 0x185a029080252877},
    {0x525816eeb, 0x9f935b1c616779e8},
    {0x1a7c8d00b5, 0x51684ff4d31ae065},
    {0x2bd893d0b2d, 0xf7c97884590c66cd},
    {0x78278e1e19e44, 0x8cf8b95d2152dccf},
};

/* ratio * factor >> 96 */
static inline mv_u128 tick_shift_96(mv_u128 ratio, mv_u128 factor) {
    uint64_t a[2], b[2], p[4];
    wide_of(a, ratio);
    wide_of(b, factor);
    wide_mul(a, 2, b, 2, p);
    return TICK_WIDE(p[3] << 32 | p[2] >> 32, p[2] << 32 | p[1] >> 32);
}

static inline mv_u128 tick_power(const uint64_t *factors, uint32_t tick) {
    mv_u128 ratio = (mv_u128)1 << 64;
    for (int i = 0; i < 19; i++) {
        if (tick >> i & 1)
            ratio = ratio * factors[i] >> 64;
    }
    return ratio;
}

/* 0 outside the range of ticks. */
static inline mv_u128 tick_price(int32_t tick, int orca) {
    uint32_t size = tick < 0 ? -(uint32_t)tick : (uint32_t)tick;
    if (size > TICK_MAX)
        return 0;
    if (orca && tick >= 0) {
        mv_u128 ratio = (mv_u128)1 << 96;
        for (int i = 0; i < 19; i++) {
            if (size >> i & 1)
                ratio = tick_shift_96(ratio, TICK_WIDE(TICK_ORCA_POSITIVE[i][0],
                                                       TICK_ORCA_POSITIVE[i][1]));
        }
        return ratio >> 32;
    }
    mv_u128 ratio = tick_power(orca ? TICK_ORCA_NEGATIVE : TICK_RAYDIUM, size);
    return tick > 0 ? ~(mv_u128)0 / ratio : ratio;
}

/* The last tick whose root price is not above `root`; below -TICK_MAX where there is none. */
static inline int32_t tick_below(mv_u128 root, int orca) {
    int32_t low = -TICK_MAX - 1, high = TICK_MAX + 1;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (tick_price(middle, orca) <= root)
            low = middle;
        else
            high = middle;
    }
    return low;
}

#endif
