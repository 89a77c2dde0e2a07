"""Cuts protobuf messages at their top level without parsing what lies inside.

A stored block holds its transactions as one run of length-delimited fields, and a RawBatch has
them under the same number, so a block becomes batches by copying a few long stretches of bytes.
Which input is well formed is judged as upb, protobuf's own parser, judges it.
Format: protobuf encoding, https://protobuf.dev/programming-guides/encoding.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc

from mevstream.cext.fields cimport DELIMITED, VARINT, Field, next_field, put_delimited

# Where a field lies in its message: its tag, its value (after the length), its end.
cdef struct Extent:
    Py_ssize_t start
    Py_ssize_t value
    Py_ssize_t end


cdef object malformed(Py_ssize_t at, Py_ssize_t size):
    return ValueError(f"malformed or cut off in the field at byte {at} of {size}")


cdef class Extents:
    """Where the fields of one number lie in a message."""

    cdef readonly bytes data
    # Every other field of the message that was asked for, as message bytes.
    cdef readonly bytes rest
    cdef Py_ssize_t count, capacity
    cdef Extent* fields

    def __dealloc__(self):
        free(self.fields)

    cdef int append(self, Extent extent) except -1:
        cdef Extent* grown
        if self.count == self.capacity:
            grown = <Extent*>realloc(self.fields, (self.capacity * 2 + 256) * sizeof(Extent))
            if grown == NULL:
                raise MemoryError
            self.fields = grown
            self.capacity = self.capacity * 2 + 256
        self.fields[self.count] = extent
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
        cdef Extent* fields = self.fields + first
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
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef const uint8_t* end = begin + len(data)
    cdef const uint8_t* p = begin
    cdef Field field
    cdef Extent extent
    cdef Extents found = Extents.__new__(Extents)
    cdef list rest = []
    while p < end:
        p = next_field(p, end, &field)
        if p == NULL:
            raise malformed(field.start - begin, len(data))
        extent.start = field.start - begin
        extent.value = field.value - begin
        extent.end = field.end - begin
        if field.number == number and field.wire == DELIMITED:
            found.append(extent)
        elif field.number not in skipped:
            rest.append(data[extent.start:extent.end])
    found.data = data
    found.rest = b"".join(rest)
    return found


def last_field(bytes data not None, uint64_t numbers):
    """Returns (number, start, end) of the last length-delimited field whose number is a bit of
    `numbers` (1 << number), which is the one that counts in a oneof; number 0 if there is none.

    Raises ValueError where `data` is no protobuf message.
    """
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef const uint8_t* end = begin + len(data)
    cdef const uint8_t* p = begin
    cdef Field field, last
    last.number = 0
    last.value = last.end = begin
    while p < end:
        p = next_field(p, end, &field)
        if p == NULL:
            raise malformed(field.start - begin, len(data))
        if field.wire == DELIMITED and field.number < 64 and (numbers >> field.number) & 1:
            last = field
    return last.number, last.value - begin, last.end - begin


def confirmed_transaction(const uint8_t[::1] info not None):
    """Turns a Yellowstone SubscribeUpdateTransactionInfo into (index, ConfirmedTransaction bytes).

    Its fields 3 (transaction) and 4 (meta) are copied under the numbers 1 and 2, field 5 is the
    position in the block. Raises ValueError where `info` is no protobuf message.
    """
    cdef Py_ssize_t size = info.shape[0]
    cdef const uint8_t* begin = &info[0] if size else NULL
    cdef const uint8_t* end = begin + size
    cdef const uint8_t* p = begin
    cdef Field field
    cdef uint64_t index = 0
    # Retagged fields keep their length at most: tag and length are written no longer than read.
    cdef bytes result = PyBytes_FromStringAndSize(NULL, size)
    cdef uint8_t* start = <uint8_t*>PyBytes_AS_STRING(result)
    cdef uint8_t* out = start
    while p < end:
        p = next_field(p, end, &field)
        if p == NULL:
            raise malformed(field.start - begin, size)
        if field.wire == DELIMITED and (field.number == 3 or field.number == 4):
            out = put_delimited(out, field.number - 2, field.value, field.end - field.value)
        elif field.wire == VARINT and field.number == 5:
            index = field.varint
    return index, result[:out - start]
