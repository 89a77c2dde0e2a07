"""Raydium AMM v4, CLMM with its clones, CPMM with its clones.

Layouts: raydium-io/raydium-amm, raydium-io/raydium-clmm, raydium-io/raydium-cp-swap.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    EVENT_LOG, EVENT_OTHER, EVENT_RAY_LOG, EVENT_READ, EventVerdict, Instruction, Leg, SwapEvent,
    Transaction, Transfer,
)
from mevstream.cext.registry cimport add_venue, discriminator
from mevstream.cext.venues.common cimport account_of, mend_fee, of_pool, price_of_root
from mevstream.cext.wire cimport mv_u64

# Event discriminators.
cdef uint64_t SWAP_EVENT = discriminator("40c6cde8260871e2")


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
    coin = mv_u64(data + 33)
    pc = mv_u64(data + 41)
    if mv_u64(data + 17) == 2:
        coin, pc = pc, coin
    # Now pc is the side that grows; the fee stays in it.
    if coin > event.amount_out:
        event.price_after = <double>(coin - event.amount_out) / (<double>pc + <double>event.amount_in)
    return EVENT_READ


cdef EventVerdict read_clmm(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """8 pool, 136 amount_0, 144 transfer fee, 152 amount_1, 160 transfer fee, 168 zero_for_one,
    169 sqrt price; 205 and 213 trade fees in newer deployments."""
    cdef bint zero_in
    if n < 205 or mv_u64(data) != SWAP_EVENT or not of_pool(tx, leg, data + 8):
        return EVENT_OTHER
    zero_in = data[168] != 0
    event.amount_in = mv_u64(data + (136 if zero_in else 152))
    event.amount_out = mv_u64(data + (152 if zero_in else 136))
    mend_fee(&event.amount_in, mv_u64(data + (144 if zero_in else 160)), leg.amount_in)
    mend_fee(&event.amount_out, mv_u64(data + (160 if zero_in else 144)), leg.amount_out)
    event.price_after = price_of_root(data + 169, zero_in)
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


# (discriminator, pool, vault, vault, trader[, at least, at most accounts])
add_venue("raydium_amm_v4", "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8", [
    ("09", 1, 4, 5, -1, 17, 17),    # SwapBaseIn
    ("09", 1, 5, 6, -1, 18, 255),   # … with target orders at 4
    ("0b", 1, 4, 5, -1, 17, 17),    # SwapBaseOut
    ("0b", 1, 5, 6, -1, 18, 255),
    ("10", 1, 3, 4, 7),             # SwapBaseInV2
    ("11", 1, 3, 4, 7),             # SwapBaseOutV2
], EVENT_RAY_LOG, read_ray_log)

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
    add_venue(_name, _address, [
        ("f8c69e91e17587c8", 2, 5, 6, 0),           # swap
        ("2b04ed0b1ac91e62", 2, 5, 6, 0),           # swap_v2
        ("457d73daf5baf2c4", None, None, None, 0),  # swap_router_base_in
    ], EVENT_LOG, read_clmm, router_legs)

for _name, _address in (
    ("raydium_cpmm", "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"),
    # The same program under the id of the test network, which is live on mainnet too.
    ("raydium_cpmm_fork", "DRaycpLY18LhpbydsBWbVJtxpNv9oXPgjRSfpF2bWpYb"),
    ("goosefx_gamma", "GAMMA7meSFWaBXF25oSUgmGRwaW6sCMFLmBNiMSdbHVT"),
):
    add_venue(_name, _address, [
        ("8fbe5adac41e33de", 3, 6, 7, 0),   # swap_base_input
        ("37d96256a34ab4ad", 3, 6, 7, 0),   # swap_base_output
        ("ef52c0bba01adfdf", 3, 6, 7, 0),   # oracle_based_swap_base_input (Gamma)
    ], EVENT_LOG, read_cpmm)
