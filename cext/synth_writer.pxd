from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mevstream.cext.synth_ledger cimport Ledger
from mevstream.cext.synth_pools cimport Pools
from mevstream.cext.synth_random cimport Xoshiro
from mevstream.cext.synth_templates cimport Templates
from mevstream.cext.synth_types cimport (
    MAX_ACCOUNTS, MAX_EVENT_BYTES, N_REGISTERS, QUANTILES, Counts, LegRecord, Patch, Template,
)

cdef class Writer:
    cdef Ledger ledger
    cdef Pools pools
    cdef Templates templates
    cdef int32_t[:, ::1] users
    cdef int32_t[:, ::1] validators
    cdef Xoshiro rng
    cdef uint64_t tips[QUANTILES]
    cdef uint64_t prices[QUANTILES]
    cdef uint8_t* out
    cdef size_t n_out
    cdef size_t capacity
    cdef LegRecord* records
    cdef size_t n_records
    cdef size_t records_capacity
    cdef int64_t* ends         # per transaction: end in `out`, negated for a vote
    cdef size_t ends_capacity
    cdef Counts counts
    cdef uint32_t turn                    # of the slot, from 1 on
    cdef uint32_t[::1] touched            # per pool the turn in which it was last traded
    # Tip (lamports) and price (micro-lamports a unit) of what is sent, where they are not drawn.
    cdef bint given
    cdef uint64_t given_tip
    cdef uint64_t given_price
    cdef uint64_t last_fee
    cdef int64_t last_signature           # where the last transaction's first signature stands
    cdef uint64_t r[N_REGISTERS]          # registers of the transaction that is being made
    cdef int32_t account[MAX_ACCOUNTS]    # account numbers of its slots
    cdef uint8_t scratch[32768]
    cdef uint8_t events[MAX_EVENT_BYTES]

    cdef int begin(self, bytes header) except -1
    cdef tuple finish(self)
    cdef void resolve(self, const Template* t, int user, int other) noexcept nogil
    cdef bint quote_legs(self, const Template* t, uint64_t size, uint64_t forced) noexcept nogil
    cdef void patch(self, uint8_t* at, const Patch* patches, int n,
                    uint32_t jitter) noexcept nogil
    cdef int reserve_room(self) except -1
    cdef int emit(self, int number, int user, int other, uint64_t size, uint64_t forced,
                  uint64_t tip_of_profit) except -1
    cdef int write(self, const Template* t, int number, uint64_t size, uint64_t forced,
                   uint64_t tip_of_profit) except -1 nogil
