"""A ParsedBatch parted by market: nothing lost, nothing twice, every row where the rules say."""

import gzip
import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mevstream.cext import partition
from mevstream.cext.base58 import decode_sized
from mevstream.cext.decoder import BatchDecoder
from mevstream.cext.split import split as cut
from mevstream.codecs.parsed import SCHEMA, ParsedView, encode_parsed
from mevstream.codecs.raw import encode_raw
from mevstream.errors import InputError, MevstreamError
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.settings import load_settings
from mevstream.topologies.chain import CHAIN
from mevstream.topologies.parsed.market import open_split
from mevstream.topologies.raw.simulator import Simulator
from mevstream.topologies.sinks.columns import PARSED_TABLES, Flush, Run
from partitioning.rules import HUBS, MINTS, check, made_batch, partition_of, rows

SPLIT = open_split(HUBS)
PARTITIONS = st.integers(1, 9)


@given(st.integers(0, 2**64), PARTITIONS)
def test_parts_follow_the_rules(seed: int, partitions: int) -> None:
    data = made_batch(Random(seed))
    check(data, SPLIT(data, partitions), HUBS)


@given(st.integers(0, 2**64), PARTITIONS)
def test_stored_rows_of_the_parts_are_those_of_the_whole(seed: int, partitions: int) -> None:
    data = made_batch(Random(seed))

    def stored(message: bytes) -> list[pa.RecordBatch]:
        flush = Flush([ParsedView(message)], ["no votes"], Run("run", 1))
        return [flush.rows(table) for table in PARSED_TABLES]

    for at, whole in enumerate(stored(data)):
        parts = [stored(part)[at].to_pylist() for part in SPLIT(data, partitions)]
        found = sorted(repr(row) for part in parts for row in part)
        assert found == sorted(repr(row) for row in whole.to_pylist())


@pytest.mark.parametrize("partitions", [1, 2, 4, 7, 300])
def test_simulated_batches(partitions: int) -> None:
    hubs = setting_hubs()
    split, decoder, swaps = open_split(), BatchDecoder(), 0
    for block in Simulator().blocks(3):
        payloads = [bytes(transaction) for transaction in block.transactions()]
        for seq, first in enumerate(range(0, len(payloads), 256)):
            envelope = {"slot": block.slot, "seq": seq}
            data = decoder.decode(encode_raw(envelope, payloads[first : first + 256]))
            check(data, split(data, partitions), hubs)
            swaps += ParsedView(data).n_swaps
    assert swaps > 100


def test_real_blocks(shared_data: Path) -> None:
    hubs = setting_hubs()
    split, decoder, swaps, copies = open_split(), BatchDecoder(), 0, 0
    for path in sorted((shared_data / "blocks").glob("*.pb.gz"))[:4]:
        extents = cut(gzip.decompress(path.read_bytes()), ConfirmedBlock.TRANSACTIONS_FIELD_NUMBER)
        for seq, first in enumerate(range(0, len(extents), 256)):
            run = extents.run(first, min(256, len(extents) - first))
            data = decoder.decode(encode_raw({"slot": 1, "seq": seq}, run=run))
            parts = split(data, 4)
            check(data, parts, hubs)
            swaps += ParsedView(data).n_swaps
            copies += sum(ParsedView(part).n_swaps for part in parts)
    assert 0 < swaps < copies < 4 * swaps


def setting_hubs() -> list[bytes]:
    return [decode_sized(mint, 32) for mint in load_settings().hub_mints]


def test_the_chain_parts_by_the_hubs_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    data = swap(MINTS[0], MINTS[1])
    mint = "4" * 44
    monkeypatch.setenv("MEVSTREAM_HUB_MINTS", f"{'1' * 32}, 11111111111111111111111111111112")
    assert load_settings().hub_mints == ("1" * 32, "1" * 31 + "2")
    assert CHAIN[0].open_split is not None
    split = CHAIN[0].open_split()
    check(data, split(data, 5), [bytes(32), bytes(31) + b"\1"])
    monkeypatch.setenv("MEVSTREAM_HUB_MINTS", f"{mint}4,abc")
    with pytest.raises(MevstreamError, match="hub_mints"):
        load_settings()


# -- one swap -----------------------------------------------------------------------------------


