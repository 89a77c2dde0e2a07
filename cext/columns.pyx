"""Rows of a batch as growing columns, its key table, and the message writer.

A column is a packed field whose payload starts on a multiple of 8 bytes of the message: a padding
field before it sees to that, so that a reader's views are aligned.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from mevstream.cext.fields cimport put_varint, varint_size
from mevstream.cext.memory cimport grow
from mevstream.cext.wire cimport MV_LIKELY, mv_equal32, mv_hash_key

cdef enum:
    PADDING_TAG = 122   # field 15, length-delimited


cdef bint columns_init(Columns* c) noexcept nogil:
    """Expects zeroed memory; 0 without memory."""
    c.key_capacity = 512    # what a batch of 256 transactions has; it grows
    c.keys = <uint8_t*>malloc(32 * <size_t>c.key_capacity)
    c.slots = <Slot*>calloc(2 * <size_t>c.key_capacity, sizeof(Slot))
    return c.keys != NULL and c.slots != NULL


cdef void columns_free(Columns* c) noexcept nogil:
    cdef uint32_t i
    for i in range(T_COLUMNS_32):
        free(c.tx32[i])
    for i in range(T_COLUMNS_64):
        free(c.tx64[i])
    for i in range(S_COLUMNS_32):
        free(c.swap32[i])
    for i in range(S_COLUMNS_64):
        free(c.swap64[i])
    for i in range(L_COLUMNS_32):
        free(c.liquidity32[i])
    for i in range(L_COLUMNS_64):
        free(c.liquidity64[i])
    for i in range(Q_COLUMNS_32):
        free(c.liquidation32[i])
    for i in range(Q_COLUMNS_64):
        free(c.liquidation64[i])
    for i in range(K_COLUMNS_32):
        free(c.link32[i])
    for i in range(C_COLUMNS_32):
        free(c.curve32[i])
    for i in range(C_COLUMNS_64):
        free(c.curve64[i])
    free(c.signers_lamports)
    free(c.signers_in)
    free(c.signatures)
    free(c.malformed)
    free(c.positions)
    free(c.keys)
    free(c.slots)


cdef bint transaction_room(Columns* c, uint32_t n) noexcept nogil:
    """Starts a batch of at most n records; 0 without memory."""
    cdef uint32_t i
    cdef bint ok = True
    c.n_transactions = c.n_swaps = c.n_malformed = c.n_keys = c.n_names = 0
    c.n_liquidity = c.n_liquidations = c.n_links = 0
    c.failed = c.signers_told = False
    c.generation += 1
    if c.generation == 0:   # after 2^32 batches
        memset(c.slots, 0, 2 * <size_t>c.key_capacity * sizeof(Slot))
        memset(c.name_slots, 0, sizeof(c.name_slots))
        c.generation = 1
    if n <= c.transaction_capacity:
        return True
    for i in range(T_COLUMNS_32):
        ok = ok and grow(<void**>&c.tx32[i], n, 4)
    for i in range(T_COLUMNS_64):
        ok = ok and grow(<void**>&c.tx64[i], n, 8)
    ok = ok and grow(<void**>&c.signatures, n, 64) and grow(<void**>&c.signers_lamports, n, 8)
    ok = ok and grow(<void**>&c.malformed, n, 4) and grow(<void**>&c.positions, n, 4)
    if ok:
        c.transaction_capacity = n
    return ok


cdef bint more_room(
    uint32_t** columns32, uint32_t n32, uint64_t** columns64, uint32_t n64, uint32_t needed,
    uint32_t* capacity) noexcept nogil:
    """Grows the columns of a table until `needed` rows fit; 0 without memory."""
    cdef uint32_t i, grown
    cdef bint ok = True
    if MV_LIKELY(needed <= capacity[0]):
        return True
    grown = capacity[0] + needed + 64
    for i in range(n32):
        ok = ok and grow(<void**>&columns32[i], grown, 4)
    for i in range(n64):
        ok = ok and grow(<void**>&columns64[i], grown, 8)
    if ok:
        capacity[0] = grown
    return ok


cdef bint swap_room(Columns* c, uint32_t more) noexcept nogil:
    """Room for that many more legs; 0 without memory."""
    cdef uint32_t capacity = c.swap_capacity, same = capacity
    return more_room(
        NULL, 0, &c.signers_in, 1, c.n_swaps + more, &same
    ) and more_room(
        c.curve32, C_COLUMNS_32, c.curve64, C_COLUMNS_64, c.n_swaps + more, &capacity
    ) and more_room(
        c.swap32, S_COLUMNS_32, c.swap64, S_COLUMNS_64, c.n_swaps + more, &c.swap_capacity)


cdef bint liquidity_room(Columns* c, uint32_t more) noexcept nogil:
    """Room for that many more liquidity changes; 0 without memory."""
    return more_room(
        c.liquidity32, L_COLUMNS_32, c.liquidity64, L_COLUMNS_64, c.n_liquidity + more,
        &c.liquidity_capacity)


cdef bint liquidation_room(Columns* c, uint32_t more) noexcept nogil:
    """Room for that many more liquidations; 0 without memory."""
    return more_room(
        c.liquidation32, Q_COLUMNS_32, c.liquidation64, Q_COLUMNS_64, c.n_liquidations + more,
        &c.liquidation_capacity)


cdef bint link_room(Columns* c, uint32_t more) noexcept nogil:
    """Room for that many more links; 0 without memory."""
    return more_room(c.link32, K_COLUMNS_32, NULL, 0, c.n_links + more, &c.link_capacity)


# -- keys and names -------------------------------------------------------------------------------

cdef bint grow_keys(Columns* c) noexcept nogil:
    """Doubles the key table and files its keys anew; 0 without memory."""
    cdef uint32_t capacity = 2 * c.key_capacity, i, at, mask = 2 * capacity - 1
    cdef Slot* slots = <Slot*>calloc(2 * <size_t>capacity, sizeof(Slot))
    if slots == NULL or not grow(<void**>&c.keys, 32 * <size_t>capacity, 1):
        free(slots)
        return False
    for i in range(c.n_keys):
        at = <uint32_t>(mv_hash_key(c.keys + 32 * <size_t>i) >> 32) & mask
        while slots[at].generation == c.generation:
            at = (at + 1) & mask
        slots[at].generation = c.generation
        slots[at].index = i
    free(c.slots)
    c.slots = slots
    c.key_capacity = capacity
    return True


cdef uint32_t key_index(Columns* c, const uint8_t* key) noexcept nogil:
    """The key's index in the batch's table, where it is put at its first use."""
    cdef uint32_t mask = 2 * c.key_capacity - 1
    cdef uint32_t at = <uint32_t>(mv_hash_key(key) >> 32) & mask
    while c.slots[at].generation == c.generation:
        if MV_LIKELY(mv_equal32(c.keys + 32 * <size_t>c.slots[at].index, key)):
            return c.slots[at].index
        at = (at + 1) & mask
    if c.n_keys == c.key_capacity:
        if not grow_keys(c):
            c.failed = True
            return 0
        return key_index(c, key)
    c.slots[at].generation = c.generation
    c.slots[at].index = c.n_keys
    memcpy(c.keys + 32 * <size_t>c.n_keys, key, 32)
    c.n_keys += 1
    return c.n_keys - 1


cdef uint32_t name_column(Columns* c, uint32_t name) noexcept nogil:
    """The registry name's index among the batch's names."""
    if c.name_slots[name].generation != c.generation:
        c.name_slots[name].generation = c.generation
        c.name_slots[name].index = c.n_names
        c.names[c.n_names] = name
        c.n_names += 1
    return c.name_slots[name].index


# -- writing --------------------------------------------------------------------------------------

cdef inline void write_varint(Writer* w, uint64_t value) noexcept nogil:
    if w.base == NULL:
        w.at += varint_size(value)
    else:
        w.at = put_varint(w.base + w.at, value) - w.base


cdef void write_varint_field(Writer* w, uint32_t field, uint64_t value, bint always) noexcept nogil:
    """A varint field, left out at 0 unless `always`. Field 0 writes a bare varint."""
    if value == 0 and not always:
        return
    if field:
        write_varint(w, field << 3)
    write_varint(w, value)


cdef void write_bytes(Writer* w, uint32_t field, const uint8_t* data, uint32_t n) noexcept nogil:
    """A length-delimited field, left out where empty."""
    if n == 0:
        return
    write_varint(w, field << 3 | 2)
    write_varint(w, n)
    if w.base != NULL:
        memcpy(w.base + w.at, data, n)
    w.at += n


cdef void write_column(Writer* w, uint32_t field, const void* data, uint64_t n) noexcept nogil:
    """A length-delimited field whose payload is aligned, left out where empty."""
    cdef uint64_t gap
    if n == 0:
        return
    gap = w.at + varint_size(field << 3 | 2) + varint_size(n)
    gap = (8 - gap % 8) % 8
    if gap == 1:
        gap = 9                # a padding field takes two bytes at least
    if gap:
        if w.base != NULL:
            w.base[w.at] = PADDING_TAG
            w.base[w.at + 1] = <uint8_t>(gap - 2)
            memset(w.base + w.at + 2, 0, gap - 2)
        w.at += gap
    write_varint(w, field << 3 | 2)
    write_varint(w, n)
    if w.base != NULL:
        memcpy(w.base + w.at, data, n)
    w.at += n
