"""Arrays that grow."""

from libc.stdlib cimport realloc


cdef inline bint grow(void** array, size_t n, size_t size) noexcept nogil:
    """Makes room for n items of that size, or leaves the array as it is and returns False."""
    cdef void* grown = realloc(array[0], n * size)
    if grown == NULL:
        return False
    array[0] = grown
    return True
