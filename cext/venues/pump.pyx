"""Pump.fun's bonding curve and PumpSwap. Layouts: pump-fun/pump-public-docs."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from mevstream.cext.model cimport (
    ADD, EVENT_OTHER, EVENT_READ, EVENT_SELF_CPI, EXACT_IN, EXACT_OUT, REMOVE, Change, ChangeEvent,
    EventVerdict, Leg, Program, SwapEvent, Transaction,
)
from mevstream.cext.registry cimport add_liquidity, add_venue, discriminator, key_of
from mevstream.cext.venues.common cimport is_key, instruction_kind, of_pool, rate_of, set_delta
from mevstream.cext.wire cimport mv_equal32, mv_u32, mv_u64

cdef uint8_t WSOL[32]
cdef uint8_t DEFAULT_KEY[32]
key_of("So11111111111111111111111111111111111111112", WSOL)
key_of("11111111111111111111111111111111", DEFAULT_KEY)

# Event discriminators.
cdef uint64_t TRADE_EVENT = discriminator("bddb7fd34ee661ee")
cdef uint64_t BUY_EVENT = discriminator("67f4521f2cf57777")
cdef uint64_t SELL_EVENT = discriminator("3e2f370aa503dc2a")
cdef uint64_t DEPOSIT_EVENT = discriminator("78f83d531f8e6b90")
cdef uint64_t WITHDRAW_EVENT = discriminator("1609851aa02c47c0")
cdef uint64_t CREATE_POOL_EVENT = discriminator("b1310cd2a076a774")
# Instructions by which a buyer names what comes out (Pump.fun's two, the first PumpSwap's too).
cdef uint64_t BUY = discriminator("66063d1201daebea")
cdef uint64_t BUY_V2 = discriminator("b817ee6167c5d33d")
# Fee rates are told in basis points.
cdef uint32_t BASIS_POINT = 100_000


cdef inline uint32_t mode_of(const Transaction* tx, const Leg* leg) noexcept nogil:
    cdef uint64_t kind = instruction_kind(tx, leg)
    return EXACT_OUT if kind == BUY or kind == BUY_V2 else EXACT_IN


cdef EventVerdict read_trade(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """TradeEvent: 8 mint, 40 lamports, 48 tokens, 56 is_buy, 57 user, 97 and 105 virtual reserves
    (lamports, tokens), 113 and 121 real ones, all after the trade; newer: 161 and 209 rates, 169 fee, 217 creator
    fee, then from 258 fields after a string. The curve moves lamports without a transfer, so
    these are the amounts. A curve against another quote mint tells it, and its amounts, at the
    end: 32 mint, 8 amount, 8 virtual and 8 real reserves (after the list of shareholders)."""
    cdef uint64_t quote, tokens, fee = 0, virtual_quote, real_quote
    cdef uint32_t at
    cdef const uint8_t* quote_mint = WSOL
    if n < 129 or mv_u64(data) != TRADE_EVENT:
        return EVENT_OTHER
    quote = mv_u64(data + 40)
    tokens = mv_u64(data + 48)
    virtual_quote = mv_u64(data + 97)
    real_quote = mv_u64(data + 113)
    if n >= 225:
        fee = mv_u64(data + 169) + mv_u64(data + 217)
    if n >= 262:
        # ix_name, mayhem_mode u8, four u64, shareholders (34 bytes each: key and u16 share)
        at = mv_u32(data + 258)
        if at <= n and 262 + at + 1 + 32 + 4 <= n:
            at += 262 + 1 + 32
            if mv_u32(data + at) <= 64:
                at += 4 + 34 * mv_u32(data + at)
                if at + 56 <= n and not mv_equal32(data + at, DEFAULT_KEY) and not mv_equal32(
                        data + at, WSOL):
                    quote_mint = data + at
                    quote = mv_u64(data + at + 32)
                    virtual_quote = mv_u64(data + at + 40)
                    real_quote = mv_u64(data + at + 48)
    event.has_fee = n >= 225
    event.fee = fee
    event.has_reserves = True
    event.curve.mode = mode_of(tx, leg)
    event.curve.side = 1 if data[56] else 0
    if n >= 225:
        event.curve.rate[1] = rate_of(mv_u64(data + 161), BASIS_POINT)
        event.curve.rate[2] = rate_of(mv_u64(data + 209), BASIS_POINT)
    if data[56]:
        event.mint_in = quote_mint
        event.mint_out = data + 8
        event.amount_in = quote
        event.amount_out = tokens
        event.trader_in = quote + fee
        event.trader_out = tokens
        event.reserve_in = real_quote
        event.reserve_out = mv_u64(data + 121)
        if virtual_quote > quote:
            event.curve.reserve_in = virtual_quote - quote
            event.curve.reserve_out = mv_u64(data + 105) + tokens
        if virtual_quote:
            event.price_after = <double>mv_u64(data + 105) / <double>virtual_quote
    else:
        event.mint_in = data + 8
        event.mint_out = quote_mint
        event.amount_in = tokens
        event.amount_out = quote
        event.trader_in = tokens
        event.trader_out = quote - fee if quote > fee else 0
        event.reserve_in = mv_u64(data + 121)
        event.reserve_out = real_quote
        if mv_u64(data + 105) > tokens:
            event.curve.reserve_in = mv_u64(data + 105) - tokens
            event.curve.reserve_out = virtual_quote + quote
        event.fee_in_output = True
        if mv_u64(data + 105):
            event.price_after = <double>virtual_quote / <double>mv_u64(data + 105)
    return EVENT_READ


cdef EventVerdict read_pump_swap(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil:
    """BuyEvent: 16 base out, 48 and 56 reserves before, 80 fee to liquidity, 96 protocol, 104 quote
    with the fee to liquidity (what enters the vault), 120 pool, 352 creator fee. SellEvent: 16
    base in, 64 quote out before fees, 80 fee to liquidity, 96 protocol, 104 quote without the fee
    to liquidity (what leaves the vault), 120 pool, 352 creator fee."""
    cdef uint64_t base, quote
    if n < 312 or not of_pool(tx, leg, data + 120):
        return EVENT_OTHER
    base = mv_u64(data + 48)
    quote = mv_u64(data + 56)
    if mv_u64(data) == BUY_EVENT:
        event.amount_in = mv_u64(data + 104)
        event.amount_out = mv_u64(data + 16)
        event.curve.reserve_in = quote
        event.curve.reserve_out = base
        if base > event.amount_out:
            event.price_after = (<double>(base - event.amount_out)
                                 / (<double>quote + <double>event.amount_in))
    elif mv_u64(data) == SELL_EVENT:
        event.amount_in = mv_u64(data + 16)
        event.amount_out = mv_u64(data + 104)
        event.fee_in_output = True
        event.curve.reserve_in = base
        event.curve.reserve_out = quote
        if quote > event.amount_out:
            event.price_after = (<double>(quote - event.amount_out)
                                 / (<double>base + <double>event.amount_in))
    else:
        return EVENT_OTHER
    event.has_fee = True
    event.curve.mode = mode_of(tx, leg)
    event.curve.side = 1 if mv_u64(data) == BUY_EVENT else 0
    event.curve.rate[0] = rate_of(mv_u64(data + 72), BASIS_POINT)
    event.curve.rate[1] = rate_of(mv_u64(data + 88), BASIS_POINT)
    event.curve.rate[2] = 0
    event.fee = mv_u64(data + 80) + mv_u64(data + 96)
    if n >= 360:   # events of early 2025 end before the creator's part
        event.curve.rate[2] = rate_of(mv_u64(data + 344), BASIS_POINT)
        event.fee += mv_u64(data + 352)
    return EVENT_READ


cdef EventVerdict read_pump_swap_change(
    const Transaction* tx, const Change* change, const uint8_t* data, uint32_t n,
    ChangeEvent* event) noexcept nogil:
    """DepositEvent, WithdrawEvent: 16 shares, 72 base, 80 quote, 96 pool. CreatePoolEvent: 116 base,
    124 quote, 164 shares that the creator gets, 173 pool."""
    cdef uint64_t kind
    if n < 128:
        return EVENT_OTHER
    kind = mv_u64(data)
    if kind == (DEPOSIT_EVENT if change.kind == ADD else WITHDRAW_EVENT) and is_key(
            tx, change.pool, data + 96):
        event.amount_a = mv_u64(data + 72)
        event.amount_b = mv_u64(data + 80)
        set_delta(event, mv_u64(data + 16))
    elif (kind == CREATE_POOL_EVENT and n >= 205 and change.kind == ADD
          and is_key(tx, change.pool, data + 173)):
        event.amount_a = mv_u64(data + 116)
        event.amount_b = mv_u64(data + 124)
        set_delta(event, mv_u64(data + 164))
    else:
        return EVENT_OTHER
    event.has_amounts = True
    return EVENT_READ


cdef Program* pump_fun = add_venue("pump_fun", "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P", [
    ("66063d1201daebea", 3, 4, None, 6),     # buy
    ("38fc74089edfcd5f", 3, 4, None, 6),     # buy_exact_sol_in
    ("33e685a4017f83ad", 3, 4, None, 6),     # sell
    ("b817ee6167c5d33d", 10, 11, 12, 13),    # buy_v2
    ("c2ab1c46684d5b2f", 10, 11, 12, 13),    # buy_exact_quote_in_v2
    ("5df6823ce7e940b2", 10, 11, 12, 13),    # sell_v2
], EVENT_SELF_CPI, read_trade)
pump_fun.amounts_from_event = True

cdef Program* pump_swap = add_venue("pump_swap", "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA", [
    ("66063d1201daebea", 0, 7, 8, 1),        # buy
    ("c62e1552b4d9e870", 0, 7, 8, 1),        # buy_exact_quote_in
    ("33e685a4017f83ad", 0, 7, 8, 1),        # sell
], EVENT_SELF_CPI, read_pump_swap)
add_liquidity(pump_swap, [
    (ADD, "f223c68952e1f2b6", 0, None, 2, 9, 10, None, (8, 8)),      # deposit
    (REMOVE, "b712469c946da122", 0, None, 2, 9, 10, None, (8, 8)),   # withdraw
    (ADD, "e992d18ecf6840bc", 0, None, 2, 9, 10, None, None),        # create_pool
], read_pump_swap_change)
