"""Hops in a row through pools: their best input in closed form, and what they give to the unit.

A way is a pool that is entered on one of its sides: 2 * pool + side; `way ^ 1` is the way back.
"""

from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t

from mevstream.cext.quotes cimport PRODUCT, TOKEN_SWAP, Curve, Fraction, quote

cdef enum:
    MAX_HOPS = 4

cdef struct Path:
    uint32_t n
    uint32_t ways[MAX_HOPS]
    double amount        # of the mint that the first way takes in
    double profit        # in the same
    double worth         # profit × the mint's value


cdef inline void hop(const Fraction* f, double* i, double* o) noexcept nogil:
    """Appends a hop to the fraction so far."""
    cdef double d = 1.0 / (f.i + o[0])
    i[0] *= f.i * d
    o[0] *= f.o * d


cdef inline double path_limit(
    const Fraction* fractions, const uint32_t* ways, uint32_t n) noexcept nogil:
    """The input beyond which a hop would leave its range."""
    cdef Fraction total = fractions[ways[0]]
    cdef double most = total.cap, cap
    cdef uint32_t k
    for k in range(1, n):
        cap = fractions[ways[k]].cap
        if total.o > cap:
            most = min(most, total.i * cap / (total.o - cap))
        hop(&fractions[ways[k]], &total.i, &total.o)
    return most


cdef inline bint path_gross(
    const Curve* curves, const uint32_t* ways, uint32_t n, uint64_t amount, uint64_t* out
) noexcept nogil:
    """What comes back for `amount`, by the programs' integers; 0 where a hop refuses."""
    cdef uint32_t k
    for k in range(n):
        if not quote(&curves[ways[k] >> 1], ways[k] & 1, amount, &amount):
            return False
    out[0] = amount
    return True


cdef inline int64_t path_gain(
    const Curve* curves, const Path* path, uint64_t amount) noexcept nogil:
    cdef uint64_t out
    if amount == 0 or amount >> 62 or not path_gross(
            curves, path.ways, path.n, amount, &out) or out >> 62:
        return -(<int64_t>1 << 62)
    return <int64_t>out - <int64_t>amount


cdef inline uint64_t path_settle(
    const Curve* curves, const Path* path, int64_t* profit) noexcept nogil:
    """(input, profit to the unit). Where every hop is a constant product the closed form has found
    the input; else it is sought around it, between bounds that draw together (the profit of whole
    units has one hill but for their rounding)."""
    cdef double inverse = 0.6180339887498949
    cdef uint64_t best, low, high, left, right
    cdef int64_t at_left, at_right
    cdef uint32_t k
    cdef bint product = True
    profit[0] = 0
    if not 0.0 < path.amount < 4e18:
        return 0
    best = <uint64_t>path.amount
    profit[0] = path_gain(curves, path, best)
    for k in range(path.n):
        product = product and curves[path.ways[k] >> 1].kind in (PRODUCT, TOKEN_SWAP)
    if not product:
        low = best // 2
        high = best + best // 2 + 2
        left = high - <uint64_t>(<double>(high - low) * inverse)
        right = low + <uint64_t>(<double>(high - low) * inverse)
        at_left = path_gain(curves, path, left)
        at_right = path_gain(curves, path, right)
        while high - low > 2:
            if at_left >= at_right:
                high = right
                right = left
                at_right = at_left
                left = high - <uint64_t>(<double>(high - low) * inverse)
                at_left = path_gain(curves, path, left)
            else:
                low = left
                left = right
                at_left = at_right
                right = low + <uint64_t>(<double>(high - low) * inverse)
                at_right = path_gain(curves, path, right)
            if at_left > profit[0]:
                profit[0] = at_left
                best = left
            if at_right > profit[0]:
                profit[0] = at_right
                best = right
    if profit[0] <= 0:
        profit[0] = 0
        return 0
    return best
