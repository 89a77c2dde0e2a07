"""Cuts protobuf messages at their top level without parsing what lies inside.

A stored block holds its transactions as one run of length-delimited fields, and a RawBatch has
them under the same number, so a block becomes batches by copying a few long stretches of bytes.
Which input is well formed is judged as upb, protobuf's own parser, judges it.
Format: protobuf encoding, https://protobuf.dev/programming-guides/encoding.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

cdef enum:
    VARINT = 0
    FIXED64 = 1
    LENGTH_DELIMITED = 2
    GROUP = 3
    GROUP_END = 4
    FIXED32 = 5
    # upb's own limit on nesting
    MAX_DEPTH = 100

cdef struct Field:
    uint32_t number
    uint32_t wire_type
    # Where the tag begins, where the value (after its length) begins, where it ends.
    Py_ssize_t start
    Py_ssize_t value
    Py_ssize_t end
    # The value of a varint.
    uint64_t varint


cdef inline bint read_varint(
    const uint8_t* data, Py_ssize_t size, Py_ssize_t* at, int max_bytes, uint64_t* value
) noexcept nogil:
    cdef uint64_t result = 0
    cdef uint8_t byte
    cdef int i
    for i in range(max_bytes):
        if at[0] >= size:
            return False
        byte = data[at[0]]
        at[0] += 1
        result |= <uint64_t>(byte & 0x7F) << (7 * i)
        if byte < 0x80:
            value[0] = result
            return True
    return False


cdef bint read_field(
    const uint8_t* data, Py_ssize_t size, Py_ssize_t at, int depth, Field* field
) noexcept nogil:
    """Reads the field whose tag begins at `at`. False: malformed or past the end."""
    cdef uint64_t value
    field.start = at
    if not read_varint(data, size, &at, 5, &value) or value >> 32 != 0 or value < 8:
        return False
    field.number = <uint32_t>(value >> 3)
    field.wire_type = <uint32_t>(value & 7)
    field.value = at
    if field.wire_type == VARINT:
        if not read_varint(data, size, &at, 10, &field.varint):
            return False
    elif field.wire_type == FIXED64:
        at += 8
    elif field.wire_type == FIXED32:
        at += 4
    elif field.wire_type == LENGTH_DELIMITED:
        if not read_varint(data, size, &at, 5, &value) or value > <uint64_t>(size - at):
            return False
        field.value = at
        at += <Py_ssize_t>value
    elif field.wire_type == GROUP:
        if not skip_group(data, size, &at, field.number, depth + 1):
            return False
    else:
        return False
    field.end = at
    return at <= size


cdef bint skip_group(
    const uint8_t* data, Py_ssize_t size, Py_ssize_t* at, uint32_t number, int depth
) noexcept nogil:
    cdef Field inner
    cdef Py_ssize_t after
    cdef uint64_t tag
    if depth > MAX_DEPTH:
        return False
    while True:
        after = at[0]
        if not read_varint(data, size, &after, 5, &tag):
            return False
        if (tag & 7) == GROUP_END:
            at[0] = after
            return tag >> 3 == number
        if not read_field(data, size, at[0], depth, &inner):
            return False
        at[0] = inner.end


cdef object malformed(Py_ssize_t at, Py_ssize_t size):
    return ValueError(f"malformed or cut off in the field at byte {at} of {size}")


cdef class Extents:
    """Where the fields of one number lie in a message."""

    cdef readonly bytes data
    # Every other field of the message that was asked for, as message bytes.
    cdef readonly bytes rest
    cdef Py_ssize_t count, capacity
    cdef Field* fields

    def __dealloc__(self):
        free(self.fields)

    cdef int append(self, Field* field) except -1:
        cdef Field* grown
        if self.count == self.capacity:
            grown = <Field*>realloc(self.fields, (self.capacity * 2 + 256) * sizeof(Field))
            if grown == NULL:
                raise MemoryError
            self.fields = grown
            self.capacity = self.capacity * 2 + 256
        self.fields[self.count] = field[0]
        self.count += 1
        return 0

    def __len__(self):
        return self.count

    def payload(self, Py_ssize_t index):
        """Value of one field, as bytes."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.data[self.fields[index].value:self.fields[index].end]

    def payloads(self):
        """The values of all of them, as memoryviews on `data`."""
        cdef Py_ssize_t i
        view = memoryview(self.data)
        return [view[self.fields[i].value:self.fields[i].end] for i in range(self.count)]

    def run(self, Py_ssize_t first, Py_ssize_t count):
        """`count` fields from number `first` on, tags and lengths included, as message bytes.

        One copy where they follow each other without a gap, as they do in a stored block.
        """
        if first < 0 or count < 0 or first + count > self.count:
            raise IndexError(first + count)
        if count == 0:
            return b""
        cdef Field* fields = self.fields + first
        cdef Py_ssize_t i, size = 0
        for i in range(count):
            size += fields[i].end - fields[i].start
        if size == fields[count - 1].end - fields[0].start:
            return self.data[fields[0].start:fields[count - 1].end]
        return b"".join([self.data[fields[i].start:fields[i].end] for i in range(count)])


