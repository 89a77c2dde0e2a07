"""Swaps that show in the token flow alone: one mint from a trader to somebody's account, another
mint from that side back to an account of the same trader, both below one instruction.

Used for venues whose layout is not public or has changed, and, with more conditions, for programs
that nobody has listed: those become legs of venue "unknown". The conditions keep out what moves
two mints without being a swap: adding and removing liquidity (mint or burn of a third token),
escrows and fills between wallets (the other side signs), transfers around nested venues.
"""

from libc.math cimport NAN
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from mevstream.cext.balances cimport mint_of
from mevstream.cext.model cimport (
    NO_ACCOUNT, NONE, ROUTER, TOKEN, TOKEN_2022, VENUE, Decoded, Instruction, Leg, Program,
    TokenAccount, Transaction, Transfer,
)
from mevstream.cext.registry cimport find_program, name_index
from mevstream.cext.token_accounts cimport token_account
from mevstream.cext.wire cimport mv_equal32

cdef enum:
    MAX_LEGS = 1024   # as in swaps.pyx

# Legs need a row for their venue's name; the program itself is in the leg's instruction.
cdef Program unknown
memset(&unknown, 0, sizeof(Program))
unknown.kind = VENUE
unknown.name = name_index("unknown")


cdef inline bint owns(Transaction* tx, uint16_t account, uint16_t owner, bint if_unknown) noexcept nogil:
    """Whether `owner` owns the token account; `if_unknown` where the balances do not tell."""
    cdef TokenAccount* entry = token_account(tx, account)
    if entry == NULL or not entry.has_owner:
        return if_unknown
    return mv_equal32(entry.owner, tx.keys[owner])


cdef inline bint same_mint(const uint8_t* a, const uint8_t* b) noexcept nogil:
    return a != NULL and b != NULL and mv_equal32(a, b)


cdef bint pairs(
    Transaction* tx, Decoded* d, const Transfer* paid, const Transfer* given, bint strict,
) noexcept nogil:
    """Whether `paid` (trader to venue) and `given` (venue to trader) are the two sides of a swap."""
    cdef const uint8_t* mint_paid
    cdef const uint8_t* mint_given
    if paid.amount == 0 or given.amount == 0:
        return False
    if paid.authority == given.authority or paid.destination == given.source:
        return False
    if paid.source == given.source or paid.destination == given.destination:
        return False
    # What is given comes to the one who paid: to the account's authority, or (a delegate, a
    # program that pays for its user) to the account's owner.
    if not owns(tx, given.destination, paid.authority, not strict):
        return False
    if owns(tx, paid.destination, paid.authority, False):
        return False
    mint_paid = mint_of(tx, d, paid.source)
    mint_given = mint_of(tx, d, given.source)
    if same_mint(mint_paid, mint_given):
        return False
    return not strict or (mint_paid != NULL and mint_given != NULL)


cdef bint find_pair(
    Transaction* tx, Decoded* d, uint32_t position, bint strict,
    const Transfer** paid, const Transfer** given) noexcept nogil:
    """The first pair of transfers below the instruction (strict: directly below) that is a swap."""
    cdef uint32_t end = tx.instructions[position].end, i, k
    cdef const Transfer* first
    cdef const Transfer* second
    for i in range(d.n_transfers):
        first = &d.transfers[i]
        if first.position <= position or first.position >= end:
            continue
        if strict and tx.instructions[first.position].parent != position:
            continue
        for k in range(d.n_transfers):
            second = &d.transfers[k]
            if k == i or second.position <= position or second.position >= end:
                continue
            if strict and tx.instructions[second.position].parent != position:
                continue
            if pairs(tx, d, first, second, strict):
                paid[0] = first
                given[0] = second
                return True
    return False


cdef inline bint writable(const Transaction* tx, uint32_t account) noexcept nogil:
    """By the message's header and the order of the key table (PF 5.3)."""
    if account < tx.n_required_signatures:
        return account + tx.n_readonly_signed < tx.n_required_signatures
    if account < tx.n_static:
        return account + tx.n_readonly_unsigned < tx.n_static
    return account < tx.n_static + tx.n_writable_loaded


cdef uint16_t likely_pool(
    Transaction* tx, const Instruction* ix, uint16_t trader, uint16_t authority) noexcept nogil:
    """The first writable account of the instruction that is no token account, no signer and not
    the trader: where an AMM keeps its state. Else the authority over the vaults."""
    cdef uint32_t i
    cdef uint16_t account
    for i in range(ix.n_accounts):
        account = ix.accounts[i]
        if account >= tx.n_keys or account == trader or account < tx.n_required_signatures:
            continue
        if writable(tx, account) and not tx.token_account_of[account]:
            return account
    return authority


