"""What a leg tells of its pool's curve, and what follows from it for the next one.

Programs tell different parts: all that is needed (PumpSwap, Pump.fun), the reserves before and no
rate (Raydium), root prices and no liquidity (Whirlpool), a bin and no bin step (DLMM). What no
event tells is bounded by the amounts of the legs: a fee of f on n fixes the rate to an interval, a
move of the root price the liquidity, a price in bin b the step. Intervals of several legs are cut
with one another; where they do not meet the pool has changed, and the last one counts.
"""

from libc.math cimport pow
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memset

from mevstream.cext.curves cimport (
    PumpFees, PumpQuote, RangeLiquidity, RangeStep, bin_out, bin_rate, curve_fee, curve_fee_in_in,
    pump_buy, pump_buy_for, pump_sell, range_amount_0, range_amount_1, range_liquidity,
    range_liquidity_of, range_step, u128, u128_high, u128_join, u128_less, u128_low,
    u128_middle,
)
from mevstream.cext.model cimport (
    CREATOR_FEE, EXACT_IN, EXACT_OUT, FEE_IN_OUTPUT, FEE_TOLD, NO_TICK, NONE, RESERVES_KNOWN,
)
from mevstream.cext.quotes cimport (
    APPROXIMATE, BIN, EXACT, IN_RANGE, PRODUCT, PUMP_CURVE, PUMP_SWAP, RANGE, RANGE_SCALED,
    TOKEN_SWAP, UNKNOWN, Curve, quote, root_of,
)

cdef enum:
    BILLION = 1_000_000_000
    MILLION = 1_000_000
    BASIS_POINT = 100_000      # in 1e-9
    NO_RATE = 0xFFFFFFFF       # refused by every curve
    # Raydium AMM v4: 25 / 10,000. Orca's token-swap pools: 25 and 5.
    V4_RATE = 2_500
    ORCA_RATE = 2_500
    ORCA_OWNER_RATE = 500
    # Raydium CPMM: what the usual configuration takes out of the pool, of the fee in 1e-6.
    CPMM_PROTOCOL = 120_000
    CPMM_FUND = 40_000
    PER_CENT = 10_000
    SHARES_SETTLED = 100       # of an interval no wider one whole per cent is taken
    MAX_BIN_STEP = 500


cdef inline bint is_zero(const uint64_t* words) noexcept nogil:
    return words[0] == 0 and words[1] == 0


cdef inline void set_words(uint64_t* words, u128 value) noexcept nogil:
    words[0] = u128_low(value)
    words[1] = u128_high(value)


cdef void start_known(Known* known, uint32_t model) noexcept nogil:
    memset(known, 0, sizeof(Known))
    known.model = model
    known.rate_high = NO_RATE
    known.curve.rate[0] = NO_RATE
    known.curve.tick = NO_TICK


# -- before the leg -------------------------------------------------------------------------------

cdef bint curve_before(const Known* known, const Told* leg, Curve* before) noexcept nogil:
    """The curve before the leg as the leg tells it, with what was learned earlier; 0 where that is
    not enough."""
    cdef u128 price
    before[0] = known.curve
    if known.model in (AMM_V4, CPMM, PUMP_AMM, PUMP_BONDING, SPL_SWAP):
        before.reserve[leg.side] = leg.curve_in
        before.reserve[1 - leg.side] = leg.curve_out
        if known.model == SPL_SWAP:
            # Vaults are reserves.
            if not leg.flags & RESERVES_KNOWN or leg.reserve_in < leg.amount_in or (
                    leg.reserve_out + leg.amount_out < leg.amount_out):
                return False
            before.reserve[leg.side] = leg.reserve_in - leg.amount_in
            before.reserve[1 - leg.side] = leg.reserve_out + leg.amount_out
            before.kind = TOKEN_SWAP
        elif known.model == AMM_V4:
            before.kind = PRODUCT
            before.exactness = EXACT
            before.rate[0] = V4_RATE
        elif known.model == CPMM:
            before.kind = PRODUCT
            before.exactness = EXACT if (
                settled(known, MILLION) and not known.shares.creator) else APPROXIMATE
        else:
            before.kind = PUMP_SWAP if known.model == PUMP_AMM else PUMP_CURVE
            before.exactness = EXACT
            before.rate[0] = 0
            if known.model == PUMP_AMM:
                before.rate[0] = leg.rate[0] // BASIS_POINT
            before.rate[1] = leg.rate[1] // BASIS_POINT
            before.rate[2] = leg.rate[2] // BASIS_POINT
            if leg.rate[1] == NONE:
                # Events that tell no rates are of the time when Pump.fun took one per cent.
                before.rate[1] = 100
                before.rate[2] = 0
        return before.reserve[0] > 0 and before.reserve[1] > 0 and before.rate[0] != NO_RATE
    if known.model == WHIRLPOOL:
        before.root[0], before.root[1] = leg.root_before[0], leg.root_before[1]
        return not is_zero(before.root) and not is_zero(before.liquidity) and (
            before.rate[0] != NO_RATE)
    if known.model == DLMM:
        if known.bin_step == 0 or leg.rate[0] == NONE or leg.tick_before == NO_TICK or not bin_rate(
                leg.tick_before, known.bin_step, &price):
            return False
        before.kind = BIN
        before.exactness = IN_RANGE
        before.rate[0] = leg.rate[0]
        before.tick = leg.tick_before
        set_words(before.root, price)
        return True
    return False


