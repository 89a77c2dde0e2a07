"""Reads solana.storage.ConfirmedBlock.TransactionStatusMeta: error, fee, inner instructions, where
the token balances and the log lie, loaded addresses, compute units.

Token balances are checked here and decoded (token_accounts.pyx) when a swap leg asks for them,
which for most transactions is never.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport MAX_KEYS, Instruction, TokenAccount, Transaction
from mevstream.cext.parsing cimport (
    BYTES_1, BYTES_2, BYTES_3, BYTES_4, BYTES_5, BYTES_6, BYTES_7, BYTES_8, BYTES_9, BYTES_12,
    BYTES_13, BYTES_14, FIXED64_1, MAX_GROUPS, MAX_INSTRUCTIONS, SHAPE_RETURN_DATA, SHAPE_REWARD,
    VARINT_1, VARINT_2, VARINT_3, VARINT_4, VARINT_16, Group, Scratch, add_instruction,
    check_message, read_instruction,
)
from mevstream.cext.token_accounts cimport new_token_account
from mevstream.cext.wire cimport (
    MV_NO_KEY, mv_length, mv_packed_varints, mv_skip, mv_string_run, mv_tag, mv_utf8, mv_utf8_key, mv_varint,
)


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
    cdef const uint8_t* here
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
        here = p
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tx.lamports_begin == NULL and tag >> 3 in (3, 4):
            tx.lamports_begin = here
            tx.lamports_end = end
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
                if length != 32:
                    tx.partial = True
                if scratch.n_loaded_writable == MAX_KEYS:
                    tx.partial = True
                else:
                    scratch.loaded_writable[scratch.n_loaded_writable] = p if length == 32 else MV_NO_KEY
                    scratch.n_loaded_writable += 1
            elif tag == BYTES_13:
                if length != 32:
                    tx.partial = True
                if scratch.n_loaded_readonly == MAX_KEYS:
                    tx.partial = True
                else:
                    scratch.loaded_readonly[scratch.n_loaded_readonly] = p if length == 32 else MV_NO_KEY
                    scratch.n_loaded_readonly += 1
            elif tag == BYTES_1:
                if not read_error(tx, p, p + length):
                    return False
            elif tag == BYTES_9:
                if not check_message(p, p + length, SHAPE_REWARD, 2):
                    return False
            elif tag == BYTES_6:   # with an overlong tag, which the sweep above leaves alone
                if not mv_utf8(p, length):
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
