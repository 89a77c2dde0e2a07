"""The candles of one slot: what the legs of each pool and pair of mints came to.

They are apart from the pools of pool_table.pyx, for a candle has to tell all of its slot, however
many pools are remembered.
"""

from libc.math cimport NAN, isnan
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from mevstream.cext.arrays cimport memory
from mevstream.cext.columns cimport MAX_NAMES, key_index, name_column
from mevstream.cext.memory cimport grow
from mevstream.cext.pair_index cimport (
    NO_ENTRY,
    index_clear,
    index_find,
    index_free,
    index_grow,
    index_init,
    index_put,
    pair_hash,
)

import numpy as np

# By type: uint32, uint64, float64.
CANDLE_COLUMNS = (
    (
        "pool",
        "base",
        "quote",
        "venue",
        "decimals_base",
        "decimals_quote",
        "swaps",
        "buys",
        "flags",
    ),
    (
        "volume_base",
        "volume_base_high",
        "volume_quote",
        "volume_quote_high",
        "reserve_base",
        "reserve_quote",
    ),
    (
        "open",
        "high",
        "low",
        "close",
        "price_after",
        "impact_max",
        "impact_sum",
        "impact_weight",
    ),
)


cdef inline void add(uint64_t* sum_, uint64_t value) noexcept nogil:
    """To 128 bits, low word first."""
    sum_[0] += value
    if sum_[0] < value:
        sum_[1] += 1


cdef tuple typed_arrays(columns, Py_ssize_t n):
    return (
        np.empty((len(columns[0]), n), np.uint32),
        np.empty((len(columns[1]), n), np.uint64),
        np.empty((len(columns[2]), n), np.float64),
    )


cdef dict named(names, values):
    cdef dict columns = {}
    for row, array in zip(names, values):
        columns.update(zip(row, array))
    return columns


cdef tuple loaded(names, columns):
    """The columns of these names as arrays of their types, a row a column. Raises ValueError where
    they are not of one length."""
    n = len(columns[names[0][0]])
    return tuple([
        np.array([columns[name] for name in group], dtype).reshape(len(group), n)
        for group, dtype in zip(names, (np.uint32, np.uint64, np.float64))
    ])


cdef int load_pair(
    const Index* index, keys, const uint32_t* rows, Py_ssize_t n, Pair* pair) except -1:
    """The keys that three values, n apart, are the rows of. Raises ValueError where there are no
    such rows."""
    cdef uint32_t n_keys = len(keys), k
    cdef const uint8_t* data = memory(keys, 32 * <Py_ssize_t>n_keys)
    for k in range(3):
        if rows[k * n] >= n_keys:
            raise ValueError(f"a pool or mint points outside {n_keys} keys")
        memcpy(pair.keys + 32 * k, data + 32 * <size_t>rows[k * n], 32)
    pair.hash = pair_hash(index, pair)
    return 0


cdef uint32_t venue_name(Columns* columns, uint32_t venue) noexcept nogil:
    return NONE if venue == NONE else name_column(columns, venue)


cdef bint candles_init(Candles* candles, uint64_t seed) noexcept nogil:
    """0 without memory."""
    candles.all = NULL
    candles.n = candles.room = 0
    return index_init(&candles.index, seed)


cdef void candles_free(Candles* candles) noexcept nogil:
    free(candles.all)
    index_free(&candles.index)


cdef void candles_clear(Candles* candles) noexcept nogil:
    """The open slot has ended: none are left."""
    if candles.n:
        candles.n = 0
        index_clear(&candles.index)


cdef Candle* candle_of(Candles* candles, const Pair* pair) noexcept nogil:
    """The pair's candle of the open slot; NULL without memory."""
    cdef uint32_t i = index_find(&candles.index, <char*>candles.all, sizeof(Candle), pair)
    cdef int k
    if i != NO_ENTRY:
        return &candles.all[i]
    i = candles.n
    if i == candles.room:
        if not grow(<void**>&candles.all, 2 * <size_t>candles.room + 64, sizeof(Candle)):
            return NULL
        candles.room = 2 * candles.room + 64
    if not index_grow(&candles.index, <char*>candles.all, sizeof(Candle), i):
        return NULL
    candles.n += 1
    memset(&candles.all[i], 0, sizeof(Candle))
    candles.all[i].pair = pair[0]
    candles.all[i].n32[C_VENUE] = NONE
    candles.all[i].n32[C_DECIMALS_BASE] = UNKNOWN_DECIMALS
    candles.all[i].n32[C_DECIMALS_QUOTE] = UNKNOWN_DECIMALS
    for k in range(C_IMPACT_MAX + 1):
        candles.all[i].f64[k] = NAN
    index_put(&candles.index, pair.hash, i)
    return &candles.all[i]


