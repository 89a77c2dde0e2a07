"""A protobuf message field by field: where each one lies, and how one is written.

For code that looks at the top level of a message only, and at whatever message it is given.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from mevstream.cext.wire cimport mv_length, mv_skip, mv_tag, mv_varint

cdef enum Wire:
    VARINT = 0
    FIXED64 = 1
    DELIMITED = 2
    FIXED32 = 5


cdef struct Field:
    uint32_t number
    uint32_t wire
    const uint8_t* start  # of its tag
    const uint8_t* value  # behind tag and length
    const uint8_t* end
    uint64_t varint       # the value of a varint


cdef inline const uint8_t* next_field(
    const uint8_t* p, const uint8_t* end, Field* field
) noexcept nogil:
    """Reads the field that begins at `p`; returns the position behind it, NULL if malformed."""
    cdef uint32_t tag = 0, size = 0
    field.start = p
    p = mv_tag(p, end, &tag)
    if p == NULL:
        return NULL
    field.number = tag >> 3
    field.wire = tag & 7
    field.value = p
    if field.wire == DELIMITED:
        p = mv_length(p, end, &size)
        if p == NULL:
            return NULL
        field.value = p
        p += size
    elif field.wire == VARINT:
        p = mv_varint(p, end, &field.varint)
    else:
        p = mv_skip(p, end, tag, 0)
    field.end = p
    return p


cdef inline uint32_t varint_size(uint64_t value) noexcept nogil:
    cdef uint32_t size = 1
    while value >= 0x80:
        value >>= 7
        size += 1
    return size


cdef inline uint8_t* put_varint(uint8_t* p, uint64_t value) noexcept nogil:
    while value >= 0x80:
        p[0] = <uint8_t>(value | 0x80)
        value >>= 7
        p += 1
    p[0] = <uint8_t>value
    return p + 1


cdef inline uint8_t* put_delimited(
    uint8_t* p, uint32_t number, const void* value, uint64_t size
) noexcept nogil:
    p = put_varint(put_varint(p, number << 3 | DELIMITED), size)
    if size:  # `value` may be NULL where there is nothing
        memcpy(p, value, size)
    return p + size
