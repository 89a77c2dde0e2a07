"""The table of pools, for extensions that move them."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.columns cimport Columns
from mevstream.cext.curve_learning cimport Known, Told
from mevstream.cext.markets cimport Markets
from mevstream.cext.pair_index cimport Index, Pair
from mevstream.cext.quotes cimport Curve
from mevstream.cext.recency cimport Recency

cdef enum:
    # What a leg was quoted by (`source`).
    BY_NOTHING = 0
    BY_TOLD = 1            # what it tells of the state before it
    BY_TRACKED = 2         # where earlier legs left the pool

# Headed as an Entry of recency.pxd.
cdef struct State:
    Pair pair
    uint32_t older
    uint32_t newer
    uint32_t serial        # another one for each pool that was ever added
    uint32_t venue
    uint32_t decimals[2]   # of the mints, 255 not told
    uint32_t withheld      # 1: a transfer fee was seen
    uint64_t slot
    uint64_t count
    Known known

# How a leg found its pool.
cdef struct Before:
    Curve curve            # exactness UNKNOWN: not known
    bint tracked           # earlier legs had left it there

cdef struct Check:
    uint32_t source
    uint32_t exactness
    uint32_t drift
    uint64_t quoted
    uint64_t actual

cdef class PoolStates:
    cdef State* states
    cdef uint32_t n, room, capacity, serials
    cdef Recency order
    cdef Index index
    cdef Columns columns
    cdef readonly Markets markets

    cdef uint32_t take(
        self, const Told* leg, const Pair* pair, uint32_t model, uint64_t slot, Check* check,
        Before* before) except? 0xFFFFFFFF
    cdef void change(
        self, uint32_t i, uint32_t side, bint add, const uint64_t* amounts, const uint64_t* delta,
        bint delta_told, const int* ticks) noexcept nogil
    cdef bint inside(self, const Known* known, const int* ticks) noexcept nogil
    cdef void link(self, uint32_t i) noexcept nogil
    cdef uint32_t find(self, Pair* pair) noexcept nogil
    cdef uint32_t touch(self, const Pair* pair, uint32_t model) except? 0xFFFFFFFF
    cdef uint32_t add(self, const Pair* pair, uint32_t model) except? 0xFFFFFFFF
