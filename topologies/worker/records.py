"""From an input record to the records that follow from it: unpacked, staged, placed, packed."""

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from mevstream.codecs.frames import compress
from mevstream.codecs.headers import (
    Header,
    Origin,
    RecordHeaders,
    read_headers,
    unpack_record,
    write_headers,
)
from mevstream.errors import InputError
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import (
    DEAD_LETTER,
    MAX_LETTER_BYTES,
    MAX_RECORD_BYTES,
    MESSAGES,
    RAW,
    SLOTS,
    Link,
    Record,
)
from mevstream.topologies.observe import tracing
from mevstream.topologies.observe.logging import get_logger

log = get_logger(__name__)

Partitions = Callable[[str], int]
"""Topic → how many partitions it has."""

_MAX_HEADERS = 64 << 10
_MAX_ERROR = 2000
# zstd's: level 3 takes a quarter longer, for records that are one per cent smaller.
_LEVEL = 1

# Key, headers and the batch around a value count, too.
_OVERHEAD = 1 << 10


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record as it came from Kafka. `value` None is a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    timestamp_ns: int = 0

    @property
    def size(self) -> int:
        return len(self.value or b"")


@dataclass(frozen=True, slots=True)
class Message:
    """An uncompressed message with what its record's headers say."""

    value: bytes
    headers: RecordHeaders


@dataclass(frozen=True, slots=True)
class Placed:
    """An uncompressed message on its way to a partition."""

    topic: str
    partition: int
    key: bytes | None
    message: Message


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record as Kafka gets it."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: list[Header] = field(default_factory=list[Header])


def read_message(record: Incoming, partitions: Partitions) -> Message:
    """The message of a record, with the origin of one that begins the chain. Raises InputError
    for a record that is not what its topic says."""
    if record.value is None:
        raise InputError("the record has no value")
    value, headers = unpack_record(record.value, record.headers, schema=MESSAGES[record.topic])
    if record.topic == RAW:
        # It may be from a partition that was added since they were counted.
        count = max(partitions(RAW), record.partition + 1)
        origin = Origin(record.partition, count, record.offset)
        headers = replace(headers, origin=origin)
    return Message(value, headers)


def place(
    results: Sequence[Record],
    source: Incoming,
    headers: RecordHeaders | None,
    partitions: Partitions,
) -> list[Placed]:
    """Where the results of a stage go, other than those that a split parts among the markets.

    A slot's status goes by its key, everything else to the partition that the input came from.
    `headers` are the input's, None where they cannot be read.
    """
    placed: list[Placed] = []
    for topic, value in ((result.topic, result.value) for result in results):
        key = None
        partition = source.partition % partitions(topic)
        if topic == SLOTS:
            key = slot_key(SlotStatus.FromString(value))
            partition = zlib.crc32(key) % partitions(topic)
        elif topic == DEAD_LETTER:
            value = _filled(DeadLetter.FromString(value), source).SerializeToString()
        placed.append(Placed(topic, partition, key, Message(value, headers_for(topic, headers))))
    return placed


def headers_for(topic: str, headers: RecordHeaders | None) -> RecordHeaders:
    """The headers of a record of `topic` that follows from one with `headers`."""
    schema = MESSAGES[topic]
    if headers is None:
        return RecordHeaders(schema=schema)
    return RecordHeaders(
        schema=schema,
        slot=headers.slot,
        seq=headers.seq,
        last=headers.last,
        first_seen_ns=headers.first_seen_ns,
        origin=headers.origin,
        traceparent=headers.traceparent,
    )


def slot_key(status: SlotStatus) -> bytes:
    """The key of a record of mev.slots, of which compaction keeps the latest: of a batch
    chain/slot/blockhash/seq, of a report of what is missing chain/slot/blockhash/reporter/first,
    the blockhash in hex."""
    last = str(status.seq)
    if status.reporter:
        first = status.missing[0] if status.missing else status.missing_from
        last = f"{status.reporter}/{first}"
    chain = status.chain or "solana"
    return f"{chain}/{status.slot}/{status.blockhash.hex()}/{last}".encode()


def reject(record: Incoming, stage: str, error: Exception, partitions: Partitions) -> Outgoing:
    """The dead letter of a record that cannot be processed: its bytes as they came, and why. Of a
    record beyond the size that topics of the chain take only its place is told."""
    text, payload = one_line(error)[:_MAX_ERROR], record.value or b""
    if len(payload) > MAX_RECORD_BYTES:
        text += f" (its {len(payload)} bytes are left out)"
        payload = b""
    letter = DeadLetter(stage=stage, error=text, seen_ns=time.time_ns(), payload=payload)
    with suppress(InputError):
        told = read_headers(record.headers)
        if told.slot is not None:
            letter.slot = told.slot
        if told.seq is not None:
            letter.seq = told.seq
    value = _filled(letter, record).SerializeToString()
    partition = record.partition % partitions(DEAD_LETTER)
    # What cannot be read is seldom worth a compressor's time, but a bomb's bytes would be.
    headers = headers_for(DEAD_LETTER, None)
    return Outgoing(DEAD_LETTER, partition, None, compress(value), write_headers(headers))


