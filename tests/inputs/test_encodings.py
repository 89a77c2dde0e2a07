"""The same transactions in every form give the same bytes, those of long-term storage."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import orjson
import pytest
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock, ConfirmedTransaction
from mevstream.schemas.geyser_pb2 import SubscribeUpdate
from mevstream.schemas.raw_pb2 import Commitment
from mevstream.topologies.raw.json_transaction import encode_transaction
from mevstream.topologies.raw.sources import open_sources

from .conftest import Block
from .conversions import (
    block_json,
    block_protobuf,
    fill_info,
    framed,
    parse,
    rows,
    transaction_json,
    transaction_update,
    wire,
)

ENCODINGS = ("json", "base64", "base64+zstd", "base58")
Put = Callable[[str, bytes], str]


def test_real_blocks_are_read_whole(blocks: list[Block]) -> None:
    # Counts of transactions and votes are those of the blocks' README.
    counts = {block.slot: len(block.payloads) for block in blocks}
    assert counts == {285000037: 557, 316719544: 2021, 332254908: 1862}
    for block in blocks:
        assert block.header.parent_slot == block.slot - 1
        assert block.header.commitment == Commitment.COMMITMENT_CONFIRMED
        assert len(block.header.blockhash) == len(block.header.parent_blockhash) == 32
        assert block.header.block_time > 1_700_000_000
        assert block.header.block_height > 200_000_000


def test_stored_bytes_are_untouched(blocks: list[Block], stored_block: bytes) -> None:
    block = ConfirmedBlock.FromString(stored_block)
    stored = [transaction.SerializeToString() for transaction in block.transactions]
    assert list(blocks[2].payloads) == stored


def test_conversions_agree_with_solders(blocks: list[Block]) -> None:
    """The tests' own writer of the wire form is right, else what follows proves little."""
    versions = Counter[str]()
    for payload in blocks[1].payloads[::7]:
        data = wire(ConfirmedTransaction.FromString(payload).transaction)
        parsed = VersionedTransaction.from_bytes(data)
        assert bytes(parsed) == data
        versions[repr(parsed.version())] += 1
    assert len(versions) == 2


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_of_a_stored_block_gives_the_stored_bytes(blocks: list[Block], encoding: str) -> None:
    """Block 332254908 is known in the bytes of storage: an oracle from outside."""
    for payload in blocks[2].payloads:
        entry = orjson.loads(orjson.dumps(transaction_json(payload, encoding)))
        assert encode_transaction(entry) == payload


@pytest.mark.usefixtures("still_clock")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_batches_of_all_encodings_are_equal(blocks: list[Block], encoding: str, put: Put) -> None:
    for block in blocks:
        value = block_json(block.payloads, block.header, encoding)
        expected = list(
            open_sources([put(f"a/{block.slot}.x", block_protobuf(block.payloads, block.header))])
        )
        path = put(f"b/{block.slot}.x", orjson.dumps(value))
        assert list(open_sources([path])) == expected
        assert len(expected) == (len(block.payloads) + 255) // 256


@pytest.mark.usefixtures("still_clock")
def test_real_encodings_are_equal(shared_data: Path) -> None:
    folder = shared_data / "encoding_parity"
    for kind, count in (("block", 25), ("transaction", 1)):
        first, second = (
            parse(open_sources([str(folder / f"get_{kind}_{name}_encoding.json")], slot=147078735))
            for name in ("json", "base64")
        )
        assert rows(first) == rows(second)
        assert len(rows(first)) == count
        assert first[0].blockhash == second[0].blockhash


def test_transaction_updates_in_any_order(blocks: list[Block], put: Put) -> None:
    expected = [
        (slot, index, payload)
        for slot, block in enumerate(blocks[:2], 500)
        for index, payload in enumerate(block.payloads[:600])
    ]
    updates = [transaction_update(*row) for row in expected]
    Random(5).shuffle(updates)
    batches = parse(open_sources([put("stream.bin", framed(updates))]))
    assert sorted(rows(batches)) == expected
    for batch in batches:
        assert not batch.tx_index
        assert batch.commitment == Commitment.COMMITMENT_PROCESSED


def test_block_update(blocks: list[Block], put: Put) -> None:
    block = blocks[0]
    update = SubscribeUpdate()
    update.block.slot = block.slot
    update.block.blockhash = "11111111111111111111111111111112"
    update.block.parent_slot = block.slot - 1
    update.block.block_time.timestamp = 1_700_000_000
    update.block.block_height.block_height = 260_000_000
    for index, payload in reversed(list(enumerate(block.payloads))):
        fill_info(update.block.transactions.add(), index, payload)
    batches = parse(open_sources([put("stream.bin", framed([update]))]))
    assert rows(batches) == [(block.slot, i, payload) for i, payload in enumerate(block.payloads)]
    for batch in batches:
        assert batch.blockhash == bytes(31) + b"\x01"
        assert batch.parent_slot == block.slot - 1
        assert batch.block_time == 1_700_000_000
        assert batch.block_height == 260_000_000


@pytest.mark.usefixtures("still_clock")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_single_transactions(blocks: list[Block], encoding: str, put: Put) -> None:
    """One, an array and lines of getTransaction results, of several slots in turn."""
    entries = [
        {"slot": 10 + i % 3, "blockTime": 5, **transaction_json(payload, encoding)}
        for i, payload in enumerate(blocks[1].payloads[:30])
    ]
    expected = [
        (10 + slot, i // 3, payload)
        for slot in range(3)
        for i, payload in enumerate(blocks[1].payloads[:30])
        if i % 3 == slot
    ]
    array = list(open_sources([put("1/x", orjson.dumps(entries))]))
    lines = list(open_sources([put("2/x", b"\n".join(map(orjson.dumps, entries)) + b"\n\n")]))
    assert array == lines
    assert rows(parse(array)) == expected
    assert {batch.block_time for batch in parse(array)} == {5}
    one = [put(f"3/{i:02}/x", orjson.dumps(entry)) for i, entry in enumerate(entries)]
    assert list(open_sources(one)) == array


def test_real_single_transactions(shared_data: Path) -> None:
    expected = orjson.loads((shared_data / "transactions" / "expected.json").read_bytes())
    read = 0
    for name, entry in expected.items():
        if name.endswith(".ts.gz"):
            continue
        # Blocks and one transaction do not tell their slot.
        path = str(shared_data / "transactions" / name)
        batches = parse(open_sources([path], slot=entry["slot"] or 1))
        signatures = [
            ConfirmedTransaction.FromString(payload).transaction.signatures[0]
            for _, _, payload in rows(batches)
        ]
        assert signatures, name
        if entry["signature"]:
            assert bytes(Signature.from_string(entry["signature"])) in signatures, name
        assert entry["slot"] in (None, batches[0].slot), name
        read += 1
    assert read == 77


def test_uncompressed_wire_form_of_golden_transactions(shared_data: Path) -> None:
    """The 26 sound ones of the golden set are read; json and base64 agree."""
    sound = 0
    for path in sorted((shared_data / "golden" / "transactions").glob("*.json")):
        if path.name.startswith("broken"):
            continue
        for entry in orjson.loads(path.read_bytes()):
            payload = encode_transaction(entry)
            assert encode_transaction(transaction_json(payload, "base64")) == payload
            sound += 1
    assert sound >= 26


def test_old_spelling_of_base58(blocks: list[Block]) -> None:
    payload = blocks[0].payloads[0]
    entry = transaction_json(payload, "base58")
    entry["transaction"] = entry["transaction"][0]
    assert encode_transaction(entry) == payload
