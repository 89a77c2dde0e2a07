"""Liquidations of loans and positions."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from mevstream.cext.model cimport Decoded, Instruction, Liquidation, Program, Transaction

cdef bint is_liquidation(const Instruction* ix, const Program* lender) noexcept nogil
cdef void start_liquidation(
    Liquidation* liquidation, const Program* lender, uint32_t position) noexcept nogil
cdef uint64_t flow(
    const Transaction* tx, const Decoded* d, uint32_t position, uint16_t vault, bint into,
) noexcept nogil
cdef void find_liquidations(
    Transaction* tx, Decoded* d, uint32_t position, const Program* lender) noexcept nogil
cdef bint offer_liquidation(
    Transaction* tx, Decoded* d, const Program* lender, uint32_t position, const uint8_t* data,
    uint32_t n) noexcept nogil
cdef void finish_liquidations(Transaction* tx, Decoded* d) noexcept nogil
