"""Records that a sink cannot read, onto mev.dead-letter: acknowledged before their offsets are."""

import time
from threading import Lock
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from mevstream.codecs.headers import Header, RecordHeaders, pack_record
from mevstream.errors import MevstreamError
from mevstream.infra.kafka_errors import has_place
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.topologies.chain import DEAD_LETTER, MAX_LETTER_BYTES, MAX_RECORD_BYTES, MESSAGES

MAX_PAYLOAD = MAX_RECORD_BYTES
"""A larger payload is left out and named by its place: with what is written around it the letter
would be more than its topic takes."""

_MAX_HEADERS = 64 << 10


class DeadLetters:
    """A producer of dead letters. `partitions`: how many mev.dead-letter has."""

    def __init__(self, servers: str, partitions: int, *, topic: str = DEAD_LETTER) -> None:
        self._topic = topic
        self._partitions = partitions
        self._lock = Lock()
        self._waiting = 0
        self._refused: list[tuple[str, bytes, list[Header], int]] = []
        # The stubs leave open what headers and callbacks may be.
        self._client: Any = Producer(
            {
                "bootstrap.servers": servers,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": MAX_LETTER_BYTES,
                "queue.buffering.max.kbytes": 32 << 10,
                # For as long as it takes: the offsets wait for it.
                "delivery.timeout.ms": 0,
                "log_level": 0,
            }
        )

    def send(
        self, record: Message, headers: RecordHeaders | None, *, stage: str, error: str
    ) -> None:
        """Hands a letter over; `headers` are those of the record, if they could be read."""
        place = record.topic() or "", record.partition() or 0, record.offset() or 0
        payload, kept = record.value() or b"", _headers_of(record)
        if len(payload) > MAX_PAYLOAD or sum(map(len, kept.values())) > _MAX_HEADERS:
            error += f" (its {len(payload)} bytes and its headers are left out)"
            payload, kept = b"", {}
        letter = DeadLetter(
            topic=place[0],
            partition=place[1],
            offset=place[2],
            stage=stage,
            error=error,
            seen_ns=time.time_ns(),
            payload=payload,
            key=(record.key() or b"")[:_MAX_HEADERS],
            headers=kept,
        )
        if headers is not None and headers.slot is not None:
            letter.slot = headers.slot
        if headers is not None and headers.seq is not None:
            letter.seq = headers.seq
        value, packed = pack_record(
            letter.SerializeToString(),
            RecordHeaders(
                schema=MESSAGES[DEAD_LETTER],
                slot=headers.slot if headers else None,
                seq=headers.seq if headers else None,
                traceparent=headers.traceparent if headers else None,
            ),
        )
        self._produce(value, packed, place[1] % self._partitions)

    def settle(self) -> None:
        """Returns when every letter handed over so far is acknowledged, on any thread. Raises
        MevstreamError where the broker refuses one, or does not answer for some seconds; call it
        again then."""
        with self._lock:
            again, self._refused = self._refused, []
        for _, value, headers, partition in again:
            self._produce(value, headers, partition)
        if self._waiting:
            self._client.flush(5)
        if self._refused:
            raise MevstreamError(f"a dead letter is refused: {self._refused[0][0]}")
        if self._waiting:
            raise MevstreamError(f"{self._waiting} dead letters are not acknowledged yet")

    def _produce(self, value: bytes, headers: list[Header], partition: int) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            with self._lock:
                self._waiting -= 1
                if error is not None:
                    self._refused.append((error.str(), value, headers, partition))
                elif not has_place(message):
                    self._refused.append(("no offset is told", value, headers, partition))

        with self._lock:
            self._waiting += 1
        while True:
            try:
                self._client.produce(
                    self._topic,
                    value,
                    partition=partition,
                    headers=headers,
                    on_delivery=delivered,
                )
            except BufferError:
                # Full since the broker does not take them: reading more would not help either.
                self._client.poll(0.1)
            else:
                self._client.poll(0)
                return


def _headers_of(record: Message) -> dict[str, bytes]:
    """By name, the last of each; of a name that is no UTF-8 nothing can be told."""
    try:
        headers: Any = record.headers() or ()
        return {name: value or b"" for name, value in headers}
    except ValueError:
        return {}
