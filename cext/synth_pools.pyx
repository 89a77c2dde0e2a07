"""The simulated pools: what a swap gives and costs, and what it leaves behind.

Each venue by its own integer arithmetic (protocol facts 2.3 to 2.7, 2.10, 2.11). Concentrated
liquidity is one range, or several with initialised ticks between them; DLMM is one bin, or many.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from mevstream.cext.synth_ledger cimport Ledger
from mevstream.cext.synth_types cimport (
    DLMM, L_BIN_AFTER, L_BIN_BEFORE, L_CREATOR, L_FEE, L_GROWTH, L_GROWTH_2, L_IN, L_IN_FEE, L_IN_NET,
    L_LIQUIDITY, L_LIQUIDITY_AFTER, L_LP, L_OUT, L_OUT_FEE, L_OUT_NET, L_PROTOCOL, L_QUOTE,
    L_QUOTE_WITH_LP, L_REAL_SOL, L_REAL_TOKEN, L_RECEIVED, L_RESERVE_0, L_RESERVE_1, L_RESERVE_IN,
    L_RESERVE_OUT, L_SEGMENT, L_SQRT_AFTER, L_SQRT_BEFORE, L_TICK, L_TOTAL_IN, L_VIRTUAL_SOL,
    L_VIRTUAL_TOKEN, LEG_SIZE, MAX_EDGES, PUMP_FUN, PUMP_SWAP, RAYDIUM_CLMM, RAYDIUM_CPMM,
    RAYDIUM_V4, WHIRLPOOL, Pool, TemplateLeg, u128,
)

import numpy as np

cdef extern from "synth_math.h":
    uint64_t synth_ceil_div(u128 a, uint64_t d) nogil
    uint64_t synth_product_out(uint64_t reserve_in, uint64_t reserve_out, uint64_t net) nogil
    uint64_t synth_product_in(uint64_t reserve_in, uint64_t reserve_out, uint64_t out) nogil
    uint64_t synth_transfer_fee(uint64_t amount, uint32_t bps) nogil
    bint synth_range_swap(uint64_t liquidity, u128 sqrt_price, bint zero_for_one, uint64_t net,
                          u128* next_price, uint64_t* consumed, uint64_t* out) nogil
    uint64_t synth_at_price(u128 price, bint zero_for_one, uint64_t net) nogil
    uint64_t synth_bin_in(u128 price, bint zero_for_one, uint64_t out) nogil
    int synth_range_step(uint64_t liquidity, u128 price, u128 target, bint zero_for_one,
                         uint64_t remaining, uint32_t fee_rate, u128* next_price, uint64_t* taken,
                         uint64_t* out, uint64_t* fee) nogil
    u128 synth_mul_div(u128 a, u128 b, u128 d, bint round_up) nogil

cdef extern from *:
    """
    #define SYNTH_MUL(a, b) ((synth_u128)(a) * (b))
    #define SYNTH_GREATER(a, b, c, d) ((synth_u128)(a) * (b) > (synth_u128)(c) * (d))
    #define SYNTH_JOIN(low, high) ((synth_u128)(high) << 64 | (low))
    #define SYNTH_HIGH(a) ((uint64_t)((a) >> 64))
    #define SYNTH_GROWTH(fee, liquidity) (((synth_u128)(fee) << 64) / (liquidity))
    """
    u128 SYNTH_MUL(uint64_t a, uint64_t b) nogil
    bint SYNTH_GREATER(uint64_t a, uint64_t b, uint64_t c, uint64_t d) nogil
    u128 SYNTH_JOIN(uint64_t low, uint64_t high) nogil
    uint64_t SYNTH_HIGH(u128 a) nogil
    u128 SYNTH_GROWTH(uint64_t fee, uint64_t liquidity) nogil


cdef class Pools:
    """pools: objects with the fields of `world.Pool`; ledger: holds their vaults."""

    def __cinit__(self):
        self.items = NULL

    def __init__(self, pools, Ledger ledger):
        cdef Pool* pool
        cdef uint64_t[::1] table
        self.n = len(pools)
        self.ledger = ledger
        self.tick_tables = []
        self.items = <Pool*>calloc(self.n, sizeof(Pool))
        if self.items == NULL:
            raise MemoryError
        for i, p in enumerate(pools):
            pool = &self.items[i]
            pool.venue = p.venue
            pool.hub_side = p.hub_side
            pool.hub_is_sol = p.hub_is_sol
            pool.fee_rate = p.fee_rate
            pool.protocol_rate = p.protocol_rate
            pool.fund_rate = p.fund_rate
            pool.lp_bps = p.lp_bps
            pool.protocol_bps = p.protocol_bps
            pool.creator_bps = p.creator_bps
            for side in range(2):
                pool.vault[side] = p.vaults[side]
                pool.transfer_fee_bps[side] = p.transfer_fee_bps[side]
                pool.virtual_[side] = p.virtual[side]
                pool.real[side] = p.real[side]
                pool.anchor[side] = p.anchor[side]
            pool.liquidity = p.liquidity
            pool.sqrt_price = SYNTH_JOIN(p.sqrt_price & 0xFFFFFFFFFFFFFFFF, p.sqrt_price >> 64)
            pool.bin_price = SYNTH_JOIN(p.bin_price & 0xFFFFFFFFFFFFFFFF, p.bin_price >> 64)
            pool.tick = pool.anchor_tick = p.tick
            pool.first_tick = p.first_tick
            if p.tick_prices is not None:
                table = np.ascontiguousarray(p.tick_prices, np.uint64).reshape(-1)
                self.tick_tables.append(table)
                pool.ticks = &table[0]
                pool.n_ticks = len(table) // 2
            if len(p.edges) > MAX_EDGES:
                raise ValueError(f"a pool has more than {MAX_EDGES} initialised ticks")
            pool.n_edges = len(p.edges)
            for k, (tick, net) in enumerate(p.edges):
                pool.edges[k] = tick - p.first_tick
                pool.nets[k] = net
            self.find_segment(pool)
            pool.first_bin = pool.active = p.bin_id
            if p.bins is not None:
                self.tick_tables += (p.bins, p.bin_prices)
                table = p.bins.reshape(-1)
                pool.bins = &table[0]
                table = p.bin_prices.reshape(-1)
                pool.bin_prices = &table[0]
                pool.n_bins = len(p.bins)
                pool.first_bin = p.first_bin
                pool.active = p.bin_id - p.first_bin

    def __dealloc__(self):
        free(self.items)

    cdef uint64_t reserve(self, const Pool* pool, int side) noexcept nogil:
        cdef uint64_t held
        if pool.venue == PUMP_FUN:
            return pool.virtual_[side]
        held = self.ledger.amounts[pool.vault[side]]
        return held - pool.owed[side] if held > pool.owed[side] else 0

    cdef bint above_anchor(self, const Pool* pool) noexcept nogil:
        """Whether side 0 is dearer than it was at the start, so that selling it should pull."""
        if pool.venue == RAYDIUM_CLMM or pool.venue == WHIRLPOOL:
            return pool.tick > pool.anchor_tick
        return SYNTH_GREATER(self.reserve(pool, 1) >> 4, pool.anchor[0] >> 4,
                             self.reserve(pool, 0) >> 4, pool.anchor[1] >> 4)

    cdef uint64_t priced(self, const Pool* pool, int side, uint64_t size) noexcept nogil:
        """`size` lamports' worth of the token on `side` (roughly), at most 1/64 of the reserve."""
        cdef uint64_t amount = size, limit, here, there
        here = self.reserve(pool, side)
        there = self.reserve(pool, 1 - side)
        if not pool.hub_is_sol:
            amount = amount // 20 * 3
        if side != pool.hub_side:
            if pool.venue == RAYDIUM_CLMM or pool.venue == WHIRLPOOL:
                amount = self.by_sqrt_price(pool, side, amount)
            elif pool.venue == DLMM:
                amount = synth_at_price(pool.bin_price, side == 1, amount)
            else:
                amount = synth_product_out(there + 1, here, amount)
        limit = here >> 6
        if pool.venue == DLMM:
            limit = synth_at_price(pool.bin_price, side == 1, there) >> 6
        return amount if amount < limit else limit

    cdef uint64_t by_sqrt_price(self, const Pool* pool, int side, uint64_t amount) noexcept nogil:
        """`amount` of the other side in units of `side` at the current price."""
        cdef u128 one = SYNTH_JOIN(0, 1), out
        if side == 1:
            out = synth_mul_div(amount, pool.sqrt_price, one, 0)
            out = synth_mul_div(out, pool.sqrt_price, one, 0)
        else:
            out = synth_mul_div(amount, one, pool.sqrt_price, 0)
            out = synth_mul_div(out, one, pool.sqrt_price, 0)
        return 0 if SYNTH_HIGH(out) else <uint64_t>out

    cdef bint quote(self, const TemplateLeg* leg, uint64_t* f, uint64_t budget) noexcept nogil:
        """What `budget` of the trader's tokens does on the leg's pool: fills the leg's registers,
        moves nothing. False where the pool cannot do it."""
        cdef const Pool* pool = &self.items[leg.pool]
        cdef int side = leg.side_in
        cdef uint64_t amount = budget, net, out, fee
        cdef uint32_t bps
        memset(f, 0, LEG_SIZE * sizeof(uint64_t))
        f[L_RESERVE_IN] = self.reserve(pool, side)
        f[L_RESERVE_OUT] = self.reserve(pool, 1 - side)
        f[L_RESERVE_0] = self.reserve(pool, 0)
        f[L_RESERVE_1] = self.reserve(pool, 1)
        if amount < 10 or amount > <uint64_t>1 << 62 or f[L_RESERVE_OUT] < 1000:
            return False
        if pool.venue == PUMP_SWAP or pool.venue == PUMP_FUN:
            if not self.quote_pump(pool, side, f, budget):
                return False
        else:
            f[L_IN] = amount
            f[L_IN_FEE] = synth_transfer_fee(amount, pool.transfer_fee_bps[side])
            f[L_IN_NET] = amount - f[L_IN_FEE]
            if pool.venue == RAYDIUM_V4:
                f[L_FEE] = synth_ceil_div(SYNTH_MUL(amount, 25), 10000)
                f[L_OUT] = synth_product_out(f[L_RESERVE_IN], f[L_RESERVE_OUT], amount - f[L_FEE])
            elif pool.venue == RAYDIUM_CPMM:
                f[L_FEE] = synth_ceil_div(SYNTH_MUL(f[L_IN_NET], pool.fee_rate), 1000000)
                f[L_PROTOCOL] = (f[L_FEE] * pool.protocol_rate // 1000000
                                 + f[L_FEE] * pool.fund_rate // 1000000)
                f[L_OUT] = synth_product_out(f[L_RESERVE_IN], f[L_RESERVE_OUT],
                                             f[L_IN_NET] - f[L_FEE])
            elif pool.venue == DLMM:
                if not self.quote_bins(pool, side, f):
                    return False
            elif pool.n_edges:
                if not self.quote_ticks(pool, side, f):
                    return False
            elif not self.quote_range(pool, side, f):
                return False
            f[L_OUT_FEE] = synth_transfer_fee(f[L_OUT], pool.transfer_fee_bps[1 - side])
            f[L_OUT_NET] = f[L_OUT] - f[L_OUT_FEE]
            f[L_TOTAL_IN] = f[L_IN]
            f[L_RECEIVED] = f[L_OUT_NET]
        return f[L_OUT] > 0 and f[L_OUT] < f[L_RESERVE_OUT] // 2 and f[L_RECEIVED] > 0

    cdef bint quote_range(self, const Pool* pool, int side, uint64_t* f) noexcept nogil:
        cdef u128 after
        cdef uint64_t net, consumed = 0
        net = <uint64_t>(SYNTH_MUL(f[L_IN_NET], 1000000 - pool.fee_rate) // 1000000)
        if not synth_range_swap(pool.liquidity, pool.sqrt_price, side == 0, net,
                                &after, &consumed, &f[L_OUT]):
            return False
        if (after < SYNTH_JOIN(pool.ticks[0], pool.ticks[1])
                or after >= SYNTH_JOIN(pool.ticks[2 * pool.n_ticks - 2],
                                       pool.ticks[2 * pool.n_ticks - 1])):
            return False
        f[L_FEE] = f[L_IN_NET] - consumed
        f[L_PROTOCOL] = f[L_FEE] * pool.protocol_rate // 10000
        f[L_LP] = f[L_FEE] - f[L_PROTOCOL]
        f[L_LIQUIDITY] = f[L_LIQUIDITY_AFTER] = pool.liquidity
        self.show_price(pool, after, self.tick_of(pool, after), f)
        return True

    cdef int tick_of(self, const Pool* pool, u128 price) noexcept nogil:
        """Place in the table of the last tick at or below the price."""
        cdef int low = 0, high = pool.n_ticks - 1, middle
        while high - low > 1:
            middle = (low + high) >> 1
            if price < SYNTH_JOIN(pool.ticks[2 * middle], pool.ticks[2 * middle + 1]):
                high = middle
            else:
                low = middle
        return low

    cdef void show_price(self, const Pool* pool, u128 after, int tick, uint64_t* f) noexcept nogil:
        f[L_SQRT_BEFORE] = <uint64_t>pool.sqrt_price
        f[L_SQRT_BEFORE + 1] = SYNTH_HIGH(pool.sqrt_price)
        f[L_SQRT_AFTER] = <uint64_t>after
        f[L_SQRT_AFTER + 1] = SYNTH_HIGH(after)
        f[L_TICK] = <uint32_t>(pool.first_tick + tick)

    cdef void find_segment(self, Pool* pool) noexcept nogil:
        pool.segment = 0
        while (pool.segment < pool.n_edges
                and self.tick_price(pool, pool.edges[pool.segment]) <= pool.sqrt_price):
            pool.segment += 1

    cdef u128 tick_price(self, const Pool* pool, int place) noexcept nogil:
        return SYNTH_JOIN(pool.ticks[2 * place], pool.ticks[2 * place + 1])

    cdef bint quote_ticks(self, const Pool* pool, int side, uint64_t* f) noexcept nogil:
        """Exact in, range after range. A range ends where liquidity changes; the programs also
        stop at the bounds of tick arrays, which can round one unit more."""
        cdef u128 price = pool.sqrt_price, after, target, low, high, growth = 0, growth_2 = 0
        cdef uint64_t remaining = f[L_IN_NET], liquidity = pool.liquidity
        cdef uint64_t taken, out, fee, protocol
        cdef int segment = pool.segment, edge = 0, reached = 2, tick
        while reached == 2 and remaining > 0:
            edge = segment - 1 if side == 0 else segment
            if edge < 0 or edge >= pool.n_edges or liquidity == 0:
                return False
            target = self.tick_price(pool, pool.edges[edge])
            reached = synth_range_step(liquidity, price, target, side == 0, remaining,
                                       pool.fee_rate, &after, &taken, &out, &fee)
            if reached == 0:
                return False
            protocol = <uint64_t>(SYNTH_MUL(fee, pool.protocol_rate) // 10000)
            f[L_FEE] += fee
            f[L_PROTOCOL] += protocol
            f[L_OUT] += out
            low, high = (after, price) if side == 0 else (price, after)
            if pool.watch_low[0] <= low and high <= pool.watch_high[0]:
                growth += SYNTH_GROWTH(fee - protocol, liquidity)
            if pool.watch_low[1] <= low and high <= pool.watch_high[1]:
                growth_2 += SYNTH_GROWTH(fee - protocol, liquidity)
            remaining -= taken + fee
            price = after
            if reached == 2:
                if side == 0:
                    liquidity -= pool.nets[edge]
                    segment = edge
                else:
                    liquidity += pool.nets[edge]
                    segment = edge + 1
        # Downwards a tick that is reached is left behind.
        tick = pool.edges[edge] - 1 if reached == 2 and side == 0 else self.tick_of(pool, price)
        f[L_LP] = f[L_FEE] - f[L_PROTOCOL]
        f[L_LIQUIDITY] = f[L_LIQUIDITY_AFTER] = liquidity
        f[L_SEGMENT] = segment
        f[L_GROWTH] = <uint64_t>growth
        f[L_GROWTH + 1] = SYNTH_HIGH(growth)
        f[L_GROWTH_2] = <uint64_t>growth_2
        f[L_GROWTH_2 + 1] = SYNTH_HIGH(growth_2)
        self.show_price(pool, price, tick, f)
        return True

    cdef bint quote_bins(self, const Pool* pool, int side, uint64_t* f) noexcept nogil:
        f[L_BIN_BEFORE] = <uint32_t>(pool.first_bin + pool.active)
        if pool.n_bins:
            return self.walk_bins(pool, side, f[L_IN], f, False)
        f[L_BIN_BEFORE] = f[L_BIN_AFTER] = <uint32_t>pool.first_bin
        f[L_FEE] = synth_ceil_div(SYNTH_MUL(f[L_IN], pool.fee_rate), 1000000000)
        f[L_PROTOCOL] = f[L_FEE] * pool.protocol_rate // 10000
        f[L_OUT] = synth_at_price(pool.bin_price, side == 0, f[L_IN] - f[L_FEE])
        return True

    cdef bint walk_bins(self, const Pool* pool, int side, uint64_t amount, uint64_t* f,
                        bint moving) noexcept nogil:
        """Exact in, bin after bin. moving: takes from and puts into the bins, and fills nothing."""
        cdef uint64_t remaining = amount, most_out, most_in, fee, out
        cdef int at = pool.active
        cdef bint down = side == 0
        cdef u128 price
        while True:
            most_out = pool.bins[2 * at + 1 - side]
            if most_out:
                price = SYNTH_JOIN(pool.bin_prices[2 * at], pool.bin_prices[2 * at + 1])
                most_in = synth_bin_in(price, down, most_out)
                fee = synth_ceil_div(SYNTH_MUL(most_in, pool.fee_rate),
                                     1000000000 - pool.fee_rate)
                if remaining <= most_in + fee:
                    most_in = 0
                    fee = synth_ceil_div(SYNTH_MUL(remaining, pool.fee_rate), 1000000000)
                    out = synth_at_price(price, down, remaining - fee)
                    if out < most_out:
                        most_out = out
                if moving:
                    pool.bins[2 * at + side] += most_in if most_in else remaining - fee
                    pool.bins[2 * at + 1 - side] -= most_out
                else:
                    f[L_FEE] += fee
                    f[L_PROTOCOL] += fee * pool.protocol_rate // 10000
                    f[L_OUT] += most_out
                if not most_in:
                    break
                remaining -= most_in + fee
            at += -1 if down else 1
            if at < 0 or at >= pool.n_bins:
                return False
        if not moving:
            f[L_BIN_AFTER] = <uint32_t>(pool.first_bin + at)
        return True

    cdef bint quote_pump(self, const Pool* pool, int side, uint64_t* f,
                         uint64_t budget) noexcept nogil:
        """PumpSwap and Pump.fun: all fees on the quote side (side 1), each rounded up."""
        cdef uint64_t tokens = f[L_RESERVE_0], quote = f[L_RESERVE_1], size
        cdef uint64_t bps = pool.lp_bps + pool.protocol_bps + pool.creator_bps
        if side == 1:
            # Bought by exact tokens out: as many as the budget pays for with its fees.
            size = <uint64_t>(SYNTH_MUL(budget, 10000) // (10000 + bps))
            if size < 16:
                return False
            f[L_OUT] = synth_product_out(quote, tokens, size - 8)
            if pool.venue == PUMP_FUN:
                # Rounded down, and a lamport more.
                f[L_QUOTE] = <uint64_t>(SYNTH_MUL(quote, f[L_OUT]) // (tokens - f[L_OUT])) + 1
            else:
                f[L_QUOTE] = synth_product_in(quote, tokens, f[L_OUT])
        else:
            f[L_IN] = budget
            f[L_QUOTE] = synth_product_out(tokens, quote, budget)
        f[L_LP] = synth_ceil_div(SYNTH_MUL(f[L_QUOTE], pool.lp_bps), 10000)
        f[L_PROTOCOL] = synth_ceil_div(SYNTH_MUL(f[L_QUOTE], pool.protocol_bps), 10000)
        f[L_CREATOR] = synth_ceil_div(SYNTH_MUL(f[L_QUOTE], pool.creator_bps), 10000)
        f[L_FEE] = f[L_LP] + f[L_PROTOCOL] + f[L_CREATOR]
        if side == 1:
            f[L_IN] = f[L_QUOTE_WITH_LP] = f[L_QUOTE] + f[L_LP]
            f[L_TOTAL_IN] = f[L_IN] + f[L_PROTOCOL] + f[L_CREATOR]
            f[L_RECEIVED] = f[L_OUT]
            if f[L_TOTAL_IN] > budget:
                return False
        else:
            if f[L_QUOTE] <= f[L_FEE]:
                return False
            f[L_OUT] = f[L_QUOTE_WITH_LP] = f[L_QUOTE] - f[L_LP]
            f[L_TOTAL_IN] = f[L_IN]
            f[L_RECEIVED] = f[L_QUOTE] - f[L_FEE]
        if pool.venue == PUMP_FUN:
            if (f[L_OUT] if side == 1 else f[L_QUOTE]) + 1 >= pool.real[1 - side]:
                return False
            if side == 1:
                f[L_REAL_TOKEN] = pool.real[0] - f[L_OUT]
                f[L_REAL_SOL] = pool.real[1] + f[L_QUOTE]
                f[L_VIRTUAL_TOKEN] = tokens - f[L_OUT]
                f[L_VIRTUAL_SOL] = quote + f[L_QUOTE]
            else:
                f[L_REAL_TOKEN] = pool.real[0] + f[L_IN]
                f[L_REAL_SOL] = pool.real[1] - f[L_QUOTE]
                f[L_VIRTUAL_TOKEN] = tokens + f[L_IN]
                f[L_VIRTUAL_SOL] = quote - f[L_QUOTE]
        f[L_IN_NET] = f[L_IN]
        f[L_OUT_NET] = f[L_OUT]
        return True

    cdef void commit(self, const TemplateLeg* leg, const uint64_t* f) noexcept nogil:
        """Moves the pool's own state; its vaults move by the transfers."""
        cdef Pool* pool = &self.items[leg.pool]
        if pool.venue == RAYDIUM_CPMM:
            pool.owed[leg.side_in] += f[L_PROTOCOL]
        elif pool.venue == DLMM:
            pool.owed[leg.side_in] += f[L_PROTOCOL]
            if pool.n_bins:
                self.walk_bins(pool, leg.side_in, f[L_IN], NULL, True)
                pool.active = <int32_t>f[L_BIN_AFTER] - pool.first_bin
                pool.bin_price = SYNTH_JOIN(pool.bin_prices[2 * pool.active],
                                            pool.bin_prices[2 * pool.active + 1])
        elif pool.venue == RAYDIUM_CLMM or pool.venue == WHIRLPOOL:
            pool.sqrt_price = SYNTH_JOIN(f[L_SQRT_AFTER], f[L_SQRT_AFTER + 1])
            pool.tick = <int32_t>f[L_TICK]
            if pool.n_edges:
                pool.liquidity = f[L_LIQUIDITY_AFTER]
                pool.segment = <int>f[L_SEGMENT]
                pool.growth[0][leg.side_in] += SYNTH_JOIN(f[L_GROWTH], f[L_GROWTH + 1])
                pool.growth[1][leg.side_in] += SYNTH_JOIN(f[L_GROWTH_2], f[L_GROWTH_2 + 1])
        elif pool.venue == PUMP_FUN:
            pool.real[0] = f[L_REAL_TOKEN]
            pool.real[1] = f[L_REAL_SOL]
            pool.virtual_[0] = f[L_VIRTUAL_TOKEN]
            pool.virtual_[1] = f[L_VIRTUAL_SOL]