def swap(mint_in: bytes | None, mint_out: bytes | None, pool: bytes | None = MINTS[9]) -> bytes:
    keys = [key for key in (mint_in, mint_out, pool) if key is not None]
    index = {key: row for row, key in enumerate(keys)}
    columns: dict[str, Any] = {"tx_index": [3], "swap_tx": [0]}
    for name, key in (("mint_in", mint_in), ("mint_out", mint_out), ("pool", pool)):
        columns[f"swap_{name}"] = [0xFFFFFFFF if key is None else index[key]]
    columns["keys"] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
    return encode_parsed({"seq": 5}, columns)


def homes(data: bytes, partitions: int) -> dict[int, int]:
    """partition → whether the swap is a replica there."""
    views = [ParsedView(part) for part in SPLIT(data, partitions)]
    return {v.partition: int(v.swap_replica[0]) for v in views if v.n_swaps}


A, B = sorted(MINTS[:2])
PLACE = {key: partition_of(key, 8) for key in (A, B, MINTS[9])}


def test_a_swap_goes_to_its_markets() -> None:
    assert PLACE[A] != PLACE[B]
    for hub in HUBS:
        assert homes(swap(A, hub), 8) == homes(swap(hub, A), 8) == {PLACE[A]: 0}
    assert homes(swap(A, B), 8) == homes(swap(B, A), 8) == {PLACE[A]: 0, PLACE[B]: 1}
    everywhere = {number: int(number != PLACE[MINTS[9]]) for number in range(8)}
    assert homes(swap(*HUBS), 8) == homes(swap(HUBS[0], HUBS[0]), 8) == everywhere


def test_a_swap_whose_mints_are_not_known() -> None:
    assert homes(swap(A, None), 8) == homes(swap(None, A), 8) == {PLACE[A]: 0}
    assert homes(swap(None, HUBS[0]), 8) == homes(swap(None, None), 8) == {PLACE[MINTS[9]]: 0}
    assert homes(swap(None, None, None), 8) == {5: 0}
    assert homes(swap(HUBS[0], HUBS[1], None), 8) == {
        number: int(number != 5) for number in range(8)
    }


def test_the_hash_is_the_one_that_is_documented() -> None:
    # Whoever computes it elsewhere (a query, another language) must get these.
    assert [partition.partition_of(bytes(32), n) for n in (1, 2, 7, 1 << 20)] == [
        partition_of(bytes(32), n) for n in (1, 2, 7, 1 << 20)
    ]
    text = (Path(__file__).parents[2] / "docs/partitioning.md").read_text()
    documented = dict(re.findall(r"`([0-9a-f]{64})` \| ([0-9]+) \|$", text, re.MULTILINE))
    assert documented
    for key, number in documented.items():
        assert partition.partition_of(bytes.fromhex(key), 1000) == int(number)


@given(st.binary(min_size=32, max_size=32), st.integers(1, 2**20))
@example(b"\xff" * 32, 3)
def test_the_hash_against_arithmetic_on_whole_numbers(key: bytes, partitions: int) -> None:
    assert partition.partition_of(key, partitions) == partition_of(key, partitions)


def test_mints_spread_evenly() -> None:
    random = Random(1)
    counts = np.bincount([partition.partition_of(random.randbytes(32), 8) for _ in range(8000)])
    assert 850 < counts.min() <= counts.max() < 1150


# -- shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("partitions", range(1, 10))
def test_batches_with_hardly_anything(partitions: int) -> None:
    for data in (
        b"",
        encode_parsed({"slot": 7, "seq": 11, "last": True}, {}),
        encode_parsed({"seq": 3}, {"malformed": [4, 9]}),
        encode_parsed({"seq": 3}, {"tx_index": np.arange(5)}),
        encode_parsed({"seq": 2**32 - 1}, {"tx_index": [1], "malformed": [0]}),
        encode_parsed({"seq": 8}, {"tx_index": [1, 2], "swap_tx": [1, 0, 1]}),
        encode_parsed({"seq": 8}, {"tx_index": [1], "keys": np.zeros((3, 32), np.uint8)}),
    ):
        check(data, SPLIT(data, partitions), HUBS)


@pytest.mark.parametrize("partitions", [1, 3])
def test_columns_in_pieces_are_put_together(partitions: int) -> None:
    data = large_batch()
    pieces = ParsedBatch.FromString(data)
    for name in ("tx_index", "tx_tip", "swap_tx", "swap_mint_in", "swap_fee", "malformed"):
        pieces.ClearField(name)
    joined = b""
    for at in (slice(0, 2), slice(2, None)):
        for name in ("tx_index", "tx_tip", "swap_tx", "swap_mint_in", "swap_fee", "malformed"):
            half = getattr(ParsedView(data), name)[at]
            joined += ParsedBatch(**{name: half.tolist()}).SerializeToString()
        joined += pieces.SerializeToString() if at.start == 0 else b""
    check(joined, SPLIT(joined, partitions), HUBS)
    check(data, SPLIT(joined, partitions), HUBS)


