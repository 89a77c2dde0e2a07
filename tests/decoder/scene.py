"""A transaction made up by names: accounts, calls in execution order, balances that add up."""

import hashlib
import struct
from dataclasses import dataclass, field

from reference.transaction import TOKEN_PROGRAMS
from solders.pubkey import Pubkey

from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction

SELF_CPI = bytes.fromhex("e445a52e51cb9a1d")
Call = tuple[int, str, list[str], bytes]  # stack height, program, accounts, data


def key(name: str) -> bytes:
    """A program's own address, or some 32 bytes that stand for the name."""
    if len(name) > 31:
        return bytes(Pubkey.from_string(name))
    return hashlib.sha256(name.encode()).digest()


def address(name: str) -> str:
    return str(Pubkey.from_bytes(key(name)))


@dataclass
class Scene:
    """`user` signs. Token accounts are those named to `holds`."""

    calls: list[Call] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    accounts: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    token_2022: set[str] = field(default_factory=set)
    # What mints keep back of checked transfers: (basis points, at most so much).
    fees: dict[str, tuple[int, int]] = field(default_factory=dict)

    def holds(self, owner: str, mint: str, *names: str, before: int = 10**12) -> None:
        self.accounts |= dict.fromkeys(names, (mint, owner, before))

    def call(self, height: int, program: str, accounts: list[str], data: bytes) -> None:
        self.calls.append((height, program, accounts, data))

    def event(self, height: int, program: str, data: bytes) -> None:
        self.call(height, program, ["event authority"], SELF_CPI + data)

    def transfer(
        self, height: int, source: str, to: str, authority: str, amount: int, fee: int | None = None
    ) -> None:
        """Plain; with a fee: the Token-2022 instruction that tells it."""
        if fee is None:
            data = b"\x03" + struct.pack("<Q", amount)
            self.call(height, TOKEN_PROGRAMS[0], [source, to, authority], data)
        else:
            data = b"\x1a\x01" + struct.pack("<QBQ", amount, 6, fee)
            accounts = [source, self.accounts[source][0], to, authority]
            self.call(height, TOKEN_PROGRAMS[1], accounts, data)

    def transfer_checked(
        self, height: int, source: str, to: str, authority: str, amount: int
    ) -> None:
        """Of Token-2022, which does not tell the fee that its mint may have."""
        data = b"\x0c" + struct.pack("<QB", amount, 6)
        self.call(
            height, TOKEN_PROGRAMS[1], [source, self.accounts[source][0], to, authority], data
        )

    def message(self) -> ConfirmedTransaction:
        """The last half of the accounts comes from a lookup table."""
        message = ConfirmedTransaction()
        body, meta = message.transaction.message, message.meta
        message.transaction.signatures.append(bytes(64))
        body.header.num_required_signatures = 1
        body.versioned = True
        names = list(dict.fromkeys(["user", *(n for c in self.calls for n in (*c[2], c[1]))]))
        half = len(names) // 2 + 1
        body.account_keys.extend(map(key, names[:half]))
        meta.loaded_readonly_addresses.extend(map(key, names[half:]))
        outer, inner = -1, None
        for height, program, accounts, data in self.calls:
            places = bytes(names.index(name) for name in accounts)
            if height == 1:
                outer += 1
                body.instructions.add(
                    program_id_index=names.index(program), accounts=places, data=data
                )
                inner = None
                continue
            inner = inner or meta.inner_instructions.add(index=outer)
            inner.instructions.add(
                program_id_index=names.index(program),
                accounts=places,
                data=data,
                stack_height=height,
            )
        self._balances(message, names)
        meta.log_messages.extend(self.logs)
        return message

    def _balances(self, message: ConfirmedTransaction, names: list[str]) -> None:
        after = {name: before for name, (_, _, before) in self.accounts.items()}
        for _, program, accounts, data in self.calls:
            if program not in TOKEN_PROGRAMS:
                continue
            fee = 0
            if data[0] == 3:
                (amount,), (source, to, _) = struct.unpack("<Q", data[1:9]), accounts
            elif data[0] == 26:
                amount, _, fee = struct.unpack("<QBQ", data[2:19])
                source, _, to, _ = accounts
            elif data[0] == 12:
                (amount,), (source, mint, to, _) = struct.unpack("<Q", data[1:9]), accounts
                rate, most = self.fees.get(mint, (0, 0))
                fee = min(-(-amount * rate // 10_000), most)
            else:
                continue
            if source in after:
                after[source] -= amount
            if to in after:
                after[to] += amount - fee
        for name, (mint, owner, before) in self.accounts.items():
            if name not in names:
                continue
            for told, amount in (
                (message.meta.pre_token_balances, before),
                (message.meta.post_token_balances, after[name]),
            ):
                balance = told.add(account_index=names.index(name), mint=address(mint))
                balance.owner = address(owner)
                balance.program_id = TOKEN_PROGRAMS[name in self.token_2022]
                balance.ui_token_amount.amount = str(amount)
                balance.ui_token_amount.decimals = 6
