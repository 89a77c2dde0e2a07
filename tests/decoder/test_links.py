"""Who gave something to whom: one case a test, then made transactions against the reference."""

from __future__ import annotations

import struct

import pytest
from decoder.scene import Scene, address, key
from fuzz.seeds import made_transactions
from hypothesis import given
from hypothesis import strategies as st
from reference import compiled, decoder
from reference.links import Link, links
from reference.transaction import SYSTEM, TOKEN_PROGRAMS

from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction

TIP = "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5"
RAYDIUM = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
JUPITER = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
SOL = 10**9


def lamports(scene: Scene, height: int, giver: str, to: str, amount: int = SOL) -> None:
    scene.call(height, SYSTEM, [giver, to], struct.pack("<IQ", 2, amount))


def with_seed(scene: Scene, height: int, giver: str, to: str, amount: int = SOL) -> None:
    data = struct.pack("<IQQ", 11, amount, 4) + b"seed" + bytes(32)
    scene.call(height, SYSTEM, ["derived", giver, to], data)


def close(scene: Scene, height: int, owner: str, to: str) -> None:
    scene.call(height, TOKEN_PROGRAMS[0], ["closed", to, owner], b"\x09")


def opened(scene: Scene, account: str, owner: str, tag: int = 18) -> None:
    """A token account that is not in the balances."""
    data, accounts = bytes([tag]), [account, "mint"]
    if tag == 1:
        accounts += [owner, "rent"]
    else:
        data += key(owner)
    scene.call(1, TOKEN_PROGRAMS[0], accounts, data)


def told(message: ConfirmedTransaction) -> list[Link]:
    """By the compiled decoder, which agrees with the reference (but for what is a leg)."""
    parsed = compiled.batch([message.SerializeToString()])
    own = [link for _, link in compiled.links(parsed)]
    assert own == links(message, tuple(compiled.legs(parsed)))
    return own


def found(scene: Scene) -> list[Link]:
    return told(scene.message())


def link(kind: str, receiver: str, giver: str = "user") -> Link:
    return Link(kind, address(giver), address(receiver))  # pyright: ignore[reportArgumentType]


def test_lamports() -> None:
    scene = Scene()
    lamports(scene, 1, "user", "friend")
    with_seed(scene, 1, "user", "other")
    assert found(scene) == [link("lamports", "friend"), link("lamports", "other")]


@pytest.mark.parametrize(("amount", "told"), [(0, False), (4999, False), (5000, True)])
def test_less_than_a_signature_costs_is_no_gift(amount: int, told: bool) -> None:
    scene = Scene()
    lamports(scene, 1, "user", "friend", amount)
    assert bool(found(scene)) == told


def test_no_tip_nothing_to_oneself_and_nothing_that_nobody_signed() -> None:
    scene = Scene()
    lamports(scene, 1, "user", TIP)
    lamports(scene, 1, "user", "user")
    lamports(scene, 1, "somebody", "friend")
    with_seed(scene, 1, "somebody", "friend")
    close(scene, 1, "somebody", "friend")
    close(scene, 1, "user", "user")
    assert found(scene) == []


def test_what_goes_into_a_token_account_is_its_owners() -> None:
    scene = Scene()
    scene.holds("user", "mint", "own", "own too")
    scene.holds("friend", "mint", "friend's")
    for to in ("own", "friend's"):
        lamports(scene, 1, "user", to)
        close(scene, 1, "user", to)
        scene.transfer(1, "own too", to, "user", 7)
        scene.transfer_checked(1, "own too", to, "user", 7)
    kinds = ("lamports", "close", "tokens", "tokens")
    assert found(scene) == [link(kind, "friend") for kind in kinds]


@pytest.mark.parametrize("tag", [1, 16, 18])
def test_accounts_of_the_transaction_itself(tag: int) -> None:
    scene = Scene()
    scene.holds("user", "mint", "own")
    lamports(scene, 1, "user", "new")  # before it is one
    opened(scene, "new", "friend", tag)
    lamports(scene, 1, "user", "mine")
    opened(scene, "mine", "user", tag)
    scene.transfer(1, "own", "new", "user", 7)
    scene.transfer(1, "own", "nobody's", "user", 7)
    scene.transfer(1, "own", "new", "user", 0)
    assert found(scene) == [link("lamports", "friend"), link("tokens", "friend")]


