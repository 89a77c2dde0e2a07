"""xoshiro256** (Blackman and Vigna), seeded by splitmix64 as its authors advise."""

from libc.stdint cimport uint32_t, uint64_t

cdef struct Xoshiro:
    uint64_t s[4]

cdef inline void seed_with(Xoshiro* x, uint64_t seed) noexcept nogil:
    cdef int i
    cdef uint64_t z
    for i in range(4):
        seed += <uint64_t>0x9E3779B97F4A7C15
        z = (seed ^ (seed >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
        z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
        x.s[i] = z ^ (z >> 31)

cdef inline uint64_t draw(Xoshiro* x) noexcept nogil:
    cdef uint64_t* s = x.s
    cdef uint64_t five = s[1] * 5, t = s[1] << 17
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = (s[3] << 45) | (s[3] >> 19)
    return ((five << 7) | (five >> 57)) * 9

cdef inline uint32_t draw_below(Xoshiro* x, uint32_t n) noexcept nogil:
    """A number in 0 … n-1 (bias below n / 2**32)."""
    return <uint32_t>(((draw(x) >> 32) * n) >> 32)

cdef inline bint draw_chance(Xoshiro* x, uint32_t threshold) noexcept nogil:
    """True with probability threshold / 2**32."""
    return <uint32_t>(draw(x) >> 32) < threshold
