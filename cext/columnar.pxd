"""Where the columns of a message lie, for the extensions that move rows from message to message."""

from libc.stdint cimport int16_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    MAX_COLUMNS = 256
    MAX_NUMBER = 1024

cdef struct Spec:
    uint32_t number
    uint32_t element  # 4 or 8: a packed field of such values; 0: one bytes field
    uint32_t itemsize # of its dtype
    uint32_t width    # bytes a row
    int first         # the first column that has the same dtype
    int leader        # the column that tells how many rows there are, or -1

cdef struct Found:
    const uint8_t* value
    uint64_t size
    uint32_t runs
    uint8_t* joined   # where a column that came in several runs is put together

cdef object malformed(Py_ssize_t offset)
cdef int check_size(uint64_t size) except -1

cdef class Layout:
    cdef readonly tuple names
    cdef list dtypes, defaults
    cdef dict index, empty  # columns and arrays without rows, by name
    cdef uint32_t padding, padding_tag_size
    cdef int count
    cdef Spec specs[MAX_COLUMNS]
    cdef int16_t slots[MAX_NUMBER]

    cdef view(self, bytes data, list whole, int i, Py_ssize_t offset, uint64_t size)
    cdef missing(self, int i, Py_ssize_t rows)
    cdef Py_ssize_t find(
        self, const uint8_t* begin, const uint8_t* end, Found* found, uint8_t* rest
    ) noexcept nogil
    cdef uint64_t rows(self, const Found* found, int i) noexcept nogil
    cdef int odd_rows(self, const Found* found) noexcept nogil
    cdef check_rows(self, const Found* found)
    cdef bytes in_one_run(self, bytes data, const Found* found)
    cdef int borrow(self, int i, value, Py_buffer* buffer) except -1
    cdef int check_shape(self, int i, Py_buffer* buffer) except -1
    cdef convert(self, int i, value)
    cdef uint64_t end_of_columns(self, uint64_t at, const Found* found) noexcept nogil
    cdef uint64_t payload_start(self, uint64_t at, int i, uint64_t size) noexcept nogil
    cdef uint8_t* open_column(
        self, uint8_t* out, uint8_t* p, int i, uint64_t size
    ) noexcept nogil
    cdef void put_columns(self, uint8_t* out, uint64_t at, const Found* found) noexcept nogil


cdef inline void gather(
    uint8_t* out, const uint8_t* values, const uint32_t* rows, uint64_t n, uint32_t width
) noexcept nogil:
    """Rows of `width` bytes; a copy of known size is one instruction."""
    cdef uint64_t i
    if width == 4:
        for i in range(n):
            memcpy(out + 4 * i, values + 4 * <uint64_t>rows[i], 4)
    elif width == 8:
        for i in range(n):
            memcpy(out + 8 * i, values + 8 * <uint64_t>rows[i], 8)
    elif width == 32:
        for i in range(n):
            memcpy(out + 32 * i, values + 32 * <uint64_t>rows[i], 32)
    elif width == 64:
        for i in range(n):
            memcpy(out + 64 * i, values + 64 * <uint64_t>rows[i], 64)
    else:
        for i in range(n):
            memcpy(out + width * i, values + <uint64_t>width * rows[i], width)