cdef bint same_place(const Curve* a, const Curve* b) noexcept nogil:
    """Whether two curves of one pool stand at the same reserves or price."""
    return (a.reserve[0] == b.reserve[0] and a.reserve[1] == b.reserve[1]
            and a.root[0] == b.root[0] and a.root[1] == b.root[1])


cdef bint predict(
    const Curve* before, const Told* leg, uint64_t* quoted, uint64_t* actual
) noexcept nogil:
    """What the trader did not name, by the curve and as it came; 0 where the curve cannot say."""
    cdef PumpFees fees
    cdef PumpQuote pump
    cdef RangeStep step
    cdef RangeLiquidity held
    actual[0] = leg.amount_out
    if before.kind == PUMP_SWAP or before.kind == PUMP_CURVE:
        fees.pool, fees.protocol, fees.creator = before.rate[0], before.rate[1], before.rate[2]
        if leg.side == 0:
            if not pump_sell(before.reserve[0], before.reserve[1], leg.net_in, &fees, &pump):
                return False
            quoted[0] = pump.vault
            return True
        if leg.mode == EXACT_OUT:
            actual[0] = leg.amount_in
            if not pump_buy(before.reserve[0], before.reserve[1], leg.amount_out,
                            before.kind == PUMP_CURVE, &fees, &pump):
                return False
            quoted[0] = pump.vault
            return True
        if not pump_buy_for(before.reserve[0], before.reserve[1], leg.trader_in,
                            before.kind == PUMP_CURVE, &fees, &pump):
            return False
        quoted[0] = pump.base
        return True
    if leg.mode != EXACT_OUT:
        return quote(before, leg.side, leg.net_in, quoted)
    actual[0] = leg.net_in
    if before.kind == PRODUCT and before.rate[1] == 0:
        return curve_fee_in_in(before.reserve[leg.side], before.reserve[1 - leg.side],
                               leg.amount_out, before.rate[0], MILLION, quoted)
    if before.kind == RANGE:
        held = range_liquidity(root_of(before.liquidity), False)
        if not range_step(
                &held, root_of(before.root),
                u128_join(4295048016, 0) if leg.side == 0 else u128_join(0, 0xFFFFFFFF),
                leg.amount_out, before.rate[0], MILLION, False, leg.side == 0, True, &step):
            return False
        quoted[0] = step.net_in + step.fee
        return True
    return False


# How sure a quote is: a liquidity that is only bounded is as good as a known one where its bounds
# come to the same.

cdef inline bint is_bounded(const Known* known, const Curve* before) noexcept nogil:
    return before.exactness == IN_RANGE and known.model in (WHIRLPOOL, DAMM_V2) and (
        known.least[0] != known.most[0] or known.least[1] != known.most[1])


cdef uint32_t sure_of(
    const Known* known, const Curve* before, int side, uint64_t amount, uint64_t out
) noexcept nogil:
    """The exactness of `out`, the quote of an amount on a side."""
    cdef Curve curve = before[0]
    cdef uint64_t least, most
    if not is_bounded(known, before):
        return before.exactness
    curve.liquidity[0], curve.liquidity[1] = known.least[0], known.least[1]
    if not quote(&curve, side, amount, &least):
        return APPROXIMATE
    curve.liquidity[0], curve.liquidity[1] = known.most[0], known.most[1]
    if not quote(&curve, side, amount, &most):
        return APPROXIMATE
    return IN_RANGE if least == out and most == out else APPROXIMATE


