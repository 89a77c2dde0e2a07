"""Events confirm and enrich the legs, changes and liquidations that the transfers gave.

Three transports: an inner instruction of the program to itself, a log line
`Program data: <base64>`, Raydium v4's `ray_log`. A log line belongs to the program on top of the
invoke stack, not to whoever knows its discriminator: several programs share those.
"""

from libc.math cimport NAN
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset

from mevstream.cext.liquidations cimport offer_liquidation
from mevstream.cext.liquidity cimport offer_change
from mevstream.cext.model cimport (
    AMOUNTS_FROM_EVENT, CREATOR_FEE, EVENT_CONFIRMED, EVENT_DIFFERS, EVENT_LOG, EVENT_NONE,
    EVENT_RAY_LOG, EVENT_READ, EVENT_SELF_CPI, FEE_IN_OUTPUT, FEE_TOLD, NO_ACCOUNT, NONE,
    RESERVES_KNOWN, ROUTER, ROUTER_CONFIRMED, ROUTER_DIFFERS, SYSTEM, Decoded, Instruction, Leg,
    Program, SwapEvent, TokenAccount, Transaction, curve_untold,
)
from mevstream.cext.parsing cimport LOG_MESSAGES
from mevstream.cext.registry cimport discriminator, find_program, key_of
from mevstream.cext.token_accounts cimport token_account
from mevstream.cext.wire cimport (
    mv_base64, mv_equal32, mv_length, mv_skip, mv_tag, mv_u32, mv_u64,
)

cdef enum:
    MAX_EVENT = 1024       # bytes; the longest known event has 700
    MAX_DEPTH = 16         # of the invoke stack

cdef uint8_t WSOL[32]
key_of("So11111111111111111111111111111111111111112", WSOL)

# Leading eight bytes of the data.
cdef uint64_t SELF_CPI = discriminator("e445a52e51cb9a1d")         # Anchor's event instruction
cdef uint64_t ROUTER_SWAP = discriminator("40c6cde8260871e2")      # Jupiter v6, DFlow, OKX
cdef uint64_t ROUTER_SWAP_V4 = discriminator("516ce3becdd00ac4")   # Jupiter v4
cdef uint64_t ROUTER_SWAPS = discriminator("982f4eebc0606e6a")     # Jupiter v6, v2 instructions


# -- venues ---------------------------------------------------------------------------------------

cdef void settle_curve(Transaction* tx, Leg* leg) noexcept nogil:
    """Which side of a bonding curve's leg its only token vault is on, and the decimals of both.
    The registry's row has put the vault into vault_in."""
    cdef TokenAccount* entry = token_account(tx, leg.vault_in)
    if entry == NULL or not entry.has_mint:
        return
    if mv_equal32(entry.mint, leg.mint_in):
        leg.decimals_in = entry.decimals
        leg.decimals_out = 9 if mv_equal32(leg.mint_out, WSOL) else 255
        leg.vault_out = NO_ACCOUNT
    else:
        leg.vault_out = leg.vault_in
        leg.vault_in = NO_ACCOUNT
        leg.decimals_out = entry.decimals
        leg.decimals_in = 9 if mv_equal32(leg.mint_in, WSOL) else 255


cdef uint64_t lamports_paid(Transaction* tx, const Leg* leg) noexcept nogil:
    """What the trader sent by System transfers below the leg's instruction."""
    cdef uint32_t i
    cdef uint64_t paid = 0
    cdef const Instruction* ix
    cdef const Program* program
    for i in range(leg.position + 1, tx.instructions[leg.position].end):
        ix = &tx.instructions[i]
        if (ix.program == NONE or ix.n_data < 12 or ix.n_accounts < 2
                or ix.accounts[0] != leg.trader or mv_u32(ix.data) != 2):
            continue
        program = find_program(tx.keys[ix.program])
        if program != NULL and program.kind == SYSTEM:
            paid += mv_u64(ix.data + 4)
    return paid


