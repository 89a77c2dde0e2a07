"""Recognising an instruction by a row of the registry, and the accounts that the row names."""

from libc.stdint cimport int16_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from mevstream.cext.model cimport NO_ACCOUNT, NO_POSITION, Instruction, Pattern, Transaction


cdef inline bint account_at(
    const Transaction* tx, const Instruction* ix, uint32_t position, uint16_t* out) noexcept nogil:
    """The account at that position of the instruction; 0 where there is none."""
    if position >= ix.n_accounts or ix.accounts[position] >= tx.n_keys:
        return False
    out[0] = ix.accounts[position]
    return True


cdef inline uint16_t resolve(
    const Transaction* tx, const Instruction* ix, int16_t position) noexcept nogil:
    """The account that a table row's position stands for, or NO_ACCOUNT."""
    cdef uint16_t account = NO_ACCOUNT
    if position == NO_POSITION:
        return NO_ACCOUNT
    if position < 0:
        position += <int16_t>ix.n_accounts
    if position < 0 or not account_at(tx, ix, position, &account):
        return NO_ACCOUNT
    return account


cdef inline uint64_t leading_bytes(const Instruction* ix) noexcept nogil:
    """The first eight bytes of the data, little-endian, zeros where there are fewer."""
    cdef uint64_t value = 0
    memcpy(&value, ix.data, 8 if ix.n_data >= 8 else ix.n_data)
    return value


cdef inline bint matches(
    const Pattern* call, const Instruction* ix, uint64_t leading) noexcept nogil:
    cdef uint64_t mask
    if ix.n_data < call.n_discriminator:
        return False
    if ix.n_accounts < call.min_accounts or ix.n_accounts > call.max_accounts:
        return False
    if call.n_discriminator == 0:
        return True
    mask = <uint64_t>0xFFFFFFFFFFFFFFFF >> (64 - 8 * call.n_discriminator)
    return leading & mask == call.discriminator
