"""Orca Whirlpool and its forks. Layouts: orca-so/whirlpools."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    EVENT_LOG, EVENT_OTHER, EVENT_READ, EventVerdict, Leg, SwapEvent, Transaction,
)
from mevstream.cext.registry cimport add_venue, discriminator
from mevstream.cext.venues.common cimport mend_fee, of_pool, price_of_root
from mevstream.cext.wire cimport mv_u64

# Event discriminators.
cdef uint64_t TRADED = discriminator("e1ca49af932ba096")


cdef EventVerdict read_traded(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """Traded: 8 whirlpool, 40 a_to_b, 57 sqrt price after, 73 in, 81 out, 89 and 97 transfer fees,
    105 fee to liquidity, 113 fee to the protocol."""
    if n < 121 or mv_u64(data) != TRADED or not of_pool(tx, leg, data + 8):
        return EVENT_OTHER
    event.amount_in = mv_u64(data + 73)
    event.amount_out = mv_u64(data + 81)
    mend_fee(&event.amount_in, mv_u64(data + 89), leg.amount_in)
    mend_fee(&event.amount_out, mv_u64(data + 97), leg.amount_out)
    event.price_after = price_of_root(data + 57, data[40] != 0)
    event.has_fee = True
    event.fee = mv_u64(data + 105) + mv_u64(data + 113)
    return EVENT_READ


add_venue("orca_whirlpool", "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc", [
    ("f8c69e91e17587c8", 2, 4, 6, 1),       # swap
    ("2b04ed0b1ac91e62", 4, 8, 10, 3),      # swap_v2
    ("c360ed6c44a2dbe6", 2, 5, 7, 1),       # two_hop_swap, pool one
    ("c360ed6c44a2dbe6", 3, 9, 11, 1),      # … and two
    ("ba8fd11dfe02c275", 0, 9, 10, 14),     # two_hop_swap_v2
    ("ba8fd11dfe02c275", 1, 11, 12, 14),
], EVENT_LOG, read_traded)

for _name, _address in (
    ("cropper", "H8W3ctz92svYg6mkn1UtGfu2aQr2fnUFHM1RhScEtQDt"),
    ("dflow_clearpool", "C1ear1po7kcLBZiiArGMXPhGnjRZ8KxkqQ8EEskzHWmc"),
):
    add_venue(_name, _address, [("f8c69e91e17587c8", 2, 4, 6, 1)])

add_venue("fusion_amm", "fUSioN9YKKSa3CUC2YUc4tPkHJ5Y6XW1yz8y6F7qWz9", [
    ("f8c69e91e17587c8", 4, 9, 10, 3),
    ("c360ed6c44a2dbe6", 0, 9, 10, 14),
    ("c360ed6c44a2dbe6", 1, 11, 12, 14),
])
