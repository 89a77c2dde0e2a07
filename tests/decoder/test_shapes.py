"""Shapes that the real data has none or few of: payments beside the trade, fees withheld, two
trades on one pool, accounts outside the table. Both decoders, and the venue's own event."""

import struct

import pytest
from decoder.scene import Scene, address, key
from reference import compiled, decoder
from reference.transaction import TOKEN_PROGRAMS

DLMM = "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"
DAMM_V2 = "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG"
LAUNCHLAB = "LanMV9sAd7wArD4vJFi2qDdfnVhFxYSUg6eADduJ3uj"
PUMP_SWAP = "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"
PUMP_FUN = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
RAYDIUM = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
CLMM = "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK"
WHIRLPOOL = "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"
JUPITER = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
OKX = "6m2CDdhRgxpH4WjvdzxAYbGxwdGUz5MziiL5jek2kBma"
TOKEN_2022 = TOKEN_PROGRAMS[1]
SWAP = bytes.fromhex("f8c69e91e17587c8")
CONFIRMED, DIFFERS = 1, 2
Row = tuple[int, int, int | None, int | None]  # amount in, amount out, trader in, trader out


def u64(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


@pytest.fixture
def scene() -> Scene:
    """The user holds mints A, B and C; there are two pools and accounts of third parties."""
    made = Scene()
    for mint in "ABC":
        made.holds("user", mint, f"user {mint}")
        made.holds("pool", mint, f"vault {mint}")
        made.holds("pool 2", mint, f"vault 2{mint}")
        made.holds("host", mint, f"host {mint}", f"host 2{mint}")
    return made


def trade(scene: Scene, height: int = 2, fee: int | None = None) -> None:
    scene.transfer(height, "user A", "vault A", "user", 1000)
    scene.transfer(height, "vault B", "user B", "authority", 900, fee)


def rows(scene: Scene) -> list[Row]:
    """What both decoders say of the legs."""
    message = scene.message()
    found = compiled.transactions([message])[0].legs
    assert decoder.decode(message).legs == found
    return [(leg.amount_in, leg.amount_out, leg.trader_in, leg.trader_out) for leg in found]


def event_flags(scene: Scene) -> list[int]:
    parsed = compiled.batch([scene.message().SerializeToString()])
    return [flags & (CONFIRMED | DIFFERS) for flags in parsed.swap_flags]


def dlmm(scene: Scene, into: str = "A") -> None:
    vaults = ["vault A", "vault B"] if into == "A" else ["vault B", "vault A"]
    ends = ["user A", "user B", "A", "B", "oracle", "host A", "user", "token", "token 2022"]
    scene.call(1, DLMM, ["pool", DLMM, *vaults, *ends, "events", DLMM], SWAP + u64(1000, 1))


def dlmm_event(fees_on_input: bool, amount_in: int = 1000) -> bytes:
    head = bytes.fromhex("2e7452d7941b544d") + key("pool") + key("user") + bytes(8)
    amounts = u64(amount_in, 0, 900, 8, 2, 0, 3)
    return head + b"\1" + bytes(16) + amounts + bytes([fees_on_input, 0])


@pytest.mark.parametrize("into", "AB")
@pytest.mark.parametrize("first", [False, True])
def test_host_fee_out_of_the_vault_that_is_paid(scene: Scene, into: str, first: bool) -> None:
    dlmm(scene, into)
    if first:
        scene.transfer(2, "vault A", "host A", "pool", 3)
    trade(scene)
    if not first:
        scene.transfer(2, "vault A", "host A", "pool", 3)
    scene.event(2, DLMM, dlmm_event(fees_on_input=True))
    assert rows(scene) == [(1000, 900, 1000, 900)]
    assert event_flags(scene) == [CONFIRMED]


def test_host_fee_out_of_the_vault_that_pays(scene: Scene) -> None:
    dlmm(scene)
    trade(scene)
    scene.transfer(2, "vault B", "host B", "pool", 3)
    scene.event(2, DLMM, dlmm_event(fees_on_input=False))
    assert rows(scene) == [(1000, 903, 1000, 900)]
    assert event_flags(scene) == [CONFIRMED]


def test_amounts_beside_those_of_the_event_still_differ(scene: Scene) -> None:
    dlmm(scene)
    trade(scene)
    scene.transfer(2, "vault B", "host B", "pool", 4)  # the event tells of 3
    scene.event(2, DLMM, dlmm_event(fees_on_input=False))
    assert event_flags(scene) == [DIFFERS]


def test_transfer_fee_on_the_way_in_and_out(scene: Scene) -> None:
    dlmm(scene)
    scene.token_2022 |= {"user A", "vault A", "user B", "vault B"}
    scene.transfer(2, "user A", "vault A", "user", 1000, 10)
    scene.transfer(2, "vault B", "user B", "pool", 900, 9)
    scene.event(2, DLMM, dlmm_event(fees_on_input=True, amount_in=990))
    assert rows(scene) == [(1000, 900, 1000, 891)]
    assert event_flags(scene) == [CONFIRMED]


@pytest.fixture
def taxed(scene: Scene) -> Scene:
    """A is a Token-2022 mint that keeps 1 % of each transfer, and no instruction tells it."""
    scene.token_2022 |= {name for name, (mint, *_) in scene.accounts.items() if mint == "A"}
    scene.fees["A"] = 100, 10**9
    return scene


def cycle_of(scene: Scene, *amounts: int) -> None:
    """A for B in one pool, and B for so much of A in others."""
    dlmm(scene)
    scene.transfer_checked(2, "user A", "vault A", "user", 10_000)
    scene.transfer(2, "vault B", "user B", "pool", 900)
    for amount in amounts:
        dlmm(scene, into="B")
        scene.transfer(2, "user B", "vault B", "user", 450)
        scene.transfer_checked(2, "vault A", "user A", "pool", amount)


def test_a_fee_that_nobody_tells_on_an_account_that_pays_as_well(taxed: Scene) -> None:
    """A round trip whose pools give more than they took, and its trader gets less."""
    cycle_of(taxed, 10_050)
    assert rows(taxed) == [(10_000, 900, 10_000, 900), (450, 10_050, 450, 9949)]
    parsed = compiled.batch([taxed.message().SerializeToString()])
    assert list(parsed.swap_withheld_in) == [100, 0]


@pytest.mark.parametrize(
    ("most", "got"), [(10**9, (4950, 5939, 14)), (55, (4952, 5942, 14)), (1, (4999, 5998, 14))]
)
def test_fees_of_several_transfers_add_up(taxed: Scene, most: int, got: tuple[int, ...]) -> None:
    """By the rate, or where the mint's largest fee was reached in proportion."""
    taxed.fees["A"] = 100, most
    cycle_of(taxed, 5000, 5999, 15)
    found = [leg[3] or 0 for leg in rows(taxed)[1:]]
    fees = [min(-(-amount // 100), most) for amount in (5000, 5999, 15)]
    assert sum(found) == 5000 + 5999 + 15 - sum(fees)
    assert tuple(found) == got


@pytest.mark.parametrize("tag", [7, 8, 14, 15])
def test_what_is_minted_or_burnt_is_no_fee(taxed: Scene, tag: int) -> None:
    cycle_of(taxed, 10_050)
    accounts = ["A", "user A", "user"] if tag in (7, 14) else ["user A", "A", "user"]
    taxed.call(1, TOKEN_2022, accounts, bytes([tag]) + u64(3) + b"\6")
    assert rows(taxed)[1] == (450, 10_050, 450, 10_050)


@pytest.mark.parametrize("old", [False, True])
def test_referral_of_damm_v2(scene: Scene, old: bool) -> None:
    accounts = ["authority", "pool", "user A", "user B", "vault A", "vault B", "A", "B", "user"]
    scene.call(1, DAMM_V2, [*accounts, "token", "token", "host B", "events", DAMM_V2], SWAP)
    trade(scene)
    scene.transfer(2, "vault B", "host B", "authority", 4)
    root = struct.pack("<QQ", 0, 1)
    if old:
        event = bytes.fromhex("1b3c15d58aaabb93") + key("pool") + b"\0\1" + u64(1000, 1, 900)
        event += root + u64(10, 5, 0, 4, 1000, 0)
    else:
        event = bytes.fromhex("bd4233a826507599") + key("pool") + b"\0\0\1" + u64(1000, 1) + b"\0"
        event += u64(1000, 1000, 0, 900) + root + u64(10, 5, 0, 4, 1000, 900, 900, 0, 0, 0)
    scene.event(2, DAMM_V2, event)
    assert rows(scene) == [(1000, 904, 1000, 900)]
    assert event_flags(scene) == [CONFIRMED]


def test_share_of_launchlab(scene: Scene) -> None:
    accounts = ["user", "authority", "config", "platform", "pool", "user A", "user B"]
    accounts += ["vault A", "vault B", "A", "B", "token", "token", "events", LAUNCHLAB]
    scene.call(1, LAUNCHLAB, accounts, bytes.fromhex("9527de9bd37c981a") + u64(1000, 1, 0))
    trade(scene)
    scene.transfer(2, "vault B", "host B", "authority", 2)
    event = bytes.fromhex("bddb7fd34ee661ee") + key("pool")
    event += u64(10**15, 10**15, 3 * 10**10, 7, 5, 8, 5, 1000, 900, 5, 6, 3, 2) + b"\1\0\0"
    scene.event(2, LAUNCHLAB, event)
    assert rows(scene) == [(1000, 902, 1000, 900)]
    assert event_flags(scene) == [CONFIRMED]


def test_pump_swap_pays_protocol_creator_and_buyback_beside_the_pool(scene: Scene) -> None:
    accounts = ["pool", "user", "config", "B", "A", "user B", "user A", "vault B", "vault A"]
    accounts += [*(f"account {i}" for i in range(17)), "host A"]
    scene.call(1, PUMP_SWAP, accounts, bytes.fromhex("66063d1201daebea") + u64(900, 2000))
    trade(scene)
    for party, amount in (("host A", 5), ("host 2A", 3)):
        scene.transfer(2, "user A", party, "user", amount)
    event = bytes.fromhex("67f4521f2cf57777") + u64(0, 900, 2000, 0, 0, 10**12, 10**12)
    event += u64(990, 20, 10, 5, 5, 1000, 1008) + key("pool") + key("user") + bytes(128)
    event += key("creator") + u64(5, 3) + bytes(41) + u64(0)
    scene.event(2, PUMP_SWAP, event)
    assert rows(scene) == [(1000, 900, 1008, 900)]
    assert event_flags(scene) == [CONFIRMED]


@pytest.mark.parametrize("buy", [True, False])
def test_pump_fun_against_another_quote_mint(scene: Scene, buy: bool) -> None:
    """By the transfers, as on any pool with two vaults. (The reference takes all for SOL.)"""
    accounts = [*(f"account {i}" for i in range(10)), "pool", "vault B", "vault A", "user"]
    disc = "b817ee6167c5d33d" if buy else "5df6823ce7e940b2"
    scene.call(1, PUMP_FUN, [*accounts, "user B", "user A"], bytes.fromhex(disc) + u64(900, 2000))
    if buy:
        trade(scene)
        scene.transfer(2, "user A", "host A", "user", 12)
    else:
        scene.transfer(2, "user B", "vault B", "user", 900)
        scene.transfer(2, "vault A", "user A", "pool", 988)
        scene.transfer(2, "vault A", "host A", "pool", 12)
    event = bytes.fromhex("bddb7fd34ee661ee") + key("B") + u64(0, 900) + bytes([buy])
    event += key("user") + u64(0, 10**10, 10**12, 5, 6) + key("f") + u64(95, 9) + key("c")
    event += u64(30, 3) + bytes(33) + struct.pack("<I", 6) + b"buy_v2" + bytes(33)
    event += struct.pack("<I", 1) + bytes(34) + key("A") + u64(1000, 7, 8)
    scene.event(2, PUMP_FUN, event)
    (leg,) = compiled.transactions([scene.message()])[0].legs
    sides = [(address("A"), 1000, 1012 if buy else 988, 8), (address("B"), 900, 900, 6)]
    into, out = sides if buy else sides[::-1]
    assert (leg.mint_in, leg.amount_in, leg.trader_in, leg.reserve_in) == into
    assert (leg.mint_out, leg.amount_out, leg.trader_out, leg.reserve_out) == out
    assert event_flags(scene) == [CONFIRMED]


def raydium(scene: Scene, height: int, into: str = "A", out: str = "B") -> None:
    accounts = ["token", "pool", "authority", "orders", "vault A", "vault B"]
    accounts += [*(f"market {i}" for i in range(8)), f"user {into}", f"user {out}", "user"]
    scene.call(height, RAYDIUM, accounts, b"\x09" + u64(1000, 1))


def test_there_and_back_on_one_pool_below_two_routers(scene: Scene) -> None:
    scene.call(1, OKX, ["user"], bytes(8))
    scene.call(2, JUPITER, ["user"], bytes(8))
    raydium(scene, 3)
    trade(scene, 4)
    raydium(scene, 3, "B", "A")
    scene.transfer(4, "user B", "vault B", "user", 900)
    scene.transfer(4, "vault A", "user A", "authority", 990)
    assert rows(scene) == [(1000, 900, 1000, 900), (900, 990, 900, 990)]
    legs = compiled.transactions([scene.message()])[0].legs
    assert [leg.router for leg in legs] == ["jupiter_v6", "jupiter_v6"]
    assert [(leg.reserve_in, leg.reserve_out) for leg in legs] == [
        (10**12 + 1000, 10**12 - 900),
        (10**12, 10**12 + 10),
    ]


def test_transfers_of_nothing_are_no_trade(scene: Scene) -> None:
    raydium(scene, 1)
    scene.transfer(2, "user A", "vault A", "user", 1000)
    scene.transfer(2, "vault B", "user B", "authority", 0)
    assert rows(scene) == []


def test_two_hops_hand_over_from_vault_to_vault(scene: Scene) -> None:
    accounts = ["pool", "pool 2", "A", "B", "C", "token", "token", "token", "user A", "vault A"]
    accounts += ["vault B", "vault 2B", "vault 2C", "user C", "user"]
    scene.call(1, WHIRLPOOL, accounts, bytes.fromhex("ba8fd11dfe02c275") + bytes(51))
    scene.transfer(2, "user A", "vault A", "user", 1000)
    scene.transfer(2, "vault B", "vault 2B", "pool", 900)
    scene.transfer(2, "vault 2C", "user C", "pool 2", 800)
    assert rows(scene) == [(1000, 900, 1000, 900), (900, 800, 900, 800)]


def hops(scene: Scene) -> None:
    accounts = ["user", "user A", "A", "token", "token 2022", "memo"]
    accounts += ["config", "pool", "user B", "vault A", "vault B", "B", "observed", "ticks"]
    accounts += ["config 2", "pool 2", "user C", "vault 2B", "vault 2C", "C", "observed 2"]
    scene.call(1, CLMM, accounts, bytes.fromhex("457d73daf5baf2c4") + u64(1000, 1))
    trade(scene)
    scene.transfer(2, "user B", "vault 2B", "user", 900)
    scene.transfer(2, "vault 2C", "user C", "pool 2", 800)


@pytest.mark.parametrize("position", [None, 0, 7, 15])
def test_hops_of_a_pool_program_that_routes(scene: Scene, position: int | None) -> None:
    """Also where payer or pool lie outside the key table. (The reference leaves these hops out.)"""
    hops(scene)
    message = scene.message()
    if position is not None:
        ix = message.transaction.message.instructions[0]
        ix.accounts = ix.accounts[:position] + b"\xfa" + ix.accounts[position + 1 :]
    found = compiled.transactions([message])[0].legs
    assert [(leg.amount_in, leg.amount_out) for leg in found] == [(1000, 900), (900, 800)]
    assert [leg.pool for leg in found] == [
        None if position == 7 else address("pool"),
        None if position == 15 else address("pool 2"),
    ]