cdef void apply_event(Transaction* tx, Leg* leg, const SwapEvent* event) noexcept nogil:
    cdef uint64_t withheld
    leg.event_seen = True
    if leg.flags & AMOUNTS_FROM_EVENT:
        leg.amount_in = event.amount_in
        leg.amount_out = event.amount_out
        leg.trader_in = event.trader_in
        if not event.has_fee and mv_equal32(event.mint_in, WSOL):
            # The first trade events tell no fee; a buyer pays it by a transfer of its own.
            leg.trader_in = lamports_paid(tx, leg)
            if leg.trader_in < leg.amount_in:
                leg.trader_in = leg.amount_in
        leg.trader_out = event.trader_out
        leg.mint_in = event.mint_in
        leg.mint_out = event.mint_out
        leg.flags |= EVENT_CONFIRMED
        settle_curve(tx, leg)
    elif event.amounts_not_comparable:
        pass
    elif leg.amount_in == event.amount_in and leg.amount_out == event.amount_out:
        leg.flags |= EVENT_CONFIRMED
    else:
        leg.flags |= EVENT_DIFFERS
    if event.has_reserves:
        leg.reserve_in = event.reserve_in
        leg.reserve_out = event.reserve_out
        leg.flags |= RESERVES_KNOWN
    if event.has_fee:
        leg.fee = event.fee
        leg.flags |= FEE_TOLD
        if event.fee_in_output:
            leg.flags |= FEE_IN_OUTPUT
        if event.has_creator_fee:
            leg.flags |= CREATOR_FEE
    leg.price_after = event.price_after
    withheld = leg.curve.withheld_in
    leg.curve = event.curve
    if not leg.curve.withheld_in:
        leg.curve.withheld_in = withheld


cdef bint offer(
    Transaction* tx, Decoded* d, const Program* venue, uint32_t position, const uint8_t* data,
    uint32_t n) noexcept nogil:
    """Gives an event to the leg it tells of: the first one of that venue (and instruction, unless
    NONE) without event whose amounts are the same, else the first one of its pool."""
    cdef uint32_t i
    cdef Leg* leg
    cdef Leg* other = NULL
    cdef SwapEvent event
    cdef SwapEvent kept
    for i in range(d.n_legs):
        leg = &d.legs[i]
        if leg.venue != venue or leg.event_seen:
            continue
        if position != NONE and leg.position != position:
            continue
        memset(&event, 0, sizeof(SwapEvent))
        event.price_after = NAN
        curve_untold(&event.curve)
        if venue.event(tx, leg, data, n, &event) != EVENT_READ:
            continue
        if leg.flags & AMOUNTS_FROM_EVENT or (
                event.amount_in == leg.amount_in and event.amount_out == leg.amount_out):
            apply_event(tx, leg, &event)
            return True
        if other == NULL:
            other = leg
            kept = event
    if other != NULL:
        apply_event(tx, other, &kept)
        return True
    return False


# -- routers --------------------------------------------------------------------------------------

cdef inline bint is_amount(uint64_t told, uint64_t pool_side, uint64_t trader_side) noexcept nogil:
    """Routers measure at the trader's accounts, so fees may stand between."""
    return told == pool_side or told == trader_side


cdef void check_route(
    Transaction* tx, Decoded* d, const Program* router, const uint8_t* mint_in, uint64_t amount_in,
    const uint8_t* mint_out, uint64_t amount_out) noexcept nogil:
    """Finds the leg that a router's event tells of. Events without mints can only confirm."""
    cdef uint32_t i
    cdef Leg* leg
    cdef Leg* other = NULL
    for i in range(d.n_legs):
        leg = &d.legs[i]
        if leg.router == NONE or leg.router_seen:
            continue
        if not mv_equal32(tx.keys[tx.instructions[leg.router].program], router.key):
            continue
        if mint_in != NULL and (
                leg.mint_in == NULL or leg.mint_out == NULL or not mv_equal32(leg.mint_in, mint_in)
                or not mv_equal32(leg.mint_out, mint_out)):
            continue
        if (is_amount(amount_in, leg.amount_in, leg.trader_in)
                and is_amount(amount_out, leg.amount_out, leg.trader_out)):
            leg.router_seen = True
            leg.flags |= ROUTER_CONFIRMED
            return
        # A curve's event of early 2025 has no fee, so what the trader got is not known.
        if other == NULL and mint_in != NULL and not (
                leg.flags & AMOUNTS_FROM_EVENT and not leg.flags & FEE_TOLD):
            other = leg
    if other != NULL:
        other.router_seen = True
        other.flags |= ROUTER_DIFFERS


