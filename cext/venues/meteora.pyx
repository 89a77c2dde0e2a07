"""Meteora DLMM, DAMM v1 and v2, dynamic bonding curve.

Layouts: MeteoraAg/dlmm-sdk, MeteoraAg/damm-v2, MeteoraAg/damm-v1-sdk, and the public IDL of DBC.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    EVENT_LOG, EVENT_OTHER, EVENT_READ, EVENT_SELF_CPI, EventVerdict, Leg, SwapEvent, Transaction,
)
from mevstream.cext.registry cimport add_venue, discriminator
from mevstream.cext.venues.common cimport mend_fee, of_pool, price_of_root
from mevstream.cext.wire cimport mv_u64

# Event discriminators.
cdef uint64_t SWAP = discriminator("516ce3becdd00ac4")
cdef uint64_t SWAP_2 = discriminator("2e7452d7941b544d")
cdef uint64_t EVT_SWAP_2 = discriminator("bd4233a826507599")
cdef uint64_t EVT_SWAP = discriminator("1b3c15d58aaabb93")


cdef EventVerdict read_dlmm(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """Swap: 8 pair, 80 in, 88 out, 96 swap_for_y, 97 fee (protocol and host part included).
    Swap2Evt: 8 pair, 97 in, 105 left over, 113 out, 121 market makers' fee, 129 protocol, 137
    limit orders, 145 host, 153 fees on input. The bin's price needs the pool's bin step."""
    if n >= 137 and mv_u64(data) == SWAP and of_pool(tx, leg, data + 8):
        event.amount_in = mv_u64(data + 80)
        event.amount_out = mv_u64(data + 88)
        event.fee = mv_u64(data + 97)
    elif n >= 155 and mv_u64(data) == SWAP_2 and of_pool(tx, leg, data + 8):
        event.amount_in = mv_u64(data + 97) - mv_u64(data + 105)
        event.amount_out = mv_u64(data + 113)
        event.fee = (mv_u64(data + 121) + mv_u64(data + 129) + mv_u64(data + 137)
                     + mv_u64(data + 145))
        event.fee_in_output = data[153] == 0
        if event.fee_in_output:
            mend_fee(&event.amount_out, mv_u64(data + 145), leg.amount_out)
    else:
        return EVENT_OTHER
    # Amounts are told without a Token-2022 transfer fee, which the event does not have.
    if event.amount_in != leg.amount_in and event.amount_in == leg.amount_in - leg.withheld_in:
        event.amount_in = leg.amount_in
    event.has_fee = True
    return EVENT_READ


cdef EventVerdict read_damm_v2(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """EvtSwap2: 8 pool, 40 direction (0 = a in), 41 fee mode, 92 sqrt price after, 108 to 139 four
    fees (the last the referrer's, who is paid by a transfer of its own), 140 in and 148 out with
    transfer fees. EvtSwap (until 2025): 8 pool, 40 direction, 58 out, 66 sqrt price after, 82 to
    113 four fees as before, 114 in."""
    cdef uint32_t i
    if n >= 188 and mv_u64(data) == EVT_SWAP_2 and of_pool(tx, leg, data + 8):
        event.amount_in = mv_u64(data + 140)
        event.amount_out = mv_u64(data + 148)
        event.price_after = price_of_root(data + 92, data[40] == 0)
        for i in range(4):
            event.fee += mv_u64(data + 108 + 8 * i)
        # Mode 0 takes fees from the output, the others always from token b.
        event.fee_in_output = data[41] == 0 or data[40] == 0
        if event.fee_in_output:
            mend_fee(&event.amount_out, mv_u64(data + 132), leg.amount_out)
    elif n >= 130 and mv_u64(data) == EVT_SWAP and of_pool(tx, leg, data + 8):
        event.amount_in = mv_u64(data + 114)
        event.amount_out = mv_u64(data + 58)
        event.price_after = price_of_root(data + 66, data[40] == 0)
        for i in range(4):
            event.fee += mv_u64(data + 82 + 8 * i)
        event.fee_in_output = data[40] == 0   # b in: either side, by a mode it does not tell
        event.has_fee = data[40] == 0
        mend_fee(&event.amount_out, mv_u64(data + 106), leg.amount_out)
        return EVENT_READ
    else:
        return EVENT_OTHER
    event.has_fee = True
    return EVENT_READ


cdef EventVerdict read_damm_v1(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """Swap: 8 in, 16 out, 24 fee, 32 the protocol's part (which goes to an account of its own, not
    into the vault), 40 the host's. It names no pool. Its amounts are what the vaults' shares are
    worth, which rounding keeps off the transfers by a few units."""
    if n < 48 or mv_u64(data) != SWAP:
        return EVENT_OTHER
    event.amounts_not_comparable = True
    event.amount_in = leg.amount_in
    event.amount_out = leg.amount_out
    event.has_fee = True
    event.fee = mv_u64(data + 24) + mv_u64(data + 32)
    return EVENT_READ


cdef EventVerdict read_dbc(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """EvtSwap2: 8 pool, 40 config, 72 direction (0 = base in), 91 in with fee, 99 without, 115 out,
    123 sqrt price after, 139 trading fee, 147 protocol, 155 referral. The older EvtSwap goes
    before it in the same instruction and tells nothing more."""
    if n < 187 or mv_u64(data) != EVT_SWAP_2 or not of_pool(tx, leg, data + 8):
        return EVENT_OTHER
    event.amount_in = mv_u64(data + 91)
    event.amount_out = mv_u64(data + 115)
    event.price_after = price_of_root(data + 123, data[72] == 0)
    event.has_fee = True
    event.fee = mv_u64(data + 139) + mv_u64(data + 147) + mv_u64(data + 155)
    event.fee_in_output = mv_u64(data + 91) == mv_u64(data + 99)
    if event.fee_in_output:
        mend_fee(&event.amount_out, mv_u64(data + 155), leg.amount_out)
    return EVENT_READ


add_venue("meteora_dlmm", "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo", [
    ("f8c69e91e17587c8", 0, 2, 3, 10),   # swap
    ("414b3f4ceb5b5b88", 0, 2, 3, 10),   # swap2
    ("fa49652126cf4bb8", 0, 2, 3, 10),   # swap_exact_out
    ("2bd7f784893cf351", 0, 2, 3, 10),   # swap_exact_out2
    ("38ade6d0ade49ccd", 0, 2, 3, 10),   # swap_with_price_impact
    ("4a62c0d6b1334b33", 0, 2, 3, 10),   # swap_with_price_impact2
], EVENT_SELF_CPI, read_dlmm)

add_venue("meteora_damm_v2", "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG", [
    ("f8c69e91e17587c8", 1, 4, 5, 8),    # swap
    ("414b3f4ceb5b5b88", 1, 4, 5, 8),    # swap2
], EVENT_SELF_CPI, read_damm_v2)

# The vaults belong to the dynamic vault program, so the transfers are nested one deeper.
add_venue("meteora_damm_v1", "Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB", [
    ("f8c69e91e17587c8", 0, 5, 6, 12),
], EVENT_LOG, read_damm_v1)

add_venue("meteora_dbc", "dbcij3LWUppWqq96dh6gJWwBifmcGfLSB5D4DuSMaqN", [
    ("f8c69e91e17587c8", 2, 5, 6, 9),    # swap
    ("414b3f4ceb5b5b88", 2, 5, 6, 9),    # swap2
], EVENT_SELF_CPI, read_dbc)
