"""Who gave something to whom, beside trading: transfers between wallets, and whom token accounts
are closed to.

A giver has signed the transaction. What counts are instructions of the transaction itself and those
below a program that nobody has listed: what venues, routers and lenders transfer are legs, fees and
deposits.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from mevstream.cext.model cimport (
    GIVES_TOKENS, MAX_LINKS, Decoded, Leg, Link, LinkKind, TokenAccount, Transaction,
)
from mevstream.cext.token_accounts cimport token_account
from mevstream.cext.wire cimport mv_equal32


cdef void note_link(
    const Transaction* tx, Decoded* d, LinkKind kind, uint16_t giver, uint16_t account
) noexcept nogil:
    """Keeps what `giver` puts into `account`, until it is known whose that is."""
    cdef Link* link
    if giver >= tx.n_required_signatures or giver == account or d.n_links == MAX_LINKS:
        return
    link = &d.links[d.n_links]
    link.kind, link.giver, link.account = kind, giver, account
    d.n_links += 1


cdef bint traded_with(const Decoded* d, uint16_t account) noexcept nogil:
    cdef uint32_t i
    cdef const Leg* leg
    for i in range(d.n_legs):
        leg = &d.legs[i]
        if account == leg.vault_in or account == leg.pool:
            return True
    return False


cdef void settle_links(Transaction* tx, Decoded* d) noexcept nogil:
    """Once the token accounts are known: fills who got it, drops what stayed with the giver, went
    into a pool, or to nobody knows whom."""
    cdef uint32_t i, kept = 0
    cdef Link* link
    cdef TokenAccount* entry
    for i in range(d.n_links):
        link = &d.links[i]
        entry = token_account(tx, link.account)
        if entry == NULL:
            if link.kind == GIVES_TOKENS:
                continue
            link.receiver = tx.keys[link.account]
        elif entry.has_owner:
            link.receiver = entry.owner
        else:
            continue
        if mv_equal32(link.receiver, tx.keys[link.giver]) or traded_with(d, link.account):
            continue
        d.links[kept] = link[0]
        kept += 1
    d.n_links = kept
