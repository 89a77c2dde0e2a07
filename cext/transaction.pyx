"""Reads solana.storage.ConfirmedBlock.ConfirmedTransaction (schemas/confirmed_block.proto) and puts
its parts together: the key table, and the instructions in execution order.

Accepts exactly what upb accepts: fields in any order, repeated singular fields (merged), unknown
fields, packed and unpacked numbers.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from mevstream.cext.message cimport read_transaction
from mevstream.cext.metadata cimport read_meta
from mevstream.cext.model cimport MAX_KEYS, NONE, Instruction, Transaction
from mevstream.cext.parsing cimport BYTES_1, BYTES_2, Group, Scratch
from mevstream.cext.token_accounts cimport token_accounts_free, token_accounts_init
from mevstream.cext.wire cimport MV_UNLIKELY, mv_equal32, mv_length, mv_skip, mv_tag


cdef bint transaction_init(Transaction* tx) noexcept nogil:
    """Allocates the growable parts; 0 without memory."""
    memset(tx, 0, sizeof(Transaction))
    tx.capacity = 512
    tx.instructions = <Instruction*>malloc(tx.capacity * sizeof(Instruction))
    return token_accounts_init(tx) and tx.instructions != NULL


cdef void transaction_free(Transaction* tx) noexcept nogil:
    free(tx.instructions)
    tx.instructions = NULL
    token_accounts_free(tx)


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
    cdef bint has_message = False, has_meta = False
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
    tx.lamports_begin = tx.lamports_end = NULL
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
                if not read_transaction(tx, p, p + length, &has_message):
                    return 0
            else:
                has_meta = True
                if not read_meta(tx, &scratch, p, p + length):
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
    if not has_meta:
        tx.partial = tx.failed = True   # what it did is not known; it is not called a success
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
