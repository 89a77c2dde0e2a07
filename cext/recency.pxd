"""The order in which the entries of a table were last touched, for those that forget the oldest.

Entries lie in an array of the owner's, `size` bytes each, headed as an Entry; the order is kept in
them.
"""

from libc.stdint cimport uint32_t

from mevstream.cext.pair_index cimport NO_ENTRY, Pair

cdef struct Entry:
    Pair pair
    uint32_t older     # neighbours in the order of the last touch, NO_ENTRY at its ends
    uint32_t newer

cdef struct Recency:
    uint32_t oldest    # NO_ENTRY: there are none
    uint32_t newest


cdef inline Entry* entry_at(char* entries, size_t size, uint32_t i) noexcept nogil:
    return <Entry*>(entries + size * i)


cdef inline void recency_init(Recency* order) noexcept nogil:
    order.oldest = order.newest = NO_ENTRY


cdef inline void recency_take_out(
    Recency* order, char* entries, size_t size, uint32_t i) noexcept nogil:
    cdef uint32_t older = entry_at(entries, size, i).older
    cdef uint32_t newer = entry_at(entries, size, i).newer
    if older == NO_ENTRY:
        order.oldest = newer
    else:
        entry_at(entries, size, older).newer = newer
    if newer == NO_ENTRY:
        order.newest = older
    else:
        entry_at(entries, size, newer).older = older


cdef inline void recency_put(
    Recency* order, char* entries, size_t size, uint32_t i) noexcept nogil:
    """An entry that is in no order is the newest from now on."""
    entry_at(entries, size, i).older = order.newest
    entry_at(entries, size, i).newer = NO_ENTRY
    if order.newest == NO_ENTRY:
        order.oldest = i
    else:
        entry_at(entries, size, order.newest).newer = i
    order.newest = i


cdef inline void recency_touch(
    Recency* order, char* entries, size_t size, uint32_t i) noexcept nogil:
    """An entry that is there is the newest from now on."""
    if i != order.newest:
        recency_take_out(order, entries, size, i)
        recency_put(order, entries, size, i)
