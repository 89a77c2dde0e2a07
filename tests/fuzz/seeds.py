"""What the fuzzers start from: transactions made here and, where present, the real ones."""

import gzip
import os
from base64 import b64encode
from pathlib import Path
from random import Random
from struct import pack
from typing import Any

from solders.pubkey import Pubkey

from fuzz.dictionary import EVENT_PREFIXES, PREFIXES, PROGRAMS
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock, ConfirmedTransaction

TOKEN = bytes(Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"))
JUPITER = bytes(Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"))
WSOL = "So11111111111111111111111111111111111111112"
REPOSITORY = Path(os.environ.get("MEVSTREAM_FUZZ_ROOT", Path(__file__).resolve().parents[2]))

# Accounts of a made transaction: 0 payer and trader, 1 and 2 their token accounts, 3 pool, 4 and 5
# vaults, then what any venue asks for; the programs are last.
ACCOUNTS = 24
# A real transaction beyond this size adds time, not variety.
MAX_SEED_BYTES = 12_000


def shared_data() -> Path | None:
    """The folder of real blocks and transactions, as in tests/conftest.py; None if absent."""
    folder = Path(os.environ.get("MEVSTREAM_DATA") or REPOSITORY.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def made_transactions() -> list[bytes]:
    """For each program one transaction that calls it directly and one through a router."""
    random = Random(0)
    made: list[bytes] = []
    for program in PROGRAMS:
        for routed in (False, True):
            made.append(_swap(program, routed, random).SerializeToString())
    return made


def _swap(program: bytes, routed: bool, random: Random) -> ConfirmedTransaction:
    accounts = [random.randbytes(32) for _ in range(ACCOUNTS)]
    keys = [*accounts, program, TOKEN, JUPITER]
    call = ACCOUNTS, bytes(range(ACCOUNTS - 1, -1, -1)), random.choice(PREFIXES) + bytes(24)
    transaction = ConfirmedTransaction()
    body = transaction.transaction.message
    transaction.transaction.signatures.append(random.randbytes(64))
    body.header.num_required_signatures = 1
    body.account_keys.extend(keys)
    body.recent_blockhash = random.randbytes(32)
    body.versioned = routed
    meta = transaction.meta
    meta.fee = 5000
    meta.compute_units_consumed = 60_000
    meta.pre_balances.extend([10**9] * len(keys))
    meta.post_balances.extend([10**9 - 5000] + [10**9] * (len(keys) - 1))
    depth = 2
    group = meta.inner_instructions.add(index=0)
    if routed:
        body.instructions.add(
            program_id_index=ACCOUNTS + 2, accounts=bytes(range(ACCOUNTS)), data=bytes(32)
        )
        _add(group, *call, depth)
        depth += 1
    else:
        body.instructions.add(program_id_index=call[0], accounts=call[1], data=call[2])
    amount_in, amount_out = random.randrange(2**32), random.randrange(2**32)
    _add(group, ACCOUNTS + 1, bytes([1, 4, 0]), b"\x03" + pack("<Q", amount_in), depth)
    _add(group, ACCOUNTS + 1, bytes([5, 8, 2, 6]), b"\x0c" + pack("<QB", amount_out, 6), depth)
    event = random.choice(EVENT_PREFIXES) + random.randbytes(300)
    self_cpi = bytes.fromhex("e445a52e51cb9a1d") + event
    _add(group, ACCOUNTS, bytes([7]), self_cpi, depth)
    address = str(Pubkey.from_bytes(program))
    meta.log_messages.extend(
        [
            f"Program {address} invoke [1]",
            "Program data: " + b64encode(event).decode(),
            "Program log: ray_log: " + b64encode(b"\x03" + random.randbytes(56)).decode(),
            f"Program {address} success",
        ]
    )
    mint = str(Pubkey.from_bytes(accounts[8]))
    for account, key, owner, before in (
        (1, WSOL, 0, 10**12),
        (2, mint, 0, 10**9),
        (4, WSOL, 6, 10**13),
        (5, mint, 6, 10**13),
    ):
        after = before + {1: -amount_in, 2: amount_out, 4: amount_in, 5: -amount_out}[account]
        for balances, amount in (
            (meta.pre_token_balances, before),
            (meta.post_token_balances, after),
        ):
            balance = balances.add(account_index=account, mint=key)
            balance.owner = str(Pubkey.from_bytes(accounts[owner]))
            balance.program_id = str(Pubkey.from_bytes(TOKEN))
            balance.ui_token_amount.amount = str(amount)
            balance.ui_token_amount.decimals = 9
    return transaction


def _add(group: Any, program: int, accounts: bytes, data: bytes, depth: int) -> None:
    group.instructions.add(
        program_id_index=program, accounts=accounts, data=data, stack_height=depth
    )


def real_transactions(shared: Path, limit: int = 600) -> list[bytes]:
    """Serialised transactions of the real files, without votes that look all alike."""
    found: list[bytes] = []
    for path in sorted((shared / "blocks").glob("*.pb.gz")):
        block = ConfirmedBlock.FromString(gzip.decompress(path.read_bytes()))
        found += [transaction.SerializeToString() for transaction in block.transactions]
    found = [data for data in found if 600 < len(data) < MAX_SEED_BYTES]
    Random(0).shuffle(found)
    return found[:limit]


def made_block(transactions: list[bytes]) -> bytes:
    """A serialised ConfirmedBlock of these transactions."""
    block = ConfirmedBlock(previous_blockhash="1" * 32, blockhash="1" * 31 + "2", parent_slot=41)
    block.block_time.timestamp = 1_700_000_000
    block.block_height.block_height = 40
    for data in transactions:
        block.transactions.add().ParseFromString(data)
    return block.SerializeToString()
