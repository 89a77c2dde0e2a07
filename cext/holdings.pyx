"""What a transaction left with those who signed it: the change of their lamports, wrapped SOL
included, and of their tokens, by the balances before and after.

Legs tell what pools gave; a router may keep some of it, and fees and tips may be paid out of the
account that traded.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport MAX_KEYS, Decoded, Leg, TokenAccount, Transaction
from mevstream.cext.parsing cimport BYTES_3, BYTES_4, VARINT_3, VARINT_4
from mevstream.cext.token_accounts cimport token_account
from mevstream.cext.wire cimport mv_equal32, mv_length, mv_skip, mv_tag, mv_varint


cdef bint find_own(Transaction* tx, bint* own) noexcept nogil:
    """Marks the signers and the token accounts that they own; 0 where an owner is not told."""
    cdef uint32_t i, k
    cdef uint32_t signers = min(tx.n_required_signatures, tx.n_keys)
    cdef TokenAccount* entry
    for i in range(MAX_KEYS):
        own[i] = i < signers
    for i in range(tx.n_token_accounts):
        entry = token_account(tx, tx.token_accounts[i].account)
        if entry == NULL or (entry.pre == NULL and entry.post == NULL):
            continue
        if not entry.has_owner or not entry.has_mint:
            return False
        for k in range(signers):
            if mv_equal32(entry.owner, tx.keys[k]):
                own[entry.account] = True
    return True


cdef bint sum_lamports(const Transaction* tx, const bint* own, uint64_t* total) noexcept nogil:
    """The lamports of one's own accounts before and after, modulo 2^64; 0 where there is not one
    balance an account. The lists may come in several runs, packed or not."""
    cdef const uint8_t* p = tx.lamports_begin
    cdef const uint8_t* end = tx.lamports_end
    cdef const uint8_t* stop
    cdef uint32_t n[2]
    cdef uint32_t tag, length
    cdef uint64_t value
    cdef bint post
    n[0] = n[1] = 0
    total[0] = total[1] = 0
    while p != NULL and p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        post = tag == BYTES_4 or tag == VARINT_4
        stop = p
        if tag == BYTES_3 or tag == BYTES_4:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            stop = p + length
        elif tag == VARINT_3 or tag == VARINT_4:
            stop = p + 1   # one number, however long
        else:
            p = mv_skip(p, end, tag, 1)
            continue
        while p != NULL and p < stop:
            p = mv_varint(p, end, &value)
            if p == NULL or n[post] == tx.n_keys:
                return False
            if own[n[post]]:
                total[post] += value
            n[post] += 1
    return n[0] == tx.n_keys and n[1] == tx.n_keys


cdef void settle_holdings(Transaction* tx, Decoded* d) noexcept nogil:
    """Fills signers_lamports, and signers_in of the legs."""
    cdef bint own[MAX_KEYS]
    cdef uint64_t total[2]
    cdef uint64_t change
    cdef uint32_t i, k
    cdef Leg* leg
    cdef TokenAccount* entry
    if tx.partial or not find_own(tx, own) or not sum_lamports(tx, own, total):
        return
    d.signers_told = True
    d.signers_lamports = <int64_t>(total[1] - total[0])
    for i in range(d.n_legs):
        leg = &d.legs[i]
        change = 0
        for k in range(tx.n_token_accounts):
            entry = &tx.token_accounts[k]
            if own[entry.account] and entry.has_mint and leg.mint_in != NULL and mv_equal32(
                    entry.mint, leg.mint_in):
                change += entry.post_amount - entry.pre_amount
        leg.signers_in = <int64_t>change
