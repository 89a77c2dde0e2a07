"""Who gave something to whom in one transaction, beside trading."""

import struct
from dataclasses import dataclass
from typing import Literal

from mevstream.cext.registry import programs
from mevstream.schemas import confirmed_block_pb2 as cb
from reference.decoder import TIP_ACCOUNTS, Leg
from reference.transaction import SYSTEM, TOKEN_PROGRAMS, Instruction, Tx

# What the package knows of each program is no part of what is compared here: only whether it
# knows it.
LISTED = frozenset(address for _, address, _ in programs())
LEAST_LAMPORTS = 5000

Kind = Literal["lamports", "tokens", "close"]


@dataclass(frozen=True)
class Link:
    kind: Kind
    giver: str
    receiver: str


def links(message: cb.ConfirmedTransaction, legs: tuple[Leg, ...]) -> list[Link]:
    """In execution order. `legs`: the swaps of the transaction."""
    tx = Tx(message)
    if not tx.success:
        return []
    traded_with = {key for leg in legs for key in (leg.pool, leg.vault_in)}
    found: list[Link] = []
    for top in tx.top:
        for ix in (top, *(top.nested() if top.program not in LISTED else ())):
            gift = _gift(tx, ix)
            if gift is None:
                continue
            kind, giver, account = gift
            is_token_account = account in tx.owners or account in tx.opened
            if kind == "tokens" and not is_token_account:
                continue
            receiver = tx.owners.get(account) if is_token_account else account
            if receiver and receiver != giver and tx.signs(giver) and account not in traded_with:
                found.append(Link(kind, giver, receiver))
    return found


def _gift(tx: Tx, ix: Instruction) -> tuple[Kind, str, str] | None:
    """Kind, who signs for it, and the account that it goes into."""
    if ix.program == SYSTEM and len(ix.data) >= 12:
        (tag,) = struct.unpack_from("<I", ix.data)
        for _, to, lamports in tx.sol_transfers([ix]):
            giver = ix.accounts[0 if tag == 2 else 1]
            if to not in TIP_ACCOUNTS and lamports >= LEAST_LAMPORTS and giver != to:
                return "lamports", giver, to
    elif transfer := tx.transfer(ix):
        if transfer.amount:
            return "tokens", transfer.authority, transfer.destination
    elif ix.program in TOKEN_PROGRAMS and ix.data[:1] == b"\x09" and len(ix.accounts) >= 3:
        return "close", ix.accounts[2], ix.accounts[1]
    return None