cdef uint32_t sure_of_leg(
    const Known* known, const Curve* before, const Told* leg, uint64_t quoted) noexcept nogil:
    """The exactness of what `predict` gave."""
    cdef Curve curve = before[0]
    cdef uint64_t least, most, actual
    if not is_bounded(known, before):
        return before.exactness
    curve.liquidity[0], curve.liquidity[1] = known.least[0], known.least[1]
    if not predict(&curve, leg, &least, &actual):
        return APPROXIMATE
    curve.liquidity[0], curve.liquidity[1] = known.most[0], known.most[1]
    if not predict(&curve, leg, &most, &actual):
        return APPROXIMATE
    return IN_RANGE if least == quoted and most == quoted else APPROXIMATE


# -- after it -------------------------------------------------------------------------------------

cdef void cut_rate(
    Known* known, uint64_t amount, uint64_t fee_low, uint64_t fee_high, uint64_t unit
) noexcept nogil:
    """A fee of fee_low to fee_high was taken on the amount, rounded up."""
    cdef double exact_low, exact_high
    cdef uint64_t low = 0, high, step
    if amount == 0 or fee_high >= amount or amount >> 62:
        return
    # In doubles, an interval a little too wide: rates have ten digits at most.
    if fee_low:
        exact_low = (<double>fee_low - 1.0) * <double>unit / <double>amount
        low = <uint64_t>(exact_low * (1.0 - 1e-12)) + 1
    exact_high = <double>fee_high * <double>unit / <double>amount
    high = <uint64_t>(exact_high * (1.0 + 1e-12))
    if low > high or high >= unit:
        return
    if low <= known.rate_high and high >= known.rate_low:
        low = max(low, <uint64_t>known.rate_low)
        high = min(high, <uint64_t>known.rate_high)
    known.rate_low = <uint32_t>low
    known.rate_high = <uint32_t>high
    # The roundest that is left: rates are set by people.
    step = unit // 1_000
    while (low + step - 1) // step * step > high:
        step //= 10
    known.curve.rate[0] = <uint32_t>((low + step - 1) // step * step)


cdef bint settled(const Known* known, uint32_t unit) noexcept nogil:
    """Whether the legs leave one rate: a single one, or a single one in whole basis points."""
    cdef uint32_t step = unit // 10_000, low = known.rate_low, high = known.rate_high
    return low == high or (
        high != NO_RATE and (low + step - 1) // step == high // step)


cdef void cut_rate_by_output(Known* known, const Curve* before, const Told* leg) noexcept nogil:
    """The fee is what the constant product does not explain."""
    cdef double reserve_in = <double>before.reserve[leg.side]
    cdef double reserve_out = <double>before.reserve[1 - leg.side]
    cdef double out = <double>leg.amount_out, least, most
    if leg.mode == EXACT_OUT or out + 1.0 >= reserve_out or leg.net_in >> 62:
        return
    least = reserve_in * out / (reserve_out - out)
    most = reserve_in * (out + 1.0) / (reserve_out - out - 1.0)
    if least > <double>leg.net_in:
        return
    cut_rate(
        known, leg.net_in,
        <uint64_t>max(<double>leg.net_in - most - 1.0, 0.0),
        <uint64_t>(<double>leg.net_in - least + 1.0), MILLION)


cdef bint bounds(
    const Told* leg, uint64_t net_in, u128 start, bint scaled, u128* least, u128* most
) noexcept nogil:
    """The liquidities that move the root price from `start` to where it is for these amounts; 0
    where none does, because a tick was crossed."""
    cdef u128 end = root_of(leg.root), given_least, given_most
    cdef u128 low = end if leg.side == 0 else start
    cdef u128 high = start if leg.side == 0 else end
    cdef bint zero = leg.side == 0
    cdef uint64_t out = leg.amount_out
    # Rounded up what comes in, down what goes out.
    if net_in == 0 or out + 1 == 0 or not (
            range_liquidity_of(net_in - 1, zero, low, high, scaled, False, &given_least)
            and range_liquidity_of(net_in, zero, low, high, scaled, False, &given_most)
            and range_liquidity_of(out, not zero, low, high, scaled, True, least)
            and range_liquidity_of(out + 1, not zero, low, high, scaled, False, most)):
        return False
    least[0] = given_least if u128_less(least[0], given_least) else least[0]
    most[0] = given_most if u128_less(given_most, most[0]) else most[0]
    return not u128_less(most[0], least[0])


cdef void cut_liquidity(
    Known* known, const Told* leg, uint64_t net_in, u128 start, bint scaled) noexcept nogil:
    cdef u128 least, most, old_least = root_of(known.least), old_most = root_of(known.most)
    known.curve.exactness = IN_RANGE if not is_zero(known.curve.liquidity) else UNKNOWN
    if not u128_less(start, root_of(leg.root)) and not u128_less(root_of(leg.root), start):
        return   # too little to move the price, or to tell anything
    known.curve.exactness = IN_RANGE
    if not bounds(leg, net_in, start, scaled, &least, &most):
        memset(known.curve.liquidity, 0, 16)
        memset(known.least, 0, 16)
        memset(known.most, 0, 16)
        known.curve.exactness = UNKNOWN
        return
    if not u128_less(old_most, least) and not u128_less(most, old_least):
        least = old_least if u128_less(least, old_least) else least
        most = old_most if u128_less(old_most, most) else most
    set_words(known.least, least)
    set_words(known.most, most)
    set_words(known.curve.liquidity, u128_middle(least, most))


cdef inline uint64_t part(uint64_t fee, uint64_t share) noexcept nogil:
    """A share of the fee in 1e-6, rounded down."""
    return fee // MILLION * share + fee % MILLION * share // MILLION


cdef bint whole_shares(const Shares* shares, uint32_t* both) noexcept nogil:
    """Whether the legs leave one number of whole per cent for both shares together."""
    both[0] = (shares.low + PER_CENT - 1) // PER_CENT * PER_CENT
    return shares.high > 0 and shares.high - shares.low <= SHARES_SETTLED and (
        both[0] <= shares.high)


cdef void taken_of(
    const Shares* shares, uint64_t fee, uint64_t* least, uint64_t* most) noexcept nogil:
    """What leaves the pool of a fee, each share rounded down, by the shares that are possible."""
    cdef uint32_t both, k
    cdef uint64_t taken
    if not whole_shares(shares, &both):
        least[0] = part(fee, shares.low)
        least[0] -= least[0] > 0   # both shares are rounded
        most[0] = part(fee, shares.high if shares.high else MILLION)
        return
    least[0] = fee
    most[0] = 0
    for k in range(both // (2 * PER_CENT) + 1):
        if not shares.splits >> k & 1:
            taken = part(fee, k * PER_CENT) + part(fee, both - k * PER_CENT)
            least[0] = min(least[0], taken)
            most[0] = max(most[0], taken)


cdef void cut_shares(Shares* shares, const Curve* left, const Curve* told) noexcept nogil:
    """The reserves that a leg tells are those that the leg before it left: so much of its fee was
    taken out of the pool. Shares that do not explain it are ruled out; what does not meet the
    earlier legs begins anew."""
    cdef uint64_t fee = shares.fee, now = told.reserve[shares.side], taken
    cdef uint32_t low, high, both, k, ruled = 0
    shares.fee = 0
    if fee == 0 or told.reserve[1 - shares.side] != left.reserve[1 - shares.side] or (
            now > shares.untaken or shares.untaken - now > fee):
        return
    taken = shares.untaken - now
    # As in cut_rate; of two shares each is less than a unit too small.
    low = <uint32_t>(<double>taken * MILLION / <double>fee * (1.0 - 1e-12))
    high = 1 + <uint32_t>min(
        (<double>taken + 2.0) * MILLION / <double>fee * (1.0 + 1e-12), MILLION - 1.0)
    if shares.high > 0 and low <= shares.high and high >= shares.low:
        low = max(low, shares.low)
        high = min(high, shares.high)
    else:
        shares.splits = 0
    shares.low = low
    shares.high = high
    if not whole_shares(shares, &both):
        return
    for k in range(both // (2 * PER_CENT) + 1):
        if part(fee, k * PER_CENT) + part(fee, both - k * PER_CENT) != taken:
            shares.splits |= <uint64_t>1 << k
        ruled += shares.splits >> k & 1
    if ruled == both // (2 * PER_CENT) + 1:
        shares.low = shares.high = 0
        shares.splits = 0


cdef uint64_t take_shares(Known* known, const Told* leg, bint told) noexcept nogil:
    """What of the leg's fee leaves the pool, and whether that is sure."""
    cdef Shares* shares = &known.shares
    cdef bint is_told = leg.flags & FEE_TOLD and not leg.flags & FEE_IN_OUTPUT
    cdef uint64_t fee = leg.fee if is_told and leg.fee <= leg.net_in else curve_fee(
        leg.net_in, known.curve.rate[0], MILLION)
    cdef uint64_t least, most, usual
    taken_of(shares, fee, &least, &most)
    if shares.creator or (not is_told and not settled(known, MILLION)):
        known.curve.exactness = APPROXIMATE
    elif told:
        shares.fee = fee
        shares.side = leg.side
        shares.untaken = known.curve.reserve[leg.side] + leg.net_in
    if least < most:
        known.curve.exactness = APPROXIMATE
        usual = part(fee, CPMM_PROTOCOL) + part(fee, CPMM_FUND)
        least = min(max(usual, least), most)
    return least


cdef void learn_product(Known* known, const Told* leg) noexcept nogil:
    cdef Curve before
    cdef bint told = curve_before(known, leg, &before) or (
        before.reserve[0] > 0 and before.reserve[1] > 0)
    cdef uint64_t left
    cdef Curve* curve = &known.curve
    if not told:
        before = curve[0]
        if before.reserve[0] == 0 or before.reserve[1] == 0:
            return
    if known.model == CPMM:
        if told:
            cut_shares(&known.shares, curve, &before)
        known.shares.fee = 0
        known.shares.creator = known.shares.creator or leg.flags & CREATOR_FEE != 0
    if known.model == CPMM or known.model == SPL_SWAP:
        before.rate[0] = curve.rate[0]
        before.rate[1] = 0
        if leg.flags & FEE_TOLD and not leg.flags & FEE_IN_OUTPUT:
            cut_rate(known, leg.net_in, leg.fee, leg.fee, MILLION)
        else:
            cut_rate_by_output(known, &before, leg)
        before.rate[0] = curve.rate[0]
        before.exactness = EXACT if settled(known, MILLION) and (
            told or curve.exactness == EXACT) else APPROXIMATE
        if curve.rate[0] == NO_RATE:
            before.exactness = UNKNOWN
        if known.model == SPL_SWAP and known.rate_low <= ORCA_RATE + ORCA_OWNER_RATE <= (
                known.rate_high):
            before.rate[0] = ORCA_RATE
            before.rate[1] = ORCA_OWNER_RATE
        elif known.model == SPL_SWAP:
            before.exactness = APPROXIMATE   # how its fee is parted is not known
    curve[0] = before
    left = leg.net_in
    if known.model == CPMM and curve.rate[0] != NO_RATE:
        left -= take_shares(known, leg, told)
    curve.reserve[leg.side] += left
    if curve.reserve[leg.side] < left or curve.reserve[1 - leg.side] < leg.amount_out:
        curve.exactness = UNKNOWN
        curve.reserve[0] = curve.reserve[1] = 0
        return
    curve.reserve[1 - leg.side] -= leg.amount_out


cdef void learn_range(Known* known, const Told* leg) noexcept nogil:
    cdef Curve* curve = &known.curve
    cdef u128 start = root_of(leg.root_before), end = root_of(leg.root)
    cdef bint scaled = known.model == DAMM_V2
    cdef uint64_t net_in = leg.net_in, fee
    cdef RangeLiquidity held
    cdef bint fits
    if is_zero(leg.root):
        # Without its event the swap leaves the price unknown.
        memset(curve.root, 0, 16)
        curve.exactness = UNKNOWN
        return
    if is_zero(leg.root_before):
        start = root_of(curve.root)
    curve.kind = RANGE_SCALED if scaled else RANGE
    if known.model == CLMM:
        if not is_zero(curve.root) and not is_zero(curve.liquidity) and (
                curve.liquidity[0] == leg.liquidity[0] and curve.liquidity[1] == leg.liquidity[1]):
            # The fee is what moving the price does not explain.
            held = range_liquidity(root_of(leg.liquidity), False)
            fits = range_amount_0(&held, end, start, True, &net_in) if leg.side == 0 else (
                range_amount_1(&held, start, end, True, &net_in))
            if fits and net_in <= leg.net_in:
                fee = leg.net_in - net_in
                cut_rate(known, leg.net_in, fee - 2 if fee > 2 else 0, fee, MILLION)
        elif leg.flags & FEE_TOLD and not leg.flags & FEE_IN_OUTPUT:
            cut_rate(known, leg.net_in, leg.fee - 2 if leg.fee > 2 else 0, leg.fee, MILLION)
        curve.liquidity[0], curve.liquidity[1] = leg.liquidity[0], leg.liquidity[1]
        curve.exactness = IN_RANGE
    elif leg.flags & FEE_TOLD and leg.amount_out + leg.fee >= leg.fee:
        if scaled and leg.flags & FEE_IN_OUTPUT:
            cut_rate(known, leg.amount_out + leg.fee, leg.fee, leg.fee, BILLION)
        elif leg.fee < net_in:
            net_in -= leg.fee
            fee = leg.fee
            if scaled:
                curve.rate[1] |= 1 << leg.side
                cut_rate(known, leg.net_in, fee, fee, BILLION)
            else:
                cut_rate(known, leg.net_in, fee - 2 if fee > 2 else 0, fee, MILLION)
        if scaled and leg.flags & FEE_IN_OUTPUT:
            cut_liquidity_gross(known, leg, net_in, start)
        else:
            cut_liquidity(known, leg, net_in, start, scaled)
    curve.root[0], curve.root[1] = leg.root[0], leg.root[1]
    curve.tick = leg.tick
    if curve.rate[0] == NO_RATE:
        curve.exactness = UNKNOWN
    elif curve.exactness == IN_RANGE and not settled(known, BILLION if scaled else MILLION):
        curve.exactness = APPROXIMATE


cdef void cut_liquidity_gross(
    Known* known, const Told* leg, uint64_t net_in, u128 start) noexcept nogil:
    """With the fee on the output, the curve gave more than the pool."""
    cdef Told gross = leg[0]
    gross.amount_out += leg.fee
    cut_liquidity(known, &gross, net_in, start, True)


cdef void learn_bin(Known* known, const Told* leg) noexcept nogil:
    """Of the steps that put the bin's price where the amounts say, the one that gives the output
    to the unit."""
    cdef Curve* curve = &known.curve
    cdef uint64_t net, out
    cdef double price, guess
    cdef uint32_t step, first
    cdef u128 exact
    curve.kind = BIN
    curve.exactness = UNKNOWN
    curve.tick = leg.tick
    if leg.rate[0] == NONE or leg.tick == NO_TICK or leg.rate[0] >= BILLION:
        return
    curve.rate[0] = leg.rate[0]
    net = leg.net_in - curve_fee(leg.net_in, leg.rate[0], BILLION)
    if (leg.tick_before == leg.tick and leg.tick != 0 and net > 0 and leg.amount_out > 0
            and leg.mode == EXACT_IN and not leg.flags & FEE_IN_OUTPUT):
        price = <double>leg.amount_out / <double>net
        if leg.side == 1:
            price = 1.0 / price
        guess = (pow(price, 1.0 / leg.tick) - 1.0) * 10_000.0
        if 0.0 < guess < MAX_BIN_STEP:
            first = <uint32_t>guess
            for step in range(first if first else 1, first + 3):
                if bin_rate(leg.tick, step, &exact) and bin_out(
                        exact, net, leg.side == 0, &out) and out == leg.amount_out:
                    known.bin_step = step
                    break
    if known.bin_step and bin_rate(leg.tick, known.bin_step, &exact):
        set_words(curve.root, exact)
        curve.exactness = IN_RANGE


cdef void learn(Known* known, const Told* leg) noexcept nogil:
    """Takes the curve to where the leg left it."""
    if known.model in (CLMM, WHIRLPOOL, DAMM_V2):
        learn_range(known, leg)
    elif known.model == DLMM:
        learn_bin(known, leg)
    elif known.model != NO_MODEL:
        learn_product(known, leg)
