"""Declarations of wire.h: protobuf primitives and text encodings, inline and without the GIL."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "wire.h" nogil:
    ctypedef const uint8_t* mv_bytes
    const uint8_t MV_NO_KEY[32]
    bint MV_LIKELY(bint)
    bint MV_UNLIKELY(bint)
    uint64_t mv_u64(const uint8_t* p)
    uint32_t mv_u32(const uint8_t* p)
    double mv_u128_double(const uint8_t* p)
    uint64_t mv_mul_div(uint64_t a, uint64_t b, uint64_t c)
    bint mv_equal32(const uint8_t* a, const uint8_t* b)
    uint64_t mv_hash_key(const uint8_t* key)
    const uint8_t* mv_varint(const uint8_t* p, const uint8_t* end, uint64_t* out)
    const uint8_t* mv_tag(const uint8_t* p, const uint8_t* end, uint32_t* tag)
    const uint8_t* mv_length(const uint8_t* p, const uint8_t* end, uint32_t* length)
    const uint8_t* mv_skip(const uint8_t* p, const uint8_t* end, uint32_t tag, int nested)
    bint mv_utf8(const uint8_t* p, uint32_t n)
    bint mv_utf8_key(const uint8_t* p, uint32_t n)
    const uint8_t* mv_string_run(
        const uint8_t* p, const uint8_t* end, uint8_t tag, const uint8_t** last, uint32_t* n_last)
    bint mv_packed_varints(const uint8_t* p, uint32_t n)
    bint mv_base58_key(const uint8_t* text, uint32_t n, uint8_t* out)
    uint32_t mv_base64(const uint8_t* text, uint32_t n, uint8_t* out, uint32_t capacity)
    bint mv_decimal(const uint8_t* text, uint32_t n, uint64_t* out)
