"""Dead letters on Kafka: found, looked at, and sent once more to where they came from.

What replaying a letter does depends on what it holds:

- A whole record goes back to its topic and partition with its key and headers: as it lies there,
  if it is still kept, else as the letter has it.
- A single transaction is no record of its own, and a batch made of it alone would be dropped as a
  duplicate of its (slot, seq). It is decoded again; if that works now, the *whole raw batch* goes
  back to mev.raw. Sinks then store what was missing; a stateful link that is past that slot does
  not take its batch a second time. If it still cannot be decoded nothing is sent.

Everything that is sent again carries the header `mev.replayed-from`: the places of its letters in
mev.dead-letter. A letter that came back (a later one names it there) is stood for by that one, so
replaying all letters over and over does not multiply them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from google.protobuf.message import DecodeError

from mevstream.codecs.frames import compress
from mevstream.codecs.headers import Header, unpack_record
from mevstream.codecs.parsed import ParsedView
from mevstream.codecs.raw import RawView, encode_raw
from mevstream.errors import InputError, MevstreamError
from mevstream.infra.reader import Reader, headers_of
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.topologies.chain import DEAD_LETTER, MESSAGES, RAW

REPLAYED_FROM = "mev.replayed-from"

_SEND_SECONDS = 60
_MAX_RECORD_BYTES = 4 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Place(NamedTuple):
    """Where a letter lies in mev.dead-letter; written `partition/offset`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


def parse_place(text: str) -> Place:
    """Raises InputError for what is not `partition/offset`."""
    partition, slash, offset = text.partition("/")
    if not (slash and partition.isdecimal() and offset.isdecimal()):
        raise InputError(f"{text}: a dead letter is named PARTITION/OFFSET, like 3/1042")
    return Place(int(partition), int(offset))


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of mev.dead-letter. One that is no DeadLetter itself has the stage `?`."""

    place: Place
    message: DeadLetter
    readable: bool = True

    @property
    def slot(self) -> int | None:
        """The slot that the letter or the record that it holds tells."""
        if self.message.HasField("slot"):
            return self.message.slot
        return _number(self.message.headers.get("mev.slot"))

    @property
    def seq(self) -> int | None:
        """Position of the batch in its slot, from the same places."""
        if self.message.HasField("seq"):
            return self.message.seq
        return _number(self.message.headers.get("mev.seq"))

    @property
    def position(self) -> int | None:
        """Position in its batch of the transaction that the letter holds; None: a whole record."""
        return self.message.position if self.message.HasField("position") else None

    @property
    def origin(self) -> tuple[str, int, int]:
        """Topic, partition and offset of the record that the letter is about."""
        return self.message.topic, self.message.partition, self.message.offset

    @property
    def replayed_from(self) -> set[str]:
        """The letters that this record had been replayed from before it failed again."""
        told = self.message.headers.get(REPLAYED_FROM, b"")
        return set(told.decode("ascii", "replace").split(",")) - {""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which letters are meant; None is all. Slots are inclusive, `since_ms` is milliseconds since
    the epoch and compared with when Kafka got the letter."""

    topic: str | None = None
    stage: str | None = None
    first_slot: int | None = None
    last_slot: int | None = None
    since_ms: int | None = None
    places: Collection[Place] | None = None

    def takes(self, letter: Letter) -> bool:
        if self.places is not None and letter.place not in self.places:
            return False
        if self.topic is not None and letter.message.topic != self.topic:
            return False
        if self.stage is not None and letter.message.stage != self.stage:
            return False
        if self.first_slot is None and self.last_slot is None:
            return True
        slot = letter.slot
        return (
            slot is not None
            and (self.first_slot is None or slot >= self.first_slot)
            and (self.last_slot is None or slot <= self.last_slot)
        )


def read_letters(reader: Reader, wanted: Filter) -> Iterator[Letter]:
    """The letters that are there now, partition by partition in the order of their offsets."""
    start = None
    if wanted.since_ms is not None:
        start = reader.offsets_at(DEAD_LETTER, wanted.since_ms)
    partitions = None
    if wanted.places is not None:
        partitions = {place.partition for place in wanted.places}
    for message in reader.scan(DEAD_LETTER, start=start, partitions=partitions):
        letter = _letter(message)
        if wanted.takes(letter):
            yield letter


def read_letter(reader: Reader, place: Place) -> Letter:
    """The letter at a place. Raises MevstreamError if there is none."""
    message = reader.read(DEAD_LETTER, *place)
    if message is None:
        raise MevstreamError(f"{DEAD_LETTER} has no record at {place}")
    return _letter(message)


