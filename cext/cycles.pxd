"""The search for cycles, for extensions that hold pools."""

from libc.stdint cimport uint32_t

from mevstream.cext.paths cimport Path
from mevstream.cext.pool_graph cimport Mint, PoolGraph

cdef enum:
    MAX_TOP = 16

cdef struct Found:
    uint32_t n
    uint32_t top
    Path paths[MAX_TOP]  # the best first

cdef class CycleGraph(PoolGraph):
    cdef void find(self, uint32_t pool, int max_hops, uint32_t top, Found* found) noexcept nogil
    cdef void walk(
        self, uint32_t way, const Mint* a, const Mint* home, int max_hops, Found* found
    ) noexcept nogil
    cdef void meet(
        self, uint32_t* ways, uint32_t mint_a, uint32_t mint_b, uint32_t d, const Mint* b,
        const Mint* home, double rate, int max_hops, Found* found
    ) noexcept nogil
    cdef void fourth(
        self, uint32_t* ways, uint32_t mint_a, uint32_t mint_b, uint32_t c, const Mint* a,
        const Mint* home, double rate, Found* found
    ) noexcept nogil
    cdef void close_after(
        self, uint32_t* ways, uint32_t n, uint32_t last, const Mint* home, Found* found
    ) noexcept nogil
    cdef void close(
        self, uint32_t* ways, uint32_t n, uint32_t last, const Mint* home, double i, double o,
        Found* found
    ) noexcept nogil
    cdef void keep(
        self, const uint32_t* ways, uint32_t n, double i, double o, Found* found
    ) noexcept nogil
    cdef uint32_t path_of(self, cycle, Path* path) except 0
