"""Feeds a sink from Kafka: consume, buffer, store, commit, in this order and never another.

One thread polls, so that the group never takes this member for dead; another one stores. While a
buffer is being stored the next one fills, and when that is full the partitions are paused: two
buffers are all that is held, however long the store is away. Offsets are committed only behind
what was stored, and only for partitions that are still those of this member.
"""

# Kafka's client offers these names without marking them as its own.
# pyright: reportPrivateImportUsage=false

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from itertools import count
from typing import Any, Generic

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from mevstream.codecs.headers import RecordHeaders, unpack_record
from mevstream.errors import InputError, MevstreamError
from mevstream.topologies.chain import DEAD_LETTER, MESSAGES
from mevstream.topologies.observe import health, metrics, tracing
from mevstream.topologies.observe.logging import get_logger
from mevstream.topologies.sinks.buffer import Bounds, Buffer, Held, Item, Place, Reached
from mevstream.topologies.sinks.commits import CommitWatch
from mevstream.topologies.sinks.consumer import open_consumer, partitions_of
from mevstream.topologies.sinks.letters import DeadLetters
from mevstream.topologies.sinks.storer import Storer
from mevstream.topologies.sinks.stream import Delivery, StreamSink

_POLL_SECONDS = 0.1
_POLL_WHILE_STORING = 0.01
_POLL_WHILE_DUE = 0.002
_POLLS_AT_ONCE = 256
_GRACE_SECONDS = 1.0
_CONTACT_SECONDS = 10
_REVOKE_SECONDS = 10.0
_COMMIT_PAUSE = 0.5
_CLOSE_SECONDS = 15.0
_STUCK_SECONDS = 120.0
_YOUNG_SECONDS = 5.0
_TELL_SECONDS = 10.0
_ERROR_SECONDS = 60.0


