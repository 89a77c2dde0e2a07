"""Swaps that show in the token flow alone: one mint from a trader to somebody's account, another
mint from that side back to an account of the same trader, both below one instruction.

Used for venues whose layout is not public or has changed, and, with more conditions, for programs
that nobody has listed: those become legs of venue "unknown". The conditions keep out what moves
two mints without being a swap: adding and removing liquidity (a third token is minted to the
trader or burnt), escrows and fills between wallets (the other side signs), transfers around nested
venues.
"""

from libc.math cimport NAN
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from mevstream.cext.balances cimport mint_of
from mevstream.cext.model cimport (
    MAX_KEYS, MAX_LEGS, NO_ACCOUNT, NONE, ROUTER, TOKEN, TOKEN_2022, VENUE, Decoded, Instruction, Leg,
    Program, TokenAccount, Transaction, Transfer,
)
from mevstream.cext.registry cimport find_program, name_index
from mevstream.cext.token_accounts cimport token_account
from mevstream.cext.wire cimport mv_equal32

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


# One side of a trade: the account of the venue that most of one mint went to, or came from.
cdef struct Side:
    const uint8_t* mint
    uint16_t vault
    uint64_t amount


cdef void weigh(Decoded* d, uint32_t position, uint32_t end, bint paid, Side* side) noexcept nogil:
    """Keeps the vault that saw the larger sum. Fees go to other accounts, often before the rest."""
    cdef uint64_t amount = 0
    cdef uint32_t i
    cdef const Transfer* transfer
    cdef uint16_t vault = side.vault
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if position < transfer.position < end:
            if (transfer.destination if paid else transfer.source) == vault:
                amount += transfer.amount
    side.amount = amount


cdef bint trade_of(
    Transaction* tx, Decoded* d, uint32_t position, uint16_t trader, bint strict, Side* paid,
    Side* given) noexcept nogil:
    """Whether the transfers below the instruction are a trade of that authority, whatever their
    order: one mint from it, another one to it. Strict: only transfers directly below count, every
    owner and mint must be known, and there is no third mint."""
    cdef uint32_t end = tx.instructions[position].end, i
    cdef const Transfer* transfer
    cdef const uint8_t* mint
    cdef bint to_trader
    cdef Side side
    memset(paid, 0, sizeof(Side))
    memset(given, 0, sizeof(Side))
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if transfer.position <= position or transfer.position >= end or transfer.amount == 0:
            continue
        if strict and tx.instructions[transfer.position].parent != position:
            continue
        mint = mint_of(tx, d, transfer.source)
        if mint == NULL and strict:
            return False
        to_trader = owns(tx, transfer.destination, trader, not strict)
        side.mint = mint
        if transfer.authority == trader:
            if owns(tx, transfer.destination, trader, False):
                continue                    # between accounts of the trader
            if paid.amount and not same_mint(paid.mint, mint):
                if strict:
                    return False
                continue
            side.vault = transfer.destination
            weigh(d, position, end, True, &side)
            if side.amount > paid.amount:
                paid[0] = side
        elif to_trader:
            if given.amount and not same_mint(given.mint, mint):
                if strict:
                    return False
                continue
            side.vault = transfer.source
            weigh(d, position, end, False, &side)
            if side.amount > given.amount:
                given[0] = side
        elif strict and not same_mint(mint, paid.mint) and not same_mint(mint, given.mint):
            # A fee out of a vault, before or after the rest; a third mint otherwise.
            if paid.amount and given.amount:
                return False
    return (paid.amount > 0 and given.amount > 0 and paid.vault != given.vault
            and not same_mint(paid.mint, given.mint))


cdef inline bint signed_by(const Transaction* tx, uint16_t account) noexcept nogil:
    return account < tx.n_required_signatures


cdef bint find_trade(
    Transaction* tx, Decoded* d, uint32_t position, bint strict, uint16_t* trader, Side* paid,
    Side* given) noexcept nogil:
    """Seen from the pool, a swap is a trade the other way round. The trader is the one who signed
    the transaction; where neither side did (a router pays for its user), the first to pay."""
    cdef uint32_t end = tx.instructions[position].end, i, stage
    cdef const Transfer* transfer
    cdef bint tried[MAX_KEYS]      # once an authority: what it trades does not depend on the transfer
    memset(tried, 0, sizeof(tried))
    for stage in range(2):
        for i in range(d.n_transfers):
            transfer = &d.transfers[i]
            if transfer.position <= position or transfer.position >= end:
                continue
            if strict and tx.instructions[transfer.position].parent != position:
                continue
            if signed_by(tx, transfer.authority) != (stage == 0) or tried[transfer.authority]:
                continue
            tried[transfer.authority] = True
            if trade_of(tx, d, position, transfer.authority, strict, paid, given):
                trader[0] = transfer.authority
                return True
    return False


cdef inline bint writable(const Transaction* tx, uint32_t account) noexcept nogil:
    """By the message's header and the order of the key table (writable signers, readonly
    signers, writable, readonly; then loaded writable, loaded readonly)."""
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


