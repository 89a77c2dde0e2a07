"""Mints and balances of the vaults of a leg."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from mevstream.cext.model cimport Decoded, Leg, Transaction

cdef void settle_transfer_fees(Transaction* tx, Decoded* d) noexcept nogil
cdef const uint8_t* mint_of(Transaction* tx, Decoded* d, uint16_t account) noexcept nogil
cdef bint balance_after(
    Transaction* tx, Decoded* d, uint16_t account, uint32_t end, uint64_t* out) noexcept nogil
cdef void settle_balances(Transaction* tx, Decoded* d, Leg* leg) noexcept nogil
