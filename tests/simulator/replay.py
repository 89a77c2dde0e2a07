"""A slow second opinion: replays simulated blocks from the ordinary protobuf classes.

It knows the instructions of the System and Token programs and where each venue's instruction
names its pool, its vaults and its trader (protocol facts 2.3 to 2.11), and nothing of how the
simulator makes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from solders.pubkey import Pubkey
from solders.signature import Signature

from mevstream.schemas import confirmed_block_pb2 as pb

SYSTEM = "11111111111111111111111111111111"
VOTE = "Vote111111111111111111111111111111111111111"
SPL = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
SPL_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
JUPITER = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
WSOL = "So11111111111111111111111111111111111111112"
PUMP = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
EVENT_TAG = bytes.fromhex("e445a52e51cb9a1d")
TRADE_EVENT = bytes.fromhex("bddb7fd34ee661ee")
RENT = 2_039_280

SWAP = bytes.fromhex("f8c69e91e17587c8")
SWAP_V2 = bytes.fromhex("2b04ed0b1ac91e62")
SWAP_2 = bytes.fromhex("414b3f4ceb5b5b88")
BUY = bytes.fromhex("66063d1201daebea")
SELL = bytes.fromhex("33e685a4017f83ad")
# Instructions that close a liquidity position: who gets its lamports, which account it is.
CLOSED = {
    ("whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc", bytes.fromhex("01b6873b9b1963df")): (1, 2),
    ("CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK", bytes.fromhex("7b86510031446262")): (0, 3),
}
TWO_HOP = bytes.fromhex("c360ed6c44a2dbe6")
TWO_HOP_V2 = bytes.fromhex("ba8fd11dfe02c275")


@dataclass
class Call:
    """An instruction in execution order, with what it called below it."""

    path: str
    program: str
    accounts: list[str]
    data: bytes
    height: int
    router: str | None = None
    below: list[Call] = field(default_factory=list)


@dataclass
class Transaction:
    """A parsed transaction with its account keys resolved."""

    index: int
    message: pb.ConfirmedTransaction
    keys: list[str]
    calls: list[Call]

    @property
    def failed(self) -> bool:
        return self.message.meta.HasField("err")

    @property
    def is_vote(self) -> bool:
        return any(c.program == VOTE for c in self.calls)

    @property
    def signature(self) -> bytes:
        return self.message.transaction.signatures[0]


def name(key: bytes) -> str:
    return str(Pubkey.from_bytes(key))


def parse(data: bytes) -> tuple[pb.ConfirmedBlock, list[Transaction]]:
    block = pb.ConfirmedBlock()
    block.ParseFromString(data)
    return block, [_parse(i, t) for i, t in enumerate(block.transactions)]


def _parse(index: int, message: pb.ConfirmedTransaction) -> Transaction:
    inside, meta = message.transaction.message, message.meta
    keys = [
        name(k)
        for k in (
            *inside.account_keys,
            *meta.loaded_writable_addresses,
            *meta.loaded_readonly_addresses,
        )
    ]
    inner = {group.index: group.instructions for group in meta.inner_instructions}
    calls: list[Call] = []
    for outer, ix in enumerate(inside.instructions):
        top = Call(
            str(outer), keys[ix.program_id_index], [keys[a] for a in ix.accounts], ix.data, 1
        )
        calls.append(top)
        stack = [top]
        for position, sub in enumerate(inner.get(outer, ())):
            call = Call(
                f"{outer}.{position}",
                keys[sub.program_id_index],
                [keys[a] for a in sub.accounts],
                sub.data,
                sub.stack_height,
            )
            while stack[-1].height >= call.height:
                stack.pop()
            assert call.height == stack[-1].height + 1, "a stack height skips a level"
            parent = stack[-1]
            call.router = "jupiter_v6" if parent.program == JUPITER else parent.router
            for above in stack:
                above.below.append(call)
            stack.append(call)
            calls.append(call)
    return Transaction(index, message, keys, calls)


@dataclass
class Moved:
    """A token transfer: what was sent."""

    source: str
    destination: str
    amount: int
    fee: int


def transfer(call: Call, fee_of: Mapping[str, int]) -> Moved | None:
    """The token transfer that a call is; fee_of: basis points by mint."""
    if call.program not in (SPL, SPL_2022):
        return None
    amount = int.from_bytes(call.data[1:9], "little")
    if call.data[:1] == b"\x03":
        return Moved(call.accounts[0], call.accounts[1], amount, 0)
    if call.data[:1] == b"\x0c":
        fee = -(-amount * fee_of.get(call.accounts[1], 0) // 10_000)
        return Moved(call.accounts[0], call.accounts[2], amount, fee)
    if call.data[:2] == b"\x1a\x01":
        amount = int.from_bytes(call.data[2:10], "little")
        fee = int.from_bytes(call.data[11:19], "little")
        assert fee == -(-amount * fee_of[call.accounts[1]] // 10_000)
        return Moved(call.accounts[0], call.accounts[2], amount, fee)
    return None


@dataclass
class Layout:
    """Positions of pool, the two vaults and the trader in an instruction's accounts."""

    venue: str
    pool: int
    vaults: tuple[int, int]
    trader: int


