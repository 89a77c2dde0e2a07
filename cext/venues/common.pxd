"""What event readers of several venues share."""

from libc.math cimport NAN
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from mevstream.cext.model cimport NO_ACCOUNT, NONE, ChangeEvent, Instruction, Leg, Transaction
from mevstream.cext.wire cimport mv_equal32, mv_u32, mv_u64, mv_u128_double

cdef inline uint16_t account_of(
    const Transaction* tx, const Instruction* ix, uint32_t position) noexcept nogil:
    """The account at that position, NO_ACCOUNT where it lies outside the key table."""
    if position < ix.n_accounts and ix.accounts[position] < tx.n_keys:
        return ix.accounts[position]
    return NO_ACCOUNT

cdef inline bint is_key(
    const Transaction* tx, uint16_t account, const uint8_t* key) noexcept nogil:
    """Whether the 32 bytes are that account's key."""
    return account != NO_ACCOUNT and mv_equal32(tx.keys[account], key)

cdef inline int32_t tick_at(const uint8_t* p) noexcept nogil:
    return <int32_t>mv_u32(p)

cdef inline void set_delta(ChangeEvent* event, uint64_t shares) noexcept nogil:
    event.has_delta = True
    event.delta[0] = shares

cdef inline void set_liquidity(ChangeEvent* event, const uint8_t* p) noexcept nogil:
    """The delta from a u128."""
    event.has_delta = True
    event.delta[0] = mv_u64(p)
    event.delta[1] = mv_u64(p + 8)

cdef inline bint of_pool(const Transaction* tx, const Leg* leg, const uint8_t* pool) noexcept nogil:
    """Whether the 32 bytes are the leg's pool."""
    return leg.pool != NO_ACCOUNT and mv_equal32(tx.keys[leg.pool], pool)

cdef inline double price_of_root(const uint8_t* root, bint token_0_in) noexcept nogil:
    """mint_out per mint_in from a Q64.64 square root of token 1 per token 0; NaN for zero."""
    cdef double value = mv_u128_double(root) / 18446744073709551616.0
    value *= value
    if value == 0.0:
        return NAN
    return value if token_0_in else 1.0 / value

cdef inline void read_u128(const uint8_t* data, uint64_t* words) noexcept nogil:
    words[0] = mv_u64(data)
    words[1] = mv_u64(data + 8)

cdef inline uint8_t instruction_byte(
    const Transaction* tx, const Leg* leg, uint32_t position, uint8_t missing) noexcept nogil:
    """One byte of the data of the leg's instruction."""
    cdef const Instruction* ix = &tx.instructions[leg.position]
    return ix.data[position] if position < ix.n_data else missing

cdef inline uint64_t instruction_kind(const Transaction* tx, const Leg* leg) noexcept nogil:
    """The discriminator of the leg's instruction, 0 where it is shorter."""
    cdef const Instruction* ix = &tx.instructions[leg.position]
    return mv_u64(ix.data) if ix.n_data >= 8 else 0

cdef inline uint32_t rate_of(uint64_t told, uint32_t unit) noexcept nogil:
    """A told rate in 1e-9, NONE where it is none below one; `unit`: 1e-9 for one told."""
    return <uint32_t>(told * unit) if told < 1_000_000_000 // unit else <uint32_t>NONE

cdef inline void mend_fee(
    uint64_t* amount, uint64_t transfer_fee, uint64_t leg_amount) noexcept nogil:
    """Events tell amounts without a Token-2022 transfer fee, the transfers with it. Likewise what
    goes out of the vault to a referrer or host, beside what the trader gets."""
    if amount[0] != leg_amount and amount[0] + transfer_fee == leg_amount:
        amount[0] = leg_amount