cdef void read_router_event(
    Transaction* tx, Decoded* d, const Program* router, const uint8_t* data, uint32_t n) noexcept nogil:
    """Jupiter (jup-ag/instruction-parser): 8 amm, 40 mint in, 72 in, 80 mint out, 112 out; its newer
    list of hops: 8 count u32, then mint, amount, mint, amount each. OKX: 8 dex u8, 9 in, 17 out."""
    cdef uint64_t kind
    cdef uint32_t count, i
    cdef const uint8_t* hop
    if n < 8:
        return
    kind = mv_u64(data)
    if (kind == ROUTER_SWAP or kind == ROUTER_SWAP_V4) and n >= 120:
        check_route(tx, d, router, data + 40, mv_u64(data + 72), data + 80, mv_u64(data + 112))
    elif kind == ROUTER_SWAP and n == 25:
        check_route(tx, d, router, NULL, mv_u64(data + 9), NULL, mv_u64(data + 17))
    elif kind == ROUTER_SWAPS and n >= 12:
        count = mv_u32(data + 8)
        for i in range(count):
            if 12 + 80 * (i + 1) > n:
                return
            hop = data + 12 + 80 * i
            check_route(tx, d, router, hop, mv_u64(hop + 32), hop + 40, mv_u64(hop + 72))


# -- transports -----------------------------------------------------------------------------------

cdef void read_self_calls(Transaction* tx, Decoded* d) noexcept nogil:
    cdef uint32_t i
    cdef const Instruction* ix
    cdef const Instruction* caller
    cdef const Program* program
    for i in range(tx.n_instructions):
        ix = &tx.instructions[i]
        if ix.parent == NONE or ix.n_data < 16 or mv_u64(ix.data) != SELF_CPI:
            continue
        caller = &tx.instructions[ix.parent]
        if ix.program == NONE or caller.program != ix.program:
            continue
        program = find_program(tx.keys[ix.program])
        if program == NULL:
            continue
        if program.kind == ROUTER:
            read_router_event(tx, d, program, ix.data + 8, ix.n_data - 8)
        elif program.transport == EVENT_SELF_CPI:
            if not offer(tx, d, program, ix.parent, ix.data + 8, ix.n_data - 8) and d.n_changes:
                offer_change(tx, d, program, ix.parent, ix.data + 8, ix.n_data - 8)


cdef struct LogReader:
    const uint8_t* top[MAX_DEPTH]    # program id texts, outermost first
    uint32_t n_top[MAX_DEPTH]
    uint32_t depth


cdef inline bint starts(const uint8_t* text, uint32_t n, const char* prefix, uint32_t size) noexcept nogil:
    return n >= size and memcmp(text, prefix, size) == 0


cdef inline bint on_top(const LogReader* log, const Program* program) noexcept nogil:
    if log.depth == 0 or log.depth > MAX_DEPTH or log.n_top[log.depth - 1] != program.n_text:
        return False
    return memcmp(log.top[log.depth - 1], program.text, program.n_text) == 0


