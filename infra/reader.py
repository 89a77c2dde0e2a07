"""Reads records that lie in Kafka's topics, for somebody who looks: no consumer group is joined, no
offset is committed, and what is written after the call is not waited for."""

import time
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, cast

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from mevstream.codecs.headers import Header
from mevstream.errors import MevstreamError
from mevstream.infra.kafka_errors import kafka_error

_CONTACT_SECONDS = 5
_SILENCE_SECONDS = 15
_BATCH = 500
# The client waits as long for a full batch, also where no more than a few records are left.
_BATCH_SECONDS = 0.05
_RETRIED = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)


class Reader:
    """Reads what is committed, one thing at a time: a `scan` ends before the next call begins.
    Every method raises MevstreamError if the cluster does not answer or the topic does not exist.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        # The stubs leave open what it takes.
        self._consumer: Any = Consumer(
            {
                "bootstrap.servers": servers,
                # The client asks for a name; without a subscription nobody joins it.
                "group.id": "mevstream-reader",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "socket.connection.setup.timeout.ms": 5000,
                "fetch.queue.backoff.ms": 10,
                # What goes wrong is raised by the call; the log would go to stderr beside it.
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._consumer.close()

    def exists(self, topic: str) -> bool:
        with self._errors():
            told = self._consumer.list_topics(topic, timeout=_CONTACT_SECONDS).topics[topic]
        return told.error is None

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Partition → (offset of the oldest record, offset that the next one will get)."""
        with self._errors():
            told = self._consumer.list_topics(topic, timeout=_CONTACT_SECONDS).topics[topic]
        if told.error is not None:
            raise MevstreamError(f"Kafka at {self._servers}: there is no topic {topic}")
        return {number: self._bounds(topic, number) for number in sorted(told.partitions)}

    def offsets_at(self, topic: str, time_ms: int) -> dict[int, int]:
        """Partition → offset of its first record with this timestamp or a later one (milliseconds
        since the epoch); of a partition that has none the end."""
        bounds = self.bounds(topic)
        with self._errors():
            found = self._consumer.offsets_for_times(
                [TopicPartition(topic, number, time_ms) for number in bounds],
                timeout=_CONTACT_SECONDS,
            )
        return {
            place.partition: place.offset if place.offset >= 0 else bounds[place.partition][1]
            for place in found
        }

    def scan(
        self,
        topic: str,
        *,
        start: Mapping[int, int] | None = None,
        partitions: Collection[int] | None = None,
    ) -> Iterator[Message]:
        """The records that are there now, in the order of their offsets within each partition.

        start: partition → the first offset wanted, for those that do not begin at the beginning.
        partitions: only these.
        """
        open_: dict[int, int] = {}
        places: list[TopicPartition] = []
        for number, (first, end) in self.bounds(topic).items():
            if partitions is not None and number not in partitions:
                continue
            begin = max(first, (start or {}).get(number, first))
            if begin < end:
                open_[number] = end
                places.append(TopicPartition(topic, number, begin))
        if places:
            with self._errors():
                self._consumer.assign(places)
            try:
                yield from self._until(topic, open_)
            finally:
                self._consumer.unassign()

    def read(self, topic: str, partition: int, offset: int) -> Message | None:
        """The record at an offset; None if the topic does not have it (any more)."""
        first, end = self.bounds(topic).get(partition, (0, 0))
        if not first <= offset < end:
            return None
        with self._errors():
            self._consumer.assign([TopicPartition(topic, partition, offset)])
        try:
            message = next(self._until(topic, {partition: end}, batch=1), None)
        finally:
            self._consumer.unassign()
        return message if message is not None and message.offset() == offset else None

    def _until(self, topic: str, open_: dict[int, int], batch: int = _BATCH) -> Iterator[Message]:
        """What comes of the partitions in `open_`, each up to its end."""
        heard = time.monotonic()
        while open_:
            with self._errors():
                messages: list[Message] = self._consumer.consume(batch, _BATCH_SECONDS)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE_SECONDS:
                raise MevstreamError(f"Kafka at {self._servers} does not answer")
            for message in messages:
                error = message.error()
                number = cast("int", message.partition())
                if error is None:
                    offset = cast("int", message.offset())
                    if offset < open_.get(number, 0):
                        yield message
                        if offset + 1 >= open_.get(number, 0):
                            open_.pop(number, None)
                elif error.code() == KafkaError._PARTITION_EOF:
                    # The last offsets may be those of a transaction's end, which are no records.
                    open_.pop(number, None)
                elif error.code() not in _RETRIED:
                    raise MevstreamError(f"Kafka at {self._servers}: {topic}: {error.str()}")

    def _bounds(self, topic: str, number: int) -> tuple[int, int]:
        until = time.monotonic() + _SILENCE_SECONDS
        place = TopicPartition(topic, number)
        with self._errors():
            while True:
                try:
                    return self._consumer.get_watermark_offsets(place, timeout=_CONTACT_SECONDS)
                except KafkaException as error:
                    # A moment after a topic was made or its broker was started.
                    if error.args[0].code() not in _RETRIED or time.monotonic() > until:
                        raise
                    time.sleep(0.1)

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except KafkaException as error:
            raise kafka_error(self._servers, error.args[0]) from None


def headers_of(message: Message) -> list[Header]:
    """The headers of a record; none are an empty list."""
    # The client always gives a list of pairs; its stubs tell more.
    return cast("list[Header] | None", message.headers()) or []


def header_of(message: Message, name: str) -> bytes | None:
    """The last header of this name, as it counts; None if there is none."""
    return dict(headers_of(message)).get(name)
