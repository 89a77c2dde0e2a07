"""From instructions to changes of liquidity positions.

As with swaps: an instruction is found by (program, discriminator), and what moved are the token
transfers nested below it into or out of the pool's vaults. The events confirm that, and tell how
much of it are fees, the liquidity, and the range of ticks or bins.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from mevstream.cext.balances cimport balance_after, mint_of
from mevstream.cext.model cimport (
    ADD, AMOUNTS_FROM_EVENT, CLOSE, COLLECT, DELTA_TOLD, EVENT_CONFIRMED, EVENT_DIFFERS, EVENT_READ,
    FEE_TOLD, MAX_CHANGES, MOVE, NO_ACCOUNT, NO_TICK, NONE, OPEN, OPEN_AND_ADD, RANGE_LIST,
    RANGE_NONE, RANGE_WIDTH, REMOVE, RESERVES_KNOWN, Change, ChangeEvent, ChangeKind, Decoded,
    Instruction, LiquidityInstruction, Program, TokenAccount, Transaction, Transfer,
)
from mevstream.cext.patterns cimport leading_bytes, matches, resolve
from mevstream.cext.token_accounts cimport token_account
from mevstream.cext.wire cimport mv_u32, mv_u64


cdef inline int32_t tick_at(const uint8_t* p) noexcept nogil:
    return <int32_t>mv_u32(p)


cdef void read_range(
    const LiquidityInstruction* row, const Instruction* ix, Change* change) noexcept nogil:
    """The range that the data tell, if they do."""
    cdef const uint8_t* p = ix.data + row.range_at
    cdef uint64_t count, i
    cdef int64_t last
    cdef int32_t tick
    if row.range_form == RANGE_LIST:
        if ix.n_data < row.range_at + 4:
            return
        count = mv_u32(p)
        p += 4
        if count * row.range_stride > ix.n_data - row.range_at - 4:
            return
        for i in range(count):
            tick = tick_at(p + i * row.range_stride)
            if i == 0 or tick < change.lower:
                change.lower = tick
            if i == 0 or tick > change.upper:
                change.upper = tick
        return
    if row.range_form == RANGE_NONE or ix.n_data < row.range_at + 8:
        return
    change.lower = tick_at(p)
    if row.range_form == RANGE_WIDTH:
        last = <int64_t>change.lower + tick_at(p + 4) - 1
        change.upper = <int32_t>last if -0x80000000 < last <= 0x7FFFFFFF else <int32_t>NO_TICK
    else:
        change.upper = tick_at(p + 4)


cdef void read_delta(
    const LiquidityInstruction* row, const Instruction* ix, Change* change) noexcept nogil:
    if row.delta_size == 0 or ix.n_data < row.delta_at + row.delta_size:
        return
    memcpy(change.delta, ix.data + row.delta_at, row.delta_size)
    # An addition that names amounts instead has a 0 here.
    if change.delta[0] or change.delta[1] or change.kind == REMOVE:
        change.flags |= DELTA_TOLD


cdef bint settle_flows(Transaction* tx, Decoded* d, Change* change) noexcept nogil:
    """Sums the transfers below the instruction, in the direction of the change; whether there are
    any."""
    cdef uint32_t end = tx.instructions[change.position].end, i
    cdef const Transfer* transfer
    cdef uint16_t a, b
    cdef bint moved = False
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if transfer.position <= change.position:
            continue
        if transfer.position >= end:
            break
        a = transfer.destination if change.kind == ADD else transfer.source
        if a == NO_ACCOUNT:
            continue
        if a == change.vault_a:
            change.amount_a += transfer.amount
            moved = True
        elif a == change.vault_b:
            change.amount_b += transfer.amount
            moved = True
    return moved


cdef void start_change(
    Transaction* tx, Change* change, const Program* venue, const LiquidityInstruction* row,
    uint32_t position) noexcept nogil:
    cdef const Instruction* ix = &tx.instructions[position]
    memset(change, 0, sizeof(Change))
    change.venue = venue
    change.position = position
    change.kind = ADD if row.kind == OPEN_AND_ADD else row.kind
    change.pool = resolve(tx, ix, row.pool)
    change.holder = resolve(tx, ix, row.holder)
    change.owner = resolve(tx, ix, row.owner)
    change.vault_a = resolve(tx, ix, row.vault_a)
    change.vault_b = resolve(tx, ix, row.vault_b)
    change.decimals_a = change.decimals_b = 255
    change.lower = change.upper = change.tick = <int32_t>NO_TICK


cdef void find_changes(
    Transaction* tx, Decoded* d, uint32_t position, const Program* venue) noexcept nogil:
    """The change that a venue's instruction makes, if it makes one."""
    cdef const Instruction* ix = &tx.instructions[position]
    cdef uint64_t leading = leading_bytes(ix)
    cdef const LiquidityInstruction* row = NULL
    cdef Change* change
    cdef uint32_t i
    for i in range(venue.n_changes):
        if matches(&venue.changes[i].call, ix, leading):
            row = &venue.changes[i]
            break
    if row == NULL or d.n_changes + 2 > MAX_CHANGES:
        return
    change = &d.changes[d.n_changes]
    start_change(tx, change, venue, row, position)
    d.n_changes += 1
    if row.kind == MOVE:     # one net transfer each way: only the event tells what went where
        change.kind = REMOVE
        change.flags = AMOUNTS_FROM_EVENT
        d.changes[d.n_changes] = change[0]
        change = &d.changes[d.n_changes]
        change.number = 1
        change.kind = ADD
        d.n_changes += 1
        return
    read_range(row, ix, change)
    if change.kind == OPEN or change.kind == CLOSE:
        return
    read_delta(row, ix, change)
    if not settle_flows(tx, d, change) and row.kind == OPEN_AND_ADD and not change.flags & DELTA_TOLD:
        change.kind = OPEN
    elif change.kind == REMOVE and change.flags & DELTA_TOLD and not (
            change.delta[0] or change.delta[1]):
        change.kind = COLLECT
    if change.kind == COLLECT:
        change.fee_a = change.amount_a
        change.fee_b = change.amount_b
        change.flags |= FEE_TOLD


