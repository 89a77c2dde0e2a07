"""From instructions to swap legs, and to what else an instruction may be (liquidity.pyx,
liquidations.pyx).

A leg is found by (program, discriminator) in the registry; its amounts are the token transfers
nested below its instruction into and out of the pool's vaults. Logs are not needed for that: they
can be truncated. Programs without a known layout, and programs nobody knows, are recognised by
their flow: one mint from the trader to the program's account, another one back (flow.pyx).
Events, where a program emits them, confirm the amounts and tell fee and price (events.pyx).
"""

from libc.math cimport NAN
from libc.stdint cimport int16_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from mevstream.cext.balances cimport settle_balances, settle_transfer_fees
from mevstream.cext.calls cimport link_calls, program_at
from mevstream.cext.events cimport read_events
from mevstream.cext.flow cimport find_unknown_venues, flow_vaults
from mevstream.cext.holdings cimport settle_holdings
from mevstream.cext.links cimport note_link
from mevstream.cext.liquidations cimport find_liquidations, finish_liquidations, is_liquidation
from mevstream.cext.liquidity cimport find_changes, finish_changes
from mevstream.cext.model cimport (
    AMOUNTS_FROM_EVENT, CLOSES_TO, COMPUTE_BUDGET, GIVES_LAMPORTS, GIVES_TOKENS, MAX_CHANGES,
    MAX_LEGS, MAX_LINKS, MAX_LIQUIDATIONS, NO_ACCOUNT, NO_POSITION, NONE, ROUTER, SYSTEM, TOKEN,
    TOKEN_2022, VENUE, Change, Decoded, Instruction, Leg, Link, Liquidation, Program,
    SwapInstruction, TokenAccount, Transaction, Transfer,
    curve_untold,
)
from mevstream.cext.patterns cimport account_at, leading_bytes, matches, resolve
from mevstream.cext.registry cimport key_of
from mevstream.cext.token_accounts cimport new_token_account, token_account
from mevstream.cext.wire cimport mv_equal32, mv_u32, mv_u64

cdef enum:
    # The runtime allows 64 instructions in all; a transaction with more than this is no real one.
    MAX_TRACE = 256
    LEGS_AN_INSTRUCTION = 16
    # Lamports: who is given less cannot pay for a signature with it.
    LEAST_GIFT = 5000

# Jito's eight tip accounts (addresses derived from its tip program's seeds), and what a key must start with to be asked for.
TIP_ACCOUNTS = (
    "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
    "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
    "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
    "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
    "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
    "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
    "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
    "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
)
cdef uint8_t tip_accounts[8][32]
for _i, _address in enumerate(TIP_ACCOUNTS):
    key_of(_address, tip_accounts[_i])
# A bitmap over the first byte of the tip accounts: most transfers end here.
cdef bint may_be_tip[256]
memset(may_be_tip, 0, sizeof(may_be_tip))
for _i in range(8):
    may_be_tip[tip_accounts[_i][0]] = True

# Keys whose base58 text starts with "jitodontfront" (docs.jito.wtf): from the first to before the second.
cdef uint8_t[16] DONTFRONT_FROM = [
    0x0a, 0xf1, 0xc3, 0x43, 0x21, 0x88, 0xca, 0x3a, 0x63, 0x51, 0x35, 0xa1, 0x3a, 0x18, 0x95, 0x1a]
cdef uint8_t[16] DONTFRONT_TO = [
    0x0a, 0xf1, 0xc3, 0x43, 0x21, 0x88, 0xca, 0x3a, 0x63, 0x52, 0x0b, 0x53, 0xec, 0xba, 0xf3, 0x1b]


cdef bint decoded_init(Decoded* d) noexcept nogil:
    """Allocates for the largest trace that is decoded; 0 without memory."""
    memset(d, 0, sizeof(Decoded))
    d.legs = <Leg*>malloc(MAX_LEGS * sizeof(Leg))
    d.transfers = <Transfer*>malloc(MAX_TRACE * sizeof(Transfer))
    d.changes = <Change*>malloc(MAX_CHANGES * sizeof(Change))
    d.liquidations = <Liquidation*>malloc(MAX_LIQUIDATIONS * sizeof(Liquidation))
    d.links = <Link*>malloc(MAX_LINKS * sizeof(Link))
    return (d.legs != NULL and d.transfers != NULL and d.changes != NULL
            and d.liquidations != NULL and d.links != NULL)


