"""What venues, routers and lenders tell of what they did."""

from mevstream.cext.model cimport Decoded, Transaction

cdef void read_events(Transaction* tx, Decoded* d) noexcept nogil
