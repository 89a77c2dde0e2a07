"""Lending programs and what they tell of liquidations.

Layouts: Kamino-Finance/klend, solendprotocol/solana-program-library, mrgnlabs/marginfi-v2,
drift-labs/protocol-v2, and the public IDL of Jupiter Lend.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from mevstream.cext.liquidations cimport flow, start_liquidation
from mevstream.cext.model cimport (
    AMOUNTS_FROM_EVENT, EVENT_CONFIRMED, EVENT_DIFFERS, EVENT_LOG, EVENT_OTHER, EVENT_READ, FEE_TOLD,
    NO_ACCOUNT, Decoded, EventVerdict, Instruction, Liquidation, Transaction,
)
from mevstream.cext.registry cimport add_lender, discriminator, find_program, key_of
from mevstream.cext.venues.common cimport account_of
from mevstream.cext.wire cimport mv_equal32, mv_u32, mv_u64

# Event discriminators.
cdef uint64_t LIQUIDATE_EVENT = discriminator("a6a0f99ab72717f2")
cdef uint64_t LIQUIDATION_RECORD = discriminator("7f11006cb60de735")
cdef uint64_t LOG_LIQUIDATE = discriminator("9a80ca9341e9c349")

# Of marginfi's instructions between the two that enclose a receiver's liquidation.
cdef uint64_t START_LIQUIDATION = discriminator("f45d5ad6c0a6bf15")
cdef uint64_t REPAY = discriminator("4fd1acb1de33ad97")
cdef uint64_t WITHDRAW = discriminator("24484a13d2d2c0c0")

# Drift's spot markets, by their number: the record names no mint. Newer ones are left open.
DRIFT_MINTS = (
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "So11111111111111111111111111111111111111112",
    "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So",
    "3NZ9JMVBmGAqocybic2c7LQCJScmgsAZ6vQqTDzcqmJh",
    "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs",
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
    "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn",
    "HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3",
    "bSo13r4TkiE4KumL71LsHTPpL2euBYLFx6h9HP3piy1",
    "jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL",
    "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm",
    "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN",
    "rndrizKT3MK1iimdxRdWabcF7Zg7AR5T4nud4EkHBof",
    "85VBFQZC9TZkfaptBWjvUw7YbZjy52A6mjtPGjstQAmQ",
    "TNSRxcUxoT9xBG3de7PiJyTDYu7kskLqcpddxnEJAS6",
    "DriFtupJYLTosbwoN8koMbEYSx54aFAVLddWsbksjwg7",
    "5oVNBeEEQvYi1cX3ir8Dx5n1P7pdxydbGF2X4TxVusJm",
    "Dso1bDeDjCQxTrWHqUUi63oBvV7Mdm6WaobLbQ7gnPQ",
    "A1KLoBrKBde8Ty9qtNQUtq3C2ortoC3u7twggz7sEto6",
    "27G8MtK7VtTcCHkpASjSDdkWWYfoqT6ggEuKidVJidD4",
)
cdef enum:
    N_DRIFT_MINTS = 20
cdef uint8_t drift_mints[N_DRIFT_MINTS][32]
for _i in range(N_DRIFT_MINTS):
    key_of(DRIFT_MINTS[_i], drift_mints[_i])


# -- marginfi -------------------------------------------------------------------------------------

cdef inline uint64_t difference(const uint8_t* more, const uint8_t* less) noexcept nogil:
    """What one balance is more than another: base units as doubles, which have a fraction."""
    cdef double a, b
    memcpy(&a, more, 8)
    memcpy(&b, less, 8)
    a = a - b + 0.5
    return <uint64_t>a if 0.0 <= a < 1.8e19 else 0


cdef EventVerdict read_marginfi(
    const Transaction* tx, Liquidation* one, const uint8_t* data, uint32_t n) noexcept nogil:
    """LendingAccountLiquidateEvent: 8 signer (one byte, and 32 if it is 1), then account, authority
    and group of the liquidator, 96 account liquidated, 128 its authority, 192 mint of the assets,
    256 mint of the liabilities, 304 balances before (the account's assets and liabilities, the
    liquidator's), 336 after. The liquidator gets the assets named in the instruction, and pays
    what the account owes less and, by a transfer, the insurance fund's part."""
    cdef const Instruction* ix = &tx.instructions[one.position]
    cdef uint32_t start = 9
    if n < 9 or mv_u64(data) != LIQUIDATE_EVENT:
        return EVENT_OTHER
    if data[8]:
        start += 32
    if n < start + 368 or one.account == NO_ACCOUNT or not mv_equal32(
            tx.keys[one.account], data + start + 96):
        return EVENT_OTHER
    memcpy(one.owner, data + start + 128, 32)
    memcpy(one.collateral_mint, data + start + 192, 32)
    memcpy(one.repay_mint, data + start + 256, 32)
    one.has_owner = one.has_collateral_mint = one.has_repay_mint = True
    # What the instruction names is exact, where a double is not.
    if ix.n_data >= 16:
        one.collateral_amount = mv_u64(ix.data + 8)
    one.repay_amount = difference(data + start + 312, data + start + 344)
    one.flags |= EVENT_CONFIRMED
    return EVENT_READ


cdef uint32_t receiver_legs(
    Transaction* tx, Decoded* d, uint32_t position, Liquidation* found, uint32_t room) noexcept nogil:
    """end_liquidation: 0 account, 2 receiver. Between start_liquidation of the same account and it
    the receiver repays and withdraws by the ordinary instructions: 1 account, 6 vault if it
    withdraws, 5 vault if it repays. The k-th vault repaid to goes with the k-th taken from."""
    cdef const Instruction* ix = &tx.instructions[position]
    cdef uint16_t account = account_of(tx, ix, 0), vault
    cdef uint32_t start = position, i, k, repaid = 0, taken = 0
    cdef uint64_t kind, amount
    cdef Liquidation* one
    while start > 0:
        start -= 1
        ix = &tx.instructions[start]
        if (ix.program == tx.instructions[position].program and ix.n_data >= 8
                and mv_u64(ix.data) == START_LIQUIDATION and account_of(tx, ix, 0) == account):
            break
    else:
        return 0
    for i in range(start + 1, position):
        ix = &tx.instructions[i]
        if (ix.program != tx.instructions[position].program or ix.n_data < 8
                or account_of(tx, ix, 1) != account):
            continue
        kind = mv_u64(ix.data)
        if kind != REPAY and kind != WITHDRAW:
            continue
        vault = account_of(tx, ix, 5 if kind == REPAY else 6)
        amount = flow(tx, d, i, vault, kind == REPAY)
        if amount == 0:
            continue
        for k in range(repaid if kind == REPAY else taken):
            if vault == (found[k].repay_vault if kind == REPAY else found[k].collateral_vault):
                break
        else:
            k = repaid if kind == REPAY else taken
            if k == room:
                continue
            if k >= repaid and k >= taken:
                start_liquidation(&found[k], find_program(tx.keys[tx.instructions[position].program]), position)
                found[k].number = k
                found[k].account = account
                found[k].liquidator = account_of(tx, &tx.instructions[position], 2)
            if kind == REPAY:
                repaid += 1
                found[k].repay_vault = vault
            else:
                taken += 1
                found[k].collateral_vault = vault
        one = &found[k]
        if kind == REPAY:
            one.repay_amount += amount
        else:
            one.collateral_amount += amount
    return repaid if repaid > taken else taken


# -- Drift ----------------------------------------------------------------------------------------

cdef inline uint64_t magnitude(const uint8_t* p) noexcept nogil:
    """Of a signed number; also of the lower half of a u128 or i128 that fits."""
    cdef int64_t value = <int64_t>mv_u64(p)
    return <uint64_t>value if value >= 0 else <uint64_t>0 - <uint64_t>value


cdef void set_spot(
    uint32_t market, uint32_t* number, bint* known, uint8_t* mint) noexcept nogil:
    number[0] = market
    if market < N_DRIFT_MINTS:
        memcpy(mint, drift_mints[market], 32)
        known[0] = True


cdef EventVerdict read_drift(
    const Transaction* tx, Liquidation* one, const uint8_t* data, uint32_t n) noexcept nogil:
    """LiquidationRecord: 16 type, 17 user, 49 liquidator's account, 124 cancelled orders (u32 each),
    then one record a type, all of them always. Perp: 0 market, 10 base amount, 18 quote amount.
    66 Spot: 0 asset market, 10 asset, 26 liability market, 36 liability, 52 insurance fee. 126
    borrow for perp profit: 0 perp market, 10 profit, 26 liability market, 36 liability. 178 perp
    loss for deposit: 0 perp market, 10 loss, 26 asset market, 36 asset."""
    cdef uint32_t type, start
    cdef const uint8_t* p
    if n < 128 or mv_u64(data) != LIQUIDATION_RECORD or one.account == NO_ACCOUNT or not mv_equal32(
            tx.keys[one.account], data + 17):
        return EVENT_OTHER
    type = data[16]
    # At most 32 orders are open; more than fit in the event are no record.
    start = mv_u32(data + 124)
    if type > 3 or start > n or 128 + 4 * start + 230 > n:
        return EVENT_OTHER
    p = data + 128 + 4 * start
    one.kind = 1 if type == 0 else (0 if type == 1 else type)
    if type == 0:
        one.collateral_market = mv_u32(p) & 0xFFFF
        one.collateral_amount = magnitude(p + 10)
        one.repay_amount = magnitude(p + 18)
        set_spot(0, &one.repay_market, &one.has_repay_mint, one.repay_mint)
    elif type == 1:
        p += 66
        set_spot(mv_u32(p) & 0xFFFF, &one.collateral_market, &one.has_collateral_mint,
                 one.collateral_mint)
        one.collateral_amount = mv_u64(p + 10)
        set_spot(mv_u32(p + 26) & 0xFFFF, &one.repay_market, &one.has_repay_mint, one.repay_mint)
        one.repay_amount = mv_u64(p + 36)
        one.fee = mv_u64(p + 52)
        one.flags |= FEE_TOLD
    elif type == 2:
        p += 126
        set_spot(0, &one.collateral_market, &one.has_collateral_mint, one.collateral_mint)
        one.collateral_amount = mv_u64(p + 10)
        set_spot(mv_u32(p + 26) & 0xFFFF, &one.repay_market, &one.has_repay_mint, one.repay_mint)
        one.repay_amount = mv_u64(p + 36)
    else:
        p += 178
        set_spot(0, &one.repay_market, &one.has_repay_mint, one.repay_mint)
        one.repay_amount = mv_u64(p + 10)
        set_spot(mv_u32(p + 26) & 0xFFFF, &one.collateral_market, &one.has_collateral_mint,
                 one.collateral_mint)
        one.collateral_amount = mv_u64(p + 36)
    # A record of orders that were cancelled, after which nothing was left to do.
    one.nothing = one.repay_amount == 0 and one.collateral_amount == 0
    one.flags |= EVENT_CONFIRMED
    return EVENT_READ


# -- Jupiter Lend ---------------------------------------------------------------------------------

cdef EventVerdict read_jupiter(
    const Transaction* tx, Liquidation* one, const uint8_t* data, uint32_t n) noexcept nogil:
    """LogLiquidate: 8 signer, 40 collateral, 48 debt, 56 receiver. It names no vault. Collateral
    that is left to be claimed later moves no tokens."""
    cdef uint64_t collateral, debt
    if n < 88 or mv_u64(data) != LOG_LIQUIDATE or one.liquidator == NO_ACCOUNT or not mv_equal32(
            tx.keys[one.liquidator], data + 8):
        return EVENT_OTHER
    collateral = mv_u64(data + 40)
    debt = mv_u64(data + 48)
    if one.collateral_amount == 0 or one.repay_amount == 0:
        one.collateral_amount = collateral
        one.repay_amount = debt
        one.flags |= AMOUNTS_FROM_EVENT | EVENT_CONFIRMED
    elif one.collateral_amount == collateral and one.repay_amount == debt:
        one.flags |= EVENT_CONFIRMED
    else:
        one.flags |= EVENT_DIFFERS
    return EVENT_READ


# (discriminator, (liquidator, account, repay vault, its mint, collateral vault, its mint, vault of
# the share tokens, fee account), options)

_accounts = (0, 1, 6, 5, 11, 8, 10, 12)
add_lender("kamino_lend", "KLend2g3cP87fffoy8q1mQqGKjrxjC8boSyAYavgmjD", [
    # liquidate_obligation_and_redeem_reserve_collateral, …_v2
    ("b1479abce2854a37", _accounts, {"fee_in_collateral": True}),
    ("a2a1238f1ebbb967", _accounts, {"fee_in_collateral": True}),
])

add_lender("save", "So1endDq2YkqhipRh3WViPa8hdiSpxWy6z3Z6tMCpAo", [
    # LiquidateObligation: with the clock at 10 in older calls; …AndRedeemReserveCollateral
    ("0c", (9, 6, 3, None, None, None, 5, None), {}),
    ("11", (13, 10, 4, None, 8, None, 7, 9), {"fee_in_collateral": True}),
])

add_lender("marginfi", "MFv2hWf31Z9kbCa1snEPYctwafyhdvnV7FZnsebVacA", [
    # lending_account_liquidate; end_liquidation
    ("d6a997d5fba756db", (4, 5, None, None, None, None, None, 8), {"event": True}),
    ("6e0bf436e5b516b8", (2, 0, None, None, None, None, None, None), {}),
], EVENT_LOG, read_marginfi, receiver_legs)

_accounts = (1, 4, None, None, None, None, None, None)
add_lender("drift_v2", "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH", [
    ("4b2377f7bf128b02", _accounts, {"event": True, "kind": 1}),   # liquidate_perp
    ("5f6f7c6956a9bb22", _accounts, {"event": True, "kind": 1}),   # liquidate_perp_with_fill
    ("6b00802923e5fb12", _accounts, {"event": True}),              # liquidate_spot
    ("8e58a3a0df4b37e1", _accounts, {"event": True}),              # …_with_swap_end
    ("a911205acf94d11b", _accounts, {"event": True, "kind": 2}),   # liquidate_borrow_for_perp_pnl
    ("ed4bc6ebe9ba4b23", _accounts, {"event": True, "kind": 3}),   # liquidate_perp_pnl_for_deposit
], EVENT_LOG, read_drift)

_accounts = (0, 5, 20, 7, 19, 6, None, None)
add_lender("jupiter_lend_vaults", "jupr81YtYssSyPt8jbnGuiWon5f6x9TcDEFxYe3Bdzi", [
    ("dfb3e27d302e274a", _accounts, {}),   # liquidate
    ("1c81fd7df3340ba2", _accounts, {}),   # liquidate_dex
    ("1a717432f783d005", _accounts, {}),   # liquidate_perfect_dex
], EVENT_LOG, read_jupiter)