cdef void apply_event(Change* change, const ChangeEvent* event) noexcept nogil:
    if event.lower != NO_TICK:
        change.lower = event.lower
        change.upper = event.upper
    if event.tick != NO_TICK:
        change.tick = event.tick
    if event.has_delta:
        memcpy(change.delta, event.delta, 16)
        change.flags |= DELTA_TOLD
    if event.has_fees:
        change.fee_a = event.fee_a
        change.fee_b = event.fee_b
        change.flags |= FEE_TOLD
    if not event.has_amounts:
        return
    change.event_seen = True
    if change.flags & AMOUNTS_FROM_EVENT:
        change.amount_a = event.amount_a
        change.amount_b = event.amount_b
        change.flags |= EVENT_CONFIRMED
    elif change.amount_a == event.amount_a and change.amount_b == event.amount_b:
        change.flags |= EVENT_CONFIRMED
    elif change.vault_b == NO_ACCOUNT and change.amount_a == event.amount_b and not event.amount_a:
        # An instruction for one token names its vault only: it is the other one.
        change.amount_b = change.amount_a
        change.amount_a = 0
        change.vault_b = change.vault_a
        change.vault_a = NO_ACCOUNT
        change.flags |= EVENT_CONFIRMED
    else:
        change.flags |= EVENT_DIFFERS


cdef bint offer_change(
    Transaction* tx, Decoded* d, const Program* venue, uint32_t position, const uint8_t* data,
    uint32_t n) noexcept nogil:
    """Gives an event to the first change of that venue (and instruction, unless NONE) that waits
    for one and that it can be of: both come in execution order. Both rows of a move take its
    event."""
    cdef uint32_t i
    cdef Change* change
    cdef ChangeEvent event
    cdef bint taken = False
    for i in range(d.n_changes):
        change = &d.changes[i]
        if change.venue != venue or change.event_seen or venue.change_event == NULL:
            continue
        if position != NONE and change.position != position:
            continue
        if taken and change.number == 0:
            return True
        memset(&event, 0, sizeof(ChangeEvent))
        event.lower = event.upper = event.tick = <int32_t>NO_TICK
        if venue.change_event(tx, change, data, n, &event) == EVENT_READ:
            apply_event(change, &event)
            taken = True
            if not change.flags & AMOUNTS_FROM_EVENT:
                return True
    return taken


cdef void settle_side(
    Transaction* tx, Decoded* d, uint16_t vault, const uint8_t** mint, uint8_t* decimals,
) noexcept nogil:
    cdef TokenAccount* entry
    if vault == NO_ACCOUNT:
        return
    mint[0] = mint_of(tx, d, vault)
    entry = token_account(tx, vault)
    if entry != NULL:
        decimals[0] = entry.decimals


cdef void complete(Change* change, const Change* other) noexcept nogil:
    """Takes what the change's own instruction and event leave open from another one of the same
    position."""
    if change.pool == NO_ACCOUNT:
        change.pool = other.pool
    if change.mint_a == NULL and other.mint_a != NULL:
        change.mint_a = other.mint_a
        change.decimals_a = other.decimals_a
    if change.mint_b == NULL and other.mint_b != NULL:
        change.mint_b = other.mint_b
        change.decimals_b = other.decimals_b
    if change.lower == NO_TICK and not other.flags & AMOUNTS_FROM_EVENT:   # no move
        change.lower = other.lower
        change.upper = other.upper


cdef void finish_changes(Transaction* tx, Decoded* d) noexcept nogil:
    """Once the events have been read: drops what only an event could have told and none has, fills
    mints, decimals and reserves."""
    cdef uint32_t i, k, kept = 0, end
    cdef bint known
    cdef Change* change
    for i in range(d.n_changes):
        if d.changes[i].flags & AMOUNTS_FROM_EVENT and not d.changes[i].event_seen:
            continue
        d.changes[kept] = d.changes[i]
        change = &d.changes[kept]
        kept += 1
        settle_side(tx, d, change.vault_a, &change.mint_a, &change.decimals_a)
        settle_side(tx, d, change.vault_b, &change.mint_b, &change.decimals_b)
        if change.vault_a == NO_ACCOUNT and change.vault_b == NO_ACCOUNT:
            continue
        end = tx.instructions[change.position].end
        known = change.vault_a == NO_ACCOUNT or balance_after(
            tx, d, change.vault_a, end, &change.reserve_a)
        known = (change.vault_b == NO_ACCOUNT or balance_after(
            tx, d, change.vault_b, end, &change.reserve_b)) and known
        if known and change.vault_a != NO_ACCOUNT and change.vault_b != NO_ACCOUNT:
            change.flags |= RESERVES_KNOWN
    d.n_changes = kept
    for i in range(kept):
        for k in range(kept):
            if i != k and d.changes[i].holder != NO_ACCOUNT and (
                    d.changes[i].holder == d.changes[k].holder
                    and d.changes[i].venue == d.changes[k].venue):
                complete(&d.changes[i], &d.changes[k])
