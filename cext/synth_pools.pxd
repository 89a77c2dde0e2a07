from libc.stdint cimport uint64_t

from mevstream.cext.synth_ledger cimport Ledger
from mevstream.cext.synth_types cimport Pool, TemplateLeg, u128

cdef class Pools:
    cdef Pool* items
    cdef int n
    cdef Ledger ledger
    cdef list tick_tables

    cdef bint above_anchor(self, const Pool* pool) noexcept nogil
    cdef uint64_t priced(self, const Pool* pool, int side, uint64_t size) noexcept nogil
    cdef bint quote(self, const TemplateLeg* leg, uint64_t* f, uint64_t budget) noexcept nogil
    cdef void commit(self, const TemplateLeg* leg, const uint64_t* f) noexcept nogil
    cdef uint64_t reserve(self, const Pool* pool, int side) noexcept nogil
    cdef uint64_t by_sqrt_price(self, const Pool* pool, int side, uint64_t amount) noexcept nogil
    cdef bint quote_range(self, const Pool* pool, int side, uint64_t* f) noexcept nogil
    cdef bint quote_pump(self, const Pool* pool, int side, uint64_t* f,
                         uint64_t budget) noexcept nogil
    cdef bint quote_ticks(self, const Pool* pool, int side, uint64_t* f) noexcept nogil
    cdef bint quote_bins(self, const Pool* pool, int side, uint64_t* f) noexcept nogil
    cdef bint walk_bins(self, const Pool* pool, int side, uint64_t amount, uint64_t* f,
                        bint moving) noexcept nogil
    cdef int tick_of(self, const Pool* pool, u128 price) noexcept nogil
    cdef u128 tick_price(self, const Pool* pool, int place) noexcept nogil
    cdef void find_segment(self, Pool* pool) noexcept nogil
    cdef void show_price(self, const Pool* pool, u128 after, int tick, uint64_t* f) noexcept nogil
