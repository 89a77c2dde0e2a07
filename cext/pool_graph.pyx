"""Pools as edges between mints, with what makes a search for cycles quick.

The edges of a mint lie sorted by the mint at their far end. A mint of many edges is a hub: it keeps
the best rate from and to each mint, and between two hubs there is the best rate by way of a third
mint. All of it is kept up to date as pools move; adding a pool costs as much as its mints have
edges.
"""

from libc.math cimport INFINITY, isfinite
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memmove, memset

from mevstream.cext.memory cimport grow
from mevstream.cext.quotes cimport (
    APPROXIMATE, BIN, EXACT, IN_RANGE, NO_CURVE, PRODUCT, PUMP_CURVE, PUMP_SWAP, RANGE,
    RANGE_SCALED, TOKEN_SWAP, Curve, Fraction, fraction,
)

cdef enum:
    MAX_POOLS = 1 << 28

KINDS = {
    "product": PRODUCT,
    "token_swap": TOKEN_SWAP,
    "pump_swap": PUMP_SWAP,
    "pump_curve": PUMP_CURVE,
    "range": RANGE,
    "range_scaled": RANGE_SCALED,
    "bin": BIN,
}
EXACTNESS = {"exact": EXACT, "in_range": IN_RANGE, "approximate": APPROXIMATE}


