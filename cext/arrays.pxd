"""Columns of a message as C reads them: they may lie at any address."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from mevstream.cext.wire cimport mv_u32, mv_u64


cdef inline const uint8_t* memory(
    array, Py_ssize_t size, bint writable=False) except? NULL:
    """The memory of a contiguous array of at least that many bytes, which the caller holds."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(array, &buffer, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
    cdef const uint8_t* start = <const uint8_t*>buffer.buf
    cdef Py_ssize_t length = buffer.len
    PyBuffer_Release(&buffer)
    if length < size:
        raise ValueError(f"{length} bytes where {size} are needed")
    return start


cdef inline uint32_t at32(const uint8_t* column, Py_ssize_t i) noexcept nogil:
    return mv_u32(column + 4 * i)


cdef inline uint64_t at64(const uint8_t* column, Py_ssize_t i) noexcept nogil:
    return mv_u64(column + 8 * i)


cdef inline double at_f64(const uint8_t* column, Py_ssize_t i) noexcept nogil:
    cdef double value
    memcpy(&value, column + 8 * i, 8)
    return value
