"""What a leg tells of its pool's curve, and what follows from it for the next one."""

from libc.stdint cimport int32_t, uint32_t, uint64_t

from mevstream.cext.quotes cimport Curve

cdef enum Model:
    NO_MODEL = 0
    AMM_V4 = 1
    CPMM = 2
    SPL_SWAP = 3
    PUMP_AMM = 4
    PUMP_BONDING = 5
    CLMM = 6
    WHIRLPOOL = 7
    DAMM_V2 = 8
    DLMM = 9
    N_MODELS = 10

# CPMM: the two shares of the fee that leave the pool.
cdef struct Shares:
    uint32_t low               # both together, 1e-6; not known while high is 0
    uint32_t high
    uint64_t splits            # bit k: that the smaller one is k per cent is ruled out
    # Of the last leg, for the next one to tell what was taken: its fee (0: nothing to be told), the
    # side that it entered, and the reserve there if nothing had been taken.
    uint64_t fee
    uint64_t untaken
    uint32_t side
    uint32_t creator           # 1: a fee of the pool's creator was seen, nothing is sure

# Beside the curve, what the legs so far allow: a rate that no event tells (1e-6; DAMM v2 1e-9), a
# bin step, a liquidity.
cdef struct Known:
    uint32_t model
    uint32_t rate_low
    uint32_t rate_high
    uint32_t bin_step
    uint64_t least[2]
    uint64_t most[2]
    Shares shares
    Curve curve

# A row of swap_*, with the side that it enters.
cdef struct Told:
    int side
    uint32_t flags
    uint32_t mode
    uint32_t rate[3]
    int32_t tick_before
    int32_t tick
    uint64_t amount_in
    uint64_t amount_out
    uint64_t net_in            # amount_in without what is withheld on the way
    uint64_t trader_in
    uint64_t fee
    uint64_t reserve_in        # vaults, after the leg
    uint64_t reserve_out
    uint64_t curve_in          # before the leg
    uint64_t curve_out
    uint64_t root_before[2]
    uint64_t root[2]
    uint64_t liquidity[2]

cdef void start_known(Known* known, uint32_t model) noexcept nogil
cdef bint curve_before(const Known* known, const Told* leg, Curve* before) noexcept nogil
cdef bint same_place(const Curve* a, const Curve* b) noexcept nogil
cdef bint predict(
    const Curve* before, const Told* leg, uint64_t* quoted, uint64_t* actual) noexcept nogil
cdef uint32_t sure_of(
    const Known* known, const Curve* before, int side, uint64_t amount, uint64_t out) noexcept nogil
cdef uint32_t sure_of_leg(
    const Known* known, const Curve* before, const Told* leg, uint64_t quoted) noexcept nogil
cdef void learn(Known* known, const Told* leg) noexcept nogil
