"""What agents of the simulated chain can do while a block is made: look at pools, price cycles,
send transactions, and keep a pool to themselves.

An agent is Python; whatever it asks for a thousand times is here.
"""

from libc.math cimport exp, log
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from mevstream.cext.synth cimport Synth
from mevstream.cext.synth_types cimport (
    L_FEE, L_IN, L_OUT, L_RECEIVED, L_TOTAL_IN, LEG_SIZE, MAX_EDGES, R_AMOUNT, R_EXTRA, R_LEG,
    RAYDIUM_CLMM, WHIRLPOOL, Pool, Template, TemplateLeg, u128,
)

import numpy as np

cdef extern from *:
    """
    #define SYNTH_LOW(a) ((uint64_t)(a))
    #define SYNTH_HIGH(a) ((uint64_t)((a) >> 64))
    """
    uint64_t SYNTH_LOW(u128 a) nogil
    uint64_t SYNTH_HIGH(u128 a) nogil

cdef enum:
    HOPS = 4
    # Registers from R_EXTRA on; those beyond the first eight only where there are no legs.
    EXTRAS = 24
# A first look at a cycle takes this part of the first reserve.
cdef uint64_t GLANCE = 20_000
# The golden section of an interval, and how often it is taken.
cdef double GOLDEN = 0.6180339887498949
cdef int SECTIONS = 24


cdef object wide(u128 a):
    return int(SYNTH_HIGH(a)) << 64 | int(SYNTH_LOW(a))


