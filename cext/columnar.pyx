"""Columnar protobuf messages: numpy views on their columns, and messages made of columns.

A column is a packed fixed-width field (or one `bytes` field of fixed-width rows), so its payload
is a little-endian array on the wire. `Layout` knows where the columns of one message type are; it
takes them out of a message without copying and leaves the rest (scalars, names, unknown fields)
as a small message of the same type for the protobuf class. What is accepted is what upb, the core
of google.protobuf, accepts.
"""

from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBUF_STRIDES,
    PyBuffer_IsContiguous,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT32_MAX, int16_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from mevstream.cext.fields cimport (
    DELIMITED,
    FIXED32,
    FIXED64,
    Field,
    next_field,
    put_delimited,
    put_varint,
    varint_size,
)

import numpy as np

cdef object frombuffer = np.frombuffer
cdef object ndarray = np.ndarray

cdef const char* ZEROS = b"\0\0\0\0\0\0\0\0"

cdef malformed(Py_ssize_t offset):
    return ValueError(f"malformed protobuf at byte {offset}")


cdef int check_size(uint64_t size) except -1:
    if size > INT32_MAX:
        raise ValueError(f"{size} bytes are more than the 2 GiB of a protobuf message")
    return 0


# -- columns -------------------------------------------------------------------------------------

cdef Py_ssize_t scan(
    const uint8_t* begin,
    const uint8_t* end,
    const int16_t* slots,
    const Spec* specs,
    Found* found,
    uint8_t* rest,
) noexcept nogil:
    """One pass over a message. The first (rest is NULL) notes the columns and measures the rest;
    the second copies the rest and joins the columns that came in several runs. Returns the size
    of the rest, or -1 - the offset of the field that is malformed."""
    cdef const uint8_t* p = begin
    cdef Py_ssize_t rest_size = 0
    cdef Field field
    cdef int slot
    cdef uint32_t element
    cdef uint64_t size
    while p < end:
        p = next_field(p, end, &field)
        if p == NULL:
            return -1 - (field.start - begin)
        slot = slots[field.number] if field.number < MAX_NUMBER else -1
        if slot >= 0:
            element = specs[slot].element
            size = field.end - field.value
            if field.wire == DELIMITED:
                if element and size % element:
                    return -1 - (field.start - begin)
            elif not (
                (field.wire == FIXED32 and element == 4) or (field.wire == FIXED64 and element == 8)
            ):
                slot = -1  # another wire type than the field's: an unknown field
        if slot < 0:
            if rest != NULL:
                memcpy(rest + rest_size, field.start, p - field.start)
            rest_size += p - field.start
        elif rest == NULL:
            if element == 0:  # of a singular field the last one counts
                found[slot].value = field.value
                found[slot].size = size
            elif size:
                found[slot].value = field.value
                found[slot].size += size
                found[slot].runs += 1
        elif found[slot].joined != NULL:
            memcpy(found[slot].joined, field.value, size)
            found[slot].joined += size
    return rest_size


