"""From instructions to liquidations.

What was repaid and taken are the token transfers nested below the instruction, into the vault of
the debt and out of that of the collateral. Protocols that keep margin accounts move no tokens:
there the event is all that tells (venues/lending.pyx).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from mevstream.cext.balances cimport mint_of
from mevstream.cext.model cimport (
    AMOUNTS_FROM_EVENT, AMOUNTS_UNKNOWN, EVENT_READ, FEE_IN_OUTPUT, FEE_TOLD, MAX_LIQUIDATIONS,
    NO_ACCOUNT, NO_POSITION, NONE, SHARE_TOKENS, Decoded, Instruction, Liquidation,
    LiquidationInstruction, Program, TokenAccount, Transaction, Transfer,
)
from mevstream.cext.patterns cimport leading_bytes, matches, resolve
from mevstream.cext.token_accounts cimport token_account

cdef enum:
    LEGS_A_LIQUIDATION = 16


cdef const LiquidationInstruction* row_of(
    const Instruction* ix, const Program* lender) noexcept nogil:
    cdef uint64_t leading = leading_bytes(ix)
    cdef uint32_t i
    for i in range(lender.n_liquidations):
        if matches(&lender.liquidations[i].call, ix, leading):
            return &lender.liquidations[i]
    return NULL


cdef bint is_liquidation(const Instruction* ix, const Program* lender) noexcept nogil:
    return row_of(ix, lender) != NULL


cdef void start_liquidation(
    Liquidation* liquidation, const Program* lender, uint32_t position) noexcept nogil:
    memset(liquidation, 0, sizeof(Liquidation))
    liquidation.protocol = lender
    liquidation.position = position
    liquidation.liquidator = liquidation.account = NO_ACCOUNT
    liquidation.repay_vault = liquidation.collateral_vault = NO_ACCOUNT
    liquidation.repay_decimals = liquidation.collateral_decimals = 255
    liquidation.repay_market = liquidation.collateral_market = NONE


cdef uint64_t flow(
    const Transaction* tx, const Decoded* d, uint32_t position, uint16_t vault, bint into,
) noexcept nogil:
    """The sum of the transfers below an instruction into, or out of, a token account."""
    cdef uint32_t end = tx.instructions[position].end, i
    cdef uint64_t total = 0
    cdef const Transfer* transfer
    if vault == NO_ACCOUNT:
        return 0
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if position < transfer.position < end and vault == (
                transfer.destination if into else transfer.source):
            total += transfer.amount
    return total


cdef void find_liquidations(
    Transaction* tx, Decoded* d, uint32_t position, const Program* lender) noexcept nogil:
    """The liquidation that a lender's instruction is, or ends, if it is one."""
    cdef const Instruction* ix = &tx.instructions[position]
    cdef const LiquidationInstruction* row = row_of(ix, lender)
    cdef Liquidation* one
    cdef uint16_t mint, fee_account
    if row == NULL or d.n_liquidations + LEGS_A_LIQUIDATION > MAX_LIQUIDATIONS:
        return
    if row.repay_vault == NO_POSITION and not row.from_event:
        d.n_liquidations += lender.liquidation_legs(
            tx, d, position, &d.liquidations[d.n_liquidations], LEGS_A_LIQUIDATION)
        return
    one = &d.liquidations[d.n_liquidations]
    start_liquidation(one, lender, position)
    d.n_liquidations += 1
    one.kind = row.kind
    one.liquidator = resolve(tx, ix, row.liquidator)
    one.account = resolve(tx, ix, row.account)
    fee_account = resolve(tx, ix, row.fee_account)
    if fee_account != NO_ACCOUNT:
        one.fee = flow(tx, d, position, fee_account, True)
        one.flags |= FEE_TOLD | (FEE_IN_OUTPUT if row.fee_in_collateral else 0)
    if row.from_event:
        one.flags |= AMOUNTS_FROM_EVENT
        return
    one.repay_vault = resolve(tx, ix, row.repay_vault)
    one.collateral_vault = resolve(tx, ix, row.collateral_vault)
    one.repay_amount = flow(tx, d, position, one.repay_vault, True)
    one.collateral_amount = flow(tx, d, position, one.collateral_vault, False)
    mint = resolve(tx, ix, row.repay_mint)
    if mint != NO_ACCOUNT:
        memcpy(one.repay_mint, tx.keys[mint], 32)
        one.has_repay_mint = True
    mint = resolve(tx, ix, row.collateral_mint)
    if one.collateral_amount == 0 and row.share_vault != NO_POSITION:
        one.collateral_vault = resolve(tx, ix, row.share_vault)
        one.collateral_amount = flow(tx, d, position, one.collateral_vault, False)
        one.flags |= SHARE_TOKENS
        mint = NO_ACCOUNT
    if mint != NO_ACCOUNT:
        memcpy(one.collateral_mint, tx.keys[mint], 32)
        one.has_collateral_mint = True


cdef bint offer_liquidation(
    Transaction* tx, Decoded* d, const Program* lender, uint32_t position, const uint8_t* data,
    uint32_t n) noexcept nogil:
    """Gives an event to the first liquidation of that program (and instruction, unless NONE) that
    waits for one."""
    cdef uint32_t i
    cdef Liquidation* one
    if lender.liquidation_event == NULL:
        return False
    for i in range(d.n_liquidations):
        one = &d.liquidations[i]
        if one.protocol != lender or one.event_seen:
            continue
        if position != NONE and one.position != position:
            continue
        if lender.liquidation_event(tx, one, data, n) == EVENT_READ:
            one.event_seen = True
            return True
    return False


cdef void settle_side(
    Transaction* tx, Decoded* d, uint16_t vault, bint* known, uint8_t* mint, uint8_t* decimals,
) noexcept nogil:
    cdef TokenAccount* entry
    cdef const uint8_t* found
    if vault == NO_ACCOUNT:
        return
    if not known[0]:
        found = mint_of(tx, d, vault)
        if found != NULL:
            memcpy(mint, found, 32)
            known[0] = True
    entry = token_account(tx, vault)
    if entry != NULL:
        decimals[0] = entry.decimals


cdef void finish_liquidations(Transaction* tx, Decoded* d) noexcept nogil:
    """Once the events have been read: drops what moved nothing, fills mints and decimals."""
    cdef uint32_t i, kept = 0
    cdef Liquidation* one
    for i in range(d.n_liquidations):
        one = &d.liquidations[i]
        if one.nothing:
            continue
        if one.flags & AMOUNTS_FROM_EVENT and not one.event_seen:
            one.flags = (one.flags & ~AMOUNTS_FROM_EVENT) | AMOUNTS_UNKNOWN
        elif not one.flags & AMOUNTS_FROM_EVENT and not (
                one.repay_amount or one.collateral_amount):
            continue
        settle_side(
            tx, d, one.repay_vault, &one.has_repay_mint, one.repay_mint, &one.repay_decimals)
        settle_side(
            tx, d, one.collateral_vault, &one.has_collateral_mint, one.collateral_mint,
            &one.collateral_decimals)
        d.liquidations[kept] = one[0]
        kept += 1
    d.n_liquidations = kept
