"""The table of programs. Venue modules (venues/*.pyx) add their rows when they are imported;
afterwards it is read only, so that any number of decoders may use it at once.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

from mevstream.cext.model cimport (
    EVENT_NONE, NO_POSITION, OTHER, RANGE_LIST, RANGE_PAIR, RANGE_WIDTH, VENUE,
    ChangeKind, ChangeReader, EventReader, EventTransport, LegFinder, LiquidationFinder,
    LiquidationInstruction, LiquidationReader, LiquidityInstruction, Pattern, Program, ProgramKind,
    RangeForm, SwapInstruction,
)
from mevstream.cext.wire cimport mv_base58_key, mv_equal32, mv_u64

cdef enum:
    MAX_PROGRAMS = 512
    SLOTS = 2048   # a quarter full at most, so that a miss ends after a step or two

cdef Program rows[MAX_PROGRAMS]
cdef uint32_t n_rows = 0
cdef uint16_t slots[SLOTS]   # row + 1
memset(slots, 0, sizeof(slots))

FORMS = {"pair": RANGE_PAIR, "width": RANGE_WIDTH, "list": RANGE_LIST}

# Venue, router and lender names; what schemas/parsed.proto calls `names` is the part that a batch uses.
NAMES: list[str] = [""]


cdef inline uint32_t slot_of(const uint8_t* key) noexcept nogil:
    return <uint32_t>((mv_u64(key) * <uint64_t>0x9E3779B97F4A7C15) >> 53)


cdef const Program* find_program(const uint8_t* key) noexcept nogil:
    """The row of that program id, or NULL."""
    cdef uint32_t slot = slot_of(key)
    while slots[slot]:
        if mv_equal32(rows[slots[slot] - 1].key, key):
            return &rows[slots[slot] - 1]
        slot = (slot + 1) % SLOTS
    return NULL


cdef void key_of(str address, uint8_t* out) except *:
    """The 32 bytes of a base58 address."""
    cdef bytes text = address.encode()
    if not mv_base58_key(<const uint8_t*>text, <uint32_t>len(text), out):
        raise ValueError(f"{address} is no base58 address of 32 bytes")


cdef uint64_t discriminator(str text) except? 0:
    """Eight bytes in hex, as documents print them, as the number that mv_u64 reads from data."""
    return int.from_bytes(bytes.fromhex(text), "little")


cdef uint32_t name_index(str name) except? 0:
    """The name's place in NAMES, given at its first use."""
    if name not in NAMES:
        NAMES.append(name)
    return <uint32_t>NAMES.index(name)


cdef Program* add_program(str name, str address, int kind) except NULL:
    """Adds a row. Programs of one protocol may share a name."""
    global n_rows
    cdef Program* row
    cdef bytes text = address.encode()
    cdef uint32_t slot
    if n_rows == MAX_PROGRAMS:
        raise MemoryError("the program table is full")
    row = &rows[n_rows]
    memset(row, 0, sizeof(Program))
    key_of(address, row.key)
    if find_program(row.key) != NULL:
        raise ValueError(f"{address} ({name}) is in the table already")
    memcpy(row.text, <const uint8_t*>text, len(text))
    row.n_text = <uint32_t>len(text)
    row.kind = <ProgramKind>kind
    row.name = name_index(name)
    n_rows += 1
    slot = slot_of(row.key)
    while slots[slot]:
        slot = (slot + 1) % SLOTS
    slots[slot] = <uint16_t>n_rows
    return row


cdef Program* add_venue(
    str name, str address, list swaps, EventTransport transport=EVENT_NONE,
    EventReader event=NULL, LegFinder legs=NULL,
) except NULL:
    """Adds a venue. Each of `swaps` is (discriminator in hex, pool, vault, vault, trader) or the
    same with (…, at least, at most) accounts; positions count from the end where negative, and
    None says that the layout has no such account. An empty discriminator matches any data."""
    cdef Program* row = add_program(name, address, VENUE)
    cdef SwapInstruction* table = <SwapInstruction*>calloc(len(swaps), sizeof(SwapInstruction))
    cdef Py_ssize_t i
    if table == NULL:
        raise MemoryError
    for i, (text, *places) in enumerate(swaps):
        positions = [NO_POSITION if p is None else p for p in places[:4]]
        set_pattern(&table[i].call, name, text, positions, places[4:])
        table[i].pool, table[i].vault_a, table[i].vault_b, table[i].trader = positions
    row.instructions = table
    row.n_instructions = <uint32_t>len(swaps)
    row.transport = transport
    row.event = event
    row.legs = legs
    return row


