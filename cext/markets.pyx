"""The best cycles that one market's pools make with each other and with pools between hubs.

A cycle goes from a hub into a market, out again to a hub, and back over at most two pools between
hubs; or over pools between hubs alone. So it needs no pool but those that the home of its market
sees (docs/partitioning.md), and is found alike whatever else this process holds: which cycle is
the best, in what order its hops are, and what decides between equal ones depends on the pools'
keys and curves, never on their numbers.

A cycle is measured in its first hub in the order of `hubs` (wrapped SOL, the first, counts
lamports), others by what their pool with the most wrapped SOL says.
"""

from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from mevstream.cext.memory cimport grow
from mevstream.cext.paths cimport MAX_HOPS, Path, hop, path_limit
from mevstream.cext.quotes cimport BIN, EXACT, PRODUCT, Curve, Fraction, fraction

import numpy as np

cdef extern from "time.h" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* at)
    enum:
        CLOCK_MONOTONIC

# Below it a product of marginal rates is no gain but the rounding of doubles.
cdef double GAIN = 1.0 + 1e-12
# No amount of tokens: cycles of bins alone, of which no end is known.
cdef double LARGEST = 4e18


cdef inline bint put(Book* book, uint32_t pool) noexcept nogil:
    if book.n == book.room:
        if not grow(<void**>&book.pools, 2 * book.room + 4, 4):
            return False
        book.room = 2 * book.room + 4
    book.pools[book.n] = pool
    book.n += 1
    return True


cdef inline void take_out(Book* book, uint32_t pool) noexcept nogil:
    cdef uint32_t i
    for i in range(book.n):
        if book.pools[i] == pool:
            book.n -= 1
            book.pools[i] = book.pools[book.n]
            return