class SinkRunner(Generic[Item]):
    """Runs one sink until it is told to stop.

    group: consumer group; its members share the partitions.
    bounds: of a buffer; default those of the sink.
    drain_seconds: how long `run` tries to store and commit what it holds once it has to stop.
    schemas: topic → protobuf message that its records have to carry.
    dead_letters: topic for records that cannot be read.
    """

    def __init__(
        self,
        sink: StreamSink[Item],
        servers: str,
        *,
        group: str,
        bounds: Bounds | None = None,
        drain_seconds: float = 30.0,
        schemas: Mapping[str, str] = MESSAGES,
        dead_letters: str = DEAD_LETTER,
    ) -> None:
        self._sink = sink
        self._servers = servers
        self._group = group
        self._bounds = bounds or Bounds(
            sink.default_seconds, sink.default_bytes, sink.default_records
        )
        self._drain_seconds = drain_seconds
        self._schemas = schemas
        self._dead_letters = dead_letters
        self._log = get_logger(f"sink.{sink.name}")
        self._meter = metrics.stage(sink.name)
        self._filling: Buffer[Item] = Buffer()
        self._storing: tuple[Buffer[Item], Future[None]] | None = None
        self._assignments = count()
        self._owned: dict[Place, int] = {}
        self._paused: dict[Place, bool] = {}
        self._held_back = False
        # Stored, and not yet known to be committed.
        self._stored: dict[Place, Reached] = {}
        self._committing = False
        self._commit_after = 0.0
        self._commits = CommitWatch()
        self._joined = 0
        self._joined_at = 0.0
        # What ended the membership for good, if anything did: its client does nothing any more.
        self._dead: str | None = None
        self._leaving = False
        self._kafka_error_at = 0.0
        # What the client said last, if nothing has come from the broker since.
        self._kafka_error: str | None = None
        self._letters_told = 0.0
        self._letters_untold = 0
        self._ends_at = 0.0

    def run(self, stop: Callable[[], bool]) -> bool:
        """Runs until `stop` says so. Then what is held is stored and committed and the group left;
        False where there was not enough time for it, and what is missing comes again.

        Raises MevstreamError where Kafka, the topics or the store are not there at the start, and
        where the group does not take this member any more. Later the store, or the broker, may be
        away for as long as it likes.
        """
        topics = (*self._sink.topics, self._dead_letters)
        partitions = partitions_of(self._servers, topics)[self._dead_letters]
        self._letters = DeadLetters(self._servers, partitions, topic=self._dead_letters)
        self._storer = Storer(self._sink.name, self._sink.store, self._letters.settle)
        self._heartbeat = health.Heartbeat(_STUCK_SECONDS)
        try:
            self._sink.open()
            health.live(self._sink.name, self._heartbeat)
            health.ready(self._sink.name, self._not_ready)
            return self._consume(stop)
        finally:
            health.remove(self._sink.name)
            # A `store` that hangs still uses what `close` would release; it ends with the process.
            if self._storer.stop(1.0):
                self._sink.close()

    def _consume(self, stop: Callable[[], bool]) -> bool:
        drained = False
        self._join()
        try:
            while not stop():
                if self._dead is not None:
                    self._join_anew(self._dead)
                elif self._commits.refused:
                    self._join_anew("records come and commits are not taken")
                self._step()
            drained = self._drain()
        finally:
            self._leaving = True
            closing = self._close(self._consumer)
            closing.join(_CLOSE_SECONDS)
            if closing.is_alive():
                self._log.error("the group could not be left in time", seconds=_CLOSE_SECONDS)
        self._log.info("sink ended", everything_stored=drained)
        return drained

    def _join(self) -> None:
        self._joined += 1
        self._joined_at = time.monotonic()
        number = self._joined

        def current(method: Callable[..., None]) -> Callable[..., None]:
            """What a member says that was left behind concerns nobody."""
            return lambda *told: method(*told) if number == self._joined else None

        self._consumer = open_consumer(
            self._servers,
            self._group,
            on_error=current(self._client_error),
            on_commit=current(self._commit_answered),
        )
        self._consumer.subscribe(
            list(self._sink.topics),
            on_assign=current(self._assigned),
            on_revoke=current(self._revoked),
            on_lost=current(self._lost),
        )
        self._log.info("sink started", group=self._group, topics=self._sink.topics)

    def _join_anew(self, reason: str) -> None:
        """Leaves a membership behind that is dead, or is so without knowing (see `CommitWatch`).
        Raises MevstreamError where a new one died at once."""
        if self._dead is not None and time.monotonic() - self._joined_at < _YOUNG_SECONDS:
            raise MevstreamError(f"Kafka at {self._servers}: {self._dead}")
        self._log.error("joining the group anew", reason=reason)
        self._lost(self._consumer, [TopicPartition(*place) for place in self._owned])
        self._committing = self._held_back = False
        self._dead = None
        self._commits.answered()
        old = self._consumer
        self._join()
        self._close(old)

    def _close(self, consumer: Any) -> threading.Thread:
        """Leaves the group, for which the client may take for ever: then the group misses this
        member after its session."""
        closing = threading.Thread(target=consumer.close, daemon=True)
        closing.start()
        return closing

    def _step(self) -> None:
        self._heartbeat.beat()
        self._settle()
        if self._storing is None and self._filling.reached and self._due_in() <= 0:
            self._hand_over()
        self._hold_back(not self._make_room())
        self._commit()
        self._measure()
        patience = self._patience()
        for _ in range(_POLLS_AT_ONCE):
            message: Message | None = self._consumer.poll(patience)
            if message is None:
                return
            self._take(message)
            patience = 0.0
            if self._filling.full(self._bounds) or (self._storing is None and self._due_in() <= 0):
                return

    def _drain(self) -> bool:
        """Stores and commits what is held; False if the time was too short."""
        end = time.monotonic() + self._drain_seconds
        while time.monotonic() < end and self._dead is None:
            self._heartbeat.beat()
            self._settle()
            if self._storing is None and self._filling:
                self._hand_over()
            self._hold_back(True)
            self._commit()
            if self._storing is None and not self._stored:
                return True
            self._consumer.poll(_POLL_WHILE_STORING)
        self._log.error(
            "not everything was stored in time; what was not comes again",
            seconds=self._drain_seconds,
            store=self._storer.failing,
        )
        return False

    # -- records -------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            self._client_error(error)
            return
        place = Place(message.topic() or "", message.partition() or 0)
        assignment = self._owned.get(place)
        if assignment is None:
            return
        self._kafka_answers()
        self._commits.taken()
        taken_ns = time.time_ns()
        offset = message.offset() or 0
        self._filling.pass_by(place, Reached(assignment, offset + 1))
        headers: RecordHeaders | None = None
        try:
            value = message.value()
            if value is None:
                raise InputError("the record has no value")
            read: Any = message.headers()
            value, headers = unpack_record(value, read, schema=self._schemas[place.topic])
            item = self._sink.read(Delivery(*place, offset, value, headers))
        except MemoryError:
            raise
        except Exception as error:
            # Not only InputError: one record must never hold up all that come after it.
            self._give_up(message, headers, error)
            return
        if headers.slot is not None:
            self._meter.saw_slot(headers.slot)
        self._filling.add(
            Held(
                place,
                offset,
                item,
                len(value),
                len(message.value() or b""),
                max(message.timestamp()[1], 0) * 1_000_000,
                taken_ns,
                headers,
            )
        )

    def _give_up(self, message: Message, headers: RecordHeaders | None, error: Exception) -> None:
        known = isinstance(error, InputError)
        text = " ".join(str(error).split()) if known else f"{type(error).__name__}: {error}"
        # A bad letter about a bad letter would go round for ever; it is where it is.
        circular = message.topic() == self._dead_letters
        if not circular:
            self._letters.send(message, headers, stage=self._sink.name, error=text)
        self._meter.dead_letters += 1
        self._letters_untold += 1
        now = time.monotonic()
        if now - self._letters_told >= _TELL_SECONDS:
            self._letters_told = now
            self._log.error(
                "record passed over" if circular else "record dead-lettered",
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                error=text,
                records=self._letters_untold,
                exc_info=None if known else error,
            )
            self._letters_untold = 0

    # -- storing -------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        buffer, self._filling = self._filling, Buffer()
        self._storing = buffer, self._storer.submit([held.item for held in buffer.held])

    def _settle(self) -> None:
        """Takes note of a buffer that was stored."""
        if self._storing is None or not self._storing[1].done():
            return
        buffer, future = self._storing
        self._storing = None
        future.result()
        for place, reached in buffer.reached.items():
            if self._owned.get(place) == reached.assignment:
                self._stored[place] = reached
        for held in buffer.held:
            headers = held.headers
            self._meter.partition(*held.place).handled(
                held.offset,
                held.stored_size,
                self._sink.transactions(held.item),
                held.produced_ns,
                headers.first_seen_ns,
                headers.slot,
            )
            tracing.hop(
                self._sink.name,
                headers.traceparent,
                held.taken_ns,
                topic=held.place.topic,
                partition=held.place.partition,
                offset=held.offset,
                slot=headers.slot,
                seq=headers.seq,
                origin=headers.origin,
            )

    def _due_in(self) -> float:
        return self._filling.due_in(self._bounds) if self._filling else _POLL_SECONDS

    def _patience(self) -> float:
        """How long a poll may wait for a record."""
        if self._storing is not None:
            # The end of a `store` wakes nobody; where records wait for it, it is looked for often.
            waiting = self._due_in() <= 0 and self._storer.failing is None
            return _POLL_WHILE_DUE if waiting else _POLL_WHILE_STORING
        return max(0.0, min(_POLL_SECONDS, self._due_in()))

    def _make_room(self) -> bool:
        """Whether another record may be held; where not, waits a little for the store.

        Not polling for so long is nothing to the group, while a pause makes the client drop what
        it has fetched and costs half a second until records flow again: that is for a store that
        is away.
        """
        if not self._filling.full(self._bounds):
            return True
        if self._storing is not None and not self._storer.failing and not self._held_back:
            wait([self._storing[1]], _GRACE_SECONDS)
            self._settle()
        if self._storing is None:
            self._hand_over()
            return True
        return False

    def _hold_back(self, full: bool) -> None:
        """Pauses what is assigned while no more can be held, resumes it when it can."""
        self._held_back = full
        change = [place for place in self._owned if self._paused.get(place) is not full]
        if change:
            partitions = [TopicPartition(*place) for place in change]
            (self._consumer.pause if full else self._consumer.resume)(partitions)
            self._paused = dict.fromkeys(self._owned, full)

    # -- offsets -------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Asks for a commit of what is stored; `_commit_answered` tells what became of it."""
        if self._committing or not self._stored or time.monotonic() < self._commit_after:
            return
        self._commits.asked()
        try:
            self._consumer.commit(offsets=self._offsets(self._stored), asynchronous=True)
        except KafkaException as error:
            self._commit_failed(error.args[0])
        else:
            self._committing = True

    def _commit_answered(
        self, error: KafkaError | None, partitions: Sequence[TopicPartition]
    ) -> None:
        self._committing = False
        for partition in partitions:
            if error or partition.error:
                self._commit_failed(error or partition.error)
                continue
            place = Place(partition.topic, partition.partition)
            stored = self._stored.get(place)
            self._commits.answered()
            if stored is not None and stored.offset <= partition.offset:
                del self._stored[place]
                self._kafka_answers()
        if error and not partitions:
            self._commit_failed(error)

    def _commit_failed(self, error: Any) -> None:
        # It is tried again with all that is stored by then. An assignment that changed meanwhile
        # is the usual reason, so this is nothing to worry about unless it goes on.
        self._look(error)
        self._commit_after = time.monotonic() + _COMMIT_PAUSE
        self._meter.retries += 1
        self._log.info("offsets are not committed yet", error=error.str())

    def _commit_now(self, places: Sequence[Place]) -> None:
        """Commits what is stored of partitions that go away, or tells that it could not."""
        stored = {place: self._stored.pop(place) for place in places if place in self._stored}
        if not stored:
            return
        if self._commits.in_doubt:
            self._log.warning("stored records will come again", error="commits are refused")
            return
        try:
            answers = self._consumer.commit(offsets=self._offsets(stored), asynchronous=False)
            failed = next((each.error for each in answers if each.error), None)
        except KafkaException as error:
            failed = error.args[0]
        if failed is not None:
            self._log.warning("stored records will come again", error=failed.str())

    def _offsets(self, stored: Mapping[Place, Reached]) -> list[TopicPartition]:
        return [TopicPartition(*place, reached.offset) for place, reached in stored.items()]

    # -- the group -----------------------------------------------------------------------------

    def _assigned(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._owned |= {place: next(self._assignments) for place in _places(partitions)}
        self._log.info("partitions assigned", partitions=_names(partitions))
        self._tell_starts(partitions)

    def _tell_starts(self, partitions: list[TopicPartition]) -> None:
        """Where partitions are begun, for their lag. Records that Kafka's retention took before
        they were stored are passed over by the client without a word."""
        try:
            for each in self._consumer.committed(partitions, timeout=_CONTACT_SECONDS):
                first, end = self._consumer.get_watermark_offsets(each, timeout=_CONTACT_SECONDS)
                meter = self._meter.partition(each.topic, each.partition)
                meter.position, meter.end = max(first, each.offset), end
                if first > each.offset >= 0:
                    self._log.error(
                        "records were deleted before they were stored",
                        topic=each.topic,
                        partition=each.partition,
                        first=each.offset,
                        records=first - each.offset,
                    )
        except KafkaException as error:
            self._log.info("committed offsets are not known yet", error=error.args[0].str())

    def _revoked(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        """Partitions go to another member, which starts at what is committed."""
        places = _places(partitions)
        self._filling.drop(places)
        if self._storing is not None and self._storing[0].reached.keys() & set(places):
            # What is nearly stored need not be stored twice; what may take for ever is not
            # waited for.
            end = time.monotonic() + (0 if self._leaving else _REVOKE_SECONDS)
            future = self._storing[1]
            while not future.done() and not self._storer.failing and time.monotonic() < end:
                wait([future], _POLL_SECONDS)
            self._settle()
        self._commit_now(places)
        self._forget(places)
        self._log.info("partitions revoked", partitions=_names(partitions))

    def _lost(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        """Partitions went to another member already: nothing of them may be committed."""
        places = _places(partitions)
        self._filling.drop(places)
        self._forget(places)
        self._log.warning("partitions lost", partitions=_names(partitions))

    def _forget(self, places: Sequence[Place]) -> None:
        for place in places:
            self._owned.pop(place, None)
            self._stored.pop(place, None)
            self._paused.pop(place, None)
            self._meter.partition(*place).release()

    # -- health --------------------------------------------------------------------------------

    def _look(self, error: KafkaError) -> None:
        # What a poll or a commit gives for a fatal error is not marked as one.
        if error.fatal() or error.code() == KafkaError._FATAL:  # pyright: ignore[reportPrivateUsage]
            self._dead = error.str()

    def _client_error(self, error: KafkaError) -> None:
        """The client goes on by itself, if the error is not fatal; what it says is told once until
        it is over."""
        self._look(error)
        if self._kafka_error is None:
            self._log.warning("kafka: error", error=error.str())
        self._kafka_error = error.str()
        self._kafka_error_at = time.monotonic()
        self._commits.away()
        metrics.store_state("kafka", False)

    def _kafka_answers(self) -> None:
        if self._kafka_error is not None:
            self._log.info("kafka: answers again")
            self._kafka_error = None
        metrics.store_state("kafka", True)

    def _not_ready(self) -> str | None:
        if self._storer.failing is not None:
            return f"store: {self._storer.failing}"
        error, since = self._kafka_error, time.monotonic() - self._kafka_error_at
        # Where no records come, nothing else tells that it is over.
        if error is not None and since < _ERROR_SECONDS:
            return f"kafka: {error}"
        return None if self._owned else "no partitions are assigned"

    def _measure(self) -> None:
        meter = self._meter
        held = self._storing[0] if self._storing else None
        meter.buffer_records = len(self._filling.held) + (len(held.held) if held else 0)
        meter.buffer_bytes = self._filling.bytes + (held.bytes if held else 0)
        meter.in_flight = meter.buffer_records
        now = time.monotonic()
        if now < self._ends_at:
            return
        self._ends_at = now + 1
        for place in self._owned:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if end >= 0:
                meter.partition(*place).end = end


def _places(partitions: Sequence[TopicPartition]) -> list[Place]:
    return [Place(each.topic, each.partition) for each in partitions]


def _names(partitions: Sequence[TopicPartition]) -> list[str]:
    return [f"{each.topic}/{each.partition}" for each in partitions]