def split(bytes data not None, uint32_t number, tuple skipped=()):
    """Finds the length-delimited fields `number` of the message `data`.

    `rest` of the result holds the remaining fields but for the numbers in `skipped`.
    Raises ValueError where `data` is no protobuf message.
    """
    cdef const uint8_t* bytes_ = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = len(data), at = 0
    cdef Field field
    cdef Extents found = Extents.__new__(Extents)
    cdef list rest = []
    while at < size:
        if not read_field(bytes_, size, at, 0, &field):
            raise malformed(at, size)
        if field.number == number and field.wire_type == LENGTH_DELIMITED:
            found.append(&field)
        elif field.number not in skipped:
            rest.append(data[field.start:field.end])
        at = field.end
    found.data = data
    found.rest = b"".join(rest)
    return found


def last_field(bytes data not None, uint64_t numbers):
    """Returns (number, start, end) of the last length-delimited field whose number is a bit of
    `numbers` (1 << number), which is the one that counts in a oneof; number 0 if there is none.

    Raises ValueError where `data` is no protobuf message.
    """
    cdef const uint8_t* bytes_ = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = len(data), at = 0
    cdef Field field, last
    last.number = 0
    last.value = last.end = 0
    while at < size:
        if not read_field(bytes_, size, at, 0, &field):
            raise malformed(at, size)
        if (
            field.wire_type == LENGTH_DELIMITED
            and field.number < 64
            and (numbers >> field.number) & 1
        ):
            last = field
        at = field.end
    return last.number, last.value, last.end


cdef Py_ssize_t put_varint(uint8_t* out, uint64_t value) noexcept:
    cdef Py_ssize_t size = 0
    while value >= 0x80:
        out[size] = <uint8_t>(value | 0x80)
        value >>= 7
        size += 1
    out[size] = <uint8_t>value
    return size + 1


def confirmed_transaction(const uint8_t[::1] info not None):
    """Turns a Yellowstone SubscribeUpdateTransactionInfo into (index, ConfirmedTransaction bytes).

    Its fields 3 (transaction) and 4 (meta) are copied under the numbers 1 and 2, field 5 is the
    position in the block. Raises ValueError where `info` is no protobuf message.
    """
    cdef Py_ssize_t size = info.shape[0], at = 0, out = 0, length
    cdef const uint8_t* data = &info[0] if size else NULL
    cdef Field field
    cdef uint64_t index = 0
    # Retagged fields keep their length at most: tag and length are written no longer than read.
    cdef bytes result = PyBytes_FromStringAndSize(NULL, size)
    cdef uint8_t* target = <uint8_t*>PyBytes_AS_STRING(result)
    while at < size:
        if not read_field(data, size, at, 0, &field):
            raise malformed(at, size)
        if field.wire_type == LENGTH_DELIMITED and (field.number == 3 or field.number == 4):
            length = field.end - field.value
            target[out] = 0x0A if field.number == 3 else 0x12
            out += 1
            out += put_varint(target + out, <uint64_t>length)
            memcpy(target + out, data + field.value, length)
            out += length
        elif field.wire_type == VARINT and field.number == 5:
            index = field.varint
        at = field.end
    return index, result[:out]