cdef int set_pattern(Pattern* call, str name, str text, list positions, list accounts) except -1:
    """Fills a pattern from a discriminator in hex and how many accounts there are at least and at
    most; where `accounts` is empty, enough for the positions."""
    cdef bytes leading = bytes.fromhex(text)   # of the data
    cdef Py_ssize_t k
    if len(leading) > 8:
        raise ValueError(f"{name}: a discriminator has at most 8 bytes")
    call.n_discriminator = <uint32_t>len(leading)
    for k in range(len(leading)):
        call.discriminator |= <uint64_t>leading[k] << (8 * k)
    needed = max([p + 1 if p >= 0 else -p for p in positions if p != NO_POSITION], default=0)
    call.min_accounts, call.max_accounts = accounts if accounts else (needed, 255)
    if call.min_accounts < needed:
        raise ValueError(f"{name}: {text} names account {needed - 1} of {accounts[0]}")
    return 0


cdef int add_liquidity(Program* row, list changes, ChangeReader event=NULL) except -1:
    """Adds a venue's liquidity instructions. Each of `changes` is (kind, discriminator in hex, pool,
    position account, owner, vault, vault, range, delta) or the same with (…, at least, at most)
    accounts. `range` is None, ("pair", offset in the data), ("width", offset) or ("list", offset,
    bytes an item); `delta` is None or (offset, 8 or 16 bytes)."""
    cdef LiquidityInstruction* table = <LiquidityInstruction*>calloc(
        len(changes), sizeof(LiquidityInstruction))
    cdef LiquidityInstruction* change
    cdef Py_ssize_t i
    cdef str name = NAMES[row.name]
    if table == NULL:
        raise MemoryError
    for i, (kind, text, *places) in enumerate(changes):
        change = &table[i]
        positions = [NO_POSITION if p is None else p for p in places[:5]]
        set_pattern(&change.call, name, text, positions, places[7:])
        change.kind = <ChangeKind><int>kind
        change.pool, change.holder, change.owner, change.vault_a, change.vault_b = positions
        if places[5] is not None:
            form, change.range_at, *stride = places[5]
            change.range_form = <RangeForm><int>FORMS[form]
            change.range_stride = stride[0] if stride else 0
        if places[6] is not None:
            change.delta_at, change.delta_size = places[6]
    row.changes = table
    row.n_changes = <uint32_t>len(changes)
    row.change_event = event
    return 0


cdef Program* add_lender(
    str name, str address, list liquidations, EventTransport transport=EVENT_NONE,
    LiquidationReader event=NULL, LiquidationFinder legs=NULL,
) except NULL:
    """Adds a lending program. Each of `liquidations` is (discriminator in hex, liquidator, account,
    repay vault, its mint, collateral vault, its mint, vault of the share tokens, fee account) and
    the options: `kind`, `event` (the amounts are told by the event alone), `fee_in_collateral`,
    `accounts` (at least, at most). Where the repay vault is None and `event` is not set, the
    instruction is the last of several, whose legs `legs` finds."""
    cdef Program* row = add_program(name, address, OTHER)
    cdef LiquidationInstruction* table = <LiquidationInstruction*>calloc(
        len(liquidations), sizeof(LiquidationInstruction))
    cdef LiquidationInstruction* one
    cdef Py_ssize_t i
    if table == NULL:
        raise MemoryError
    for i, (text, places, options) in enumerate(liquidations):
        one = &table[i]
        positions = [NO_POSITION if p is None else p for p in places]
        set_pattern(&one.call, name, text, positions, list(options.get("accounts", ())))
        (one.liquidator, one.account, one.repay_vault, one.repay_mint, one.collateral_vault,
         one.collateral_mint, one.share_vault, one.fee_account) = positions
        one.kind = options.get("kind", 0)
        one.from_event = options.get("event", False)
        one.fee_in_collateral = options.get("fee_in_collateral", False)
    row.liquidations = table
    row.n_liquidations = <uint32_t>len(liquidations)
    row.transport = transport
    row.liquidation_event = event
    row.liquidation_legs = legs
    return row


def programs(kind: int | None = None) -> list[tuple[str, str, int]]:
    """(name, base58 address, kind) of every row, for documentation and tests."""
    return [
        (NAMES[rows[i].name], rows[i].text[: rows[i].n_text].decode(), rows[i].kind)
        for i in range(n_rows)
        if kind is None or rows[i].kind == kind
    ]
