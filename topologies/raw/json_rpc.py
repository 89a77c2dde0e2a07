"""JSON-RPC answers (getBlock, getTransaction) into RawBatches and single transactions.

Accepts one value, an array of them, or one value a line, each bare or inside envelopes: an RPC
response, a websocket notification, an object with the answer under `raw`.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from google.protobuf.message import DecodeError

from mevstream.errors import InputError
from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction
from mevstream.schemas.raw_pb2 import Commitment
from mevstream.topologies.raw.batches import BatchWriter, SlotHeader
from mevstream.topologies.raw.hashes import parse_hash
from mevstream.topologies.raw.json_transaction import (
    MalformedTransaction,
    ReducedEncoding,
    encode_transaction,
)
from mevstream.topologies.raw.slots import SlotAssembler
from mevstream.topologies.raw.streams import ByteStream

_BOM = b"\xef\xbb\xbf"
# Keys under which an envelope holds the answer; no answer has one of them itself.
_ENVELOPE_KEYS = ("result", "params", "value", "block", "raw")
_MAX_ENVELOPES = 6
# Codes of RPC errors that say that a slot has no block: skipped, or skipped in long-term storage.
_SKIPPED = (-32007, -32009)
# Malformed transactions in a row that are enough to know that an input is no list of them.
_MOST_HELD = 256
_INT64, _UINT64, _UINT32 = range(-(1 << 63), 1 << 63), range(1 << 64), range(1 << 32)
_log = logging.getLogger(__name__)


def read_values(stream: ByteStream, max_bytes: int) -> Iterator[tuple[str, Any]]:
    """JSON values of an input with a word for where each stands ("" if it is the only one).

    If the first line is a whole value, every line is; else the input is one value. Raises
    InputError for what is no JSON and for a value of more than `max_bytes`.
    """
    text = b""
    number = 0
    while not text:
        number += 1
        text = _line(stream, number, max_bytes)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        text += stream.read(max_bytes + 1 - len(text))
        if len(text) > max_bytes:
            raise InputError(
                f"{stream.name}: more than the limit of {max_bytes} bytes once decompressed"
            ) from None
        yield "", _parse(text, stream.name)
        return
    following = None
    while line := stream.read_line(max_bytes + 1):
        number += 1
        if len(line) > max_bytes:
            raise InputError(f"{stream.name}: line {number}: more than {max_bytes} bytes")
        if not line.strip():
            continue
        if following is None:
            yield "line 1: ", value
        following = f"line {number}: "
        yield following, _parse(line, f"{stream.name}: line {number}")
    if following is None:
        yield "", value


def _line(stream: ByteStream, number: int, max_bytes: int) -> bytes:
    line = stream.read_line(max_bytes + 1)
    if not line:
        raise InputError(f"{stream.name}: holds nothing but white space")
    return (line.removeprefix(_BOM) if number == 1 else line).strip()


def _parse(text: bytes, place: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{place}: not JSON, or cut off: {error}") from None


@dataclass(slots=True)
class JsonReader:
    """Reads the JSON values of one input. `slot` is the one to take where no value tells it."""

    name: str
    slot: int | None
    writer: BatchWriter
    assembler: SlotAssembler
    counts: Counter[str]
    # Only one block can be the one that the file name or --slot means.
    _slot_taken: bool = False
    _good: int = 0
    # Malformed transactions are held back until a good one shows that the input is what it seems.
    _held: list[tuple[SlotHeader, int | None, bytes, str]] = field(
        default_factory=list[tuple[SlotHeader, int | None, bytes, str]]
    )
    _first_error: str = ""

    def read(self, stream: ByteStream, max_bytes: int) -> Iterator[bytes]:
        """RawBatch bytes of whole blocks; transactions go to the assembler. Raises InputError."""
        for place, value in read_values(stream, max_bytes):
            yield from self._value(place, value, None, 0)
            yield from self.assembler.drain()
        if self._held:
            raise InputError(f"{self.name}: {self._first_error}")

    def _value(self, place: str, value: Any, slot: int | None, depth: int) -> Iterator[bytes]:
        if isinstance(value, list):
            yield from self._array(place, cast("list[Any]", value), slot, depth)
            return
        if not isinstance(value, dict):
            raise self._error(place, f"a block or transaction expected, not {_kind(value)}")
        answer = cast("dict[str, Any]", value)
        slot = self._told_slot(place, answer, slot)
        if "transactions" in answer or "blockhash" in answer:
            yield from self._block(place, answer, slot)
        elif "transaction" in answer and "transaction" not in _keys(answer["transaction"]):
            self._transaction(place, answer, slot)
        elif place and _is_absent(answer):
            self.counts["absent"] += 1
        elif depth == _MAX_ENVELOPES:
            raise self._error(place, "too many envelopes around the answer")
        else:
            yield from self._value(place, self._unwrap(place, answer), slot, depth + 1)

    def _unwrap(self, place: str, envelope: dict[str, Any]) -> Any:
        error = envelope.get("error")
        if error is not None:
            code, message = _keys(error).get("code"), _keys(error).get("message")
            told = f" {code}" if isinstance(code, int) else ""
            told += f": {' '.join(message.split())}" if isinstance(message, str) else ""
            raise self._error(place, f"holds an RPC error and no data{told}")
        for key in ("transaction", *_ENVELOPE_KEYS):
            if key not in envelope:
                continue
            if envelope[key] is None:
                raise self._error(
                    place,
                    f"{key} is null: the slot was skipped, or what was asked for is not there yet",
                )
            return envelope[key]
        raise self._error(place, "neither a block, a transaction nor an RPC answer with one")

    def _array(
        self, place: str, values: list[Any], slot: int | None, depth: int
    ) -> Iterator[bytes]:
        if depth == _MAX_ENVELOPES:
            raise self._error(place, "too many envelopes around the answer")
        present = 0
        for i, value in enumerate(values):
            # getTransaction answers null for a signature it does not know.
            if value is None:
                self.counts["absent"] += 1
                continue
            present += 1
            yield from self._value(f"{place}[{i}]: ", value, slot, depth + 1)
        if not present:
            raise self._error(place, "an array without a block or transaction")

    def _told_slot(self, place: str, value: dict[str, Any], outer: int | None) -> int | None:
        slot = self._integer(place, value, "slot", _UINT64)
        if slot is None:
            slot = self._integer(place, _keys(value.get("context")), "slot", _UINT64)
        return outer if slot is None else slot

    def _fallback_slot(self, place: str) -> int:
        if self.slot is None:
            raise self._error(
                place,
                "the slot is neither in the data nor in the file name; give it with --slot",
            )
        return self.slot

    def _transaction(self, place: str, entry: dict[str, Any], slot: int | None) -> None:
        payload, error = self._encode(place, entry)
        slot = self._fallback_slot(place) if slot is None else slot
        header = self.assembler.header(slot, Commitment.COMMITMENT_CONFIRMED)
        header.block_time = self._integer(place, entry, "blockTime", _INT64)
        index = self._integer(place, entry, "transactionIndex", _UINT32)
        where = place.removesuffix(": ") or "transaction"
        if error:
            self._first_error = self._first_error or f"{place}{error}"
            self._held.append((header, index, payload, where))
            if not self._good:
                if len(self._held) > _MOST_HELD:
                    raise InputError(f"{self.name}: {self._first_error}")
                return
        else:
            self._good += 1
        held, self._held = self._held, []
        for row in held:
            self._count_malformed(self._first_error)
            self.assembler.add(*row[:3], self.name, row[3])
        if not error:
            self.assembler.add(header, index, payload, self.name, where)

    def _block(self, place: str, block: dict[str, Any], slot: int | None) -> Iterator[bytes]:
        entries = block.get("transactions")
        if not isinstance(entries, list):
            asked = "signatures" if "signatures" in block else "none"
            raise self._error(
                place,
                f"a block without its transactions (transactionDetails {asked!r}); ask for 'full'",
            )
        # Before the slot is asked for: an encoding that cannot serve is the first thing to tell.
        payloads: list[bytes] = []
        errors: list[str] = []
        for i, entry in enumerate(cast("list[Any]", entries)):
            payload, error = self._encode(f"{place}transaction {i}: ", entry)
            payloads.append(payload)
            if error:
                errors.append(f"{place}transaction {i}: {error}")
        if errors and len(errors) == len(payloads):
            raise InputError(f"{self.name}: {errors[0]}")
        if slot is None:
            slot = self._fallback_slot(place)
            if self._slot_taken:
                raise self._error(place, f"a second block without a slot; {slot} is taken")
            self._slot_taken = True
        header = SlotHeader(
            slot,
            parent_slot=self._integer(place, block, "parentSlot", _UINT64) or 0,
            block_time=self._integer(place, block, "blockTime", _INT64),
            blockhash=self._hash(place, block, "blockhash"),
            parent_blockhash=self._hash(place, block, "previousBlockhash"),
            block_height=self._integer(place, block, "blockHeight", _UINT64),
        )
        for error in errors:
            self._count_malformed(error)
        self.counts["transactions"] += len(payloads)
        self.assembler.claim(slot, self.name)
        yield from self.writer.block(header, self.name, payloads)

    def _encode(self, place: str, entry: Any) -> tuple[bytes, str]:
        """ConfirmedTransaction bytes, or the JSON of a malformed entry and what is wrong."""
        try:
            return encode_transaction(entry), ""
        except ReducedEncoding as error:
            raise self._error(place, str(error)) from None
        except MalformedTransaction as error:
            try:
                return _undecodable(entry), str(error)
            except orjson.JSONEncodeError:
                raise self._error(place, "is nested too deeply") from None

    def _count_malformed(self, error: str) -> None:
        if not self.counts["malformed"]:
            _log.warning("%s: %s (passed on as it came)", self.name, error)
        self.counts["malformed"] += 1

    def _integer(self, place: str, value: dict[str, Any], key: str, limits: range) -> int | None:
        number = value.get(key)
        if number is not None and (type(number) is not int or number not in limits):
            raise self._error(place, f"{key} is no integer within its limits")
        return number

    def _hash(self, place: str, value: dict[str, Any], key: str) -> bytes:
        text = value.get(key, "")
        if not isinstance(text, str):
            raise self._error(place, f"{key} is {_kind(text)}, not a string")
        return parse_hash(text, f"{self.name}: {place}{key}")

    def _error(self, place: str, cause: str) -> InputError:
        return InputError(f"{self.name}: {place}{cause}")


def _undecodable(entry: Any) -> bytes:
    """JSON of a transaction that could not be encoded, for the decoder to reject with its bytes.

    Bytes that some reader of protobuf would take for a message get a tag without a value at
    their end, which none does.
    """
    payload = orjson.dumps(entry)
    try:
        ConfirmedTransaction.FromString(payload)
    except DecodeError:
        return payload
    return payload + b"\n"


def _is_absent(answer: dict[str, Any]) -> bool:
    """Whether RPC answered that there is no such block or transaction. Among other answers that is
    nothing wrong: every range of slots has some that were skipped."""
    error = answer.get("error")
    if error is not None:
        return _keys(error).get("code") in _SKIPPED
    return "result" in answer and answer["result"] is None


def _keys(value: Any) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
