"""The table of programs. Venue modules (venues/*.pyx) add their rows when they are imported;
afterwards it is read only, so that any number of decoders may use it at once.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

from mevstream.cext.model cimport (
    EVENT_NONE, NO_POSITION, VENUE, EventReader, EventTransport, LegFinder, Program, ProgramKind,
    SwapInstruction,
)
from mevstream.cext.wire cimport mv_base58_key, mv_equal32, mv_u64

cdef enum:
    MAX_PROGRAMS = 512
    SLOTS = 2048   # a quarter full at most, so that a miss ends after a step or two

cdef Program rows[MAX_PROGRAMS]
cdef uint32_t n_rows = 0
cdef uint16_t slots[SLOTS]   # row + 1
memset(slots, 0, sizeof(slots))

# Venue and router names; what schemas/parsed.proto calls `names` is the part that a batch uses.
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
    cdef bytes leading         # of the data: the discriminator
    cdef Py_ssize_t i, k
    if table == NULL:
        raise MemoryError
    for i, (text, pool, vault_a, vault_b, trader, *accounts) in enumerate(swaps):
        leading = bytes.fromhex(text)
        if len(leading) > 8:
            raise ValueError(f"{name}: a discriminator has at most 8 bytes")
        table[i].n_discriminator = <uint32_t>len(leading)
        for k in range(len(leading)):
            table[i].discriminator |= <uint64_t>leading[k] << (8 * k)
        positions = [NO_POSITION if p is None else p for p in (pool, vault_a, vault_b, trader)]
        table[i].pool, table[i].vault_a, table[i].vault_b, table[i].trader = positions
        needed = max((p + 1 if p >= 0 else -p) for p in positions if p != NO_POSITION) if any(
            p != NO_POSITION for p in positions) else 0
        table[i].min_accounts, table[i].max_accounts = accounts if accounts else (needed, 255)
        if table[i].min_accounts < needed:
            raise ValueError(f"{name}: {text} names account {needed - 1} of {accounts[0]}")
    row.instructions = table
    row.n_instructions = <uint32_t>len(swaps)
    row.transport = transport
    row.event = event
    row.legs = legs
    return row


def programs(kind: int | None = None) -> list[tuple[str, str, int]]:
    """(name, base58 address, kind) of every row, for documentation and tests."""
    return [
        (NAMES[rows[i].name], rows[i].text[: rows[i].n_text].decode(), rows[i].kind)
        for i in range(n_rows)
        if kind is None or rows[i].kind == kind
    ]
