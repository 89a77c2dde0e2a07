"""Who called whom."""

from libc.stdint cimport uint32_t

from mevstream.cext.model cimport NONE, Decoded, Program, Transaction
from mevstream.cext.registry cimport find_program

cdef inline const Program* program_at(Transaction* tx, Decoded* d, uint32_t index) noexcept nogil:
    """The registry's row of the program with that key index, looked up once a transaction."""
    if index == NONE:
        return NULL
    if not d.looked_up[index]:
        d.looked_up[index] = True
        d.program_of[index] = find_program(tx.keys[index])
    return d.program_of[index]

cdef void link_calls(Transaction* tx, Decoded* d) noexcept nogil
