"""Records on their way to Kafka, and what may be said of the input once they are there."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from mevstream.errors import MevstreamError
from mevstream.infra.kafka_errors import has_place
from mevstream.topologies.chain import MAX_LETTER_BYTES
from mevstream.topologies.worker.records import Outgoing

_POLL_SECONDS = 0.2
_FULL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Position:
    """What may be committed of the input: `offset` is the next one to read. `generation` is the
    consumer group's when the input was taken, None where it is surely the one of now."""

    topic: str
    partition: int
    offset: int
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """This process in the consumer group `group`, as the group's coordinator knows it."""

    group: str
    id: str
    generation: int


class Output(Protocol):
    """Takes what follows from one input record, and says when it is safe.

    Everything is called on the event loop that it was opened on. Inputs of one partition are sent
    in the order of their offsets.
    """

    commits_offsets: bool
    """Whether the offsets of the input are committed by this output; else by its caller, as
    `done` is called."""

    async def send(
        self,
        records: Sequence[Outgoing],
        position: Position | None,
        done: Callable[[], None],
        mark: Outgoing | None = None,
    ) -> None:
        """Sends `records`; `done` is called when none of them can be lost any more, and never if
        they might be. May wait until there is room.

        mark: goes into the same transaction, where only the last one of its key is of use. It is
        not sent where there are no transactions.
        """
        ...

    async def revoked(self) -> None:
        """The partitions of the input are about to be taken away. Returns when all that was sent
        is settled, or given up."""
        ...

    def assigned(self, member: Member) -> None:
        """Partitions were assigned; what comes now is of this member's generation."""
        ...

    async def close(self, seconds: float) -> None:
        """Ends within about so many seconds. What was sent and is not done may be lost."""
        ...


class Delivered(Output):
    """At least once: `done` is called when every record has its delivery report.

    A record is sent again for as long as the broker is away, or does not say where it put it:
    what is in hand is bounded by the caller, so a broker that is down stops the input and nothing
    else. An error that no retry can mend (a record that Kafka refuses, a topic that is gone) goes
    to `failed`, once.
    """

    commits_offsets = False

    def __init__(
        self,
        servers: str,
        *,
        client: str,
        failed: Callable[[MevstreamError], None],
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._failed = failed
        self._servers = servers
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "client.id": client,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.max.bytes": MAX_LETTER_BYTES,
                "queue.buffering.max.kbytes": 256 << 10,
                # 0: for ever.
                "message.timeout.ms": 0,
                "log_level": 0,
                "error_cb": self._on_error,
                **(settings or {}),
            }
        )
        self._reports: deque[Callable[[], None]] = deque()
        self._again: deque[tuple[Message, _Reports]] = deque()
        self._waking = False
        self._stop = threading.Event()
        self._poller = threading.Thread(target=self._poll, name=f"{client}-output", daemon=True)
        self._poller.start()

    async def send(
        self,
        records: Sequence[Outgoing],
        position: Position | None,
        done: Callable[[], None],
        mark: Outgoing | None = None,
    ) -> None:
        if not records:
            done()
            return
        report = _Reports(len(records), self, done)
        for record in records:
            while True:
                try:
                    self._producer.produce(
                        record.topic,
                        record.value,
                        record.key,
                        record.partition,
                        report.delivered,
                        headers=record.headers,  # pyright: ignore[reportArgumentType]
                    )
                    break
                except BufferError:
                    await asyncio.sleep(_FULL_SECONDS)
                except KafkaException as error:
                    self._fail(error.args[0], record.topic)
                    return

    async def revoked(self) -> None:
        return

    def assigned(self, member: Member) -> None:
        return

    async def close(self, seconds: float) -> None:
        await asyncio.to_thread(self._close, seconds)

    def _close(self, seconds: float) -> None:
        # Only one thread at a time takes delivery reports: they count.
        self._stop.set()
        self._poller.join()
        if self._producer.flush(seconds):
            self._producer.purge()

    def _poll(self) -> None:
        while not self._stop.is_set():
            # Waits without the GIL, and wakes at the first delivery report.
            self._producer.poll(_POLL_SECONDS)
            self._send_again()

    def _send_again(self) -> None:
        while self._again:
            message, report = self._again[0]
            try:
                self._producer.produce(
                    str(message.topic()),
                    message.value(),
                    message.key(),
                    cast(int, message.partition()),
                    report.delivered,
                    headers=message.headers(),
                )
            except BufferError:
                return
            except KafkaException as error:
                self.refused(error.args[0], str(message.topic()))
            self._again.popleft()

    def again(self, message: Message, report: "_Reports") -> None:
        """A record may not be where it should; called on the poller's thread."""
        self._again.append((message, report))

    def settle(self, done: Callable[[], None]) -> None:
        """Hands `done` to the loop; called on the poller's thread."""
        self._reports.append(done)
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._waking = False
        while self._reports:
            self._reports.popleft()()

    def refused(self, error: KafkaError, topic: str) -> None:
        """A record will never be delivered; called on the poller's thread."""
        if not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._fail, error, topic)

    def _on_error(self, error: KafkaError) -> None:
        # Brokers that cannot be reached are tried again by the client itself.
        if error.fatal():
            self._loop.call_soon_threadsafe(self._fail, error, "")

    def _fail(self, error: KafkaError, topic: str) -> None:
        where = f"{topic}: " if topic else ""
        self._failed(MevstreamError(f"Kafka at {self._servers}: {where}{error.str()}"))


class _Reports:
    """Counts the delivery reports of the records of one input."""

    __slots__ = ("_done", "_left", "_output")

    def __init__(self, records: int, output: Delivered, done: Callable[[], None]) -> None:
        self._left = records
        self._output = output
        self._done = done

    def delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._output.refused(error, message.topic())
            return
        if not has_place(message):
            self._output.again(message, self)
            return
        self._left -= 1
        if not self._left:
            self._output.settle(self._done)