def test_below_programs() -> None:
    scene = Scene()
    for program, to in (("bot", "one"), (JUPITER, "two"), (RAYDIUM, "three"), ("bot", "four")):
        scene.call(1, program, ["user"], b"\xff")
        lamports(scene, 2, "user", to)
        scene.call(2, JUPITER if program == "bot" else "bot", ["user"], b"\xff")
        close(scene, 3, "user", to)
    both = [link(kind, to) for to in ("one", "four") for kind in ("lamports", "close")]
    assert found(scene) == both


def test_what_goes_into_a_pool_is_a_leg() -> None:
    """Below a program that nobody has listed."""
    scene = Scene()
    scene.holds("user", "in", "user in")
    scene.holds("user", "out", "user out")
    scene.holds("pool", "in", "vault in")
    scene.holds("pool", "out", "vault out")
    scene.holds("service", "in", "fees")
    scene.call(1, "amm", ["state", "user"], b"swap")
    scene.transfer(2, "user in", "vault in", "user", 1_000_000)
    scene.transfer(2, "vault out", "user out", "pool", 2_000_000)
    scene.transfer(1, "user in", "fees", "user", 1_000)
    message = scene.message()
    (leg,) = decoder.decode(message).legs
    assert leg.vault_in == address("vault in")
    assert found(scene) == [link("tokens", "service")]


def test_a_failed_transaction() -> None:
    scene = Scene()
    lamports(scene, 1, "user", "friend")
    message = scene.message()
    assert told(message)
    message.meta.err.err = b"\x01"
    assert told(message) == []


def test_votes_and_what_a_batch_begins_with() -> None:
    """Rows are by the position in the block, whatever had links before."""
    scene = Scene()
    lamports(scene, 1, "user", "friend")
    with_link = scene.message().SerializeToString()
    vote = Scene()
    vote.call(1, "Vote111111111111111111111111111111111111111", ["user"], b"\x0c")
    without = vote.message().SerializeToString()
    parsed = compiled.batch([without, with_link, without, with_link, without])
    assert [at for at, _ in compiled.links(parsed)] == [1, 3]


NAMES = ["user", "friend", "own", "friend's", "new", "pool", TIP]
PROGRAMS = ["bot", JUPITER, RAYDIUM]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    scene = Scene()
    scene.holds("user", "mint", "own")
    scene.holds("friend", "mint", "friend's")
    name = st.sampled_from(NAMES)
    for at in range(draw(st.integers(1, 12))):
        height = draw(st.integers(1, 3)) if at else 1
        amount = draw(st.sampled_from([0, 1, 4999, 5000, SOL, 2**64 - 1]))
        match draw(st.integers(0, 6)):
            case 0:
                lamports(scene, height, draw(name), draw(name), amount)
            case 1:
                with_seed(scene, height, draw(name), draw(name), amount)
            case 2:
                close(scene, height, draw(name), draw(name))
            case 3:
                scene.transfer(height, draw(name), draw(name), draw(name), amount)
            case 4:
                opened(scene, draw(st.sampled_from(["new", "own"])), draw(name))
            case 5:
                scene.call(height, draw(st.sampled_from([SYSTEM, *TOKEN_PROGRAMS])), [], b"\x09")
            case _:
                scene.call(height, draw(st.sampled_from(PROGRAMS)), ["user"], b"\xff")
    return scene


@given(scenes())
def test_made_transactions(scene: Scene) -> None:
    message = scene.message()
    for balance in message.meta.post_token_balances:
        balance.ui_token_amount.amount = "5"  # not below 0
    told(message)


def test_seeds_of_the_fuzzer_have_some() -> None:
    messages = map(ConfirmedTransaction.FromString, made_transactions()[-2:])
    kinds = [{one.kind for one in told(message)} for message in messages]
    assert kinds == [{"lamports", "tokens", "close"}] * 2
