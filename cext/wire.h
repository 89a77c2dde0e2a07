/* Protobuf wire format and the text encodings that Solana's messages carry, as inline C.
 *
 * Every reader takes [p, end) and returns the position after what it read, or NULL where the
 * bytes are malformed. What counts as malformed is what upb (the C core of google.protobuf)
 * rejects, so that any protobuf library and this one agree on every message. */
#ifndef MEVSTREAM_WIRE_H
#define MEVSTREAM_WIRE_H

#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define MV_INLINE static inline __attribute__((always_inline))
#define MV_COLD static __attribute__((noinline, cold))
#define MV_OUTLINED static __attribute__((noinline))
#define MV_LIKELY(x) __builtin_expect(!!(x), 1)
#define MV_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define MV_INLINE static inline
#define MV_COLD static
#define MV_OUTLINED static
#define MV_LIKELY(x) (x)
#define MV_UNLIKELY(x) (x)
#endif

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef const uint8_t *mv_bytes;

MV_INLINE uint64_t mv_u64(mv_bytes p) { uint64_t v; memcpy(&v, p, 8); return v; }
MV_INLINE uint32_t mv_u32(mv_bytes p) { uint32_t v; memcpy(&v, p, 4); return v; }
/* A little-endian u128 as a double: prices need no more than 53 bits. */
MV_INLINE double mv_u128_double(mv_bytes p) {
    return (double)mv_u64(p + 8) * 18446744073709551616.0 + (double)mv_u64(p);
}
/* a * b / c rounded down, at most UINT64_MAX; c is not 0. */
MV_INLINE uint64_t mv_mul_div(uint64_t a, uint64_t b, uint64_t c) {
    unsigned __int128 value = (unsigned __int128)a * b / c;
    return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}
MV_INLINE int mv_equal32(mv_bytes a, mv_bytes b) {
    return ((mv_u64(a) ^ mv_u64(b)) | (mv_u64(a + 8) ^ mv_u64(b + 8)) |
            (mv_u64(a + 16) ^ mv_u64(b + 16)) | (mv_u64(a + 24) ^ mv_u64(b + 24))) == 0;
}

/* Stands in a key table for a key that is none (not 32 bytes), so that the others keep their place.
 * No program and no account is known by it. */
static const uint8_t MV_NO_KEY[32] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* -- varints, tags, lengths ---------------------------------------------------------------- */

MV_OUTLINED mv_bytes mv_varint_slow(mv_bytes p, mv_bytes end, uint64_t *out) {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (p >= end) return NULL;
        uint64_t byte = *p++;
        value |= (byte & 0x7f) << shift; /* of the tenth byte, one bit counts */
        if (byte < 0x80) {
            *out = value;
            return p;
        }
    }
    return NULL;
}

MV_INLINE mv_bytes mv_varint(mv_bytes p, mv_bytes end, uint64_t *out) {
    if (MV_LIKELY(p < end && *p < 0x80)) {
        *out = *p;
        return p + 1;
    }
    return mv_varint_slow(p, end, out);
}

/* Tags and lengths are 32-bit: at most five bytes. */
MV_OUTLINED mv_bytes mv_tag_any(mv_bytes p, mv_bytes end, uint32_t *tag) {
    uint64_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        if (p >= end) return NULL;
        uint64_t byte = *p++;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (value > UINT32_MAX) return NULL;
            *tag = (uint32_t)value;
            return p;
        }
    }
    return NULL;
}

MV_INLINE mv_bytes mv_tag(mv_bytes p, mv_bytes end, uint32_t *tag) {
    if (MV_LIKELY(p < end && *p < 0x80 && *p >= 8)) {
        *tag = *p;
        return p + 1;
    }
    p = mv_tag_any(p, end, tag);
    return p == NULL || *tag < 8 ? NULL : p; /* there is no field 0 */
}

MV_OUTLINED mv_bytes mv_length_slow(mv_bytes p, mv_bytes end, uint32_t *length) {
    uint64_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        if (p >= end) return NULL;
        uint64_t byte = *p++;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (value > INT32_MAX || value > (uint64_t)(end - p)) return NULL;
            *length = (uint32_t)value;
            return p;
        }
    }
    return NULL;
}

