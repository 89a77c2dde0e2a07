"""The pool graph, for extensions that search it or hold pools."""

from libc.stdint cimport uint32_t

from mevstream.cext.quotes cimport Curve, Fraction

cdef enum:
    NO_EDGE = 0xFFFFFFFF

# A pool that is entered on one of its sides: 2 * pool + side. `way ^ 1` is the way back.
cdef struct Edge:
    uint32_t other       # the mint on the far side
    uint32_t way
    double rate          # marginal, fee included: far units for one near unit

# The edges of one mint, sorted by the far mint. A hub (many edges) also has tables by far mint.
cdef struct Mint:
    Edge* edges
    uint32_t n
    uint32_t room
    double* into         # best rate of one hop from the far mint to this one; 0: there is none
    double* out_of       # … from this one to the far mint
    uint32_t* first      # the first edge to the far mint, where `into` is not 0 or a pool is there
    uint32_t hub         # number of the hub, NO_EDGE

cdef class PoolGraph:
    cdef Mint* mints
    cdef double* values
    cdef uint32_t n_mints, mint_room
    cdef Curve* curves         # by pool
    cdef Fraction* fractions   # by way, as the next three
    cdef double* rates
    cdef uint32_t* mint_of     # the mint on that side; NO_EDGE in a free entry
    cdef uint32_t* place       # its edge among those of that mint
    cdef uint32_t n_pools, pool_room, capped, hub_degree
    cdef list vacant
    cdef Mint scratch          # tables for a mint that is no hub
    cdef uint32_t* hubs        # mints
    cdef uint32_t n_hubs
    cdef double* through       # [hub, hub]: best rate of two hops from one to the other
    cdef uint32_t* through_by  # … and by which mint

    cdef uint32_t add_mint(self, double value) except? NO_EDGE
    cdef uint32_t add_pool(self, uint32_t mint_0, uint32_t mint_1) except? NO_EDGE
    cdef void drop_pool(self, uint32_t pool) noexcept nogil
    cdef void moved(self, uint32_t pool) noexcept nogil
    cdef int insert(self, uint32_t way) except -1
    cdef void renumber(self, Mint* mint, uint32_t begin) noexcept nogil
    cdef int make_hub(self, uint32_t number) except -1
    cdef void retable(self, Mint* hub, uint32_t other) noexcept nogil
    cdef void reroute(self, uint32_t hub, uint32_t by) noexcept nogil
    cdef void rebound(self, uint32_t start, uint32_t end, uint32_t by) noexcept nogil
    cdef void rescan(self, uint32_t start, uint32_t end) noexcept nogil
    cdef int check(self, object pool) except -1
