"""What the fuzzers start from: transactions made here and, where present, the real ones."""

import os
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from random import Random
from struct import pack
from typing import Any

from reference import load
from reference.changes import LAYOUTS, LIQUIDATIONS, leading
from reference.programs import RAYDIUM_STABLE, RAYDIUM_V4, VENUES, Curve, Fill, Pool, Shape
from solders.pubkey import Pubkey

from fuzz.dictionary import EVENT_PREFIXES
from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction

TOKEN = bytes(Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"))
JUPITER = bytes(Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"))
WSOL = "So11111111111111111111111111111111111111112"
REPOSITORY = Path(__file__).resolve().parents[2]

# Accounts of a made transaction: 0 payer and trader, 1 and 2 the trader's token accounts, 3 pool,
# 4 and 5 vaults, 6 their owner, 7 an event authority, 8 a mint, then others; programs are last.
ACCOUNTS = 24
PROGRAM, TOKEN_PROGRAM, ROUTER = range(ACCOUNTS, ACCOUNTS + 3)
# swap_router_base_in, which the reference leaves out: payer, input, mint, three programs, then of
# one hop config, pool, output, vaults, mint, observation and tick arrays.
RAYDIUM_CLMM = "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK"
HOP = (0, 1, 9, 10, 10, 11, 12, 3, 2, 4, 5, 8, 13, 14, 15)
# What the letters of reference.changes stand for. A position is a mint here: any key will do.
LETTERS = {"p": 3, "h": 8, "o": 0, "a": 4, "b": 5}
LETTERS |= {"l": 0, "x": 3, "r": 4, "R": 8, "c": 5, "C": 8, "s": 5, "f": 2}
# Liquidations and moves that only events tell of, and what encloses a receiver's liquidation.
TOLD = (
    ("MFv2hWf31Z9kbCa1snEPYctwafyhdvnV7FZnsebVacA", ("lending_account_liquidate",), "----lx--f-"),
    (
        "MFv2hWf31Z9kbCa1snEPYctwafyhdvnV7FZnsebVacA",
        *(("start_liquidation", "end_liquidation"), "x-l---"),
    ),
    (
        "MFv2hWf31Z9kbCa1snEPYctwafyhdvnV7FZnsebVacA",
        *(("lending_account_repay", "lending_account_withdraw"), "-xl--rc-"),
    ),
    (
        "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH",
        ("liquidate_perp", "liquidate_spot", "liquidate_spot_with_swap_end"),
        "-l--x-",
    ),
    ("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo", ("rebalance_liquidity",), "hp---ab--o-------"),
    (
        "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc",
        ("reposition_liquidity_v2",),
        "p---o-h-----ab-----",
    ),
)
# A real transaction beyond this size adds time, not variety.
MAX_SEED_BYTES = 12_000
VOTE_LOGS = 2


def shared_data() -> Path | None:
    """The folder of real blocks and transactions, as in tests/conftest.py; None if absent."""
    folder = Path(os.environ.get("MEVSTREAM_DATA") or REPOSITORY.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def made_transactions() -> list[bytes]:
    """For each swap or liquidity instruction of each venue, and each liquidation, one transaction
    that calls it, and one routed; and gifts, by the transaction itself and below a program that
    nobody has listed."""
    random = Random(0)
    calls: list[tuple[str, bytes, Sequence[int]]] = [
        (program, b"\x09", range(17)) for program in (RAYDIUM_V4, RAYDIUM_STABLE)
    ]
    for program, (_, shapes) in VENUES.items():
        for prefixes, shape in shapes:
            accounts = _accounts(shape)
            calls += [(program, bytes.fromhex(prefix), accounts) for prefix in prefixes]
    calls.append((RAYDIUM_CLMM, bytes.fromhex("457d73daf5baf2c4"), HOP))
    lists = [(program, n, accounts) for ps, _, n, accounts, *_ in LAYOUTS for _, program in ps]
    lists += [(program, name, accounts) for (_, program), name, accounts in LIQUIDATIONS]
    lists += [(program, name, accounts) for program, names, accounts in TOLD for name in names]
    for program, name, accounts in lists:
        places = [LETTERS.get(letter, 7 + i % 17) for i, letter in enumerate(accounts)]
        calls.append((program, leading(name), places))
    transactions = [
        _transaction(*call, routed, random) for call in calls for routed in (False, True)
    ]
    stranger = str(Pubkey.from_bytes(random.randbytes(32)))
    for nested in (False, True):
        transactions.append(_transaction(stranger, b"", range(9), False, random))
        _give(transactions[-1], nested)
    return [transaction.SerializeToString() for transaction in transactions]


def _give(transaction: ConfirmedTransaction, nested: bool) -> None:
    """Adds lamports, tokens and closed accounts of the payer for somebody else."""
    body = transaction.transaction.message
    system = len(body.account_keys)
    body.account_keys.append(bytes(32))
    for balances in (transaction.meta.pre_balances, transaction.meta.post_balances):
        balances.append(1)
    with_seed = pack("<IQQ", 11, 10**6, 4) + b"seed" + bytes(32)
    for program, accounts, data in (
        (system, [0, 9], pack("<IQ", 2, 10**9)),
        (system, [10, 0, 4], with_seed),
        (TOKEN_PROGRAM, [2, 5, 0], b"\x03" + pack("<Q", 1)),
        (TOKEN_PROGRAM, [1, 8, 11, 0], b"\x0c" + pack("<QB", 7, 9)),
        (TOKEN_PROGRAM, [11, 8], b"\x12" + body.account_keys[12]),
        (TOKEN_PROGRAM, [11, 13, 0], b"\x09"),
    ):
        if nested:
            _add(transaction.meta.inner_instructions[0], program, bytes(accounts), data, 2)
        else:
            body.instructions.add(program_id_index=program, accounts=bytes(accounts), data=data)


def _accounts(shape: Shape) -> Sequence[int]:
    """An account list with the pool and its vaults where the shape has them."""
    accounts = list(range(7, ACCOUNTS))
    for part in shape if isinstance(shape, tuple) else (shape,):
        match part:
            case Pool(pool, (vault_a, vault_b), trader):
                places = {pool: 3, vault_a: 4, vault_b: 5, trader: 0}
            case Curve(pool, vault, trader, mint):
                places = {pool: 3, vault: 4, trader: 0, mint: 8}
            case Fill(taker, maker):
                places = {taker: 0, maker: 6}
        for place, account in places.items():
            accounts[place] = account
    return accounts


def _transaction(
    program: str, prefix: bytes, accounts: Sequence[int], routed: bool, random: Random
) -> ConfirmedTransaction:
    """A swap of wrapped SOL for another token with everything that real ones carry."""
    keys = [random.randbytes(32) for _ in range(ACCOUNTS)]
    mint = str(Pubkey.from_bytes(keys[8]))
    transaction = ConfirmedTransaction()
    transaction.transaction.signatures.append(random.randbytes(64))
    body = transaction.transaction.message
    body.header.num_required_signatures = 1
    body.account_keys.extend([*keys, bytes(Pubkey.from_string(program)), TOKEN, JUPITER])
    body.recent_blockhash = random.randbytes(32)
    body.versioned = routed
    meta = transaction.meta
    meta.fee = 5000
    meta.compute_units_consumed = 60_000
    meta.pre_balances.extend([10**9] * len(body.account_keys))
    meta.post_balances.extend([10**9 - 5000] + [10**9] * (len(body.account_keys) - 1))
    amount_in, amount_out = random.randrange(2**32), random.randrange(2**32)
    data = prefix + pack("<QQ", amount_in, amount_out) + bytes(8)
    group = meta.inner_instructions.add(index=0)
    if routed:
        body.instructions.add(program_id_index=ROUTER, accounts=bytes(range(9)), data=bytes(32))
        _add(group, PROGRAM, bytes(accounts), data, 2)
    else:
        body.instructions.add(program_id_index=PROGRAM, accounts=bytes(accounts), data=data)
    depth = 2 + routed
    _add(group, TOKEN_PROGRAM, bytes([1, 4, 0]), b"\x03" + pack("<Q", amount_in), depth)
    checked = b"\x0c" + pack("<QB", amount_out, 9)
    _add(group, TOKEN_PROGRAM, bytes([5, 8, 2, 6]), checked, depth)
    # Events name the pool, the position or the account at one of a few places.
    named = keys[3] + keys[random.choice((3, 8, 0))] + keys[random.choice((8, 0))]
    event = random.choice(EVENT_PREFIXES) + bytes(random.choice((0, 0, 9))) + named
    event += random.randbytes(300)
    _add(group, PROGRAM, bytes([7]), bytes.fromhex("e445a52e51cb9a1d") + event, depth)
    ray_log = b"\x03" + pack("<7Q", amount_in, 0, 0, 0, 10**13, 10**13, amount_out)
    meta.log_messages.extend(
        [
            f"Program {program} invoke [1]",
            "Program data: " + b64encode(event).decode(),
            "Program log: ray_log: " + b64encode(ray_log).decode(),
            f"Program {program} success",
        ]
    )
    for account, of_mint, owner, before, change in (
        (1, WSOL, 0, 10**12, -amount_in),
        (2, mint, 0, 10**9, amount_out),
        (4, WSOL, 6, 10**13, amount_in),
        (5, mint, 6, 10**13, -amount_out),
    ):
        for balances, amount in (
            (meta.pre_token_balances, before),
            (meta.post_token_balances, before + change),
        ):
            balance = balances.add(account_index=account, mint=of_mint)
            balance.owner = str(Pubkey.from_bytes(keys[owner]))
            balance.program_id = str(Pubkey.from_bytes(TOKEN))
            balance.ui_token_amount.amount = str(amount)
            balance.ui_token_amount.decimals = 9
    return transaction


def _add(group: Any, program: int, accounts: bytes, data: bytes, depth: int) -> None:
    group.instructions.add(
        program_id_index=program, accounts=accounts, data=data, stack_height=depth
    )


def real_transactions(shared: Path, limit: int = 600) -> list[bytes]:
    """Serialised transactions of the real files: all single ones, and as many again of a block."""
    singles = [*shared.glob("transactions/*/*.json.gz"), *shared.glob("golden/transactions/*.json")]
    single = [
        transaction
        for path in sorted(singles)
        if not path.name.startswith("broken")
        for transaction in load.file(path)
    ]
    block = [
        transaction
        for path in sorted((shared / "blocks").glob("*.pb.gz"))
        for transaction in load.file(path)
        # Votes look all alike.
        if len(transaction.meta.log_messages) > VOTE_LOGS
    ]
    Random(0).shuffle(block)
    found = [transaction.SerializeToString() for transaction in (*single, *block)]
    return [data for data in found if len(data) < MAX_SEED_BYTES][:limit]