cdef bint candles_add(Candles* candles, const Leg* leg) noexcept nogil:
    """Adds a leg to its candle; 0 without memory."""
    cdef Candle* candle = candle_of(candles, &leg.pair)
    cdef double* f64
    if candle == NULL:
        return False
    f64 = candle.f64
    if leg.venue != NONE:
        candle.n32[C_VENUE] = leg.venue
    if leg.decimals_base != UNKNOWN_DECIMALS:
        candle.n32[C_DECIMALS_BASE] = leg.decimals_base
    if leg.decimals_quote != UNKNOWN_DECIMALS:
        candle.n32[C_DECIMALS_QUOTE] = leg.decimals_quote
    candle.n32[C_SWAPS] += 1
    candle.n32[C_BUYS] += leg.buy
    add(&candle.n64[C_VOLUME_BASE], leg.base)
    add(&candle.n64[C_VOLUME_QUOTE], leg.quote)
    if leg.told:
        candle.n32[C_FLAGS] |= RESERVES_TOLD
        candle.n64[C_RESERVE_BASE] = leg.reserve_base
        candle.n64[C_RESERVE_QUOTE] = leg.reserve_quote
    if not isnan(leg.price):
        if isnan(f64[C_OPEN]):
            f64[C_OPEN] = f64[C_HIGH] = f64[C_LOW] = leg.price
        f64[C_HIGH] = max(f64[C_HIGH], leg.price)
        f64[C_LOW] = min(f64[C_LOW], leg.price)
        f64[C_CLOSE] = leg.price
    if not isnan(leg.price_after):
        f64[C_PRICE_AFTER] = leg.price_after
    if not isnan(leg.impact):
        if isnan(f64[C_IMPACT_MAX]) or leg.impact > f64[C_IMPACT_MAX]:
            f64[C_IMPACT_MAX] = leg.impact
        f64[C_IMPACT_SUM] += leg.impact * <double>leg.quote
        f64[C_IMPACT_WEIGHT] += <double>leg.quote
    return True


cdef dict candles_dump(const Candles* candles, Columns* columns, bint name):
    """All there are as columns by name (CANDLE_COLUMNS), their keys in `columns`, in order; `name`:
    with the names of the venues there, else with their codes."""
    cdef Py_ssize_t n = candles.n, i
    cdef int k
    cdef const Candle* candle
    out = typed_arrays(CANDLE_COLUMNS, n)
    if n == 0:
        return named(CANDLE_COLUMNS, out)
    cdef uint32_t* n32 = <uint32_t*>memory(out[0], 4 * n, True)
    cdef uint64_t* n64 = <uint64_t*>memory(out[1], 8 * n, True)
    cdef double* f64 = <double*>memory(out[2], 8 * n, True)
    for i in range(n):
        candle = &candles.all[i]
        for k in range(3):
            n32[k * n + i] = key_index(columns, candle.pair.keys + 32 * k)
        for k in range(C_32):
            n32[(3 + k) * n + i] = candle.n32[k]
        if name:
            n32[(3 + C_VENUE) * n + i] = venue_name(columns, candle.n32[C_VENUE])
        for k in range(C_64):
            n64[k * n + i] = candle.n64[k]
        for k in range(C_F64):
            f64[k * n + i] = candle.f64[k]
    if columns.failed:
        raise MemoryError
    return named(CANDLE_COLUMNS, out)


cdef int candles_load(Candles* candles, keys, columns) except -1:
    """Puts what `candles_dump` gave without names into a table that has none; `keys` is uint8 of
    shape (k, 32). Raises ValueError for columns that cannot be from there."""
    cdef Py_ssize_t n = len(columns["pool"]), i
    cdef int k
    cdef Pair pair
    cdef Candle* candle
    rows = loaded(CANDLE_COLUMNS, columns)
    cdef const uint32_t[:, ::1] n32 = rows[0]
    cdef const uint64_t[:, ::1] n64 = rows[1]
    cdef const double[:, ::1] f64 = rows[2]
    for i in range(n):
        load_pair(&candles.index, keys, &n32[0, i], n, &pair)
        candle = candle_of(candles, &pair)
        if candle == NULL:
            raise MemoryError
        if candles.n != <uint32_t>i + 1:
            raise ValueError("a candle comes twice")
        for k in range(C_32):
            candle.n32[k] = n32[3 + k, i]
        if candle.n32[C_VENUE] >= MAX_NAMES:
            candle.n32[C_VENUE] = NONE
        for k in range(C_64):
            candle.n64[k] = n64[k, i]
        for k in range(C_F64):
            candle.f64[k] = f64[k, i]
    return 0