cdef void decoded_free(Decoded* d) noexcept nogil:
    free(d.legs)
    free(d.transfers)
    free(d.changes)
    free(d.liquidations)
    free(d.links)
    d.legs = NULL
    d.transfers = NULL
    d.changes = NULL
    d.liquidations = NULL
    d.links = NULL


# -- transfers and other small instructions -------------------------------------------------------

cdef void read_token_instruction(
    Transaction* tx, Decoded* d, const Instruction* ix, uint32_t position, bint token_2022,
    bint links) noexcept nogil:
    """Transfers, whom accounts are closed to, and the token accounts that a transaction creates for
    itself (which no balance names if it closes them too). `links`: what is given away counts.
    Layouts: the SPL token programs'."""
    cdef Transfer* transfer = &d.transfers[d.n_transfers]
    cdef TokenAccount* entry
    cdef uint16_t account = 0, mint = 0, owner = 0
    cdef uint8_t tag
    cdef bint ok = False
    if ix.n_data < 1:
        return
    tag = ix.data[0]
    transfer.mint = NO_ACCOUNT
    transfer.fee = 0
    # A plain Transfer is refused by mints with a fee.
    transfer.silent = token_2022 and tag == 12
    if tag == 3 and ix.n_data >= 9:                     # Transfer
        transfer.amount = mv_u64(ix.data + 1)
        ok = (account_at(tx, ix, 0, &transfer.source)
              and account_at(tx, ix, 1, &transfer.destination)
              and account_at(tx, ix, 2, &transfer.authority))
    elif tag == 12 and ix.n_data >= 10:                 # TransferChecked
        transfer.amount = mv_u64(ix.data + 1)
        ok = (account_at(tx, ix, 0, &transfer.source)
              and account_at(tx, ix, 1, &transfer.mint)
              and account_at(tx, ix, 2, &transfer.destination)
              and account_at(tx, ix, 3, &transfer.authority))
    elif tag == 26 and token_2022 and ix.n_data >= 19 and ix.data[1] == 1:  # …CheckedWithFee
        transfer.amount = mv_u64(ix.data + 2)
        transfer.fee = mv_u64(ix.data + 11)
        ok = (account_at(tx, ix, 0, &transfer.source)
              and account_at(tx, ix, 1, &transfer.mint)
              and account_at(tx, ix, 2, &transfer.destination)
              and account_at(tx, ix, 3, &transfer.authority))
        if transfer.fee > transfer.amount:
            transfer.fee = 0
    elif tag == 9:                                      # CloseAccount
        if links and account_at(tx, ix, 1, &account) and account_at(tx, ix, 2, &owner):
            note_link(tx, d, CLOSES_TO, owner, account)
        return
    elif tag == 1 or tag == 16 or tag == 18:            # InitializeAccount, …2, …3
        if not account_at(tx, ix, 0, &account) or not account_at(tx, ix, 1, &mint):
            return
        if tx.token_account_of[account]:
            return                                      # the balances know it better
        entry = new_token_account(tx, account)
        entry.decoded = True
        entry.token_2022 = token_2022
        entry.has_mint = True
        memcpy(entry.mint, tx.keys[mint], 32)
        if tag == 1 and account_at(tx, ix, 2, &owner):
            entry.has_owner = True
            memcpy(entry.owner, tx.keys[owner], 32)
        elif tag != 1 and ix.n_data >= 33:
            entry.has_owner = True
            memcpy(entry.owner, ix.data + 1, 32)
        return
    if ok:
        transfer.position = position
        d.n_transfers += 1
        if links and transfer.amount:
            note_link(tx, d, GIVES_TOKENS, transfer.authority, transfer.destination)


