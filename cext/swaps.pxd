"""Swap legs, liquidity changes, liquidations, tips and budgets of one transaction."""

from mevstream.cext.model cimport Decoded, Transaction

cdef bint decoded_init(Decoded* d) noexcept nogil
cdef void decoded_free(Decoded* d) noexcept nogil
cdef void decode_instructions(Transaction* tx, Decoded* d) noexcept nogil
