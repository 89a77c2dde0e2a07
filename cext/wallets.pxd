"""Which wallets are one owner's, by what they gave to each other."""

from libc.stdint cimport uint32_t

# Somebody gave something to somebody else: keys by their numbers, and link_kind of
# schemas/parsed.proto.
cdef struct Gift:
    uint32_t giver
    uint32_t receiver
    uint32_t kind

cdef class Wallets:
    cdef Gift* gifts
    cdef uint32_t n_gifts, gift_room
    # By key, as far as they were joined: another key of the same owner, or itself; how many others
    # it has to do with; whether it is known for a wallet.
    cdef uint32_t* parents
    cdef uint32_t* partners
    cdef bint* known
    cdef uint32_t n_keys, key_room

    cdef void clear(self) noexcept nogil
    cdef bint add(self, uint32_t giver, uint32_t receiver, uint32_t kind) noexcept nogil
    cdef bint begin(self, uint32_t n_keys) noexcept nogil
    cdef void know(self, uint32_t key) noexcept nogil
    cdef bint join(self) noexcept nogil
    cdef uint32_t root(self, uint32_t key) noexcept nogil
