"""Pools by market, for extensions that hold pools and search them."""

from libc.stdint cimport uint8_t, uint32_t

from mevstream.cext.paths cimport Path
from mevstream.cext.quotes cimport Curve, Fraction

cdef enum:
    NO_END = 0xFFFFFFFF
    MAX_HUBS = 64

# The pools of one market, or of one pair of hubs.
cdef struct Book:
    uint32_t* pools
    uint32_t n
    uint32_t room
    uint32_t bridge      # place in `bridges`, NO_END

# The best cycle of a market so far.
cdef struct Best:
    uint32_t market      # NO_END: between hubs alone
    uint32_t pool        # one of those that were asked for
    Path path

cdef class Markets:
    cdef readonly list hubs
    cdef uint32_t n_hubs
    cdef double* values        # lamports of a base unit, by hub; 0 unknown
    cdef double* direct        # [from, to]: best rate of one hop between hubs
    cdef double* around        # [from, to]: … of one hop or two
    cdef Book* pairs           # [from, to]
    cdef Curve* curves         # by pool
    cdef Fraction* fractions   # by way, as the next two
    cdef double* rates
    cdef uint32_t* ends        # the hub that is entered from, or hubs + market
    cdef uint8_t* keys         # by pool, 32 bytes
    cdef uint32_t room
    cdef Book* markets
    cdef double* into          # [market, hub]: best rate from the hub
    cdef double* out_of        # [market, hub]: … to it
    cdef uint32_t* turn        # of a market: the turn that it was last looked at in
    cdef uint32_t* place       # … and where among `found` it is
    cdef uint32_t n_markets, market_room
    cdef dict numbers          # market by mint
    cdef list names            # mint by market
    cdef list vacant
    cdef uint32_t* bridges     # markets with pools to two hubs and more
    cdef uint32_t n_bridges
    cdef Best* found           # of this turn
    cdef uint32_t n_found, found_room, turns, hub_place
    cdef double least          # lamports that a cycle has to be worth
    cdef bint failed

    cdef int make_room(self, uint32_t n) except -1
    cdef int enter(self, uint32_t pool, const uint8_t* keys) except -1
    cdef int leave(self, uint32_t pool) except -1
    cdef uint32_t end_of(self, const uint8_t* key) except? NO_END
    cdef void moved(self, uint32_t pool, const Curve* curve) noexcept nogil
    cdef void rate_market(self, uint32_t market) noexcept nogil
    cdef void rate_hubs(self, uint32_t a, uint32_t b) noexcept nogil
    cdef void price(self, uint32_t hub) noexcept nogil
    cdef void begin(self, double least) noexcept nogil
    cdef void search(self, uint32_t way) noexcept nogil
    cdef void of_market(self, uint32_t pool, uint32_t market, uint32_t way) noexcept nogil
    cdef void of_hubs(self, uint32_t pool, uint32_t way) noexcept nogil
    cdef void over(
        self, uint32_t pool, uint32_t market, uint32_t way, uint32_t c) noexcept nogil
    cdef void bridged(
        self, uint32_t pool, uint32_t market, uint32_t y, uint32_t x, const uint32_t* hops,
        uint32_t n, double rate) noexcept nogil
    cdef void close(
        self, uint32_t pool, uint32_t market, uint32_t way_in, uint32_t way_out) noexcept nogil
    cdef void offer(
        self, uint32_t pool, uint32_t market, const uint32_t* ways, uint32_t n) noexcept nogil
    cdef bint precedes(self, const Path* a, const Path* b) noexcept nogil
