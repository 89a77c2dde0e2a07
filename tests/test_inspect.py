"""mevstream inspect: the JSON contract to the letter, and what it says of bad input."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.seeds import made_transactions

from mevstream.codecs.json_lines import json_lines
from mevstream.codecs.parsed import ParsedView, encode_parsed
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock, ConfirmedTransaction

NONE = 0xFFFFFFFF
U64_MAX = 2**64 - 1
BOTH = {"transaction", "swap"}
# Thirty-two bytes of 0, of 1 and so on, and sixty-four of 0, in base58.
KEYS = np.arange(4, dtype=np.uint8).repeat(32).reshape(4, 32)
TEXTS = [
    "11111111111111111111111111111111",
    "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi",
    "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR",
    "CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8",
]
SIGNATURE = "1" * 64


def view(columns: dict[str, list[Any]]) -> ParsedView:
    """A batch of slot 7 with these columns; keys 0 to 3, names "venue" and "router"."""
    n = len(columns["tx_index"])
    signatures = {"keys": KEYS, "tx_signature": np.zeros((n, 64), np.uint8)}
    return ParsedView(
        encode_parsed({"slot": 7, "names": ["venue", "router"]}, {**signatures, **columns})
    )


def inspect(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "mevstream", "inspect", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def block(transactions: list[bytes]) -> bytes:
    """A stored block with these transactions, each as the bytes it is given as."""
    head = ConfirmedBlock(blockhash=TEXTS[1], previous_blockhash=TEXTS[0], parent_slot=6)
    parts = [head.SerializeToString()]
    for transaction in transactions:
        size = len(transaction)
        parts.append(bytes([0x22, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]))
        parts.append(transaction)
    return b"".join(parts)


def test_a_transaction_line() -> None:
    batch = view(
        {
            "tx_index": [9],
            "tx_payer": [1],
            "tx_flags": [1 | 32],
            "tx_version": [0],
            "tx_fee": [U64_MAX],
            "tx_compute_units": [0],
            "tx_tip": [2**53 + 1],
        }
    )
    assert json_lines(batch, BOTH).decode() == (
        f'{{"record":"transaction","slot":7,"tx_index":9,"signature":"{SIGNATURE}",'
        f'"fee_payer":"{TEXTS[1]}","version":"legacy","success":true,"is_vote":false,'
        f'"fee":{U64_MAX},"compute_units":0,"tip_lamports":{2**53 + 1}}}\n'
    )


def test_a_swap_line() -> None:
    batch = view(
        {
            "tx_index": [9],
            "swap_tx": [0],
            "swap_outer": [3],
            "swap_inner": [1],
            "swap_venue": [0],
            "swap_router": [1],
            "swap_program": [0],
            "swap_pool": [1],
            "swap_trader": [2],
            "swap_mint_in": [3],
            "swap_mint_out": [0],
            "swap_amount_in": [U64_MAX],
            "swap_amount_out": [0],
        }
    )
    assert json_lines(batch, {"swap"}).decode() == (
        f'{{"record":"swap","slot":7,"tx_index":9,"signature":"{SIGNATURE}","ix_path":"3.1",'
        f'"program":"{TEXTS[0]}","venue":"venue","router":"router","pool":"{TEXTS[1]}",'
        f'"trader":"{TEXTS[2]}","mint_in":"{TEXTS[3]}","mint_out":"{TEXTS[0]}",'
        f'"amount_in":{U64_MAX},"amount_out":0}}\n'
    )


def test_a_liquidity_line() -> None:
    row = {"tx": 0, "outer": 3, "inner": 1, "kind": 1, "venue": 0, "program": 0, "pool": 1}
    row |= {"position": 2, "owner": 3, "mint_a": 0, "mint_b": 1, "flags": 32 | 256}
    row |= {"amount_a": U64_MAX, "amount_b": 2, "fee_a": 3, "fee_b": 4, "lower": -5, "upper": 6}
    row |= {"delta_low": 7, "delta_high": 1}
    columns = {f"liquidity_{name}": [value] for name, value in row.items()}
    place = f'"slot":7,"tx_index":9,"signature":"{SIGNATURE}","ix_path":"3.1"'
    assert json_lines(view({"tx_index": [9], **columns}), {"liquidity"}).decode() == (
        f'{{"record":"liquidity",{place},"kind":"remove","program":"{TEXTS[0]}","venue":"venue",'
        f'"pool":"{TEXTS[1]}","position":"{TEXTS[2]}","owner":"{TEXTS[3]}","mint_a":"{TEXTS[0]}",'
        f'"mint_b":"{TEXTS[1]}","amount_a":{U64_MAX},"amount_b":2,"fee_a":3,"fee_b":4,'
        f'"delta":"{2**64 + 7}","lower":-5,"upper":6}}\n'
    )
    none = -(2**31)
    columns |= {f"liquidity_{n}": [NONE] for n in ("inner", "pool", "position", "mint_a", "mint_b")}
    columns |= {"liquidity_flags": [0], "liquidity_lower": [none], "liquidity_upper": [none]}
    told = json.loads(json_lines(view({"tx_index": [9], **columns}), {"liquidity"}))
    assert told["ix_path"] == "3"
    assert {name for name, value in told.items() if value is None} == {
        *("pool", "position", "mint_a", "mint_b", "fee_a", "fee_b", "delta", "lower", "upper")
    }


def test_a_liquidation_line() -> None:
    row = {"tx": 0, "outer": 3, "inner": NONE, "kind": 0, "protocol": 1, "program": 0}
    row |= {"liquidator": 1, "account": 2, "owner": NONE, "repay_mint": 3, "collateral_mint": 0}
    row |= {"flags": 32, "repay_amount": 5, "collateral_amount": U64_MAX, "fee": 6}
    columns = {f"liquidation_{name}": [value] for name, value in row.items()}
    place = f'"slot":7,"tx_index":9,"signature":"{SIGNATURE}","ix_path":"3"'
    assert json_lines(view({"tx_index": [9], **columns}), {"liquidation"}).decode() == (
        f'{{"record":"liquidation",{place},"kind":"loan","program":"{TEXTS[0]}",'
        f'"protocol":"router","liquidator":"{TEXTS[1]}","account":"{TEXTS[2]}","owner":null,'
        f'"repay_mint":"{TEXTS[3]}","collateral_mint":"{TEXTS[0]}","repay_amount":5,'
        f'"collateral_amount":{U64_MAX},"fee":6}}\n'
    )
    columns["liquidation_flags"] = [512]
    told = json.loads(json_lines(view({"tx_index": [9], **columns}), {"liquidation"}))
    assert told["repay_amount"] is told["collateral_amount"] is told["fee"] is None


def test_the_tables_of_a_transaction_stand_together() -> None:
    batch = view(
        {
            "tx_index": [3, 4, 5],
            **{f"{t}_tx": rows for t, rows in (("swap", [0, 2]), ("liquidity", [0, 1]))},
            **{name: [0, 0] for name in ("swap_venue", "swap_router", "liquidity_venue")},
        }
    )
    records = {"transaction", "swap", "liquidity", "liquidation"}
    lines = [json.loads(line) for line in json_lines(batch, records).splitlines()]
    assert [(line["record"][:4], line["tx_index"]) for line in lines] == [
        *(("tran", 3), ("swap", 3), ("liqu", 3)),
        *(("tran", 4), ("liqu", 4), ("tran", 5), ("swap", 5)),
    ]


def test_what_is_not_known_is_null() -> None:
    batch = view({"tx_index": [0], "swap_tx": [0], "swap_venue": [0], "swap_program": [0]})
    transaction, swap = map(json.loads, json_lines(batch, BOTH).splitlines())
    assert (
        transaction["version"] is transaction["fee_payer"] is transaction["compute_units"] is None
    )
    assert swap["ix_path"] == "0"
    assert [swap[name] for name in ("router", "pool", "trader", "mint_in")] == [None] * 4


@pytest.mark.parametrize(("column", "version"), [(0, "legacy"), (1, 0), (2, 1), (NONE, None)])
def test_versions(column: int, version: str | int | None) -> None:
    lines = json_lines(view({"tx_index": [0], "tx_version": [column]}), BOTH)
    assert json.loads(lines)["version"] == version


def test_each_transaction_is_followed_by_its_swaps() -> None:
    batch = view(
        {
            "tx_index": [4, 5, 6, 7],
            "swap_tx": [0, 0, 3],
            "swap_outer": [0, 1, 2],
            "swap_venue": [0, 0, 0],
            "swap_program": [0, 0, 0],
        }
    )
    lines = [json.loads(line) for line in json_lines(batch, BOTH).splitlines()]
    assert [(line["record"][0], line["tx_index"], line.get("ix_path")) for line in lines] == [
        ("t", 4, None),
        ("s", 4, "0"),
        ("s", 4, "1"),
        ("t", 5, None),
        ("t", 6, None),
        ("t", 7, None),
        ("s", 7, "2"),
    ]
    assert json_lines(batch, {"swap"}).splitlines() == [
        line for line in json_lines(batch, BOTH).splitlines() if b'"swap"' in line
    ]
    assert json_lines(batch, {"opportunity"}) == b""


def test_a_made_block(tmp_path: Path) -> None:
    transactions = made_transactions()[:20]
    path = tmp_path / "block"
    path.write_bytes(block(transactions))
    result = inspect(path, "--slot", "99", "--records", "transactions, swap")
    assert (result.returncode, result.stderr) == (0, b"")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert Counter(line["record"] for line in lines)["transaction"] == 20
    assert {line["slot"] for line in lines} == {99}
    messages = [ConfirmedTransaction.FromString(data) for data in transactions]
    assert [line["version"] for line in lines if line["record"] == "transaction"] == [
        0 if message.transaction.message.versioned else "legacy" for message in messages
    ]
    assert inspect("-", "--slot", "99", stdin=path.read_bytes()).stdout == result.stdout


def test_malformed_transactions_are_told_after_the_rest(tmp_path: Path) -> None:
    transactions = made_transactions()[:300]
    transactions[3] = transactions[3][:-1]
    path = tmp_path / "99.pb.gz"
    path.write_bytes(gzip.compress(block(transactions)))
    result = inspect(path, "--records", "transactions")
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == len(transactions) - 1
    (warning,) = result.stderr.decode().splitlines()
    assert warning.startswith("warning: slot 99: 1 of ")
    assert warning.endswith("(positions in the block: 3)")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--records", "swaps,pools"], "'pools'"),
        (["--records", ""], "''"),
        ([], "slot"),
        (["nothing-here"], "nothing-here"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    path = tmp_path / "block"
    path.write_bytes(block(made_transactions()[:1]))
    result = inspect(path, *arguments)
    assert (result.returncode, result.stdout) == (1, b"")
    (line,) = result.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "99"
    path.write_bytes(block(made_transactions() * 20))
    command = f'"{sys.executable}" -m mevstream inspect "{path}"'
    command += " | head -n 1; echo ${PIPESTATUS[0]}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert result.stdout.splitlines()[1:] == ["0"]


def test_encodings_of_one_block_give_the_same_bytes(shared_data: Path) -> None:
    folder = shared_data / "encoding_parity"
    for kind in ("block", "transaction"):
        outputs = [
            inspect(folder / f"get_{kind}_{encoding}_encoding.json", "--slot", "1")
            for encoding in ("json", "base64")
        ]
        assert outputs[0].returncode == 0, outputs[0].stderr
        assert outputs[0].stdout
        assert outputs[0].stdout == outputs[1].stdout


def test_stored_and_json_blocks_are_in_chain_order(shared_data: Path) -> None:
    for path in sorted((shared_data / "blocks").iterdir()):
        lines = [json.loads(line) for line in inspect(path).stdout.splitlines()]
        order = [(line["tx_index"], line["record"] == "swap") for line in lines]
        assert order == sorted(order)
        indexes = [line["tx_index"] for line in lines if line["record"] == "transaction"]
        assert indexes == list(range(len(indexes)))
