"""One ConfirmedTransaction: bytes to the structs of model.pxd."""

from libc.stdint cimport uint8_t, uint32_t

from mevstream.cext.model cimport Transaction

cdef bint transaction_init(Transaction* tx) noexcept nogil
cdef void transaction_free(Transaction* tx) noexcept nogil
cdef int transaction_parse(
    Transaction* tx, const uint8_t* data, uint32_t n, const uint8_t* vote_program) noexcept nogil