cdef void read_system_instruction(
    Transaction* tx, Decoded* d, const Instruction* ix, bint links) noexcept nogil:
    """Lamports to a tip account or, where `links` asks for them, to somebody else: Transfer (2) and
    TransferWithSeed (11), where the owner of a derived account signs."""
    cdef uint16_t source = 0, destination = 0, giver = 0
    cdef uint32_t tag, i
    if ix.n_data < 12:
        return
    tag = mv_u32(ix.data)
    if tag == 2:
        if not account_at(tx, ix, 1, &destination):
            return
    elif tag != 11 or not account_at(tx, ix, 2, &destination):
        return
    if not account_at(tx, ix, 0, &source):
        return
    if may_be_tip[tx.keys[destination][0]]:
        for i in range(8):
            if mv_equal32(tip_accounts[i], tx.keys[destination]):
                d.tip += mv_u64(ix.data + 4)
                d.tip_payer = source
                return
    if links and mv_u64(ix.data + 4) >= LEAST_GIFT:
        if account_at(tx, ix, 0 if tag == 2 else 1, &giver):
            note_link(tx, d, GIVES_LAMPORTS, giver, destination)


cdef void read_budget_instruction(Decoded* d, const Instruction* ix) noexcept nogil:
    """Compute budget: 2 = unit limit, 3 = price of a unit in micro-lamports."""
    if ix.n_data >= 5 and ix.data[0] == 2:
        d.cu_limit = mv_u32(ix.data + 1)
    elif ix.n_data >= 9 and ix.data[0] == 3:
        d.cu_price = mv_u64(ix.data + 1)


# -- legs -----------------------------------------------------------------------------------------

cdef void start_leg(Leg* leg, const Program* venue, uint32_t position, uint32_t number) noexcept nogil:
    memset(leg, 0, sizeof(Leg))
    leg.venue = venue
    leg.position = position
    leg.number = number
    leg.pool = leg.trader = leg.vault_in = leg.vault_out = NO_ACCOUNT
    leg.router = NONE
    leg.decimals_in = leg.decimals_out = 255
    leg.price_after = NAN
    curve_untold(&leg.curve)


cdef bint settle_amounts(Transaction* tx, Decoded* d, Leg* leg) noexcept nogil:
    """Sums the transfers below the leg's instruction into one vault and out of the other; 0 where
    there are none. Both ways at once (an order book that pays itself from a second source): the
    way in which the trader gives is the one."""
    cdef uint32_t end = tx.instructions[leg.position].end, i
    cdef uint64_t sent[2]
    cdef uint64_t came[2]
    cdef uint64_t withheld[2]
    cdef bint from_trader[2]
    cdef uint32_t side
    cdef uint16_t vaults[2]
    cdef Transfer* transfer
    vaults[0] = leg.vault_in
    vaults[1] = leg.vault_out
    sent[0] = sent[1] = came[0] = came[1] = withheld[0] = withheld[1] = 0
    from_trader[0] = from_trader[1] = False
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if transfer.position <= leg.position:
            continue
        if transfer.position >= end:
            break
        for side in range(2):
            if transfer.destination == vaults[side]:
                came[side] += transfer.amount
                withheld[side] += transfer.fee
                if transfer.authority == leg.trader or leg.trader == NO_ACCOUNT:
                    from_trader[side] = True
            if transfer.source == vaults[side]:
                sent[side] += transfer.amount
    if came[0] and sent[1] and came[1] and sent[0]:
        side = 1 if from_trader[1] and not from_trader[0] else 0
    elif came[0] and sent[1]:
        side = 0
    elif came[1] and sent[0]:
        side = 1
    else:
        return False
    leg.vault_in = vaults[side]
    leg.vault_out = vaults[1 - side]
    leg.amount_in = came[side]
    leg.amount_out = sent[1 - side]
    leg.withheld_in = leg.curve.withheld_in = withheld[side]
    return True


