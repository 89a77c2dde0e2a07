"""Meteora DLMM, DAMM v1 and v2, dynamic bonding curve.

Layouts: MeteoraAg/dlmm-sdk, MeteoraAg/damm-v2, MeteoraAg/damm-v1-sdk, and the public IDL of DBC.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    ADD, CLOSE, COLLECT, EVENT_LOG, EVENT_OTHER, EVENT_READ, EVENT_SELF_CPI, EXACT_IN, EXACT_OUT,
    MOVE, OPEN, REMOVE, Change, ChangeEvent, EventVerdict, Leg, Program, SwapEvent, Transaction,
)
from mevstream.cext.registry cimport add_liquidity, add_venue, discriminator
from mevstream.cext.venues.common cimport (
    instruction_byte, instruction_kind, is_key, mend_fee, of_pool, price_of_root, rate_of,
    read_u128, set_delta, set_liquidity, tick_at,
)
from mevstream.cext.wire cimport mv_u32, mv_u64

# Event discriminators.
cdef uint64_t ADD_LIQUIDITY = discriminator("1f5e7d5ae3343dba")      # DLMM, DAMM v1
cdef uint64_t REMOVE_LIQUIDITY = discriminator("74f461e8671f983a")   # DLMM, DAMM v1
cdef uint64_t REBALANCING = discriminator("006d75b33d5bc7c8")
cdef uint64_t CLAIM_FEE = discriminator("4b7a9a308c4a7ba3")
cdef uint64_t LIQUIDITY_CHANGE = discriminator("c5ab4e7fe0d3570d")
cdef uint64_t EVT_ADD_LIQUIDITY = discriminator("aff2089d1ef7b9a9")
cdef uint64_t EVT_REMOVE_LIQUIDITY = discriminator("572e5862af60225b")
cdef uint64_t CLAIM_POSITION_FEE = discriminator("c6b6b734610c3138")
cdef uint64_t BOOTSTRAP = discriminator("797f26885c370ef7")
cdef uint64_t SWAP = discriminator("516ce3becdd00ac4")
cdef uint64_t SWAP_2 = discriminator("2e7452d7941b544d")
cdef uint64_t EVT_SWAP_2 = discriminator("bd4233a826507599")
cdef uint64_t EVT_SWAP = discriminator("1b3c15d58aaabb93")
# Instructions.
cdef uint64_t EXACT_OUT_1 = discriminator("fa49652126cf4bb8")
cdef uint64_t EXACT_OUT_2 = discriminator("2bd7f784893cf351")
cdef uint64_t SWAP_2_INSTRUCTION = discriminator("414b3f4ceb5b5b88")


cdef EventVerdict read_dlmm(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """Swap: 8 pair, 72 and 76 bins, 80 in, 88 out, 96 swap_for_y, 97 fee (protocol and host part
    included), 113 fee rate u128 in 1e-9. Swap2Evt: 8 pair, 72 and 76 bins, 80 swap_for_y, 81 fee
    rate, 97 in, 105 left over, 113 out, 121 market makers' fee, 129 protocol, 137 limit orders,
    145 host, 153 fees on input. The bin's price needs the pool's bin step."""
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
    event.curve.rate[0] = rate_of(mv_u64(data + (113 if mv_u64(data) == SWAP else 81)), 1)
    event.curve.side = 0 if data[96 if mv_u64(data) == SWAP else 80] else 1
    event.curve.tick_before = mv_u32(data + 72)
    event.curve.tick = mv_u32(data + 76)
    event.curve.mode = EXACT_IN
    if instruction_kind(tx, leg) in (EXACT_OUT_1, EXACT_OUT_2):
        event.curve.mode = EXACT_OUT
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
        read_u128(data + 92, event.curve.root)
        event.curve.side = 0 if data[40] == 0 else 1
        event.curve.mode = EXACT_OUT if data[59] == 2 else EXACT_IN
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
        read_u128(data + 66, event.curve.root)
        event.curve.side = 0 if data[40] == 0 else 1
        event.curve.mode = EXACT_IN
        if instruction_kind(tx, leg) == SWAP_2_INSTRUCTION and instruction_byte(
                tx, leg, 24, 0) == 2:
            event.curve.mode = EXACT_OUT
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


# -- liquidity ------------------------------------------------------------------------------------

cdef EventVerdict read_dlmm_change(
    const Transaction* tx, const Change* change, const uint8_t* data, uint32_t n,
    ChangeEvent* event) noexcept nogil:
    """AddLiquidity, RemoveLiquidity: 8 pair, 72 position, 104 and 112 amounts, 120 active bin.
    Rebalancing: 8 pair, 40 position, 104 active bin, 108 x taken out, 116 x put in, 124 and 132 the
    same of y, 140 and 148 fees collected (which are paid out as well), 156 and 160 bins before,
    164 and 168 after. ClaimFee: 8 pair, 40 position, 104 and 112 amounts. Amounts are told without
    a Token-2022 transfer fee."""
    cdef uint64_t kind
    cdef bint add = change.kind == ADD
    if n < 120 or not is_key(tx, change.pool, data + 8):
        return EVENT_OTHER
    kind = mv_u64(data)
    if kind == REBALANCING and n >= 172 and is_key(tx, change.holder, data + 40):
        event.tick = tick_at(data + 104)
        event.amount_a = mv_u64(data + (116 if add else 108))
        event.amount_b = mv_u64(data + (132 if add else 124))
        event.lower = tick_at(data + (164 if add else 156))
        event.upper = tick_at(data + (168 if add else 160))
        if not add:
            event.has_fees = True
            event.fee_a = mv_u64(data + 140)
            event.fee_b = mv_u64(data + 148)
            event.amount_a += event.fee_a
            event.amount_b += event.fee_b
    elif (n >= 124 and change.kind in (ADD, REMOVE)
          and kind == (ADD_LIQUIDITY if add else REMOVE_LIQUIDITY)
          and is_key(tx, change.holder, data + 72)):
        event.amount_a = mv_u64(data + 104)
        event.amount_b = mv_u64(data + 112)
        event.tick = tick_at(data + 120)
    elif kind == CLAIM_FEE and change.kind == COLLECT and is_key(tx, change.holder, data + 40):
        event.amount_a = mv_u64(data + 104)
        event.amount_b = mv_u64(data + 112)
    else:
        return EVENT_OTHER
    event.has_amounts = True
    return EVENT_READ


cdef EventVerdict read_damm_v2_change(
    const Transaction* tx, const Change* change, const uint8_t* data, uint32_t n,
    ChangeEvent* event) noexcept nogil:
    """EvtLiquidityChange: 8 pool, 40 position, 120 and 128 amounts with transfer fees, 152 liquidity,
    184 type (0 = add). EvtAddLiquidity (until 2025): 8 pool, 40 position, 104 liquidity, 152 and 160
    amounts with transfer fees. EvtRemoveLiquidity: 8 pool, 40 position, 104 liquidity, 136 and 144
    amounts. EvtClaimPositionFee: 8 pool, 40 position, 104 and 112 amounts."""
    cdef uint64_t kind
    cdef uint32_t amounts
    if n < 120 or not is_key(tx, change.pool, data + 8) or not is_key(
            tx, change.holder, data + 40):
        return EVENT_OTHER
    kind = mv_u64(data)
    if kind == LIQUIDITY_CHANGE and n >= 185 and change.kind == (
            ADD if data[184] == 0 else REMOVE):
        amounts = 120
        set_liquidity(event, data + 152)
    elif kind == EVT_ADD_LIQUIDITY and n >= 168 and change.kind == ADD:
        amounts = 152
        set_liquidity(event, data + 104)
    elif kind == EVT_REMOVE_LIQUIDITY and n >= 152 and change.kind == REMOVE:
        amounts = 136
        set_liquidity(event, data + 104)
    elif kind == CLAIM_POSITION_FEE and change.kind == COLLECT:
        amounts = 104
    else:
        return EVENT_OTHER
    event.amount_a = mv_u64(data + amounts)
    event.amount_b = mv_u64(data + amounts + 8)
    event.has_amounts = True
    return EVENT_READ


cdef EventVerdict read_damm_v1_change(
    const Transaction* tx, const Change* change, const uint8_t* data, uint32_t n,
    ChangeEvent* event) noexcept nogil:
    """AddLiquidity, RemoveLiquidity, BootstrapLiquidity: 8 shares, 16 and 24 amounts."""
    cdef uint64_t kind
    if n < 32:
        return EVENT_OTHER
    kind = mv_u64(data)
    if change.kind == ADD:
        if kind != ADD_LIQUIDITY and kind != BOOTSTRAP:
            return EVENT_OTHER
    elif kind != REMOVE_LIQUIDITY:
        return EVENT_OTHER
    set_delta(event, mv_u64(data + 8))
    event.amount_a = mv_u64(data + 16)
    event.amount_b = mv_u64(data + 24)
    event.has_amounts = True
    return EVENT_READ


cdef Program* _row

_row = add_venue("meteora_dlmm", "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo", [
    ("f8c69e91e17587c8", 0, 2, 3, 10),   # swap
    ("414b3f4ceb5b5b88", 0, 2, 3, 10),   # swap2
    ("fa49652126cf4bb8", 0, 2, 3, 10),   # swap_exact_out
    ("2bd7f784893cf351", 0, 2, 3, 10),   # swap_exact_out2
    ("38ade6d0ade49ccd", 0, 2, 3, 10),   # swap_with_price_impact
    ("4a62c0d6b1334b33", 0, 2, 3, 10),   # swap_with_price_impact2
], EVENT_SELF_CPI, read_dlmm)
# (kind, discriminator, pool, position, owner, vault, vault, range, liquidity)
add_liquidity(_row, [
    # initialize_position, …2, …_pda, …_by_operator
    (OPEN, "dbc0ea47bebf6650", 2, 1, 3, None, None, ("width", 8), None),
    (OPEN, "8f13f291d50f6873", 2, 1, 3, None, None, ("width", 8), None),
    (OPEN, "2e527d92558de499", 3, 2, 4, None, None, ("width", 8), None),
    (OPEN, "fbbdbef475fe2394", 3, 2, 4, None, None, ("width", 8), None),
    # add_liquidity, …2; …_by_weight, …2; …_by_strategy, …2
    (ADD, "b59d59438fb63448", 1, 0, 11, 5, 6, ("list", 24, 8), None),
    (ADD, "e4a24e1c46db7473", 1, 0, 9, 5, 6, ("list", 24, 8), None),
    (ADD, "1c8cee63e7a21595", 1, 0, 11, 5, 6, ("list", 32, 6), None),
    (ADD, "d13b3f5b6fc899e4", 1, 0, 9, 5, 6, ("list", 32, 6), None),
    (ADD, "0703967f94283dc8", 1, 0, 11, 5, 6, ("pair", 32), None),
    (ADD, "03dd95da6f8d76d5", 1, 0, 9, 5, 6, ("pair", 32), None),
    # one token: …_by_strategy_one_side, …_one_side, …_one_side_precise, …2
    (ADD, "2905eeaf64e106cd", 1, 0, 8, 4, None, ("pair", 24), None),
    (ADD, "5e9b6797465fdca5", 1, 0, 8, 4, None, ("list", 24, 6), None),
    (ADD, "a1c26754ab47fa9a", 1, 0, 8, 4, None, ("list", 8, 8), None),
    (ADD, "2133a3c975627de7", 1, 0, 6, 4, None, ("list", 8, 8), None),
    # remove_liquidity, …2; …_by_range, …2; remove_all_liquidity
    (REMOVE, "5055d14818ceb16c", 1, 0, 11, 5, 6, ("list", 8, 6), None),
    (REMOVE, "e6d7527ff165e392", 1, 0, 9, 5, 6, ("list", 8, 6), None),
    (REMOVE, "1a526698f04a691a", 1, 0, 11, 5, 6, ("pair", 8), None),
    (REMOVE, "cc02c391359191cd", 1, 0, 9, 5, 6, ("pair", 8), None),
    (REMOVE, "0a333d2370691855", 1, 0, 11, 5, 6, None, None),
    (MOVE, "5c04b0c177b95309", 1, 0, 9, 5, 6, None, None),               # rebalance_liquidity
    (COLLECT, "a9204f8988e84689", 0, 1, 4, 5, 6, None, None),            # claim_fee
    (COLLECT, "70bf65ab1c907fbb", 0, 1, 2, 3, 4, ("pair", 8), None),     # …2
    # close_position, …2, …_if_empty
    (CLOSE, "7b86510031446262", 1, 0, 4, None, None, None, None),
    (CLOSE, "ae5a2373ba2893e2", None, 0, 1, None, None, None, None),
    (CLOSE, "3b7cd4765b986e9d", None, 0, 1, None, None, None, None),
], read_dlmm_change)

_row = add_venue("meteora_damm_v2", "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG", [
    ("f8c69e91e17587c8", 1, 4, 5, 8),    # swap
    ("414b3f4ceb5b5b88", 1, 4, 5, 8),    # swap2
], EVENT_SELF_CPI, read_damm_v2)
add_liquidity(_row, [
    # initialize_pool, initialize_customizable_pool, initialize_pool_with_dynamic_config
    (ADD, "5fb40aac54aee828", 6, 7, 0, 10, 11, None, (8, 16)),
    (ADD, "14a1f118bdddb402", 5, 6, 0, 9, 10, None, None),
    (ADD, "955248c5fdfc440f", 7, 8, 0, 11, 12, None, None),
    (OPEN, "30d7c59960cbb485", 3, 4, 0, None, None, None, None),         # create_position
    (ADD, "b59d59438fb63448", 0, 1, 9, 4, 5, None, (8, 16)),             # add_liquidity
    (REMOVE, "5055d14818ceb16c", 1, 2, 10, 5, 6, None, (8, 16)),         # remove_liquidity
    (REMOVE, "0a333d2370691855", 1, 2, 10, 5, 6, None, None),            # remove_all_liquidity
    (COLLECT, "b4269a118521a2d3", 1, 2, 10, 5, 6, None, None),           # claim_position_fee
    (CLOSE, "7b86510031446262", 2, 3, 6, None, None, None, None),        # close_position
], read_damm_v2_change)

# The vaults belong to the dynamic vault program, so the transfers are nested one deeper.
_row = add_venue("meteora_damm_v1", "Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB", [
    ("f8c69e91e17587c8", 0, 5, 6, 12),
], EVENT_LOG, read_damm_v1)
add_liquidity(_row, [
    (ADD, "a8e3323ebdab54b0", 0, None, 13, 9, 10, None, (8, 8)),         # add_balance_liquidity
    (ADD, "4f237a54ad0f5dbf", 0, None, 13, 9, 10, None, None),           # add_imbalance_liquidity
    (ADD, "04e4d747e1fd77ce", 0, None, 13, 9, 10, None, None),           # bootstrap_liquidity
    (REMOVE, "856d2cb338ee7221", 0, None, 13, 9, 10, None, (8, 8)),      # remove_balance_liquidity
    (REMOVE, "5454b142feb90afb", 0, None, 12, 9, 10, None, (8, 8)),      # …_single_side
    # initialize_permissionless_pool, …_with_fee_tier, the customizable one
    (ADD, "76ad299dad486167", 0, None, 17, 6, 7, None, None),
    (ADD, "06874493e552a971", 0, None, 17, 6, 7, None, None),
    (ADD, "9118acc2db7d03be", 0, None, 17, 6, 7, None, None),
    # initialize_permissionless_constant_product_pool_with_config, …2
    (ADD, "07a68aabceabecf4", 0, None, 18, 7, 8, None, None),
    (ADD, "3095dc823d0b09b2", 0, None, 18, 7, 8, None, None),
], read_damm_v1_change)

add_venue("meteora_dbc", "dbcij3LWUppWqq96dh6gJWwBifmcGfLSB5D4DuSMaqN", [
    ("f8c69e91e17587c8", 2, 5, 6, 9),    # swap
    ("414b3f4ceb5b5b88", 2, 5, 6, 9),    # swap2
], EVENT_SELF_CPI, read_dbc)