def layouts(call: Call) -> Iterator[Layout]:
    """The legs that an instruction of a known venue has."""
    disc, n = call.data[:8], len(call.accounts)
    match call.program:
        case "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8":
            if call.data[:1] in (b"\x09", b"\x0b"):
                first = n - 13
                yield Layout("raydium_amm_v4", 1, (first, first + 1), -1)
            elif call.data[:1] in (b"\x10", b"\x11"):
                yield Layout("raydium_amm_v4", 1, (3, 4), -1)
        case "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C":
            yield Layout("raydium_cpmm", 3, (6, 7), 0)
        case "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK":
            if disc in (SWAP, SWAP_V2):
                yield Layout("raydium_clmm", 2, (5, 6), 0)
        case "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc":
            if disc == SWAP:
                yield Layout("orca_whirlpool", 2, (4, 6), 1)
            elif disc == SWAP_V2:
                yield Layout("orca_whirlpool", 4, (8, 10), 3)
            elif disc == TWO_HOP:
                yield Layout("orca_whirlpool", 2, (5, 7), 1)
                yield Layout("orca_whirlpool", 3, (9, 11), 1)
            elif disc == TWO_HOP_V2:
                yield Layout("orca_whirlpool", 0, (9, 10), 14)
                yield Layout("orca_whirlpool", 1, (11, 12), 14)
        case "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo":
            if disc in (SWAP, SWAP_2):
                yield Layout("meteora_dlmm", 0, (2, 3), 10)
        case "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA":
            if disc in (BUY, SELL):
                yield Layout("pump_swap", 0, (7, 8), 1)
        case "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P":
            if disc in (BUY, SELL):
                yield Layout("pump_fun", 3, (3, 4), 6)
        case _:
            pass


def swaps(transaction: Transaction, slot: int, fee_of: Mapping[str, int]) -> list[dict]:
    """The swap records by the rule of the pool's side, from transfers below the instruction."""
    mints = {}
    for balance in (
        *transaction.message.meta.pre_token_balances,
        *transaction.message.meta.post_token_balances,
    ):
        mints[transaction.keys[balance.account_index]] = balance.mint
    out = []
    for call in transaction.calls:
        for layout in layouts(call):
            pool, trader = call.accounts[layout.pool], call.accounts[layout.trader]
            a, b = (call.accounts[v] for v in layout.vaults)
            if layout.venue == "pump_fun":
                event = next(
                    c.data[8:]
                    for c in call.below
                    if c.program == PUMP and c.data[:16] == EVENT_TAG + TRADE_EVENT
                )
                mint, buy = name(event[8:40]), event[56]
                sol, token = (int.from_bytes(event[i : i + 8], "little") for i in (40, 48))
                flow = (WSOL, mint, sol, token) if buy else (mint, WSOL, token, sol)
            else:
                into, outof = defaultdict(int), defaultdict(int)
                for sub in call.below:
                    moved = transfer(sub, fee_of)
                    if moved is not None:
                        into[moved.destination] += moved.amount
                        outof[moved.source] += moved.amount
                source = a if into[a] else b
                target = b if source == a else a
                flow = (mints[source], mints[target], into[source], outof[target])
            out.append(
                {
                    "record": "swap",
                    "slot": slot,
                    "tx_index": transaction.index,
                    "signature": str(Signature.from_bytes(transaction.signature)),
                    "ix_path": call.path,
                    "program": call.program,
                    "venue": layout.venue,
                    "router": call.router,
                    "pool": pool,
                    "trader": trader,
                    "mint_in": flow[0],
                    "mint_out": flow[1],
                    "amount_in": flow[2],
                    "amount_out": flow[3],
                }
            )
    return out