cdef uint16_t authority_over(
    Transaction* tx, Decoded* d, uint32_t position, uint16_t vault) noexcept nogil:
    """Who signed the transfer out of the vault."""
    cdef uint32_t end = tx.instructions[position].end, i
    for i in range(d.n_transfers):
        if position < d.transfers[i].position < end and d.transfers[i].source == vault:
            return d.transfers[i].authority
    return NO_ACCOUNT


cdef bint flow_vaults(Transaction* tx, Decoded* d, Leg* leg) noexcept nogil:
    """Sets the vaults (and the pool, if the layout had none) of a known venue's leg by its flow."""
    cdef Side paid
    cdef Side given
    cdef uint16_t trader = leg.trader
    if trader == NO_ACCOUNT or not trade_of(tx, d, leg.position, trader, False, &paid, &given):
        if not find_trade(tx, d, leg.position, False, &trader, &paid, &given):
            return False
    leg.vault_in = paid.vault
    leg.vault_out = given.vault
    leg.trader = trader
    if leg.pool == NO_ACCOUNT:
        leg.pool = likely_pool(
            tx, &tx.instructions[leg.position], trader,
            authority_over(tx, d, leg.position, given.vault))
    return True


# -- programs nobody has listed -------------------------------------------------------------------

cdef bint is_plain_pool(Transaction* tx, Decoded* d, uint32_t position) noexcept nogil:
    """Whether nothing below the instruction speaks against a single pool: no venue or router, no
    leg already found."""
    cdef uint32_t i, end = tx.instructions[position].end
    cdef const Program* program
    for i in range(d.n_legs):
        if position < d.legs[i].position < end:
            return False
    for i in range(position + 1, end):
        if tx.instructions[i].program == NONE:
            continue
        program = find_program(tx.keys[tx.instructions[i].program])
        if program != NULL and (program.kind == VENUE or program.kind == ROUTER):
            return False
    return True


cdef bint gives_receipt(
    Transaction* tx, uint32_t position, uint16_t trader) noexcept nogil:
    """Whether tokens are minted to the trader or burnt from the trader's account, as for a share of
    a pool or a deposit. (A mint to the pool's owner is a fee of a swap.)"""
    cdef uint32_t i, end = tx.instructions[position].end
    cdef const Instruction* ix
    cdef const Program* program
    cdef uint8_t tag
    cdef uint8_t account
    for i in range(position + 1, end):
        ix = &tx.instructions[i]
        program = find_program(tx.keys[ix.program]) if ix.program != NONE else NULL
        if program == NULL or (program.kind != TOKEN and program.kind != TOKEN_2022):
            continue
        if ix.n_data == 0 or ix.n_accounts < 2:
            continue
        tag = ix.data[0]
        if tag == 7 or tag == 14:      # MintTo, MintToChecked: 0 mint, 1 account
            account = ix.accounts[1]
        elif tag == 8 or tag == 15:    # Burn, BurnChecked: 0 account, 1 mint
            account = ix.accounts[0]
        else:
            continue
        if account >= tx.n_keys or owns(tx, account, trader, True):
            return True
    return False


cdef bint owned_by_signer(Transaction* tx, uint16_t account) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t signers = tx.n_required_signatures
    for i in range(signers if signers < tx.n_keys else tx.n_keys):
        if owns(tx, account, <uint16_t>i, False):
            return True
    return False


cdef bint indivisible(Transaction* tx, const Side* side) noexcept nogil:
    """One piece of a token without decimals: a collectible, not a currency."""
    cdef TokenAccount* entry = token_account(tx, side.vault)
    return side.amount == 1 and entry != NULL and entry.decimals == 0


cdef void find_unknown_venues(Transaction* tx, Decoded* d) noexcept nogil:
    """Appends a leg for each call of an unlisted program that is a swap by its flow. Innermost
    calls first, so that a wrapper around another one is none."""
    cdef uint32_t position = tx.n_instructions
    cdef uint16_t trader = NO_ACCOUNT, authority
    cdef Side paid
    cdef Side given
    cdef const Instruction* ix
    cdef Leg* leg
    while position > 0:
        position -= 1
        ix = &tx.instructions[position]
        if ix.program == NONE or ix.end - position < 3 or d.n_legs == MAX_LEGS:
            continue
        if find_program(tx.keys[ix.program]) != NULL or not is_plain_pool(tx, d, position):
            continue
        if not find_trade(tx, d, position, True, &trader, &paid, &given):
            continue
        authority = authority_over(tx, d, position, given.vault)
        # The other side must be a program's, not a wallet's: it neither signs nor owns the vaults.
        if signed_by(tx, authority) or owned_by_signer(tx, paid.vault):
            continue
        if gives_receipt(tx, position, trader) or indivisible(tx, &paid) or indivisible(tx, &given):
            continue
        leg = &d.legs[d.n_legs]
        memset(leg, 0, sizeof(Leg))
        leg.venue = &unknown
        leg.position = position
        leg.vault_in = paid.vault
        leg.vault_out = given.vault
        leg.amount_in = paid.amount
        leg.amount_out = given.amount
        leg.trader = trader
        leg.pool = likely_pool(tx, ix, trader, authority)
        leg.decimals_in = leg.decimals_out = 255
        leg.price_after = NAN
        leg.router = NONE
        d.attempts += 1
        d.n_legs += 1
