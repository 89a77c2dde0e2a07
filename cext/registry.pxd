"""The table of programs: which are venues, routers, token programs, and how a venue is decoded."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    ChangeReader, EventReader, EventTransport, LegFinder, LiquidationFinder, LiquidationReader,
    Program,
)

cdef const Program* find_program(const uint8_t* key) noexcept nogil
cdef uint32_t name_index(str name) except? 0
cdef Program* add_program(str name, str address, int kind) except NULL
cdef Program* add_venue(
    str name, str address, list swaps, EventTransport transport=*, EventReader event=*,
    LegFinder legs=*) except NULL
cdef int add_liquidity(Program* row, list changes, ChangeReader event=*) except -1
cdef Program* add_lender(
    str name, str address, list liquidations, EventTransport transport=*,
    LiquidationReader event=*, LiquidationFinder legs=*) except NULL
cdef uint64_t discriminator(str text) except? 0
cdef void key_of(str address, uint8_t* out) except *
