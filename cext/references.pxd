"""What the index columns of a message refer to, for the extensions that follow them."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.columnar cimport MAX_COLUMNS, Found, Layout
from mevstream.cext.wire cimport mv_u32


cdef inline uint32_t reference(const Found* column, uint64_t row) noexcept nogil:
    """A value of an index column; 0xFFFFFFFF (none) where the column is missing."""
    return mv_u32(column.value + 4 * row) if column.size else <uint32_t>0xFFFFFFFF


# What the values of a column refer to.
cdef enum Refers:
    NOTHING
    TO_KEYS
    TO_NAMES
    TO_TRANSACTIONS

cdef class References:
    cdef Layout layout
    cdef uint8_t kinds[MAX_COLUMNS]
    cdef int keys, tx_index, swap_tx
    cdef uint32_t names  # the field's number

    cdef int outside(self, const Found* found, uint64_t n_names) noexcept nogil
    cdef uint64_t table_size(self, const Found* found, int i, uint64_t n_names) noexcept nogil
