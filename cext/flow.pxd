"""Swaps that show in the token flow alone."""

from mevstream.cext.model cimport Decoded, Leg, Transaction

cdef bint flow_vaults(Transaction* tx, Decoded* d, Leg* leg) noexcept nogil
cdef void find_unknown_venues(Transaction* tx, Decoded* d) noexcept nogil
