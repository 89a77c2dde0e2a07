"""The column reader against upb (google.protobuf) on the same bytes: same verdict, same values."""

from random import Random
from typing import Any

import numpy as np
import pytest
from fuzz.columns import PLAIN, ColumnsTarget, batch, judge
from fuzz.mutate import varint

from mevstream.cext.columnar import Layout


def tag(number: int, wire: int, length: int = 0) -> bytes:
    return varint(number << 3 | wire, length)


G, E = 3, 4  # wire types of the start and the end of a group
EDGES: dict[str, tuple[bytes, bool]] = {
    "empty": (b"", True),
    "tag of five bytes": (tag(15, 2, 5) + b"\0", True),
    "tag of six bytes": (tag(15, 2, 6) + b"\0", False),
    "tag above 32 bits": (b"\x88\x80\x80\x80\x10\x01", False),
    "largest field number": (b"\xf8\xff\xff\xff\x0f\x01", True),
    "field number 0": (b"\0\0", False),
    "wire type 6": (tag(1, 6) + b"\0", False),
    "wire type 7": (tag(20, 7) + b"\0", False),
    "length of five bytes": (tag(20, 2) + varint(4, 5) + b"abcd", True),
    "length of six bytes": (tag(20, 2) + varint(4, 6) + b"abcd", False),
    "length beyond the end": (tag(20, 2) + varint(8) + b"abcd", False),
    "length of 2 GiB": (tag(20, 2) + varint(2**31) + b"abcd", False),
    "length of 2**32 - 1": (tag(1000, 2) + varint(2**32 - 1), False),
    "length missing": (tag(20, 2), False),
    "varint of ten bytes": (tag(1, 0) + b"\xff" * 9 + b"\x7f", True),
    "varint of eleven bytes": (tag(1, 0) + b"\xff" * 10 + b"\x00", False),
    "unknown varint of ten bytes": (tag(1000, 0) + b"\xff" * 9 + b"\x7f", True),
    "unknown varint of eleven bytes": (tag(1000, 0) + b"\xff" * 10 + b"\x00", False),
    "varint cut off": (tag(1, 0) + b"\xff\xff", False),
    "fixed32 cut off": (tag(20, 5) + b"abc", False),
    "fixed64 cut off": (tag(40, 1) + b"abcdefg", False),
    "column of no whole elements": (tag(20, 2) + varint(3) + b"abc", False),
    "column of 8-byte elements of 4 bytes": (tag(40, 2) + varint(4) + b"abcd", False),
    "one element, unpacked": (tag(20, 5) + b"abcd", True),
    "column with the other fixed type": (tag(20, 1) + b"abcdefgh", True),
    "column as a varint": (tag(20, 0) + b"\x05", True),
    "bytes field as a varint": (tag(16, 0) + b"\x05", True),
    "bytes field twice": (tag(16, 2) + b"\x01a" + tag(16, 2) + b"\x02bc", True),
    "bytes field twice, then empty": (tag(16, 2) + b"\x01a" + tag(16, 2) + b"\x00", True),
    "column in runs": (b"".join(tag(20, 2) + b"\x04" + bytes([i] * 4) for i in range(3)), True),
    "column in runs, packed, unpacked and empty": (
        tag(40, 1) + b"abcdefgh" + tag(40, 2) + b"\0" + tag(1, 0) + b"\x05" + tag(40, 2) + b"\x10"
        + b"ABCDEFGHIJKLMNOP",
        True,
    ),
    "group": (tag(1000, G) + tag(1000, E), True),
    "group under a column's number": (tag(20, G) + tag(20, 2) + b"\x03abc" + tag(20, E), True),
    "group with field number 0 inside": (tag(1000, G) + b"\0\0" + tag(1000, E), True),
    "group that ends another": (tag(1000, G) + tag(1001, E), False),
    "group without an end": (tag(1000, G) + tag(1, 0) + b"\x01", False),
    "end of no group": (tag(1, E), False),
    "wire type 6 in a group": (tag(1000, G) + tag(1, 6) + tag(1000, E), False),
    "length beyond the end in a group": (tag(9, G) + tag(1, 2) + b"\x04" + tag(9, E), False),
    "100 groups deep": (tag(99, G) * 100 + tag(99, E) * 100, True),
    "101 groups deep": (tag(99, G) * 101 + tag(99, E) * 101, False),
    "string that is no UTF-8": (tag(6, 2) + b"\x01\xff", False),
    "name that is a surrogate": (tag(17, 2) + b"\x03\xed\xa0\x80", False),
}  # fmt: skip


