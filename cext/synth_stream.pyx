"""Transactions of a stored block as the entries of a Yellowstone block update."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from mevstream.cext.fields cimport put_varint, varint_size


cdef inline const uint8_t* skip_varint(const uint8_t* at, uint64_t* value) noexcept nogil:
    cdef int shift = 0
    value[0] = 0
    while at[0] & 0x80:
        value[0] |= <uint64_t>(at[0] & 0x7F) << shift
        shift += 7
        at += 1
    value[0] |= <uint64_t>at[0] << shift
    return at + 1


def block_entries(const uint8_t[::1] data, int64_t start, const int64_t[::1] ends,
                  const uint8_t[::1] votes):
    """`transactions` fields (6) of SubscribeUpdateBlock.

    data: a ConfirmedBlock of the simulator, whose transactions begin at `start`, end at `ends`
    and consist of exactly a transaction and its metadata; votes: uint8, 1 for a vote. Not for
    blocks of another origin: the layout is not checked.
    """
    cdef int64_t begin = start, n = ends.shape[0], i
    cdef const uint8_t* at
    cdef const uint8_t* transaction
    cdef const uint8_t* meta
    cdef uint64_t size, transaction_size, meta_size, entry
    cdef bytearray out = bytearray(data.shape[0] + 128 * n)
    cdef uint8_t* to = out
    cdef uint8_t* first = to
    with nogil:
        for i in range(n):
            at = skip_varint(&data[begin + 1], &size)
            transaction = skip_varint(at + 1, &transaction_size)
            at = transaction + transaction_size
            meta = skip_varint(at + 1, &meta_size)
            begin = ends[i]
            entry = (66 + 2 * votes[i] + 1 + varint_size(transaction_size) + transaction_size
                     + 1 + varint_size(meta_size) + meta_size)
            if i:
                entry += 1 + varint_size(i)
            to[0] = 0x32
            to = put_varint(to + 1, entry)
            # The first signature, with its own tag and length.
            memcpy(to, transaction, 66)
            to += 66
            if votes[i]:
                to[0] = 0x10
                to[1] = 1
                to += 2
            to[0] = 0x1A
            to = put_varint(to + 1, transaction_size)
            memcpy(to, transaction, transaction_size)
            to += transaction_size
            to[0] = 0x22
            to = put_varint(to + 1, meta_size)
            memcpy(to, meta, meta_size)
            to += meta_size
            if i:
                to[0] = 0x28
                to = put_varint(to + 1, i)
    return bytes(memoryview(out)[:to - first])
