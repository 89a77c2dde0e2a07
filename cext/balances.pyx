"""Which mint a token account holds, what arrives after a transfer fee, and what a vault holds
after a leg.

The metadata has token balances before and after the whole transaction only. Between them the
transfers are applied in execution order, so that two legs on one pool see different balances.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    NO_ACCOUNT, RESERVES_KNOWN, Decoded, Leg, TokenAccount, Transaction, Transfer,
)
from mevstream.cext.token_accounts cimport token_account


cdef uint64_t received(Transaction* tx, Decoded* d, const Transfer* transfer) noexcept nogil:
    """What arrived of a transfer. Token-2022 withholds a fee on arrival: the instruction tells it
    (with-fee) or the balances do, where nothing else touched the account."""
    cdef TokenAccount* entry
    cdef uint32_t i, touched = 0
    cdef uint64_t grown
    if transfer.fee:
        return transfer.amount - transfer.fee
    entry = token_account(tx, transfer.destination)
    if entry == NULL or not entry.token_2022 or entry.post == NULL:
        return transfer.amount
    for i in range(d.n_transfers):
        if (d.transfers[i].destination == transfer.destination
                or d.transfers[i].source == transfer.destination):
            touched += 1
    grown = entry.post_amount - entry.pre_amount
    if touched == 1 and entry.post_amount > entry.pre_amount and grown < transfer.amount:
        return grown
    return transfer.amount


cdef const uint8_t* mint_of(Transaction* tx, Decoded* d, uint16_t account) noexcept nogil:
    """The 32 bytes of the account's mint, from the balances, from a checked transfer, or from the
    account at the other end of a plain one; NULL unknown."""
    cdef TokenAccount* entry = token_account(tx, account)
    cdef uint32_t i
    cdef uint16_t other
    cdef Transfer* transfer
    if entry != NULL and entry.has_mint:
        return entry.mint
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if transfer.source != account and transfer.destination != account:
            continue
        if transfer.mint != NO_ACCOUNT:
            return tx.keys[transfer.mint]
        other = transfer.destination if transfer.source == account else transfer.source
        entry = token_account(tx, other)
        if entry != NULL and entry.has_mint:
            return entry.mint
    return NULL


cdef bint balance_after(
    Transaction* tx, Decoded* d, uint16_t account, uint32_t end, uint64_t* out) noexcept nogil:
    """The account's balance once the instructions before `end` have run; whether it is certain.

    Counted forward from the balance before, and believed if that leads to the balance after. If
    it does not (a mint, a burn, a fee withheld in silence), counted back from the balance after,
    and believed if nothing moves between.
    """
    cdef TokenAccount* entry = token_account(tx, account)
    cdef uint64_t total, here, moved
    cdef uint32_t i
    cdef bint later = False
    cdef Transfer* transfer
    out[0] = 0
    if entry == NULL or (entry.pre == NULL and entry.post == NULL):
        return False
    total = here = entry.pre_amount
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if transfer.position >= end and account in (transfer.source, transfer.destination):
            later = True
        if transfer.source == account:
            total -= transfer.amount
        if transfer.destination == account:
            total += transfer.amount - transfer.fee
        if transfer.position < end:
            here = total
    if total == entry.post_amount:
        out[0] = here
        return True
    out[0] = entry.post_amount - (total - here)
    return not later


cdef void settle_balances(Transaction* tx, Decoded* d, Leg* leg) noexcept nogil:
    """Fills mints, decimals and reserves of a leg whose vaults are known."""
    cdef TokenAccount* entry
    cdef uint32_t end = tx.instructions[leg.position].end
    cdef bint known_in, known_out
    leg.mint_in = mint_of(tx, d, leg.vault_in)
    leg.mint_out = mint_of(tx, d, leg.vault_out)
    entry = token_account(tx, leg.vault_in)
    if entry != NULL:
        leg.decimals_in = entry.decimals
    entry = token_account(tx, leg.vault_out)
    if entry != NULL:
        leg.decimals_out = entry.decimals
    known_in = balance_after(tx, d, leg.vault_in, end, &leg.reserve_in)
    known_out = balance_after(tx, d, leg.vault_out, end, &leg.reserve_out)
    if known_in and known_out:
        leg.flags |= RESERVES_KNOWN
