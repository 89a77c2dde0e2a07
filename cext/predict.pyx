"""What a batch's transactions leave to be taken: pools moved by their legs, then the best cycles
through the moved pools; and what a swap stood to lose to somebody in front of it.

Rows are used whose pool has all of its history in this partition (docs/partitioning.md): those at
home, and those between two hubs, which go everywhere.
"""

from libc.math cimport INFINITY, floor, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from mevstream.cext.arrays cimport at32, at64, memory
from mevstream.cext.curve_learning cimport N_MODELS, NO_MODEL, Told, sure_of
from mevstream.cext.markets cimport NO_END, Best
from mevstream.cext.pair_index cimport NO_ENTRY, Pair, pair_hash
from mevstream.cext.paths cimport MAX_HOPS, Path, hop, path_limit, path_settle
from mevstream.cext.pool_states cimport BY_NOTHING, BY_TOLD, Before, Check, PoolStates, State
from mevstream.cext.quotes cimport APPROXIMATE, BIN, UNKNOWN, Curve, Fraction, fraction, quote

from typing import NamedTuple

import numpy as np

CHECK_COLUMNS = (("source", "exactness", "drift"), ("quoted", "actual"))
# Counts of a venue's legs, as the columns of `quoted`.
QUOTED = (
    "legs", "told", "told_exact", "told_close", "tracked", "tracked_exact", "tracked_close",
    "drifted",
)
COLUMNS_32 = (
    "pool", "mint_in", "mint_out", "venue", "flags", "mode", "side", "fee_rate",
    "fee_rate_protocol", "fee_rate_creator", "tick_before", "tick", "tx", "outer", "inner",
    "replica", "decimals_in", "decimals_out",
)
COLUMNS_64 = (
    "amount_in", "amount_out", "withheld_in", "trader_in", "fee", "reserve_in", "reserve_out",
    "curve_in", "curve_out", "root_before", "root_before_high", "root", "root_high", "liquidity",
    "liquidity_high",
)
CHANGES_32 = (
    "pool", "mint_a", "mint_b", "kind", "flags", "lower", "upper", "tx", "outer", "inner",
    "replica",
)
CHANGES_64 = ("amount_a", "amount_b", "fee_a", "fee_b", "delta_low", "delta_high")

cdef enum:
    NONE = 0xFFFFFFFF
    N_32 = 18
    N_64 = 15
    N_CHANGES_32 = 11
    N_CHANGES_64 = 6
    # Rows of the arrays above, by what they are called there.
    VENUE = 3
    SIDE = 6
    TX = 12
    REPLICA = 15
    CHANGE_KIND = 3
    CHANGE_TX = 7
    CHANGE_REPLICA = 10
    # Kinds of liquidity changes, and a flag of theirs.
    ADD = 0
    REMOVE = 1
    DELTA_TOLD = 256
    MAX_VENUES = 64
    N_QUOTED = 8

cdef struct Batch:
    const uint8_t* keys
    uint8_t* hubs             # by key, 1: it is one
    const uint8_t* c32[N_32]
    const uint8_t* c64[N_64]
    const uint8_t* l32[N_CHANGES_32]
    const uint8_t* l64[N_CHANGES_64]

# A pool that the open transaction has moved.
cdef struct Touched:
    uint32_t pool
    uint32_t serial
    uint32_t row          # its last leg
    uint32_t ways         # bits: which of its two ways to search
    Before before         # the transaction


class Hop(NamedTuple):
    pool: bytes
    venue: int
    mint_in: bytes
    mint_out: bytes
    decimals_in: int
    decimals_out: int
    amount_in: int
    amount_out: int


class Prediction(NamedTuple):
    row: int
    market: bytes
    hops: list
    amount: int
    profit: int
    before: int | None
    value: float
    exactness: int


class Exposure(NamedTuple):
    row: int
    gain: int
    loss: int
    lamports: int
    exactness: int


cdef list held(view, str table, names):
    return [getattr(view, table + name) for name in names]


