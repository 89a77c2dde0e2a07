"""TransactionStatusMeta."""

from libc.stdint cimport uint8_t

from mevstream.cext.model cimport Transaction
from mevstream.cext.parsing cimport Scratch

cdef bint read_meta(
    Transaction* tx, Scratch* scratch, const uint8_t* p, const uint8_t* end) noexcept nogil