cdef class Layout:
    """The columns of one message type.

    `fields` has one tuple for each: (name, field number, numpy dtype, bytes a row, name of the
    leading column or None, value where the column is missing). A column whose rows are one value of
    4 or 8 bytes is a packed field, any other a `bytes` field, which reads as a two-dimensional
    array. All columns with the same leader have as many rows as it has. `padding` is the number of
    a `bytes` field that aligns the payloads, 0 for none; it is dropped on reading.
    """

    def __cinit__(self, fields, uint32_t padding=0):
        fields = list(fields)
        numbers = [field[1] for field in fields] + ([padding] if padding else [])
        if len(fields) >= MAX_COLUMNS or len(set(numbers)) < len(numbers):
            raise ValueError("too many columns, or two with one field number")
        if any(not 0 < number < MAX_NUMBER for number in numbers):
            raise ValueError(f"a field number outside 1 … {MAX_NUMBER - 1}")
        self.names = tuple(field[0] for field in fields)
        self.index = {name: i for i, name in enumerate(self.names)}
        self.dtypes, self.defaults, self.empty = [], [], {}
        self.count = len(fields)
        memset(self.slots, 0xFF, sizeof(self.slots))
        for i, (_, number, dtype, width, leader, default) in enumerate(fields):
            dtype = np.dtype(dtype)
            packed = width == dtype.itemsize and width in (4, 8)
            if width < 1 or width % dtype.itemsize:
                raise ValueError(f"rows of {width} bytes do not hold whole {dtype} values")
            self.specs[i].number = number
            self.specs[i].element = width if packed else 0
            self.specs[i].itemsize = dtype.itemsize
            self.specs[i].width = width
            self.specs[i].leader = -1 if leader is None else self.index[leader]
            self.slots[number] = i
            self.dtypes.append(dtype)
            self.specs[i].first = self.dtypes.index(dtype)
            self.defaults.append(default)
            empty = np.empty(0 if packed else (0, width // dtype.itemsize), dtype)
            empty.flags.writeable = False
            self.empty[self.names[i]] = empty
        self.padding = padding
        self.padding_tag_size = varint_size(padding << 3)
        if padding:
            self.specs[self.count].number = padding
            self.specs[self.count].element = 0
            self.slots[padding] = self.count

    def rest(self, bytes data not None):
        """The message without its columns, of which nothing but their framing is looked at.
        Raises ValueError for what is no such message."""
        cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
        cdef const uint8_t* end = begin + PyBytes_GET_SIZE(data)
        cdef Found found[MAX_COLUMNS]
        cdef Py_ssize_t size = self.find(begin, end, found, NULL)
        if size < 0:
            raise malformed(-1 - size)
        cdef bytes rest = PyBytes_FromStringAndSize(NULL, size)
        self.find(begin, end, found, <uint8_t*>PyBytes_AS_STRING(rest))
        return rest

    def read(self, bytes data not None):
        """(rest, columns): the message without its columns, and a read-only array for each column.

        The arrays are views on `data`, save for a column that came in several runs (joined into
        bytes of its own) and one that is missing while its table has rows (filled with its
        default). Raises ValueError for what is no such message, and where row counts differ.
        """
        cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
        cdef const uint8_t* end = begin + PyBytes_GET_SIZE(data)
        cdef Found found[MAX_COLUMNS]
        cdef Py_ssize_t rest_size, offset
        cdef uint8_t* out
        cdef bytes rest, joined
        cdef dict columns = self.empty.copy(), parts = {}
        cdef list whole = [None] * self.count
        cdef int i
        with nogil:
            rest_size = self.find(begin, end, found, NULL)
        if rest_size < 0:
            raise malformed(-1 - rest_size)
        self.check_rows(found)
        rest = PyBytes_FromStringAndSize(NULL, rest_size)
        for i in range(self.count):
            if found[i].runs > 1:
                joined = PyBytes_FromStringAndSize(NULL, found[i].size)
                found[i].joined = <uint8_t*>PyBytes_AS_STRING(joined)
                parts[i] = joined
        out = <uint8_t*>PyBytes_AS_STRING(rest)
        with nogil:
            self.find(begin, end, found, out)
        for i in range(self.count):
            if found[i].runs > 1:
                columns[self.names[i]] = frombuffer(parts[i], self.dtypes[i])
            elif found[i].size:
                offset = found[i].value - begin
                columns[self.names[i]] = self.view(data, whole, i, offset, found[i].size)
            elif self.specs[i].leader >= 0 and found[self.specs[i].leader].size:
                columns[self.names[i]] = self.missing(i, self.rows(found, self.specs[i].leader))
        return rest, columns

    def column(self, bytes data not None, name):
        """One column of `read`, which looks at the rows of this one only. Raises ValueError for
        what is no such message, and KeyError for a column that there is not."""
        cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
        cdef Found found[MAX_COLUMNS]
        cdef int i = self.index[name]
        cdef Py_ssize_t rest = self.find(begin, begin + PyBytes_GET_SIZE(data), found, NULL)
        if rest < 0:
            raise malformed(-1 - rest)
        if found[i].size == 0 or found[i].runs > 1 or found[i].size % self.specs[i].width:
            return self.read(data)[1][name]
        return self.view(data, [None] * self.count, i, found[i].value - begin, found[i].size)

    cdef Py_ssize_t find(
        self, const uint8_t* begin, const uint8_t* end, Found* found, uint8_t* rest
    ) noexcept nogil:
        """`scan` for these columns; `found` has room for one more than there are."""
        if rest == NULL:
            memset(found, 0, (self.count + 1) * sizeof(Found))
        return scan(begin, end, self.slots, self.specs, found, rest)

    cdef view(self, bytes data, list whole, int i, Py_ssize_t offset, uint64_t size):
        cdef Spec* spec = &self.specs[i]
        cdef Py_ssize_t itemsize = spec.itemsize
        dtype = self.dtypes[i]
        if offset % itemsize:
            array = frombuffer(data, dtype, size // itemsize, offset)
        else:
            # A slice of the whole message seen as that dtype costs half of a new view on it.
            array = whole[spec.first]
            if array is None:
                array = whole[spec.first] = frombuffer(data, dtype, len(data) // itemsize)
            array = array[offset // itemsize:(offset + <Py_ssize_t>size) // itemsize]
        return array if spec.element else array.reshape(-1, spec.width // itemsize)

    cdef missing(self, int i, Py_ssize_t rows):
        cdef Spec* spec = &self.specs[i]
        shape = rows if spec.element else (rows, spec.width // self.dtypes[i].itemsize)
        array = np.full(shape, self.defaults[i], self.dtypes[i])
        array.flags.writeable = False
        return array

    cdef uint64_t rows(self, const Found* found, int i) noexcept nogil:
        return found[i].size // self.specs[i].width

    cdef int odd_rows(self, const Found* found) noexcept nogil:
        """A column without whole rows, or with another number of them than its leader; or -1."""
        cdef int i, leader
        for i in range(self.count):
            if found[i].size == 0:
                continue
            leader = self.specs[i].leader
            if found[i].size % self.specs[i].width or (
                leader >= 0 and self.rows(found, i) != self.rows(found, leader)
            ):
                return i
        return -1

    cdef check_rows(self, const Found* found):
        """Whole rows, and as many as the leader has or none at all."""
        cdef int i = self.odd_rows(found), leader
        if i < 0:
            return
        if found[i].size % self.specs[i].width:
            raise ValueError(
                f"{self.names[i]} has {found[i].size} bytes, no multiple of {self.specs[i].width}"
            )
        leader = self.specs[i].leader
        raise ValueError(
            f"{self.names[i]} has {self.rows(found, i)} rows, "
            f"{self.names[leader]} has {self.rows(found, leader)}"
        )

    cdef bytes in_one_run(self, bytes data, const Found* found):
        """The message with every column in one piece, as writers of our own make it."""
        rest, columns = self.read(data)
        names = [self.names[i] for i in range(self.count) if found[i].size]
        return self.write(rest, {name: columns[name] for name in names})

    def write(self, bytes head not None, columns not None):
        """`head` (a message without columns, as bytes) followed by `columns`, a mapping of names
        to arrays; a name that is not there, or an empty array, leaves its field out.

        Arrays of another dtype are converted where every value fits. Each payload starts on a
        multiple of 8 bytes from the start of the message. Raises ValueError for unknown names,
        values that do not fit, wrong shapes and different row counts.
        """
        cdef Py_buffer buffers[MAX_COLUMNS]
        cdef Found found[MAX_COLUMNS]
        cdef Py_ssize_t head_size = PyBytes_GET_SIZE(head)
        cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(head)
        cdef uint64_t total
        cdef uint8_t* out
        cdef bytes message
        cdef int i, held = 0
        memset(found, 0, self.count * sizeof(Found))
        try:
            for i in range(self.count):
                value = columns.get(self.names[i])
                if value is None:
                    continue
                self.borrow(i, value, &buffers[held])
                found[i].value = <const uint8_t*>buffers[held].buf
                found[i].size = buffers[held].len
                held += 1
                self.check_shape(i, &buffers[held - 1])
            if held < len(columns):
                for name in columns:
                    if name not in self.index:
                        raise ValueError(f"there is no column {name!r}")
            self.check_rows(found)
            total = self.end_of_columns(head_size, found)
            check_size(total)
            message = PyBytes_FromStringAndSize(NULL, total)
            out = <uint8_t*>PyBytes_AS_STRING(message)
            with nogil:
                memcpy(out, start, head_size)
                self.put_columns(out, head_size, found)
            return message
        finally:
            for i in range(held):
                PyBuffer_Release(&buffers[i])

    cdef int borrow(self, int i, value, Py_buffer* buffer) except -1:
        """Takes the buffer of one column, C-contiguous and of its dtype."""
        if type(value) is not ndarray or value.dtype is not self.dtypes[i]:
            value = self.convert(i, value)
        PyObject_GetBuffer(value, buffer, PyBUF_STRIDES)
        if not PyBuffer_IsContiguous(buffer, b"C"):
            PyBuffer_Release(buffer)
            PyObject_GetBuffer(np.ascontiguousarray(value), buffer, PyBUF_STRIDES)
        return 0

    cdef int check_shape(self, int i, Py_buffer* buffer) except -1:
        cdef Spec* spec = &self.specs[i]
        if spec.element:
            if buffer.ndim == 1:
                return 0
        elif buffer.ndim == 2 and buffer.shape[1] * buffer.itemsize == spec.width:
            return 0
        wanted = "(n,)" if spec.element else f"(n, {spec.width // self.dtypes[i].itemsize})"
        shape = tuple([buffer.shape[k] for k in range(buffer.ndim)])
        raise ValueError(f"{self.names[i]} has shape {shape}, not {wanted}")

    cdef convert(self, int i, value):
        given = np.asarray(value)
        dtype = self.dtypes[i]
        if given.dtype == dtype:
            return given.astype(dtype, copy=False)
        if given.size == 0:
            return given.astype(dtype)
        if given.dtype.kind in "iufb":
            with np.errstate(all="ignore"):
                converted = given.astype(dtype)
            if np.array_equal(converted, given, equal_nan=dtype.kind == "f"):
                return converted
        raise ValueError(f"{self.names[i]} has {given.dtype} values that do not fit in {dtype}")

    cdef uint64_t end_of_columns(self, uint64_t at, const Found* found) noexcept nogil:
        """Where the message ends if the columns start at `at`."""
        cdef int i
        cdef uint64_t size
        for i in range(self.count):
            size = found[i].size
            if size:
                at = self.payload_start(at, i, size) + size
        return at

    cdef uint64_t payload_start(self, uint64_t at, int i, uint64_t size) noexcept nogil:
        cdef uint64_t start = at + varint_size(self.specs[i].number << 3) + varint_size(size)
        cdef uint32_t gap
        if self.padding:
            gap = -start & 7
            # The smallest padding field is a tag and a zero length.
            start += gap + 8 if 0 < gap <= self.padding_tag_size else gap
        return start

    cdef uint8_t* open_column(
        self, uint8_t* out, uint8_t* p, int i, uint64_t size
    ) noexcept nogil:
        """Writes padding, tag and length at `p` of a message that starts at `out`; returns where
        the payload goes."""
        cdef uint32_t number = self.specs[i].number
        cdef uint64_t gap = self.payload_start(p - out, i, size) - (p - out)
        gap -= varint_size(number << 3) + varint_size(size)
        if gap:
            gap -= self.padding_tag_size + 1
            p = put_delimited(p, self.padding, ZEROS, gap)
        return put_varint(put_varint(p, number << 3 | DELIMITED), size)

    cdef void put_columns(self, uint8_t* out, uint64_t at, const Found* found) noexcept nogil:
        cdef int i
        cdef uint8_t* p = out + at
        for i in range(self.count):
            if found[i].size:
                p = self.open_column(out, p, i, found[i].size)
                memcpy(p, found[i].value, found[i].size)
                p += found[i].size


# -- repeated records ----------------------------------------------------------------------------

def join(bytes head not None, uint32_t number, payloads):
    """`head` followed by one delimited field `number` for each of `payloads` (bytes-like)."""
    cdef list items = list(payloads)
    cdef Py_ssize_t n = len(items)
    cdef Py_ssize_t held = 0, i
    cdef uint64_t total = PyBytes_GET_SIZE(head)
    cdef uint8_t* p
    cdef bytes message
    cdef Py_buffer* buffers = <Py_buffer*>calloc(n + 1, sizeof(Py_buffer))
    if buffers == NULL:
        raise MemoryError
    try:
        for i in range(n):
            PyObject_GetBuffer(items[i], &buffers[i], PyBUF_SIMPLE)
            held = i + 1
            total += varint_size(number << 3) + varint_size(buffers[i].len) + buffers[i].len
        check_size(total)
        message = PyBytes_FromStringAndSize(NULL, total)
        p = <uint8_t*>PyBytes_AS_STRING(message)
        memcpy(p, PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        p += PyBytes_GET_SIZE(head)
        for i in range(n):
            p = put_delimited(p, number, buffers[i].buf, buffers[i].len)
        return message
    finally:
        for i in range(held):
            PyBuffer_Release(&buffers[i])
        free(buffers)
