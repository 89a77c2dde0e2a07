"""ParsedBatch both ways: our bytes by protobuf, protobuf's bytes by our view."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import KEY_COLUMNS, NAME_COLUMNS, SCHEMA, ParsedView, encode_parsed
from mevstream.errors import InputError
from mevstream.schemas.parsed_pb2 import ParsedBatch

Columns = dict[str, NDArray[Any]]
TX = [name for name in SCHEMA.columns if name.startswith("tx_")]
SWAP = [name for name in SCHEMA.columns if name.startswith("swap_")]
LIQUIDITY = [name for name in SCHEMA.columns if name.startswith("liquidity_")]
LIQUIDATION = [name for name in SCHEMA.columns if name.startswith("liquidation_")]
LINK = [name for name in SCHEMA.columns if name.startswith("link_")]


def bits(rng: np.random.Generator, dtype: np.dtype[Any], shape: Any) -> NDArray[Any]:
    """Random bytes as an array: every bit pattern, NaN payloads too."""
    count = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(rng.bytes(count), dtype).reshape(shape)


def random_columns(rng: np.random.Generator, n_tx: int, n_swaps: int) -> Columns:
    """Every column, as ParsedView.validate wants it."""
    n_keys, n_names = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    columns = {
        "keys": bits(rng, np.dtype(np.uint8), (n_keys, 32)),
        "malformed": bits(rng, np.dtype("<u4"), int(rng.integers(3))),
    }
    n_liquidity, n_liquidations = (int(rng.integers(1, 9)) if n_tx else 0 for _ in range(2))
    for names, rows in (
        (TX, n_tx),
        (SWAP, n_swaps),
        (LIQUIDITY, n_liquidity),
        (LIQUIDATION, n_liquidations),
        (LINK, int(rng.integers(9))),
    ):
        for name in names:
            shape = (rows, 64) if name == "tx_signature" else rows
            columns[name] = bits(rng, SCHEMA.columns[name], shape)
    for name in (*KEY_COLUMNS, *NAME_COLUMNS):
        limit = n_keys if name in KEY_COLUMNS else n_names
        column = rng.integers(0, limit, len(columns[name]), np.uint32)
        columns[name] = np.where(rng.random(len(column)) < 0.2, np.uint32(NONE), column)
    for name in ("swap_tx", "liquidity_tx", "liquidation_tx"):
        columns[name] = rng.integers(0, max(n_tx, 1), len(columns[name]), np.uint32)
    return columns


@st.composite
def batches(draw: st.DrawFn) -> tuple[dict[str, Any], Columns]:
    n_tx = draw(st.integers(0, 40))
    n_swaps = draw(st.integers(0, 60)) if n_tx else 0
    columns = random_columns(np.random.default_rng(draw(st.integers(0, 2**32))), n_tx, n_swaps)
    u64, u32 = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
    key = st.sampled_from([b"", bytes(range(32))])
    envelope = {
        "slot": draw(u64),
        "parent_slot": draw(u64),
        "block_time": draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        "seq": draw(u32),
        "last": draw(st.booleans()),
        "source": draw(st.text(max_size=20)),
        "received_ns": draw(u64),
        "blockhash": draw(key),
        "parent_blockhash": draw(key),
        "block_height": draw(st.none() | u64),
        "chain": draw(st.sampled_from(["", "solana", "eclipse"])),
        "commitment": draw(st.integers(0, 4)),
        "names": draw(st.lists(st.text(max_size=20), min_size=3, max_size=5)),
    }
    return envelope, columns


def assert_same(array: NDArray[Any], value: Any) -> None:
    """A column equals the protobuf field; NaN equals NaN."""
    if isinstance(value, bytes):
        assert array.tobytes() == value
    else:
        assert np.array_equal(array, np.array(value, array.dtype), equal_nan=True)


def assert_envelope(view: ParsedView, message: ParsedBatch) -> None:
    for name in ("slot", "parent_slot", "seq", "last", "source", "received_ns", "blockhash"):
        assert getattr(view, name) == getattr(message, name)
    assert view.parent_blockhash == message.parent_blockhash
    assert view.commitment == message.commitment
    assert view.chain == (message.chain or "solana")
    assert view.names == list(message.names)
    for name in ("block_time", "block_height"):
        expected = getattr(message, name) if message.HasField(name) else None
        assert getattr(view, name) == expected


@given(batches())
@settings(deadline=None)
def test_our_bytes_parse_with_protobuf(batch: tuple[dict[str, Any], Columns]) -> None:
    envelope, columns = batch
    data = encode_parsed(envelope, columns)
    message = ParsedBatch.FromString(data)
    for name, column in columns.items():
        assert_same(column, getattr(message, name))
    for name, value in envelope.items():
        if value is None:
            assert not message.HasField(name)
        else:
            assert getattr(message, name) == value
    view = ParsedView(data)
    view.validate()
    assert_envelope(view, message)
    for name, column in columns.items():
        assert getattr(view, name).tobytes() == column.tobytes()


@given(batches())
@settings(deadline=None)
def test_protobufs_bytes_read_by_our_view(batch: tuple[dict[str, Any], Columns]) -> None:
    envelope, columns = batch
    message = ParsedBatch(**envelope)
    for name, column in columns.items():
        if column.dtype == np.uint8:
            setattr(message, name, column.tobytes())
        else:
            getattr(message, name).extend(column.tolist())
    view = ParsedView(message.SerializeToString())
    view.validate()
    assert view.n_tx == len(columns["tx_index"])
    assert view.n_swaps == len(columns["swap_tx"])
    assert view.n_liquidity == len(columns["liquidity_tx"])
    assert view.n_liquidations == len(columns["liquidation_tx"])
    assert view.n_links == len(columns["link_index"])
    assert_envelope(view, message)
    for name in columns:
        assert_same(getattr(view, name), getattr(message, name))


def test_columns_are_aligned_read_only_views_on_the_message() -> None:
    columns = random_columns(np.random.default_rng(1), 7, 9)
    data = encode_parsed({"slot": 1, "names": ["a", "b", "c"], "source": "x" * 13}, columns)
    view, whole = ParsedView(data), np.frombuffer(data, np.uint8)
    for name, dtype in SCHEMA.columns.items():
        column = getattr(view, name)
        assert column.dtype == dtype
        if column.size:
            assert np.shares_memory(column, whole), name
        assert not column.flags.owndata
        assert not column.flags.writeable
        assert column.flags.aligned
        assert (column.__array_interface__["data"][0] - whole.ctypes.data) % 8 == 0, name
    assert view.keys.shape[1] == 32
    assert view.tx_signature.shape == (7, 64)


def test_views_outlive_the_names_they_were_made_from() -> None:
    fee = ParsedView(
        encode_parsed({}, {"tx_index": np.arange(3), "tx_fee": np.array([5, 2**64 - 1, 0], "<u8")})
    ).tx_fee
    assert fee.tolist() == [5, 2**64 - 1, 0]


def test_empty_message_is_an_empty_batch() -> None:
    view = ParsedView(b"")
    view.validate()
    assert (view.n_tx, view.n_swaps, view.chain, view.block_time) == (0, 0, "solana", None)
    assert all(len(getattr(view, name)) == 0 for name in SCHEMA.columns)
    assert view.tx_signature.shape == (0, 64)
    assert encode_parsed({}, {}) == b""


def test_columns_that_the_writer_did_not_know_have_their_defaults() -> None:
    view = ParsedView(encode_parsed({}, {"tx_index": np.arange(3), "swap_tx": np.zeros(2, "<u4")}))
    view.validate()
    assert view.tx_fee.tolist() == [0, 0, 0]
    assert view.tx_payer.tolist() == [NONE] * 3
    assert view.tx_version.tolist() == [NONE] * 3
    assert view.tx_cu_limit.tolist() == [NONE] * 3
    assert view.tx_signature.shape == (3, 64)
    assert not view.tx_signature.any()
    assert view.swap_pool.tolist() == [NONE] * 2
    assert view.swap_inner.tolist() == [NONE] * 2
    assert view.swap_decimals_in.tolist() == [255] * 2
    assert np.isnan(view.swap_price_after).all()
    assert view.swap_price_after.dtype == np.float64
    for name in SCHEMA.columns:
        assert not getattr(view, name).flags.writeable, name


@dataclasses.dataclass
class Bad:
    columns: dict[str, Any]
    error: str
    envelope: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])


BAD_TO_WRITE = {
    "unknown column": Bad({"tx_nonce": np.arange(2)}, "no column 'tx_nonce'"),
    "unknown field": Bad({}, "nonce", {"nonce": 1}),
    "value of the envelope": Bad({}, "slot: .*range", {"slot": -1}),
    "type in the envelope": Bad({}, "source: bad argument", {"source": 5}),
    "column in the envelope": Bad({}, "tx_fee is a column", {"tx_fee": [1]}),
    "rows differ": Bad({"tx_index": np.arange(2), "tx_fee": np.arange(3)}, "tx_fee has 3 rows"),
    "no leader": Bad({"swap_pool": np.arange(2)}, "swap_pool has 2 rows, swap_tx has 0"),
    "shape": Bad({"tx_index": np.zeros((2, 2), "<u4")}, r"shape \(2, 2\), not \(n,\)"),
    "width": Bad({"keys": np.zeros((2, 31), "u1")}, r"shape \(2, 31\), not \(n, 32\)"),
    "flat keys": Bad({"keys": np.zeros(64, "u1")}, r"shape \(64,\), not \(n, 32\)"),
    "scalar": Bad({"tx_index": np.uint32(3)}, r"shape \(\)"),
    "negative": Bad({"tx_index": np.array([-1])}, "tx_index has int64 values that do not fit"),
    "too large": Bad({"tx_index": np.array([2**32])}, "do not fit in uint32"),
    "fraction": Bad({"tx_index": np.array([0.5])}, "do not fit in uint32"),
    "NaN as an integer": Bad({"tx_index": np.array([np.nan])}, "do not fit in uint32"),
    "text": Bad({"tx_index": np.array(["1"])}, "do not fit in uint32"),
    "objects": Bad({"tx_index": [object()]}, "do not fit in uint32"),
}


@pytest.mark.parametrize("case", BAD_TO_WRITE)
def test_writing_refuses(case: str) -> None:
    bad = BAD_TO_WRITE[case]
    with pytest.raises(InputError, match=bad.error) as raised:
        encode_parsed(bad.envelope, bad.columns)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("ParsedBatch: ")


@pytest.mark.parametrize(
    "column",
    [
        np.arange(6, dtype="<u4"),
        np.arange(12, dtype="<u4")[::2] // 2,
        np.arange(12, dtype="<u4")[::2],
        np.arange(5, -1, -1, dtype="<u4")[::-1],
        np.arange(6, dtype=">u4"),
        np.arange(6, dtype=np.int64),
        np.arange(6.0),
        [0, 1, 2, 3, 4, 5],
        (True, False),
        [],
    ],
)
def test_writing_takes_what_fits(column: Any) -> None:
    view = ParsedView(encode_parsed({}, {"tx_index": column}))
    assert view.tx_index.tolist() == [int(value) for value in column]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (ParsedBatch(tx_index=[1, 2], tx_fee=[1, 2, 3]), "tx_fee has 3 rows, tx_index has 2"),
        (ParsedBatch(tx_fee=[1]), "tx_fee has 1 rows, tx_index has 0"),
        (ParsedBatch(swap_tx=[0], swap_fee=[1, 2]), "swap_fee has 2 rows, swap_tx has 1"),
        (ParsedBatch(tx_index=[1], tx_signature=bytes(65)), "tx_signature has 65 bytes"),
        (ParsedBatch(tx_index=[1], tx_signature=bytes(128)), "tx_signature has 2 rows"),
        (ParsedBatch(keys=bytes(31)), "keys has 31 bytes, no multiple of 32"),
    ],
)
def test_opening_refuses_rows_that_do_not_add_up(message: ParsedBatch, error: str) -> None:
    with pytest.raises(InputError, match=error):
        ParsedView(message.SerializeToString())


@pytest.mark.parametrize("data", [b"\x0a", b"hello", bytes(3), b"\x32\x01\xff"])
def test_opening_refuses_what_is_no_message(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^ParsedBatch: .+"):
        ParsedView(data)


def outside(**fields: Any) -> ParsedBatch:
    return ParsedBatch(keys=bytes(64), names=["a"], tx_index=[4, 5], **fields)


INDEX_COLUMNS = [(name, 2) for name in KEY_COLUMNS] + [(name, 1) for name in NAME_COLUMNS]


@pytest.mark.parametrize(("column", "size"), INDEX_COLUMNS)
def test_validate_finds_indexes_outside_their_table(column: str, size: int) -> None:
    for index, good in ((size - 1, True), (NONE, True), (size, False), (NONE - 1, False)):
        rows = {column: [0, index]}
        table = column.partition("_")[0]
        if table != "tx":
            rows["link_index" if table == "link" else f"{table}_tx"] = [0, 0]
        view = ParsedView(outside(**rows).SerializeToString())
        if good:
            view.validate()
        else:
            with pytest.raises(InputError, match=f"{column} points outside {size}"):
                view.validate()


def test_validate_finds_swaps_of_no_transaction() -> None:
    ParsedView(outside(swap_tx=[1]).SerializeToString()).validate()
    for tx in (2, NONE):
        with pytest.raises(InputError, match="swap_tx points outside 2 transactions"):
            ParsedView(outside(swap_tx=[0, tx]).SerializeToString()).validate()


def test_validate_finds_block_hashes_of_another_size() -> None:
    with pytest.raises(InputError, match="parent_blockhash is not 32 bytes"):
        ParsedView(ParsedBatch(parent_blockhash=bytes(31)).SerializeToString()).validate()


def test_no_such_column() -> None:
    with pytest.raises(AttributeError):
        _ = ParsedView(b"").tx_nonce
