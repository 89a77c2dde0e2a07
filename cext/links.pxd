"""Who gave something to whom, beside trading."""

from libc.stdint cimport uint16_t

from mevstream.cext.model cimport Decoded, LinkKind, Transaction

cdef void note_link(
    const Transaction* tx, Decoded* d, LinkKind kind, uint16_t giver, uint16_t account
) noexcept nogil
cdef void settle_links(Transaction* tx, Decoded* d) noexcept nogil
