"""Base58 in the Bitcoin alphabet, the text form of keys, signatures and instruction data.

Works on limbs of 32 bits and five digits at a time, since 58**5 fits a limb.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int8_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

# Longer than any instruction data of the chain (10 KiB in a cross-program call). The work grows
# with the square of the length, so an input must not choose it freely.
cdef enum:
    MAX_TEXT = 32768
    # log(58) / log(256) < 0.7326 bytes a digit, four bytes a limb
    MAX_LIMBS = MAX_TEXT * 7326 / 40000 + 2

MAX_TEXT_LENGTH = MAX_TEXT

cdef int8_t[256] DIGITS
memset(DIGITS, -1, sizeof(DIGITS))
cdef const char* ALPHABET = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
cdef int _digit
for _digit in range(58):
    DIGITS[<uint8_t>ALPHABET[_digit]] = <int8_t>_digit


def decode(str text not None) -> bytes:
    """Returns the bytes that `text` stands for.

    Raises ValueError for a character outside the alphabet and for more than
    MAX_TEXT_LENGTH characters.
    """
    cdef Py_ssize_t length, i, zeros = 0, used = 0, limb, skip, size
    cdef const char* digits = PyUnicode_AsUTF8AndSize(text, &length)
    cdef uint32_t[MAX_LIMBS] limbs
    cdef uint64_t carry
    cdef uint32_t factor, group
    cdef int8_t digit
    if length > MAX_TEXT:
        raise ValueError(f"base58 text of {length} characters, more than {MAX_TEXT}")
    while zeros < length and digits[zeros] == c"1":
        zeros += 1
    i = zeros
    while i < length:
        factor = 1
        group = 0
        while i < length and factor < 656356768:
            digit = DIGITS[<uint8_t>digits[i]]
            if digit < 0:
                raise ValueError(f"not base58: character {i}")
            group = group * 58 + <uint32_t>digit
            factor *= 58
            i += 1
        carry = group
        for limb in range(used):
            carry += <uint64_t>limbs[limb] * factor
            limbs[limb] = <uint32_t>carry
            carry >>= 32
        if carry:
            limbs[used] = <uint32_t>carry
            used += 1
    # The topmost limb holds one to four bytes.
    size = used * 4
    skip = 0
    if used:
        while skip < 3 and (limbs[used - 1] >> (24 - 8 * skip)) & 0xFF == 0:
            skip += 1
    size -= skip
    result = PyBytes_FromStringAndSize(NULL, zeros + size)
    cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(result)
    memset(out, 0, zeros)
    out += zeros
    for i in range(size):
        out[size - 1 - i] = <uint8_t>(limbs[i >> 2] >> (8 * (i & 3)))
    return result


def decode_sized(str text not None, Py_ssize_t size) -> bytes:
    """Returns the `size` bytes (32 for a key, 64 for a signature) that `text` stands for.

    Raises ValueError if it is no base58 or stands for another number of bytes.
    """
    cdef bytes result = decode(text) if len(text) <= 2 * size else b""
    if len(result) != size:
        raise ValueError(f"base58 of {size} bytes expected")
    return result
