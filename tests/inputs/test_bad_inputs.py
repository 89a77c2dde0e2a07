"""Every input that is not what it should be is answered with one line that names it and the cause,
and costs nothing but itself."""

import gzip
import io
import struct
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from mevstream.cext.decoder import BatchDecoder
from mevstream.errors import InputError
from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.sources import open_sources

from .conftest import Block
from .conversions import block_json, parse, rows, transaction_json, transaction_update

Put = Callable[[str, bytes], str]


def refused(path: str, **options: Any) -> str:
    """The message with which an input is refused; it names the input and is one line."""
    with pytest.raises(InputError) as caught:
        list(open_sources([path], **options))
    message = str(caught.value)
    assert message.startswith((Path(path).name + ": ", path + ": "))
    assert "\n" not in message
    return message


def small_block(block: Block, count: int = 3) -> dict[str, Any]:
    value = block_json(block.payloads[:count], block.header, "json")
    return orjson.loads(orjson.dumps(value))


# -- files --------------------------------------------------------------------


def test_missing_file_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.json: no such file"):
        open_sources([str(tmp_path / "nothing.json")])
    with pytest.raises(InputError, match="matches no file"):
        open_sources([str(tmp_path / "*.json")])
    with pytest.raises(InputError, match="holds no files"):
        open_sources([str(tmp_path)])
    with pytest.raises(InputError, match="no input"):
        open_sources([])


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty once decompressed"),
        (zstandard.compress(b""), "is empty once decompressed"),
        (b" \n\t\n ", "white space"),
        (gzip.compress(b"  ", mtime=0), "white space"),
    ],
)
def test_empty(data: bytes, cause: str, put: Put) -> None:
    assert cause in refused(put("1.json", data))


@pytest.mark.parametrize(
    "data",
    [
        b"This is a broken data file",
        b'"This is a broken data file"',
        b"export const block = {};",
        b"<html><body>502 Bad Gateway</body></html>",
        b"PK\x03\x04" + bytes(100),
        b"BZh91AY&SY" + bytes(100),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x7fELF" + bytes(100),
    ],
)
def test_of_another_kind(data: bytes, put: Put) -> None:
    assert refused(put("285000037.json.gz", data))


@pytest.mark.parametrize("keep", [3, 11, 30, 1000, -9, -1])
def test_gzip_cut_off(keep: int, put: Put, stored_block: bytes) -> None:
    data = gzip.compress(stored_block[:200_000])
    assert "gzip" in refused(put("1.pb", data[:keep])) or keep == 3


@pytest.mark.parametrize("keep", [4, 5, 30, 1000, -9, -1])
def test_zstd_cut_off(keep: int, put: Put, stored_block: bytes) -> None:
    data = zstandard.ZstdCompressor(write_checksum=True).compress(stored_block[:200_000])
    assert "zstd data is cut off" in refused(put("1.pb", data[:keep]))


