"""Which mint a token account holds, what transfer fees keep back, and what a vault holds
after a leg.

The metadata has token balances before and after the whole transaction only. Between them the
transfers are applied in execution order, so that two legs on one pool see different balances.
"""

from libc.stdint cimport UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from mevstream.cext.calls cimport program_at
from mevstream.cext.model cimport (
    MAX_KEYS, NO_ACCOUNT, RESERVES_KNOWN, TOKEN_2022, Decoded, Instruction, Leg, Program,
    TokenAccount, Transaction, Transfer,
)
from mevstream.cext.token_accounts cimport token_account

cdef extern from *:
    ctypedef unsigned long long uint128 "unsigned __int128"


cdef bint minted_or_burnt(Transaction* tx, Decoded* d, uint16_t account) noexcept nogil:
    """Whether Token-2022 changed the account's balance otherwise than by transfers: MintTo (7, 14),
    Burn (8, 15), withheld fees paid out (26, 2 and 3), confidential deposits (27)."""
    cdef uint32_t i, k
    cdef const Instruction* ix
    cdef const Program* program
    for i in range(tx.n_instructions):
        ix = &tx.instructions[i]
        program = program_at(tx, d, ix.program)
        if program == NULL or program.kind != TOKEN_2022 or ix.n_data < 2:
            continue
        if not (ix.data[0] in (7, 8, 14, 15, 27) or (ix.data[0] == 26 and ix.data[1] in (2, 3))):
            continue
        for k in range(2):
            if k < ix.n_accounts and ix.accounts[k] == account:
                return True
    return False


cdef inline uint64_t fee_at(uint64_t amount, uint64_t rate) noexcept nogil:
    """A transfer fee of `rate` basis points (at most 10,000), rounded up."""
    return <uint64_t>((<uint128>amount * rate + 9999) // 10000)


cdef void settle_fees_of(Transaction* tx, Decoded* d, uint16_t account) noexcept nogil:
    """Shares what the account lacks in the end among the silent transfers into it: by the rate in
    basis points that explains it to the unit, else (a largest fee was reached) in proportion."""
    cdef TokenAccount* entry = token_account(tx, account)
    cdef Transfer* transfer
    cdef uint128 came = 0, went = 0, silent = 0, by_rate = 0
    cdef uint64_t missing, rate, before, share
    cdef uint32_t i
    if entry == NULL or not entry.token_2022 or entry.post == NULL:
        return
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if transfer.source == transfer.destination:
            continue
        if transfer.source == account:
            went += transfer.amount
        elif transfer.destination == account:
            came += transfer.amount - transfer.fee
            if transfer.silent:
                silent += transfer.amount
    came += entry.pre_amount
    went += entry.post_amount
    # No account ever holds more than a u64: whoever says so made it up.
    if came <= went or came - went > silent or silent > UINT64_MAX:
        return
    if minted_or_burnt(tx, d, account):
        return
    missing = <uint64_t>(came - went)
    rate = <uint64_t>(<uint128>missing * 10000 // silent)
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if transfer.destination == account and transfer.source != account and transfer.silent:
            by_rate += fee_at(transfer.amount, rate)
    before = 0
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if transfer.destination != account or transfer.source == account or not transfer.silent:
            continue
        if by_rate == missing:
            transfer.fee = fee_at(transfer.amount, rate)
        else:
            # Of the sum so far, so that the shares add up.
            share = <uint64_t>(<uint128>missing * before // silent)
            before += transfer.amount
            transfer.fee = <uint64_t>(<uint128>missing * before // silent) - share


cdef void settle_transfer_fees(Transaction* tx, Decoded* d) noexcept nogil:
    """Fills the fees that Token-2022 withheld on arrival where no instruction tells them
    (TransferChecked does not): the receiver's balances do, if only transfers changed them."""
    cdef uint32_t i
    cdef bint done[MAX_KEYS]
    memset(done, 0, sizeof(done))
    for i in range(d.n_transfers):
        if d.transfers[i].silent and not done[d.transfers[i].destination]:
            done[d.transfers[i].destination] = True
            settle_fees_of(tx, d, d.transfers[i].destination)


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
    it does not (a mint, a burn), counted back from the balance after,
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
