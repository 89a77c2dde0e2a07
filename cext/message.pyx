"""Reads solana.storage.ConfirmedBlock.Transaction: signatures, header, keys, instructions, config.

Address table lookups are checked and not kept: the metadata has the addresses they came to.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport MAX_KEYS, NONE, Instruction, Transaction
from mevstream.cext.parsing cimport (
    BYTES_1, BYTES_2, BYTES_4, BYTES_6, BYTES_7, MAX_INSTRUCTIONS, SHAPE_LOOKUP, VARINT_1, VARINT_2,
    VARINT_3, VARINT_5, add_instruction, check_message, read_instruction,
)
from mevstream.cext.wire cimport MV_NO_KEY, mv_length, mv_skip, mv_tag, mv_varint


cdef bint read_header(Transaction* tx, const uint8_t* p, const uint8_t* end) noexcept nogil:
    cdef uint32_t tag
    cdef uint64_t value
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
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


cdef bint read_message(Transaction* tx, const uint8_t* p, const uint8_t* end) noexcept nogil:
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
                if length != 32:
                    tx.partial = True
                if tx.n_static == MAX_KEYS:
                    tx.partial = True
                else:
                    tx.keys[tx.n_static] = p if length == 32 else MV_NO_KEY
                    tx.n_static += 1
                    p += length
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
                if not read_header(tx, p, p + length):
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
    Transaction* tx, const uint8_t* p, const uint8_t* end, bint* has_message) noexcept nogil:
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
                if not read_message(tx, p, p + length):
                    return False
            p += length
        else:
            p = mv_skip(p, end, tag, 1)
            if p == NULL:
                return False
    return True
