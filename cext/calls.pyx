"""Who called whom: parent and extent of every instruction, from the stack heights.

Blocks of 2022 have no stack heights. There the log tells them (`Program <id> invoke [height]`, one
line an instruction in execution order); where it is cut off or missing, programs that call nobody
(token, system, memo) are taken to run below the last instruction before them that is none of these.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp

from mevstream.cext.model cimport NONE, TOKEN, Decoded, Instruction, Program, Transaction
from mevstream.cext.parsing cimport LOG_MESSAGES
from mevstream.cext.wire cimport mv_length, mv_skip, mv_tag


cdef uint32_t invoked_height(const uint8_t* text, uint32_t n) noexcept nogil:
    """The height of an invoke line, 0 for any other line."""
    cdef uint32_t at = 40   # "Program ", an id of at least 32 characters
    if n < 51 or memcmp(text, b"Program ", 8) != 0 or text[n - 1] != b"]":
        return 0
    while at < n and text[at] != b" ":
        at += 1
    # One digit: the runtime's stack is not deeper.
    if n - at != 11 or memcmp(text + at, b" invoke [", 9) != 0:
        return 0
    return text[at + 9] - <uint32_t>48 if 49 <= text[at + 9] <= 57 else 0


cdef bint heights_from_log(Transaction* tx) noexcept nogil:
    """Fills the heights if the log has one invoke line for each instruction and agrees on which
    are top-level; else leaves them alone. (Precompiles run without a line: then it has too few.)"""
    cdef const uint8_t* p = tx.log_begin
    cdef uint32_t tag, length, height, stage, i
    for stage in range(2):   # first to check, then to fill
        p = tx.log_begin
        i = 0
        while p != NULL and p < tx.log_end:
            p = mv_tag(p, tx.log_end, &tag)
            if p == NULL:
                return False
            if tag != LOG_MESSAGES:
                p = mv_skip(p, tx.log_end, tag, 1)
                continue
            p = mv_length(p, tx.log_end, &length)
            if p == NULL:
                return False
            height = invoked_height(p, length)
            p += length
            if height == 0:
                continue
            if i == tx.n_instructions or (height == 1) != (tx.instructions[i].inner == NONE):
                return False
            if stage:
                tx.instructions[i].height = height
            i += 1
        if i != tx.n_instructions:
            return False
    return True


cdef void infer_heights(Transaction* tx, Decoded* d) noexcept nogil:
    cdef uint32_t i, caller = 1
    cdef Instruction* ix
    cdef const Program* program
    for i in range(tx.n_instructions):
        ix = &tx.instructions[i]
        if ix.inner == NONE:
            caller = 1
        elif ix.height < 2:
            program = program_at(tx, d, ix.program)
            if program != NULL and program.kind >= TOKEN:
                ix.height = caller + 1
            else:
                ix.height = caller = 2


cdef void link_calls(Transaction* tx, Decoded* d) noexcept nogil:
    """Fills height (where it is missing), parent and end of every instruction."""
    cdef uint32_t i, caller
    cdef bint missing = False
    cdef Instruction* ix
    for i in range(tx.n_instructions):
        if tx.instructions[i].inner != NONE and tx.instructions[i].height < 2:
            missing = True
    if missing and not heights_from_log(tx):
        infer_heights(tx, d)
    for i in range(tx.n_instructions):
        ix = &tx.instructions[i]
        caller = i - 1 if i else NONE
        while caller != NONE and tx.instructions[caller].height >= ix.height:
            tx.instructions[caller].end = i
            caller = tx.instructions[caller].parent
        ix.parent = caller
    caller = tx.n_instructions - 1
    while caller != NONE:
        tx.instructions[caller].end = tx.n_instructions
        caller = tx.instructions[caller].parent
