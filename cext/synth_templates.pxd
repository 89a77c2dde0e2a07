from mevstream.cext.synth_types cimport Template

cdef class Templates:
    cdef Template* items
    cdef int n
    cdef object build

    cdef Template* get(self, int number) except NULL
    cdef int define(self, int number) except -1
    cdef void release(self, Template* t) noexcept