cdef class Agents(Synth):
    """A simulated chain with agents. `cycles`: int32 (n, HOPS, 2), the pools that a cycle passes
    and the sides that go in, -1 where it has fewer hops."""

    cdef const int32_t[:, :, ::1] cycles

    def __init__(self, *arguments, cycles, **named):
        super().__init__(*arguments, **named)
        self.cycles = np.ascontiguousarray(cycles, np.int32).reshape(-1, HOPS, 2)
        self.agents = True

    # -- sending ---------------------------------------------------------------------------------

    def send(self, int number, int user, int other, uint64_t amount, uint64_t tip, uint64_t price,
             extras=()):
        """Sends one transaction of a template.

        amount: what the first leg takes, or R_AMOUNT where there is no leg; tip: lamports; price:
        micro-lamports a unit; extras: u64, for R_EXTRA and on. Returns (transaction's index,
        where its first signature stands in the block, fee in lamports, per leg (pool's side in and
        out, paid, received, fee of the pool)), None where it cannot be done (nothing happened).
        """
        cdef Template* t = self.templates.get(number)
        cdef int k, done
        cdef uint64_t* f
        if len(extras) > (EXTRAS if t.n_legs == 0 else R_LEG - R_EXTRA):
            raise ValueError("too many extra amounts")
        for k in range(len(extras)):
            self.r[R_EXTRA + k] = extras[k]
        self.r[R_AMOUNT] = amount
        self.given = True
        self.given_tip = tip
        self.given_price = price
        done = self.emit(number, user, other, 0, amount, 0)
        self.given = False
        if not done:
            return None
        legs = []
        for k in range(t.n_legs):
            f = &self.r[R_LEG + LEG_SIZE * k]
            legs.append((f[L_IN], f[L_OUT], f[L_TOTAL_IN], f[L_RECEIVED], f[L_FEE]))
        return self.counts.transactions - 1, self.last_signature, self.last_fee, legs

    def spam(self, int number, users, int n, uint64_t amount):
        """Up to n failing transactions of a template by `users` in turn; returns how many."""
        cdef int i, sent = 0
        for i in range(n):
            sent += self.emit(number, users[i % len(users)], 0, 0, amount, 0)
        return sent

    # -- looking ---------------------------------------------------------------------------------

    def held(self, int user, int column):
        """Token amount (lamports in column 0) of a user's account."""
        cdef int account = self.users[user, column]
        return self.ledger.amounts[account] if column else self.ledger.lamports[account]

    def state(self, int number):
        """A pool as it is: dict of `reserves` (those of the curve), `sqrt_price`, `liquidity`,
        `tick`, `edges` (sqrt price, liquidity that crossing upwards adds), `segment`, `bins`
        (x, y, price), `active`, `above` (whether side 0 is dearer than at the start)."""
        cdef Pool* pool = self.item(number)
        cdef int i
        return {
            "reserves": (self.pools.reserve(pool, 0), self.pools.reserve(pool, 1)),
            "sqrt_price": wide(pool.sqrt_price),
            "liquidity": pool.liquidity,
            "tick": pool.tick,
            "edges": [(wide(self.pools.tick_price(pool, pool.edges[i])), pool.nets[i])
                      for i in range(pool.n_edges)],
            "segment": pool.segment,
            "bins": [(pool.bins[2 * i], pool.bins[2 * i + 1],
                      int(pool.bin_prices[2 * i + 1]) << 64 | pool.bin_prices[2 * i])
                     for i in range(pool.n_bins)],
            "active": pool.active,
            "above": self.pools.above_anchor(pool),
        }

    def above(self, int number):
        """Whether a pool's side 0 is dearer than at the start."""
        return self.pools.above_anchor(self.item(number))

    def reserve(self, int number, int side):
        """Reserve of a pool's curve."""
        return self.pools.reserve(self.item(number), side)

    cdef Pool* item(self, int number) except NULL:
        if not 0 <= number < self.pools.n:
            raise IndexError(number)
        return &self.pools.items[number]

    # -- keeping pools apart ---------------------------------------------------------------------

    def lock(self, int pool, bint on):
        """Keeps everybody else from a pool, or lets them back. The locks of a pool add up."""
        if on:
            self.locked[pool] += 1
        elif self.locked[pool]:
            self.locked[pool] -= 1

    def is_free(self, int pool, bint quiet):
        """Whether nobody keeps a pool; quiet: and nobody traded it in this slot."""
        return not self.locked[pool] and not (quiet and self.touched[pool] == self.turn)

    # -- cycles ----------------------------------------------------------------------------------

    cdef int64_t gain(self, int cycle, uint64_t amount) noexcept nogil:
        """What a cycle gives beyond what it takes, the pools as they are."""
        cdef TemplateLeg leg
        cdef uint64_t f[LEG_SIZE]
        cdef uint64_t paid = 0, budget = amount
        cdef int k
        for k in range(HOPS):
            if self.cycles[cycle, k, 0] < 0:
                break
            leg.pool = self.cycles[cycle, k, 0]
            leg.side_in = self.cycles[cycle, k, 1]
            if not self.pools.quote(&leg, f, budget):
                return -((<int64_t>1) << 62)
            if k == 0:
                paid = f[L_TOTAL_IN]
            budget = f[L_RECEIVED]
        return <int64_t>budget - <int64_t>paid

    cdef uint64_t entry(self, int cycle) noexcept nogil:
        return self.pools.reserve(&self.pools.items[self.cycles[cycle, 0, 0]],
                                  self.cycles[cycle, 0, 1])

    def gains(self, int cycle):
        """Whether a little sent through a cycle comes back as more."""
        return self.gain(cycle, self.entry(cycle) // GLANCE + 10_000) > 0

    def gain_of(self, int cycle, uint64_t amount):
        """What a cycle gives beyond `amount`; far below zero where it cannot be done."""
        return self.gain(cycle, amount)

    def find_cycle(self, int start, int most, bint quiet):
        """Number of the first of `most` cycles from `start` on, around, that gains and whose pools are
        free (`is_free`); -1 where there is none."""
        cdef int n = <int>self.cycles.shape[0], i, k, at, pool
        cdef bint free
        for i in range(min(n, most)):
            at = (start + i) % n
            free = True
            for k in range(HOPS):
                pool = self.cycles[at, k, 0]
                if pool >= 0 and (self.locked[pool] or (quiet and self.touched[pool] == self.turn)):
                    free = False
                    break
            if free and self.gain(at, self.entry(at) // GLANCE + 10_000) > 0:
                return at
        return -1

    def best_input(self, int cycle):
        """(amount, gain) where a cycle gains most, by golden section over the logarithm."""
        cdef double low = log(20_000.0), high = log(<double>self.entry(cycle) / 6.0 + 20_000.0)
        cdef double a = high - GOLDEN * (high - low), b = low + GOLDEN * (high - low)
        cdef int64_t at_a = self.gain(cycle, <uint64_t>exp(a))
        cdef int64_t at_b = self.gain(cycle, <uint64_t>exp(b))
        cdef int i
        for i in range(SECTIONS):
            # Where the pools cannot take so much, less is tried.
            if at_a >= at_b:
                high, b, at_b = b, a, at_a
                a = high - GOLDEN * (high - low)
                at_a = self.gain(cycle, <uint64_t>exp(a))
            else:
                low, a, at_a = a, b, at_b
                b = low + GOLDEN * (high - low)
                at_b = self.gain(cycle, <uint64_t>exp(b))
        return <uint64_t>exp(a), self.gain(cycle, <uint64_t>exp(a))

    # -- positions -------------------------------------------------------------------------------

    def move_liquidity(self, int number, int lower, int upper, int64_t liquidity):
        """Adds liquidity to a concentrated pool between two ticks, or takes it (negative)."""
        cdef Pool* pool = self.item(number)
        if pool.venue != RAYDIUM_CLMM and pool.venue != WHIRLPOOL:
            raise ValueError("only concentrated liquidity has positions")
        if not pool.first_tick <= lower < upper < pool.first_tick + pool.n_ticks:
            raise ValueError("ticks outside the pool's table")
        self.edge(pool, lower - pool.first_tick, liquidity)
        self.edge(pool, upper - pool.first_tick, -liquidity)
        if (self.pools.tick_price(pool, lower - pool.first_tick) <= pool.sqrt_price
                and pool.sqrt_price < self.pools.tick_price(pool, upper - pool.first_tick)):
            pool.liquidity += liquidity
        self.pools.find_segment(pool)

    cdef int edge(self, Pool* pool, int tick, int64_t net) except -1:
        cdef int at = 0, k
        while at < pool.n_edges and pool.edges[at] < tick:
            at += 1
        if at == pool.n_edges or pool.edges[at] != tick:
            if pool.n_edges == MAX_EDGES:
                raise ValueError("a pool has too many initialised ticks")
            for k in range(pool.n_edges, at, -1):
                pool.edges[k] = pool.edges[k - 1]
                pool.nets[k] = pool.nets[k - 1]
            pool.edges[at] = tick
            pool.nets[at] = 0
            pool.n_edges += 1
        pool.nets[at] += net
        if pool.nets[at] == 0:
            pool.n_edges -= 1
            for k in range(at, pool.n_edges):
                pool.edges[k] = pool.edges[k + 1]
                pool.nets[k] = pool.nets[k + 1]
        return 0

    def tick_price(self, int number, int tick):
        """Q64.64 square root of the price at a tick of a concentrated pool."""
        cdef Pool* pool = self.item(number)
        if not pool.first_tick <= tick < pool.first_tick + pool.n_ticks:
            raise ValueError("tick outside the pool's table")
        return wide(self.pools.tick_price(pool, tick - pool.first_tick))

    def watch(self, int number, int which, int lower, int upper):
        """Counts the fees of both tokens per unit of liquidity between two ticks from now on. Which:
        0 or 1, of the two that a pool can count at once."""
        cdef Pool* pool = self.item(number)
        if not 0 <= which < 2:
            raise IndexError(which)
        if not pool.first_tick <= lower < upper < pool.first_tick + pool.n_ticks:
            raise ValueError("ticks outside the pool's table")
        pool.watch_low[which] = self.pools.tick_price(pool, lower - pool.first_tick)
        pool.watch_high[which] = self.pools.tick_price(pool, upper - pool.first_tick)
        pool.growth[which][0] = pool.growth[which][1] = 0

    def watched(self, int number, int which):
        """The two counts, Q64.64."""
        cdef Pool* pool = self.item(number)
        if not 0 <= which < 2:
            raise IndexError(which)
        return wide(pool.growth[which][0]), wide(pool.growth[which][1])