def large_batch() -> bytes:
    """Both tables have rows, and there are malformed positions."""
    made = (made_batch(Random(seed), most=40) for seed in range(1000))
    return next(
        data
        for data in made
        if ParsedView(data).n_tx > 9 < ParsedView(data).n_swaps and len(ParsedView(data).malformed)
    )


def test_payloads_of_the_parts_are_aligned() -> None:
    data = large_batch()
    for part in SPLIT(data, 3):
        whole = np.frombuffer(part, np.uint8)
        view = ParsedView(part)
        for name in SCHEMA.columns:
            column = getattr(view, name)
            if column.size and np.shares_memory(column, whole):
                at = column.__array_interface__["data"][0] - whole.ctypes.data
                assert at % 8 == 0, name


def test_one_partition_has_the_columns_as_they_were() -> None:
    data = large_batch()
    [only] = SPLIT(data, 1)
    assert only.startswith(data)
    assert len(only) - len(data) < 8


def test_fields_of_a_newer_version_are_left_out() -> None:
    newer = large_batch()
    newer += ParsedBatch(source="later").SerializeToString() + b"\xf2\x0b\x04abcd"
    for part in SPLIT(newer, 3):
        assert b"abcd" not in part
    check(newer, SPLIT(newer, 3), HUBS)


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize(
    ("message", "error"),
    [
        (ParsedBatch(tx_index=[1], tx_payer=[0]), "tx_payer points outside"),
        (ParsedBatch(tx_index=[1], keys=bytes(64), tx_payer=[2]), "tx_payer points outside"),
        (ParsedBatch(tx_index=[1], swap_tx=[1]), "swap_tx points outside"),
        (ParsedBatch(swap_tx=[0]), "swap_tx points outside"),
        (ParsedBatch(tx_index=[1], swap_tx=[0xFFFFFFFF]), "swap_tx points outside"),
        (ParsedBatch(tx_index=[1], liquidity_tx=[1]), "liquidity_tx points outside"),
        (ParsedBatch(tx_index=[1], liquidation_tx=[1]), "liquidation_tx points outside"),
        (ParsedBatch(tx_index=[1], liquidity_replica=[0]), "liquidity_replica has 1 rows"),
        (ParsedBatch(tx_index=[1], swap_tx=[0], swap_mint_in=[7]), "swap_mint_in points outside"),
        (
            ParsedBatch(tx_index=[1], swap_tx=[0], names=["a"], swap_venue=[1]),
            "swap_venue points outside",
        ),
        (ParsedBatch(tx_index=[1], tx_fee=[1, 2]), "tx_fee has 2 rows"),
        (ParsedBatch(partitions=1), "a part of a batch already"),
        (ParsedBatch(partition=1), "a part of a batch already"),
        (ParsedBatch(tx_index=[1], tx_replica=[0]), "a part of a batch already"),
    ],
)
def test_refuses(message: ParsedBatch, error: str, partitions: int) -> None:
    with pytest.raises(InputError, match=f"^ParsedBatch: .*{error}"):
        SPLIT(message.SerializeToString(), partitions)


def test_refuses_parts_of_parts_and_what_is_no_message() -> None:
    for partitions in (1, 3):
        for part in SPLIT(made_batch(Random(1)), partitions):
            with pytest.raises(InputError, match="already"):
                SPLIT(part, partitions)
        with pytest.raises(InputError, match="malformed"):
            SPLIT(b"\x0a", partitions)
    for partitions in (0, -1, 2**40):
        with pytest.raises(InputError, match="partitions"):
            SPLIT(b"", partitions)
    with pytest.raises(ValueError, match="hub mint"):
        open_split([bytes(31)])
    with pytest.raises(ValueError, match="not 32"):
        partition.partition_of(bytes(33), 2)


def test_key_tables_are_cut_to_what_is_used() -> None:
    data = swap(A, HUBS[0])
    for view in map(ParsedView, SPLIT(data, 8)):
        assert len(view.keys) == (3 if view.n_swaps else 0)
        assert rows(view, "swap") == (rows(ParsedView(data), "swap") if view.n_swaps else [])
