"""Bonding curves of launchpads other than Pump.fun. Layouts: their public IDLs."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    EVENT_OTHER, EVENT_READ, EVENT_SELF_CPI, EventVerdict, Leg, SwapEvent, Transaction,
)
from mevstream.cext.registry cimport add_venue, discriminator
from mevstream.cext.venues.common cimport mend_fee, of_pool
from mevstream.cext.wire cimport mv_u64

# Event discriminators.
cdef uint64_t TRADE_EVENT = discriminator("bddb7fd34ee661ee")


cdef EventVerdict read_launchlab(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """TradeEvent: 8 pool, 48 and 56 virtual base and quote, 80 and 88 real ones after, 96 in, 104
    out, 112 protocol fee, 120 platform fee, 128 creator fee (absent in older deployments: the
    rest stands 8 earlier), 136 share fee, 144 direction (0 = buy)."""
    cdef bint short_form = n < 146
    cdef uint32_t direction = 136 if short_form else 144
    cdef uint64_t base, quote
    if n < 138 or mv_u64(data) != TRADE_EVENT or not of_pool(tx, leg, data + 8):
        return EVENT_OTHER
    event.amount_in = mv_u64(data + 96)
    event.amount_out = mv_u64(data + 104)
    event.has_fee = True
    event.fee = mv_u64(data + 112) + mv_u64(data + 120) + mv_u64(data + 128)
    if not short_form:
        event.fee += mv_u64(data + 136)
    # Fees are on the quote side; the event's amount there counts them, the vault may not.
    if data[direction] != 0:
        event.fee_in_output = True
        mend_fee(&event.amount_out, event.fee, leg.amount_out)
        # Of the fees, only the sharer's is paid out at once.
        mend_fee(&event.amount_out, mv_u64(data + (128 if short_form else 136)), leg.amount_out)
    elif event.amount_in != leg.amount_in and event.amount_in - event.fee == leg.amount_in:
        event.amount_in = leg.amount_in
    base = mv_u64(data + 48)
    quote = mv_u64(data + 56) + mv_u64(data + 88)
    base = base - mv_u64(data + 80) if base > mv_u64(data + 80) else 0
    if base and quote:
        event.price_after = (<double>base / <double>quote if data[direction] == 0
                             else <double>quote / <double>base)
    return EVENT_READ


add_venue("raydium_launchlab", "LanMV9sAd7wArD4vJFi2qDdfnVhFxYSUg6eADduJ3uj", [
    ("faea0d7bd59c13ec", 4, 7, 8, 0),   # buy_exact_in
    ("18d3742869039938", 4, 7, 8, 0),   # buy_exact_out
    ("9527de9bd37c981a", 4, 7, 8, 0),   # sell_exact_in
    ("5fc8472208090ba6", 4, 7, 8, 0),   # sell_exact_out
], EVENT_SELF_CPI, read_launchlab)

add_venue("heaven", "HEAVENoP2qxoeuF8Dj2oT1GHEnu49U5mJYkdeC8BAX2o", [
    ("66063d1201daebea", 4, 10, 11, 5),
    ("33e685a4017f83ad", 4, 10, 11, 5),
])
add_venue("virtuals", "5U3EU2ubXtK84QcRjWVmYt9RaDyA8gKxdUrPFXmZyaki", [
    ("66063d1201daebea", 1, 5, 8, 0),
    ("33e685a4017f83ad", 1, 5, 8, 0),
])
add_venue("vertigo", "vrTGoBuy5rYSxAfV3jaRJWHH6nN9WK4NRExGxsk1bCJ", [
    ("66063d1201daebea", 0, 7, 8, 1),
    ("33e685a4017f83ad", 0, 7, 8, 1),
])
