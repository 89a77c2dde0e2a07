"""Record headers: what a Kafka record says about its value before that is decompressed.

| header               | value                                                          |
|----------------------|----------------------------------------------------------------|
| `mev.schema`         | full name of the protobuf message: `mevstream.v1.ParsedBatch`  |
| `mev.schema-version` | version of its fields, from 1                                  |
| `mev.codec`          | `zstd` or `none`                                               |
| `mev.slot`           | slot                                                           |
| `mev.seq`            | position of the batch in its slot                              |
| `mev.last`           | `1` where the batch closes its slot, else `0`                  |
| `mev.first-seen-ns`  | when a source first saw the data, nanoseconds since the epoch  |
| `mev.origin`         | `partition/partitions/offset` of the raw record behind this one |
| `traceparent`        | W3C Trace Context (https://www.w3.org/TR/trace-context)        |

Numbers are decimal text. Of a header that comes twice the last one counts, as in Kafka's clients.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mevstream.codecs.frames import LEVEL, MAX_SIZE, compress, decompress
from mevstream.errors import InputError

SCHEMA_VERSION = 1
"""Raised when fields are added; a change that older readers cannot ignore is a new package."""

Header = tuple[str, bytes | None]
"""As Kafka clients have them; None is Kafka's null."""

_CODECS = ("zstd", "none")
_U32, _U64, _I64 = 2**32 - 1, 2**64 - 1, 2**63 - 1
_ORIGIN = re.compile(r"[0-9]{1,9}/[0-9]{1,9}/[0-9]{1,19}")
# Later versions of Trace Context may be longer; nobody may send version ff or zero ids.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


_KNOWN = frozenset(
    (
        "mev.schema",
        "mev.schema-version",
        "mev.codec",
        "mev.slot",
        "mev.seq",
        "mev.last",
        "mev.first-seen-ns",
        "mev.origin",
        "traceparent",
    )
)


class Origin(NamedTuple):
    """Where in mev.raw a record began: its partition, how many there were, its offset. Of one
    partition the offsets only grow, so a reader knows how far each of them has come."""

    partition: int
    partitions: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.partitions}/{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordHeaders:
    """The headers of one record; None is a header that is not there. `other` are those that this
    module does not know, in their order."""

    schema: str
    schema_version: int = SCHEMA_VERSION
    codec: str = "zstd"
    slot: int | None = None
    seq: int | None = None
    last: bool | None = None
    first_seen_ns: int | None = None
    origin: Origin | None = None
    traceparent: str | None = None
    other: tuple[Header, ...] = ()


def write_headers(headers: RecordHeaders, *, check: bool = True) -> list[Header]:
    """Headers for a Kafka client. Raises InputError for a value that `read_headers` refuses, unless
    `check` is False: for values that were read from headers."""
    values = {
        "mev.schema": headers.schema,
        "mev.schema-version": headers.schema_version,
        "mev.codec": headers.codec,
        "mev.slot": headers.slot,
        "mev.seq": headers.seq,
        "mev.last": None if headers.last is None else int(headers.last),
        "mev.first-seen-ns": headers.first_seen_ns,
        "mev.origin": headers.origin,
        "traceparent": headers.traceparent,
    }
    known: list[Header] = [(k, str(v).encode()) for k, v in values.items() if v is not None]
    if check:
        read_headers(known)
    return [*known, *headers.other]


def read_headers(headers: Iterable[Header] | None) -> RecordHeaders:
    """The headers of a record as a Kafka client gives them (None: it has none).

    Raises InputError, naming the header, where `mev.schema` is missing or a value is one that
    the header cannot have.
    """
    known: dict[str, str] = {}
    other: list[Header] = []
    for name, value in headers or ():
        if name not in _KNOWN:
            other.append((name, value))
            continue
        try:
            known[name] = (value or b"").decode("ascii")
        except UnicodeDecodeError:
            raise _bad(name, value) from None
    if not known.get("mev.schema"):
        raise InputError("record header mev.schema is missing")
    codec = known.get("mev.codec", "none")
    if codec not in _CODECS:
        raise _bad("mev.codec", codec)
    traceparent = known.get("traceparent")
    if traceparent is not None and not _TRACEPARENT.fullmatch(traceparent):
        raise _bad("traceparent", traceparent)
    last = _number(known, "mev.last", 1)
    return RecordHeaders(
        schema=known["mev.schema"],
        schema_version=_number(known, "mev.schema-version", _U32) or 1,
        codec=codec,
        slot=_number(known, "mev.slot", _U64),
        seq=_number(known, "mev.seq", _U32),
        last=None if last is None else bool(last),
        first_seen_ns=_number(known, "mev.first-seen-ns", _U64),
        origin=_origin(known.get("mev.origin")),
        traceparent=traceparent,
        other=tuple(other),
    )


def pack_record(
    message: bytes, headers: RecordHeaders, *, level: int = LEVEL
) -> tuple[bytes, list[Header]]:
    """(value, headers) of the Kafka record that carries `message` (a serialised protobuf);
    `level` is zstd's."""
    value = compress(message, level) if headers.codec == "zstd" else message
    return value, write_headers(headers)


def unpack_record(
    value: bytes, headers: Iterable[Header] | None, *, schema: str, max_size: int = MAX_SIZE
) -> tuple[bytes, RecordHeaders]:
    """(message, headers) of a Kafka record that has to carry `schema`.

    Raises InputError for another schema, bad headers, and a value that is no frame of the codec
    or has more than `max_size` bytes.
    """
    read = read_headers(headers)
    if read.schema != schema:
        raise InputError(f"record header mev.schema is {read.schema!r}, not {schema!r}")
    if read.codec == "zstd":
        return decompress(value, max_size), read
    if len(value) > max_size:
        raise InputError(f"a record of {len(value)} bytes is above the limit of {max_size}")
    return value, read


def _number(known: dict[str, str], name: str, most: int) -> int | None:
    text = known.get(name)
    if text is None:
        return None
    if not text.isdigit() or len(text) > 20 or int(text) > most:
        raise _bad(name, text)
    return int(text)


def _origin(text: str | None) -> Origin | None:
    if text is None:
        return None
    if not _ORIGIN.fullmatch(text):
        raise _bad("mev.origin", text)
    origin = Origin(*map(int, text.split("/")))
    if origin.partition >= origin.partitions or origin.offset > _I64:
        raise _bad("mev.origin", text)
    return origin


def _bad(name: str, value: object) -> InputError:
    return InputError(f"record header {name} has the bad value {str(value)[:80]!r}")
