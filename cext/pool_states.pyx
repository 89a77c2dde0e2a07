"""The curves of one market partition's pools, moved by every swap leg, and the graph of them.

A pool is known by its key and its two mints in the order of its sides. Of more than `capacity` the
ones that were touched longest ago are forgotten. Each leg is first quoted by what is known before
it, then moves its pool. Nothing depends on addresses, hashes or time: the same legs in the same
order give the same state.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

from mevstream.cext.arrays cimport at32, at64, memory
from mevstream.cext.columns cimport (
    Columns, columns_free, columns_init, key_index, transaction_room,
)
from mevstream.cext.curve_learning cimport (
    N_MODELS, NO_MODEL, Known, Told, curve_before, learn, predict, same_place, start_known,
)
from mevstream.cext.cycles cimport CycleGraph
from mevstream.cext.pair_index cimport (
    NO_ENTRY, Index, Pair, index_find, index_free, index_grow, index_init, index_put, index_remove,
    pair_hash,
)
from mevstream.cext.quotes cimport BIN, UNKNOWN, Curve

import os

import numpy as np

MODELS = (
    "none", "amm_v4", "cpmm", "spl_swap", "pump_amm", "pump_bonding", "clmm", "whirlpool",
    "damm_v2", "dlmm",
)

# The rows of the arrays below: uint32 and uint64.
CHECK_COLUMNS = (("source", "exactness", "drift"), ("quoted", "actual"))
STATE_COLUMNS = (
    (
        "pool", "mint_0", "mint_1", "model", "rate_low", "rate_high", "bin_step", "kind",
        "exactness", "rate_0", "rate_1", "rate_2", "tick",
    ),
    (
        "slot", "count", "least", "least_high", "most", "most_high", "reserve_0", "reserve_1",
        "root", "root_high", "liquidity", "liquidity_high",
    ),
)

cdef enum:
    NONE = 0xFFFFFFFF
    # What a leg was quoted by (`source`).
    BY_NOTHING = 0
    BY_TOLD = 1            # what it tells of the state before it
    BY_TRACKED = 2         # where earlier legs left the pool

cdef struct State:
    Pair pair
    uint32_t older
    uint32_t newer
    uint32_t graph         # number of the pool in the graph
    uint64_t slot
    uint64_t count
    Known known

# The columns of a batch that are read.
cdef struct Batch:
    const uint8_t* keys
    const uint8_t* c32[12]
    const uint8_t* c64[15]

COLUMNS_32 = (
    "pool", "mint_in", "mint_out", "venue", "flags", "mode", "side", "fee_rate",
    "fee_rate_protocol", "fee_rate_creator", "tick_before", "tick",
)
COLUMNS_64 = (
    "amount_in", "amount_out", "withheld_in", "trader_in", "fee", "reserve_in", "reserve_out",
    "curve_in", "curve_out", "root_before", "root_before_high", "root", "root_high", "liquidity",
    "liquidity_high",
)


cdef dict columns_of(names, n32, n64):
    return dict(zip(names[0], n32)) | dict(zip(names[1], n64))


cdef class PoolStates:
    """capacity: how many pools are remembered."""

    cdef State* states
    cdef uint32_t n, room, capacity, oldest, newest
    cdef Index index
    cdef Columns columns
    cdef dict mints            # number in the graph by key
    cdef readonly CycleGraph graph

    def __cinit__(self, uint32_t capacity):
        cdef uint64_t seed = int.from_bytes(os.urandom(8), "little")
        if not 0 < capacity < 1 << 28:
            raise ValueError("no room for pools")
        self.capacity = capacity
        self.oldest = self.newest = NO_ENTRY
        self.mints = {}
        self.graph = CycleGraph()
        if not (index_init(&self.index, seed) and columns_init(&self.columns)):
            raise MemoryError

    def __dealloc__(self):
        free(self.states)
        index_free(&self.index)
        columns_free(&self.columns)

    def __len__(self):
        """How many pools are remembered."""
        return self.n

    def apply(self, view, models):
        """Moves the pools by the swap legs of a ParsedView, in their order. `models`: uint32, for
        each of its names the number of a model (MODELS). Gives CHECK_COLUMNS, a row a leg, by name:
        `source` 0 where the leg could not be quoted, else what by; `quoted` and `actual`, what the
        trader did not name, by the curve and as it came; `drift` 1 where the leg tells another
        state before it than earlier legs left. Raises ValueError for rows that point outside a
        table of the batch; then nothing has changed."""
        cdef Batch batch
        cdef Py_ssize_t n = view.n_swaps, i
        cdef uint32_t n_keys = len(view.keys), n_names = len(view.names), model, bad = 0
        cdef Told leg
        cdef Pair pair
        held = [getattr(view, f"swap_{name}") for name in (*COLUMNS_32, *COLUMNS_64)]
        n32 = np.zeros((3, n), np.uint32)
        n64 = np.zeros((2, n), np.uint64)
        models = np.ascontiguousarray(models, np.uint32)
        if n == 0:
            return columns_of(CHECK_COLUMNS, n32, n64)
        batch.keys = memory(view.keys, 32 * <Py_ssize_t>n_keys)
        for i in range(len(COLUMNS_32)):
            batch.c32[i] = memory(held[i], 4 * n)
        for i in range(len(COLUMNS_64)):
            batch.c64[i] = memory(held[len(COLUMNS_32) + i], 8 * n)
        cdef const uint8_t* model_of = memory(models, 4 * <Py_ssize_t>n_names)
        cdef uint32_t* out32 = <uint32_t*>memory(n32, 12 * n, True)
        cdef uint64_t* out64 = <uint64_t*>memory(n64, 16 * n, True)
        for i in range(n):
            for k in range(3):   # NONE + 1 is 0
                bad |= at32(batch.c32[<int>k], i) + 1 > n_keys
            bad |= at32(batch.c32[3], i) + 1 > n_names
        if bad:
            raise ValueError("a row points outside a table of the batch")
        for i in range(n):
            model = at32(batch.c32[3], i)
            model = NO_MODEL if model == NONE else at32(model_of, model)
            if model == NO_MODEL or model >= N_MODELS or not self.read(&batch, i, &leg, &pair):
                continue
            self.take(&leg, &pair, model, view.slot, &out32[i], &out64[i], n)
        return columns_of(CHECK_COLUMNS, n32, n64)

    cdef bint read(
        self, const Batch* batch, Py_ssize_t i, Told* leg, Pair* pair) noexcept nogil:
        """A row, and the pool with its mints in the order of its sides; 0 where one is missing."""
        cdef uint32_t pool = at32(batch.c32[0], i), mint_in = at32(batch.c32[1], i)
        cdef uint32_t mint_out = at32(batch.c32[2], i), side = at32(batch.c32[6], i), k
        cdef const uint8_t* key_in
        cdef const uint8_t* key_out
        cdef uint64_t withheld = at64(batch.c64[2], i)
        if pool == NONE or mint_in == NONE or mint_out == NONE:
            return False
        if memcmp(batch.keys + 32 * <size_t>mint_in, batch.keys + 32 * <size_t>mint_out, 32) == 0:
            return False
        key_in = batch.keys + 32 * <size_t>mint_in
        key_out = batch.keys + 32 * <size_t>mint_out
        if side > 1:
            # Of constant products the order is of no matter.
            side = memcmp(key_in, key_out, 32) > 0
        leg.side = side
        leg.flags = at32(batch.c32[4], i)
        leg.mode = at32(batch.c32[5], i)
        for k in range(3):
            leg.rate[k] = at32(batch.c32[7 + k], i)
        leg.tick_before = <int32_t>at32(batch.c32[10], i)
        leg.tick = <int32_t>at32(batch.c32[11], i)
        leg.amount_in = at64(batch.c64[0], i)
        leg.amount_out = at64(batch.c64[1], i)
        leg.net_in = leg.amount_in - withheld if withheld <= leg.amount_in else leg.amount_in
        leg.trader_in = at64(batch.c64[3], i)
        leg.fee = at64(batch.c64[4], i)
        leg.reserve_in = at64(batch.c64[5], i)
        leg.reserve_out = at64(batch.c64[6], i)
        leg.curve_in = at64(batch.c64[7], i)
        leg.curve_out = at64(batch.c64[8], i)
        for k in range(2):
            leg.root_before[k] = at64(batch.c64[9 + k], i)
            leg.root[k] = at64(batch.c64[11 + k], i)
            leg.liquidity[k] = at64(batch.c64[13 + k], i)
        memcpy(pair.keys, batch.keys + 32 * <size_t>pool, 32)
        memcpy(pair.keys + 32, key_out if side else key_in, 32)
        memcpy(pair.keys + 64, key_in if side else key_out, 32)
        pair.hash = pair_hash(&self.index, pair)
        return True

    cdef int take(
        self, const Told* leg, const Pair* pair, uint32_t model, uint64_t slot, uint32_t* out32,
        uint64_t* out64, Py_ssize_t n) except -1:
        """One leg: quoted, then applied. The columns of its checks are n apart."""
        cdef State* state = self.touch(pair, model)
        cdef Curve told
        cdef Known* known = &state.known
        cdef bint tracked = known.curve.exactness != UNKNOWN
        cdef bint is_told = curve_before(known, leg, &told)
        if is_told and tracked and known.curve.kind != BIN:
            out32[2 * n] = not same_place(&told, &known.curve)
        if is_told and predict(&told, leg, &out64[0], &out64[n]):
            out32[0] = BY_TOLD
            out32[n] = told.exactness
        elif not is_told and tracked and predict(&known.curve, leg, &out64[0], &out64[n]):
            out32[0] = BY_TRACKED
            out32[n] = known.curve.exactness
        learn(known, leg)
        state.slot = slot
        state.count += 1
        self.link(state)
        return 0

    cdef void link(self, const State* state) noexcept nogil:
        """The pool's curve in the graph is the one here."""
        self.graph.curves[state.graph] = state.known.curve
        if state.known.curve.exactness == UNKNOWN:
            self.graph.curves[state.graph].kind = 0
        self.graph.moved(state.graph)

    # -- the table --------------------------------------------------------------------------------

    cdef State* touch(self, const Pair* pair, uint32_t model) except NULL:
        """The pool, the newest from now on."""
        cdef uint32_t i = index_find(&self.index, <char*>self.states, sizeof(State), pair)
        if i == NO_ENTRY:
            i = self.add(pair, model)
        elif i == self.newest:
            return &self.states[i]
        else:
            self.unlink(i)
        self.states[i].older = self.newest
        self.states[i].newer = NO_ENTRY
        if self.newest == NO_ENTRY:
            self.oldest = i
        else:
            self.states[self.newest].newer = i
        self.newest = i
        return &self.states[i]

    cdef uint32_t add(self, const Pair* pair, uint32_t model) except? NO_ENTRY:
        cdef uint32_t i, room, first, second, pool
        cdef State* grown
        first = self.mint(pair.keys + 32)
        second = self.mint(pair.keys + 64)
        if self.n < self.capacity and self.n == self.room:
            room = min(2 * self.room + 64, self.capacity)
            grown = <State*>realloc(self.states, room * sizeof(State))
            if grown == NULL:
                raise MemoryError
            self.states = grown
            self.room = room
        pool = self.graph.add_pool(first, second)
        if self.n == self.capacity:
            i = self.oldest
            self.unlink(i)
            index_remove(&self.index, <char*>self.states, sizeof(State), i)
            self.graph.drop_pool(self.states[i].graph)
            self.graph.vacant.append(self.states[i].graph)
        else:
            i = self.n
            if not index_grow(&self.index, <char*>self.states, sizeof(State), i):
                raise MemoryError
            self.n += 1
        memset(&self.states[i], 0, sizeof(State))
        self.states[i].pair = pair[0]
        self.states[i].graph = pool
        start_known(&self.states[i].known, model)
        index_put(&self.index, pair.hash, i)
        return i

    cdef uint32_t mint(self, const uint8_t* key) except? NO_ENTRY:
        cdef bytes name = key[:32]
        number = self.mints.get(name)
        if number is None:
            number = self.mints[name] = self.graph.add_mint(1.0)
        return number

    cdef void unlink(self, uint32_t i) noexcept nogil:
        cdef uint32_t older = self.states[i].older, newer = self.states[i].newer
        if older == NO_ENTRY:
            self.oldest = newer
        else:
            self.states[older].newer = newer
        if newer == NO_ENTRY:
            self.newest = older
        else:
            self.states[newer].older = older

    # -- state ------------------------------------------------------------------------------------

    def number(self, bytes pool not None, bytes mint_0 not None, bytes mint_1 not None):
        """The pool's number in `graph`, by three keys of 32 bytes; None where it is not known."""
        cdef Pair pair
        cdef bytes keys = pool + mint_0 + mint_1
        if len(keys) != 96:
            raise ValueError("three keys have 96 bytes")
        memcpy(pair.keys, <const uint8_t*>keys, 96)
        pair.hash = pair_hash(&self.index, &pair)
        cdef uint32_t i = index_find(&self.index, <char*>self.states, sizeof(State), &pair)
        return None if i == NO_ENTRY else self.states[i].graph

    def dump(self):
        """(keys, columns): uint8 of shape (k, 32) and STATE_COLUMNS by name, the pool that was
        touched longest ago first, for `load`."""
        cdef Py_ssize_t n = self.n, i
        cdef uint32_t at = self.oldest, k
        cdef const State* state
        cdef uint32_t[13] row32
        cdef uint64_t[12] row64
        n32 = np.empty((13, n), np.uint32)
        n64 = np.empty((12, n), np.uint64)
        cdef uint32_t[:, ::1] out32 = n32
        cdef uint64_t[:, ::1] out64 = n64
        if not transaction_room(&self.columns, 0):
            raise MemoryError
        for i in range(n):
            state = &self.states[at]
            for k in range(3):
                row32[k] = key_index(&self.columns, state.pair.keys + 32 * k)
            row32[3], row32[4] = state.known.model, state.known.rate_low
            row32[5], row32[6] = state.known.rate_high, state.known.bin_step
            row32[7], row32[8] = state.known.curve.kind, state.known.curve.exactness
            for k in range(3):
                row32[9 + k] = state.known.curve.rate[k]
            row32[12] = <uint32_t>state.known.curve.tick
            row64[0], row64[1] = state.slot, state.count
            for k in range(2):
                row64[2 + k] = state.known.least[k]
                row64[4 + k] = state.known.most[k]
                row64[6 + k] = state.known.curve.reserve[k]
                row64[8 + k] = state.known.curve.root[k]
                row64[10 + k] = state.known.curve.liquidity[k]
            for k in range(13):
                out32[k, i] = row32[k]
            for k in range(12):
                out64[k, i] = row64[k]
            at = state.newer
        if self.columns.failed:
            raise MemoryError
        keys = np.frombuffer(self.columns.keys[:32 * self.columns.n_keys], np.uint8)
        return keys.reshape(-1, 32), columns_of(STATE_COLUMNS, n32, n64)

    def load(self, keys, columns):
        """Puts what `dump` gave into this table, which must be new. Raises ValueError for columns
        that cannot be from there."""
        cdef Py_ssize_t n = len(columns["pool"]), i
        cdef uint32_t n_keys = len(keys), k
        cdef const uint8_t* key_data = memory(keys, 32 * <Py_ssize_t>n_keys)
        cdef const uint32_t[:, ::1] c32 = np.array(
            [np.asarray(columns[name]).astype(np.uint32) for name in STATE_COLUMNS[0]], np.uint32)
        cdef const uint64_t[:, ::1] c64 = np.array(
            [columns[name] for name in STATE_COLUMNS[1]], np.uint64)
        cdef Pair pair
        cdef State* state
        for i in range(n):
            for k in range(3):
                if c32[k, i] >= n_keys:
                    raise ValueError(f"a pool or mint points outside {n_keys} keys")
                memcpy(pair.keys + 32 * k, key_data + 32 * <size_t>c32[k, i], 32)
            if c32[3, i] >= N_MODELS or c32[7, i] > BIN or memcmp(
                    pair.keys + 32, pair.keys + 64, 32) == 0:
                raise ValueError("a pool is none")
            pair.hash = pair_hash(&self.index, &pair)
            if index_find(&self.index, <char*>self.states, sizeof(State), &pair) != NO_ENTRY:
                raise ValueError("a pool comes twice")
            state = self.touch(&pair, c32[3, i])
            state.known.rate_low, state.known.rate_high = c32[4, i], c32[5, i]
            state.known.bin_step = c32[6, i]
            state.known.curve.kind, state.known.curve.exactness = c32[7, i], c32[8, i]
            for k in range(3):
                state.known.curve.rate[k] = c32[9 + k, i]
            state.known.curve.tick = <int32_t>c32[12, i]
            state.slot, state.count = c64[0, i], c64[1, i]
            for k in range(2):
                state.known.least[k] = c64[2 + k, i]
                state.known.most[k] = c64[4 + k, i]
                state.known.curve.reserve[k] = c64[6 + k, i]
                state.known.curve.root[k] = c64[8 + k, i]
                state.known.curve.liquidity[k] = c64[10 + k, i]
            self.link(state)
