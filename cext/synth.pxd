from libc.stdint cimport int32_t, uint32_t, uint64_t

from mevstream.cext.synth_types cimport N_KINDS, QUANTILES, Choice, Template
from mevstream.cext.synth_writer cimport Writer

cdef class Synth(Writer):
    cdef const int32_t[::1] members
    cdef const int32_t[:, ::1] class_spans
    cdef const int32_t[:, ::1] choices
    cdef const int32_t[::1] menu
    cdef const int32_t[:, ::1] menu_spans
    cdef const int32_t[::1] vote_templates
    cdef uint32_t kind_thresholds[N_KINDS]
    cdef uint32_t failure_thresholds[N_KINDS]
    cdef uint32_t reversion_threshold
    cdef uint64_t sizes[QUANTILES]
    cdef int32_t n_whales
    # With agents: only they make MEV, and the rest of the chain makes none by chance.
    cdef bint agents
    cdef uint32_t[::1] locked     # per pool: an agent has it for itself

    cdef int pick_user(self, const Template* t) noexcept nogil
    cdef int transfer(self, int user, uint64_t amount) except -1
    cdef const Choice* choose(self, int kind) noexcept nogil
    cdef int token_transfer(self) except -1
    cdef int swap(self, int kind) except -1
    cdef bint harmless(self, const Template* t, int* user) noexcept nogil
    cdef int arbitrage(self) except -1
    cdef int sandwich(self) except -1
