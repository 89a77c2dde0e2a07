"""Files, folders, globs, compression, envelopes, and where the slot comes from."""

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from mevstream.errors import InputError
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.sources import open_sources

from .conftest import Block
from .conversions import block_json, parse, rows, transaction_json

Put = Callable[[str, bytes], str]


def compressed_forms(data: bytes) -> dict[str, bytes]:
    half = len(data) // 2
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    one, two = zstandard.compress(data[:half]), zstandard.compress(data[half:])
    return {
        "plain": data,
        "gzip": gzip.compress(data),
        "two gzip members": gzip.compress(data[:half]) + gzip.compress(data[half:]),
        "zstd": zstandard.compress(data),
        "two zstd frames": one + skippable + two,
        "zstd of no told size": zstandard.ZstdCompressor(write_content_size=False).compress(data),
    }


def test_compression_is_told_by_content(put: Put, stored_block: bytes) -> None:
    expected = None
    for name in ("5.json", "5.gz", "5.pb.zst"):
        for data in compressed_forms(stored_block).values():
            batches = rows(parse(open_sources([put(name, data)])))
            expected = expected or batches
            assert batches == expected
    assert expected is not None
    assert len(expected) == 1862


@pytest.fixture
def small(blocks: list[Block]) -> dict[str, Any]:
    return block_json(blocks[0].payloads[:3], blocks[0].header, "base64")


def envelopes(value: Any, slot: int) -> list[Any]:
    return [
        {"jsonrpc": "2.0", "result": value, "id": 1, "slot": slot},
        [{"jsonrpc": "2.0", "result": {"slot": slot, **value}, "id": 1}],
        {"description": "x", "raw": {"slot": slot, **value}, "slot": 1},
        {"slot": slot, "block": value},
        {
            "jsonrpc": "2.0",
            "method": "blockNotification",
            "params": {
                "result": {
                    "context": {"slot": slot},
                    "value": {"slot": slot, "err": None, "block": value},
                },
                "subscription": 14,
            },
        },
        {"result": {"context": {"slot": slot}, "value": value}},
    ]


def test_envelopes(put: Put, blocks: list[Block], small: dict[str, Any]) -> None:
    entry = transaction_json(blocks[0].payloads[0], "json")
    for value, count in ((small, 3), (entry, 1)):
        for envelope in envelopes(value, 123):
            batches = parse(open_sources([put("7.json", orjson.dumps(envelope))]))
            assert [(b.slot, len(b.transactions)) for b in batches] == [(123, count)]
    notification = {"params": {"result": {"slot": 9, "signature": "x", "transaction": entry}}}
    (batch,) = parse(open_sources([put("7.json", orjson.dumps(notification))]))
    assert rows([batch]) == [(9, 0, blocks[0].payloads[0])]


def test_layout_of_the_text(put: Put, small: dict[str, Any]) -> None:
    value = {"slot": 5, **small}
    other = {"slot": 6, **small}
    plain = orjson.dumps(value)
    for text in (
        plain,
        plain + b"\n",
        b"\xef\xbb\xbf" + plain,
        b"\n" * 3000 + b"  \t" + plain,
        b"\xef\xbb\xbf \r\n" + plain,
        orjson.dumps(value, option=orjson.OPT_INDENT_2),
    ):
        assert [b.slot for b in parse(open_sources([put("x", text)]))] == [5]
    for text in (
        plain + b"\n\n" + orjson.dumps(other),
        plain + b"\r\n" + orjson.dumps(other) + b"\r\n",
        b"[" + plain + b"," + orjson.dumps(other) + b"]",
        b"[\n" + plain + b",\n" + orjson.dumps(other) + b"\n]\n",
    ):
        assert [b.slot for b in parse(open_sources([put("x", text)]))] == [5, 6]


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        ("285000037.json.gz", 285000037),
        ("block-285000037.json", 285000037),
        ("block285000037", 285000037),
        ("Slot_285000037.pb.zst", 285000037),
        ("0.json", 0),
        ("swap_raydium_1.json", 77),
        ("get_block_base64_encoding.json", 77),
        ("2024-01-01.json", 77),
        ("99999999999999999999.json", 77),
        ("285000037x.json", 77),
    ],
)
def test_slot_of_the_file_name(name: str, slot: int, put: Put, small: dict[str, Any]) -> None:
    path = put(name, orjson.dumps(small))
    assert [b.slot for b in parse(open_sources([path], slot=77))] == [slot]


