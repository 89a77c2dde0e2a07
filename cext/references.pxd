"""What the index columns of a message refer to, for the extensions that follow them."""

from libc.stdint cimport int8_t, uint8_t, uint32_t, uint64_t

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

# The tables of rows, in the order of `TABLES`. The rows of all but the first are of transactions.
cdef enum:
    N_TABLES = 4
    TRANSACTIONS_TABLE = 0

cdef class References:
    cdef Layout layout
    cdef uint8_t kinds[MAX_COLUMNS]
    cdef int8_t tables[MAX_COLUMNS]  # the table of a column, or -1
    cdef int leaders[N_TABLES]       # the column that every row of the table has
    cdef int replicas[N_TABLES]      # the column that marks copies
    cdef int keys
    cdef uint32_t names              # the field's number

    cdef int outside(self, const Found* found, uint64_t n_names) noexcept nogil
    cdef uint64_t table_size(self, const Found* found, int i, uint64_t n_names) noexcept nogil
