"""One ConfirmedTransaction as Python objects: accounts, instructions in execution order, transfers.

Sources: solana-storage.proto (field meanings), the SPL Token and System program layouts.
"""

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from solders.pubkey import Pubkey

from mevstream.schemas import confirmed_block_pb2 as cb

SYSTEM = "11111111111111111111111111111111"
VOTE = "Vote111111111111111111111111111111111111111"
# SPL Token, Token-2022.
TOKEN_PROGRAMS = (
    "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
    "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
)
WSOL = "So11111111111111111111111111111111111111112"


@lru_cache(maxsize=200_000)
def base58(key: bytes) -> str:
    """A 32-byte key as text; any other length as hex, so that bad data stays visible."""
    return str(Pubkey.from_bytes(key)) if len(key) == 32 else f"0x{key.hex()}"


@dataclass
class Instruction:
    outer: int
    inner: int | None
    height: int
    program: str
    accounts: list[str]
    data: bytes
    parent: "Instruction | None" = None
    children: list["Instruction"] = field(default_factory=list)

    @property
    def path(self) -> str:
        return str(self.outer) if self.inner is None else f"{self.outer}.{self.inner}"

    def nested(self) -> "list[Instruction]":
        """Every instruction below this one, in execution order."""
        found: list[Instruction] = []
        for child in self.children:
            found.append(child)
            found.extend(child.nested())
        return found

    def account(self, index: int) -> str | None:
        """Account at `index` (negative: from the end), None where there are fewer."""
        return self.accounts[index] if -len(self.accounts) <= index < len(self.accounts) else None


@dataclass(frozen=True)
class Transfer:
    """A token transfer. `fee` is what the mint withholds from the receiver, as far as told."""

    source: str
    destination: str
    authority: str
    amount: int
    mint: str | None
    fee: int