cdef bint flow_vaults(Transaction* tx, Decoded* d, Leg* leg) noexcept nogil:
    """Sets the vaults (and the pool, if the layout had none) of a known venue's leg by its flow."""
    cdef const Transfer* paid = NULL
    cdef const Transfer* given = NULL
    if not find_pair(tx, d, leg.position, False, &paid, &given):
        return False
    leg.vault_in = paid.destination
    leg.vault_out = given.source
    leg.trader = paid.authority
    if leg.pool == NO_ACCOUNT:
        leg.pool = likely_pool(tx, &tx.instructions[leg.position], leg.trader, given.authority)
    return True


# -- programs nobody has listed -------------------------------------------------------------------

cdef inline bint signed_by(const Transaction* tx, uint16_t account) noexcept nogil:
    return account < tx.n_required_signatures


cdef bint is_plain_pool(Transaction* tx, Decoded* d, uint32_t position) noexcept nogil:
    """Whether nothing below the instruction speaks against a single pool: no venue or router, no
    leg already found, no mint or burn."""
    cdef uint32_t i, end = tx.instructions[position].end
    cdef const Instruction* ix
    cdef const Program* program
    for i in range(d.n_legs):
        if position < d.legs[i].position < end:
            return False
    for i in range(position + 1, end):
        ix = &tx.instructions[i]
        program = find_program(tx.keys[ix.program]) if ix.program != NONE else NULL
        if program == NULL:
            continue
        if program.kind == VENUE or program.kind == ROUTER:
            return False
        # MintTo 7, Burn 8, MintToChecked 14, BurnChecked 15
        if (program.kind == TOKEN or program.kind == TOKEN_2022) and ix.n_data and (
                ix.data[0] == 7 or ix.data[0] == 8 or ix.data[0] == 14 or ix.data[0] == 15):
            return False
    return True


cdef bint indivisible(Transaction* tx, const Transfer* transfer) noexcept nogil:
    """One piece of a token without decimals: a collectible, not a currency."""
    cdef TokenAccount* entry = token_account(tx, transfer.source)
    return transfer.amount == 1 and entry != NULL and entry.decimals == 0


cdef void find_unknown_venues(Transaction* tx, Decoded* d) noexcept nogil:
    """Appends a leg for each call of an unlisted program that is a swap by its flow. Innermost
    calls first, so that a wrapper around another one is none."""
    cdef uint32_t position = tx.n_instructions, i, end
    cdef const Transfer* paid = NULL
    cdef const Transfer* given = NULL
    cdef const Transfer* transfer
    cdef const Instruction* ix
    cdef Leg* leg
    while position > 0:
        position -= 1
        ix = &tx.instructions[position]
        if ix.program == NONE or ix.end - position < 3 or d.n_legs == MAX_LEGS:
            continue
        if find_program(tx.keys[ix.program]) != NULL or not is_plain_pool(tx, d, position):
            continue
        if not find_pair(tx, d, position, True, &paid, &given):
            continue
        if signed_by(tx, given.authority) or indivisible(tx, paid) or indivisible(tx, given):
            continue
        # The account that was paid must not be another wallet's.
        end = 0
        for i in range(tx.n_required_signatures if tx.n_required_signatures < tx.n_keys else tx.n_keys):
            if owns(tx, paid.destination, <uint16_t>i, False):
                end = 1
        if end:
            continue
        leg = &d.legs[d.n_legs]
        memset(leg, 0, sizeof(Leg))
        leg.venue = &unknown
        leg.position = position
        leg.vault_in = paid.destination
        leg.vault_out = given.source
        leg.trader = paid.authority
        leg.pool = likely_pool(tx, ix, leg.trader, given.authority)
        leg.decimals_in = leg.decimals_out = 255
        leg.price_after = NAN
        leg.router = NONE
        end = ix.end
        for i in range(d.n_transfers):
            transfer = &d.transfers[i]
            if position < transfer.position < end:
                if transfer.destination == leg.vault_in:
                    leg.amount_in += transfer.amount
                if transfer.source == leg.vault_out:
                    leg.amount_out += transfer.amount
        d.attempts += 1
        d.n_legs += 1
