"""Transaction templates in C memory, each built when it is first asked for."""

from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from mevstream.cext.synth_types cimport (
    MAX_ACCOUNTS, MAX_EVENT_BYTES, Effect, Patch, Template, TemplateLeg,
)

import numpy as np


cdef int32_t* copy_ints(values, int columns) except? NULL:
    """A C copy of a sequence of rows of `columns` integers."""
    array = np.ascontiguousarray(np.array(values, dtype=np.int32).reshape(-1, columns))
    cdef const int32_t[:, ::1] view
    cdef size_t size = array.size * sizeof(int32_t)
    cdef int32_t* out = <int32_t*>malloc(size + 8)
    if out == NULL:
        raise MemoryError
    if array.size:
        view = array
        memcpy(out, &view[0, 0], size)
    return out


cdef uint8_t* copy_bytes(bytes data) except NULL:
    cdef uint8_t* out = <uint8_t*>malloc(len(data) + 8)
    if out == NULL:
        raise MemoryError
    memcpy(out, <const uint8_t*>data, len(data))
    return out


cdef class Templates:
    """build(number): the Template (topologies/raw/simulator/template.py) of a number below n."""

    def __cinit__(self):
        self.items = NULL
        self.n = 0

    def __init__(self, build, int n):
        self.build = build
        self.items = <Template*>calloc(n, sizeof(Template))
        if self.items == NULL:
            raise MemoryError
        self.n = n

    def __dealloc__(self):
        cdef int i
        for i in range(self.n):
            self.release(&self.items[i])
        free(self.items)

    cdef Template* get(self, int number) except NULL:
        if not self.items[number].built:
            self.define(number)
        return &self.items[number]

    cdef int define(self, int number) except -1:
        cdef Template* t = &self.items[number]
        source = self.build(number)
        if len(source.accounts) > MAX_ACCOUNTS or len(source.events) > MAX_EVENT_BYTES:
            raise ValueError(f"template {number} is too large")
        t.failed = source.failed
        t.wrapped = source.wrapped
        t.group = source.group
        t.user_class = source.user_class
        t.n_signatures = source.n_signatures
        t.cu_limit = source.cu_limit
        t.cu_base = source.cu_base
        t.cu_jitter = source.cu_jitter
        t.cost_base = source.cost_base
        t.fixed_priority = source.fixed_priority
        t.n_accounts = source.n_accounts
        t.n_slots = len(source.accounts)
        t.n_tokens = len(source.tokens)
        t.n_legs = len(source.legs)
        t.n_effects = len(source.effects)
        t.n_event_patches = len(source.event_patches)
        t.n_message_patches = len(source.message_patches)
        t.n_meta_patches = len(source.meta_patches)
        t.n_events = len(source.events)
        t.n_message = len(source.message)
        t.n_meta = len(source.meta)
        t.n_tail = len(source.tail)
        t.n_error = len(source.error)
        t.accounts = copy_ints(source.accounts, 1)
        t.tokens = copy_ints(source.tokens, 3)
        t.legs = <TemplateLeg*>copy_ints(source.legs, 9)
        t.effects = <Effect*>copy_ints(source.effects, 5)
        t.event_patches = <Patch*>copy_ints(source.event_patches, 5)
        t.message_patches = <Patch*>copy_ints(source.message_patches, 5)
        t.meta_patches = <Patch*>copy_ints(source.meta_patches, 5)
        t.events = copy_bytes(source.events)
        t.message = copy_bytes(source.message)
        t.meta = copy_bytes(source.meta + source.tail)
        t.error = copy_bytes(source.error)
        t.built = True
        return 0

    cdef void release(self, Template* t) noexcept:
        if t.built:
            free(t.accounts)
            free(t.tokens)
            free(t.legs)
            free(t.effects)
            free(t.event_patches)
            free(t.message_patches)
            free(t.meta_patches)
            free(t.events)
            free(t.message)
            free(t.meta)
            free(t.error)