cdef class Markets:
    """hubs: mints, 32 bytes each; the first is wrapped SOL if it is among them at all. Pools have
    the numbers that their owner gives them."""

    def __cinit__(self, hubs):
        cdef uint32_t n
        self.hubs = list(hubs)
        self.numbers = {}
        self.names = []
        self.vacant = []
        n = self.n_hubs = len(self.hubs)
        if n > MAX_HUBS or any(len(<bytes?>hub) != 32 for hub in self.hubs):
            raise ValueError(f"at most {MAX_HUBS} hubs, 32 bytes each")
        self.values = <double*>calloc(n + 1, 8)
        self.direct = <double*>calloc(n * n + 1, 8)
        self.around = <double*>calloc(n * n + 1, 8)
        self.pairs = <Book*>calloc(n * n + 1, sizeof(Book))
        if (self.values == NULL or self.direct == NULL or self.around == NULL
                or self.pairs == NULL):
            raise MemoryError
        self.values[0] = 1.0

    def __dealloc__(self):
        cdef uint32_t i
        if self.pairs != NULL:
            for i in range(self.n_hubs * self.n_hubs):
                free(self.pairs[i].pools)
        for i in range(self.n_markets):
            free(self.markets[i].pools)
        free(self.values)
        free(self.direct)
        free(self.around)
        free(self.pairs)
        free(self.curves)
        free(self.fractions)
        free(self.rates)
        free(self.ends)
        free(self.keys)
        free(self.markets)
        free(self.into)
        free(self.out_of)
        free(self.turn)
        free(self.place)
        free(self.bridges)
        free(self.found)

    # -- pools ------------------------------------------------------------------------------------

    cdef int make_room(self, uint32_t n) except -1:
        if n > self.room:
            if not (grow(<void**>&self.curves, n, sizeof(Curve))
                    and grow(<void**>&self.fractions, 2 * <size_t>n, sizeof(Fraction))
                    and grow(<void**>&self.rates, 2 * <size_t>n, 8)
                    and grow(<void**>&self.ends, 2 * <size_t>n, 4)
                    and grow(<void**>&self.keys, n, 32)):
                raise MemoryError
            self.room = n
        return 0

    cdef int enter(self, uint32_t pool, const uint8_t* keys) except -1:
        """Files a pool, by its key and those of its mints. Without a hub among them it is on no
        cycle of one market, and has no ends."""
        cdef uint32_t[2] hub
        cdef uint32_t side, k, a, b
        memcpy(self.keys + 32 * <size_t>pool, keys, 32)
        memset(&self.curves[pool], 0, sizeof(Curve))
        for side in range(2):
            hub[side] = NO_END
            self.ends[2 * pool + side] = NO_END
            self.rates[2 * pool + side] = 0.0
            for k in range(self.n_hubs):
                if memcmp(<const uint8_t*><bytes>self.hubs[k], keys + 32 + 32 * side, 32) == 0:
                    hub[side] = k
        if hub[0] == NO_END and hub[1] == NO_END:
            return 0
        a = hub[0] if hub[0] != NO_END else self.end_of(keys + 32)
        b = hub[1] if hub[1] != NO_END else self.end_of(keys + 64)
        if hub[0] != NO_END and hub[1] != NO_END:
            if not (put(&self.pairs[a * self.n_hubs + b], pool)
                    and put(&self.pairs[b * self.n_hubs + a], pool)):
                raise MemoryError
        elif not put(&self.markets[max(a, b) - self.n_hubs], pool):
            raise MemoryError
        self.ends[2 * pool] = a
        self.ends[2 * pool + 1] = b
        return 0

    cdef uint32_t end_of(self, const uint8_t* key) except? NO_END:
        """The end that is this market, which is new or not."""
        cdef bytes name = key[:32]
        cdef uint32_t market, room, n = self.n_hubs
        number = self.numbers.get(name)
        if number is not None:
            return n + <uint32_t>number
        if self.vacant:
            market = self.vacant.pop()
        else:
            market = self.n_markets
            if market == self.market_room:
                room = 2 * market + 64
                if not (grow(<void**>&self.markets, room, sizeof(Book))
                        and grow(<void**>&self.into, <size_t>room * n, 8)
                        and grow(<void**>&self.out_of, <size_t>room * n, 8)
                        and grow(<void**>&self.turn, room, 4)
                        and grow(<void**>&self.place, room, 4)
                        and grow(<void**>&self.bridges, room, 4)):
                    raise MemoryError
                self.market_room = room
            memset(&self.markets[market], 0, sizeof(Book))
            self.names.append(b"")
            self.n_markets += 1
        self.markets[market].bridge = NO_END
        self.turn[market] = 0
        memset(self.into + <size_t>market * n, 0, 8 * n)
        memset(self.out_of + <size_t>market * n, 0, 8 * n)
        self.names[market] = name
        self.numbers[name] = market
        return n + market

    cdef int leave(self, uint32_t pool) except -1:
        cdef uint32_t a = self.ends[2 * pool], b = self.ends[2 * pool + 1], market
        cdef Curve none
        if a == NO_END:
            return 0
        memset(&none, 0, sizeof(Curve))
        self.moved(pool, &none)
        self.ends[2 * pool] = self.ends[2 * pool + 1] = NO_END
        if max(a, b) < self.n_hubs:
            take_out(&self.pairs[a * self.n_hubs + b], pool)
            take_out(&self.pairs[b * self.n_hubs + a], pool)
            return 0
        market = max(a, b) - self.n_hubs
        take_out(&self.markets[market], pool)
        if self.markets[market].n == 0:
            del self.numbers[self.names[market]]
            self.vacant.append(market)
        return 0

    cdef void moved(self, uint32_t pool, const Curve* curve) noexcept nogil:
        """The pool's curve from now on."""
        cdef uint32_t side, way, a = self.ends[2 * pool], b = self.ends[2 * pool + 1]
        cdef Fraction f
        cdef double rate
        if a == NO_END:
            return
        self.curves[pool] = curve[0]
        for side in range(2):
            way = 2 * pool + side
            rate = 0.0
            if fraction(curve, side, &f):
                rate = f.o / f.i
            if not 0.0 < rate < 1e300:
                f.i = 1.0
                f.o = rate = 0.0
            self.fractions[way] = f
            self.rates[way] = rate
        if max(a, b) < self.n_hubs:
            self.rate_hubs(a, b)
        else:
            self.rate_market(max(a, b) - self.n_hubs)

    cdef void rate_market(self, uint32_t market) noexcept nogil:
        """The best rates between the market and each hub, and whether it joins several."""
        cdef Book* book = &self.markets[market]
        cdef uint32_t n = self.n_hubs, i, way, hub, last
        cdef double* into = self.into + <size_t>market * n
        cdef double* out_of = self.out_of + <size_t>market * n
        cdef uint32_t joined = 0
        memset(into, 0, 8 * n)
        memset(out_of, 0, 8 * n)
        for i in range(book.n):
            way = 2 * book.pools[i]
            way += self.ends[way] >= n      # entered at its hub
            hub = self.ends[way]
            joined += into[hub] == 0.0 and out_of[hub] == 0.0 and (
                self.rates[way] > 0.0 or self.rates[way ^ 1] > 0.0)
            into[hub] = max(into[hub], self.rates[way])
            out_of[hub] = max(out_of[hub], self.rates[way ^ 1])
        if joined > 1 and book.bridge == NO_END:
            book.bridge = self.n_bridges
            self.bridges[self.n_bridges] = market
            self.n_bridges += 1
        elif joined < 2 and book.bridge != NO_END:
            self.n_bridges -= 1
            last = self.bridges[self.n_bridges]
            self.bridges[book.bridge] = last
            self.markets[last].bridge = book.bridge
            book.bridge = NO_END

    cdef void rate_hubs(self, uint32_t a, uint32_t b) noexcept nogil:
        """The best rates between the hubs, now that a pool between these two has moved."""
        cdef uint32_t n = self.n_hubs, i, x, y, z, way
        cdef Book* book = &self.pairs[a * n + b]
        cdef double there = 0.0, back = 0.0, best
        for i in range(book.n):
            way = 2 * book.pools[i]
            way += self.ends[way] != a
            there = max(there, self.rates[way])
            back = max(back, self.rates[way ^ 1])
        self.direct[a * n + b] = there
        self.direct[b * n + a] = back
        for x in range(n):
            for y in range(n):
                best = self.direct[x * n + y]
                for z in range(n):
                    if z != x and z != y:
                        best = max(best, self.direct[x * n + z] * self.direct[z * n + y])
                self.around[x * n + y] = best
        if min(a, b) == 0:
            self.price(max(a, b))

    cdef void price(self, uint32_t hub) noexcept nogil:
        """What a unit of the hub is worth: between the rates of the pool with the most wrapped
        SOL; bins, whose depth nobody tells, do not count."""
        cdef Book* book = &self.pairs[hub]
        cdef uint32_t i, pool, way, chosen = NO_END
        cdef double most = 0.0
        self.values[hub] = 0.0
        for i in range(book.n):
            pool = book.pools[i]
            way = 2 * pool
            way += self.ends[way] != hub
            if self.curves[pool].kind == BIN or self.rates[way] == 0.0 or (
                    self.rates[way ^ 1] == 0.0):
                continue
            if self.fractions[way].o > most or self.fractions[way].o == most and memcmp(
                    self.keys + 32 * <size_t>pool, self.keys + 16 * <size_t>chosen, 32) < 0:
                most = self.fractions[way].o
                chosen = way & ~<uint32_t>1
                self.values[hub] = sqrt(self.rates[way] / self.rates[way ^ 1])

    # -- search -----------------------------------------------------------------------------------

    cdef void begin(self, double least) noexcept nogil:
        """A new turn: what `search` finds until the next one is compared by market; `least` is the
        number of lamports that a cycle has to be worth."""
        self.turns += 1
        self.n_found = 0
        self.least = least
        self.hub_place = NO_END

    cdef void search(self, uint32_t way) noexcept nogil:
        """Puts the cycles that take this way among `found`, the best of each market."""
        cdef uint32_t end = max(self.ends[way], self.ends[way ^ 1]), pool = way >> 1
        if self.ends[way] == NO_END or self.rates[way] == 0.0:
            return
        if end < self.n_hubs:
            self.of_hubs(pool, way)
        else:
            self.of_market(pool, end - self.n_hubs, way)

    cdef void of_market(self, uint32_t pool, uint32_t market, uint32_t way) noexcept nogil:
        """With each other pool of the market, out of it or into it."""
        cdef Book* book = &self.markets[market]
        cdef uint32_t n = self.n_hubs, i, other
        cdef bint into = self.ends[way] < n
        for i in range(book.n):
            if book.pools[i] == pool:
                continue
            other = 2 * book.pools[i]
            if (self.ends[other] < n) == into:
                other ^= 1
            if into:
                self.close(pool, market, way, other)
            else:
                self.close(pool, market, other, way)

    cdef void close(
        self, uint32_t pool, uint32_t market, uint32_t way_in, uint32_t way_out) noexcept nogil:
        """Into the market and out of it, and back between hubs."""
        cdef uint32_t n = self.n_hubs, x = self.ends[way_in], y = self.ends[way_out ^ 1], z, i, k
        cdef double rate = self.rates[way_in] * self.rates[way_out]
        cdef uint32_t ways[MAX_HOPS]
        cdef Book* first
        cdef Book* second
        ways[0] = way_in
        ways[1] = way_out
        if x == y:
            if rate > GAIN:
                self.offer(pool, market, ways, 2)
            return
        if rate * self.around[y * n + x] <= GAIN:
            return
        if rate * self.direct[y * n + x] > GAIN:
            first = &self.pairs[y * n + x]
            for i in range(first.n):
                ways[2] = 2 * first.pools[i]
                ways[2] += self.ends[ways[2]] != y
                if rate * self.rates[ways[2]] > GAIN:
                    self.offer(pool, market, ways, 3)
        for z in range(n):
            if z == x or z == y or (
                    rate * self.direct[y * n + z] * self.direct[z * n + x] <= GAIN):
                continue
            first = &self.pairs[y * n + z]
            second = &self.pairs[z * n + x]
            for i in range(first.n):
                ways[2] = 2 * first.pools[i]
                ways[2] += self.ends[ways[2]] != y
                for k in range(second.n):
                    ways[3] = 2 * second.pools[k]
                    ways[3] += self.ends[ways[3]] != z
                    if rate * self.rates[ways[2]] * self.rates[ways[3]] > GAIN:
                        self.offer(pool, market, ways, 4)

    cdef void of_hubs(self, uint32_t pool, uint32_t way) noexcept nogil:
        """A pool between the hubs a and b: back between hubs alone, or through a market that joins
        two of them."""
        cdef uint32_t n = self.n_hubs, a = self.ends[way], b = self.ends[way ^ 1], c, i, k
        cdef double rate = self.rates[way]
        cdef uint32_t hops[MAX_HOPS]
        cdef Book* book
        hops[0] = way
        # b → a, b → c → a: the same as out of a market, which is a hub here.
        book = &self.pairs[b * n + a]
        for i in range(book.n):
            if book.pools[i] != pool:
                hops[1] = 2 * book.pools[i]
                hops[1] += self.ends[hops[1]] != b
                if rate * self.rates[hops[1]] > GAIN:
                    self.offer(pool, NO_END, hops, 2)
        for c in range(n):
            if c == a or c == b or rate * self.direct[b * n + c] * self.around[c * n + a] <= GAIN:
                continue
            book = &self.pairs[b * n + c]
            for i in range(book.n):
                hops[1] = 2 * book.pools[i]
                hops[1] += self.ends[hops[1]] != b
                if rate * self.rates[hops[1]] * self.around[c * n + a] > GAIN:
                    self.bridged(pool, NO_END, c, a, hops, 2, rate * self.rates[hops[1]])
        for k in range(self.n_bridges):
            self.bridged(pool, self.bridges[k], a, b, hops, 1, rate)
            for c in range(n):
                if c != a and c != b:
                    self.over(pool, self.bridges[k], way, c)

    cdef void over(self, uint32_t pool, uint32_t market, uint32_t way, uint32_t c) noexcept nogil:
        """The pool from a to b with another one, b → c or c → a, closed by a market."""
        cdef uint32_t n = self.n_hubs, a = self.ends[way], b = self.ends[way ^ 1], i
        cdef double* into = self.into + <size_t>market * n
        cdef double* out_of = self.out_of + <size_t>market * n
        cdef double rate = self.rates[way]
        cdef uint32_t hops[MAX_HOPS]
        cdef Book* book
        if rate * self.direct[b * n + c] * into[c] * out_of[a] > GAIN:
            book = &self.pairs[b * n + c]
            hops[0] = way
            for i in range(book.n):
                hops[1] = 2 * book.pools[i]
                hops[1] += self.ends[hops[1]] != b
                self.bridged(pool, market, a, c, hops, 2, rate * self.rates[hops[1]])
        if self.direct[c * n + a] * rate * into[b] * out_of[c] > GAIN:
            book = &self.pairs[c * n + a]
            hops[1] = way
            for i in range(book.n):
                hops[0] = 2 * book.pools[i]
                hops[0] += self.ends[hops[0]] != c
                self.bridged(pool, market, c, b, hops, 2, rate * self.rates[hops[0]])

    cdef void bridged(
        self, uint32_t pool, uint32_t market, uint32_t y, uint32_t x, const uint32_t* hops,
        uint32_t n, double rate
    ) noexcept nogil:
        """Hops between hubs, closed by a market: from y over the hops to x, into the market and out
        to y again. Without a market: from the last hub, y, back to x over one hop or two."""
        cdef Book* book
        cdef uint32_t ways[MAX_HOPS]
        cdef uint32_t i, k, m = self.n_hubs, z
        cdef double so_far
        for i in range(n):
            ways[i] = hops[i]
        if market == NO_END:
            book = &self.pairs[y * m + x]
            for i in range(book.n):
                ways[n] = 2 * book.pools[i]
                ways[n] += self.ends[ways[n]] != y
                if rate * self.rates[ways[n]] > GAIN:
                    self.offer(pool, market, ways, n + 1)
            for z in range(m):
                # Not x, y, nor the hub that the hops have gone through.
                if z == x or z == y or z == self.ends[hops[1]] or (
                        rate * self.direct[y * m + z] * self.direct[z * m + x] <= GAIN):
                    continue
                book = &self.pairs[y * m + z]
                for i in range(book.n):
                    ways[n] = 2 * book.pools[i]
                    ways[n] += self.ends[ways[n]] != y
                    so_far = rate * self.rates[ways[n]]
                    if so_far * self.direct[z * m + x] <= GAIN:
                        continue
                    for k in range(self.pairs[z * m + x].n):
                        ways[n + 1] = 2 * self.pairs[z * m + x].pools[k]
                        ways[n + 1] += self.ends[ways[n + 1]] != z
                        if so_far * self.rates[ways[n + 1]] > GAIN:
                            self.offer(pool, market, ways, n + 2)
            return
        if rate * self.into[<size_t>market * m + x] * self.out_of[<size_t>market * m + y] <= GAIN:
            return
        book = &self.markets[market]
        for i in range(book.n):
            ways[n] = 2 * book.pools[i]
            ways[n] += self.ends[ways[n]] >= m
            if self.ends[ways[n]] != x:
                continue
            so_far = rate * self.rates[ways[n]]
            for k in range(book.n):
                ways[n + 1] = 2 * book.pools[k]
                ways[n + 1] += self.ends[ways[n + 1]] < m
                if self.ends[ways[n + 1] ^ 1] == y and so_far * self.rates[ways[n + 1]] > GAIN:
                    self.offer(pool, market, ways, n + 2)

    cdef void offer(
        self, uint32_t pool, uint32_t market, const uint32_t* ways, uint32_t n) noexcept nogil:
        """Files a cycle that gains, if it is worth enough and the best of its market so far."""
        cdef Path path
        cdef Fraction total
        cdef uint32_t k, start = 0, at
        cdef double most, amount
        for k in range(1, n):
            if self.ends[ways[k]] < self.ends[ways[start]]:
                start = k
        path.n = n
        for k in range(n):
            path.ways[k] = ways[(start + k) % n]
        total = self.fractions[path.ways[0]]
        for k in range(1, n):
            hop(&self.fractions[path.ways[k]], &total.i, &total.o)
        if not total.o > total.i * GAIN:
            return
        # (sqrt(o) - sqrt(i))^2 without cancellation
        path.profit = (total.o - total.i) / (sqrt(total.o) + sqrt(total.i))
        path.profit *= path.profit
        path.worth = path.profit * self.values[self.ends[path.ways[0]]]
        if not path.worth >= self.least:
            return
        amount = sqrt(total.o * total.i) - total.i
        most = path_limit(self.fractions, path.ways, n)
        if amount > most:
            amount = most
            path.profit = (total.o - total.i - amount) * amount / (total.i + amount)
            path.worth = path.profit * self.values[self.ends[path.ways[0]]]
            if not path.worth >= self.least:
                return
        if amount >= LARGEST:
            return
        path.amount = amount
        if market == NO_END:
            at = self.hub_place
        else:
            at = self.place[market] if self.turn[market] == self.turns else NO_END
        if at == NO_END:
            if self.n_found == self.found_room:
                if not grow(<void**>&self.found, 2 * self.found_room + 16, sizeof(Best)):
                    self.failed = True
                    return
                self.found_room = 2 * self.found_room + 16
            at = self.n_found
            self.n_found += 1
            if market == NO_END:
                self.hub_place = at
            else:
                self.turn[market] = self.turns
                self.place[market] = at
        elif not self.precedes(&path, &self.found[at].path):
            return
        self.found[at].market = market
        self.found[at].pool = pool
        self.found[at].path = path

    cdef bint precedes(self, const Path* a, const Path* b) noexcept nogil:
        """Of two cycles of a market the one that is worth more; of equal ones that of fewer hops,
        or whose pools' keys come first."""
        cdef uint32_t k
        cdef int order
        if a.worth != b.worth:
            return a.worth > b.worth
        if a.n != b.n:
            return a.n < b.n
        for k in range(a.n):
            order = memcmp(self.keys + 32 * <size_t>(a.ways[k] >> 1),
                           self.keys + 32 * <size_t>(b.ways[k] >> 1), 32)
            if order:
                return order < 0
        return False

    # -- Python -----------------------------------------------------------------------------------

    def run(
        self, const uint8_t[:, ::1] keys, const uint32_t[::1] fees, const uint64_t[:, ::1] first,
        const uint32_t[::1] pools, const uint64_t[:, ::1] reserves, nanoseconds=None
    ):
        """Files constant-product pools, which must be the first ones here: `keys` (n, 96) are those
        of each and of its mints, `fees` (n) 1e-6 of what comes in, `first` (n, 2) their reserves.
        Then moves them to new reserves, one after another, and searches both ways after each. Gives
        the worth of the best cycle each time (float64, lamports, 0 without one); `nanoseconds`, an
        int64 array, is filled with how long each took."""
        cdef Py_ssize_t n = len(keys), m = len(pools), i
        cdef uint32_t k, pool
        cdef Curve curve
        cdef timespec before, after
        cdef int64_t[::1] took = nanoseconds
        if self.room or keys.shape[1] != 96 or len(fees) != n or len(first) != n or (
                first.shape[1] != 2 or len(reserves) != m or reserves.shape[1] != 2 or (
                took is not None and len(took) != m)):
            raise ValueError("pools that are here already, or arrays of another shape")
        for i in range(m):
            if pools[i] >= n:
                raise ValueError(f"there is no pool {pools[i]}")
        self.make_room(<uint32_t>n)
        memset(&curve, 0, sizeof(Curve))
        curve.kind = PRODUCT
        curve.exactness = EXACT
        for i in range(n):
            self.enter(<uint32_t>i, &keys[i, 0])
            curve.rate[0] = fees[i]
            curve.reserve[0], curve.reserve[1] = first[i, 0], first[i, 1]
            self.moved(<uint32_t>i, &curve)
        worths = np.zeros(m)
        cdef double[::1] worth = worths
        with nogil:
            for i in range(m):
                pool = pools[i]
                clock_gettime(CLOCK_MONOTONIC, &before)
                curve = self.curves[pool]
                curve.reserve[0] = reserves[i, 0]
                curve.reserve[1] = reserves[i, 1]
                self.moved(pool, &curve)
                self.begin(0.0)
                self.search(2 * pool)
                self.search(2 * pool + 1)
                clock_gettime(CLOCK_MONOTONIC, &after)
                for k in range(self.n_found):
                    worth[i] = max(worth[i], self.found[k].path.worth)
                if took is not None:
                    took[i] = (after.tv_sec - before.tv_sec) * 1_000_000_000 + (
                        after.tv_nsec - before.tv_nsec)
        if self.failed:
            raise MemoryError
        return worths