/* Length of a delimited payload that lies wholly inside [returned position, end). */
MV_INLINE mv_bytes mv_length(mv_bytes p, mv_bytes end, uint32_t *length) {
    if (MV_LIKELY(end - p >= 2)) {
        uint32_t first = p[0];
        if (first < 0x80) {
            if (MV_UNLIKELY(first > (uint64_t)(end - p - 1))) return NULL;
            *length = first;
            return p + 1;
        }
        if (MV_LIKELY(p[1] < 0x80)) {
            uint32_t value = (first & 0x7f) | (uint32_t)p[1] << 7;
            if (MV_UNLIKELY(value > (uint64_t)(end - p - 2))) return NULL;
            *length = value;
            return p + 2;
        }
    }
    return mv_length_slow(p, end, length);
}

/* Steps over the value of an unknown field (or of a known one with another wire type) of a message
 * that is itself `nested` messages deep: groups and messages together nest at most 100 deep. Inside
 * unknown groups upb does not mind a field 0. */
MV_OUTLINED mv_bytes mv_skip(mv_bytes p, mv_bytes end, uint32_t tag, int nested) {
    uint32_t open[100];
    int depth = 0;
    for (;;) {
        uint64_t number;
        uint32_t length;
        switch (tag & 7) {
        case 0: p = mv_varint(p, end, &number); break;
        case 1: p = end - p >= 8 ? p + 8 : NULL; break;
        case 2: p = mv_length(p, end, &length); if (p) p += length; break;
        case 3:
            if (depth + nested == 100) return NULL;
            open[depth++] = tag >> 3;
            break;
        case 4:
            if (depth == 0 || open[--depth] != tag >> 3) return NULL;
            break;
        case 5: p = end - p >= 4 ? p + 4 : NULL; break;
        default: return NULL;
        }
        if (p == NULL || depth == 0) return p;
        p = mv_tag_any(p, end, &tag);
        if (p == NULL) return NULL;
    }
}

/* -- strings ------------------------------------------------------------------------------- */

MV_COLD int mv_utf8_slow(mv_bytes p, mv_bytes end) {
    while (p < end) {
        uint8_t c = *p;
        if (c < 0x80) { p++; continue; }
        if (c < 0xc2) return 0;
        if (c < 0xe0) {
            if (end - p < 2 || (p[1] & 0xc0) != 0x80) return 0;
            p += 2;
        } else if (c < 0xf0) {
            if (end - p < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80) return 0;
            if (c == 0xe0 && p[1] < 0xa0) return 0;
            if (c == 0xed && p[1] > 0x9f) return 0; /* surrogates */
            p += 3;
        } else if (c < 0xf5) {
            if (end - p < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 ||
                (p[3] & 0xc0) != 0x80)
                return 0;
            if (c == 0xf0 && p[1] < 0x90) return 0;
            if (c == 0xf4 && p[1] > 0x8f) return 0;
            p += 4;
        } else {
            return 0;
        }
    }
    return 1;
}

MV_INLINE int mv_ascii(mv_bytes p, uint32_t n) {
    mv_bytes end = p + n;
    uint64_t high = 0;
#if defined(__SSE2__)
    if (n >= 16) {
        __m128i seen = _mm_loadu_si128((const __m128i *)(end - 16));
        for (; end - p > 16; p += 16)
            seen = _mm_or_si128(seen, _mm_loadu_si128((const __m128i *)p));
        return _mm_movemask_epi8(seen) == 0;
    }
#endif
    if (n >= 8) {
        for (; end - p >= 8; p += 8) high |= mv_u64(p);
        high |= mv_u64(end - 8);
    } else {
        for (; p < end; p++) high |= *p;
    }
    return (high & 0x8080808080808080ULL) == 0;
}

/* Proto3 strings must be UTF-8; nearly all are ASCII, so that is asked first. */
MV_INLINE int mv_utf8(mv_bytes p, uint32_t n) {
    return MV_LIKELY(mv_ascii(p, n)) || mv_utf8_slow(p, p + n);
}

