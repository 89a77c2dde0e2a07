"""Finds the entry of a pool and its pair of mints: open addressing over arrays of structs."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    NO_ENTRY = 0xFFFFFFFF
    PAIR_SIZE = 96

# Heads every entry that is found by an Index.
cdef struct Pair:
    uint64_t hash
    uint8_t keys[PAIR_SIZE]    # pool, base, quote

cdef struct Index:
    uint64_t seed
    uint32_t mask      # slots - 1
    uint32_t* slots    # entry + 1, 0: free

cdef bint index_init(Index* index, uint64_t seed) noexcept nogil
cdef void index_free(Index* index) noexcept nogil
cdef void index_clear(Index* index) noexcept nogil
cdef uint64_t pair_hash(const Index* index, const Pair* pair) noexcept nogil
cdef uint32_t index_find(
    const Index* index, const char* entries, size_t size, const Pair* pair) noexcept nogil
cdef void index_put(Index* index, uint64_t hash, uint32_t entry) noexcept nogil
cdef bint index_grow(
    Index* index, const char* entries, size_t size, uint32_t n) noexcept nogil
cdef void index_remove(
    Index* index, const char* entries, size_t size, uint32_t entry) noexcept nogil
