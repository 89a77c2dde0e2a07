"""The curves of one market partition's pools, moved by every swap leg and liquidity change.

A pool is known by its key and its two mints in the order of its sides. Of more than `capacity` the
ones that were touched longest ago are forgotten. Each leg is first quoted by what is known before
it, then moves its pool. Nothing depends on addresses, hashes or time: the same legs in the same
order give the same state.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

from mevstream.cext.arrays cimport memory
from mevstream.cext.columns cimport columns_free, columns_init, key_index, transaction_room
from mevstream.cext.curve_learning cimport (
    CLMM, DAMM_V2, DLMM, N_MODELS, PUMP_BONDING, WHIRLPOOL, Known, Told, curve_before,
    learn, predict, same_place, start_known, sure_of_leg,
)
from mevstream.cext.curves cimport tick_price, u128, u128_less
from mevstream.cext.cycles cimport CycleGraph
from mevstream.cext.markets cimport Markets
from mevstream.cext.model cimport NO_TICK
from mevstream.cext.pair_index cimport (
    NO_ENTRY, Pair, index_find, index_free, index_grow, index_init, index_put, index_remove,
    pair_hash,
)
from mevstream.cext.quotes cimport APPROXIMATE, BIN, UNKNOWN, Curve, root_of
from mevstream.cext.recency cimport recency_init, recency_put, recency_take_out, recency_touch

import os

import numpy as np

MODELS = (
    "none", "amm_v4", "cpmm", "spl_swap", "pump_amm", "pump_bonding", "clmm", "whirlpool",
    "damm_v2", "dlmm",
)

# The rows of the arrays below: uint32 and uint64.
STATE_COLUMNS = (
    (
        "pool", "mint_0", "mint_1", "model", "rate_low", "rate_high", "bin_step", "kind",
        "exactness", "rate_0", "rate_1", "rate_2", "tick", "venue", "decimals_0", "decimals_1",
        "withheld", "share_low", "share_high", "fee_side", "creator_fee",
    ),
    (
        "slot", "count", "least", "least_high", "most", "most_high", "reserve_0", "reserve_1",
        "root", "root_high", "liquidity", "liquidity_high", "splits", "fee", "untaken",
    ),
)

cdef enum:
    N_32 = 21
    N_64 = 15
    MILLION = 1_000_000


cdef inline bint shift(uint64_t* words, const uint64_t* delta, bint add) noexcept nogil:
    """128 bits more or less; 0 where that does not fit."""
    cdef uint64_t low = words[0], high = words[1]
    if add:
        words[0] = low + delta[0]
        words[1] = high + delta[1] + (words[0] < low)
        return words[1] > high or (words[1] == high and words[0] >= low)
    words[0] = low - delta[0]
    words[1] = high - delta[1] - (low < delta[0])
    return high > delta[1] or (high == delta[1] and low >= delta[0])


cdef dict columns_of(names, n32, n64):
    return dict(zip(names[0], n32)) | dict(zip(names[1], n64))


cdef class PoolStates:
    """capacity: how many pools are remembered; `hubs`: see Markets."""

    def __cinit__(self, uint32_t capacity, hubs=()):
        cdef uint64_t seed = int.from_bytes(os.urandom(8), "little")
        if not 0 < capacity < 1 << 28:
            raise ValueError("no room for pools")
        self.capacity = capacity
        recency_init(&self.order)
        self.markets = Markets(hubs)
        if not (index_init(&self.index, seed) and columns_init(&self.columns)):
            raise MemoryError

    def __dealloc__(self):
        free(self.states)
        index_free(&self.index)
        columns_free(&self.columns)

    def __len__(self):
        """How many pools are remembered."""
        return self.n

    # -- moves ------------------------------------------------------------------------------------

    cdef uint32_t take(
        self, const Told* leg, const Pair* pair, uint32_t model, uint64_t slot, Check* check,
        Before* before) except? 0xFFFFFFFF:
        """One leg: quoted, then applied. Gives the pool, what the quote was worth, and how the leg
        found the pool."""
        cdef uint32_t i = self.touch(pair, model)
        cdef State* state = &self.states[i]
        cdef Known* known = &state.known
        cdef Curve told
        cdef bint is_told = curve_before(known, leg, &told)
        memset(check, 0, sizeof(Check))
        before.tracked = known.curve.exactness != UNKNOWN
        before.curve = told if is_told else known.curve
        if is_told and before.tracked and known.curve.kind != BIN:
            check.drift = not same_place(&told, &known.curve)
        if (is_told or before.tracked) and predict(
                &before.curve, leg, &check.quoted, &check.actual):
            check.source = BY_TOLD if is_told else BY_TRACKED
            check.exactness = sure_of_leg(known, &before.curve, leg, check.quoted)
        learn(known, leg)
        state.slot = slot
        state.count += 1
        if leg.net_in != leg.amount_in:
            state.withheld = 1
        self.link(i)
        return i

    cdef void change(
        self, uint32_t i, uint32_t side, bint add, const uint64_t* amounts, const uint64_t* delta,
        bint delta_told, const int* ticks
    ) noexcept nogil:
        """Liquidity that came or went. amounts: of the pool's two tokens, `side` being the first's,
        without collected fees; ticks: the range, NO_TICK twice where there is none."""
        cdef Known* known = &self.states[i].known
        cdef Curve* curve = &known.curve
        cdef uint32_t k
        cdef bint fits = True
        known.shares.fee = 0
        if curve.exactness == UNKNOWN or known.model == DLMM:
            return   # what a bin holds is not tracked
        if known.model not in (CLMM, WHIRLPOOL, DAMM_V2):
            for k in range(2):
                if add:
                    curve.reserve[side ^ k] += amounts[k]
                    fits = fits and curve.reserve[side ^ k] >= amounts[k]
                else:
                    fits = fits and curve.reserve[side ^ k] > amounts[k]
                    curve.reserve[side ^ k] -= amounts[k]
            if not fits or known.model == PUMP_BONDING:
                curve.exactness = UNKNOWN
                curve.reserve[0] = curve.reserve[1] = 0
            self.link(i)
            return
        if known.model != DAMM_V2:
            if ticks[0] != NO_TICK and ticks[1] != NO_TICK and not self.inside(known, ticks):
                return
            fits = side == 0 and ticks[0] != NO_TICK and ticks[1] != NO_TICK
        if fits and delta_told:
            fits = shift(curve.liquidity, delta, add)
            if known.model != CLMM:
                fits = shift(known.least, delta, add) and shift(known.most, delta, add) and fits
        else:
            fits = False
        if not fits:
            curve.exactness = UNKNOWN
            memset(curve.liquidity, 0, 16)
            memset(known.least, 0, 16)
            memset(known.most, 0, 16)
        self.link(i)

    cdef bint inside(self, const Known* known, const int* ticks) noexcept nogil:
        """Whether the price is in the range; ticks end before the last one."""
        cdef bint orca = known.model == WHIRLPOOL
        cdef u128 low = tick_price(ticks[0], orca), high = tick_price(ticks[1], orca)
        cdef u128 root = root_of(known.curve.root)
        return not u128_less(root, low) and u128_less(root, high)

    cdef void link(self, uint32_t i) noexcept nogil:
        """The pool's curve among the markets' is the one here."""
        cdef Curve curve = self.states[i].known.curve
        if curve.exactness == UNKNOWN:
            curve.kind = 0
        self.markets.moved(i, &curve)

    def forget_places(self):
        """Something may have moved the pools unseen: where they stand is not known any more, what
        was learned of their rates is."""
        cdef uint32_t i
        cdef Curve* curve
        for i in range(self.n):
            curve = &self.states[i].known.curve
            curve.exactness = UNKNOWN
            curve.tick = NO_TICK
            memset(curve.reserve, 0, 16)
            memset(curve.root, 0, 16)
            memset(curve.liquidity, 0, 16)
            memset(self.states[i].known.least, 0, 16)
            memset(self.states[i].known.most, 0, 16)
            self.states[i].known.shares.fee = 0
            self.link(i)

    # -- the table --------------------------------------------------------------------------------

    cdef uint32_t find(self, Pair* pair) noexcept nogil:
        """The pool of these keys, NO_ENTRY without one."""
        pair.hash = pair_hash(&self.index, pair)
        return index_find(&self.index, <char*>self.states, sizeof(State), pair)

    cdef uint32_t touch(self, const Pair* pair, uint32_t model) except? 0xFFFFFFFF:
        """The pool, the newest from now on."""
        cdef uint32_t i = index_find(&self.index, <char*>self.states, sizeof(State), pair)
        if i == NO_ENTRY:
            return self.add(pair, model)
        recency_touch(&self.order, <char*>self.states, sizeof(State), i)
        return i

    cdef uint32_t add(self, const Pair* pair, uint32_t model) except? 0xFFFFFFFF:
        cdef uint32_t i, room
        cdef State* grown
        if self.n < self.capacity and self.n == self.room:
            room = min(2 * self.room + 64, self.capacity)
            grown = <State*>realloc(self.states, room * sizeof(State))
            if grown == NULL:
                raise MemoryError
            self.states = grown
            self.markets.make_room(room)
            self.room = room
        if self.n == self.capacity:
            i = self.order.oldest
            recency_take_out(&self.order, <char*>self.states, sizeof(State), i)
            index_remove(&self.index, <char*>self.states, sizeof(State), i)
            self.markets.leave(i)
        else:
            i = self.n
            if not index_grow(&self.index, <char*>self.states, sizeof(State), i):
                raise MemoryError
            self.n += 1
        memset(&self.states[i], 0, sizeof(State))
        self.states[i].pair = pair[0]
        self.serials += 1
        self.states[i].serial = self.serials
        self.states[i].venue = NO_ENTRY
        self.states[i].decimals[0] = self.states[i].decimals[1] = 255
        start_known(&self.states[i].known, model)
        index_put(&self.index, pair.hash, i)
        recency_put(&self.order, <char*>self.states, sizeof(State), i)
        self.markets.enter(i, pair.keys)
        return i

    # -- state ------------------------------------------------------------------------------------

    def number(self, bytes pool not None, bytes mint_0 not None, bytes mint_1 not None):
        """The pool's number, by three keys of 32 bytes; None where it is not known."""
        cdef Pair pair
        cdef bytes keys = pool + mint_0 + mint_1
        if len(keys) != 96:
            raise ValueError("three keys have 96 bytes")
        memcpy(pair.keys, <const uint8_t*>keys, 96)
        cdef uint32_t i = self.find(&pair)
        return None if i == NO_ENTRY else i

    def graph(self, within=None):
        """(CycleGraph, mints): the pools under their numbers as they stand now, and the keys of its
        mints. within: a set of mints; pools with others take no part."""
        cdef CycleGraph graph = CycleGraph()
        cdef dict mints = {}
        cdef uint32_t i, k
        cdef uint32_t[2] ends
        cdef bytes key
        for i in range(self.n):
            for k in range(2):
                key = self.states[i].pair.keys[32 + 32 * k:64 + 32 * k]
                if key not in mints:
                    mints[key] = graph.add_mint(1.0)
                ends[k] = mints[key]
            graph.add_pool(ends[0], ends[1])
            graph.curves[i] = self.states[i].known.curve
            if self.states[i].known.curve.exactness == UNKNOWN or within is not None and not (
                    self.states[i].pair.keys[32:64] in within
                    and self.states[i].pair.keys[64:96] in within):
                graph.curves[i].kind = 0
            graph.moved(i)
        return graph, list(mints)

    def dump(self):
        """(keys, columns): uint8 of shape (k, 32) and STATE_COLUMNS by name, the pool that was
        touched longest ago first, for `load`."""
        cdef Py_ssize_t n = self.n, i
        cdef uint32_t at = self.order.oldest, k
        cdef const State* state
        cdef uint32_t[N_32] row32
        cdef uint64_t[N_64] row64
        n32 = np.empty((N_32, n), np.uint32)
        n64 = np.empty((N_64, n), np.uint64)
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
            row32[13], row32[16] = state.venue, state.withheld
            row32[14], row32[15] = state.decimals[0], state.decimals[1]
            row32[17], row32[18] = state.known.shares.low, state.known.shares.high
            row32[19], row32[20] = state.known.shares.side, state.known.shares.creator
            row64[0], row64[1] = state.slot, state.count
            row64[12], row64[13] = state.known.shares.splits, state.known.shares.fee
            row64[14] = state.known.shares.untaken
            for k in range(2):
                row64[2 + k] = state.known.least[k]
                row64[4 + k] = state.known.most[k]
                row64[6 + k] = state.known.curve.reserve[k]
                row64[8 + k] = state.known.curve.root[k]
                row64[10 + k] = state.known.curve.liquidity[k]
            for k in range(N_32):
                out32[k, i] = row32[k]
            for k in range(N_64):
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
        cdef uint32_t n_keys = len(keys), k, pool
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
            if c32[3, i] >= N_MODELS or c32[7, i] > BIN or c32[8, i] > APPROXIMATE or memcmp(
                    pair.keys + 32, pair.keys + 64, 32) == 0 or (
                    c32[17, i] > c32[18, i] or c32[18, i] > MILLION or c32[19, i] > 1):
                raise ValueError("a pool is none")
            if c32[4, i] > c32[5, i]:
                raise ValueError("a rate is above and below what it can be")
            pair.hash = pair_hash(&self.index, &pair)
            if index_find(&self.index, <char*>self.states, sizeof(State), &pair) != NO_ENTRY:
                raise ValueError("a pool comes twice")
            pool = self.touch(&pair, c32[3, i])
            state = &self.states[pool]
            state.known.rate_low, state.known.rate_high = c32[4, i], c32[5, i]
            state.known.bin_step = c32[6, i]
            state.known.curve.kind, state.known.curve.exactness = c32[7, i], c32[8, i]
            for k in range(3):
                state.known.curve.rate[k] = c32[9 + k, i]
            state.known.curve.tick = <int32_t>c32[12, i]
            state.venue, state.withheld = c32[13, i], c32[16, i]
            state.decimals[0], state.decimals[1] = c32[14, i], c32[15, i]
            state.known.shares.low, state.known.shares.high = c32[17, i], c32[18, i]
            state.known.shares.side, state.known.shares.creator = c32[19, i], c32[20, i] != 0
            state.known.shares.splits, state.known.shares.fee = c64[12, i], c64[13, i]
            state.known.shares.untaken = c64[14, i]
            state.slot, state.count = c64[0, i], c64[1, i]
            for k in range(2):
                state.known.least[k] = c64[2 + k, i]
                state.known.most[k] = c64[4 + k, i]
                state.known.curve.reserve[k] = c64[6 + k, i]
                state.known.curve.root[k] = c64[8 + k, i]
                state.known.curve.liquidity[k] = c64[10 + k, i]
            self.link(pool)
