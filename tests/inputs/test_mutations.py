"""Whatever an input holds, it is read or refused with InputError; nothing else comes out."""

import copy
import gzip
import io
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mevstream.cext.decoder import BatchDecoder
from mevstream.errors import InputError
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.sources import open_sources

from .conftest import Block
from .conversions import block_json, block_protobuf, framed, transaction_update

FEW = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
# What a mutation puts in the place of something else.
STRANGE: list[Any] = [
    None, True, False, 0, 1, -1, 5, 256, 2**31, 2**32, 2**63, 2**64 - 1, 1.5, 1e308, "", "1",
    "text", "0OIl", "\0", "\ud7ff", "1" * 50, [], {}, [[]], [None], [1], ["1"], {"a": 1},
    {"slot": 1}, {"transaction": {}}, ["", "base64"], ["AAAA", "base58"], "jsonParsed", [0] * 300,
]  # fmt: skip


def outcome(data: bytes) -> int:
    """Reads `data` as standard input, decodes what comes, and counts the transactions."""
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data))
    decoder = BatchDecoder()
    counts: Counter[str] = Counter()
    transactions = 0
    message = ""
    try:
        for batch in open_sources(["-"], slot=7, counts=counts):
            raw = RawBatch.FromString(batch)
            parsed = ParsedBatch.FromString(decoder.decode(batch))
            # Nothing is lost: each is decoded or put aside.
            assert len(raw.transactions) == len(parsed.tx_index) + len(parsed.malformed)
            transactions += len(raw.transactions)
    except InputError as error:
        message = str(error)
    finally:
        sys.stdin.detach()
        sys.stdin = stdin
    assert message[:3] in ("", "-: ")
    assert "\n" not in message
    assert message or transactions == counts["transactions"]
    return transactions


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) within a JSON value."""
    keys = value if isinstance(value, dict) else range(len(value)) if type(value) is list else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@pytest.fixture(scope="module")
def block_text(blocks: list[Block]) -> bytes:
    """A block with votes, failures, lookups, token balances and inner instructions."""
    payloads = [
        *blocks[2].payloads[:2],
        *sorted(blocks[2].payloads, key=len)[-3:-1],
        *blocks[1].payloads[40:44],
    ]
    return orjson.dumps(block_json(payloads, blocks[2].header, "json"))


@FEW
@given(seed=st.integers(0, 2**32), count=st.integers(1, 4))
def test_json_with_values_replaced(block_text: bytes, seed: int, count: int) -> None:
    random = Random(seed)
    block = orjson.loads(block_text)
    for _ in range(count):
        container, key = random.choice(list(places(block)))
        match random.randrange(4):
            case 0 if isinstance(container, dict):
                del container[key]
            case 1:
                other, name = random.choice(list(places(block)))
                container[key] = orjson.loads(orjson.dumps(other[name]))
            case _:
                # A copy, for the next mutation may change it.
                container[key] = copy.deepcopy(random.choice(STRANGE))
    outcome(orjson.dumps(block))


@FEW
@given(seed=st.integers(0, 2**32), count=st.integers(1, 8), pack=st.booleans())
def test_bytes_changed(blocks: list[Block], seed: int, count: int, pack: bool) -> None:
    """Of the text, of a stored block, of a stream and of their compressed forms."""
    random = Random(seed)
    payloads = blocks[2].payloads[:4]
    header = blocks[2].header
    data = bytearray(
        random.choice(
            [
                orjson.dumps(block_json(payloads, header, "base64")),
                block_protobuf(payloads, header),
                framed(transaction_update(7, i, p) for i, p in enumerate(payloads)),
            ]
        )
    )
    if pack:
        data = bytearray(gzip.compress(data))
    for _ in range(count):
        at = random.randrange(len(data))
        match random.randrange(4):
            case 0:
                data[at] = random.choice((0, 0x7F, 0x80, 0xFF, random.randrange(256)))
            case 1:
                data[at] ^= 1 << random.randrange(8)
            case 2:
                del data[at : at + random.randrange(1, 9)]
            case _:
                data[at:at] = random.randbytes(random.randrange(1, 9))
        data = data or bytearray(b"{")
    outcome(bytes(data))


@FEW
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "slot",
                        "result",
                        "transaction",
                        "transactions",
                        "meta",
                        "block",
                        "error",
                        "raw",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json(value: object) -> None:
    outcome(orjson.dumps(value))


@FEW
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    outcome(data)


def test_a_sound_block_is_read_whole(block_text: bytes) -> None:
    """The mutations above start from something that works."""
    assert outcome(block_text) == 8


def test_every_place_of_a_transaction_by_every_kind_of_value(block_text: bytes) -> None:
    """Not by chance, as above. Larger transactions have more places, of no other kinds."""
    block = orjson.loads(block_text)
    first = min(
        (t for t in block["transactions"] if t["meta"]["innerInstructions"]),
        key=lambda t: len(orjson.dumps(t)),
    )
    spots = len(list(places(first)))
    assert spots > 100
    for spot in range(spots):
        for strange in STRANGE[spot % 7 :: 7]:
            entry = orjson.loads(orjson.dumps(first))
            container, key = list(places(entry))[spot]
            container[key] = strange
            outcome(orjson.dumps(entry))