cdef void settle_trader(Transaction* tx, Decoded* d, Leg* leg) noexcept nogil:
    """What the trader paid (everything that left the account that paid the pool) and received
    (what of the pool's output arrived at accounts of the trader; where the balances do not tell
    whose they are, at the account that got most)."""
    cdef uint32_t end = tx.instructions[leg.position].end, i, k
    cdef uint16_t payer = NO_ACCOUNT
    cdef uint64_t arrived, largest = 0
    cdef bint owned = False
    cdef Transfer* transfer
    cdef TokenAccount* entry
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if leg.position < transfer.position < end and transfer.destination == leg.vault_in:
            payer = transfer.source
            if leg.trader == NO_ACCOUNT:
                leg.trader = transfer.authority
            break
    for i in range(d.n_transfers):
        transfer = &d.transfers[i]
        if transfer.position <= leg.position or transfer.position >= end:
            continue
        if transfer.source == payer:
            leg.trader_in += transfer.amount
        if transfer.source != leg.vault_out:
            continue
        entry = token_account(tx, transfer.destination)
        if (leg.trader != NO_ACCOUNT and entry != NULL and entry.has_owner
                and mv_equal32(entry.owner, tx.keys[leg.trader])):
            leg.trader_out += transfer.amount - transfer.fee
            owned = True
        elif not owned:
            arrived = 0
            for k in range(d.n_transfers):
                if (leg.position < d.transfers[k].position < end
                        and d.transfers[k].source == leg.vault_out
                        and d.transfers[k].destination == transfer.destination):
                    arrived += d.transfers[k].amount - d.transfers[k].fee
            if arrived > largest:
                largest = arrived
    if not owned:
        leg.trader_out = largest


cdef uint32_t nearest_router(Transaction* tx, Decoded* d, uint32_t position) noexcept nogil:
    """The router that called this instruction, directly or through others; NONE."""
    cdef const Program* program
    cdef uint32_t caller = tx.instructions[position].parent
    while caller != NONE:
        program = program_at(tx, d, tx.instructions[caller].program)
        if program != NULL and program.kind == ROUTER:
            return caller
        caller = tx.instructions[caller].parent
    return NONE


cdef void finish_leg(Transaction* tx, Decoded* d, Leg* leg) noexcept nogil:
    """Router, trader, mints and reserves, once the amounts stand."""
    leg.router = nearest_router(tx, d, leg.position)
    settle_trader(tx, d, leg)
    settle_balances(tx, d, leg)


cdef bint find_legs(Transaction* tx, Decoded* d, uint32_t position, const Program* venue) noexcept nogil:
    """The legs of a venue's instruction; whether it is one that swaps."""
    cdef Instruction* ix = &tx.instructions[position]
    cdef uint64_t leading = leading_bytes(ix)
    cdef uint32_t i, k, count, number = 0
    cdef bint tried = False
    cdef const SwapInstruction* row
    cdef Leg* leg
    cdef Leg found[LEGS_AN_INSTRUCTION]
    for i in range(venue.n_instructions):
        row = &venue.instructions[i]
        if not matches(&row.call, ix, leading):
            continue
        # A row without discriminator and layout matches anything: no attempt unless tokens moved.
        tried = tried or row.call.n_discriminator > 0 or row.vault_a != NO_POSITION
        if tx.failed or d.n_legs + LEGS_AN_INSTRUCTION > MAX_LEGS:
            continue
        if venue.legs != NULL and row.vault_a == NO_POSITION:
            for k in range(LEGS_AN_INSTRUCTION):
                start_leg(&found[k], venue, position, k)
            count = venue.legs(tx, ix, d.transfers, d.n_transfers, found, LEGS_AN_INSTRUCTION)
        else:
            start_leg(&found[0], venue, position, number)
            found[0].pool = resolve(tx, ix, row.pool)
            found[0].vault_in = resolve(tx, ix, row.vault_a)
            found[0].vault_out = resolve(tx, ix, row.vault_b)
            found[0].trader = resolve(tx, ix, row.trader)
            count = 1
        for k in range(count):
            leg = &found[k]
            if settle_amounts(tx, d, leg):
                finish_leg(tx, d, leg)
            elif venue.amounts_from_event:
                # events.pyx fills it, or drops it where the event is missing.
                leg.flags = AMOUNTS_FROM_EVENT
                leg.router = nearest_router(tx, d, leg.position)
            elif flow_vaults(tx, d, leg) and settle_amounts(tx, d, leg):
                finish_leg(tx, d, leg)
            else:
                continue
            tried = True
            leg.number = number
            number += 1
            d.legs[d.n_legs] = leg[0]
            d.n_legs += 1
    if tried:
        d.attempts += 1
    return tried