class Tx:
    """Accounts, instructions and token accounts of one transaction."""

    def __init__(self, message: cb.ConfirmedTransaction) -> None:
        body, self.meta = message.transaction.message, message.meta
        self.message = message
        self.signatures = list(message.transaction.signatures)
        self.success = message.HasField("meta") and not self.meta.HasField("err")
        self.accounts = [
            base58(key)
            for keys in (
                body.account_keys,
                self.meta.loaded_writable_addresses,
                self.meta.loaded_readonly_addresses,
            )
            for key in keys
        ]
        self.top = self._instructions(body)
        self.instructions = [ix for top in self.top for ix in (top, *top.nested())]
        self.mints: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.decimals: dict[str, int] = {}
        self.opened: set[str] = set()
        self._change: dict[str, int] = {}
        self._token_accounts()

    def _key(self, index: int) -> str:
        return self.accounts[index] if index < len(self.accounts) else f"#{index}"

    def _instructions(self, body: cb.Message) -> list[Instruction]:
        inner: dict[int, list[cb.InnerInstruction]] = {}
        for group in self.meta.inner_instructions:
            inner.setdefault(group.index, []).extend(group.instructions)
        top: list[Instruction] = []
        for outer, compiled in enumerate(body.instructions):
            root = self._instruction(outer, None, 1, compiled)
            stack = [root]
            for position, ix in enumerate(inner.get(outer, [])):
                # Blocks before 2022's end carry no heights.
                height = ix.stack_height if ix.HasField("stack_height") else 2
                node = self._instruction(outer, position, height, ix)
                while len(stack) > 1 and stack[-1].height >= height:
                    stack.pop()
                node.parent = stack[-1]
                stack[-1].children.append(node)
                stack.append(node)
            top.append(root)
        return top

    def _instruction(
        self,
        outer: int,
        inner: int | None,
        height: int,
        ix: "cb.CompiledInstruction | cb.InnerInstruction",
    ) -> Instruction:
        accounts = [self._key(index) for index in ix.accounts]
        return Instruction(outer, inner, height, self._key(ix.program_id_index), accounts, ix.data)

    def _token_accounts(self) -> None:
        """Mint and owner of every token account, from the balances, then from instructions."""
        balances = [*self.meta.pre_token_balances, *self.meta.post_token_balances]
        for balance in balances:
            account = self._key(balance.account_index)
            self.mints[account] = balance.mint
            self.owners[account] = balance.owner
            self.decimals[balance.mint] = balance.ui_token_amount.decimals
        held = [
            {self._key(b.account_index): int(b.ui_token_amount.amount or 0) for b in told}
            for told in (self.meta.pre_token_balances, self.meta.post_token_balances)
        ]
        # Of token accounts that exist in the end, by how much they grew.
        self._change = {key: after - held[0].get(key, 0) for key, after in held[1].items()}
        plain: list[tuple[str, str]] = []
        for ix in self.instructions:
            if ix.program not in TOKEN_PROGRAMS or not ix.data:
                continue
            tag = ix.data[0]
            if tag in (1, 16, 18) and len(ix.accounts) >= 2:  # InitializeAccount, …2, …3
                self.opened.add(ix.accounts[0])
                self.mints.setdefault(ix.accounts[0], ix.accounts[1])
                if tag == 1 and len(ix.accounts) >= 3:
                    self.owners.setdefault(ix.accounts[0], ix.accounts[2])
                elif len(ix.data) == 33:
                    self.owners.setdefault(ix.accounts[0], base58(ix.data[1:]))
            elif tag == 12 and len(ix.accounts) >= 4 and len(ix.data) >= 10:
                for account in (ix.accounts[0], ix.accounts[2]):
                    self.mints.setdefault(account, ix.accounts[1])
                self.decimals.setdefault(ix.accounts[1], ix.data[9])
            elif tag == 3 and len(ix.accounts) >= 3:
                plain.append((ix.accounts[0], ix.accounts[1]))
        for _ in range(2):
            for one, other in plain:
                for known, unknown in ((one, other), (other, one)):
                    if known in self.mints:
                        self.mints.setdefault(unknown, self.mints[known])

    def signs(self, account: str) -> bool:
        """Whether `account` signed the transaction."""
        required = self.message.transaction.message.header.num_required_signatures
        return account in self.accounts[:required]

    def balance_after(self, ix: Instruction, account: str) -> int | None:
        """Tokens in `account` right after `ix`: its balance at the end of the transaction less what
        came in later, plus what went out. None where no balance is told."""
        for balance in self.meta.post_token_balances:
            if self._key(balance.account_index) == account:
                amount = int(balance.ui_token_amount.amount)
                break
        else:
            return None
        own = {id(ix), *(id(nested) for nested in ix.nested())}
        start = next(i for i, other in enumerate(self.instructions) if id(other) == id(ix))
        for later in self.instructions[start:]:
            if id(later) in own:
                continue
            transfer = self.transfer(later)
            if transfer is not None:
                amount -= (transfer.amount - transfer.fee) * (transfer.destination == account)
                amount += transfer.amount * (transfer.source == account)
        return amount

    def transfer(self, ix: Instruction) -> Transfer | None:
        """The token transfer that `ix` is, None if it is something else."""
        if ix.program not in TOKEN_PROGRAMS or not ix.data:
            return None
        accounts, data = ix.accounts, ix.data
        if data[0] == 3 and len(data) >= 9 and len(accounts) >= 3:
            source, destination, authority = accounts[:3]
            mint = self.mints.get(source) or self.mints.get(destination)
            return Transfer(source, destination, authority, _u64(data, 1), mint, 0)
        if data[0] == 12 and len(data) >= 10 and len(accounts) >= 4:
            source, mint, destination, authority = accounts[:4]
            amount = _u64(data, 1)
            fee = self._withheld(ix, destination, amount)
            return Transfer(source, destination, authority, amount, mint, fee)
        if data[:2] == b"\x1a\x01" and len(data) >= 19 and len(accounts) >= 4:
            if ix.program != TOKEN_PROGRAMS[1]:
                return None
            source, mint, destination, authority = accounts[:4]
            return Transfer(source, destination, authority, _u64(data, 2), mint, _u64(data, 11))
        return None

    def _withheld(self, ix: Instruction, destination: str, amount: int) -> int:
        """Fee that a Token-2022 mint kept back though the instruction does not tell it: this
        transfer's part of what the receiver lacks in the end, if only transfers touched it."""
        if ix.program != TOKEN_PROGRAMS[1] or destination not in self._change:
            return 0
        lacks, silent, place = -self._change[destination], list[int](), 0
        for other in self.instructions:
            if other.program not in TOKEN_PROGRAMS or destination not in other.accounts:
                continue
            tag, data = other.data[:1], other.data
            if tag == b"\x0c":
                source, _, to = other.accounts[:3]
                if to == destination:
                    place = len(silent) if other is ix else place
                    silent.append(_u64(data, 1))
                lacks += _u64(data, 1) * ((to == destination) - (source == destination))
            elif tag == b"\x03":
                source, to = other.accounts[:2]
                lacks += _u64(data, 1) * ((to == destination) - (source == destination))
            elif data[:2] == b"\x1a\x01":
                source, _, to = other.accounts[:3]
                lacks += (_u64(data, 2) - _u64(data, 11)) * (to == destination)
                lacks -= _u64(data, 2) * (source == destination)
            elif tag in (b"\x07", b"\x08", b"\x0e", b"\x0f", b"\x1a", b"\x1b"):
                return 0
        if lacks <= 0 or lacks > sum(silent):
            return 0
        # Basis points, rounded up; where no rate gives the sum there is a largest fee.
        rate = lacks * 10_000 // sum(silent)
        fees = [-(-one * rate // 10_000) for one in silent]
        if sum(fees) != lacks:
            ends = [lacks * sum(silent[:n]) // sum(silent) for n in range(len(silent) + 1)]
            fees = [end - start for start, end in pairwise(ends)]
        return fees[place]

    def transfers(self, ix: Instruction) -> list[Transfer]:
        """Token transfers nested below `ix` at any depth, in execution order."""
        found = (self.transfer(nested) for nested in ix.nested())
        return [transfer for transfer in found if transfer is not None]

    def sol_transfers(self, among: list[Instruction] | None = None) -> list[tuple[str, str, int]]:
        """(from, to, lamports) of every System transfer `among` these instructions, or of all."""
        found: list[tuple[str, str, int]] = []
        for ix in self.instructions if among is None else among:
            if ix.program != SYSTEM or len(ix.data) < 12:
                continue
            tag = struct.unpack_from("<I", ix.data)[0]
            to = {2: 1, 11: 2}.get(tag)  # Transfer; TransferWithSeed names the base in between
            if to is not None and len(ix.accounts) > to:
                found.append((ix.accounts[0], ix.accounts[to], _u64(ix.data, 4)))
        return found


def _u64(data: bytes, offset: int) -> int:
    return struct.unpack_from("<Q", data, offset)[0]