def test_where_the_slot_comes_from_first(put: Put, small: dict[str, Any]) -> None:
    told = {"slot": 1, "result": {"slot": 2, **small}}
    for value, slot in ((told, 2), ({"slot": 1, "result": small}, 1), ({"result": small}, 3)):
        (batch,) = parse(open_sources([put("3.json", orjson.dumps(value))], slot=4))
        assert batch.slot == slot
    (batch,) = parse(open_sources([put("x.json", orjson.dumps(small))], slot=4))
    assert batch.slot == 4


def test_envelope_of_the_batches(put: Put, small: dict[str, Any], blocks: list[Block]) -> None:
    path = put("5.json", orjson.dumps(small))
    batches = parse(open_sources([path], chain="fogo", batch_size=2))
    assert [(b.seq, b.last, b.first_index, len(b.transactions)) for b in batches] == [
        (0, False, 0, 2),
        (1, True, 2, 1),
    ]
    for batch in batches:
        assert (batch.chain, batch.source) == ("fogo", "5.json")
        assert batch.blockhash == blocks[0].header.blockhash
        assert batch.block_height == blocks[0].header.block_height
        assert batch.received_ns > 1_700_000_000_000_000_000
    assert not parse(open_sources([path]))[0].chain


def test_block_without_transactions(put: Put, small: dict[str, Any]) -> None:
    small["transactions"] = []
    (batch,) = parse(open_sources([put("5.json", orjson.dumps(small))]))
    assert (batch.seq, batch.last, len(batch.transactions)) == (0, True, 0)


def test_positions_told_by_rpc(put: Put, blocks: list[Block]) -> None:
    entries = [
        {"slot": 5, "transactionIndex": i, **transaction_json(blocks[0].payloads[i], "json")}
        for i in (9, 2, 5)
    ]
    path = put("x.json", orjson.dumps([entries[0], None, *entries[1:]]))
    assert rows(parse(open_sources([path]))) == [(5, i, blocks[0].payloads[i]) for i in (2, 5, 9)]


def test_skipped_slots_among_others(put: Put, small: dict[str, Any]) -> None:
    skipped = [
        {"jsonrpc": "2.0", "error": {"code": code, "message": "Slot was skipped"}, "id": 1}
        for code in (-32007, -32009)
    ]
    answers = [*skipped, {"result": {"slot": 5, **small}}, {"jsonrpc": "2.0", "result": None}]
    for text in (orjson.dumps(answers), b"\n".join(map(orjson.dumps, answers))):
        counts: Counter[str] = Counter()
        batches = parse(open_sources([put("x", text)], counts=counts))
        assert [batch.slot for batch in batches] == [5]
        assert counts["absent"] == 3
    # A block that is there but was not given is not passed over.
    answers[0]["error"]["code"] = -32004
    with pytest.raises(InputError, match=r"x: line 1: holds an RPC error and no data -32004"):
        list(open_sources([put("x", b"\n".join(map(orjson.dumps, answers)))]))


def test_folders_and_globs(tmp_path: Path, put: Put, small: dict[str, Any]) -> None:
    text = orjson.dumps(small)
    for name in ("100.json", "99.json", "deep/er/7.json", ".hidden", ".git/5.json", "odd[1].json"):
        put(name, text if name[0] != "." else b"garbage")

    def slots(*paths: str) -> list[int]:
        return [RawBatch.FromString(b).slot for b in open_sources(paths, slot=1)]

    assert slots(str(tmp_path)) == [99, 100, 7, 1]
    assert slots(str(tmp_path / "*.json")) == [99, 100, 1]
    assert slots(str(tmp_path / "**" / "*.json")) == [99, 100, 7, 1]
    assert slots(str(tmp_path / "d*")) == [7]
    assert slots(str(tmp_path / "odd[1].json")) == [1]
    assert slots(str(tmp_path / "100.json"), str(tmp_path / "99.json")) == [100, 99]


def test_file_name_that_is_not_utf8(tmp_path: Path, small: dict[str, Any]) -> None:
    path = str(tmp_path / "block\udcff.json")
    try:
        Path(path).write_bytes(orjson.dumps(small))
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    (batch,) = parse(open_sources([path], slot=1))
    assert batch.source == "block?.json"