cdef class PoolGraph:
    """Mints and pools are numbered as they are added; `hub_degree`: a mint of more edges than that
    is a hub. Not for use by two threads at once."""

    def __cinit__(self, uint32_t hub_degree=32):
        self.hub_degree = hub_degree
        self.vacant = []

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.n_mints):
            free(self.mints[i].edges)
            free(self.mints[i].into)
            free(self.mints[i].out_of)
            free(self.mints[i].first)
        free(self.mints)
        free(self.values)
        free(self.curves)
        free(self.fractions)
        free(self.rates)
        free(self.mint_of)
        free(self.place)
        free(self.scratch.into)
        free(self.scratch.first)
        free(self.hubs)
        free(self.through)
        free(self.through_by)

    # -- mints and pools --------------------------------------------------------------------------

    cdef uint32_t add_mint(self, double value) except? NO_EDGE:
        cdef uint32_t i = self.n_mints, k
        cdef uint32_t room = 2 * self.mint_room + 64
        cdef bint ok = True
        cdef Mint* mint
        if i == self.mint_room:
            ok = (grow(<void**>&self.mints, room, sizeof(Mint))
                  and grow(<void**>&self.values, room, 8)
                  and grow(<void**>&self.scratch.into, room, 8)
                  and grow(<void**>&self.scratch.first, room, 4))
            for k in range(self.n_hubs):
                mint = &self.mints[self.hubs[k]]
                ok = ok and grow(<void**>&mint.into, room, 8) and grow(
                    <void**>&mint.out_of, room, 8) and grow(<void**>&mint.first, room, 4)
            if not ok:
                raise MemoryError
            for k in range(self.n_hubs):
                mint = &self.mints[self.hubs[k]]
                memset(mint.into + i, 0, (room - i) * 8)
                memset(mint.out_of + i, 0, (room - i) * 8)
            memset(self.scratch.into + i, 0, (room - i) * 8)
            self.mint_room = room
        memset(&self.mints[i], 0, sizeof(Mint))
        self.mints[i].hub = NO_EDGE
        self.values[i] = value
        self.n_mints += 1
        return i

    cdef uint32_t add_pool(self, uint32_t mint_0, uint32_t mint_1) except? NO_EDGE:
        cdef uint32_t pool, room = 2 * self.pool_room + 64
        if self.vacant:
            pool = self.vacant.pop()
        else:
            pool = self.n_pools
            if pool == MAX_POOLS:
                raise MemoryError
            if pool == self.pool_room:
                if not (grow(<void**>&self.curves, room, sizeof(Curve))
                        and grow(<void**>&self.fractions, 2 * room, sizeof(Fraction))
                        and grow(<void**>&self.rates, 2 * room, 8)
                        and grow(<void**>&self.mint_of, 2 * room, 4)
                        and grow(<void**>&self.place, 2 * room, 4)):
                    raise MemoryError
                self.pool_room = room
            self.n_pools += 1
        memset(&self.curves[pool], 0, sizeof(Curve))
        memset(&self.fractions[2 * pool], 0, 2 * sizeof(Fraction))
        self.fractions[2 * pool].i = self.fractions[2 * pool + 1].i = 1.0
        self.fractions[2 * pool].cap = self.fractions[2 * pool + 1].cap = INFINITY
        self.rates[2 * pool] = self.rates[2 * pool + 1] = 0.0
        self.mint_of[2 * pool] = mint_0
        self.mint_of[2 * pool + 1] = mint_1
        self.insert(2 * pool)
        self.insert(2 * pool + 1)
        return pool

    cdef int insert(self, uint32_t way) except -1:
        """Files the way among its mint's edges, as the last of those to the same mint."""
        cdef Mint* mint = &self.mints[self.mint_of[way]]
        cdef uint32_t other = self.mint_of[way ^ 1], at = 0, end = mint.n
        if mint.n == mint.room:
            if not grow(<void**>&mint.edges, 2 * mint.room + 4, sizeof(Edge)):
                raise MemoryError
            mint.room = 2 * mint.room + 4
        while at < end:
            if mint.edges[(at + end) // 2].other <= other:
                at = (at + end) // 2 + 1
            else:
                end = (at + end) // 2
        memmove(&mint.edges[at + 1], &mint.edges[at], (mint.n - at) * sizeof(Edge))
        mint.n += 1
        mint.edges[at].other = other
        mint.edges[at].way = way
        mint.edges[at].rate = 0.0
        self.renumber(mint, at)
        if mint.hub == NO_EDGE and mint.n > self.hub_degree:
            self.make_hub(self.mint_of[way])
        return 0

    cdef void renumber(self, Mint* mint, uint32_t begin) noexcept nogil:
        """Edges have moved from `begin` on."""
        cdef uint32_t i
        for i in range(begin, mint.n):
            self.place[mint.edges[i].way] = i
            if mint.hub != NO_EDGE and (i == 0 or mint.edges[i - 1].other != mint.edges[i].other):
                mint.first[mint.edges[i].other] = i

    cdef void drop_pool(self, uint32_t pool) noexcept nogil:
        """Takes the pool out of the graph; its number is not given again by this alone."""
        cdef uint32_t side, way, at
        cdef Mint* mint
        self.curves[pool].kind = NO_CURVE
        self.moved(pool)
        for side in range(2):
            way = 2 * pool + side
            mint = &self.mints[self.mint_of[way]]
            at = self.place[way]
            mint.n -= 1
            memmove(&mint.edges[at], &mint.edges[at + 1], (mint.n - at) * sizeof(Edge))
            self.renumber(mint, at)
        self.mint_of[2 * pool] = self.mint_of[2 * pool + 1] = NO_EDGE

    cdef int make_hub(self, uint32_t number) except -1:
        cdef Mint* mint = &self.mints[number]
        cdef uint32_t n = self.n_hubs, i, k
        cdef double* through = <double*>calloc((n + 1) * (n + 1), 8)
        cdef uint32_t* by = <uint32_t*>calloc((n + 1) * (n + 1), 4)
        mint.into = <double*>calloc(self.mint_room, 8)
        mint.out_of = <double*>calloc(self.mint_room, 8)
        mint.first = <uint32_t*>calloc(self.mint_room, 4)
        if (through == NULL or by == NULL or mint.into == NULL or mint.out_of == NULL
                or mint.first == NULL or not grow(<void**>&self.hubs, n + 1, 4)):
            free(through)
            free(by)
            free(mint.into)
            free(mint.out_of)
            free(mint.first)
            mint.into = mint.out_of = NULL
            mint.first = NULL
            raise MemoryError
        for i in range(n):
            for k in range(n):
                through[i * (n + 1) + k] = self.through[i * n + k]
                by[i * (n + 1) + k] = self.through_by[i * n + k]
        free(self.through)
        free(self.through_by)
        self.through = through
        self.through_by = by
        self.hubs[n] = number
        self.n_hubs += 1
        mint.hub = n
        self.renumber(mint, 0)
        for i in range(mint.n):
            if i == 0 or mint.edges[i - 1].other != mint.edges[i].other:
                self.retable(mint, mint.edges[i].other)
        for k in range(n):
            self.rescan(n, k)
            self.rescan(k, n)
        return 0

    # -- what a move changes ----------------------------------------------------------------------

    cdef void moved(self, uint32_t pool) noexcept nogil:
        """Takes over `curves[pool]`, which has changed."""
        cdef uint32_t side, way
        cdef Fraction f
        cdef double rate
        cdef Mint* mint
        for side in range(2):
            way = 2 * pool + side
            self.capped -= self.fractions[way].cap < INFINITY
            rate = 0.0
            if fraction(&self.curves[pool], side, &f):
                rate = f.o / f.i
            if not 0.0 < rate < INFINITY:
                f.i = 1.0
                f.o = rate = 0.0
                f.cap = INFINITY
            self.fractions[way] = f
            self.capped += f.cap < INFINITY
            self.rates[way] = rate
            self.mints[self.mint_of[way]].edges[self.place[way]].rate = rate
        for side in range(2):
            way = 2 * pool + side
            mint = &self.mints[self.mint_of[way]]
            if mint.hub != NO_EDGE:
                self.retable(mint, self.mint_of[way ^ 1])
                self.reroute(mint.hub, self.mint_of[way ^ 1])

    cdef void retable(self, Mint* hub, uint32_t other) noexcept nogil:
        """The best rates between the hub and one mint."""
        cdef uint32_t i = hub.first[other]
        cdef double into = 0.0, out_of = 0.0
        while i < hub.n and hub.edges[i].other == other:
            out_of = max(out_of, hub.edges[i].rate)
            into = max(into, self.rates[hub.edges[i].way ^ 1])
            i += 1
        hub.into[other] = into
        hub.out_of[other] = out_of

    cdef void reroute(self, uint32_t hub, uint32_t by) noexcept nogil:
        """The best ways between this hub and the others, now that `by` is reached otherwise."""
        cdef uint32_t k
        for k in range(self.n_hubs):
            if k != hub:
                self.rebound(hub, k, by)
                self.rebound(k, hub, by)

    cdef void rebound(self, uint32_t start, uint32_t end, uint32_t by) noexcept nogil:
        cdef size_t at = <size_t>start * self.n_hubs + end
        cdef double rate = (self.mints[self.hubs[start]].out_of[by]
                            * self.mints[self.hubs[end]].into[by])
        if rate >= self.through[at]:
            self.through[at] = rate
            self.through_by[at] = by
        elif self.through_by[at] == by:
            self.rescan(start, end)

    cdef void rescan(self, uint32_t start, uint32_t end) noexcept nogil:
        cdef size_t at = <size_t>start * self.n_hubs + end
        cdef Mint* hub = &self.mints[self.hubs[start]]
        cdef double* into = self.mints[self.hubs[end]].into
        cdef uint32_t i
        cdef double rate
        self.through[at] = 0.0
        self.through_by[at] = 0
        for i in range(hub.n):
            rate = hub.edges[i].rate * into[hub.edges[i].other]
            if rate > self.through[at]:
                self.through[at] = rate
                self.through_by[at] = hub.edges[i].other

    # -- Python -----------------------------------------------------------------------------------

    cdef int check(self, object pool) except -1:
        if not 0 <= pool < self.n_pools or self.mint_of[2 * <uint32_t>pool] == NO_EDGE:
            raise ValueError(f"no pool {pool}")
        return 0

    def mint(self, double value=1.0):
        """Adds a mint; `value` of one base unit compares profits in different mints."""
        if not isfinite(value) or value <= 0:
            raise ValueError(f"no value of a mint: {value}")
        return self.add_mint(value)

    def pool(self, uint32_t mint_0, uint32_t mint_1):
        """Adds a pool between two mints. It takes part once its curve is set."""
        if mint_0 == mint_1 or mint_0 >= self.n_mints or mint_1 >= self.n_mints:
            raise ValueError(f"no pool between mints {mint_0} and {mint_1} of {self.n_mints}")
        return self.add_pool(mint_0, mint_1)

    def remove(self, pool):
        """Takes a pool out; its number may be given again."""
        self.check(pool)
        self.drop_pool(pool)
        self.vacant.append(pool)

    def set_curve(
        self, pool, kind, *, rates=(), reserves=(0, 0), root=0, liquidity=0, low=0, high=0,
        exactness="exact",
    ):
        """The pool's curve from now on. kind, rates (see quotes.pxd for their units): product,
        token_swap (two each), pump_swap, pump_curve (three), range, range_scaled (one and, scaled,
        the sides whose input bears the fee), bin (one). Reserves are u64, root (of a bin: its
        price), liquidity, low and high u128."""
        cdef Curve* curve
        cdef Curve new
        self.check(pool)
        memset(&new, 0, sizeof(Curve))
        new.kind = KINDS[kind]
        new.exactness = EXACTNESS[exactness]
        for i, rate in enumerate(rates):
            if i == 3:
                raise ValueError("a curve has at most three rates")
            new.rate[<int>i] = rate
        unit = {PUMP_SWAP: 10_000, PUMP_CURVE: 10_000, RANGE_SCALED: 10**9, BIN: 10**9}.get(
            new.kind, 10**6)
        if max(new.rate[0], new.rate[1], new.rate[2]) >= unit:
            raise ValueError(f"{kind}: rates are below {unit}")
        new.reserve[0], new.reserve[1] = reserves
        for side in range(2):
            new.root[<int>side] = root >> 64 * side & 0xFFFFFFFFFFFFFFFF
            new.liquidity[<int>side] = liquidity >> 64 * side & 0xFFFFFFFFFFFFFFFF
            new.low[<int>side] = low >> 64 * side & 0xFFFFFFFFFFFFFFFF
            new.high[<int>side] = high >> 64 * side & 0xFFFFFFFFFFFFFFFF
        curve = &self.curves[<uint32_t>pool]
        curve[0] = new
        self.moved(pool)