def test_compressed_data_damaged(put: Put, stored_block: bytes) -> None:
    data = bytearray(gzip.compress(stored_block[:200_000]))
    data[1000:1100] = bytes(100)
    assert "damaged gzip" in refused(put("1.pb", bytes(data)))
    frame = bytearray(
        zstandard.ZstdCompressor(write_checksum=True).compress(stored_block[:200_000])
    )
    frame[1000:1100] = bytes(100)
    assert "zstd" in refused(put("1.pb", bytes(frame)))
    assert "gzip" in refused(put("1.pb", gzip.compress(b"{}") + b"garbage"))


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("start", [b'{"a":"', b"\x0a\x80\x80\x80\x80\x08", b"\x07\xff\xff\xff"])
def test_decompression_bomb(compress: Callable[[bytes], bytes], start: bytes, put: Put) -> None:
    """A gigabyte in some kilobytes is refused after the limit, not unpacked."""
    bomb = compress(start) + compress(bytes(64 << 20)) * 16
    path = put("1.json", bomb)
    tracemalloc.start()
    message = refused(path, max_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "limit" in message or "1048576" in message
    assert peak < 64 << 20


# -- stored blocks ------------------------------------------------------------


def test_protobuf_cut_anywhere(put: Put, stored_block: bytes) -> None:
    block = stored_block[:1200]
    whole = 0
    for size in range(1, len(block)):
        try:
            batches = parse(open_sources([put("7.pb", block[:size])]))
        except InputError:
            continue
        # A cut between two fields cannot be told from the end of a shorter block.
        whole += 1
        assert all(row[2] in stored_block for row in rows(batches))
    assert 2 <= whole < 10


@pytest.mark.parametrize(
    "tail",
    [
        b"\x22\xff\xff\xff\xff\x07",  # 2 GB announced
        b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xff" * 1000,  # a varint without an end
        b"\x18" + b"\x80" * 100,
        b"\x00\x01",  # field 0
        b"\x1c",  # end of a group that never began
        b"\x1b",  # group without an end
        b"\x1b" * 5000,  # groups in groups
        b"\x0e\x00",  # wire type 6
        b"\x21\x00\x00",  # fixed64 cut off
        b"\x12\x03abc",  # a blockhash that is none
        b"\x12\x02\xff\xfe",  # a string that is no text
    ],
)
def test_malformed_protobuf(tail: bytes, put: Put, stored_block: bytes) -> None:
    assert refused(put("7.pb", stored_block[:92] + tail))


def test_stored_block_without_slot(put: Put, stored_block: bytes) -> None:
    assert "--slot" in refused(put("block.pb", stored_block))
    assert parse(open_sources([put("block.pb", stored_block)], slot=5))[0].slot == 5


# -- streams of updates -------------------------------------------------------


def test_stream_cut_off(put: Put, blocks: list[Block]) -> None:
    update = transaction_update(9, 0, blocks[0].payloads[0]).SerializeToString()
    stream = struct.pack(">I", len(update)) + update
    for cut in (1, 3, 4, 5, len(stream) - 1):
        path = put("s.bin", stream + stream[:cut])
        assert "message 2" in refused(path)
        # What came before it is not lost; that the slot ended there is not claimed.
        batches: list[RawBatch] = []
        with pytest.raises(InputError):
            batches.extend(map(RawBatch.FromString, open_sources([path])))
        assert [len(batch.transactions) for batch in batches] == [1]
        assert not batches[0].last


def test_stream_of_something_else(put: Put) -> None:
    assert "message 1" in refused(put("s.bin", b"\x00\x00\x00\x04\xff\xff\xff\xff"))
    assert "limit" in refused(put("s.bin", b"\x07\xff\xff\xff" + bytes(50)), max_bytes=1 << 20)
    # A transaction update (field 4) without a transaction.
    assert "message 1" in refused(put("s.bin", b"\x00\x00\x00\x02\x22\x00"))


def test_update_without_slot(put: Put, blocks: list[Block]) -> None:
    update = transaction_update(0, 0, blocks[0].payloads[0]).SerializeToString()
    stream = struct.pack(">I", len(update)) + update
    assert "--slot" in refused(put("s.bin", stream))
    assert parse(open_sources([put("s.bin", stream)], slot=3))[0].slot == 3


# -- JSON ---------------------------------------------------------------------


def test_rpc_error(put: Put) -> None:
    error = {"code": -32007, "message": "Slot 5 was skipped, or missing\ndue to ledger jump"}
    message = refused(put("5.json", orjson.dumps({"jsonrpc": "2.0", "error": error, "id": 1})))
    assert "-32007" in message
    assert "skipped" in message


@pytest.mark.parametrize("text", [b'{"jsonrpc":"2.0","result":null,"id":1}', b"null", b"[null]"])
def test_null_result(text: bytes, put: Put) -> None:
    assert refused(put("5.json", text))


def test_slot_missing(put: Put, blocks: list[Block]) -> None:
    block = small_block(blocks[0])
    assert "--slot" in refused(put("get_block_64.json", orjson.dumps(block)))
    entry = block["transactions"][0]
    assert "--slot" in refused(put("tx.json", orjson.dumps(entry)))
    lines = orjson.dumps(block) + b"\n" + orjson.dumps(block)
    assert "second block" in refused(put("1.jsonl", lines))


def test_json_parsed_is_refused(shared_data: Path) -> None:
    folder = shared_data / "encoding_parity"
    for name in ("block", "transaction"):
        path = folder / f"get_{name}_json_parsed_encoding.json"
        assert "jsonParsed" in refused(str(path), slot=1)


def test_reduced_details_are_refused(put: Put, blocks: list[Block]) -> None:
    block = small_block(blocks[0])
    entries = block.pop("transactions")
    assert "'none'" in refused(put("1.json", orjson.dumps(block)))
    block["signatures"] = []
    assert "'signatures'" in refused(put("1.json", orjson.dumps(block)))
    entries[0]["transaction"] = {"accountKeys": [], "signatures": []}
    block["transactions"] = entries
    assert "'accounts'" in refused(put("1.json", orjson.dumps(block)))
    entries[0] = small_block(blocks[0])["transactions"][0]
    entries[1]["meta"]["innerInstructions"] = [
        {"index": 0, "instructions": [{"programId": "x", "parsed": {}}]}
    ]
    assert "jsonParsed" in refused(put("1.json", orjson.dumps(block)))


@pytest.mark.parametrize(
    "text",
    [
        b'{"blockhash": ',
        b"[" * 5000,
        b'{"blockhash": "\xff"}',
        b"{}",
        b"[]",
        b"[[[[[[[[[[[[[[]]]]]]]]]]]]]]",
        b"[1]",
        b"{'a': 1}",
        b'{"result": "text"}',
        b'{"result": {"result": {"result": {"result": {"result": {"result": {"result": {}}}}}}}}',
        b'{"transactions": 5}',
        b'{"transactions": {"a": 1}}',
        b'{"transactions": [1, 2]}',
        b'{"transactions": [], "slot": "5"}',
        b'{"transactions": [], "slot": -1}',
        b'{"transactions": [], "slot": 18446744073709551616}',
        b'{"transactions": [], "slot": true}',
        b'{"transactions": [], "blockhash": 5}',
        b'{"transactions": [], "blockhash": "0OIl"}',
        b'{"transactions": [], "blockhash": "abc"}',
        b'{"transactions": [], "blockTime": "now"}',
        b'{"transactions": [], "blockTime": 18446744073709551615}',
        b'{"transactions": [], "parentSlot": -1}',
        b'{"transactions": [], "blockHeight": 1.5}',
        b'{"transaction": [], "slot": 1}',
        b'{"transaction": ["AAAA", "base64"], "slot": 1, "transactionIndex": -1}',
        b'{"transaction": {"transaction": {"transaction": 1}}, "slot": 1}',
        b'{"transactions": []}\n{"transactions": [], "slot": 5}\n{"cut":',
    ],
)
def test_json_of_another_shape(text: bytes, put: Put) -> None:
    assert refused(put("1.json", text))


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("transaction", "!", "transaction"),
        ("transaction", "1" * 40000, "transaction"),
        ("transaction", ["A", "base64"], "transaction"),
        ("transaction", ["????", "base64"], "transaction"),
        ("transaction", ["AA==", "base64"], "transaction"),
        ("transaction", ["AQ==", "base64"], "transaction"),
        ("transaction", ["gQ==", "base64"], "transaction"),
        ("transaction", ["AAAA", "base64+zstd"], "transaction"),
        ("transaction", ["AAAA", "rot13"], "transaction"),
        ("transaction", ["AAAA", ["base64"]], "transaction"),
        ("transaction", ["AAAA"], "transaction"),
        ("transaction.signatures", "text", "transaction"),
        ("transaction.signatures", ["1111"], "transaction"),
        ("transaction.message", None, "message.accountKeys"),
        ("transaction.message.header", [], "message.header"),
        ("transaction.message.header.numRequiredSignatures", "1", "message.header"),
        ("transaction.message.accountKeys", [5], "message.accountKeys"),
        ("transaction.message.accountKeys", ["11111111"], "message.accountKeys"),
        ("transaction.message.recentBlockhash", "", "message.recentBlockhash"),
        ("transaction.message.instructions", {}, "message.instructions"),
        ("transaction.message.instructions", [{}], "message.instructions"),
        ("transaction.message.addressTableLookups", 5, "message.addressTableLookups"),
        ("version", [], "transaction"),
        ("meta", [], "meta.err"),
        ("meta.err", 5, "meta.err"),
        ("meta.err", {"InstructionError": 5}, "meta.err"),
        ("meta.err", {"InstructionError": [256, "Custom"]}, "meta.err"),
        ("meta.err", {"InstructionError": [1, {"Custom": "x"}]}, "meta.err"),
        ("meta.err", {"A": 1, "B": 2}, "meta.err"),
        ("meta.err", {"InsufficientFundsForRent": {}}, "meta.err"),
        ("meta.fee", "5000", "meta.fee"),
        ("meta.fee", -1, "meta.fee"),
        ("meta.fee", True, "meta.fee"),
        ("meta.fee", 1e300, "meta.fee"),
        ("meta.preBalances", "text", "meta.preBalances"),
        ("meta.preBalances", [True], "meta.preBalances"),
        ("meta.postBalances", [-1], "meta.postBalances"),
        ("meta.innerInstructions", {"a": 1}, "meta.innerInstructions"),
        ("meta.innerInstructions", [{"index": 0}], "meta.innerInstructions"),
        ("meta.logMessages", "text", "meta.logMessages"),
        ("meta.logMessages", [5], "meta.logMessages"),
        ("meta.preTokenBalances", [{}], "meta.preTokenBalances"),
        ("meta.postTokenBalances", [{"uiTokenAmount": 5}], "meta.postTokenBalances"),
        ("meta.rewards", [{"pubkey": 5}], "meta.rewards"),
        ("meta.loadedAddresses", ["x"], "meta.loadedAddresses"),
        ("meta.loadedAddresses", {"writable": ["x"], "readonly": []}, "meta.loadedAddresses"),
        ("meta.returnData", {"programId": "x"}, "meta.returnData"),
        ("meta.computeUnitsConsumed", "5", "meta.computeUnitsConsumed"),
        ("meta.costUnits", [5], "meta.costUnits"),
    ],
)
def test_one_malformed_transaction(
    path: str, value: Any, place: str, put: Put, blocks: list[Block]
) -> None:
    """Alone it is refused with its place. Among others it goes on as it came, for the decoder to
    put aside, and the others are unharmed."""
    block = small_block(blocks[2])
    good = list(blocks[2].payloads[:3])
    *parents, key = path.split(".")
    entry = block["transactions"][1]
    target = entry
    for parent in parents:
        target = target[parent]
    target[key] = value

    alone = refused(put("1.json", orjson.dumps(entry)), slot=5)
    assert f": {place}: " in alone

    counts: Counter[str] = Counter()
    (batch,) = open_sources([put("2.json", orjson.dumps(block))], counts=counts)
    first, second, third = RawBatch.FromString(batch).transactions
    assert [first, third] == [good[0], good[2]]
    assert orjson.loads(second) == entry
    assert counts["malformed"] == 1
    parsed = ParsedBatch.FromString(BatchDecoder().decode(batch))
    assert list(parsed.malformed) == [1]
    assert len(parsed.tx_index) == 2


