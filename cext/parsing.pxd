"""What the readers of a transaction's parts share: field tags, the state while parsing, and the
checks and readers that more than one part needs, inline.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc

from mevstream.cext.model cimport MAX_KEYS, Instruction, Transaction
from mevstream.cext.wire cimport (
    MV_UNLIKELY, mv_length, mv_skip, mv_tag, mv_utf8, mv_varint,
)

cdef enum:
    # A transaction of 4,096 bytes cannot hold more; what lies beyond is counted as partial.
    MAX_INSTRUCTIONS = 65535
    MAX_GROUPS = 1024

# Field tags: number << 3 | wire type.
cdef enum:
    VARINT_1 = 8
    BYTES_1 = 10
    FIXED64_1 = 9
    VARINT_2 = 16
    BYTES_2 = 18
    VARINT_3 = 24
    BYTES_3 = 26
    VARINT_4 = 32
    BYTES_4 = 34
    VARINT_5 = 40
    BYTES_5 = 42
    BYTES_6 = 50
    BYTES_7 = 58
    BYTES_8 = 66
    BYTES_9 = 74
    BYTES_12 = 98
    BYTES_13 = 106
    BYTES_14 = 114
    VARINT_16 = 128
    LOG_MESSAGES = BYTES_6     # of TransactionStatusMeta

# An InnerInstructions message, as found: instructions [first, first + count) of `instructions`.
cdef struct Group:
    uint32_t outer
    uint32_t first
    uint32_t count

cdef struct Scratch:
    Group groups[MAX_GROUPS]
    uint32_t n_groups
    bint unordered
    const uint8_t* loaded_readonly[MAX_KEYS]
    uint32_t n_loaded_writable
    uint32_t n_loaded_readonly
    const uint8_t* loaded_writable[MAX_KEYS]
    bint balances_seen[2]


cdef inline bint add_instruction(Transaction* tx, Instruction** out) noexcept nogil:
    cdef Instruction* grown
    if MV_UNLIKELY(tx.n_instructions == tx.capacity):
        grown = <Instruction*>realloc(tx.instructions, 2 * tx.capacity * sizeof(Instruction))
        if grown == NULL:
            return False
        tx.instructions = grown
        tx.capacity *= 2
    out[0] = &tx.instructions[tx.n_instructions]
    tx.n_instructions += 1
    return True


cdef inline bint read_instruction(
    Instruction* ix, const uint8_t* p, const uint8_t* end, bint inner) noexcept nogil:
    """CompiledInstruction or InnerInstruction (which has a stack height too)."""
    cdef const uint8_t* q
    cdef uint32_t tag, length
    cdef uint64_t value
    ix.data = ix.accounts = p
    ix.n_data = ix.n_accounts = 0
    ix.program = 0
    ix.height = 0
    # The form that every encoder writes: 08 program, 12 accounts, 1a data[, 20 height].
    if end - p > 4 and p[0] == VARINT_1 and p[1] < 128 and p[2] == BYTES_2 and p[3] < end - p - 4:
        q = p + 4 + p[3]
        if p[3] < 128 and end - q >= 2 and q[0] == BYTES_3 and q[1] < 128 and q[1] <= end - q - 2:
            ix.program = p[1]
            ix.accounts = p + 4
            ix.n_accounts = p[3]
            ix.data = q + 2
            ix.n_data = q[1]
            p = q + 2 + q[1]
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag == VARINT_1:
            p = mv_varint(p, end, &value)
            ix.program = <uint32_t>value
        elif tag == BYTES_2 or tag == BYTES_3:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            if tag == BYTES_2:
                ix.accounts = p
                ix.n_accounts = length
            else:
                ix.data = p
                ix.n_data = length
            p += length
        elif tag == VARINT_4 and inner:
            p = mv_varint(p, end, &value)
            ix.height = <uint32_t>value
        else:
            p = mv_skip(p, end, tag, 3)
        if p == NULL:
            return False
    return True


# -- messages without a struct of their own: checked, not kept ------------------------------------

cdef enum Shape:
    SHAPE_REWARD = 0
    SHAPE_RETURN_DATA = 1
    SHAPE_LOOKUP = 2

cdef inline bint check_message(
    const uint8_t* p, const uint8_t* end, Shape shape, int nested) noexcept nogil:
    """Whether the bytes are a well-formed message of that shape."""
    cdef uint32_t tag, length
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag & 7 == 2:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            # Reward's strings are pubkey 1, commission 5 and 6; the other shapes have bytes only.
            if shape == SHAPE_REWARD and (tag == BYTES_1 or tag == BYTES_5 or tag == BYTES_6):
                if not mv_utf8(p, length):
                    return False
            p += length
        else:
            p = mv_skip(p, end, tag, nested)
            if p == NULL:
                return False
    return True
