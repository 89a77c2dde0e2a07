"""The candles of the slot that is open, and the legs that they are made of."""

from libc.stdint cimport uint32_t, uint64_t

from mevstream.cext.columns cimport Columns
from mevstream.cext.pair_index cimport Index, Pair

cdef enum:
    NONE = 0xFFFFFFFF
    UNKNOWN_DECIMALS = 255
    RESERVES_TOLD = 16     # swap_flags of schemas/features.proto

cdef enum:   # CANDLE_COLUMNS behind the three keys
    C_VENUE, C_DECIMALS_BASE, C_DECIMALS_QUOTE, C_SWAPS, C_BUYS, C_FLAGS, C_32

cdef enum:
    C_VOLUME_BASE, C_VOLUME_BASE_HIGH, C_VOLUME_QUOTE, C_VOLUME_QUOTE_HIGH
    C_RESERVE_BASE, C_RESERVE_QUOTE, C_64

cdef enum:
    C_OPEN, C_HIGH, C_LOW, C_CLOSE, C_PRICE_AFTER, C_IMPACT_MAX, C_IMPACT_SUM, C_IMPACT_WEIGHT
    C_F64

cdef struct Candle:
    Pair pair
    uint32_t n32[C_32]
    uint64_t n64[C_64]
    double f64[C_F64]

# One leg, oriented: `buy` where the quote goes in.
cdef struct Leg:
    Pair pair
    bint buy
    bint told
    uint32_t venue
    uint32_t decimals_base
    uint32_t decimals_quote
    uint64_t base
    uint64_t quote
    uint64_t reserve_base
    uint64_t reserve_quote
    double price
    double price_after
    double impact

cdef struct Candles:
    Candle* all
    uint32_t n
    uint32_t room
    Index index

cdef bint candles_init(Candles* candles, uint64_t seed) noexcept nogil
cdef void candles_free(Candles* candles) noexcept nogil
cdef void candles_clear(Candles* candles) noexcept nogil
cdef bint candles_add(Candles* candles, const Leg* leg) noexcept nogil
cdef dict candles_dump(const Candles* candles, Columns* columns, bint name)
cdef int candles_load(Candles* candles, keys, columns) except -1
cdef uint32_t venue_name(Columns* columns, uint32_t venue) noexcept nogil
cdef tuple typed_arrays(columns, Py_ssize_t n)
cdef dict named(names, values)
cdef tuple loaded(names, columns)
cdef int load_pair(
    const Index* index, keys, const uint32_t* rows, Py_ssize_t n, Pair* pair) except -1