def test_malformed_transaction_among_lines(put: Put, blocks: list[Block]) -> None:
    good = transaction_json(blocks[2].payloads[0], "base64")
    bad = {"slot": 5, "transaction": None}
    for order in ([bad, {"slot": 5, **good}], [{"slot": 5, **good}, bad]):
        text = b"\n".join(map(orjson.dumps, order))
        (batch,) = parse(open_sources([put("x.jsonl", text)]))
        assert len(batch.transactions) == 2
        assert orjson.loads(batch.transactions[order.index(bad)]) == bad
    only_bad = orjson.dumps(bad) + b"\n" + orjson.dumps(bad)
    assert "line 1: transaction: " in refused(put("x.jsonl", only_bad))
    # Not read to the end in the hope of a good one.
    many = (orjson.dumps(bad) + b"\n") * 1000 + b"and then garbage"
    assert "line 1: transaction: " in refused(put("x.jsonl", many))


def test_json_that_protobuf_would_accept_is_still_put_aside(put: Put, blocks: list[Block]) -> None:
    """`{` begins a group (field 15), `"0` a field of 48 bytes in it, `|` ends it, and `z0` begins
    another field of 48 bytes."""
    entry = {"0" + "x" * 48 + "|z0" + "y" * 44: 1}
    ConfirmedTransaction.FromString(orjson.dumps(entry))
    block = small_block(blocks[2])
    block["transactions"][1] = entry
    (batch,) = open_sources([put("2.json", orjson.dumps(block))])
    assert list(ParsedBatch.FromString(BatchDecoder().decode(batch)).malformed) == [1]
    assert orjson.loads(RawBatch.FromString(batch).transactions[1]) == entry


