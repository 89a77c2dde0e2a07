"""Decimal text and base64, written straight into a buffer."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef inline int put_decimal(uint8_t* to, uint64_t value) noexcept nogil:
    """Digits of value; returns how many (at most 20)."""
    cdef uint8_t digits[20]
    cdef int n = 0, i
    while True:
        digits[19 - n] = 48 + <uint8_t>(value % 10)
        value = value // 10
        n += 1
        if value == 0:
            break
    memcpy(to, digits + 20 - n, n)
    return n


cdef inline int put_ui_amount(uint8_t* to, const uint8_t* digits, int n, int decimals) noexcept nogil:
    """`digits` with a decimal point before the last `decimals`, no trailing zeros."""
    cdef int i, length
    if n <= decimals:
        to[0] = 48
        to[1] = 46
        memset(to + 2, 48, decimals - n)
        memcpy(to + 2 + decimals - n, digits, n)
        length = decimals + 2
    else:
        memcpy(to, digits, n - decimals)
        to[n - decimals] = 46
        memcpy(to + n - decimals + 1, digits + n - decimals, decimals)
        length = n + 1
    while to[length - 1] == 48:
        length -= 1
    if to[length - 1] == 46:
        length -= 1
    return length


cdef inline void put_base64(uint8_t* to, const uint8_t* data, int n) noexcept nogil:
    cdef const char* BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    cdef uint32_t word
    while n >= 3:
        word = (<uint32_t>data[0] << 16) | (<uint32_t>data[1] << 8) | data[2]
        to[0] = BASE64[word >> 18]
        to[1] = BASE64[(word >> 12) & 63]
        to[2] = BASE64[(word >> 6) & 63]
        to[3] = BASE64[word & 63]
        data += 3
        to += 4
        n -= 3
    if n > 0:
        word = (<uint32_t>data[0] << 16) | ((<uint32_t>data[1] << 8) if n == 2 else 0)
        to[0] = BASE64[word >> 18]
        to[1] = BASE64[(word >> 12) & 63]
        to[2] = BASE64[(word >> 6) & 63] if n == 2 else 61
        to[3] = 61