/* base58 texts of keys: 32 to 44 bytes, so three loads see them all. */
MV_INLINE int mv_utf8_key(mv_bytes p, uint32_t n) {
#if defined(__SSE2__)
    if (MV_LIKELY(n >= 32 && n <= 48)) {
        __m128i seen = _mm_or_si128(
            _mm_or_si128(_mm_loadu_si128((const __m128i *)p),
                         _mm_loadu_si128((const __m128i *)(p + 16))),
            _mm_loadu_si128((const __m128i *)(p + n - 16)));
        if (MV_LIKELY(_mm_movemask_epi8(seen) == 0)) return 1;
    }
#endif
    return mv_utf8(p, n);
}

MV_COLD int mv_strings_slow(mv_bytes p, mv_bytes end) {
    for (; p < end; p += 2 + p[1])
        if (!mv_utf8(p + 2, p[1])) return 0;
    return 1;
}

/* A run of fields of one string field (its tag is one byte), as log lines are. Tags and lengths
 * below 128 are ASCII like the text, so a stretch of short strings is looked at as a whole.
 * Returns the position after the run; `last` and `n_last` are the last string's. */
MV_INLINE mv_bytes mv_string_run(
    mv_bytes p, mv_bytes end, uint8_t tag, mv_bytes *last, uint32_t *n_last) {
    mv_bytes start = p;
    for (;;) {
        while (MV_LIKELY(end - p >= 2) && p[0] == tag && p[1] < 0x80) {
            if (MV_UNLIKELY(p[1] > end - p - 2)) return NULL;
            *last = p + 2;
            *n_last = p[1];
            p += 2 + p[1];
        }
        if (start < p && !mv_ascii(start, (uint32_t)(p - start)) && !mv_strings_slow(start, p))
            return NULL;
        if (p >= end || p[0] != tag) return p;
        p = mv_length(p + 1, end, n_last);
        if (p == NULL || !mv_utf8(p, *n_last)) return NULL;
        *last = p;
        p += *n_last;
        start = p;
    }
}

/* -- packed varints ------------------------------------------------------------------------ */

MV_COLD int mv_packed_slow(mv_bytes p, mv_bytes end) {
    uint64_t value;
    while (p < end) {
        p = mv_varint(p, end, &value);
        if (p == NULL) return 0;
    }
    return 1;
}

/* Whether [p, p+n) is a run of whole varints. Values of up to eight bytes (all real lamport
 * amounts) never have eight continuation bits in a row, so a run of them is asked for first. */
MV_INLINE int mv_packed_varints(mv_bytes p, uint32_t n) {
    if (n == 0) return 1;
    mv_bytes end = p + n;
    if (end[-1] >= 0x80) return 0;
#if defined(__SSE2__)
    if (n < 11) return 1; /* ten continuation bytes and the last one do not fit */
    if (n < 16) { /* any run of ten covers the fifth to the tenth byte */
        if (MV_UNLIKELY((~mv_u64(p + 2) & 0x8080808080800000ULL) == 0))
            return mv_packed_slow(p, end);
        return 1;
    }
    uint64_t carry = 0; /* continuation bits of the 16 bytes before p */
    for (;;) {
        uint32_t fresh = end - p < 16 ? (uint32_t)(end - p) : 16;
        /* The last load ends with the run and overlaps the one before. */
        mv_bytes at = p + fresh - 16;
        uint64_t bits = (uint32_t)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)at));
        uint64_t run = carry | bits >> (16 - fresh) << 16;
        run &= run >> 1; run &= run >> 2; run &= run >> 4;
        if (MV_UNLIKELY(run)) return mv_packed_slow(end - n, end);
        carry = bits;
        p += fresh;
        if (p == end) return 1;
    }
#else
    return mv_packed_slow(p, end);
#endif
}

/* -- base58, base64, decimals --------------------------------------------------------------- */

