"""Changes of liquidity positions."""

from libc.stdint cimport uint8_t, uint32_t

from mevstream.cext.model cimport Decoded, Program, Transaction

cdef void find_changes(
    Transaction* tx, Decoded* d, uint32_t position, const Program* venue) noexcept nogil
cdef bint offer_change(
    Transaction* tx, Decoded* d, const Program* venue, uint32_t position, const uint8_t* data,
    uint32_t n) noexcept nogil
cdef void finish_changes(Transaction* tx, Decoded* d) noexcept nogil
