"""Transaction: signatures and message."""

from libc.stdint cimport uint8_t

from mevstream.cext.model cimport Transaction

cdef bint read_transaction(
    Transaction* tx, const uint8_t* p, const uint8_t* end, bint* has_message) noexcept nogil
