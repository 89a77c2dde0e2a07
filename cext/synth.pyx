# cython: language_level=3
"""The simulator's engine: fills transaction templates with amounts, keys and balances.

A template (`mevstream.topologies.raw.simulator.template.Template`) is the wire form of one kind
of transaction with holes. What is of fixed size (signatures, keys, instruction data, events,
logs) is copied and patched in place; what is not (varints of balances, decimal text of token
amounts) is encoded anew. Pool states, lamports and token balances live here and are moved by
the same amounts that the transactions show.

All randomness comes from one xoshiro256** generator, so a seed gives the same bytes everywhere.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

import numpy as np

cdef extern from "synth_math.h":
    ctypedef unsigned long long u128 "synth_u128"
    uint64_t synth_ceil_div(u128 a, uint64_t d) nogil
    uint64_t synth_product_out(uint64_t reserve_in, uint64_t reserve_out, uint64_t net) nogil
    uint64_t synth_product_in(uint64_t reserve_in, uint64_t reserve_out, uint64_t out) nogil
    uint64_t synth_transfer_fee(uint64_t amount, uint32_t bps) nogil
    bint synth_range_swap(uint64_t liquidity, u128 sqrt_price, bint zero_for_one, uint64_t net,
                          u128* next_price, uint64_t* consumed, uint64_t* out) nogil
    uint64_t synth_at_price(u128 price, bint zero_for_one, uint64_t net) nogil
    u128 synth_mul_div(u128 a, u128 b, u128 d, bint round_up) nogil

cdef extern from *:
    """
    #define SYNTH_MUL(a, b) ((synth_u128)(a) * (b))
    #define SYNTH_GREATER(a, b, c, d) ((synth_u128)(a) * (b) > (synth_u128)(c) * (d))
    #define SYNTH_JOIN(low, high) ((synth_u128)(high) << 64 | (low))
    #define SYNTH_HIGH(a) ((uint64_t)((a) >> 64))
    """
    u128 SYNTH_MUL(uint64_t a, uint64_t b) nogil
    bint SYNTH_GREATER(uint64_t a, uint64_t b, uint64_t c, uint64_t d) nogil
    u128 SYNTH_JOIN(uint64_t low, uint64_t high) nogil
    uint64_t SYNTH_HIGH(u128 a) nogil

# Venues, in the order of `programs.VENUES`.
cdef enum:
    RAYDIUM_V4 = 0
    RAYDIUM_CPMM = 1
    RAYDIUM_CLMM = 2
    WHIRLPOOL = 3
    DLMM = 4
    PUMP_SWAP = 5
    PUMP_FUN = 6

# Registers; `registers.py` has the same numbers under the same names.
cdef enum:
    R_TIP = 0
    R_PRICE = 1
    R_AMOUNT = 2
    R_WRAP = 3
    R_TIME = 4
    R_ROOT = 5
    R_QUOTED = 6
    R_RECEIVED = 7
    R_LEG = 16
    LEG_SIZE = 32
    N_REGISTERS = 16 + 32 * 4

cdef enum:
    L_IN = 0
    L_OUT = 1
    L_IN_NET = 2
    L_OUT_NET = 3
    L_IN_FEE = 4
    L_OUT_FEE = 5
    L_RESERVE_IN = 6
    L_RESERVE_OUT = 7
    L_SOURCE = 8
    L_DESTINATION = 9
    L_FEE = 10
    L_PROTOCOL = 11
    L_CREATOR = 12
    L_LIMIT = 13
    L_SQRT_BEFORE = 14
    L_SQRT_AFTER = 16
    L_LIQUIDITY = 18
    L_TICK = 20
    L_VIRTUAL_SOL = 21
    L_VIRTUAL_TOKEN = 22
    L_REAL_SOL = 23
    L_REAL_TOKEN = 24
    L_TOTAL_IN = 25
    L_RECEIVED = 26
    L_QUOTE = 27
    L_QUOTE_WITH_LP = 28
    L_RESERVE_0 = 29
    L_RESERVE_1 = 30
    L_LP = 31

cdef enum:
    PATCH_KEY = 0
    PATCH_U64 = 1
    PATCH_U32 = 2
    PATCH_BASE64 = 3
    PATCH_DECIMAL = 4
    PATCH_SIGNATURE = 5

cdef enum:
    EFFECT_LAMPORTS = 0
    EFFECT_TOKENS = 1
    EFFECT_SYNC = 2
    EFFECT_CLOSE = 3
    EFFECT_RENT = 4

cdef enum:
    KIND_TRANSFER = 0
    KIND_TOKEN_TRANSFER = 1
    KIND_SWAP = 2
    KIND_ROUTE = 3
    KIND_ARBITRAGE = 4
    N_KINDS = 5
    MAX_ACCOUNTS = 128
    TRANSACTION_ROOM = 65536
    QUANTILES = 1024

cdef uint64_t RENT = 2_039_280
cdef uint64_t POOR = 50_000_000
cdef uint64_t TOP_UP = 20_000_000_000
# Units of jitter in compute units, a power of two; `template.JITTER` is the same number.
cdef uint32_t JITTER = 512

cdef struct Patch:
    int32_t kind
    int32_t offset
    int32_t a
    int32_t b
    int32_t c

cdef struct Effect:
    int32_t kind
    int32_t source
    int32_t destination
    int32_t register
    int32_t fee_register

cdef struct TemplateLeg:
    int32_t venue
    int32_t pool
    int32_t side_in            # 0 or 1
    int32_t chained            # takes what the leg before gave
    int32_t trader             # account slot
    int32_t source             # account slot of the trader's tokens that go in
    int32_t destination
    int32_t funds              # account slot of the tokens that the first leg may spend

cdef struct Template:
    bint built
    bint failed
    bint wrapped               # leg 0 is paid in lamports wrapped inside the transaction
    int32_t group
    int32_t user_class
    int32_t n_signatures
    int32_t n_accounts
    int32_t n_slots            # accounts, then keys that only events name
    int32_t n_tokens
    int32_t n_legs
    int32_t n_effects
    int32_t n_event_patches
    int32_t n_message_patches
    int32_t n_meta_patches
    int32_t n_events
    int32_t n_message
    int32_t n_meta             # inner instructions and logs
    int32_t n_tail             # loaded addresses, return data
    int32_t n_error
    int32_t cu_limit
    int32_t cu_base
    int32_t cu_jitter
    int32_t cost_base
    uint64_t fixed_priority
    int32_t* accounts
    int32_t* tokens            # account index, in pre, in post
    TemplateLeg* legs
    Effect* effects
    Patch* event_patches
    Patch* message_patches
    Patch* meta_patches
    uint8_t* events
    uint8_t* message
    uint8_t* meta
    uint8_t* error

cdef struct Pool:
    int32_t venue
    int32_t vault[2]
    int32_t hub_side
    int32_t hub_is_sol
    uint64_t owed[2]
    uint32_t transfer_fee_bps[2]
    uint32_t fee_rate          # 1e-6 (DLMM: 1e-9; Pump: bps of LP, protocol, creator below)
    uint32_t protocol_rate     # of the fee: CPMM 1e-6, others 1e-4
    uint32_t lp_bps
    uint32_t protocol_bps
    uint32_t creator_bps
    uint64_t liquidity
    u128 sqrt_price
    int32_t tick
    int32_t anchor_tick
    int32_t first_tick
    int32_t n_ticks
    uint64_t* ticks            # sqrt prices as (low, high), from first_tick on
    u128 bin_price
    uint64_t real[2]           # Pump.fun: real reserves (0 token, 1 lamports)
    uint64_t virtual_[2]
    uint64_t anchor[2]

cdef struct Choice:
    int32_t templates[4]       # success and failure of direction 0, of direction 1
    int32_t pool

cdef struct LegRecord:
    uint32_t tx_index
    int32_t template
    int32_t leg
    int32_t trader
    uint64_t amount_in
    uint64_t amount_out
    int64_t signature

LEG_RECORD = np.dtype([
    ("tx_index", "<u4"), ("template", "<i4"), ("leg", "<i4"), ("trader", "<i4"),
    ("amount_in", "<u8"), ("amount_out", "<u8"), ("signature", "<i8"),
])

cdef struct Counts:
    uint32_t transactions
    uint32_t votes
    uint32_t failed
    uint32_t tips
    uint64_t tip_lamports
    uint64_t fee_lamports
    uint64_t signatures

cdef const char* BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
cdef double POWERS[20]
cdef int _power
POWERS[0] = 1.0
for _power in range(1, 20):
    POWERS[_power] = POWERS[_power - 1] * 10.0


# -- encoding ------------------------------------------------------------------------------------

cdef inline uint8_t* put_varint(uint8_t* to, uint64_t value) noexcept nogil:
    while value >= 0x80:
        to[0] = <uint8_t>(value | 0x80)
        value >>= 7
        to += 1
    to[0] = <uint8_t>value
    return to + 1


cdef inline int varint_size(uint64_t value) noexcept nogil:
    cdef int n = 1
    while value >= 0x80:
        value >>= 7
        n += 1
    return n


cdef inline int put_decimal(uint8_t* to, uint64_t value) noexcept nogil:
    """Digits of value; returns how many (at most 20)."""
    cdef uint8_t digits[20]
    cdef int n = 0, i
    while True:
        digits[19 - n] = 48 + <uint8_t>(value % 10)
        value = value // 10
        n += 1
        if value == 0:
            break
    memcpy(to, digits + 20 - n, n)
    return n


cdef inline int put_ui_amount(uint8_t* to, const uint8_t* digits, int n, int decimals) noexcept nogil:
    """`digits` with a decimal point before the last `decimals`, no trailing zeros."""
    cdef int i, length
    if n <= decimals:
        to[0] = 48
        to[1] = 46
        memset(to + 2, 48, decimals - n)
        memcpy(to + 2 + decimals - n, digits, n)
        length = decimals + 2
    else:
        memcpy(to, digits, n - decimals)
        to[n - decimals] = 46
        memcpy(to + n - decimals + 1, digits + n - decimals, decimals)
        length = n + 1
    while to[length - 1] == 48:
        length -= 1
    if to[length - 1] == 46:
        length -= 1
    return length


cdef inline void put_base64(uint8_t* to, const uint8_t* data, int n) noexcept nogil:
    cdef uint32_t word
    while n >= 3:
        word = (<uint32_t>data[0] << 16) | (<uint32_t>data[1] << 8) | data[2]
        to[0] = BASE64[word >> 18]
        to[1] = BASE64[(word >> 12) & 63]
        to[2] = BASE64[(word >> 6) & 63]
        to[3] = BASE64[word & 63]
        data += 3
        to += 4
        n -= 3
    if n > 0:
        word = (<uint32_t>data[0] << 16) | ((<uint32_t>data[1] << 8) if n == 2 else 0)
        to[0] = BASE64[word >> 18]
        to[1] = BASE64[(word >> 12) & 63]
        to[2] = BASE64[(word >> 6) & 63] if n == 2 else 61
        to[3] = 61


cdef int32_t* copy_ints(values, int columns) except? NULL:
    """A C copy of a sequence of rows of `columns` integers."""
    array = np.ascontiguousarray(np.array(values, dtype=np.int32).reshape(-1, columns))
    cdef const int32_t[:, ::1] view
    cdef size_t size = array.size * sizeof(int32_t)
    cdef int32_t* out = <int32_t*>malloc(size + 8)
    if out == NULL:
        raise MemoryError
    if array.size:
        view = array
        memcpy(out, &view[0, 0], size)
    return out


cdef uint8_t* copy_bytes(bytes data) except NULL:
    cdef uint8_t* out = <uint8_t*>malloc(len(data) + 8)
    if out == NULL:
        raise MemoryError
    memcpy(out, <const uint8_t*>data, len(data))
    return out


cdef class Synth:
    """Pools, balances and the generator of one simulated chain.

    accounts: (keys uint8 (n, 32), lamports uint64 (n,), token amounts uint64 (n,), mint decimals
        uint8 (n,) with 255 for what is no token account, native uint8 (n,))
    token_texts: per account the encoded `mint` field and the encoded `owner` and `program_id`
        fields of its TokenBalance, empty for what is no token account
    users: int32 (n_users, columns): account numbers; column 0 is the wallet
    validators: int32 (n_validators, 3): identity, vote account, voting authority
    """

    cdef uint8_t[:, ::1] keys
    cdef uint64_t[::1] lamports
    cdef uint64_t[::1] amounts
    cdef uint64_t[::1] withheld
    cdef const uint8_t[::1] decimals
    cdef const uint8_t[::1] native
    cdef int32_t[:, ::1] users
    cdef int32_t[:, ::1] validators
    cdef const uint8_t[::1] texts
    cdef const int64_t[:, ::1] text_spans
    cdef object build
    cdef object user_lists
    cdef int32_t** classes      # [group * 2 + class] → users
    cdef int32_t* class_sizes
    cdef int n_classes
    cdef uint64_t state[4]
    cdef Pool* pools
    cdef int n_pools
    cdef list tick_tables
    cdef Template* templates
    cdef int n_templates
    cdef Choice* choices
    cdef int n_choices
    cdef int32_t* menus[5]
    cdef uint32_t menu_sizes[5]
    cdef uint32_t kind_thresholds[5]
    cdef uint32_t failure_thresholds[5]
    cdef uint32_t reversion_threshold
    cdef uint64_t sizes[1024]
    cdef uint64_t tips[1024]
    cdef uint64_t prices[1024]
    cdef int32_t[::1] vote_templates
    cdef int32_t n_whales
    cdef uint8_t* out
    cdef size_t n_out
    cdef size_t capacity
    cdef LegRecord* records
    cdef size_t n_records
    cdef size_t records_capacity
    cdef int64_t* ends         # per transaction: end in `out`, negated for a vote
    cdef size_t ends_capacity
    cdef Counts counts
    cdef uint64_t r[144]
    cdef int32_t account[128]
    cdef uint8_t scratch[32768]
    cdef uint8_t events[8192]

    def __cinit__(self):
        self.pools = NULL
        self.templates = NULL
        self.choices = NULL
        self.classes = NULL
        self.class_sizes = NULL
        self.out = NULL
        self.records = NULL
        self.ends = NULL
        memset(self.menus, 0, sizeof(self.menus))

    def __init__(self, accounts, token_texts, users, validators, user_lists, build, uint64_t seed):
        self.keys, self.lamports, self.amounts, self.decimals, self.native = accounts
        self.withheld = np.zeros(len(self.lamports), np.uint64)
        spans = np.zeros((len(token_texts), 3), np.int64)
        joined = bytearray()
        for i, (mint, owner) in enumerate(token_texts):
            spans[i] = len(joined), len(joined) + len(mint), len(joined) + len(mint) + len(owner)
            joined += mint + owner
        self.texts = bytes(joined) or b"\0"
        self.text_spans = spans
        self.users = users
        self.validators = validators
        self.build = build
        self.user_lists = [np.ascontiguousarray(u, np.int32) for u in user_lists]
        self.n_classes = len(self.user_lists)
        self.classes = <int32_t**>calloc(self.n_classes, sizeof(void*))
        self.class_sizes = <int32_t*>calloc(self.n_classes, sizeof(int32_t))
        if self.classes == NULL or self.class_sizes == NULL:
            raise MemoryError
        for i, members in enumerate(self.user_lists):
            self.classes[i] = copy_ints(members, 1)
            self.class_sizes[i] = len(members)
        self.tick_tables = []
        # splitmix64, as the authors of xoshiro advise for seeding.
        for i in range(4):
            seed += <uint64_t>0x9E3779B97F4A7C15
            self.state[i] = seed
            self.state[i] = (self.state[i] ^ (self.state[i] >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
            self.state[i] = (self.state[i] ^ (self.state[i] >> 27)) * <uint64_t>0x94D049BB133111EB
            self.state[i] ^= self.state[i] >> 31

    def __dealloc__(self):
        cdef int i
        for i in range(self.n_templates if self.templates != NULL else 0):
            self.free_template(&self.templates[i])
        for i in range(self.n_classes if self.classes != NULL else 0):
            free(self.classes[i])
        for i in range(5):
            free(self.menus[i])
        free(self.classes)
        free(self.class_sizes)
        free(self.templates)
        free(self.pools)
        free(self.choices)
        free(self.out)
        free(self.records)
        free(self.ends)

    cdef void free_template(self, Template* t) noexcept:
        if t.built:
            free(t.accounts)
            free(t.tokens)
            free(t.legs)
            free(t.effects)
            free(t.event_patches)
            free(t.message_patches)
            free(t.meta_patches)
            free(t.events)
            free(t.message)
            free(t.meta)
            free(t.error)

    # -- setting up ------------------------------------------------------------------------------

    def set_pools(self, pools):
        """pools: objects with the fields of `world.Pool`. Once, before any block."""
        cdef Pool* pool
        cdef uint64_t[::1] table
        self.n_pools = len(pools)
        self.pools = <Pool*>calloc(self.n_pools, sizeof(Pool))
        if self.pools == NULL:
            raise MemoryError
        for i, p in enumerate(pools):
            pool = &self.pools[i]
            pool.venue = p.venue
            pool.hub_side = p.hub_side
            pool.hub_is_sol = p.hub_is_sol
            pool.fee_rate = p.fee_rate
            pool.protocol_rate = p.protocol_rate
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

    def set_choices(self, choices, menus, int n_templates, vote_templates):
        """choices: (4 template numbers, pool or -1) rows; menus: per kind the choices to draw
        from, each entry equally likely; templates are asked for when first drawn."""
        rows = np.array(choices, np.int32).reshape(-1, 5)
        self.n_choices = len(rows)
        self.choices = <Choice*>copy_ints(rows, 5)
        for kind, menu in enumerate(menus):
            if len(menu) == 0:
                raise ValueError(f"kind {kind} has nothing to choose from")
            self.menus[kind] = copy_ints(menu, 1)
            self.menu_sizes[kind] = len(menu)
        self.n_templates = n_templates
        self.templates = <Template*>calloc(n_templates, sizeof(Template))
        if self.templates == NULL:
            raise MemoryError
        self.vote_templates = np.array(vote_templates, np.int32)

    def set_statistics(self, kinds, failures, double reversion, sizes, tips, prices, int whales):
        """kinds: shares (sum 1) and failures: failing shares, per kind; sizes, tips, prices:
        1024 quantiles each (lamports, lamports, micro-lamports a unit)."""
        cdef double total = 0
        for kind in range(N_KINDS):
            total += kinds[kind]
            self.kind_thresholds[kind] = min(int(total * 4294967296.0), 4294967295)
            self.failure_thresholds[kind] = min(int(failures[kind] * 4294967296.0), 4294967295)
        self.kind_thresholds[N_KINDS - 1] = 4294967295
        self.reversion_threshold = min(int(reversion * 4294967296.0), 4294967295)
        for i in range(QUANTILES):
            self.sizes[i] = sizes[i]
            self.tips[i] = tips[i]
            self.prices[i] = prices[i]
        self.n_whales = whales

    cdef int define(self, int number) except -1:
        """Builds template `number` and copies it into C memory."""
        cdef Template* t = &self.templates[number]
        source = self.build(number)
        if len(source.accounts) > MAX_ACCOUNTS or len(source.events) > 8192:
            raise ValueError(f"template {number} is too large")
        t.failed = source.failed
        t.wrapped = source.wrapped
        t.group = source.group
        t.user_class = source.user_class
        t.n_signatures = source.n_signatures
        t.cu_limit = source.cu_limit
        t.cu_base = source.cu_base
        t.cu_jitter = source.cu_jitter
        t.cost_base = source.cost_base
        t.fixed_priority = source.fixed_priority
        t.n_accounts = source.n_accounts
        t.n_slots = len(source.accounts)
        t.n_tokens = len(source.tokens)
        t.n_legs = len(source.legs)
        t.n_effects = len(source.effects)
        t.n_event_patches = len(source.event_patches)
        t.n_message_patches = len(source.message_patches)
        t.n_meta_patches = len(source.meta_patches)
        t.n_events = len(source.events)
        t.n_message = len(source.message)
        t.n_meta = len(source.meta)
        t.n_tail = len(source.tail)
        t.n_error = len(source.error)
        t.accounts = copy_ints(source.accounts, 1)
        t.tokens = copy_ints(source.tokens, 3)
        t.legs = <TemplateLeg*>copy_ints(source.legs, 8)
        t.effects = <Effect*>copy_ints(source.effects, 5)
        t.event_patches = <Patch*>copy_ints(source.event_patches, 5)
        t.message_patches = <Patch*>copy_ints(source.message_patches, 5)
        t.meta_patches = <Patch*>copy_ints(source.meta_patches, 5)
        t.events = copy_bytes(source.events)
        t.message = copy_bytes(source.message)
        t.meta = copy_bytes(source.meta + source.tail)
        t.error = copy_bytes(source.error)
        t.built = True
        return 0

    # -- randomness ------------------------------------------------------------------------------

    cdef inline uint64_t random(self) noexcept nogil:
        cdef uint64_t* s = self.state
        cdef uint64_t x = s[1] * 5, result, t
        result = ((x << 7) | (x >> 57)) * 9
        t = s[1] << 17
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = (s[3] << 45) | (s[3] >> 19)
        return result

    cdef inline uint32_t below(self, uint32_t n) noexcept nogil:
        return <uint32_t>(((self.random() >> 32) * n) >> 32)

    cdef inline bint chance(self, uint32_t threshold) noexcept nogil:
        return <uint32_t>(self.random() >> 32) < threshold

    def random_bytes(self, int n):
        """n bytes of the chain's generator."""
        out = bytearray()
        while len(out) < n:
            out += int(self.random()).to_bytes(8, "little")
        return bytes(out[:n])

    def random_below(self, uint32_t n):
        """A number in 0 … n-1."""
        return self.below(n)

    # -- pools -----------------------------------------------------------------------------------

    cdef inline uint64_t reserve(self, const Pool* pool, int side) noexcept nogil:
        cdef uint64_t held
        if pool.venue == PUMP_FUN:
            return pool.virtual_[side]
        held = self.amounts[pool.vault[side]]
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
        cdef const Pool* pool = &self.pools[leg.pool]
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
                f[L_PROTOCOL] = f[L_FEE] * pool.protocol_rate // 1000000
                f[L_OUT] = synth_product_out(f[L_RESERVE_IN], f[L_RESERVE_OUT],
                                             f[L_IN_NET] - f[L_FEE])
            elif pool.venue == DLMM:
                f[L_FEE] = synth_ceil_div(SYNTH_MUL(amount, pool.fee_rate), 1000000000)
                f[L_PROTOCOL] = f[L_FEE] * pool.protocol_rate // 10000
                f[L_OUT] = synth_at_price(pool.bin_price, side == 0, amount - f[L_FEE])
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
        cdef int low, high, middle
        net = <uint64_t>(SYNTH_MUL(f[L_IN_NET], 1000000 - pool.fee_rate) // 1000000)
        if not synth_range_swap(pool.liquidity, pool.sqrt_price, side == 0, net,
                                &after, &consumed, &f[L_OUT]):
            return False
        if (after < SYNTH_JOIN(pool.ticks[0], pool.ticks[1])
                or after >= SYNTH_JOIN(pool.ticks[2 * pool.n_ticks - 2],
                                       pool.ticks[2 * pool.n_ticks - 1])):
            return False
        low, high = 0, pool.n_ticks - 1
        while high - low > 1:
            middle = (low + high) >> 1
            if after < SYNTH_JOIN(pool.ticks[2 * middle], pool.ticks[2 * middle + 1]):
                high = middle
            else:
                low = middle
        f[L_FEE] = f[L_IN_NET] - consumed
        f[L_PROTOCOL] = f[L_FEE] * pool.protocol_rate // 10000
        f[L_LP] = f[L_FEE] - f[L_PROTOCOL]
        f[L_SQRT_BEFORE] = <uint64_t>pool.sqrt_price
        f[L_SQRT_BEFORE + 1] = SYNTH_HIGH(pool.sqrt_price)
        f[L_SQRT_AFTER] = <uint64_t>after
        f[L_SQRT_AFTER + 1] = SYNTH_HIGH(after)
        f[L_LIQUIDITY] = pool.liquidity
        f[L_TICK] = <uint32_t>(pool.first_tick + low)
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
            f[L_QUOTE] = synth_product_in(quote, tokens, f[L_OUT])
            if pool.venue == PUMP_FUN:
                f[L_QUOTE] += 1
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
        cdef Pool* pool = &self.pools[leg.pool]
        if pool.venue == RAYDIUM_CPMM or pool.venue == DLMM:
            pool.owed[leg.side_in] += f[L_PROTOCOL]
        elif pool.venue == RAYDIUM_CLMM or pool.venue == WHIRLPOOL:
            pool.sqrt_price = SYNTH_JOIN(f[L_SQRT_AFTER], f[L_SQRT_AFTER + 1])
            pool.tick = <int32_t>f[L_TICK]
        elif pool.venue == PUMP_FUN:
            pool.real[0] = f[L_REAL_TOKEN]
            pool.real[1] = f[L_REAL_SOL]
            pool.virtual_[0] = f[L_VIRTUAL_TOKEN]
            pool.virtual_[1] = f[L_VIRTUAL_SOL]

    # -- one transaction -------------------------------------------------------------------------

    cdef Template* template(self, int number) except NULL:
        if not self.templates[number].built:
            self.define(number)
        return &self.templates[number]

    cdef inline void resolve(self, const Template* t, int user, int other) noexcept nogil:
        """Account numbers of the template's slots. A negative slot is a column of a party:
        -1 - (party * 64 + column); party 0 the user, 1 the other user, 2 a validator."""
        cdef int i, code
        for i in range(t.n_slots):
            code = t.accounts[i]
            if code < 0:
                code = -1 - code
                if code >= 128:
                    code = self.validators[user, code - 128]
                elif code >= 64:
                    code = self.users[other, code - 64]
                else:
                    code = self.users[user, code]
            self.account[i] = code

    cdef bint quote_legs(self, const Template* t, uint64_t size, uint64_t forced) noexcept nogil:
        """Fills the registers of every leg; the first takes `forced` tokens, or `size` lamports'
        worth bounded by the pool and by half of what the trader has."""
        cdef int k
        cdef const TemplateLeg* leg
        cdef uint64_t budget = forced, have, last
        cdef uint64_t* f
        for k in range(t.n_legs):
            leg = &t.legs[k]
            f = &self.r[R_LEG + LEG_SIZE * k]
            if k == 0:
                if t.wrapped or (self.pools[leg.pool].venue == PUMP_FUN and leg.side_in == 1):
                    have = self.lamports[self.account[0]]
                else:
                    have = self.amounts[self.account[leg.funds]]
                if budget == 0:
                    budget = self.priced(&self.pools[leg.pool], leg.side_in, size)
                    if budget > have // 2:
                        budget = have // 2
                elif budget > have:
                    return False
            else:
                budget = (f - LEG_SIZE)[L_RECEIVED]
            if not self.quote(leg, f, budget):
                return False
            last = f[L_TOTAL_IN]
            f[L_SOURCE] = self.amounts[self.account[leg.source]]
            if leg.chained or (k == 0 and t.wrapped):
                f[L_SOURCE] += last
            f[L_DESTINATION] = self.amounts[self.account[leg.destination]]
            if t.failed:
                f[L_LIMIT] = f[L_RECEIVED] + f[L_RECEIVED] // 100 + 1
            else:
                f[L_LIMIT] = f[L_RECEIVED] - f[L_RECEIVED] // 100
            if self.pools[leg.pool].venue >= PUMP_SWAP and leg.side_in == 1:
                # Bought by exact tokens out: the limit is the most that may be paid.
                f[L_LIMIT] = last - last // 100 - 1 if t.failed else last + last // 100
        if t.n_legs:
            self.r[R_WRAP] = self.r[R_LEG + L_TOTAL_IN] + RENT
            self.r[R_AMOUNT] = self.r[R_LEG + L_TOTAL_IN]
            self.r[R_RECEIVED] = self.r[R_LEG + LEG_SIZE * (t.n_legs - 1) + L_RECEIVED]
            self.r[R_QUOTED] = self.r[R_RECEIVED]
            if t.failed:
                self.r[R_QUOTED] += self.r[R_RECEIVED] // 20 + 1
        return True

    cdef void apply(self, const Template* t) noexcept nogil:
        cdef int i
        cdef const Effect* e
        cdef int32_t source, destination
        cdef uint64_t amount, fee
        for i in range(t.n_effects):
            e = &t.effects[i]
            source = self.account[e.source]
            destination = self.account[e.destination]
            amount = self.r[e.register] if e.register >= 0 else 0
            if e.kind == EFFECT_LAMPORTS:
                self.lamports[source] -= amount
                self.lamports[destination] += amount
            elif e.kind == EFFECT_TOKENS:
                fee = self.r[e.fee_register] if e.fee_register >= 0 else 0
                self.amounts[source] -= amount
                self.amounts[destination] += amount - fee
                self.withheld[destination] += fee
                if self.native[source]:
                    self.lamports[source] -= amount
                    self.lamports[destination] += amount
            elif e.kind == EFFECT_RENT:
                self.lamports[source] -= RENT
                self.lamports[destination] += RENT
            elif e.kind == EFFECT_SYNC:
                self.amounts[source] = self.lamports[source] - RENT
            else:
                self.lamports[destination] += self.lamports[source]
                self.lamports[source] = 0
                self.amounts[source] = 0

    cdef uint8_t* put_balances(self, uint8_t* to, const Template* t) noexcept nogil:
        cdef int i
        for i in range(t.n_accounts):
            to = put_varint(to, self.lamports[self.account[i]])
        return to

    cdef uint8_t* put_tokens(self, uint8_t* to, const Template* t, uint8_t tag,
                             int column) noexcept nogil:
        """TokenBalance fields with the amounts of now."""
        cdef int i, account, n, m, decimals, inner, size, first, second
        cdef uint8_t digits[24]
        cdef uint8_t text[48]
        cdef uint64_t amount
        cdef double ui
        cdef const uint8_t* source
        for i in range(t.n_tokens):
            if not t.tokens[3 * i + column]:
                continue
            account = self.account[t.tokens[3 * i]]
            amount = self.amounts[account]
            decimals = self.decimals[account]
            n = put_decimal(digits, amount)
            m = put_ui_amount(text, digits, n, decimals)
            inner = (9 if amount else 0) + 2 + 2 + n + 2 + m
            first = <int>(self.text_spans[account, 1] - self.text_spans[account, 0])
            second = <int>(self.text_spans[account, 2] - self.text_spans[account, 1])
            source = &self.texts[self.text_spans[account, 0]]
            size = 2 + first + 2 + inner + second
            to[0] = tag
            to = put_varint(to + 1, size)
            to[0] = 0x08
            to[1] = <uint8_t>t.tokens[3 * i]
            memcpy(to + 2, source, first)
            to += 2 + first
            to[0] = 0x1A
            to[1] = <uint8_t>inner
            to += 2
            if amount:
                ui = <double>amount / POWERS[decimals]
                to[0] = 0x09
                memcpy(to + 1, &ui, 8)
                to += 9
            to[0] = 0x10
            to[1] = <uint8_t>decimals
            to[2] = 0x1A
            to[3] = <uint8_t>n
            memcpy(to + 4, digits, n)
            to += 4 + n
            to[0] = 0x22
            to[1] = <uint8_t>m
            memcpy(to + 2, text, m)
            to += 2 + m
            memcpy(to, source + first, second)
            to += second
        return to

    cdef void patch(self, uint8_t* at, const Patch* patches, int n, uint32_t jitter) noexcept nogil:
        cdef int i, k
        cdef const Patch* p
        cdef uint64_t word
        cdef uint32_t half
        cdef int64_t value
        for i in range(n):
            p = &patches[i]
            if p.kind == PATCH_KEY:
                memcpy(at + p.offset, &self.keys[self.account[p.a], 0], 32)
            elif p.kind == PATCH_U64:
                memcpy(at + p.offset, &self.r[p.a], 8)
            elif p.kind == PATCH_U32:
                half = <uint32_t>self.r[p.a]
                memcpy(at + p.offset, &half, 4)
            elif p.kind == PATCH_BASE64:
                put_base64(at + p.offset, self.events + p.a, p.b)
            elif p.kind == PATCH_DECIMAL:
                value = p.b + <int64_t>p.c * jitter
                for k in range(p.a):
                    at[p.offset + p.a - 1 - k] = 48 + <uint8_t>(value % 10)
                    value = value // 10
            else:
                for k in range(8):
                    word = self.random()
                    memcpy(at + p.offset + 8 * k, &word, 8)

    cdef int reserve_room(self) except -1:
        cdef void* grown
        if self.n_out + TRANSACTION_ROOM > self.capacity:
            self.capacity = 2 * self.capacity + (<size_t>1 << 22)
            grown = realloc(self.out, self.capacity)
            if grown == NULL:
                raise MemoryError
            self.out = <uint8_t*>grown
        if self.counts.transactions + 1 >= self.ends_capacity:
            self.ends_capacity = 2 * self.ends_capacity + 4096
            grown = realloc(self.ends, self.ends_capacity * sizeof(int64_t))
            if grown == NULL:
                raise MemoryError
            self.ends = <int64_t*>grown
        if self.n_records + 8 > self.records_capacity:
            self.records_capacity = 2 * self.records_capacity + 4096
            grown = realloc(self.records, self.records_capacity * sizeof(LegRecord))
            if grown == NULL:
                raise MemoryError
            self.records = <LegRecord*>grown
        return 0

    cdef int emit(self, int number, int user, int other, uint64_t size, uint64_t forced,
                  uint64_t tip_of_profit) except -1:
        """Writes one transaction and applies it. 0 where it cannot be done (nothing written)."""
        cdef Template* t = self.template(number)
        self.reserve_room()
        self.resolve(t, user, other)
        return self.write(t, number, size, forced, tip_of_profit)

    cdef int write(self, const Template* t, int number, uint64_t size, uint64_t forced,
                   uint64_t tip_of_profit) except -1 nogil:
        cdef uint64_t fee, priority, need
        cdef uint32_t jitter
        cdef uint8_t* begin
        cdef uint8_t* to
        cdef uint8_t* s = self.scratch
        cdef int n_pre, n_post, n_pre_tokens, n_post_tokens, k
        cdef size_t n_meta, n_transaction, units
        cdef LegRecord* record
        cdef const uint64_t* f
        cdef int payer = self.account[0]
        self.r[R_TIP] = self.tips[self.below(QUANTILES)]
        self.r[R_PRICE] = self.prices[self.below(QUANTILES)]
        if t.n_legs and not self.quote_legs(t, size, forced):
            return 0
        if tip_of_profit and self.r[R_RECEIVED] > self.r[R_AMOUNT]:
            self.r[R_TIP] = (self.r[R_RECEIVED] - self.r[R_AMOUNT]) * tip_of_profit // 256 + 1
        priority = t.fixed_priority
        if priority == 0 and t.cu_limit:
            priority = synth_ceil_div(SYNTH_MUL(self.r[R_PRICE], t.cu_limit), 1000000)
        fee = 5000 * <uint64_t>t.n_signatures + priority
        need = fee + self.r[R_TIP] + 4 * RENT
        if t.wrapped or t.n_legs == 0:
            need += self.r[R_AMOUNT]
        elif self.pools[t.legs[0].pool].venue == PUMP_FUN and t.legs[0].side_in == 1:
            need += self.r[R_AMOUNT]
        if self.lamports[payer] < need and t.user_class >= 0:
            return 0
        jitter = <uint32_t>(self.random() & (JITTER - 1))

        # Balances before and after, in scratch: pre, post, tokens pre, tokens post.
        to = self.put_balances(s, t)
        n_pre = <int>(to - s)
        begin = to
        to = self.put_tokens(to, t, 0x3A, 1)
        n_pre_tokens = <int>(to - begin)
        self.lamports[payer] -= fee
        if not t.failed:
            self.apply(t)
            for k in range(t.n_legs):
                self.commit(&t.legs[k], &self.r[R_LEG + LEG_SIZE * k])
        begin = to
        to = self.put_balances(to, t)
        n_post = <int>(to - begin)
        begin = to
        to = self.put_tokens(to, t, 0x42, 2)
        n_post_tokens = <int>(to - begin)

        units = t.cu_base + t.cu_jitter * jitter
        n_meta = (t.n_error + 1 + varint_size(fee)
                  + 1 + varint_size(n_pre) + n_pre + 1 + varint_size(n_post) + n_post
                  + t.n_meta + n_pre_tokens + n_post_tokens + t.n_tail
                  + 2 + varint_size(units) + 2 + varint_size(t.cost_base + units))
        n_transaction = (1 + varint_size(t.n_message) + t.n_message
                         + 1 + varint_size(n_meta) + n_meta)
        to = self.out + self.n_out
        to[0] = 0x22
        to = put_varint(to + 1, n_transaction)
        to[0] = 0x0A
        to = put_varint(to + 1, t.n_message)
        begin = to
        memcpy(to, t.message, t.n_message)
        self.patch(to, t.message_patches, t.n_message_patches, jitter)
        to += t.n_message
        to[0] = 0x12
        to = put_varint(to + 1, n_meta)
        memcpy(to, t.error, t.n_error)
        to += t.n_error
        to[0] = 0x10
        to = put_varint(to + 1, fee)
        to[0] = 0x1A
        to = put_varint(to + 1, n_pre)
        memcpy(to, s, n_pre)
        to += n_pre
        to[0] = 0x22
        to = put_varint(to + 1, n_post)
        memcpy(to, s + n_pre + n_pre_tokens, n_post)
        to += n_post
        memcpy(self.events, t.events, t.n_events)
        self.patch(self.events, t.event_patches, t.n_event_patches, jitter)
        # The tail (loaded addresses, return data) is patched with the rest, then moved behind
        # the token balances, where its field numbers belong.
        memcpy(to, t.meta, t.n_meta + t.n_tail)
        self.patch(to, t.meta_patches, t.n_meta_patches, jitter)
        to += t.n_meta
        if t.n_tail:
            memcpy(to + n_pre_tokens + n_post_tokens + t.n_tail, to, t.n_tail)
            memcpy(to + n_pre_tokens + n_post_tokens,
                   to + n_pre_tokens + n_post_tokens + t.n_tail, t.n_tail)
        memcpy(to, s + n_pre, n_pre_tokens)
        memcpy(to + n_pre_tokens, s + n_pre + n_pre_tokens + n_post, n_post_tokens)
        to += n_pre_tokens + n_post_tokens + t.n_tail
        to[0] = 0x80
        to[1] = 0x01
        to = put_varint(to + 2, units)
        to[0] = 0x88
        to[1] = 0x01
        to = put_varint(to + 2, t.cost_base + units)

        if not t.failed:
            for k in range(t.n_legs):
                f = &self.r[R_LEG + LEG_SIZE * k]
                record = &self.records[self.n_records]
                record.tx_index = self.counts.transactions
                record.template = number
                record.leg = k
                record.trader = self.account[t.legs[k].trader]
                record.amount_in = f[L_IN]
                record.amount_out = f[L_OUT]
                if self.pools[t.legs[k].pool].venue == PUMP_FUN:
                    record.amount_in = f[L_QUOTE] if t.legs[k].side_in == 1 else f[L_IN]
                    record.amount_out = f[L_OUT] if t.legs[k].side_in == 1 else f[L_QUOTE]
                record.signature = begin + 2 - self.out
                self.n_records += 1
            for k in range(t.n_effects):
                if t.effects[k].kind == EFFECT_LAMPORTS and t.effects[k].register == R_TIP:
                    self.counts.tips += 1
                    self.counts.tip_lamports += self.r[R_TIP]
        self.n_out = to - self.out
        self.ends[self.counts.transactions] = (
            -<int64_t>self.n_out if t.user_class < 0 else <int64_t>self.n_out)
        self.counts.transactions += 1
        self.counts.failed += t.failed
        self.counts.fee_lamports += fee
        self.counts.signatures += t.n_signatures
        return 1

    # -- who does what ---------------------------------------------------------------------------

    cdef int pick_user(self, const Template* t) noexcept nogil:
        cdef int which = 2 * t.group + t.user_class
        return self.classes[which][self.below(self.class_sizes[which])]

    cdef int transfer(self, int user, uint64_t amount) except -1:
        """A plain SOL transfer from `user` to another, or from a whale to a poor `user`."""
        cdef int n = <int>self.users.shape[0], other
        cdef uint64_t have = self.lamports[self.users[user, 0]]
        other = self.below(n)
        if other == user:
            other = (user + 1) % n
        if have < 10 * POOR:
            other = user
            user = self.below(self.n_whales)
            if user == other:
                user = (user + 1) % self.n_whales
            amount = TOP_UP
        elif amount > have // 4:
            amount = have // 4
        self.r[R_AMOUNT] = amount
        cdef Choice* choice = self.draw(KIND_TRANSFER)
        return self.emit(choice.templates[0], user, other, 0, 0, 0)

    cdef Choice* draw(self, int kind) noexcept nogil:
        return &self.choices[self.menus[kind][self.below(self.menu_sizes[kind])]]

    cdef int token_transfer(self) except -1:
        cdef Choice* choice = self.draw(KIND_TOKEN_TRANSFER)
        cdef Template* t = self.template(choice.templates[0])
        cdef int which = 2 * t.group + t.user_class, i
        cdef int user = self.pick_user(t)
        cdef int other = self.pick_user(t)
        cdef uint64_t have = 0
        if user == other:
            return 0
        self.resolve(t, user, other)
        for i in range(t.n_effects):
            if t.effects[i].kind == EFFECT_TOKENS:
                have = self.amounts[self.account[t.effects[i].source]]
        self.r[R_AMOUNT] = have // (8 + self.below(1024))
        if self.r[R_AMOUNT] == 0:
            return 0
        if self.chance(self.failure_thresholds[KIND_TOKEN_TRANSFER]):
            return self.emit(choice.templates[1], user, other, 0, 0, 0)
        return self.emit(choice.templates[0], user, other, 0, 0, 0)

    cdef int swap(self, int kind) except -1:
        """A swap or a route in the direction that brings the price back, more often than not."""
        cdef Choice* choice = self.draw(kind)
        cdef int direction = 0, turn, user
        cdef bint failing = self.chance(self.failure_thresholds[kind])
        cdef Template* t = self.template(choice.templates[0])
        cdef uint64_t size = self.sizes[self.below(QUANTILES)]
        # Direction 0 puts side 0's counterpart in (buys side 0) where the pool says so.
        if choice.pool >= 0:
            direction = self.above_anchor(&self.pools[choice.pool])
            if t.legs[0].side_in == 0:
                direction = 1 - direction
            if not self.chance(self.reversion_threshold):
                direction = 1 - direction
        for turn in range(2):
            t = self.template(choice.templates[2 * direction])
            user = self.pick_user(t)
            if self.lamports[self.users[user, 0]] < POOR:
                return self.transfer(user, 0)
            if self.emit(choice.templates[2 * direction + failing], user, user, size, 0, 0):
                return 1
            direction = 1 - direction
        return 0

    cdef int arbitrage(self) except -1:
        """A bot's cycle through two pools: lands where it gains, else fails on its own check."""
        cdef Choice* choice = self.draw(KIND_ARBITRAGE)
        cdef Template* t
        cdef int direction, best = 0, user
        cdef uint64_t size = self.sizes[self.below(QUANTILES)]
        cdef int64_t gain, best_gain = -((<int64_t>1) << 62)
        t = self.template(choice.templates[0])
        user = self.pick_user(t)
        if self.lamports[self.users[user, 0]] < POOR:
            return self.transfer(user, 0)
        for direction in range(2):
            t = self.template(choice.templates[2 * direction])
            self.resolve(t, user, user)
            if self.quote_legs(t, size, 0):
                gain = <int64_t>self.r[R_RECEIVED] - <int64_t>self.r[R_AMOUNT]
                if gain > best_gain:
                    best = direction
                    best_gain = gain
        if best_gain > 0 and not self.chance(self.failure_thresholds[KIND_ARBITRAGE]):
            return self.emit(choice.templates[2 * best], user, user, size, 0,
                             96 + self.below(64))
        return self.emit(choice.templates[2 * best + 1], user, user, size, 0, 0)

    cdef int sandwich(self) except -1:
        """Front, victim, back on one pool; the back sells what the front bought."""
        cdef Choice* choice = self.draw(KIND_SWAP)
        cdef Template* front = self.template(choice.templates[0])
        cdef Template* back = self.template(choice.templates[2])
        cdef int actor = self.pick_user(front), victim = self.pick_user(front)
        cdef uint64_t size = self.sizes[QUANTILES // 2 + self.below(QUANTILES // 2)], got
        if actor == victim or front.user_class != back.user_class:
            return 0
        if not self.emit(choice.templates[0], actor, actor, size, 0, 0):
            return 0
        got = self.r[R_RECEIVED]
        self.emit(choice.templates[0], victim, victim, size, 0, 0)
        self.emit(choice.templates[2], actor, actor, 0, got, 0)
        return 1

    # -- a block ---------------------------------------------------------------------------------

    def set_key(self, int account, bytes key):
        """Replaces the 32 bytes of an account that stands for a value (blockhash, bank hash)."""
        if len(key) != 32:
            raise ValueError("a key has 32 bytes")
        memcpy(&self.keys[account, 0], <const uint8_t*>key, 32)

    def credit(self, int account, uint64_t lamports):
        """Pays a block reward; returns the balance after."""
        self.lamports[account] += lamports
        return self.lamports[account]

    def balance(self, int account):
        """(lamports, token amount, withheld transfer fees) of an account."""
        return self.lamports[account], self.amounts[account], self.withheld[account]

    def supply(self):
        """All lamports of the chain."""
        return int(np.asarray(self.lamports).sum())

    def block(self, bytes header, uint32_t n, uint32_t n_votes, uint32_t n_sandwiches,
              int64_t block_time, uint64_t root):
        """Makes one block's transactions: (data, ends, votes, leg records, counts).

        data: `header` and the transactions as field 4 of ConfirmedBlock; ends: int64 (n,), where
        each ends in data; votes: uint8 (n,), 1 for a vote; records: structured array LEG_RECORD; counts: dict."""
        cdef uint32_t left = n, votes_left = n_votes, done, turn
        cdef uint32_t n_validators = <uint32_t>self.validators.shape[0]
        cdef uint32_t validator = self.below(n_validators), stride = 1
        cdef uint32_t threshold
        cdef int kind, n_users = <int>self.users.shape[0]
        cdef int64_t ends_size
        memset(&self.counts, 0, sizeof(Counts))
        self.n_records = 0
        self.n_out = 0
        self.reserve_room()
        memcpy(self.out, <const uint8_t*>header, len(header))
        self.n_out = len(header)
        self.r[R_TIME] = <uint64_t>block_time
        self.r[R_ROOT] = root
        while self.counts.transactions < n:
            left = n - self.counts.transactions
            if self.below(left) < votes_left:
                validator = (validator + 1) % n_validators
                self.emit(self.vote_templates[self.below(<uint32_t>len(self.vote_templates))],
                          validator, validator, 0, 0, 0)
                self.counts.votes += 1
                votes_left -= 1
                continue
            if n_sandwiches and left > votes_left + 3 and self.below(left) < 8:
                n_sandwiches -= 1
                self.sandwich()
                continue
            threshold = <uint32_t>(self.random() >> 32)
            kind = 0
            while threshold > self.kind_thresholds[kind]:
                kind += 1
            done = 0
            for turn in range(4):
                if kind == KIND_TRANSFER:
                    break
                if kind == KIND_TOKEN_TRANSFER:
                    done = self.token_transfer()
                elif kind == KIND_ARBITRAGE:
                    done = self.arbitrage()
                else:
                    done = self.swap(kind)
                if done:
                    break
            if not done:
                self.transfer(self.below(n_users), self.sizes[self.below(QUANTILES)])
        ends = np.empty(self.counts.transactions, np.int64)
        cdef int64_t[::1] ends_view = ends
        ends_size = self.counts.transactions * sizeof(int64_t)
        if self.counts.transactions:
            memcpy(&ends_view[0], self.ends, ends_size)
        records = np.frombuffer(
            <bytes>(<uint8_t*>self.records)[:self.n_records * sizeof(LegRecord)], LEG_RECORD)
        return (<bytes>self.out[:self.n_out], np.abs(ends), (ends < 0).view(np.uint8), records, {
            "transactions": self.counts.transactions, "votes": self.counts.votes,
            "failed": self.counts.failed,
            "succeeded":
                self.counts.transactions - self.counts.votes - self.counts.failed,
            "tips": self.counts.tips, "tip_lamports": self.counts.tip_lamports,
            "fee_lamports": self.counts.fee_lamports, "signatures": self.counts.signatures,
        })