@dataclass(slots=True)
class Group:
    """Letters of one topic, stage and error."""

    topic: str
    stage: str
    error: str
    letters: int = 0
    first_slot: int | None = None
    last_slot: int | None = None
    last_seen_ns: int = 0


def group_letters(letters: Iterable[Letter]) -> list[Group]:
    """Groups with the most letters first."""
    groups: dict[tuple[str, str, str], Group] = {}
    for letter in letters:
        message = letter.message
        key = (message.topic, message.stage, message.error)
        group = groups.setdefault(key, Group(*key))
        group.letters += 1
        group.last_seen_ns = max(group.last_seen_ns, message.seen_ns)
        if (slot := letter.slot) is not None:
            group.first_slot = slot if group.first_slot is None else min(group.first_slot, slot)
            group.last_slot = slot if group.last_slot is None else max(group.last_slot, slot)
    return sorted(groups.values(), key=lambda g: (-g.letters, g.topic, g.stage, g.error))


@dataclass(slots=True)
class Resend:
    """A record that goes back: where it is from, and the letters that it answers."""

    topic: str
    partition: int
    offset: int
    letters: list[Place] = field(default_factory=list[Place])
    positions: dict[int, Place] = field(default_factory=dict[int, Place])
    """Of a batch that goes back for single transactions: position → letter."""

    def __str__(self) -> str:
        what = f", for {len(self.positions)} of its transactions" if self.positions else ""
        return f"{self.topic} {self.partition}/{self.offset}{what}"


@dataclass(slots=True)
class Plan:
    """What replaying letters comes to."""

    resends: list[Resend] = field(default_factory=list[Resend])
    refused: list[tuple[Place, str]] = field(default_factory=list[tuple[Place, str]])
    """Letters that cannot be replayed, and why."""
    superseded: int = 0
    """Letters that came back and are stood for by a later one."""

    @property
    def letters(self) -> int:
        return sum(len(resend.letters) for resend in self.resends)


Decode = Callable[[bytes], bytes]


def plan_replay(reader: Reader, wanted: Filter, decode: Decode | None = None) -> Plan:
    """Decides what to send for the letters of `wanted`, without sending anything.

    decode: RawBatch → ParsedBatch; else this version's decoder. Held in memory: places only.
    """
    if decode is None:
        from mevstream.cext.decoder import BatchDecoder

        decode = BatchDecoder().decode
    plan = Plan()
    returned: set[tuple[str, int | None]] = set()
    found: dict[Place, tuple[tuple[str, int, int], int | None, str | None]] = {}
    for letter in read_letters(reader, Filter(since_ms=wanted.since_ms)):
        returned |= {(place, letter.position) for place in letter.replayed_from}
        if wanted.takes(letter):
            found[letter.place] = (letter.origin, letter.position, _refusal(letter, decode))
    bounds: dict[str, dict[int, tuple[int, int]]] = {}
    resends: dict[tuple[tuple[str, int, int], bool], Resend] = {}
    for place, (origin, position, refusal) in found.items():
        if (str(place), position) in returned:
            plan.superseded += 1
            continue
        topic, partition, offset = origin
        if refusal is None:
            if topic not in bounds:
                bounds[topic] = reader.bounds(topic) if reader.exists(topic) else {}
            first, end = bounds[topic].get(partition, (0, -1))
            if end < 0:
                refusal = f"there is no {topic} {partition}"
            elif position is not None and not first <= offset < end:
                refusal = f"its batch, {topic} {partition}/{offset}, is not kept any more"
        if refusal is not None:
            plan.refused.append((place, refusal))
            continue
        resend = resends.setdefault((origin, position is None), Resend(*origin))
        resend.letters.append(place)
        if position is not None:
            resend.positions[position] = place
    plan.resends = list(resends.values())
    return plan


