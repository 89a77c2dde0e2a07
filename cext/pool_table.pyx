"""The state of the pools of one market partition, and the candles of the slot that is open.

A pool is remembered once for every pair of its mints that is traded in it. Of more than
`capacity` the ones that were touched longest ago are forgotten; candles are kept apart from that,
for a candle has to tell all of its slot. Nothing depends on addresses, hashes or time: the same
legs in the same order give the same columns.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.math cimport INFINITY, NAN
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy, memset

from mevstream.cext.arrays cimport at32, at64, at_f64, memory
from mevstream.cext.candles cimport (
    NONE,
    RESERVES_TOLD,
    UNKNOWN_DECIMALS,
    Candles,
    Leg,
    candles_add,
    candles_clear,
    candles_dump,
    candles_free,
    candles_init,
    candles_load,
    load_pair,
    loaded,
    named,
    typed_arrays,
    venue_name,
)
from mevstream.cext.columns cimport (
    MAX_NAMES,
    Columns,
    columns_free,
    columns_init,
    key_index,
    transaction_room,
)
from mevstream.cext.memory cimport grow
from mevstream.cext.pair_index cimport (
    NO_ENTRY,
    Index,
    Pair,
    index_find,
    index_free,
    index_grow,
    index_init,
    index_put,
    index_remove,
    pair_hash,
)
from mevstream.cext.recency cimport (
    Recency,
    recency_init,
    recency_put,
    recency_take_out,
    recency_touch,
)
from mevstream.cext.wire cimport mv_equal32

import os

import numpy as np

# The rows of the arrays below, by type: uint32, uint64, float64.
SWAP_COLUMNS = (
    ("flags", "venue", "pool", "base", "quote", "decimals_base", "decimals_quote"),
    (
        "amount_base",
        "amount_quote",
        "reserve_base",
        "reserve_quote",
        "reserve_slot",
        "previous_slot",
        "count",
    ),
    ("price", "price_after"),
)
POOL_COLUMNS = (
    ("pool", "base", "quote", "flags"),
    ("reserve_base", "reserve_quote", "reserve_slot", "slot", "count"),
    (),
)

cdef enum:   # swap_flags of schemas/features.proto
    BUY = 1
    PAIRED = 2
    RESERVES_KNOWN = 32

cdef enum:   # SWAP_COLUMNS
    S_FLAGS, S_VENUE, S_POOL, S_BASE, S_QUOTE, S_DECIMALS_BASE, S_DECIMALS_QUOTE, S_32

cdef enum:
    S_AMOUNT_BASE, S_AMOUNT_QUOTE, S_RESERVE_BASE, S_RESERVE_QUOTE, S_RESERVE_SLOT
    S_PREVIOUS_SLOT, S_COUNT, S_64

cdef enum:
    S_PRICE, S_PRICE_AFTER, S_F64

cdef enum:   # POOL_COLUMNS behind the three keys
    P_FLAGS, P_32

cdef enum:
    P_RESERVE_BASE, P_RESERVE_QUOTE, P_RESERVE_SLOT, P_SLOT, P_COUNT, P_64

# Headed as an Entry of recency.pxd.
cdef struct Pool:
    Pair pair
    uint32_t older
    uint32_t newer
    uint32_t n32[P_32]
    uint64_t n64[P_64]

# The columns of a batch that are read, and those that are written.
cdef struct Legs:
    Py_ssize_t n
    const uint8_t* keys
    const uint8_t* pool
    const uint8_t* mint_in
    const uint8_t* mint_out
    const uint8_t* decimals_in
    const uint8_t* decimals_out
    const uint8_t* venue
    const uint8_t* flags
    const uint8_t* replica
    const uint8_t* amount_in
    const uint8_t* amount_out
    const uint8_t* reserve_in
    const uint8_t* reserve_out
    const uint8_t* price_after
    const uint8_t* venues
    uint32_t* n32
    uint64_t* n64
    double* f64


cdef inline double price_or_nan(double value) noexcept nogil:
    return value if 0 < value < INFINITY else NAN


cdef class PoolTable:
    """`quotes` are the hub mints, 32 bytes each, the best rank first; `capacity` is how many
    pools are remembered.

    For one batch: `begin`, `check`, then `take_candles` and `swaps` in any order; `keys` and
    `venues` are the tables that their columns refer to.
    """

    cdef Pool* pools
    cdef uint32_t n_pools, room, capacity
    cdef Recency order
    cdef Index index
    cdef Candles candles
    cdef Columns columns
    cdef bytes quotes
    cdef const uint8_t* quote_keys
    cdef uint32_t n_quotes

    def __cinit__(self, quotes, uint32_t capacity):
        cdef uint64_t seed = int.from_bytes(os.urandom(8), "little")
        self.quotes = b"".join(quotes)
        self.quote_keys = <const uint8_t*>PyBytes_AS_STRING(self.quotes)
        self.n_quotes = len(quotes)
        if len(self.quotes) != 32 * self.n_quotes or not 0 < capacity < 1 << 30:
            raise ValueError("a mint that is not 32 bytes, or no room for pools")
        self.capacity = capacity
        recency_init(&self.order)
        if not (
            index_init(&self.index, seed)
            and candles_init(&self.candles, seed)
            and columns_init(&self.columns)
        ):
            raise MemoryError
        self.begin()

    def __dealloc__(self):
        free(self.pools)
        candles_free(&self.candles)
        index_free(&self.index)
        columns_free(&self.columns)

    def __len__(self):
        """How many pools are remembered."""
        return self.n_pools

    def begin(self):
        """Starts a batch: no keys and no venues."""
        if not transaction_room(&self.columns, 0):
            raise MemoryError

    def keys(self):
        """The keys of the batch so far: uint8 of shape (k, 32)."""
        cdef uint32_t n = self.columns.n_keys
        cdef bytes data = PyBytes_FromStringAndSize(<char*>self.columns.keys, 32 * <Py_ssize_t>n)
        return np.frombuffer(data, np.uint8).reshape(n, 32)

    def venues(self):
        """The codes of the venues of the batch so far."""
        return [self.columns.names[i] for i in range(self.columns.n_names)]

    def check(self, view):
        """Raises ValueError where `swaps` would read beyond a table of the batch."""
        cdef Py_ssize_t n = view.n_swaps, i
        cdef uint32_t n_keys = len(view.keys), n_names = len(view.names), bad = 0
        if n == 0:
            return
        cdef const uint8_t* pool = memory(view.swap_pool, 4 * n)
        cdef const uint8_t* mint_in = memory(view.swap_mint_in, 4 * n)
        cdef const uint8_t* mint_out = memory(view.swap_mint_out, 4 * n)
        cdef const uint8_t* venue = memory(view.swap_venue, 4 * n)
        for i in range(n):
            # NONE + 1 is 0.
            bad |= at32(pool, i) + 1 > n_keys
            bad |= at32(mint_in, i) + 1 > n_keys
            bad |= at32(mint_out, i) + 1 > n_keys
            bad |= (at32(venue, i) + 1 > n_names) << 1
        if bad & 1:
            raise ValueError(f"a pool or mint points outside {n_keys} keys")
        if bad:
            raise ValueError(f"swap_venue points outside {n_names} names")

    def swaps(self, view, venues, bint candles):
        """Takes the legs of a batch that was checked, and returns their columns by name
        (SWAP_COLUMNS). `venues` has the code of each of its names (uint32); `candles` tells
        whether the legs at home count for the candles of the open slot."""
        cdef Legs legs
        cdef uint64_t slot = view.slot
        cdef Py_ssize_t n = view.n_swaps
        cdef bint ok
        out = typed_arrays(SWAP_COLUMNS, n)
        if n == 0:
            return named(SWAP_COLUMNS, out)
        legs.n = n
        legs.keys = memory(view.keys, 0)
        legs.pool = memory(view.swap_pool, 4 * n)
        legs.mint_in = memory(view.swap_mint_in, 4 * n)
        legs.mint_out = memory(view.swap_mint_out, 4 * n)
        legs.decimals_in = memory(view.swap_decimals_in, 4 * n)
        legs.decimals_out = memory(view.swap_decimals_out, 4 * n)
        legs.venue = memory(view.swap_venue, 4 * n)
        legs.flags = memory(view.swap_flags, 4 * n)
        legs.replica = memory(view.swap_replica, 4 * n)
        legs.amount_in = memory(view.swap_amount_in, 8 * n)
        legs.amount_out = memory(view.swap_amount_out, 8 * n)
        legs.reserve_in = memory(view.swap_reserve_in, 8 * n)
        legs.reserve_out = memory(view.swap_reserve_out, 8 * n)
        legs.price_after = memory(view.swap_price_after, 8 * n)
        legs.venues = memory(venues, 4 * <Py_ssize_t>len(view.names))
        legs.n32 = <uint32_t*>memory(out[0], 4 * n, True)
        legs.n64 = <uint64_t*>memory(out[1], 8 * n, True)
        legs.f64 = <double*>memory(out[2], 8 * n, True)
        with nogil:
            ok = self.take(&legs, slot, candles)
        if not ok or self.columns.failed:
            raise MemoryError
        return named(SWAP_COLUMNS, out)

    cdef bint take(self, const Legs* legs, uint64_t slot, bint candles) noexcept nogil:
        """0 without memory."""
        cdef Py_ssize_t i, n = legs.n
        cdef Leg leg
        cdef Pool* pool
        cdef uint32_t flags
        cdef uint64_t* n64
        for i in range(n):
            flags = self.orient(legs, i, &leg)
            n64 = legs.n64 + i
            n64[S_RESERVE_BASE * n] = n64[S_RESERVE_QUOTE * n] = n64[S_RESERVE_SLOT * n] = 0
            n64[S_PREVIOUS_SLOT * n] = n64[S_COUNT * n] = 0
            if flags & PAIRED:
                leg.pair.hash = pair_hash(&self.index, &leg.pair)
                pool = self.touch(&leg.pair)
                if pool == NULL:
                    return False
                n64[S_PREVIOUS_SLOT * n] = pool.n64[P_SLOT]
                if leg.told:
                    pool.n64[P_RESERVE_BASE] = leg.reserve_base
                    pool.n64[P_RESERVE_QUOTE] = leg.reserve_quote
                    pool.n64[P_RESERVE_SLOT] = slot
                    pool.n32[P_FLAGS] |= RESERVES_KNOWN
                pool.n64[P_SLOT] = slot
                pool.n64[P_COUNT] += 1
                flags |= pool.n32[P_FLAGS]
                n64[S_RESERVE_BASE * n] = pool.n64[P_RESERVE_BASE]
                n64[S_RESERVE_QUOTE * n] = pool.n64[P_RESERVE_QUOTE]
                n64[S_RESERVE_SLOT * n] = pool.n64[P_RESERVE_SLOT]
                n64[S_COUNT * n] = pool.n64[P_COUNT]
                if candles and at32(legs.replica, i) == 0 and not candles_add(&self.candles, &leg):
                    return False
            legs.n32[S_FLAGS * n + i] = flags
        return True

    cdef uint32_t orient(self, const Legs* legs, Py_ssize_t i, Leg* leg) noexcept nogil:
        """Fills `leg` and the columns that follow from it alone; returns its flags."""
        cdef Py_ssize_t n = legs.n
        cdef uint32_t flags = at32(legs.flags, i) & RESERVES_TOLD
        cdef uint32_t pool = at32(legs.pool, i), venue = at32(legs.venue, i)
        cdef uint32_t mint_in = at32(legs.mint_in, i), mint_out = at32(legs.mint_out, i)
        cdef uint32_t* n32 = legs.n32 + i
        cdef const uint8_t* key_in = legs.keys + 32 * <size_t>mint_in
        cdef const uint8_t* key_out = legs.keys + 32 * <size_t>mint_out
        cdef uint64_t amount_in = at64(legs.amount_in, i), before
        cdef double after = at_f64(legs.price_after, i)
        leg.venue = NONE if venue == NONE else at32(legs.venues, venue)
        if leg.venue >= MAX_NAMES:
            leg.venue = NONE
        n32[S_VENUE * n] = venue_name(&self.columns, leg.venue)
        n32[S_POOL * n] = NONE
        if pool != NONE:
            n32[S_POOL * n] = key_index(&self.columns, legs.keys + 32 * <size_t>pool)
        if mint_in == NONE or mint_out == NONE or mv_equal32(key_in, key_out):
            n32[S_BASE * n] = n32[S_QUOTE * n] = NONE
            n32[S_DECIMALS_BASE * n] = n32[S_DECIMALS_QUOTE * n] = UNKNOWN_DECIMALS
            legs.n64[S_AMOUNT_BASE * n + i] = legs.n64[S_AMOUNT_QUOTE * n + i] = 0
            legs.f64[S_PRICE * n + i] = legs.f64[S_PRICE_AFTER * n + i] = NAN
            return flags
        leg.told = flags != 0
        leg.buy = self.is_quote(key_in, key_out)
        # What the pool had of the mint that came in: enough to tell of a share of it?
        before = at64(legs.reserve_in, i)
        before = before - amount_in if leg.told and before > amount_in else 0
        leg.impact = <double>amount_in / <double>before if before else NAN
        if leg.buy:
            flags |= BUY
            key_in, key_out = key_out, key_in
            leg.quote, leg.base = amount_in, at64(legs.amount_out, i)
            leg.reserve_quote, leg.reserve_base = at64(legs.reserve_in, i), at64(legs.reserve_out, i)
            leg.decimals_quote = at32(legs.decimals_in, i)
            leg.decimals_base = at32(legs.decimals_out, i)
            leg.price_after = price_or_nan(1.0 / after)
        else:
            leg.base, leg.quote = amount_in, at64(legs.amount_out, i)
            leg.reserve_base, leg.reserve_quote = at64(legs.reserve_in, i), at64(legs.reserve_out, i)
            leg.decimals_base = at32(legs.decimals_in, i)
            leg.decimals_quote = at32(legs.decimals_out, i)
            leg.price_after = price_or_nan(after)
        leg.price = <double>leg.quote / <double>leg.base if leg.base and leg.quote else NAN
        n32[S_BASE * n] = key_index(&self.columns, key_in)
        n32[S_QUOTE * n] = key_index(&self.columns, key_out)
        n32[S_DECIMALS_BASE * n] = leg.decimals_base
        n32[S_DECIMALS_QUOTE * n] = leg.decimals_quote
        legs.n64[S_AMOUNT_BASE * n + i] = leg.base
        legs.n64[S_AMOUNT_QUOTE * n + i] = leg.quote
        legs.f64[S_PRICE * n + i] = leg.price
        legs.f64[S_PRICE_AFTER * n + i] = leg.price_after
        if pool == NONE:
            return flags
        memcpy(leg.pair.keys, legs.keys + 32 * <size_t>pool, 32)
        memcpy(leg.pair.keys + 32, key_in, 32)
        memcpy(leg.pair.keys + 64, key_out, 32)
        return flags | PAIRED

    cdef bint is_quote(self, const uint8_t* mint, const uint8_t* other) noexcept nogil:
        cdef uint32_t rank = self.rank(mint), other_rank = self.rank(other)
        if rank != other_rank:
            return rank < other_rank
        return memcmp(mint, other, 32) > 0

    cdef uint32_t rank(self, const uint8_t* mint) noexcept nogil:
        cdef uint32_t i
        for i in range(self.n_quotes):
            if mv_equal32(self.quote_keys + 32 * <size_t>i, mint):
                return i
        return self.n_quotes

    # -- pools ------------------------------------------------------------------------------------

    cdef Pool* touch(self, const Pair* pair) noexcept nogil:
        """The pair's pool, the newest from now on; NULL without memory."""
        cdef uint32_t i = index_find(&self.index, <char*>self.pools, sizeof(Pool), pair)
        if i == NO_ENTRY:
            i = self.add_pool(pair)
            return NULL if i == NO_ENTRY else &self.pools[i]
        recency_touch(&self.order, <char*>self.pools, sizeof(Pool), i)
        return &self.pools[i]

    cdef uint32_t add_pool(self, const Pair* pair) noexcept nogil:
        """An empty entry, the newest; NO_ENTRY without memory."""
        cdef uint32_t i, room
        if self.n_pools == self.capacity:
            i = self.order.oldest
            recency_take_out(&self.order, <char*>self.pools, sizeof(Pool), i)
            index_remove(&self.index, <char*>self.pools, sizeof(Pool), i)
        else:
            i = self.n_pools
            if i == self.room:
                room = min(2 * self.room + 64, self.capacity)
                if not grow(<void**>&self.pools, room, sizeof(Pool)):
                    return NO_ENTRY
                self.room = room
            if not index_grow(&self.index, <char*>self.pools, sizeof(Pool), i):
                return NO_ENTRY
            self.n_pools += 1
        memset(&self.pools[i], 0, sizeof(Pool))
        self.pools[i].pair = pair[0]
        index_put(&self.index, pair.hash, i)
        recency_put(&self.order, <char*>self.pools, sizeof(Pool), i)
        return i

    # -- candles ----------------------------------------------------------------------------------

    def take_candles(self):
        """Ends the open slot: its candles as columns by name (CANDLE_COLUMNS); none are left."""
        columns = candles_dump(&self.candles, &self.columns, True)
        candles_clear(&self.candles)
        return columns

    # -- state ------------------------------------------------------------------------------------

    def dump(self):
        """(pools, candles): all there is, as columns by name (POOL_COLUMNS, the pool that was
        touched longest ago first; CANDLE_COLUMNS, with the codes of venues), for `load`. Starts a
        batch of its own."""
        cdef Py_ssize_t n = self.n_pools, i
        cdef uint32_t at = self.order.oldest
        cdef int k
        cdef uint32_t* n32
        cdef uint64_t* n64
        self.begin()
        out = typed_arrays(POOL_COLUMNS, n)
        if n:
            n32 = <uint32_t*>memory(out[0], 4 * n, True)
            n64 = <uint64_t*>memory(out[1], 8 * n, True)
            for i in range(n):
                for k in range(3):
                    n32[k * n + i] = key_index(&self.columns, self.pools[at].pair.keys + 32 * k)
                for k in range(P_32):
                    n32[(3 + k) * n + i] = self.pools[at].n32[k]
                for k in range(P_64):
                    n64[k * n + i] = self.pools[at].n64[k]
                at = self.pools[at].newer
        return named(POOL_COLUMNS, out), candles_dump(&self.candles, &self.columns, False)

    def load(self, keys, pools, candles):
        """Puts what `dump` gave into this table, which must be new; `keys` is uint8 of shape
        (k, 32). Raises ValueError for columns that cannot be from there."""
        cdef Py_ssize_t n = len(pools["pool"]), i
        cdef Pair pair
        cdef Pool* pool
        cdef int k
        rows = loaded(POOL_COLUMNS, pools)
        cdef const uint32_t[:, ::1] n32 = rows[0]
        cdef const uint64_t[:, ::1] n64 = rows[1]
        for i in range(n):
            load_pair(&self.index, keys, &n32[0, i], n, &pair)
            if index_find(&self.index, <char*>self.pools, sizeof(Pool), &pair) != NO_ENTRY:
                raise ValueError("a pool comes twice")
            pool = self.touch(&pair)
            if pool == NULL:
                raise MemoryError
            pool.n32[P_FLAGS] = n32[3 + P_FLAGS, i] & RESERVES_KNOWN
            for k in range(P_64):
                pool.n64[k] = n64[k, i]
        candles_load(&self.candles, keys, candles)
