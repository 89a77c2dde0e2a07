"""Reads solana.storage.ConfirmedBlock.ConfirmedTransaction (schemas/confirmed_block.proto).

Accepts exactly what upb accepts: fields in any order, repeated singular fields (merged), unknown
fields, packed and unpacked numbers. Token balances are checked here and decoded when a swap leg
asks for them, which for most transactions is never.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from mevstream.cext.model cimport (
    MAX_KEYS, NONE, Instruction, TokenAccount, Transaction,
)
from mevstream.cext.wire cimport (
    MV_LIKELY, MV_UNLIKELY, mv_base58_key, mv_decimal, mv_equal32, mv_length, mv_packed_varints,
    mv_skip, mv_string_run, mv_tag, mv_u64, mv_utf8, mv_utf8_key, mv_varint,
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

# An InnerInstructions message, as found: instructions [first, first + count) of `instructions`.
cdef struct Group:
    uint32_t outer
    uint32_t first
    uint32_t count

# Mints and owners come as base58 text, and the same few again and again: decoded ones are kept by
# their text. A cell is simply overwritten by the next text that falls on it.
cdef enum:
    CACHE_CELLS = 4096

cdef struct CachedKey:
    uint8_t text[44]
    uint32_t n_text
    uint8_t key[32]

cdef struct Scratch:
    Group groups[MAX_GROUPS]
    uint32_t n_groups
    bint unordered
    const uint8_t* loaded_readonly[MAX_KEYS]
    uint32_t n_loaded_writable
    uint32_t n_loaded_readonly
    const uint8_t* loaded_writable[MAX_KEYS]
    bint balances_seen[2]


cdef bint transaction_init(Transaction* tx) noexcept nogil:
    """Allocates the growable parts; 0 without memory."""
    memset(tx, 0, sizeof(Transaction))
    tx.capacity = 512
    tx.instructions = <Instruction*>malloc(tx.capacity * sizeof(Instruction))
    tx.token_accounts = <TokenAccount*>calloc(MAX_KEYS, sizeof(TokenAccount))
    tx.key_cache = calloc(CACHE_CELLS, sizeof(CachedKey))
    return tx.instructions != NULL and tx.token_accounts != NULL and tx.key_cache != NULL


cdef void transaction_free(Transaction* tx) noexcept nogil:
    free(tx.instructions)
    free(tx.token_accounts)
    free(tx.key_cache)
    tx.key_cache = NULL
    tx.instructions = NULL
    tx.token_accounts = NULL


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


# -- messages without a struct of their own: checked, not kept ------------------------------------

cdef enum Shape:
    SHAPE_REWARD = 0
    SHAPE_RETURN_DATA = 1
    SHAPE_LOOKUP = 2
    SHAPE_HEADER = 3

cdef bint check_message(
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


# -- message --------------------------------------------------------------------------------------

cdef const uint8_t* read_header(Transaction* tx, const uint8_t* p, const uint8_t* end) noexcept nogil:
    cdef uint32_t tag
    cdef uint64_t value
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return NULL
        if tag == VARINT_1 or tag == VARINT_2 or tag == VARINT_3:
            p = mv_varint(p, end, &value)
            if tag == VARINT_1:
                tx.n_required_signatures = <uint32_t>value
            elif tag == VARINT_2:
                tx.n_readonly_signed = <uint32_t>value
            else:
                tx.n_readonly_unsigned = <uint32_t>value
        else:
            p = mv_skip(p, end, tag, 3)
        if p == NULL:
            return NULL
    return end


cdef bint read_instruction(
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


cdef bint read_config(Transaction* tx, const uint8_t* p, const uint8_t* end) noexcept nogil:
    cdef uint32_t tag
    cdef uint64_t value
    tx.has_config = True
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag == VARINT_1 or tag == VARINT_2:
            p = mv_varint(p, end, &value)
            if tag == VARINT_1:
                tx.config_priority_fee = value
            else:
                tx.config_cu_limit = <uint32_t>value
        else:
            p = mv_skip(p, end, tag, 3)
        if p == NULL:
            return False
    return True


cdef bint read_message(
    Transaction* tx, Scratch* scratch, const uint8_t* p, const uint8_t* end) noexcept nogil:
    cdef uint32_t tag, length
    cdef uint64_t value
    cdef Instruction* ix
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag & 7 == 2:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            if tag == BYTES_2:
                if length != 32 or tx.n_static == MAX_KEYS:
                    tx.partial = True
                else:
                    tx.keys[tx.n_static] = p
                    tx.n_static += 1
                    p += 32
                    # The others follow at a fixed distance.
                    while end - p >= 34 and p[0] == BYTES_2 and p[1] == 32 and tx.n_static < MAX_KEYS:
                        tx.keys[tx.n_static] = p + 2
                        tx.n_static += 1
                        p += 34
                    continue
            elif tag == BYTES_4:
                if tx.n_outer == MAX_INSTRUCTIONS:
                    tx.partial = True
                else:
                    if not add_instruction(tx, &ix) or not read_instruction(ix, p, p + length, False):
                        return False
                    # A second Message or Transaction field may come after the metadata's inner
                    # instructions; top-level ones are told apart by `inner`.
                    ix.outer = tx.n_outer
                    ix.inner = NONE
                    ix.height = 1
                    tx.n_outer += 1
            elif tag == BYTES_1:
                if read_header(tx, p, p + length) == NULL:
                    return False
            elif tag == BYTES_6:
                if not check_message(p, p + length, SHAPE_LOOKUP, 3):
                    return False
            elif tag == BYTES_7:
                if not read_config(tx, p, p + length):
                    return False
            p += length
        elif tag == VARINT_5:
            p = mv_varint(p, end, &value)
            if p == NULL:
                return False
            tx.version = 1 if value else 0
        else:
            p = mv_skip(p, end, tag, 2)
            if p == NULL:
                return False
    return True


cdef bint read_transaction(
    Transaction* tx, Scratch* scratch, const uint8_t* p, const uint8_t* end,
    bint* has_message) noexcept nogil:
    cdef uint32_t tag, length
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag & 7 == 2:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            if tag == BYTES_1:
                if tx.n_signatures == 0 and length == 64:
                    tx.signature = p
                tx.n_signatures += 1
            elif tag == BYTES_2:
                has_message[0] = True
                if not read_message(tx, scratch, p, p + length):
                    return False
            p += length
        else:
            p = mv_skip(p, end, tag, 1)
            if p == NULL:
                return False
    return True


# -- metadata -------------------------------------------------------------------------------------

cdef inline bint check_amount(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """UiTokenAmount: a double, decimals, two strings."""
    cdef uint32_t tag, length
    cdef uint64_t value
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag == BYTES_3 or tag == BYTES_4:
            p = mv_length(p, end, &length)
            if p == NULL or not mv_utf8(p, length):
                return False
            p += length
        elif tag == FIXED64_1 and end - p >= 8:
            p += 8
        elif tag == VARINT_2:
            p = mv_varint(p, end, &value)
            if p == NULL:
                return False
        else:
            p = mv_skip(p, end, tag, 3)
            if p == NULL:
                return False
    return True


cdef inline bint check_balance(const uint8_t* p, const uint8_t* end, uint32_t* account) noexcept nogil:
    """TokenBalance: well-formed, and of which account."""
    cdef uint32_t tag, length
    cdef uint64_t value
    account[0] = 0
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag & 7 == 2:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            if tag == BYTES_3:
                if not check_amount(p, p + length):
                    return False
            elif tag == BYTES_2 or tag == BYTES_4 or tag == BYTES_5:
                if not mv_utf8_key(p, length):
                    return False
            p += length
        elif tag == VARINT_1:
            p = mv_varint(p, end, &value)
            if p == NULL:
                return False
            account[0] = <uint32_t>value
        else:
            p = mv_skip(p, end, tag, 2)
            if p == NULL:
                return False
    return True


cdef TokenAccount* new_token_account(Transaction* tx, uint32_t account) noexcept nogil:
    """The token account's entry, made empty if there is none. `account` < MAX_KEYS."""
    cdef TokenAccount* entry
    if tx.token_account_of[account]:
        return &tx.token_accounts[tx.token_account_of[account] - 1]
    entry = &tx.token_accounts[tx.n_token_accounts]
    tx.n_token_accounts += 1
    tx.token_account_of[account] = <uint16_t>tx.n_token_accounts
    entry.pre = entry.post = NULL
    entry.n_pre = entry.n_post = 0
    entry.account = <uint16_t>account
    entry.decoded = entry.has_mint = entry.has_owner = entry.token_2022 = False
    entry.decimals = 255
    entry.pre_amount = entry.post_amount = 0
    return entry