cdef class Predictor(PoolStates):
    """Pools whose moves are searched for cycles."""

    cdef Touched* touched
    cdef uint32_t n_touched, touched_room
    cdef uint64_t[MAX_VENUES][N_QUOTED] counts

    def __dealloc__(self):
        free(self.touched)

    def apply(self, view, models, venues, double least=INFINITY, double least_exposure=INFINITY):
        """Moves the pools by the swap legs and liquidity changes of a ParsedView, in their order.
        `models`, `venues`: uint32, for each of its names the number of a model (MODELS), and that
        under which the venue is remembered.

        Gives (checks, between, predictions, exposures). checks: CHECK_COLUMNS by name, a row a leg:
        `source` 0 where the leg was not quoted, else what by; `quoted` and `actual`, what the
        trader did not name, by the curve and as it came; `drift` 1 where the leg tells another
        state before it than earlier legs left. between: uint8 a leg, 1 if both of its mints are
        hubs. predictions: of each transaction and market the best cycle that is worth at least
        `least` lamports; `before` is what it would have gained before the transaction, None where
        that is not known, `value` the lamports of a unit of its mint, `venue` as in `venues`.
        exposures: legs that would have given `least_exposure` lamports to somebody in front of
        them with as much; amounts in base units of what went in (`gain`) and came out (`loss`).

        Raises ValueError for rows that point outside a table of the batch; then nothing has
        changed."""
        cdef Batch batch
        cdef Py_ssize_t n = view.n_swaps, m = view.n_liquidity, i, k, at = 0
        cdef uint32_t n_keys = len(view.keys), n_names = len(view.names), bad = 0, tx, open_ = NONE
        cdef uint64_t slot = view.slot
        n32 = np.zeros((3, n), np.uint32)
        n64 = np.zeros((2, n), np.uint64)
        between = np.zeros(n, np.uint8)
        checks = dict(zip(CHECK_COLUMNS[0], n32)) | dict(zip(CHECK_COLUMNS[1], n64))
        predictions = []
        exposures = []
        if n == 0 and m == 0:
            return checks, between, predictions, exposures
        swaps = held(view, "swap_", COLUMNS_32 + COLUMNS_64)
        changes = held(view, "liquidity_", CHANGES_32 + CHANGES_64)
        hubs = np.zeros(n_keys + 1, np.uint8)
        models = np.ascontiguousarray(models, np.uint32)
        venues = np.ascontiguousarray(venues, np.uint32)
        batch.keys = memory(view.keys, 32 * <Py_ssize_t>n_keys)
        batch.hubs = <uint8_t*>memory(hubs, n_keys + 1, True)
        for i in range(N_32):
            batch.c32[i] = memory(swaps[i], 4 * n)
        for i in range(N_64):
            batch.c64[i] = memory(swaps[N_32 + i], 8 * n)
        for i in range(N_CHANGES_32):
            batch.l32[i] = memory(changes[i], 4 * m)
        for i in range(N_CHANGES_64):
            batch.l64[i] = memory(changes[N_CHANGES_32 + i], 8 * m)
        cdef const uint8_t* model_of = memory(models, 4 * <Py_ssize_t>n_names)
        cdef const uint8_t* venue_of = memory(venues, 4 * <Py_ssize_t>n_names)
        cdef uint32_t* out32 = <uint32_t*>memory(n32, 12 * n, True)
        cdef uint64_t* out64 = <uint64_t*>memory(n64, 16 * n, True)
        cdef uint8_t* is_between = <uint8_t*>memory(between, n, True)
        for k in range(3):   # NONE + 1 is 0
            for i in range(n):
                bad |= at32(batch.c32[k], i) + 1 > n_keys
            for i in range(m):
                bad |= at32(batch.l32[k], i) + 1 > n_keys
        for i in range(n):
            bad |= at32(batch.c32[VENUE], i) + 1 > n_names
        if bad:
            raise ValueError("a row points outside a table of the batch")
        self.mark_hubs(&batch, n_keys)
        for i in range(n):
            tx = at32(batch.c32[TX], i)
            while at < m and self.before_leg(&batch, at, i):
                if at32(batch.l32[CHANGE_TX], at) != open_:
                    self.finish(least, predictions)
                    open_ = at32(batch.l32[CHANGE_TX], at)
                self.alter(&batch, at)
                at += 1
            if tx != open_:
                self.finish(least, predictions)
                open_ = tx
            is_between[i] = self.between_hubs(
                &batch, at32(batch.c32[1], i), at32(batch.c32[2], i))
            if at32(batch.c32[REPLICA], i) and not is_between[i]:
                continue
            self.leg(&batch, i, n, model_of, venue_of, slot, &out32[i], &out64[i], least_exposure,
                     exposures)
        self.finish(least, predictions)
        while at < m:
            self.alter(&batch, at)
            at += 1
        return checks, between, predictions, exposures

    # -- rows -------------------------------------------------------------------------------------

    cdef void mark_hubs(self, Batch* batch, uint32_t n_keys):
        cdef uint32_t i
        cdef uint64_t word
        cdef bytes hub
        for hub in self.markets.hubs:
            word = at64(hub, 0)
            for i in range(n_keys):
                if at64(batch.keys, 4 * <Py_ssize_t>i) == word and memcmp(
                        batch.keys + 32 * <size_t>i, <const uint8_t*>hub, 32) == 0:
                    batch.hubs[i] = 1

    cdef bint between_hubs(self, const Batch* batch, uint32_t a, uint32_t b) noexcept nogil:
        return a != NONE and b != NONE and batch.hubs[a] and batch.hubs[b]

    cdef bint before_leg(self, const Batch* batch, Py_ssize_t change, Py_ssize_t leg) noexcept nogil:
        """Whether the liquidity change comes before the leg: by transaction, then ix path (a
        top-level instruction before the inner ones that it calls)."""
        cdef uint32_t a, b, k
        for k in range(3):
            a = at32(batch.l32[CHANGE_TX + k], change)
            b = at32(batch.c32[TX + k], leg)
            if k == 2:
                a += 1
                b += 1
            if a != b:
                return a < b
        return True

    cdef int leg(
        self, Batch* batch, Py_ssize_t i, Py_ssize_t n, const uint8_t* model_of,
        const uint8_t* venue_of, uint64_t slot, uint32_t* out32, uint64_t* out64,
        double least_exposure, list exposures
    ) except -1:
        """A leg at home, or between hubs. The columns of its checks are n apart."""
        cdef uint32_t model = at32(batch.c32[VENUE], i), venue, pool, k
        cdef Told leg
        cdef Pair pair
        cdef Check check
        cdef Before before
        cdef State* state
        if model == NONE:
            return 0
        venue = at32(venue_of, model)
        model = at32(model_of, model)
        if model == NO_MODEL or model >= N_MODELS or not self.read(batch, i, &leg, &pair):
            return 0
        pool = self.take(&leg, &pair, model, slot, &check, &before)
        state = &self.states[pool]
        state.venue = venue
        for k in range(2):
            if at32(batch.c32[16 + k], i) < 255:
                state.decimals[leg.side ^ k] = at32(batch.c32[16 + k], i)
        out32[0] = check.source
        out32[n] = check.exactness
        out32[2 * n] = check.drift
        out64[0] = check.quoted
        out64[n] = check.actual
        if venue < MAX_VENUES and not at32(batch.c32[REPLICA], i):
            self.count(self.counts[venue], &check)
        self.note(pool, <uint32_t>i, leg.side, &before, check.drift)
        if before.curve.exactness != UNKNOWN and least_exposure < INFINITY and (
                not at32(batch.c32[REPLICA], i)):
            self.expose(pool, <uint32_t>i, &leg, &before.curve, least_exposure, exposures)
        return 0

    cdef void count(self, uint64_t* counts, const Check* check) noexcept nogil:
        cdef uint64_t off = max(check.quoted, check.actual) - min(check.quoted, check.actual)
        cdef uint32_t at = 1 if check.source == BY_TOLD else 4
        counts[0] += 1
        counts[7] += check.drift
        if check.source != BY_NOTHING:
            counts[at] += 1
            counts[at + 1] += off == 0
            counts[at + 2] += off <= check.actual // 1000

    def quoted(self):
        """uint64 [venue, QUOTED]: how the legs at home were quoted, since the start."""
        result = np.empty((MAX_VENUES, N_QUOTED), np.uint64)
        cdef uint64_t[:, ::1] out = result
        cdef uint32_t i, k
        for i in range(MAX_VENUES):
            for k in range(N_QUOTED):
                out[i, k] = self.counts[i][k]
        return result

    cdef bint read(
        self, const Batch* batch, Py_ssize_t i, Told* leg, Pair* pair) noexcept nogil:
        """A row, and the pool with its mints in the order of its sides; 0 where one is missing."""
        cdef uint32_t pool = at32(batch.c32[0], i), mint_in = at32(batch.c32[1], i)
        cdef uint32_t mint_out = at32(batch.c32[2], i), side = at32(batch.c32[SIDE], i), k
        cdef const uint8_t* key_in
        cdef const uint8_t* key_out
        cdef uint64_t withheld = at64(batch.c64[2], i)
        if pool == NONE or mint_in == NONE or mint_out == NONE:
            return False
        key_in = batch.keys + 32 * <size_t>mint_in
        key_out = batch.keys + 32 * <size_t>mint_out
        if memcmp(key_in, key_out, 32) == 0:
            return False
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

    cdef void alter(self, const Batch* batch, Py_ssize_t i) noexcept nogil:
        """A liquidity change, of a pool that is known."""
        cdef uint32_t pool = at32(batch.l32[0], i), a = at32(batch.l32[1], i)
        cdef uint32_t b = at32(batch.l32[2], i), kind = at32(batch.l32[CHANGE_KIND], i), side, at, k
        cdef uint64_t amounts[2]
        cdef uint64_t delta[2]
        cdef int ticks[2]
        cdef uint64_t fee
        cdef Pair pair
        if kind not in (ADD, REMOVE) or pool == NONE or a == NONE or b == NONE:
            return
        if at32(batch.l32[CHANGE_REPLICA], i) and not self.between_hubs(batch, a, b):
            return
        for side in range(2):
            memcpy(pair.keys, batch.keys + 32 * <size_t>pool, 32)
            memcpy(pair.keys + 32 + 32 * side, batch.keys + 32 * <size_t>a, 32)
            memcpy(pair.keys + 64 - 32 * side, batch.keys + 32 * <size_t>b, 32)
            at = self.find(&pair)
            if at == NO_ENTRY:
                continue
            for k in range(2):
                amounts[k] = at64(batch.l64[k], i)
                fee = at64(batch.l64[2 + k], i)
                amounts[k] -= min(fee, amounts[k])
                delta[k] = at64(batch.l64[4 + k], i)
                ticks[k] = <int32_t>at32(batch.l32[5 + k], i)
            self.change(at, side, kind == ADD, amounts, delta,
                        at32(batch.l32[4], i) & DELTA_TOLD != 0, ticks)
            return

    # -- cycles -----------------------------------------------------------------------------------

    cdef int note(
        self, uint32_t pool, uint32_t row, uint32_t side, const Before* before, bint drift
    ) except -1:
        """Remembers what the open transaction moves. A swap betters the way against it alone; where
        the pool was not followed up to it, nobody knows what else has changed."""
        cdef uint32_t i, room, ways = 1 << (side ^ 1)
        cdef Touched* grown
        if drift or not before.tracked:
            ways = 3
        for i in range(self.n_touched):
            if self.touched[i].pool == pool and (
                    self.touched[i].serial == self.states[pool].serial):
                self.touched[i].row = row
                self.touched[i].ways |= ways
                return 0
        if self.n_touched == self.touched_room:
            room = 2 * self.touched_room + 16
            grown = <Touched*>realloc(self.touched, room * sizeof(Touched))
            if grown == NULL:
                raise MemoryError
            self.touched = grown
            self.touched_room = room
        i = self.n_touched
        self.touched[i].pool = pool
        self.touched[i].serial = self.states[pool].serial
        self.touched[i].row = row
        self.touched[i].ways = ways
        self.touched[i].before = before[0]
        self.n_touched += 1
        return 0

    cdef int finish(self, double least, list predictions) except -1:
        """The open transaction has ended: what can be taken now, by market."""
        cdef uint32_t i, side
        cdef Touched* one
        if self.n_touched and least < INFINITY:
            self.markets.begin(least)
            for i in range(self.n_touched):
                one = &self.touched[i]
                if self.states[one.pool].serial == one.serial:
                    for side in range(2):
                        if one.ways >> side & 1:
                            self.markets.search(2 * one.pool + side)
            if self.markets.failed:
                raise MemoryError
            for i in range(self.markets.n_found):
                self.tell(&self.markets.found[i], predictions)
        self.n_touched = 0
        return 0

    cdef int tell(self, const Best* best, list predictions) except -1:
        cdef Path path = best.path
        cdef int64_t profit, before
        cdef uint64_t amount = path_settle(self.markets.curves, &path, &profit), given, got
        cdef uint32_t k, row = 0, exactness = 0, way, end
        cdef const State* state
        cdef const Touched* one
        cdef bint known = True
        if amount == 0:
            return 0
        hops = []
        given = amount
        for k in range(path.n):
            way = path.ways[k]
            state = &self.states[way >> 1]
            one = self.moved_by(way >> 1)
            if one != NULL:
                row = max(row, one.row)
                known = known and one.before.curve.exactness != UNKNOWN
            if state.withheld or state.known.curve.kind == BIN:
                # Transfer fees that differ, rates that move with the price.
                exactness = APPROXIMATE
            if not quote(&self.markets.curves[way >> 1], way & 1, given, &got):
                return 0
            exactness = max(exactness, sure_of(
                &state.known, &self.markets.curves[way >> 1], way & 1, given, got))
            hops.append(Hop(
                state.pair.keys[:32], state.venue,
                state.pair.keys[32 + 32 * (way & 1):64 + 32 * (way & 1)],
                state.pair.keys[64 - 32 * (way & 1):96 - 32 * (way & 1)],
                state.decimals[way & 1], state.decimals[~way & 1], given, got))
            given = got
        before = self.gain_before(&path) if known else 0
        end = self.markets.ends[path.ways[0]]
        predictions.append(Prediction(
            row, b"" if best.market == NO_END else self.markets.names[best.market], hops, amount,
            profit, before if known else None, self.markets.values[end], exactness))
        return 0

    cdef const Touched* moved_by(self, uint32_t pool) noexcept nogil:
        """What the open transaction did to the pool; NULL: nothing."""
        cdef uint32_t i
        for i in range(self.n_touched):
            if self.touched[i].pool == pool:
                return &self.touched[i]
        return NULL

    cdef int64_t gain_before(self, Path* path) noexcept nogil:
        """The most that the cycle would have gained before the open transaction."""
        cdef Curve curves[MAX_HOPS]
        cdef Fraction fractions[MAX_HOPS]
        cdef Path again
        cdef Fraction total
        cdef uint32_t k
        cdef int64_t profit = 0
        cdef const Touched* one
        cdef const Curve* curve
        cdef bint some = True
        # The path as if its pools were the first ones, which here they are.
        again.n = path.n
        for k in range(path.n):
            one = self.moved_by(path.ways[k] >> 1)
            curve = &one.before.curve if one != NULL else &self.markets.curves[path.ways[k] >> 1]
            curves[k] = curve[0]
            again.ways[k] = 2 * k + (path.ways[k] & 1)
            if not fraction(curve, path.ways[k] & 1, &fractions[k]):
                return 0
        total = fractions[0]
        for k in range(1, path.n):
            hop(&fractions[k], &total.i, &total.o)
        if not total.o > total.i:
            return 0
        again.amount = sqrt(total.o * total.i) - total.i
        again.amount = min(again.amount, self.most(fractions, path.n))
        path_settle(curves, &again, &profit)
        return profit

    cdef double most(self, const Fraction* fractions, uint32_t n) noexcept nogil:
        """The input of hops in a row beyond which one would leave its range."""
        cdef uint32_t ways[MAX_HOPS]
        cdef uint32_t k
        for k in range(n):
            ways[k] = k
        return path_limit(fractions, ways, n)

    # -- exposure ---------------------------------------------------------------------------------

    cdef int expose(
        self, uint32_t pool, uint32_t row, const Told* leg, const Curve* curve, double least,
        list exposures
    ) except -1:
        """What somebody would have gained that bought as much as the leg right before it and sold
        that right behind it, by the curve as a constant product of what it held."""
        cdef Fraction there, back
        cdef double a, b, keep_in, keep_out, x = <double>leg.net_in, y, z, gain, loss, value
        cdef uint64_t lost
        cdef uint32_t near = self.markets.ends[2 * pool + leg.side]
        cdef uint32_t far = self.markets.ends[2 * pool + (leg.side ^ 1)]
        if near == NO_END or curve.kind == BIN or not (
                fraction(curve, leg.side, &there) and fraction(curve, leg.side ^ 1, &back)):
            return 0
        a, b = back.o, there.o
        keep_in, keep_out = a / there.i, b / back.i
        if near < self.markets.n_hubs:
            value = self.markets.values[near]
        else:
            value = self.markets.values[far] * b / a
        # In front x for y, then the leg x for z, then back y for what is left to gain.
        y = b * x * keep_in / (a + x * keep_in)
        loss = y
        a += x
        b -= y
        z = b * x * keep_in / (a + x * keep_in)
        loss -= z
        a += x
        b -= z
        gain = a * y * keep_out / (b + y * keep_out) - x
        if not gain * value >= least or not gain < 4e18 or not loss < 4e18:
            return 0
        # Where the curve gives more than came, nobody lost more than came.
        lost = min(<uint64_t>max(floor(loss), 0.0), leg.amount_out)
        exposures.append(Exposure(
            row, <int64_t>floor(gain), lost, <int64_t>floor(min(gain * value, 4e18)),
            max(curve.exactness, APPROXIMATE if self.states[pool].withheld else 0)))
        return 0