def test_golden_broken_data(shared_data: Path) -> None:
    for number in (0, 1):
        path = shared_data / "golden" / "transactions" / f"broken_data_{number}.json"
        assert refused(str(path))


def test_slot_comes_again_after_it_was_closed(put: Put, blocks: list[Block]) -> None:
    """Positions in the block of single transactions are not known: they would overwrite the
    block's own."""
    block = {"slot": 5, **small_block(blocks[0])}
    entry = {"slot": 5, **transaction_json(blocks[0].payloads[9], "base64")}
    a, b = put("a.json", orjson.dumps(block)), put("b.json", orjson.dumps(entry))
    with pytest.raises(InputError, match=r"b\.json: transaction: slot 5 comes again"):
        list(open_sources([a, b]))
    with pytest.raises(InputError, match=r"a\.json: slot 5 was also given"):
        list(open_sources([b, a]))


def test_good_inputs_before_a_bad_one_are_not_lost(put: Put, blocks: list[Block]) -> None:
    entry = {"slot": 5, **transaction_json(blocks[0].payloads[9], "base64")}
    paths = [put("a.json", orjson.dumps(entry)), put("b.json", b"garbage")]
    batches: list[RawBatch] = []
    with pytest.raises(InputError, match=r"b\.json"):
        batches.extend(map(RawBatch.FromString, open_sources(paths)))
    assert rows(batches) == [(5, 0, blocks[0].payloads[9])]


def test_standard_input(monkeypatch: pytest.MonkeyPatch, blocks: list[Block]) -> None:
    data = gzip.compress(orjson.dumps(small_block(blocks[0])))
    stdin = io.BytesIO(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
    (batch,) = parse(open_sources(["-"], slot=77))
    assert (batch.slot, batch.source, len(batch.transactions)) == (77, "-", 3)
    assert not stdin.closed
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="-: is empty"):
        list(open_sources(["-"], slot=77))


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": 257}, {"slot": -1}])
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        open_sources(["-"], **options)


def test_an_input_is_named_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "7.json"
    path.parent.mkdir()
    path.write_bytes(b"{")
    with pytest.raises(InputError) as refused:
        list(open_sources([str(tmp_path)]))
    assert str(refused.value).startswith(f"{path}: ")


def test_a_link_that_leads_nowhere_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "7.json").symlink_to(tmp_path / "gone" / "7.json")
    with pytest.raises(InputError, match=r"/7\.json: No such file"):
        list(open_sources([str(tmp_path)]))
