"""Orca Whirlpool and its forks. Layouts: orca-so/whirlpools."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    ADD, CLOSE, COLLECT, EVENT_LOG, EVENT_OTHER, EVENT_READ, EXACT_IN, EXACT_OUT, MOVE, OPEN, REMOVE,
    Change, ChangeEvent, EventVerdict, Leg, Program, SwapEvent, Transaction,
)
from mevstream.cext.registry cimport add_liquidity, add_venue, discriminator
from mevstream.cext.venues.common cimport (
    instruction_byte, instruction_kind, is_key, mend_fee, of_pool, price_of_root, read_u128,
    set_liquidity, tick_at,
)
from mevstream.cext.wire cimport mv_u64

# Event discriminators.
cdef uint64_t LIQUIDITY_INCREASED = discriminator("1e0790b566fe9ba1")
cdef uint64_t LIQUIDITY_DECREASED = discriminator("a601244770cab5ab")
cdef uint64_t LIQUIDITY_REPOSITIONED = discriminator("5f82b584fb32c326")
cdef uint64_t TRADED = discriminator("e1ca49af932ba096")
# Instructions.
cdef uint64_t TWO_HOP = discriminator("c360ed6c44a2dbe6")
cdef uint64_t TWO_HOP_2 = discriminator("ba8fd11dfe02c275")


cdef EventVerdict read_traded(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """Traded: 8 whirlpool, 40 a_to_b, 41 sqrt price before, 57 after, 73 in, 81 out, 89 and 97 transfer fees,
    105 fee to liquidity, 113 fee to the protocol."""
    cdef uint64_t two_hop
    if n < 121 or mv_u64(data) != TRADED or not of_pool(tx, leg, data + 8):
        return EVENT_OTHER
    event.amount_in = mv_u64(data + 73)
    event.amount_out = mv_u64(data + 81)
    mend_fee(&event.amount_in, mv_u64(data + 89), leg.amount_in)
    mend_fee(&event.amount_out, mv_u64(data + 97), leg.amount_out)
    event.price_after = price_of_root(data + 57, data[40] != 0)
    # amount_specified_is_input: of the two-hop instructions before the sides, else behind a limit.
    two_hop = instruction_kind(tx, leg)
    event.curve.mode = EXACT_IN
    if not instruction_byte(tx, leg, 24 if two_hop in (TWO_HOP, TWO_HOP_2) else 40, 1):
        event.curve.mode = EXACT_OUT
    event.curve.side = 0 if data[40] else 1
    event.curve.withheld_in = mv_u64(data + 89)
    read_u128(data + 41, event.curve.root_before)
    read_u128(data + 57, event.curve.root)
    event.has_fee = True
    event.fee = mv_u64(data + 105) + mv_u64(data + 113)
    return EVENT_READ


cdef EventVerdict read_change(
    const Transaction* tx, const Change* change, const uint8_t* data, uint32_t n,
    ChangeEvent* event) noexcept nogil:
    """LiquidityIncreased, LiquidityDecreased: 8 whirlpool, 40 position, 72 and 76 range, 80
    liquidity, 96 and 104 amounts, 112 and 120 transfer fees. LiquidityRepositioned: 8 whirlpool,
    40 position, 72 and 76 range before, 80 and 84 after, 88 liquidity before, 104 after, 120 and
    128 amounts taken out, 136 and 144 put in. (They differ by one transfer a token.)"""
    cdef uint64_t kind
    cdef bint add = change.kind == ADD
    if n < 128 or not is_key(tx, change.holder, data + 40):
        return EVENT_OTHER
    kind = mv_u64(data)
    if kind == LIQUIDITY_REPOSITIONED and n >= 186:
        event.lower = tick_at(data + (80 if add else 72))
        event.upper = tick_at(data + (84 if add else 76))
        set_liquidity(event, data + (104 if add else 88))
        event.amount_a = mv_u64(data + (136 if add else 120))
        event.amount_b = mv_u64(data + (144 if add else 128))
    elif kind == (LIQUIDITY_INCREASED if add else LIQUIDITY_DECREASED) and change.kind != COLLECT:
        event.lower = tick_at(data + 72)
        event.upper = tick_at(data + 76)
        set_liquidity(event, data + 80)
        event.amount_a = mv_u64(data + 96)
        event.amount_b = mv_u64(data + 104)
        mend_fee(&event.amount_a, mv_u64(data + 112), change.amount_a)
        mend_fee(&event.amount_b, mv_u64(data + 120), change.amount_b)
    else:
        return EVENT_OTHER
    event.has_amounts = True
    return EVENT_READ


cdef Program* _row = add_venue("orca_whirlpool", "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc", [
    ("f8c69e91e17587c8", 2, 4, 6, 1),       # swap
    ("2b04ed0b1ac91e62", 4, 8, 10, 3),      # swap_v2
    ("c360ed6c44a2dbe6", 2, 5, 7, 1),       # two_hop_swap, pool one
    ("c360ed6c44a2dbe6", 3, 9, 11, 1),      # … and two
    ("ba8fd11dfe02c275", 0, 9, 10, 14),     # two_hop_swap_v2
    ("ba8fd11dfe02c275", 1, 11, 12, 14),
], EVENT_LOG, read_traded)
# (kind, discriminator, pool, position, owner, vault, vault, range, liquidity)
add_liquidity(_row, [
    (OPEN, "87802f4d0f98f031", 5, 2, 1, None, None, ("pair", 9), None),     # open_position
    (OPEN, "f21d86303a6e0e3c", 6, 2, 1, None, None, ("pair", 10), None),    # …_with_metadata
    (OPEN, "d42f5f5c726683fa", 5, 2, 1, None, None, ("pair", 8), None),     # …_token_extensions
    (OPEN, "a9717eabd5acd431", 4, 0, 3, None, None, ("pair", 10), None),    # open_bundled_position
    (ADD, "2e9cf3760dcdfbb2", 0, 3, 2, 7, 8, None, (8, 16)),                # increase_liquidity
    (ADD, "851d59df45eeb00a", 0, 5, 4, 11, 12, None, (8, 16)),              # …_v2
    (ADD, "effb097cd2c6352b", 0, 5, 4, 11, 12, None, None),                 # …_by_token_amounts_v2
    (REMOVE, "a026d06f685b2c01", 0, 3, 2, 7, 8, None, (8, 16)),             # decrease_liquidity
    (REMOVE, "3a7fbc3e4f52c460", 0, 5, 4, 11, 12, None, (8, 16)),           # …_v2
    (MOVE, "bfa9e00b83139efd", 0, 6, 4, 12, 13, None, None),                # reposition_liquidity_v2
    (COLLECT, "a498cf631eba13b6", 0, 2, 1, 5, 7, None, None),               # collect_fees
    (COLLECT, "cf755fbfe5b4e20f", 0, 2, 1, 7, 9, None, None),               # …_v2
    (CLOSE, "7b86510031446262", None, 2, 0, None, None, None, None),        # close_position
    (CLOSE, "01b6873b9b1963df", None, 2, 0, None, None, None, None),        # …_token_extensions
    (CLOSE, "2924d8f51b556743", None, 0, 3, None, None, None, None),        # …_bundled_position
], read_change)

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