cdef void give_log_event(
    Transaction* tx, Decoded* d, const LogReader* log, bint ray_log, const uint8_t* text, uint32_t n,
) noexcept nogil:
    """Decodes the payload only if a leg's venue or router, a change or a liquidation waits for it."""
    cdef uint8_t payload[MAX_EVENT]
    cdef uint32_t size = 0, i
    cdef Leg* leg
    cdef const Program* router
    cdef const Program* program
    for i in range(d.n_legs):
        leg = &d.legs[i]
        if (not leg.event_seen and leg.venue.transport == (EVENT_RAY_LOG if ray_log else EVENT_LOG)
                and on_top(log, leg.venue)):
            size = mv_base64(text, n, payload, MAX_EVENT)
            if offer(tx, d, leg.venue, NONE, payload, size) or not d.n_changes:
                return
            break
        if leg.router != NONE and not leg.router_seen and not ray_log:
            router = find_program(tx.keys[tx.instructions[leg.router].program])
            if router.transport == EVENT_LOG and on_top(log, router):
                size = mv_base64(text, n, payload, MAX_EVENT)
                read_router_event(tx, d, router, payload, size)
                return
    for i in range(d.n_changes):
        program = d.changes[i].venue
        if (not d.changes[i].event_seen
                and program.transport == (EVENT_RAY_LOG if ray_log else EVENT_LOG)
                and on_top(log, program)):
            size = mv_base64(text, n, payload, MAX_EVENT)
            offer_change(tx, d, program, NONE, payload, size)
            return
    for i in range(d.n_liquidations):
        program = d.liquidations[i].protocol
        if (not d.liquidations[i].event_seen and not ray_log and program.transport == EVENT_LOG
                and on_top(log, program)):
            size = mv_base64(text, n, payload, MAX_EVENT)
            offer_liquidation(tx, d, program, NONE, payload, size)
            return


cdef void read_log_line(
    Transaction* tx, Decoded* d, LogReader* log, const uint8_t* text, uint32_t n) noexcept nogil:
    cdef uint32_t size
    if not starts(text, n, b"Program ", 8):
        return
    text += 8
    n -= 8
    if starts(text, n, b"log: ", 5):
        if starts(text + 5, n - 5, b"ray_log: ", 9):
            give_log_event(tx, d, log, True, text + 14, n - 14)
    elif starts(text, n, b"data: ", 6):
        give_log_event(tx, d, log, False, text + 6, n - 6)
    elif n < 32:
        return
    else:                                                 # <id> invoke [depth], <id> success, …
        size = 32
        while size < n and text[size] != b" ":
            size += 1
        if starts(text + size, n - size, b" invoke [", 9):
            if log.depth < MAX_DEPTH:
                log.top[log.depth] = text
                log.n_top[log.depth] = size
            log.depth += 1
        elif log.depth and (starts(text + size, n - size, b" success", 8)
                            or starts(text + size, n - size, b" failed", 7)):
            log.depth -= 1


cdef void read_logs(Transaction* tx, Decoded* d) noexcept nogil:
    cdef LogReader log
    cdef const uint8_t* p = tx.log_begin
    cdef uint32_t tag, length
    log.depth = 0
    while p != NULL and p < tx.log_end:
        p = mv_tag(p, tx.log_end, &tag)
        if p == NULL:
            return
        if tag != LOG_MESSAGES:
            p = mv_skip(p, tx.log_end, tag, 1)
            continue
        p = mv_length(p, tx.log_end, &length)
        if p == NULL:
            return
        read_log_line(tx, d, &log, p, length)
        p += length


cdef void read_events(Transaction* tx, Decoded* d) noexcept nogil:
    """Reads the transports that legs, changes and liquidations ask for, then drops the legs that no
    event has told."""
    cdef uint32_t i, kept = 0
    cdef bint self_calls = False, logs = False
    cdef const Program* router
    for i in range(d.n_legs):
        if d.legs[i].venue.transport == EVENT_SELF_CPI:
            self_calls = True
        elif d.legs[i].venue.transport != EVENT_NONE:
            logs = True
        if d.legs[i].router != NONE:
            router = find_program(tx.keys[tx.instructions[d.legs[i].router].program])
            self_calls = self_calls or router.transport == EVENT_SELF_CPI
            logs = logs or router.transport == EVENT_LOG
    for i in range(d.n_changes):
        if d.changes[i].venue.transport == EVENT_SELF_CPI:
            self_calls = True
        elif d.changes[i].venue.transport != EVENT_NONE:
            logs = True
    if self_calls:
        read_self_calls(tx, d)
    if logs or d.n_liquidations:
        read_logs(tx, d)
    for i in range(d.n_legs):
        if d.legs[i].flags & AMOUNTS_FROM_EVENT and not d.legs[i].event_seen:
            continue
        d.legs[kept] = d.legs[i]
        kept += 1
    d.n_legs = kept
