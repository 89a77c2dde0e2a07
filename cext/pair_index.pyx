"""Finds the entry of a pool and its pair of mints: open addressing over arrays of structs.

Entries lie in an array of the owner's, each headed by its Pair; the index holds their positions.
The hash is seeded, for keys come from whoever writes to the chain, and nobody shall be able to
choose ones that collide. No order of entries may follow from it.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset

from mevstream.cext.wire cimport mv_u64

cdef enum:
    FIRST_SLOTS = 256


cdef bint index_init(Index* index, uint64_t seed) noexcept nogil:
    """0 without memory."""
    index.seed = seed
    index.mask = FIRST_SLOTS - 1
    index.slots = <uint32_t*>calloc(FIRST_SLOTS, sizeof(uint32_t))
    return index.slots != NULL


cdef void index_free(Index* index) noexcept nogil:
    free(index.slots)


cdef void index_clear(Index* index) noexcept nogil:
    memset(index.slots, 0, (<size_t>index.mask + 1) * sizeof(uint32_t))


cdef uint64_t pair_hash(const Index* index, const Pair* pair) noexcept nogil:
    cdef uint64_t h = index.seed
    cdef int i
    for i in range(0, PAIR_SIZE, 8):
        h = (h ^ mv_u64(pair.keys + i)) * <uint64_t>0x9E3779B97F4A7C15
        h ^= h >> 29
    return h


cdef inline const Pair* entry_pair(const char* entries, size_t size, uint32_t i) noexcept nogil:
    return <const Pair*>(entries + size * i)


cdef uint32_t index_find(
    const Index* index, const char* entries, size_t size, const Pair* pair
) noexcept nogil:
    """The entry with these keys (`pair.hash` is theirs), or NO_ENTRY."""
    cdef uint32_t at = <uint32_t>(pair.hash >> 32) & index.mask
    cdef const Pair* found
    while index.slots[at]:
        found = entry_pair(entries, size, index.slots[at] - 1)
        if found.hash == pair.hash and memcmp(found.keys, pair.keys, PAIR_SIZE) == 0:
            return index.slots[at] - 1
        at = (at + 1) & index.mask
    return NO_ENTRY


cdef void index_put(Index* index, uint64_t hash, uint32_t entry) noexcept nogil:
    """Files an entry that is not there; there must be a free slot."""
    cdef uint32_t at = <uint32_t>(hash >> 32) & index.mask
    while index.slots[at]:
        at = (at + 1) & index.mask
    index.slots[at] = entry + 1


cdef bint index_grow(
    Index* index, const char* entries, size_t size, uint32_t n
) noexcept nogil:
    """Makes room for one more than the n entries 0 … n - 1, which are filed; 0 without memory."""
    cdef uint64_t slots = <uint64_t>index.mask + 1
    cdef uint32_t i
    cdef uint32_t* grown
    if 2 * (<uint64_t>n + 1) <= slots:
        return True
    grown = <uint32_t*>calloc(2 * slots, sizeof(uint32_t))
    if grown == NULL:
        return False
    free(index.slots)
    index.slots = grown
    index.mask = <uint32_t>(2 * slots - 1)
    for i in range(n):
        index_put(index, entry_pair(entries, size, i).hash, i)
    return True


cdef void index_remove(
    Index* index, const char* entries, size_t size, uint32_t entry
) noexcept nogil:
    """Takes out an entry that is there. What follows it moves up, so that no search ends early."""
    cdef uint32_t mask = index.mask, hole, at, home
    hole = <uint32_t>(entry_pair(entries, size, entry).hash >> 32) & mask
    while index.slots[hole] != entry + 1:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        if index.slots[at] == 0:
            break
        home = <uint32_t>(entry_pair(entries, size, index.slots[at] - 1).hash >> 32) & mask
        # It may stay where its home lies after the hole, going round.
        if ((at - home) & mask) >= ((at - hole) & mask):
            index.slots[hole] = index.slots[at]
            hole = at
    index.slots[hole] = 0