cdef bint read_group(
    Transaction* tx, Scratch* scratch, const uint8_t* p, const uint8_t* end) noexcept nogil:
    """InnerInstructions."""
    cdef uint32_t tag, length
    cdef uint64_t value
    cdef Instruction* ix
    cdef Group group
    cdef bint room = scratch.n_groups < MAX_GROUPS
    group.outer = 0
    group.first = tx.n_instructions
    group.count = 0
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag == BYTES_2:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            if tx.n_instructions < 2 * MAX_INSTRUCTIONS:
                if not add_instruction(tx, &ix) or not read_instruction(ix, p, p + length, True):
                    return False
                ix.inner = group.count
                group.count += 1
            else:
                tx.partial = True
            p += length
        elif tag == VARINT_1:
            p = mv_varint(p, end, &value)
            group.outer = <uint32_t>value
        else:
            p = mv_skip(p, end, tag, 2)
        if p == NULL:
            return False
    if not room:
        tx.partial = True
        tx.n_instructions = group.first
        return True
    if scratch.n_groups and scratch.groups[scratch.n_groups - 1].outer >= group.outer:
        scratch.unordered = True
    scratch.groups[scratch.n_groups] = group
    scratch.n_groups += 1
    return True


cdef inline void first_balance(
    Transaction* tx, Scratch* scratch, bint post, const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Keeps the fee payer's lamports: the first number of the list."""
    cdef uint64_t value
    if not scratch.balances_seen[post] and mv_varint(p, end, &value) != NULL:
        scratch.balances_seen[post] = True
        if post:
            tx.payer_post = value
        else:
            tx.payer_pre = value


cdef bint read_error(Transaction* tx, const uint8_t* p, const uint8_t* end) noexcept nogil:
    """TransactionError: one field of bincode."""
    cdef uint32_t tag, length
    tx.failed = True
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag == BYTES_1:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            tx.error = p
            tx.n_error = length
            p += length
        else:
            p = mv_skip(p, end, tag, 2)
            if p == NULL:
                return False
    return True


cdef bint read_meta(
    Transaction* tx, Scratch* scratch, const uint8_t* p, const uint8_t* end) noexcept nogil:
    cdef uint32_t tag, length, account
    cdef uint64_t value
    cdef TokenAccount* entry
    while p < end:
        if p[0] == BYTES_6:
            if tx.log_begin == NULL:
                tx.log_begin = p
                tx.log_end = end
            p = mv_string_run(p, end, BYTES_6, &tx.last_log, &tx.n_last_log)
            if p == NULL:
                return False
            continue
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag & 7 == 2:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            if tag == BYTES_7 or tag == BYTES_8:
                if not check_balance(p, p + length, &account):
                    return False
                if account >= MAX_KEYS:
                    tx.partial = True
                else:
                    entry = new_token_account(tx, account)
                    if tag == BYTES_7:
                        entry.pre = p
                        entry.n_pre = length
                    else:
                        entry.post = p
                        entry.n_post = length
            elif tag == BYTES_5:
                if not read_group(tx, scratch, p, p + length):
                    return False
            elif tag == BYTES_3 or tag == BYTES_4:
                if not mv_packed_varints(p, length):
                    return False
                first_balance(tx, scratch, tag == BYTES_4, p, p + length)
            elif tag == BYTES_12:
                if length != 32 or scratch.n_loaded_writable == MAX_KEYS:
                    tx.partial = True
                else:
                    scratch.loaded_writable[scratch.n_loaded_writable] = p
                    scratch.n_loaded_writable += 1
            elif tag == BYTES_13:
                if length != 32 or scratch.n_loaded_readonly == MAX_KEYS:
                    tx.partial = True
                else:
                    scratch.loaded_readonly[scratch.n_loaded_readonly] = p
                    scratch.n_loaded_readonly += 1
            elif tag == BYTES_1:
                if not read_error(tx, p, p + length):
                    return False
            elif tag == BYTES_9:
                if not check_message(p, p + length, SHAPE_REWARD, 2):
                    return False
            elif tag == BYTES_14:
                if not check_message(p, p + length, SHAPE_RETURN_DATA, 2):
                    return False
            p += length
        elif tag == VARINT_2 or tag == VARINT_16:
            p = mv_varint(p, end, &value)
            if p == NULL:
                return False
            if tag == VARINT_2:
                tx.fee = value
            else:
                tx.compute_units = value
                tx.has_compute_units = True
        elif tag == VARINT_3 or tag == VARINT_4:
            first_balance(tx, scratch, tag == VARINT_4, p, end)
            p = mv_varint(p, end, &value)
            if p == NULL:
                return False
        else:
            p = mv_skip(p, end, tag, 1)
            if p == NULL:
                return False
    return True


# -- putting it together --------------------------------------------------------------------------

cdef void sort_groups(Scratch* scratch) noexcept nogil:
    """By top-level instruction, keeping the order of equals. Real blocks come sorted."""
    cdef uint32_t i, k
    cdef Group group
    for i in range(1, scratch.n_groups):
        group = scratch.groups[i]
        k = i
        while k > 0 and scratch.groups[k - 1].outer > group.outer:
            scratch.groups[k] = scratch.groups[k - 1]
            k -= 1
        scratch.groups[k] = group


cdef bint order_instructions(Transaction* tx, Scratch* scratch) noexcept nogil:
    """From arrival order (top-level, then groups) to execution order; 0 without memory."""
    cdef uint32_t total = tx.n_instructions, room, i, k, count, next_group = 0, position = 0
    cdef uint32_t inner, outer = 0
    cdef Group* group
    cdef Instruction* ordered
    if scratch.n_groups == 0:
        return True
    if scratch.unordered:
        sort_groups(scratch)
    # The second half of the array takes the ordered copy, then the two change places.
    if tx.capacity < 2 * total:
        room = tx.capacity
        while room < 2 * total:
            room *= 2
        ordered = <Instruction*>realloc(tx.instructions, room * sizeof(Instruction))
        if ordered == NULL:
            return False
        tx.instructions = ordered
        tx.capacity = room
    ordered = tx.instructions + total
    for i in range(total):
        if tx.instructions[i].inner != NONE:
            continue
        ordered[position] = tx.instructions[i]
        position += 1
        inner = 0
        while next_group < scratch.n_groups and scratch.groups[next_group].outer == outer:
            group = &scratch.groups[next_group]
            count = group.count
            memcpy(&ordered[position], &tx.instructions[group.first], count * sizeof(Instruction))
            for k in range(count):
                ordered[position].outer = outer
                ordered[position].inner = inner
                position += 1
                inner += 1
            next_group += 1
        outer += 1
    if next_group < scratch.n_groups:
        tx.partial = True   # groups of instructions that do not exist
    tx.n_instructions = position
    memcpy(tx.instructions, ordered, position * sizeof(Instruction))
    return True


cdef int transaction_parse(
    Transaction* tx, const uint8_t* data, uint32_t n, const uint8_t* vote_program) noexcept nogil:
    """1: read (perhaps in part: tx.partial); 0: no ConfirmedTransaction; -1: out of memory."""
    cdef Scratch scratch
    cdef const uint8_t* p = data
    cdef const uint8_t* end = data + n
    cdef uint32_t tag, length, i
    cdef bint has_message = False
    cdef Instruction* ix
    for i in range(tx.n_token_accounts):
        tx.token_account_of[tx.token_accounts[i].account] = 0
    tx.n_token_accounts = 0
    tx.begin = data
    tx.n_bytes = n
    tx.signature = tx.error = tx.log_begin = tx.log_end = tx.last_log = NULL
    tx.n_signatures = tx.n_required_signatures = tx.n_static = tx.n_keys = tx.n_error = 0
    tx.n_readonly_signed = tx.n_readonly_unsigned = tx.n_last_log = 0
    tx.version = 0
    tx.partial = tx.vote = tx.failed = tx.has_compute_units = tx.has_config = False
    tx.fee = tx.compute_units = tx.payer_pre = tx.payer_post = tx.config_priority_fee = 0
    tx.config_cu_limit = 0
    tx.n_instructions = tx.n_outer = 0
    scratch.n_groups = scratch.n_loaded_writable = scratch.n_loaded_readonly = 0
    scratch.unordered = scratch.balances_seen[0] = scratch.balances_seen[1] = False

    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return 0
        if tag == BYTES_1 or tag == BYTES_2:
            p = mv_length(p, end, &length)
            if p == NULL:
                return 0
            if tag == BYTES_1:
                if not read_transaction(tx, &scratch, p, p + length, &has_message):
                    return 0
            elif not read_meta(tx, &scratch, p, p + length):
                return 0
            p += length
        else:
            p = mv_skip(p, end, tag, 0)
            if p == NULL:
                return 0

    if tx.has_config:
        tx.version = 2
    if not has_message:
        tx.version = NONE
    if tx.signature == NULL or tx.n_static == 0:
        tx.partial = True
    # Index space: static keys, loaded writable, loaded readonly.
    tx.n_keys = tx.n_static
    for i in range(scratch.n_loaded_writable):
        if tx.n_keys == MAX_KEYS:
            tx.partial = True
            break
        tx.keys[tx.n_keys] = scratch.loaded_writable[i]
        tx.n_keys += 1
    tx.n_writable_loaded = tx.n_keys - tx.n_static
    for i in range(scratch.n_loaded_readonly):
        if tx.n_keys == MAX_KEYS:
            tx.partial = True
            break
        tx.keys[tx.n_keys] = scratch.loaded_readonly[i]
        tx.n_keys += 1
    if not order_instructions(tx, &scratch):
        return -1
    for i in range(tx.n_token_accounts):
        if tx.token_accounts[i].account >= tx.n_keys:
            tx.partial = True
    for i in range(tx.n_instructions):
        ix = &tx.instructions[i]
        if MV_UNLIKELY(ix.program >= tx.n_keys):
            ix.program = NONE
            tx.partial = True
        elif ix.inner == NONE and mv_equal32(tx.keys[ix.program], vote_program):
            tx.vote = True
    return 1


# -- token accounts, on demand --------------------------------------------------------------------

cdef bint text_key(Transaction* tx, const uint8_t* text, uint32_t n, uint8_t* out) noexcept nogil:
    """mv_base58_key through the cache."""
    cdef CachedKey* cell
    if n < 32 or n > 44:
        return False
    cell = &(<CachedKey*>tx.key_cache)[
        ((mv_u64(text) ^ mv_u64(text + n - 8)) * <uint64_t>0x9E3779B97F4A7C15) >> 52]
    if cell.n_text != n or memcmp(cell.text, text, n) != 0:
        if not mv_base58_key(text, n, cell.key):
            cell.n_text = 0
            return False
        cell.n_text = n
        memcpy(cell.text, text, n)
    memcpy(out, cell.key, 32)
    return True


cdef void decode_balance(
    Transaction* tx, TokenAccount* entry, const uint8_t* p, const uint8_t* end, uint64_t* amount) noexcept nogil:
    """Fields of a TokenBalance that check_balance has accepted."""
    cdef uint32_t tag, length
    cdef uint64_t value
    cdef const uint8_t* q
    cdef const uint8_t* stop
    while p < end:
        p = mv_tag(p, end, &tag)
        if tag & 7 != 2:
            p = mv_skip(p, end, tag, 2)
            continue
        p = mv_length(p, end, &length)
        if tag == BYTES_2:
            entry.has_mint = text_key(tx, p, length, entry.mint)
        elif tag == BYTES_4:
            entry.has_owner = text_key(tx, p, length, entry.owner)
        elif tag == BYTES_5:
            # "TokenkegQ…" or "TokenzQd…"
            entry.token_2022 = length > 5 and p[5] == 122
        elif tag == BYTES_3:
            q = p
            stop = p + length
            while q < stop:
                q = mv_tag(q, stop, &tag)
                if tag == VARINT_2:
                    q = mv_varint(q, stop, &value)
                    # A mint's decimals are one byte; 255 stands for unknown.
                    entry.decimals = <uint8_t>value if value < 255 else 255
                elif tag == BYTES_3:
                    q = mv_length(q, stop, &length)
                    mv_decimal(q, length, amount)
                    q += length
                else:
                    q = mv_skip(q, stop, tag, 3)
            p = stop
            continue
        p += length


cdef TokenAccount* token_account(Transaction* tx, uint32_t account) noexcept nogil:
    """The token account at that index, decoded, or NULL where none is known."""
    cdef TokenAccount* entry
    cdef const uint8_t* first
    if account >= tx.n_keys or tx.token_account_of[account] == 0:
        return NULL
    entry = &tx.token_accounts[tx.token_account_of[account] - 1]
    if not entry.decoded:
        entry.decoded = True
        if entry.pre != NULL or entry.post != NULL:
            entry.decimals = 0   # proto3: an absent number is 0
        if entry.pre != NULL:
            decode_balance(tx, entry, entry.pre, entry.pre + entry.n_pre, &entry.pre_amount)
        if entry.post != NULL:
            decode_balance(tx, entry, entry.post, entry.post + entry.n_post, &entry.post_amount)
    return entry