class Ledger:
    """Lamports and token amounts carried from transaction to transaction."""

    def __init__(self, fee_of: Mapping[str, int]) -> None:
        self.fee_of = fee_of
        self.lamports: dict[str, int] = {}
        self.tokens: dict[str, int] = {}
        self.withheld: dict[str, int] = defaultdict(int)
        self.fees = 0

    def run(self, transaction: Transaction) -> None:
        """Checks the balances before, runs the instructions, checks the balances after."""
        meta, keys = transaction.message.meta, transaction.keys
        assert len(meta.pre_balances) == len(meta.post_balances) == len(keys)
        before = dict(zip(keys, meta.pre_balances, strict=True))
        for key, lamports in before.items():
            assert self.lamports.setdefault(key, lamports) == lamports, f"{key} lost its thread"
        pre = {keys[b.account_index]: b for b in meta.pre_token_balances}
        post = {keys[b.account_index]: b for b in meta.post_token_balances}
        assert pre.keys() == post.keys()
        for key, balance in pre.items():
            amount = int(balance.ui_token_amount.amount)
            assert self.tokens.setdefault(key, amount) == amount, f"{key} lost its thread"
        now, tokens = dict(before), {k: int(b.ui_token_amount.amount) for k, b in pre.items()}
        native = {k for k, b in pre.items() if b.mint == WSOL}
        now[keys[0]] -= meta.fee
        self.fees += meta.fee
        if not transaction.failed:
            self._execute(transaction, now, tokens, native)
        assert now == dict(zip(keys, meta.post_balances, strict=True))
        for key, balance in post.items():
            ui = balance.ui_token_amount
            assert tokens[key] == int(ui.amount), key
            _check_ui(ui)
            assert balance.mint == pre[key].mint
            assert balance.owner == pre[key].owner
        self.lamports.update(now)
        self.tokens.update({k: tokens[k] for k in post})

    def _execute(
        self,
        transaction: Transaction,
        lamports: dict[str, int],
        tokens: dict[str, int],
        native: set[str],
    ) -> None:
        for call in transaction.calls:
            data, accounts = call.data, call.accounts
            moved = transfer(call, self.fee_of)
            if moved is not None:
                assert tokens[moved.source] >= moved.amount
                tokens[moved.source] -= moved.amount
                tokens[moved.destination] += moved.amount - moved.fee
                self.withheld[moved.destination] += moved.fee
                if moved.source in native:
                    lamports[moved.source] -= moved.amount
                    lamports[moved.destination] += moved.amount
            elif call.program == SYSTEM:
                at = {b"\x02": 4, b"\0": 4}.get(data[:1])
                if data[:1] == b"\x03":
                    at = 4 + 32 + 8 + int.from_bytes(data[36:44], "little")
                assert at is not None
                amount = int.from_bytes(data[at : at + 8], "little")
                lamports[accounts[0]] -= amount
                lamports[accounts[1]] += amount
                assert lamports[accounts[0]] >= 0
            elif call.program == SPL and data[:1] in (b"\x01", b"\x12"):
                assert accounts[1] == WSOL
                native.add(accounts[0])
                tokens[accounts[0]] = lamports[accounts[0]] - RENT
            elif call.program == SPL and data[:1] == b"\x11":
                tokens[accounts[0]] = lamports[accounts[0]] - RENT
            elif call.program in (SPL, SPL_2022) and data[:1] == b"\x09":
                lamports[accounts[1]] += lamports[accounts[0]]
                lamports[accounts[0]] = 0
                tokens.pop(accounts[0], None)
            elif call.program in (SPL, SPL_2022) and data[:1] == b"\x08":
                # The token of a liquidity position is not among the balances.
                if accounts[0] in tokens:
                    tokens[accounts[0]] -= int.from_bytes(data[1:9], "little")
            elif (call.program, data[:8]) in CLOSED:
                receiver, position = CLOSED[call.program, data[:8]]
                lamports[accounts[receiver]] += lamports[accounts[position]]
                lamports[accounts[position]] = 0
            elif call.program == PUMP and data[:8] == SELL:
                event = next(c.data[8:] for c in call.below if c.data[8:16] == TRADE_EVENT)
                sol, fee, creator_fee = (
                    int.from_bytes(event[i : i + 8], "little") for i in (40, 169, 217)
                )
                lamports[accounts[3]] -= sol
                lamports[accounts[6]] += sol - fee - creator_fee
                lamports[accounts[1]] += fee
                lamports[accounts[8]] += creator_fee

    def close_block(self, block: pb.ConfirmedBlock) -> int:
        """Takes in the block's reward; returns what was burned."""
        (reward,) = block.rewards
        if reward.pubkey in self.lamports:
            self.lamports[reward.pubkey] += reward.lamports
            assert self.lamports[reward.pubkey] == reward.post_balance
        self.lamports[reward.pubkey] = reward.post_balance
        burned = self.fees - reward.lamports
        self.fees = 0
        return burned


def swaps_of(group: Iterable[Transaction], slot: int, fee_of: Mapping[str, int]) -> list[dict]:
    """The swap records of a block's transactions, in order."""
    return [
        record
        for transaction in group
        if not transaction.failed
        for record in swaps(transaction, slot, fee_of)
    ]


def _check_ui(ui: pb.UiTokenAmount) -> None:
    whole, point, part = ui.ui_amount_string.partition(".")
    assert not point or (part and part[-1] != "0")
    assert int(whole + part.ljust(ui.decimals, "0")) == int(ui.amount)
    assert ui.ui_amount == float(int(ui.amount)) / 10.0**ui.decimals
