"""Liquidity changes and liquidations: the compiled decoder against the reference, on real
transactions and on a made one for every instruction that is known."""

import struct
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from decoder.scene import SELF_CPI, Scene, key
from reference import changes, compiled
from reference.changes import LAYOUTS, LIQUIDATIONS, Change, leading
from reference.load import Decoded

from mevstream.cext import venues  # noqa: F401  # fills the registry
from mevstream.cext.registry import programs
from mevstream.schemas.parsed_pb2 import ParsedBatch


def u64(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def i32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def u128(number: int) -> bytes:
    return number.to_bytes(16, "little")


def without_events(found: list[Change], wanted: list[Change]) -> list[Change]:
    """Of what the compiled decoder found, what the reference has: no event and no other row."""
    return [
        replace(
            one,
            **{
                n: getattr(w, n)
                for n in ("pool", "lower", "upper", "delta")
                if getattr(w, n) is None
            },
        )
        for one, w in zip(found, wanted, strict=True)
    ]


def test_real_transactions(corpus: list[Decoded]) -> None:
    count = 0
    for name, message, _ in corpus:
        wanted = changes.changes(message)
        found = compiled.changes(message)
        assert without_events(found, wanted) == wanted, name
        assert compiled.liquidations(message) == changes.liquidations(message), name
        count += len(found)
    assert count == 14


def data_of(name: str, where: str, liquidity: str) -> bytes:
    """Instruction data with a range and a liquidity where the layout has them."""
    data = bytearray(leading(name) + bytes(80))
    if where:
        form, at, *stride = where.split()
        first = int(at)
        if form == "list":
            bins = (5, -7, 3)
            data[first : first + 4] = struct.pack("<I", len(bins))
            for i, number in enumerate(bins):
                start = first + 4 + i * int(stride[0])
                data[start : start + 4] = i32(number)
        else:
            data[first : first + 8] = i32(-70, 69)
    if liquidity:
        kind, at = liquidity.split()
        number = u128(3 << 64 | 77) if kind == "u128" else u64(77)
        data[int(at) : int(at) + len(number)] = number
    return bytes(data)


def scene_of(program: str, accounts: str, data: bytes, kind: str, height: int = 1) -> Scene:
    """The instruction on accounts named by their letters, with transfers that go with it."""
    scene = Scene()
    scene.holds("pool", "A", "a")
    scene.holds("pool", "B", "b")
    scene.holds("user", "A", "user a")
    scene.holds("user", "B", "user b")
    names = [letter if letter != "-" else f"other {i}" for i, letter in enumerate(accounts)]
    if height == 2:
        scene.call(1, "some wrapper", ["user"], b"\1")
    scene.call(height, program, names, data)
    if kind in ("add", "open+add"):
        scene.transfer(height + 1, "user a", "a", "user", 1000)
        if "b" in accounts:
            scene.transfer(height + 2, "user b", "b", "user", 2000)
            scene.transfer(height + 1, "user b", "b", "user", 5)
    elif kind in ("remove", "collect"):
        scene.transfer(height + 1, "a", "user a", "pool", 1000)
        scene.transfer(height + 1, "b", "user b", "pool", 2000)
    scene.transfer(1, "user a", "a", "user", 33)  # beside the instruction: none of it
    return scene


@pytest.mark.parametrize("height", [1, 2])
@pytest.mark.parametrize(
    ("venue", "program", "layout"),
    [(venue, program, layout) for layout in LAYOUTS for venue, program in layout[0]],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_every_instruction(venue: str, program: str, layout: tuple[Any, ...], height: int) -> None:
    _, kind, name, accounts, where, liquidity = layout
    data = data_of(name, where, liquidity)
    message = scene_of(program, accounts, data, kind, height).message()
    [wanted] = changes.changes(message)
    assert compiled.changes(message) == [wanted]
    assert wanted.venue == venue
    assert (wanted.inner is None) == (height == 1)
    assert bool(wanted.amount_a) == (kind not in ("open", "close"))
    if where:
        assert wanted.lower == (-7 if "list" in where else -70)
        assert wanted.upper == {"list": 5, "pair": 69, "widt": -2}[where[:4].strip()]
    if liquidity:
        assert wanted.delta == (3 << 64 | 77 if "u128" in liquidity else 77)
    message.meta.err.err = b"\1\0\0\0"
    assert compiled.changes(message) == []
    assert compiled.batch([message.SerializeToString()]).tx_swap_attempts == [0]
    # Accounts that the layout names and the instruction does not: no change, or one without them.
    short = scene_of(program, accounts[:3], data, "open", height).message()
    assert len(compiled.changes(short)) <= 1


def test_a_position_that_is_opened_empty_and_one_that_only_collects() -> None:
    program = LAYOUTS[0][0][0][1]
    opened = scene_of(program, LAYOUTS[0][3], data_of("open_position", "pair 8", ""), "open")
    assert [one.kind for one in compiled.changes(opened.message())] == ["open"]
    fees = scene_of(program, "o-hp-ab-----", leading("decrease_liquidity") + bytes(32), "remove")
    [found] = compiled.changes(fees.message())
    assert (found.kind, found.delta) == ("collect", 0)
    parsed = compiled.batch([fees.message().SerializeToString()])
    assert (parsed.liquidity_fee_a[0], parsed.liquidity_fee_b[0]) == (1000, 2000)


# -- events ---------------------------------------------------------------------------------------

CLMM, WHIRLPOOL, DAMM_V2, DAMM_V1, CPMM, PUMP_SWAP, AMM_V4 = (
    next(layout[0][0][1] for layout in LAYOUTS if layout[0][0][0] == venue)
    for venue in (
        *("raydium_clmm", "orca_whirlpool", "meteora_damm_v2", "meteora_damm_v1"),
        *("raydium_cpmm", "pump_swap", "raydium_amm_v4"),
    )
)
TOLD = u128(5 << 64 | 6)
POOL, HOLDER, OWNER = key("p"), key("h"), key("o")


def event(name: str) -> bytes:
    return sha256(f"event:{name}".encode()).digest()[:8]


# (program, instruction, what the event says; delta, fees, range and tick of the row).
EVENTS: list[tuple[str, str, bytes, int | None, tuple[int, int] | None, tuple[int, ...]]] = [
    (CLMM, "increase_liquidity_v2",
     event("IncreaseLiquidityEvent") + key("nft") + TOLD + u64(1000, 2005, 0, 0), 5 << 64 | 6,
     None, ()),
    # Token-2022 transfer fees: the event tells the amounts without them.
    (CLMM, "increase_liquidity_v2",
     event("IncreaseLiquidityEvent") + key("nft") + TOLD + u64(990, 2000, 10, 5), 5 << 64 | 6,
     None, ()),
    (CLMM, "open_position_v2",
     event("CreatePersonalPositionEvent") + POOL + OWNER + OWNER + i32(-8, 16) + TOLD
     + u64(1000, 2005, 0, 0), 5 << 64 | 6, None, (-8, 16)),
    (CLMM, "decrease_liquidity_v2",
     event("DecreaseLiquidityEvent") + key("nft") + TOLD + u64(900, 1950, 100, 50, 0, 0, 0, 0, 0),
     5 << 64 | 6, (100, 50), ()),
    (WHIRLPOOL, "increase_liquidity",
     event("LiquidityIncreased") + POOL + HOLDER + i32(-8, 16) + TOLD + u64(1000, 2005, 0, 0),
     5 << 64 | 6, None, (-8, 16)),
    (WHIRLPOOL, "decrease_liquidity_v2",
     event("LiquidityDecreased") + POOL + HOLDER + i32(-8, 16) + TOLD + u64(1000, 2000, 0, 0),
     5 << 64 | 6, None, (-8, 16)),
    (DAMM_V2, "add_liquidity",
     event("EvtLiquidityChange") + POOL + HOLDER + OWNER + u64(1, 2, 1000, 2005, 0, 0) + TOLD
     + u64(0, 0) + b"\0", 5 << 64 | 6, None, ()),
    (DAMM_V2, "remove_all_liquidity",
     event("EvtLiquidityChange") + POOL + HOLDER + OWNER + u64(1, 2, 1000, 2000, 0, 0) + TOLD
     + u64(0, 0) + b"\1", 5 << 64 | 6, None, ()),
    (DAMM_V2, "add_liquidity",
     event("EvtAddLiquidity") + POOL + HOLDER + OWNER + TOLD + u64(0, 0, 1, 2, 1000, 2005),
     5 << 64 | 6, None, ()),
    (DAMM_V2, "remove_liquidity",
     event("EvtRemoveLiquidity") + POOL + HOLDER + OWNER + TOLD + u64(0, 0, 1000, 2000),
     5 << 64 | 6, None, ()),
    (DAMM_V2, "claim_position_fee",
     event("EvtClaimPositionFee") + POOL + HOLDER + OWNER + u64(1000, 2000), None, (1000, 2000),
     ()),
    (DAMM_V1, "add_imbalance_liquidity", event("AddLiquidity") + u64(44, 1000, 2005), 44, None, ()),
    (DAMM_V1, "bootstrap_liquidity",
     event("BootstrapLiquidity") + u64(44, 1000, 2005) + POOL, 44, None, ()),
    (DAMM_V1, "remove_balance_liquidity", event("RemoveLiquidity") + u64(44, 1000, 2000), 44, None,
     ()),
    (CPMM, "deposit", event("LpChangeEvent") + POOL + u64(0, 0, 0, 1000, 2005, 0, 0) + b"\0", 77,
     None, ()),
    (CPMM, "withdraw", event("LpChangeEvent") + POOL + u64(0, 0, 0, 1000, 1990, 0, 10) + b"\1", 77,
     None, ()),
    (PUMP_SWAP, "deposit",
     event("DepositEvent") + u64(0, 44, 0, 0, 0, 0, 0, 0, 1000, 2005, 0) + POOL + OWNER, 44, None,
     ()),
    (PUMP_SWAP, "withdraw",
     event("WithdrawEvent") + u64(0, 44, 0, 0, 0, 0, 0, 0, 1000, 2000, 0) + POOL + OWNER, 44, None,
     ()),
    (AMM_V4, "#3", b"\1" + u64(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1000, 2005, 44), 44, None, ()),
    (AMM_V4, "#4", b"\2" + u64(44, 0, 0, 0, 0, 0, 0, 0, 0, 1000, 2000), 44, None, ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "name", "told", "delta", "fees", "bounds"), EVENTS, ids=lambda v: str(v)[:22]
)
def test_events_confirm(
    program: str,
    name: str,
    told: bytes,
    delta: int | None,
    fees: tuple[int, int] | None,
    bounds: tuple[int, ...],
) -> None:
    layout = next(la for la in LAYOUTS if (la[0][0][1], la[2]) == (program, name))
    _, kind, _, accounts, where, liquidity = layout
    scene = scene_of(program, accounts, data_of(name, where, liquidity), kind)
    scene.calls.pop()

    def give(event_data: bytes) -> ParsedBatch:
        calls, scene.logs = list(scene.calls), []
        if program in (DAMM_V2, PUMP_SWAP):
            scene.event(2, program, event_data)
        elif program == AMM_V4:
            text = "Program log: ray_log: " + b64encode(event_data).decode()
            scene.logs = [f"Program {program} invoke [1]", text, f"Program {program} success"]
        else:
            scene.logs = logged(program, event_data)
        parsed = compiled.batch([scene.message().SerializeToString()])
        scene.calls = calls
        assert len(parsed.liquidity_tx) == 1
        return parsed

    row = give(told)
    assert row.liquidity_flags[0] & 3 == 1
    assert (row.liquidity_amount_a[0], row.liquidity_amount_b[0]) == (
        (1000, 2005) if kind in ("add", "open+add") else (1000, 2000)
    )
    if delta is not None:
        assert row.liquidity_flags[0] & 256
        assert row.liquidity_delta_high[0] << 64 | row.liquidity_delta_low[0] == delta
    assert bool(row.liquidity_flags[0] & 32) == (fees is not None)
    if fees:
        assert (row.liquidity_fee_a[0], row.liquidity_fee_b[0]) == fees
    if bounds:
        assert (row.liquidity_lower[0], row.liquidity_upper[0]) == bounds
    # A number of the event that is another: it differs. One that is too short says nothing.
    wrong = told.replace(u64(1000), u64(1001)).replace(u64(900), u64(901)).replace(u64(990), u64(1))
    assert give(wrong).liquidity_flags[0] & 3 == 2
    assert give(told[:24]).liquidity_flags[0] & 3 == 0


def test_the_change_event_of_clmm_comes_before_the_amounts() -> None:
    scene = scene_of(CLMM, "o-p-h----ab----", data_of("increase_liquidity_v2", "", "u128 8"), "add")
    scene.calls.pop()
    change = event("LiquidityChangeEvent") + POOL + i32(40, -10, 90) + TOLD + TOLD
    amounts = event("IncreaseLiquidityEvent") + key("nft") + TOLD + u64(1000, 2005, 0, 0)
    first, last = logged(CLMM, change), logged(CLMM, amounts)
    scene.logs = [first[0], first[1], last[1], last[2]]
    row = compiled.batch([scene.message().SerializeToString()])
    assert (row.liquidity_lower[0], row.liquidity_upper[0], row.liquidity_tick[0]) == (-10, 90, 40)
    assert row.liquidity_flags[0] & 3 == 1


# -- moves ----------------------------------------------------------------------------------------


def test_a_move_is_a_removal_and_an_addition() -> None:
    accounts = [*"hp---ab--o", *(f"other {i}" for i in range(7))]
    scene = Scene()
    scene.holds("pool", "A", "a")
    scene.holds("pool", "B", "b")
    program = "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"
    scene.call(1, program, accounts, leading("rebalance_liquidity") + bytes(60))
    told = bytes.fromhex("006d75b33d5bc7c8") + key("p") + key("h") + key("o") + i32(-3)
    told += u64(100, 40, 200, 60, 7, 8) + i32(-10, 9, -5, 14) + u64(0, 0)
    message_without = scene.message()
    assert compiled.changes(message_without) == []
    scene.event(2, program, told)
    message = scene.message()
    parsed = compiled.batch([message.SerializeToString()])
    assert list(parsed.liquidity_kind) == [1, 0]
    assert list(parsed.liquidity_leg) == [0, 1]
    assert list(parsed.liquidity_amount_a) == [107, 40]
    assert list(parsed.liquidity_amount_b) == [208, 60]
    assert list(parsed.liquidity_fee_a) == [7, 0]
    assert list(parsed.liquidity_lower) == [-10, -5]
    assert list(parsed.liquidity_upper) == [9, 14]
    assert list(parsed.liquidity_tick) == [-3, -3]
    assert list(parsed.liquidity_flags) == [1 | 16 | 32 | 128, 1 | 16 | 128]
    # One of another position is none of it.
    other = Scene(calls=scene.calls[:1], accounts=scene.accounts)
    other.event(2, program, told.replace(key("h"), key("x")))
    assert compiled.changes(other.message()) == []


def test_one_token_of_two() -> None:
    """An instruction that names one vault: the event tells which of the two it is."""
    program = "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"
    data = data_of("add_liquidity_one_side", "list 24 6", "")
    for told, sides in (((1000, 0), (1000, 0)), ((0, 1000), (0, 1000))):
        scene = scene_of(program, "hp--a---o---", data, "add")
        scene.calls.pop()
        event = bytes.fromhex("1f5e7d5ae3343dba") + key("p") + key("o") + key("h")
        scene.event(2, program, event + u64(*told) + i32(4))
        [found] = compiled.changes(scene.message())
        assert (found.amount_a, found.amount_b) == sides
        parsed = compiled.batch([scene.message().SerializeToString()])
        mints = (parsed.liquidity_mint_a[0], parsed.liquidity_mint_b[0])
        assert (mints[0] == 0xFFFFFFFF) == (told[0] == 0)
        assert parsed.liquidity_flags[0] & 3 == 1
        assert parsed.liquidity_tick[0] == 4


# -- liquidations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize("layout", LIQUIDATIONS, ids=lambda layout: f"{layout[0][0]} {layout[1]}")
def test_every_liquidation(layout: tuple[Any, ...], shares: bool) -> None:
    (protocol, program), name, accounts = layout
    scene = Scene()
    for vault, mint in (("r", "R"), ("c", "C"), ("s", "S")):
        scene.holds("market", mint, vault)
        scene.holds("user", mint, f"user {mint}")
    scene.holds("market", "C", "f")
    names = [letter if letter != "-" else f"other {i}" for i, letter in enumerate(accounts)]
    scene.call(1, program, names, leading(name) + u64(2**63, 0, 0))
    scene.transfer(2, "user R", "r", "l", 500)
    if shares or "c" not in accounts:
        scene.transfer(2, "s", "user S", "market", 600)
    else:
        scene.transfer(2, "c", "user C", "market", 700)
        scene.transfer(2, "user C", "f", "l", 9)
    message = scene.message()
    [wanted] = changes.liquidations(message)
    assert compiled.liquidations(message) == [wanted]
    assert (wanted.protocol, wanted.repay_amount) == (protocol, 500)
    if "s" not in accounts and shares:
        assert wanted.collateral_amount == 0
    else:
        assert wanted.collateral_amount == (600 if shares or "c" not in accounts else 700)
    parsed = compiled.batch([message.SerializeToString()])
    assert bool(parsed.liquidation_flags[0] & 256) == (
        "s" in accounts and (shares or "c" not in accounts)
    )
    message.meta.err.err = b"\1\0\0\0"
    assert compiled.liquidations(message) == []


def test_a_lender_that_only_flashes_has_no_liquidation() -> None:
    scene = Scene()
    scene.holds("market", "R", "r")
    scene.holds("user", "R", "user R")
    program = LIQUIDATIONS[0][0][1]
    scene.call(1, program, ["l", "r"], leading("flash_borrow_reserve_liquidity") + u64(5))
    scene.transfer(2, "r", "user R", "market", 5)
    assert compiled.liquidations(scene.message()) == []


MARGINFI = "MFv2hWf31Z9kbCa1snEPYctwafyhdvnV7FZnsebVacA"
DRIFT = "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH"


def logged(program: str, data: bytes) -> list[str]:
    return [
        f"Program {program} invoke [1]",
        "Program data: " + b64encode(data).decode(),
        f"Program {program} success",
    ]


@pytest.mark.parametrize("signer", [b"\0", b"\1" + bytes(32)])
def test_marginfi_moves_no_tokens(signer: bytes) -> None:
    scene = Scene()
    scene.holds("bank", "L", "insurance", "user L")
    names = ["group", "asset", "liab", "mine", "l", "x", "-a", "-v", "insurance", "token"]
    scene.call(1, MARGINFI, names, leading("lending_account_liquidate") + u64(10**17 + 1) + b"\1\1")
    scene.transfer(2, "user L", "insurance", "authority", 25)
    header = signer + key("mine") + key("l") + key("group")
    balances = struct.pack("<8d", 1e17, 2000.25, 0, 0, 0.0, 1499.75, 1e17, 525.5)
    event = bytes.fromhex("a6a0f99ab72717f2") + header + key("x") + key("owner of x")
    event += key("asset") + key("C") + key("liab") + key("L") + struct.pack("<2d", 1, 2) + balances
    silent = compiled.batch([scene.message().SerializeToString()])
    assert (silent.liquidation_flags[0], silent.liquidation_repay_amount[0]) == (512 | 32, 0)
    scene.logs += logged(MARGINFI, event)
    [found] = compiled.liquidations(scene.message())
    parsed = compiled.batch([scene.message().SerializeToString()])
    assert (found.repay_amount, found.collateral_amount, found.fee) == (501, 10**17 + 1, 25)
    assert (found.liquidator, found.account) == tuple(compiled.base58(key(n)) for n in ("l", "x"))
    assert parsed.liquidation_flags[0] == 1 | 32 | 128
    owner = parsed.liquidation_owner[0]
    assert parsed.keys[32 * owner : 32 * owner + 32] == key("owner of x")
    assert found.collateral_mint == compiled.base58(key("C"))
    assert found.repay_mint == compiled.base58(key("L"))


def test_marginfi_by_a_receiver() -> None:
    scene = Scene()
    for mint in "ABCD":
        scene.holds("bank", mint, f"vault {mint}")
        scene.holds("user", mint, f"user {mint}")

    def move(name: str, account: str, mint: str, amount: int) -> None:
        vaults = ["-", f"vault {mint}"] if name.endswith("withdraw") else [f"vault {mint}", "-"]
        accounts = ["group", account, "l", f"bank {mint}", f"user {mint}", *vaults, "token"]
        scene.call(1, MARGINFI, accounts, leading(name) + u64(amount))
        source, target = f"vault {mint}", f"user {mint}"
        if not name.endswith("withdraw"):
            source, target = target, source
        scene.transfer(2, source, target, "l", amount)

    move("lending_account_withdraw", "x", "A", 9)  # before it starts
    scene.call(1, MARGINFI, ["x", "record", "l", "sysvar"], leading("start_liquidation"))
    move("lending_account_withdraw", "x", "A", 700)
    move("lending_account_withdraw", "x", "A", 70)
    move("lending_account_withdraw", "x", "B", 3)
    move("lending_account_withdraw", "another", "D", 8)
    move("lending_account_repay", "x", "C", 500)
    scene.call(1, MARGINFI, ["x", "record", "l", "f", "w", "s"], leading("end_liquidation"))
    found = compiled.liquidations(scene.message())
    assert [(one.repay_amount, one.collateral_amount) for one in found] == [(500, 770), (0, 3)]
    assert {one.account for one in found} == {compiled.base58(key("x"))}
    assert found[0].repay_mint == compiled.base58(key("C"))
    assert [one.collateral_mint for one in found] == [compiled.base58(key(m)) for m in "AB"]
    del scene.calls[2]  # an end without a start
    assert compiled.liquidations(scene.message()) == []


PERP = struct.pack("<HqqqQQIIQQ", 2, 5, -70, 900, 0, 1, 2, 3, 4, 5)
SPOT = struct.pack("<Hq", 1, 5) + u128(700) + struct.pack("<Hq", 0, 6) + u128(500) + u64(11)
BORROW = struct.pack("<Hq", 3, 5) + u128(800) + struct.pack("<Hq", 1, 6) + u128(400)
DEPOSIT = struct.pack("<Hq", 3, 5) + u128(810) + struct.pack("<Hq", 2, 6) + u128(410)
TAIL = bytes(70)


@pytest.mark.parametrize("cancelled", [0, 3, 32])
@pytest.mark.parametrize(
    ("kind", "name", "amounts", "markets"),
    [
        (0, "liquidate_perp", (900, 70), (0, 2)),
        (0, "liquidate_perp_with_fill", (900, 70), (0, 2)),
        (1, "liquidate_spot", (500, 700), (0, 1)),
        (1, "liquidate_spot_with_swap_end", (500, 700), (0, 1)),
        (2, "liquidate_borrow_for_perp_pnl", (400, 800), (1, 0)),
        (3, "liquidate_perp_pnl_for_deposit", (810, 410), (0, 2)),
    ],
)
def test_drift(
    kind: int, name: str, amounts: tuple[int, int], markets: tuple[int, int], cancelled: int
) -> None:
    scene = Scene()
    accounts = ["state", "l", "mine", "stats", "x", "his stats"]
    scene.call(1, DRIFT, accounts, leading(name) + bytes(20))
    head = bytes.fromhex("7f11006cb60de735") + u64(1) + bytes([kind]) + key("x") + key("mine")
    head += bytes(16 + 16 + 8 + 2 + 1) + struct.pack("<I", cancelled) + bytes(4 * cancelled)
    event = head + PERP + SPOT + BORROW + DEPOSIT + TAIL
    scene.logs = logged(DRIFT, event)
    [found] = compiled.liquidations(scene.message())
    assert (found.repay_amount, found.collateral_amount) == amounts
    parsed = compiled.batch([scene.message().SerializeToString()])
    told = parsed.liquidation_repay_market[0], parsed.liquidation_collateral_market[0]
    assert told == markets
    assert parsed.liquidation_kind[0] == (1, 0, 2, 3)[kind]
    usdc = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    assert usdc in (found.repay_mint, found.collateral_mint)
    assert (found.collateral_mint is None) == (kind == 0)  # no token is taken
    # Orders were cancelled, and nothing was left to liquidate.
    scene.logs = logged(DRIFT, head + bytes(len(PERP + SPOT + BORROW + DEPOSIT + TAIL)))
    assert compiled.liquidations(scene.message()) == []
    # Of another account, and cut off.
    for bad in (event.replace(key("x"), key("y")), event[:200]):
        scene.logs = logged(DRIFT, bad)
        unknown = compiled.batch([scene.message().SerializeToString()])
        assert [flags & 512 for flags in unknown.liquidation_flags] == [512]


def test_jupiter_lend_leaves_collateral_to_be_claimed() -> None:
    (_, program), name, accounts = LIQUIDATIONS[-3]
    scene = Scene()
    scene.holds("market", "R", "r")
    scene.holds("user", "R", "user R")
    names = [letter if letter != "-" else f"other {i}" for i, letter in enumerate(accounts)]
    scene.call(1, program, names, leading(name) + bytes(40))
    scene.transfer(2, "user R", "r", "l", 500)
    event = bytes.fromhex("9a80ca9341e9c349") + key("l") + u64(640, 500) + key("l")
    scene.logs = logged(program, event)
    [found] = compiled.liquidations(scene.message())
    assert (found.repay_amount, found.collateral_amount) == (500, 640)


# -- the table ------------------------------------------------------------------------------------


def test_the_reference_has_every_program() -> None:
    """A venue or lender that gets liquidity or liquidations belongs into the reference as well."""
    known = {address for _, address, _ in programs()}
    layouts = {address for layout in LAYOUTS for _, address in layout[0]}
    lenders = {layout[0][1] for layout in LIQUIDATIONS} | {MARGINFI, DRIFT}
    assert layouts | lenders <= known
    assert bytes.fromhex("e445a52e51cb9a1d") == SELF_CPI
