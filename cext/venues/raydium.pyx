"""Raydium AMM v4, CLMM with its clones, CPMM with its clones.

Layouts: raydium-io/raydium-amm, raydium-io/raydium-clmm, raydium-io/raydium-cp-swap.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    ADD, CLOSE, COLLECT, EVENT_LOG, EVENT_OTHER, EVENT_RAY_LOG, EVENT_READ, EXACT_IN, EXACT_OUT,
    OPEN_AND_ADD, REMOVE, Change, ChangeEvent, EventVerdict, Instruction, Leg, Program, SwapEvent,
    Transaction, Transfer,
)
from mevstream.cext.registry cimport add_liquidity, add_venue, discriminator
from mevstream.cext.venues.common cimport (
    account_of, instruction_byte, instruction_kind, is_key, mend_fee, of_pool, price_of_root,
    read_u128, set_delta, set_liquidity, tick_at,
)
from mevstream.cext.wire cimport mv_u32, mv_u64

# Event discriminators.
cdef uint64_t SWAP_EVENT = discriminator("40c6cde8260871e2")
cdef uint64_t LIQUIDITY_CHANGE = discriminator("7ef0afce9e58996b")
cdef uint64_t CREATE_POSITION = discriminator("641e57f9c4df9ace")
cdef uint64_t INCREASE_LIQUIDITY = discriminator("314f69d420221e54")
cdef uint64_t DECREASE_LIQUIDITY = discriminator("3ade563a44325538")
cdef uint64_t LP_CHANGE = discriminator("79a3cdc939da753c")
# Instruction.
cdef uint64_t ROUTER_BASE_IN = discriminator("457d73daf5baf2c4")


cdef EventVerdict read_ray_log(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """0 type, 1 amount u64, 9 bound u64, 17 direction u64 (1 = pc in, 2 = coin in), 25 user u64,
    33 pool coin, 41 pool pc (both before), 49 the other amount. It names no pool."""
    cdef uint64_t coin, pc
    if n < 57 or (data[0] != 3 and data[0] != 4):
        return EVENT_OTHER
    if data[0] == 3:      # base in: what is given stands first
        event.amount_in = mv_u64(data + 1)
        event.amount_out = mv_u64(data + 49)
    else:                 # base out
        event.amount_in = mv_u64(data + 49)
        event.amount_out = mv_u64(data + 9)
    event.curve.mode = EXACT_IN if data[0] == 3 else EXACT_OUT
    coin = mv_u64(data + 33)
    pc = mv_u64(data + 41)
    if mv_u64(data + 17) == 2:
        coin, pc = pc, coin
    # Now pc is the side that grows; the fee stays in it.
    event.curve.reserve_in = pc
    event.curve.reserve_out = coin
    if coin > event.amount_out:
        event.price_after = <double>(coin - event.amount_out) / (<double>pc + <double>event.amount_in)
    return EVENT_READ


cdef EventVerdict read_clmm(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """8 pool, 136 amount_0, 144 transfer fee, 152 amount_1, 160 transfer fee, 168 zero_for_one,
    169 sqrt price, 185 liquidity and 201 tick after; 205 and 213 trade fees in newer deployments."""
    cdef bint zero_in
    if n < 205 or mv_u64(data) != SWAP_EVENT or not of_pool(tx, leg, data + 8):
        return EVENT_OTHER
    zero_in = data[168] != 0
    event.amount_in = mv_u64(data + (136 if zero_in else 152))
    event.amount_out = mv_u64(data + (152 if zero_in else 136))
    mend_fee(&event.amount_in, mv_u64(data + (144 if zero_in else 160)), leg.amount_in)
    mend_fee(&event.amount_out, mv_u64(data + (160 if zero_in else 144)), leg.amount_out)
    event.price_after = price_of_root(data + 169, zero_in)
    event.curve.side = 0 if zero_in else 1
    # The router's hops all begin with what is given.
    event.curve.mode = EXACT_IN
    if instruction_kind(tx, leg) != ROUTER_BASE_IN and not instruction_byte(tx, leg, 40, 1):
        event.curve.mode = EXACT_OUT
    event.curve.withheld_in = mv_u64(data + (144 if zero_in else 160))
    read_u128(data + 169, event.curve.root)
    read_u128(data + 185, event.curve.liquidity)
    event.curve.tick = mv_u32(data + 201)
    if n >= 221:
        event.has_fee = True
        event.fee = mv_u64(data + (205 if zero_in else 213))
        if event.fee == 0 and mv_u64(data + (213 if zero_in else 205)):
            event.fee = mv_u64(data + (213 if zero_in else 205))
            event.fee_in_output = True
    return EVENT_READ


cdef EventVerdict read_cpmm(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """8 pool, 40 and 48 reserves before, 56 in, 64 out, 72 and 80 transfer fees, 88 base_input;
    newer: 153 trade fee, 161 creator fee, 169 whether that is on the input."""
    cdef uint64_t before_in, before_out
    if n < 89 or mv_u64(data) != SWAP_EVENT or not of_pool(tx, leg, data + 8):
        return EVENT_OTHER
    before_in = mv_u64(data + 40)
    before_out = mv_u64(data + 48)
    event.curve.reserve_in = before_in
    event.curve.reserve_out = before_out
    event.curve.mode = EXACT_IN if data[88] else EXACT_OUT
    event.curve.withheld_in = mv_u64(data + 72)
    event.amount_in = mv_u64(data + 56)
    event.amount_out = mv_u64(data + 64)
    if before_out > event.amount_out:
        event.price_after = (<double>(before_out - event.amount_out)
                             / (<double>before_in + <double>event.amount_in))
    mend_fee(&event.amount_in, mv_u64(data + 72), leg.amount_in)
    mend_fee(&event.amount_out, mv_u64(data + 80), leg.amount_out)
    if n >= 161:
        event.has_fee = True
        event.fee = mv_u64(data + 153)
        event.has_creator_fee = n >= 169 and mv_u64(data + 161) != 0
        if n >= 170 and data[169]:
            event.fee += mv_u64(data + 161)
    return EVENT_READ


cdef uint32_t router_legs(
    const Transaction* tx, const Instruction* ix, const Transfer* transfers, uint32_t n_transfers,
    Leg* legs, uint32_t room) noexcept nogil:
    """swap_router_base_in: accounts 0 payer, 1 user input, 2 input mint, 3 to 5 programs, then for
    each hop config, pool, user output, input vault, output vault, output mint, observation and
    tick arrays. A hop is where a transfer goes into an account of the list and one leaves the
    account after it."""
    cdef uint32_t k, i, j, count = 0
    cdef bint paid, given
    for k in range(6, ix.n_accounts):
        if k + 5 > ix.n_accounts or count == room:
            break
        paid = given = False
        for i in range(n_transfers):
            paid = paid or transfers[i].destination == ix.accounts[k + 3]
            given = given or transfers[i].source == ix.accounts[k + 4]
        if not (paid and given):
            continue
        legs[count].pool = account_of(tx, ix, k + 1)
        legs[count].vault_in = account_of(tx, ix, k + 3)
        legs[count].vault_out = account_of(tx, ix, k + 4)
        legs[count].trader = account_of(tx, ix, 0)
        count += 1
    return count


# -- liquidity ------------------------------------------------------------------------------------

cdef EventVerdict read_ray_log_change(
    const Transaction* tx, const Change* change, const uint8_t* data, uint32_t n,
    ChangeEvent* event) noexcept nogil:
    """0 type. Deposit (1): 81 coin, 89 pc, 97 shares minted. Withdraw (2): 1 shares, 73 coin, 81 pc.
    Initialize (0): 27 pc, 35 coin."""
    if n >= 105 and data[0] == 1 and change.kind == ADD:
        event.amount_a = mv_u64(data + 81)
        event.amount_b = mv_u64(data + 89)
        set_delta(event, mv_u64(data + 97))
    elif n >= 89 and data[0] == 2 and change.kind == REMOVE:
        event.amount_a = mv_u64(data + 73)
        event.amount_b = mv_u64(data + 81)
        set_delta(event, mv_u64(data + 1))
    elif n >= 75 and data[0] == 0 and change.kind == ADD:
        event.amount_a = mv_u64(data + 35)
        event.amount_b = mv_u64(data + 27)
    else:
        return EVENT_OTHER
    event.has_amounts = True
    return EVENT_READ


cdef EventVerdict read_clmm_change(
    const Transaction* tx, const Change* change, const uint8_t* data, uint32_t n,
    ChangeEvent* event) noexcept nogil:
    """LiquidityChangeEvent, which comes first: 8 pool, 40 tick, 44 and 48 the position's range. Then,
    by instruction: CreatePersonalPositionEvent 8 pool, 104 and 108 range, 112 liquidity, 128 and
    136 amounts, 144 and 152 transfer fees; IncreaseLiquidityEvent 40 liquidity, 56 and 64 amounts,
    72 and 80 transfer fees; DecreaseLiquidityEvent 40 liquidity, 56 and 64 amounts, 72 and 80
    collected fees (which are paid out with them)."""
    cdef uint64_t kind
    cdef uint32_t amounts
    if n < 8:
        return EVENT_OTHER
    kind = mv_u64(data)
    if kind == LIQUIDITY_CHANGE and n >= 84 and is_key(tx, change.pool, data + 8):
        event.tick = tick_at(data + 40)
        event.lower = tick_at(data + 44)
        event.upper = tick_at(data + 48)
        return EVENT_READ
    if kind == DECREASE_LIQUIDITY and n >= 88 and change.kind in (REMOVE, COLLECT):
        event.fee_a = mv_u64(data + 72)
        event.fee_b = mv_u64(data + 80)
        event.amount_a = mv_u64(data + 56) + event.fee_a
        event.amount_b = mv_u64(data + 64) + event.fee_b
        event.has_fees = True
        amounts = 56
    elif kind == INCREASE_LIQUIDITY and n >= 88 and change.kind == ADD:
        amounts = 56
    elif kind == CREATE_POSITION and n >= 160 and change.kind == ADD and is_key(
            tx, change.pool, data + 8):
        amounts = 128
        event.lower = tick_at(data + 104)
        event.upper = tick_at(data + 108)
    else:
        return EVENT_OTHER
    if change.kind == ADD:
        event.amount_a = mv_u64(data + amounts)
        event.amount_b = mv_u64(data + amounts + 8)
        mend_fee(&event.amount_a, mv_u64(data + amounts + 16), change.amount_a)
        mend_fee(&event.amount_b, mv_u64(data + amounts + 24), change.amount_b)
    set_liquidity(event, data + amounts - 16)
    event.has_amounts = True
    return EVENT_READ


cdef EventVerdict read_lp_change(
    const Transaction* tx, const Change* change, const uint8_t* data, uint32_t n,
    ChangeEvent* event) noexcept nogil:
    """LpChangeEvent: 8 pool, 64 and 72 amounts, 80 and 88 transfer fees, 96 type (0 deposit)."""
    if n < 97 or mv_u64(data) != LP_CHANGE or not is_key(tx, change.pool, data + 8) or (
            (data[96] == 0) != (change.kind == ADD)):
        return EVENT_OTHER
    event.amount_a = mv_u64(data + 64)
    event.amount_b = mv_u64(data + 72)
    mend_fee(&event.amount_a, mv_u64(data + 80), change.amount_a)
    mend_fee(&event.amount_b, mv_u64(data + 88), change.amount_b)
    event.has_amounts = True
    return EVENT_READ


# (discriminator, pool, vault, vault, trader[, at least, at most accounts]); liquidity: (kind,
# discriminator, pool, position, owner, vault, vault, range, liquidity[, at least, at most])
cdef Program* _row

_row = add_venue("raydium_amm_v4", "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8", [
    ("09", 1, 4, 5, -1, 17, 17),    # SwapBaseIn
    ("09", 1, 5, 6, -1, 18, 255),   # … with target orders at 4
    ("0b", 1, 4, 5, -1, 17, 17),    # SwapBaseOut
    ("0b", 1, 5, 6, -1, 18, 255),
    ("10", 1, 3, 4, 7),             # SwapBaseInV2
    ("11", 1, 3, 4, 7),             # SwapBaseOutV2
], EVENT_RAY_LOG, read_ray_log)
add_liquidity(_row, [
    (ADD, "01", 4, None, 17, 10, 11, None, None, 21, 255),       # Initialize2
    (ADD, "03", 1, None, 10, 5, 6, None, None, 11, 11),          # Deposit
    (ADD, "03", 1, None, 12, 6, 7, None, None, 14, 15),          # … with the order book
    (REMOVE, "04", 1, None, 10, 5, 6, None, (1, 8), 11, 11),     # Withdraw
    (REMOVE, "04", 1, None, 16, 6, 7, None, (1, 8), 20, 21),     # … with the order book
    (REMOVE, "04", 1, None, 18, 6, 7, None, (1, 8), 22, 23),     # … and two accounts that fill in
], read_ray_log_change)

add_venue("raydium_stable", "5quBtoiQqxF9Jv6KYKctB59NT3gtJD2Y65kdnB1Uev3h", [
    ("09", 1, 4, 5, -1),
    ("0b", 1, 4, 5, -1),
])

for _name, _address in (
    ("raydium_clmm", "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK"),
    ("pancake_swap", "HpNfyc2Saw7RKkQd8nEL4khUcuPhQ7WwY1B2qjx8jxFq"),
    ("byreal", "REALQqNEomY6cQGZJUGwywTBD2UmDT32rZcNnfxQ5N2"),
    ("stabble_clmm", "6dMXqGZ3ga2dikrYS9ovDXgHGh5RUsb2RTUj6hrQXhk6"),
):
    _row = add_venue(_name, _address, [
        ("f8c69e91e17587c8", 2, 5, 6, 0),           # swap
        ("2b04ed0b1ac91e62", 2, 5, 6, 0),           # swap_v2
        ("457d73daf5baf2c4", None, None, None, 0),  # swap_router_base_in
    ], EVENT_LOG, read_clmm, router_legs)
    add_liquidity(_row, [
        # open_position, …_v2, …_with_token22_nft
        (OPEN_AND_ADD, "87802f4d0f98f031", 5, 9, 1, 12, 13, ("pair", 8), (24, 16)),
        (OPEN_AND_ADD, "4db84ad67056f1c7", 5, 9, 1, 12, 13, ("pair", 8), (24, 16)),
        (OPEN_AND_ADD, "4dffae527d1dc92e", 4, 8, 1, 11, 12, ("pair", 8), (24, 16)),
        (ADD, "2e9cf3760dcdfbb2", 2, 4, 0, 9, 10, None, (8, 16)),      # increase_liquidity
        (ADD, "851d59df45eeb00a", 2, 4, 0, 9, 10, None, (8, 16)),      # …_v2
        (REMOVE, "a026d06f685b2c01", 3, 2, 0, 5, 6, None, (8, 16)),    # decrease_liquidity
        (REMOVE, "3a7fbc3e4f52c460", 3, 2, 0, 5, 6, None, (8, 16)),    # …_v2
        (CLOSE, "7b86510031446262", None, 3, 0, None, None, None, None),   # close_position
    ], read_clmm_change)

for _name, _address in (
    ("raydium_cpmm", "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"),
    # The same program under the id of the test network, which is live on mainnet too.
    ("raydium_cpmm_fork", "DRaycpLY18LhpbydsBWbVJtxpNv9oXPgjRSfpF2bWpYb"),
    ("goosefx_gamma", "GAMMA7meSFWaBXF25oSUgmGRwaW6sCMFLmBNiMSdbHVT"),
):
    _row = add_venue(_name, _address, [
        ("8fbe5adac41e33de", 3, 6, 7, 0),   # swap_base_input
        ("37d96256a34ab4ad", 3, 6, 7, 0),   # swap_base_output
        ("ef52c0bba01adfdf", 3, 6, 7, 0),   # oracle_based_swap_base_input (Gamma)
    ], EVENT_LOG, read_cpmm)
    if _name == "goosefx_gamma":
        continue   # its liquidity has accounts of its own
    add_liquidity(_row, [
        (ADD, "f223c68952e1f2b6", 2, None, 0, 6, 7, None, (8, 8)),      # deposit
        (REMOVE, "b712469c946da122", 2, None, 0, 6, 7, None, (8, 8)),   # withdraw
        (ADD, "afaf6d1f0d989bed", 3, None, 0, 10, 11, None, None),      # initialize
        (ADD, "3f37fe4131b25979", 4, None, 0, 11, 12, None, None),      # initialize_with_permission
    ], read_lp_change)