def replay(servers: str, plan: Plan, *, sent: Callable[[Resend], None]) -> None:
    """Sends what was planned, each record when all before it are on their way; `sent` is called
    for each that Kafka has. Records that turn out not to be what their letters say are moved to
    `plan.refused`. Raises MevstreamError when Kafka does not take the records."""
    failed: list[KafkaError] = []
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "message.max.bytes": _MAX_RECORD_BYTES,
            "message.timeout.ms": _SEND_SECONDS * 1000,
            "log_level": 0,
        }
    )

    def on_delivery(resend: Resend) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                sent(resend)
            else:
                failed.append(error)

        return delivered

    with Reader(servers) as reader:
        for resend in plan.resends:
            record = _record_of(reader, resend)
            if isinstance(record, str):
                plan.refused += [(place, record) for place in resend.letters]
                continue
            key, value, headers = record
            told = ",".join(map(str, resend.letters))
            headers = [header for header in headers if header[0] != REPLAYED_FROM]
            headers.append((REPLAYED_FROM, told.encode()))
            try:
                producer.produce(
                    resend.topic,
                    value,
                    key,
                    resend.partition,
                    on_delivery(resend),
                    headers=headers,  # pyright: ignore[reportArgumentType]
                )
            except KafkaException as error:
                raise _not_taken(servers, resend.topic, error.args[0]) from None
            # One at a time: letters are few, and the first refusal ends it.
            left = producer.flush(_SEND_SECONDS)
            if failed or left:
                error = failed[0] if failed else KafkaError(KafkaError._MSG_TIMED_OUT)
                raise _not_taken(servers, resend.topic, error)


_Record = tuple[bytes | None, bytes | None, list[Header]]
"""Key, value, headers."""


def _record_of(reader: Reader, resend: Resend) -> _Record | str:
    """What goes back, or why it does not."""
    message = reader.read(resend.topic, resend.partition, resend.offset)
    if resend.positions:
        if message is None:
            return f"{resend} is not kept any more"
        if not _has_transactions(reader, message, resend):
            return f"{resend.topic} {resend.partition}/{resend.offset} is another batch now"
    else:
        # The latest letter of a record is as good as any.
        letter = read_letter(reader, resend.letters[-1]).message
        if message is None or not _holds(letter, message):
            return _record_in(letter)
    return message.key(), _bytes(message.value()), headers_of(message)


def _holds(letter: DeadLetter, message: Message) -> bool:
    """Whether a letter is about this record: a topic that was made anew has others."""
    value = _bytes(message.value())
    if letter.payload == value:
        return True
    try:
        return (
            letter.payload
            == unpack_record(value, headers_of(message), schema=MESSAGES[letter.topic])[0]
        )
    except (InputError, KeyError):
        return False


def _record_in(letter: DeadLetter) -> _Record:
    """The record that a letter holds. A stage sees its input uncompressed, and then that is what
    the letter has."""
    value = letter.payload
    if letter.headers.get("mev.codec") == b"zstd" and not value.startswith(_ZSTD_MAGIC):
        value = compress(value)
    return letter.key or None, value, list(letter.headers.items())


def _has_transactions(reader: Reader, message: Message, resend: Resend) -> bool:
    """Whether a batch has the transactions that the letters are about, where they say."""
    try:
        raw, _ = unpack_record(_bytes(message.value()), headers_of(message), schema=MESSAGES[RAW])
        transactions = RawView(raw).transactions
    except InputError:
        return False
    return all(
        position < len(transactions)
        and bytes(transactions[position]) == read_letter(reader, place).message.payload
        for position, place in resend.positions.items()
    )


def _refusal(letter: Letter, decode: Decode) -> str | None:
    """Why a letter cannot be replayed, as far as it tells itself."""
    message = letter.message
    if not letter.readable:
        return "it is no dead letter"
    if not message.topic or message.partition < 0 or message.offset < 0:
        return "it does not tell where its record came from"
    if letter.position is None:
        return None
    if message.topic != RAW:
        return f"single transactions come from {RAW}, not {message.topic}"
    alone = encode_raw({"slot": message.slot, "seq": message.seq}, [message.payload])
    try:
        malformed = len(ParsedView(decode(alone)).malformed)
    except ValueError as error:
        return f"still not decoded: {error}"
    return "still not decoded: " + message.error if malformed else None


def _letter(message: Message) -> Letter:
    place = Place(message.partition() or 0, message.offset() or 0)
    try:
        value, _ = unpack_record(
            _bytes(message.value()), headers_of(message), schema=MESSAGES[DEAD_LETTER]
        )
        return Letter(place, DeadLetter.FromString(value))
    except (InputError, DecodeError) as error:
        told = DeadLetter(stage="?", error=f"no dead letter: {error}", partition=-1, offset=-1)
        told.payload = _bytes(message.value())
        return Letter(place, told, readable=False)


def _bytes(value: Any) -> bytes:
    return value or b""


def _number(text: bytes | None) -> int | None:
    return int(text) if text and text.isdigit() and len(text) <= 20 else None


def _not_taken(servers: str, topic: str, error: KafkaError) -> MevstreamError:
    return MevstreamError(f"Kafka at {servers}: {topic}: {error.str()}")
