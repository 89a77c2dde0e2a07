"""What a transaction left with those who signed it."""

from mevstream.cext.model cimport Decoded, Transaction

cdef void settle_holdings(Transaction* tx, Decoded* d) noexcept nogil
