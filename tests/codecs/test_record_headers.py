"""Record headers, and records as Kafka carries them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mevstream.codecs.frames import compress
from mevstream.codecs.headers import (
    RecordHeaders,
    pack_record,
    read_headers,
    unpack_record,
    write_headers,
)
from mevstream.errors import InputError

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SCHEMA = ("mev.schema", b"mevstream.v1.RawBatch")
NAMES = st.text(min_size=1, max_size=9).filter(
    lambda name: not name.startswith("mev.") and name != "traceparent"
)


@given(
    st.builds(
        RecordHeaders,
        schema=st.just("mevstream.v1.RawBatch"),
        schema_version=st.integers(1, 2**32 - 1),
        codec=st.sampled_from(["zstd", "none"]),
        slot=st.none() | st.integers(0, 2**64 - 1),
        seq=st.none() | st.integers(0, 2**32 - 1),
        last=st.none() | st.booleans(),
        first_seen_ns=st.none() | st.integers(0, 2**64 - 1),
        traceparent=st.none() | st.just(TRACE),
        other=st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=9)), max_size=4).map(tuple),
    )
)
def test_round_trip(headers: RecordHeaders) -> None:
    assert read_headers(write_headers(headers)) == headers


def test_what_is_on_the_wire() -> None:
    headers = RecordHeaders(
        schema="mevstream.v1.RawBatch",
        slot=316719544,
        seq=3,
        last=True,
        first_seen_ns=17,
        traceparent=TRACE,
        other=(("tracestate", b"a=b"),),
    )
    assert write_headers(headers) == [
        SCHEMA,
        ("mev.schema-version", b"1"),
        ("mev.codec", b"zstd"),
        ("mev.slot", b"316719544"),
        ("mev.seq", b"3"),
        ("mev.last", b"1"),
        ("mev.first-seen-ns", b"17"),
        ("traceparent", TRACE.encode()),
        ("tracestate", b"a=b"),
    ]


def test_the_last_of_two_counts() -> None:
    read = read_headers([SCHEMA, ("mev.slot", b"1"), ("mev.slot", b"2"), ("x", b"1"), ("x", None)])
    assert read.slot == 2
    assert read.other == (("x", b"1"), ("x", None))


@pytest.mark.parametrize("headers", [None, [], [("mev.schema", b"")], [("mev.schema", None)]])
def test_schema_is_needed(headers: Any) -> None:
    with pytest.raises(InputError, match=r"record header mev\.schema is missing"):
        read_headers(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mev.schema", b"\xff"),
        ("mev.schema-version", b"1.0"),
        ("mev.schema-version", b"4294967296"),
        ("mev.codec", b"gzip"),
        ("mev.codec", b""),
        ("mev.slot", b""),
        ("mev.slot", None),
        ("mev.slot", b"-1"),
        ("mev.slot", b" 1"),
        ("mev.slot", b"1_0"),
        ("mev.slot", "\u0661".encode()),
        ("mev.slot", b"18446744073709551616"),
        ("mev.slot", b"9" * 5000),
        ("mev.seq", b"4294967296"),
        ("mev.last", b"2"),
        ("mev.last", b"true"),
        ("mev.first-seen-ns", b"1e9"),
        ("traceparent", b""),
        ("traceparent", TRACE.upper().encode()),
        ("traceparent", TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32).encode()),
        ("traceparent", TRACE.replace("00f067aa0ba902b7", "0" * 16).encode()),
        ("traceparent", b"ff" + TRACE[2:].encode()),
        ("traceparent", TRACE.encode() + b"\n"),
    ],
)
def test_bad_values(name: str, value: bytes | None) -> None:
    with pytest.raises(InputError, match=f"record header {name} has the bad value") as raised:
        read_headers([SCHEMA, (name, value)])
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    "bad", [{"slot": -1}, {"seq": 2**32}, {"codec": "gzip"}, {"traceparent": "x"}, {"schema": ""}]
)
def test_bad_values_are_not_written(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="record header"):
        write_headers(RecordHeaders(**{"schema": "mevstream.v1.RawBatch", **bad}))


@pytest.mark.parametrize("codec", ["zstd", "none"])
def test_records(codec: str) -> None:
    message = bytes(1000)
    sent = RecordHeaders(schema="mevstream.v1.RawBatch", codec=codec, slot=1)
    value, headers = pack_record(message, sent)
    assert (len(value) < 100) == (codec == "zstd")
    assert unpack_record(value, headers, schema="mevstream.v1.RawBatch") == (message, sent)
    with pytest.raises(InputError, match=r"mev\.schema is .*RawBatch', not .*ParsedBatch"):
        unpack_record(value, headers, schema="mevstream.v1.ParsedBatch")
    with pytest.raises(InputError, match="above the limit of 999"):
        unpack_record(value, headers, schema="mevstream.v1.RawBatch", max_size=999)


def test_codec_and_value_have_to_match() -> None:
    headers = write_headers(RecordHeaders(schema="mevstream.v1.RawBatch"))
    with pytest.raises(InputError, match="zstd"):
        unpack_record(b"plain", headers, schema="mevstream.v1.RawBatch")


def test_a_record_of_another_producer_says_its_codec_or_is_plain() -> None:
    assert unpack_record(b"m", [SCHEMA], schema="mevstream.v1.RawBatch")[0] == b"m"
    frame = compress(b"m")
    assert unpack_record(
        frame, [SCHEMA, ("mev.codec", b"zstd")], schema="mevstream.v1.RawBatch"
    )[0] == b"m"  # fmt: skip
