"""Programs nobody has listed: which token flows below them are a swap, and which only look so.

Both decoders have to say the same. The trader (account 0, the signer) owns token accounts 1 to 3,
a pool's authority (10) owns 4 to 6; each three are of mints A, B and C.
"""

import struct

import pytest
from reference import compiled, decoder
from reference.transaction import TOKEN_PROGRAMS
from solders.pubkey import Pubkey

from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction

UNKNOWN = str(Pubkey.from_bytes(bytes([200]) * 32))
INNER = str(Pubkey.from_bytes(bytes([201]) * 32))
KAMINO_LEND = "KLend2g3cP87fffoy8q1mQqGKjrxjC8boSyAYavgmjD"
JUPITER = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
TRADER, POOL, STRANGER = 0, 10, 11
# account: (mint, owner)
HOLDERS = {
    **{1 + i: (mint, TRADER) for i, mint in enumerate("ABC")},
    **{4 + i: (mint, POOL) for i, mint in enumerate("ABC")},
    **{7 + i: (mint, STRANGER) for i, mint in enumerate("ABC")},
}
KEYS = [bytes([number]) * 32 for number in range(1, 17)]
MINTS = {mint: str(Pubkey.from_bytes(bytes([ord(mint)]) * 32)) for mint in "ABC"}
Call = tuple[int, str, list[int], bytes]  # stack height, program, accounts, data


def program(name: str = UNKNOWN, height: int = 1) -> Call:
    return height, name, [0, 1, 2, 4, 5, 10], bytes(9)


def transfer(source: int, destination: int, amount: int, height: int = 2) -> Call:
    accounts = [source, destination, HOLDERS[source][1]]
    return height, TOKEN_PROGRAMS[0], accounts, b"\x03" + struct.pack("<Q", amount)


def minted(account: int, amount: int) -> Call:
    return 2, TOKEN_PROGRAMS[0], [12, account, POOL], b"\x07" + struct.pack("<Q", amount)


def burnt(account: int, amount: int) -> Call:
    return 2, TOKEN_PROGRAMS[0], [account, 12, TRADER], b"\x08" + struct.pack("<Q", amount)


def made(calls: list[Call]) -> ConfirmedTransaction:
    message = ConfirmedTransaction()
    body, meta = message.transaction.message, message.meta
    body.header.num_required_signatures = 1
    message.transaction.signatures.append(bytes(64))
    programs = list(dict.fromkeys(call[1] for call in calls))
    body.account_keys.extend([*KEYS, *(bytes(Pubkey.from_string(name)) for name in programs)])
    (_, name, accounts, data), *inner = calls
    index = len(KEYS) + programs.index(name)
    body.instructions.add(program_id_index=index, accounts=bytes(accounts), data=data)
    group = meta.inner_instructions.add(index=0)
    for height, name, accounts, data in inner:
        index = len(KEYS) + programs.index(name)
        group.instructions.add(
            program_id_index=index, accounts=bytes(accounts), data=data, stack_height=height
        )
    for account, (mint, owner) in HOLDERS.items():
        for told in (meta.pre_token_balances, meta.post_token_balances):
            balance = told.add(account_index=account, mint=MINTS[mint])
            balance.owner = str(Pubkey.from_bytes(KEYS[owner]))
            balance.ui_token_amount.amount = "1000000"
            balance.ui_token_amount.decimals = 6
    return message


SWAPS = {
    "in and out": ([program(), transfer(1, 4, 100), transfer(5, 2, 900)], "0", 100, 900),
    "with a fee to a third party": (
        [program(), transfer(1, 4, 100), transfer(1, 7, 1), transfer(5, 2, 900)],
        "0",
        100,
        900,
    ),
    "with a fee out of the pool": (
        [program(), transfer(1, 4, 100), transfer(5, 2, 900), transfer(5, 8, 9)],
        "0",
        100,
        909,
    ),
    "the innermost program is the pool's": (
        [program(), program(INNER, 2), transfer(1, 4, 100, 3), transfer(5, 2, 900, 3)],
        "0.0",
        100,
        900,
    ),
}
SWAPS |= {
    "the pool pays first": ([program(), transfer(5, 2, 900), transfer(1, 4, 100)], "0", 100, 900),
    "a fee before the payment": (
        [program(), transfer(1, 7, 1), transfer(1, 4, 100), transfer(5, 2, 900)],
        "0",
        100,
        900,
    ),
    "a fee minted to the pool": (
        [program(), transfer(1, 4, 100), transfer(5, 2, 900), minted(6, 3)],
        "0",
        100,
        900,
    ),
}
OTHERS = {
    "two mints for one": [program(), transfer(1, 4, 100), transfer(5, 2, 9), transfer(6, 3, 8)],
    "liquidity added": [program(), transfer(1, 4, 100), transfer(2, 5, 900), minted(3, 50)],
    "liquidity removed": [program(), burnt(3, 50), transfer(4, 1, 100), transfer(5, 2, 900)],
    "deposit for a receipt": [program(), transfer(1, 4, 100), minted(3, 50)],
    "round trip in one mint": [program(), transfer(1, 4, 100), transfer(4, 1, 99)],
    "nothing given back": [program(), transfer(1, 4, 100), transfer(5, 2, 0)],
    "given to somebody else": [program(), transfer(1, 4, 100), transfer(5, 8, 900)],
    "a lender": [program(KAMINO_LEND), transfer(1, 4, 100), transfer(5, 2, 900)],
    "a router's own transfers": [program(JUPITER), transfer(1, 4, 100), transfer(5, 2, 900)],
}


@pytest.mark.parametrize("case", SWAPS)
def test_flows_that_are_swaps(case: str) -> None:
    calls, path, amount_in, amount_out = SWAPS[case]
    message = made(calls)
    for legs in (decoder.decode(message).legs, compiled.transactions([message])[0].legs):
        (leg,) = legs
        assert (leg.venue, leg.path) == ("unknown", path)
        assert (leg.amount_in, leg.amount_out) == (amount_in, amount_out)
        assert (leg.mint_in, leg.mint_out) == (MINTS["A"], MINTS["B"])
        assert leg.trader == str(Pubkey.from_bytes(KEYS[TRADER]))
        assert leg.program == (INNER if path == "0.0" else UNKNOWN)


@pytest.mark.parametrize("case", OTHERS)
def test_flows_that_are_none(case: str) -> None:
    message = made(OTHERS[case])
    assert decoder.decode(message).legs == ()
    assert compiled.transactions([message])[0].legs == ()
