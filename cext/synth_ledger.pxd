from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from mevstream.cext.synth_types cimport Template

cdef enum:
    # Lamports that an SPL token account of 165 bytes has to keep (protocol facts 5.4).
    RENT = 2_039_280

cdef class Ledger:
    cdef uint8_t[:, ::1] keys
    cdef uint64_t[::1] lamports
    cdef uint64_t[::1] amounts
    cdef uint64_t[::1] withheld
    cdef const uint8_t[::1] decimals
    cdef const uint8_t[::1] native
    cdef const uint8_t[::1] texts
    cdef const int64_t[:, ::1] text_spans

    cdef void apply(self, const Template* t, const int32_t* account,
                    const uint64_t* r) noexcept nogil
    cdef uint8_t* put_balances(self, uint8_t* to, const Template* t,
                               const int32_t* account) noexcept nogil
    cdef uint8_t* put_tokens(self, uint8_t* to, const Template* t, const int32_t* accounts,
                             uint8_t tag, int column) noexcept nogil
