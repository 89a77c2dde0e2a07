"""Every swap instruction of every venue in the reference's table, made up, in both directions.

Real data has few of the rare venues; here the compiled decoder has to find each instruction's
pool, vaults and trader where the reference's own table, written from other sources, has them.
"""

import struct
from itertools import count

import pytest
from decoder.test_reference import comparable
from reference import compiled, decoder
from reference.programs import VENUES, Curve, Fill, Pool, Shape
from reference.transaction import TOKEN_PROGRAMS, WSOL
from solders.pubkey import Pubkey

from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction

JUPITER = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
COIN = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"
OTHER = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
TRADE_EVENT = bytes.fromhex("e445a52e51cb9a1dbddb7fd34ee661ee")
ACCOUNTS = 27
CASES = [
    pytest.param(program, prefix, shape, id=f"{venue}-{prefix or 'any'}")
    for program, (venue, rules) in VENUES.items()
    for prefixes, shape in rules
    for prefix in prefixes
]


class Maker:
    """A transaction with one swap instruction: its accounts are keys 1 to ACCOUNTS in order."""

    def __init__(self, program: str, data: bytes, routed: bool) -> None:
        self.message = ConfirmedTransaction()
        body = self.message.transaction.message
        body.header.num_required_signatures = 1
        self.keys = [bytes([number]) * 32 for number in range(1, ACCOUNTS + 2)]
        self.program, self.token, router = range(len(self.keys), len(self.keys) + 3)
        self.keys += [bytes(Pubkey.from_string(p)) for p in (program, TOKEN_PROGRAMS[0], JUPITER)]
        body.account_keys.extend(self.keys)
        body.versioned = True
        self.message.transaction.signatures.append(bytes(64))
        self.inner = self.message.meta.inner_instructions.add(index=0).instructions
        self.height = 2
        accounts = bytes(range(1, ACCOUNTS + 1))
        if routed:
            body.instructions.add(program_id_index=router, accounts=b"", data=bytes(8))
            self.inner.add(
                program_id_index=self.program, accounts=accounts, data=data, stack_height=2
            )
            self.height = 3
        else:
            body.instructions.add(program_id_index=self.program, accounts=accounts, data=data)

    def place(self, position: int) -> int:
        """Key index of the account at `position` of the swap instruction."""
        return position % ACCOUNTS + 1

    def transfer(self, source: int, destination: int, authority: int, amount: int) -> None:
        self.inner.add(
            program_id_index=self.token,
            accounts=bytes([source, destination, authority]),
            data=b"\x03" + struct.pack("<Q", amount),
            stack_height=self.height,
        )

    def holds(self, account: int, mint: str, amount: int) -> None:
        for told in (self.message.meta.pre_token_balances, self.message.meta.post_token_balances):
            balance = told.add(account_index=account, mint=mint, program_id=TOKEN_PROGRAMS[0])
            balance.ui_token_amount.amount = str(amount)
            balance.ui_token_amount.decimals = 6


def made(program: str, prefix: str, shape: Shape, *, routed: bool, back: bool) -> Maker:
    maker = Maker(program, bytes.fromhex(prefix) + bytes(24), routed)
    amounts = count(1_000_003, 7)
    if isinstance(shape, Curve):
        mint = maker.keys[maker.place(shape.mint)]
        event = TRADE_EVENT + mint + struct.pack("<QQ?", 70, 90, back)
        event += maker.keys[maker.place(shape.trader)] + bytes(200)
        vault, user = maker.place(shape.vault), ACCOUNTS
        maker.holds(vault, str(Pubkey.from_bytes(mint)), 10**12)
        maker.transfer(*(vault, user) if back else (user, vault), user, 90)
        maker.inner.add(
            program_id_index=maker.program, accounts=b"\x01", data=event, stack_height=maker.height
        )
        return maker
    if isinstance(shape, Fill):
        for party, position in ((shape.taker, 2), (shape.maker, 4)):
            source, destination = maker.place(position), maker.place(position + 1)
            maker.transfer(source, destination, maker.place(party), next(amounts))
            for account in (source, destination):
                maker.holds(account, WSOL if position == 2 else COIN, 10**12)
        return maker
    mints = [WSOL, COIN, OTHER]
    pools = shape if isinstance(shape, tuple) else (shape,)
    own, trader = [0, ACCOUNTS - 1, ACCOUNTS], maker.place(pools[0].trader)
    for hop, pool in enumerate(pools):
        vaults = [maker.place(vault) for vault in pool.vaults]
        into, out = vaults[::-1] if back and len(pools) == 1 else vaults
        maker.holds(into, mints[hop], 10**12)
        maker.holds(out, mints[hop + 1], 10**12)
        maker.transfer(own[hop], into, trader, next(amounts))
        maker.transfer(out, own[hop + 1], maker.place(pool.pool), next(amounts))
    return maker


@pytest.mark.parametrize(("program", "prefix", "shape"), CASES)
@pytest.mark.parametrize("routed", [False, True], ids=["direct", "routed"])
@pytest.mark.parametrize("back", [False, True], ids=["forth", "back"])
def test_instruction(program: str, prefix: str, shape: Shape, routed: bool, back: bool) -> None:
    maker = made(program, prefix, shape, routed=routed, back=back)
    reference = decoder.decode(maker.message)
    (found,) = compiled.transactions([maker.message])
    pools = shape if isinstance(shape, tuple) else (shape,)
    assert len(reference.legs) == len(found.legs) == len(pools)
    for leg, wanted, part in zip(found.legs, reference.legs, pools, strict=True):
        assert comparable(leg, wanted) == wanted
        assert leg.router == ("jupiter_v6" if routed else None)
        if isinstance(part, Pool):
            key = Pubkey.from_bytes(maker.keys[maker.place(part.pool)])
            assert leg.pool == str(key)
            assert {leg.amount_in, leg.amount_out} <= set(range(1_000_003, 1_000_050, 7))
