"""Token accounts of a transaction, decoded on demand."""

from libc.stdint cimport uint32_t

from mevstream.cext.model cimport TokenAccount, Transaction

cdef bint token_accounts_init(Transaction* tx) noexcept nogil
cdef void token_accounts_free(Transaction* tx) noexcept nogil
cdef TokenAccount* token_account(Transaction* tx, uint32_t account) noexcept nogil
cdef TokenAccount* new_token_account(Transaction* tx, uint32_t account) noexcept nogil
