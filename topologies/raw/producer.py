"""RawBatches onto mev.raw: where every source hands its batches to the chain.

Batches go round robin over the partitions, so within one partition their (slot, seq) only rise. A
source that is started again sends what it sent before; readers drop the second copy by its slot
and seq.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from mevstream.cext.split import split
from mevstream.codecs.headers import Header, RecordHeaders, pack_record
from mevstream.errors import InputError, MevstreamError
from mevstream.infra.kafka_errors import has_place, kafka_error
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.chain import MESSAGES, RAW
from mevstream.topologies.observe import metrics
from mevstream.topologies.observe.tracing import new_trace

LEVEL = 1
"""Of zstd. A raw batch of 440 kB takes 0.51 ms and 92 kB at level 1, 0.81 ms and 87 kB at level 3,
0.36 ms and 108 kB at level -5 (real block, shared core): above 1 time is paid for little."""

STAGE = "ingest"
"""What sources are called in metrics."""

MAX_IN_FLIGHT_BYTES = 32 << 20
_CONTACT_SECONDS = 10
_WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Batch:
    """A RawBatch message and what the producer needs to know of it."""

    message: bytes
    slot: int
    seq: int
    last: bool
    received_ns: int
    transactions: int


def read_batch(message: bytes) -> Batch:
    """Looks at the envelope of a RawBatch. Raises InputError for what is none."""
    try:
        parts = split(message, RawBatch.TRANSACTIONS_FIELD_NUMBER)
        head = RawBatch.FromString(parts.rest)
    except ValueError as error:
        raise InputError(f"RawBatch: {error}") from None
    return Batch(message, head.slot, head.seq, head.last, head.received_ns, len(parts))


@dataclass(slots=True)
class Published:
    """What was delivered: `bytes` as Kafka holds them, `raw_bytes` before compression."""

    batches: int = 0
    transactions: int = 0
    slots: int = 0
    first_slot: int | None = None
    last_slot: int | None = None
    bytes: int = 0
    raw_bytes: int = 0


class RawProducer:
    """Publishes batches; a context manager that on a clean end waits for every delivery report.

    What is not yet delivered is bounded: `send` waits where the broker does not keep up. The
    client sends again by itself for `delivery_seconds`, and what it calls delivered without saying
    where is sent again, too; a batch that still has no acknowledgement
    of all replicas then, or is refused, is an error of the next call.

    Every batch begins a trace; the share `trace_ratio` of them is sampled.

    Raises MevstreamError: from the constructor where Kafka does not answer or there is no mev.raw,
    from the other methods once a delivery failed.
    """

    def __init__(
        self,
        servers: str,
        *,
        topic: str = RAW,
        level: int = LEVEL,
        delivery_seconds: float = 120,
        trace_ratio: float = 0,
    ) -> None:
        self._servers = servers
        self._trace_ratio = trace_ratio
        self._topic = topic
        self._level = level
        # The stubs leave open what headers and callbacks may be.
        self._client: Any = Producer(
            {
                "bootstrap.servers": servers,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                # The values are zstd frames.
                "compression.type": "none",
                "message.max.bytes": 4 << 20,
                "queue.buffering.max.kbytes": 2 * MAX_IN_FLIGHT_BYTES >> 10,
                "delivery.timeout.ms": round(delivery_seconds * 1000),
                "socket.connection.setup.timeout.ms": 5000,
                # Failures are raised here; the log would go to stderr beside them.
                "log_level": 0,
            }
        )
        self._partitions = self._count_partitions()
        self._meter = metrics.stage(STAGE)
        self._next = 0
        self._in_flight = 0
        self._failed: str | None = None
        self._open_slots: set[int] = set()
        self.published = Published()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        if kind is None:
            self.flush()
        else:
            # What the client still holds is dropped with it; the totals have what was delivered.
            self._client.poll(0)

    def send(self, batch: Batch) -> None:
        """Hands a batch over. Returns when less than MAX_IN_FLIGHT_BYTES are not delivered."""
        headers = RecordHeaders(
            schema=MESSAGES[RAW],
            slot=batch.slot,
            seq=batch.seq,
            last=batch.last,
            first_seen_ns=batch.received_ns or None,
            traceparent=new_trace(self._trace_ratio),
        )
        value, packed = pack_record(batch.message, headers, level=self._level)
        size = len(value)

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None and not has_place(message):
                self._produce(value, packed, delivered)
                return
            self._in_flight -= size
            self._meter.in_flight -= 1
            if error is None:
                self._count(batch, size)
            elif self._failed is None:
                self._failed = f"batch {batch.slot}/{batch.seq} was not delivered: {error.str()}"

        self._produce(value, packed, delivered)
        self._in_flight += size
        self._meter.in_flight += 1
        self._meter.saw_slot(batch.slot)
        self._client.poll(0)
        while self._in_flight > MAX_IN_FLIGHT_BYTES and not self._failed:
            self._client.poll(_WAIT_SECONDS)
        self._check()

    def flush(self) -> None:
        """Waits until everything is delivered."""
        while len(self._client) and not self._failed:
            self._client.flush(_WAIT_SECONDS)
        self._check()

    def _produce(self, value: bytes, headers: list[Header], delivered: Any) -> None:
        try:
            self._client.produce(
                self._topic,
                value,
                partition=self._next,
                headers=headers,
                on_delivery=delivered,
            )
        except KafkaException as error:
            raise kafka_error(self._servers, error.args[0]) from None
        self._next = (self._next + 1) % self._partitions

    def _count(self, batch: Batch, size: int) -> None:
        done = self.published
        done.batches += 1
        done.transactions += batch.transactions
        done.slots += batch.last
        done.bytes += size
        done.raw_bytes += len(batch.message)
        self._meter.sent(self._topic, size)
        self._meter.slot_handled = max(self._meter.slot_handled, batch.slot)
        if done.first_slot is None or done.last_slot is None:
            done.first_slot = done.last_slot = batch.slot
        else:
            done.first_slot = min(done.first_slot, batch.slot)
            done.last_slot = max(done.last_slot, batch.slot)

    def _check(self) -> None:
        if self._failed:
            raise MevstreamError(f"Kafka at {self._servers}: {self._failed}")

    def _count_partitions(self) -> int:
        try:
            topics = self._client.list_topics(timeout=_CONTACT_SECONDS).topics
        except KafkaException as error:
            raise kafka_error(self._servers, error.args[0]) from None
        if self._topic not in topics:
            raise MevstreamError(
                f"{self._servers}: there is no topic {self._topic} "
                "(`mevstream topics create` makes it)"
            )
        return len(topics[self._topic].partitions)


def paced(batches: Iterable[Batch], rate: float | None) -> Iterator[Batch]:
    """Batches no faster than `rate` transactions a second; None: as they come.

    The wait is before a batch is asked for, so that what makes it stamps it with the time at which
    it leaves. A source that was held up makes up for a second at most.
    """
    source = iter(batches)
    due = monotonic()
    while True:
        if rate is not None:
            now = monotonic()
            due = max(due, now - 1)
            if due > now:
                sleep(due - now)
        batch = next(source, None)
        if batch is None:
            return
        if rate is not None:
            due += batch.transactions / rate
        yield batch
