"""The best cycles of two to four hops through a pool that has just moved.

Each hop is a fraction of linear functions (quotes.pxd), and such hops in a row are one again, so a
cycle of any length has its best input in closed form: with out = o x / (i + x) it is sqrt(o i) - i,
and the profit (sqrt(o) - sqrt(i))^2. A cycle can only gain where the product of its marginal rates
exceeds one, and that prunes: by the best rates that pool_graph.pyx keeps nearly every path ends
before its last hop is looked at.

Cycles are simple: no pool and no mint twice. Each is measured in the mint that its moved pool takes
in; the values of mints compare the two directions.
"""

from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t

from mevstream.cext.paths cimport MAX_HOPS, Path, hop, path_gross, path_limit, path_settle
from mevstream.cext.pool_graph cimport NO_EDGE, Mint, PoolGraph
from mevstream.cext.quotes cimport PRODUCT, Fraction

from typing import NamedTuple

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


class Cycle(NamedTuple):
    pools: tuple[int, ...]
    mints: tuple[int, ...]
    amount_in: float
    profit: float
    worth: float


cdef class CycleGraph(PoolGraph):
    """A pool graph that is searched."""

    # -- search -----------------------------------------------------------------------------------

    cdef void find(self, uint32_t pool, int max_hops, uint32_t top, Found* found) noexcept nogil:
        """The `top` best cycles through the pool, the best first."""
        cdef uint32_t side, i
        cdef Mint* a
        found.n = 0
        found.top = top
        for side in range(2):
            if self.rates[2 * pool + side] == 0.0:
                continue
            a = &self.mints[self.mint_of[2 * pool + side]]
            if a.hub != NO_EDGE:
                self.walk(2 * pool + side, a, a, max_hops, found)
                continue
            self.scratch.edges = a.edges
            self.scratch.n = a.n
            for i in range(a.n):
                if i == 0 or a.edges[i - 1].other != a.edges[i].other:
                    self.scratch.first[a.edges[i].other] = i
                self.scratch.into[a.edges[i].other] = max(
                    self.scratch.into[a.edges[i].other], self.rates[a.edges[i].way ^ 1])
            self.walk(2 * pool + side, a, &self.scratch, max_hops, found)
            for i in range(a.n):
                self.scratch.into[a.edges[i].other] = 0.0

    cdef void walk(
        self, uint32_t way, const Mint* a, const Mint* home, int max_hops, Found* found
    ) noexcept nogil:
        """Cycles that begin with this way. `home` has the tables of its mint a, hub or not."""
        cdef uint32_t ways[MAX_HOPS]
        cdef uint32_t mint_a = self.mint_of[way], mint_b = self.mint_of[way ^ 1], i, c
        cdef const Mint* b = &self.mints[mint_b]
        cdef double rate = self.rates[way], so_far
        cdef Fraction start = self.fractions[way]
        ways[0] = way
        self.close(ways, 1, mint_b, home, start.i, start.o, found)
        if max_hops < 3:
            return
        if b.hub != NO_EDGE and a.hub == NO_EDGE:
            # a has few neighbours: from their side.
            i = 0
            while i < a.n:
                c = a.edges[i].other
                if c != mint_b and home.into[c] > 0.0:
                    self.meet(ways, mint_a, mint_b, c, b, home, rate, max_hops, found)
                i += 1
                while i < a.n and a.edges[i].other == c:
                    i += 1
            return
        for i in range(b.n):
            c = b.edges[i].other
            so_far = rate * b.edges[i].rate
            if c == mint_a or so_far == 0.0:
                continue
            ways[1] = b.edges[i].way
            if so_far * home.into[c] > GAIN:
                self.close_after(ways, 2, c, home, found)
            if max_hops > 3:
                self.fourth(ways, mint_a, mint_b, c, a, home, so_far, found)

    cdef void meet(
        self, uint32_t* ways, uint32_t mint_a, uint32_t mint_b, uint32_t d, const Mint* b,
        const Mint* home, double rate, int max_hops, Found* found
    ) noexcept nogil:
        """a → b → d → a and a → b → c → d → a, b being a hub."""
        cdef const Mint* last = &self.mints[d]
        cdef uint32_t i, k, c
        cdef double closing = rate * home.into[d], so_far
        if b.out_of[d] * closing > GAIN:
            i = b.first[d]
            while i < b.n and b.edges[i].other == d:
                if b.edges[i].rate * closing > GAIN:
                    ways[1] = b.edges[i].way
                    self.close_after(ways, 2, d, home, found)
                i += 1
        if max_hops < 4:
            return
        if last.hub != NO_EDGE and closing * self.through[
                <size_t>b.hub * self.n_hubs + last.hub] <= GAIN:
            return
        for i in range(last.n):
            c = last.edges[i].other
            so_far = closing * self.rates[last.edges[i].way ^ 1]
            if so_far * b.out_of[c] <= GAIN or c == mint_a or c == mint_b:
                continue
            ways[2] = last.edges[i].way ^ 1
            k = b.first[c]
            while k < b.n and b.edges[k].other == c:
                if so_far * b.edges[k].rate > GAIN:
                    ways[1] = b.edges[k].way
                    self.close_after(ways, 3, d, home, found)
                k += 1

    cdef void fourth(
        self, uint32_t* ways, uint32_t mint_a, uint32_t mint_b, uint32_t c, const Mint* a,
        const Mint* home, double rate, Found* found
    ) noexcept nogil:
        """a → b → c, so far, → d → a."""
        cdef const Mint* third = &self.mints[c]
        cdef uint32_t i, k, d
        if third.hub != NO_EDGE and a.hub != NO_EDGE and rate * self.through[
                <size_t>third.hub * self.n_hubs + a.hub] <= GAIN:
            return
        if third.hub != NO_EDGE and a.n < third.n:
            i = 0
            while i < a.n:
                d = a.edges[i].other
                k = third.first[d]
                if (rate * third.out_of[d] * home.into[d] > GAIN and d != mint_b and d != c):
                    while k < third.n and third.edges[k].other == d:
                        if rate * third.edges[k].rate * home.into[d] > GAIN:
                            ways[2] = third.edges[k].way
                            self.close_after(ways, 3, d, home, found)
                        k += 1
                i += 1
                while i < a.n and a.edges[i].other == d:
                    i += 1
            return
        for i in range(third.n):
            d = third.edges[i].other
            if (rate * third.edges[i].rate * home.into[d] > GAIN and d != mint_b
                    and d != mint_a):
                ways[2] = third.edges[i].way
                self.close_after(ways, 3, d, home, found)

    cdef void close_after(
        self, uint32_t* ways, uint32_t n, uint32_t last, const Mint* home, Found* found
    ) noexcept nogil:
        cdef Fraction total = self.fractions[ways[0]]
        cdef uint32_t k
        for k in range(1, n):
            hop(&self.fractions[ways[k]], &total.i, &total.o)
        self.close(ways, n, last, home, total.i, total.o, found)

    cdef void close(
        self, uint32_t* ways, uint32_t n, uint32_t last, const Mint* home, double i, double o,
        Found* found
    ) noexcept nogil:
        """Every pool from the mint `last` back home, after n ways that come to o x / (i + x)."""
        cdef uint32_t k
        cdef double at_i, at_o
        if home.into[last] == 0.0:
            return
        k = home.first[last]
        while k < home.n and home.edges[k].other == last:
            ways[n] = home.edges[k].way ^ 1
            k += 1
            if ways[n] ^ 1 == ways[0]:
                continue
            at_i = i
            at_o = o
            hop(&self.fractions[ways[n]], &at_i, &at_o)
            if at_o > at_i * GAIN:
                self.keep(ways, n + 1, at_i, at_o, found)

    cdef void keep(
        self, const uint32_t* ways, uint32_t n, double i, double o, Found* found
    ) noexcept nogil:
        """Files a cycle that gains, if it is among the best."""
        cdef double value = self.values[self.mint_of[ways[0]]], amount, profit, most
        cdef uint32_t at = found.n, k
        cdef Path* path
        # (sqrt(o) - sqrt(i))^2 without cancellation
        profit = (o - i) / (sqrt(o) + sqrt(i))
        profit *= profit
        if at == found.top and profit * value <= found.paths[at - 1].worth:
            return
        amount = sqrt(o * i) - i
        if self.capped:
            most = path_limit(self.fractions, ways, n)
            if amount > most:
                amount = most
                profit = (o - i - amount) * amount / (i + amount)
                if profit <= 0.0 or (
                        at == found.top and profit * value <= found.paths[at - 1].worth):
                    return
        if at == found.top:
            at -= 1
        else:
            found.n += 1
        while at > 0 and found.paths[at - 1].worth < profit * value:
            found.paths[at] = found.paths[at - 1]
            at -= 1
        path = &found.paths[at]
        path.n = n
        for k in range(n):
            path.ways[k] = ways[k]
        path.amount = amount
        path.profit = profit
        path.worth = profit * value

    # -- Python -----------------------------------------------------------------------------------

    def search(self, pool, int max_hops=4, uint32_t top=1):
        """The at most `top` (of 16) best cycles of 2 to max_hops hops that begin with the pool, the
        one of most worth first. `amount_in`, `profit` are without rounding, in mints[0]."""
        cdef Found found
        cdef uint32_t i, k
        self.check(pool)
        if not 2 <= max_hops <= MAX_HOPS or not 0 < top <= MAX_TOP:
            raise ValueError(f"hops are 2 to {MAX_HOPS}, cycles 1 to {MAX_TOP}")
        self.find(pool, max_hops, top, &found)
        out = []
        for i in range(found.n):
            path = found.paths[i]
            out.append(Cycle(
                tuple([path.ways[k] >> 1 for k in range(path.n)]),
                tuple([self.mint_of[path.ways[k]] for k in range(path.n)]),
                path.amount, path.profit, path.worth))
        return out

    cdef uint32_t path_of(self, cycle, Path* path) except 0:
        """The way of each hop of a Cycle, which may have been rotated."""
        cdef uint32_t n = len(cycle.pools), k, way
        if not 2 <= n <= MAX_HOPS or len(cycle.mints) != n:
            raise ValueError("no cycle")
        path.n = n
        path.amount = cycle.amount_in
        for k in range(n):
            self.check(cycle.pools[k])
            way = 2 * <uint32_t>cycle.pools[k]
            way += self.mint_of[way] != <uint32_t>cycle.mints[k]
            if self.mint_of[way] != <uint32_t>cycle.mints[k] or (
                    self.mint_of[way ^ 1] != <uint32_t>cycle.mints[(k + 1) % n]):
                raise ValueError("no cycle")
            path.ways[k] = way
        return n

    def quote(self, cycle, uint64_t amount):
        """What the cycle gives back for `amount`, to the unit; None where a program would refuse,
        or a range that is known is left."""
        cdef Path path
        cdef uint64_t out
        self.path_of(cycle, &path)
        return out if path_gross(
            self.curves, path.ways, path.n, amount, &out) else None

    def optimum(self, cycle):
        """(input, profit) in whole units near the cycle's `amount_in`; (0, 0) where none is
        left."""
        cdef Path path
        cdef int64_t profit
        self.path_of(cycle, &path)
        amount = path_settle(self.curves, &path, &profit)
        return amount, profit

    def run(self, const uint32_t[::1] pools, const uint64_t[:, ::1] reserves, int max_hops=4,
            nanoseconds=None):
        """Moves constant-product pools to new reserves, one after another, and searches after each.
        Gives the profit of the best cycle each time (float64, 0 without one); `nanoseconds`, an
        int64 array, is filled with how long each took."""
        cdef Py_ssize_t n = len(pools), i
        cdef Found found
        cdef timespec before, after
        cdef int64_t[::1] took = nanoseconds
        if len(reserves) != n or reserves.shape[1] != 2 or (
                took is not None and len(took) != n) or not 2 <= max_hops <= MAX_HOPS:
            raise ValueError("arrays of different length, or no such number of hops")
        for i in range(n):
            self.check(pools[i])
            if self.curves[pools[i]].kind != PRODUCT:
                raise ValueError(f"pool {pools[i]} is no constant product")
        profits = np.zeros(n)
        cdef double[::1] profit = profits
        with nogil:
            for i in range(n):
                clock_gettime(CLOCK_MONOTONIC, &before)
                self.curves[pools[i]].reserve[0] = reserves[i, 0]
                self.curves[pools[i]].reserve[1] = reserves[i, 1]
                self.moved(pools[i])
                self.find(pools[i], max_hops, 1, &found)
                clock_gettime(CLOCK_MONOTONIC, &after)
                if found.n:
                    profit[i] = found.paths[0].profit
                if took is not None:
                    took[i] = (after.tv_sec - before.tv_sec) * 1_000_000_000 + (
                        after.tv_nsec - before.tv_nsec)
        return profits
