"""Records of the simulator's engine, shared by its modules. Numbers of registers, patches, effects
and venues are those of topologies/raw/simulator (registers.py, template.py, programs.py)."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "synth_math.h":
    ctypedef unsigned long long u128 "synth_u128"

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
    R_EXTRA = 8                # eight that whoever sends the transaction fills
    R_LEG = 16
    LEG_SIZE = 40
    N_REGISTERS = R_LEG + LEG_SIZE * 4

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
    L_BIN_BEFORE = 32
    L_BIN_AFTER = 33
    L_GROWTH = 34
    L_LIQUIDITY_AFTER = 36
    L_SEGMENT = 37
    L_GROWTH_2 = 38

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
    EFFECT_BURN = 5

cdef enum:
    KIND_TRANSFER = 0
    KIND_TOKEN_TRANSFER = 1
    KIND_SWAP = 2
    KIND_ROUTE = 3
    KIND_ARBITRAGE = 4
    N_KINDS = 5
    MAX_ACCOUNTS = 128
    MAX_EVENT_BYTES = 8192
    TRANSACTION_ROOM = 65536
    QUANTILES = 1024
    MAX_EDGES = 24

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
    int32_t share              # of 256, of what a leg that is not chained takes; 0 the rest

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
    uint32_t fund_rate         # likewise, CPMM alone
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
    # Initialised ticks, where there are any: places in `ticks`, and what crossing upwards adds.
    int32_t n_edges
    int32_t segment            # how many of them are at or below the price
    int32_t edges[MAX_EDGES]
    int64_t nets[MAX_EDGES]
    # Fees per unit of liquidity, Q64.64 by side, that accrued between two prices: two positions
    # are watched.
    u128 watch_low[2]
    u128 watch_high[2]
    u128 growth[2][2]
    # Bins, where there are several: amounts (x, y) and prices (low, high word) of each.
    int32_t n_bins
    int32_t first_bin
    int32_t active             # place of the active bin
    uint64_t* bins
    uint64_t* bin_prices
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

cdef struct Counts:
    uint32_t transactions
    uint32_t votes
    uint32_t failed
    uint32_t tips
    uint64_t tip_lamports
    uint64_t fee_lamports
    uint64_t signatures