static const int8_t MV_BASE58[256] = {
#define N8 -1, -1, -1, -1, -1, -1, -1, -1
    N8, N8, N8, N8, N8, N8, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, -1, -1, -1, -1, -1, -1,
    -1, 9, 10, 11, 12, 13, 14, 15, 16, -1, 17, 18, 19, 20, 21, -1,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, -1, -1, -1, -1, -1,
    -1, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, -1, 44, 45, 46,
    47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, -1, -1, -1, -1, -1,
    N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8,
#undef N8
};

/* The base58 text of exactly 32 bytes. Ten digits (58^10 < 2^59) go into four 64-bit limbs at a
 * time. Returns 0 for text that is not that. */
static int mv_base58_key(mv_bytes text, uint32_t n, uint8_t *out) {
    uint64_t limb[4] = {0, 0, 0, 0};
    uint32_t i = 0, ones = 0, zeros = 0;
    if (n < 32 || n > 44) return 0;
    while (ones < n && text[ones] == '1') ones++;
    while (i < n) {
        uint64_t digits = 0, scale = 1;
        uint32_t stop = i + 10 < n ? i + 10 : n;
        for (; i < stop; i++) {
            int8_t digit = MV_BASE58[text[i]];
            if (digit < 0) return 0;
            digits = digits * 58 + (uint64_t)digit;
            scale *= 58;
        }
        unsigned __int128 t = digits;
        for (int k = 0; k < 4; k++) {
            t += (unsigned __int128)limb[k] * scale;
            limb[k] = (uint64_t)t;
            t >>= 64;
        }
        if (t) return 0;
    }
    for (int k = 0; k < 32; k++) out[k] = (uint8_t)(limb[3 - k / 8] >> (56 - 8 * (k % 8)));
    while (zeros < 32 && out[zeros] == 0) zeros++;
    return ones == zeros; /* each leading '1' stands for one zero byte */
}

static const int8_t MV_BASE64[256] = {
#define N16 -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1
    N16, N16, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
    -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1,
    -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
    N16, N16, N16, N16, N16, N16, N16, N16,
#undef N16
};

/* Base64 of at most `capacity` bytes; stops at padding, a blank or the first stranger (an event
 * line may hold several fields apart by blanks). Returns how many bytes were written. */
static uint32_t mv_base64(mv_bytes text, uint32_t n, uint8_t *out, uint32_t capacity) {
    uint32_t written = 0, i = 0;
    for (; i + 4 <= n && written + 3 <= capacity; i += 4) {
        int32_t a = MV_BASE64[text[i]], b = MV_BASE64[text[i + 1]];
        int32_t c = MV_BASE64[text[i + 2]], d = MV_BASE64[text[i + 3]];
        if ((a | b | c | d) < 0) break;
        out[written] = (uint8_t)(a << 2 | b >> 4);
        out[written + 1] = (uint8_t)(b << 4 | c >> 2);
        out[written + 2] = (uint8_t)(c << 6 | d);
        written += 3;
    }
    if (i + 2 <= n && written < capacity) {
        int32_t a = MV_BASE64[text[i]], b = MV_BASE64[text[i + 1]];
        if ((a | b) >= 0) {
            out[written++] = (uint8_t)(a << 2 | b >> 4);
            if (i + 3 <= n && written < capacity) {
                int32_t c = MV_BASE64[text[i + 2]];
                if (c >= 0) out[written++] = (uint8_t)(b << 4 | c >> 2);
            }
        }
    }
    return written;
}

/* A token amount: decimal text of a u64. Returns 0 for anything else. */
static int mv_decimal(mv_bytes text, uint32_t n, uint64_t *out) {
    uint64_t value = 0;
    if (n == 0 || n > 20) return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t digit = (uint8_t)(text[i] - '0');
        if (digit > 9) return 0;
        if (value > (UINT64_MAX - digit) / 10) return 0;
        value = value * 10 + digit;
    }
    *out = value;
    return 1;
}

MV_INLINE uint64_t mv_hash_key(mv_bytes key) {
    return (mv_u64(key) ^ (mv_u64(key + 24) << 23 | mv_u64(key + 24) >> 41)) *
           0x9E3779B97F4A7C15ULL;
}

#endif
