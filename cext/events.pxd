"""What venues and routers tell of their swaps."""

from mevstream.cext.model cimport Decoded, Transaction

cdef void read_events(Transaction* tx, Decoded* d) noexcept nogil