@pytest.mark.parametrize("edge", EDGES)
def test_edges_of_the_wire_format(edge: str) -> None:
    data, accepted = EDGES[edge]
    assert judge(data) is accepted


@pytest.mark.parametrize("seed", range(3))
def test_every_prefix_of_a_message(seed: int) -> None:
    data = batch(Random(seed))
    verdicts = [judge(data[:size]) for size in range(len(data) + 1)]
    assert verdicts[-1]
    assert not all(verdicts)


def test_made_and_mutated_messages_are_judged_as_upb_does() -> None:
    target = ColumnsTarget(Random(20240817))
    accepted = sum(judge(target.generate()) for _ in range(12_000))
    assert 2_000 < accepted < 10_000


def test_split_column_is_the_only_copy() -> None:
    run = np.arange(4, dtype="<u4").tobytes()
    data = tag(20, 2) + b"\x10" + run + tag(21, 2) + b"\x10" + run + tag(20, 2) + b"\x10" + run
    _, columns = PLAIN.read(data)
    whole = np.frombuffer(data, np.uint8)
    assert not np.shares_memory(columns["tx_index"], whole)
    assert columns["tx_index"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert np.shares_memory(columns["tx_payer"], whole)


def test_messages_are_bytes() -> None:
    """Anything else could change under the views."""
    with pytest.raises(TypeError):
        PLAIN.read(bytearray(batch(Random(0))))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("head", [b"", b"\x28\x01", b"\x32\x05Kafka" * 50])
@pytest.mark.parametrize("number", [14, 16, 1023])
@pytest.mark.parametrize("padding", [1, 15, 31, 1022])
def test_payloads_start_on_multiples_of_eight(head: bytes, number: int, padding: int) -> None:
    layout = Layout([("a", number, "<u8", 8, None, 0), ("b", 17, "<u4", 4, None, 0)], padding)
    for rows in range(40):
        a, b = np.arange(rows, dtype="<u8"), np.arange(rows + 1, dtype="<u4")
        data = layout.write(head, {"a": a, "b": b})
        assert data.startswith(head)
        rest, columns = layout.read(data)
        assert rest == head
        assert columns["a"].tolist() == a.tolist()
        assert columns["b"].tolist() == b.tolist()
        for column in columns.values():
            if column.size:
                start = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
                assert (column.__array_interface__["data"][0] - start) % 8 == 0


@pytest.mark.parametrize(
    "fields",
    [
        [("a", 0, "<u4", 4, None, 0)],
        [("a", 1024, "<u4", 4, None, 0)],
        [("a", 15, "<u4", 4, None, 0)],
        [("a", 1, "<u4", 4, None, 0), ("b", 1, "<u4", 4, None, 0)],
        [("a", 1, "<u4", 7, None, 0)],
        [(f"c{i}", i + 20, "<u4", 4, None, 0) for i in range(256)],
    ],
)
def test_impossible_layouts(fields: list[Any]) -> None:
    with pytest.raises(ValueError):
        Layout(fields, padding=15)


def test_message_above_2_gib_is_refused_before_it_is_made() -> None:
    layout = Layout([(f"c{i}", i + 1, "<u8", 8, None, 0) for i in range(9)])
    column = np.zeros(1 << 25, "<u8")  # 256 MiB that are never touched
    with pytest.raises(ValueError, match="2 GiB"):
        layout.write(b"", {f"c{i}": column for i in range(9)})