def _filled(letter: DeadLetter, source: Incoming) -> DeadLetter:
    letter.topic = source.topic
    letter.partition = source.partition
    letter.offset = source.offset
    letter.key = (source.key or b"")[:_MAX_HEADERS]
    if sum(len(name) + len(value or b"") for name, value in source.headers) <= _MAX_HEADERS:
        for name, value in source.headers:
            letter.headers[name] = value or b""
    return letter


def pack(placed: Sequence[Placed]) -> list[Outgoing]:
    """The records as Kafka gets them, in their order. Raises InputError for one that Kafka would
    not take."""
    written: dict[RecordHeaders, list[Header]] = {}
    packed: list[Outgoing] = []
    for one in placed:
        headers = one.message.headers
        if headers not in written:
            # They follow from those of the input, which were read.
            written[headers] = write_headers(headers, check=False)
        value = compress(one.message.value, _LEVEL)
        most = MAX_LETTER_BYTES if one.topic == DEAD_LETTER else MAX_RECORD_BYTES
        if len(value) + _OVERHEAD > most:
            raise InputError(
                f"a record of {len(value)} bytes for {one.topic} is above the limit of {most}"
            )
        packed.append(Outgoing(one.topic, one.partition, one.key, value, written[headers]))
    return packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a record came to. `placed` are the messages in `records`, one for one, or none if it
    was given up. `headers` are those of the record, None if they cannot be read; `transactions` is
    how many it is known to hold."""

    records: Sequence[Outgoing]
    placed: Sequence[Placed] = ()
    headers: RecordHeaders | None = None
    transactions: int = 0


class StatelessStep:
    """A stateless link: one record in, all that follows from it out. Belongs to one thread."""

    def __init__(self, link: Link, partitions: Partitions) -> None:
        self._link = link
        self._partitions = partitions
        self._stage = link.open_stage()
        self._split = link.open_split() if link.open_split else None

    def __call__(self, record: Incoming) -> Result:
        """Never raises: a record that cannot be processed gives its dead letter."""
        began_ns = time.time_ns()
        headers: RecordHeaders | None = None
        try:
            message = read_message(record, self._partitions)
            headers = message.headers
            parts, rest = self._run(message.value)
            headers = traced(self._link.name, record, headers, began_ns)
            topic = self._link.outputs[0]
            target = headers_for(topic, headers)
            placed = [Placed(topic, number, None, Message(part, target)) for number, part in parts]
            placed += place(rest, record, headers, self._partitions)
            return Result(
                records=pack(placed),
                placed=placed,
                headers=headers,
                transactions=transactions_of(rest),
            )
        except Exception as error:
            if not isinstance(error, InputError):
                log.exception(
                    "stage failed",
                    stage=self._link.name,
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                )
            if headers is not None:
                traced(self._link.name, record, headers, began_ns, error)
            letter = reject(record, self._link.name, error, self._partitions)
            return Result(records=[letter], headers=headers)

    def _run(self, value: bytes) -> tuple[list[tuple[int, bytes]], list[Record]]:
        """What the stage makes of a message: the parts of its first output with their partitions,
        and everything that is not split."""
        results = self._stage(value)
        if self._split is None:
            return [], results
        topic = self._link.outputs[0]
        count = self._partitions(topic)
        whole = [result.value for result in results if result.topic == topic]
        rest = [result for result in results if result.topic != topic]
        return [part for value in whole for part in enumerate(self._split(value, count))], rest


def traced(
    stage: str,
    record: Incoming,
    headers: RecordHeaders,
    began_ns: int,
    error: Exception | None = None,
) -> RecordHeaders:
    """Tells the trace of a record what was done with it; the headers for what follows from it."""
    if headers.traceparent is None:
        return headers
    traceparent = tracing.hop(
        stage,
        headers.traceparent,
        began_ns,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        slot=headers.slot,
        seq=headers.seq,
        origin=headers.origin,
        error=None if error is None else one_line(error),
    )
    return replace(headers, traceparent=traceparent)


def transactions_of(results: Iterable[Record]) -> int:
    """How many transactions the slot statuses among these tell of."""
    statuses = (SlotStatus.FromString(r.value) for r in results if r.topic == SLOTS)
    return sum(status.transactions for status in statuses)


def one_line(error: BaseException) -> str:
    """What went wrong, for a field or a line."""
    return " ".join(str(error).split()) or type(error).__name__