cdef void order_legs(Decoded* d) noexcept nogil:
    """By position; those that flow.pyx added stand at the end."""
    cdef uint32_t i, k
    cdef Leg leg
    for i in range(1, d.n_legs):
        k = i
        while k > 0 and d.legs[k - 1].position > d.legs[k].position:
            leg = d.legs[k]
            d.legs[k] = d.legs[k - 1]
            d.legs[k - 1] = leg
            k -= 1


cdef void decode_instructions(Transaction* tx, Decoded* d) noexcept nogil:
    """Fills `d` for a transaction that is no mere vote."""
    cdef uint32_t i
    cdef const Program* program
    cdef Instruction* ix
    cdef bint called_venue = False, called_stranger = False, called_router = False
    cdef bint called_token_2022 = False, liquidates = False, swaps, below_stranger = False
    d.n_legs = d.n_transfers = d.attempts = d.n_changes = d.n_liquidations = d.n_links = 0
    d.tip = d.cu_price = 0
    d.tip_payer = d.cu_limit = NONE
    d.dontfront = d.signers_told = False
    d.signers_lamports = 0
    memset(d.looked_up, 0, tx.n_keys * sizeof(bint))
    for i in range(tx.n_keys):
        if tx.keys[i][0] == 0x0a and memcmp(tx.keys[i], DONTFRONT_FROM, 16) >= 0 and memcmp(
                tx.keys[i], DONTFRONT_TO, 16) < 0:
            d.dontfront = True
    if tx.n_instructions > MAX_TRACE:
        tx.partial = True
        return
    for i in range(tx.n_instructions):
        ix = &tx.instructions[i]
        program = program_at(tx, d, ix.program)
        if ix.inner == NONE:
            below_stranger = program == NULL
        if program == NULL:
            called_stranger = True
        elif program.kind == TOKEN or program.kind == TOKEN_2022:
            called_token_2022 = called_token_2022 or program.kind == TOKEN_2022
            if not tx.failed:
                read_token_instruction(
                    tx, d, ix, i, program.kind == TOKEN_2022, ix.inner == NONE or below_stranger)
        elif program.kind == VENUE:
            called_venue = True
        elif program.kind == ROUTER:
            called_router = True
        elif program.kind == SYSTEM:
            if not tx.failed:
                read_system_instruction(tx, d, ix, ix.inner == NONE or below_stranger)
        elif program.kind == COMPUTE_BUDGET and ix.inner == NONE:
            read_budget_instruction(d, ix)
        elif program.n_liquidations and not tx.failed:
            liquidates = liquidates or is_liquidation(ix, program)
    if not (called_venue or liquidates) and (
            tx.failed or not called_stranger or d.n_transfers < 2):
        return
    link_calls(tx, d)
    if called_token_2022:
        settle_transfer_fees(tx, d)
    for i in range(tx.n_instructions):
        program = program_at(tx, d, tx.instructions[i].program)
        if program == NULL:
            continue
        if program.kind == VENUE:
            swaps = find_legs(tx, d, i, program)
            if program.n_changes and not (swaps or tx.failed):
                find_changes(tx, d, i, program)
        elif liquidates and program.n_liquidations:
            find_liquidations(tx, d, i, program)
    if tx.failed:
        return
    if called_stranger and d.n_transfers >= 2:
        i = d.n_legs
        find_unknown_venues(tx, d)
        while i < d.n_legs:
            finish_leg(tx, d, &d.legs[i])
            i += 1
        order_legs(d)
    if d.n_legs or d.n_changes or d.n_liquidations:
        read_events(tx, d)
        if d.n_changes:
            finish_changes(tx, d)
        if d.n_liquidations:
            finish_liquidations(tx, d)
    if d.n_legs > 1:
        settle_holdings(tx, d)
