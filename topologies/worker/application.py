"""A Faust application that reads one topic as one consumer group, and what is asked of it."""

# Faust's objects are typed loosely, and a commit of chosen offsets is not part of what it exports.
# pyright: reportUnknownMemberType=false, reportPrivateUsage=false, reportMissingTypeStubs=false

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeVar, cast

import faust
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Place
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from mevstream.errors import MevstreamError
from mevstream.topologies.worker.output import Member
from mevstream.topologies.worker.progress import Reading
from mevstream.topologies.worker.records import Incoming, one_line

SESSION_SECONDS = 6.0
"""How long a group waits for a member that is silent before its partitions go to others. Taking
over partitions must not take longer: their new member is silent while it reads its snapshots."""

_METADATA_MS = 30_000
"""How long a group does without partitions that its topic got, or that a broker which had only just
started did not tell of. (The default is five minutes.)"""

_ANSWER_SECONDS = 5.0
_ASK_SECONDS = 60.0
_AGAIN_SECONDS = 0.5
_LEAVE_SECONDS = 3.0

_Answer = TypeVar("_Answer")

# Else these subclasses would speak under this module's name, at its level.
_library_log = logging.getLogger("faust.mevstream")


class _Fetched(dict[Any, Any]):
    """Records by partition. seeks: how often positions had been set when they were fetched."""

    def __init__(self, records: RecordMap, seeks: int) -> None:
        super().__init__(records)
        self.seeks = seeks


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    logger = _library_log
    seeks = 0

    async def seek_all(self, starts: Mapping[TP, int]) -> None:
        """Sets the positions of those of these partitions that are assigned."""
        assigned = self.assignment()
        for tp, offset in starts.items():
            if tp in assigned:
                self.seek(cast(TP, TopicPartition(tp.topic, tp.partition)), offset)
        self.seeks += 1

    async def _fetch_records(self, *arguments: Any, **options: Any) -> RecordMap:
        # A fetch may begin before positions are set and end after it: only here is it known which
        # of them its records are from.
        records = await super()._fetch_records(*arguments, **options)
        return cast(RecordMap, _Fetched(records, self.seeks))

    def _create_worker_consumer(self, transport: Any) -> Any:
        # Faust reads what is committed only if the whole application works in its own kind of
        # transactions. This is where it looks, and here alone; it is the same to everybody else.
        consumer = cast(Any, self.consumer)
        consumer.in_transaction = True
        try:
            return super()._create_worker_consumer(transport)
        finally:
            consumer.in_transaction = False

    async def on_thread_stop(self) -> None:
        # A member that is joining waits for all others, or for a broker that is away, before it
        # would leave. Without its word the group misses it after its session.
        with suppress(TimeoutError):
            await asyncio.wait_for(super().on_thread_stop(), _LEAVE_SECONDS)


class _Consumer(driver.Consumer):
    logger = _library_log

    starts: Mapping[TP, int] = MappingProxyType({})
    """Where the partitions that were assigned last begin."""

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        # Called between an assignment and its first record, and again for whatever was fetched
        # meanwhile and is dropped. Faust's own looks for the committed offset each time, and stays
        # where it is if there is none yet, or if it is 0: what was dropped is lost then.
        self._read_offset.update(dict.fromkeys(self.starts))
        await self._thread.call_thread(self._own_thread.seek_all, self.starts)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:
        records = await super()._getmany(active_partitions, timeout)
        # Those that were fetched before the positions were set will be fetched again.
        is_old = isinstance(records, _Fetched) and records.seeks != self._own_thread.seeks
        return {} if is_old else records

    @property
    def _own_thread(self) -> _ConsumerThread:
        return cast(_ConsumerThread, self._thread)

    def on_buffer_full(self, tp: TP) -> None:
        # Faust would leave the partition out, and sleep for a second when all of them are. The
        # stream's queue blocks by itself.
        pass


class _Faust(faust.App):
    logger = _library_log
    before_assigned: Callable[[set[TP]], Awaitable[Mapping[TP, int]]]

    def _new_consumer(self) -> Any:
        cast(Any, self.transport).Consumer = _Consumer
        return super()._new_consumer()

    def _create_directories(self) -> None:
        """Faust's folders are for its tables; there are none."""

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        # Its own signal comes when events may be on their way already.
        if not self.should_stop:
            try:
                cast(_Consumer, self.consumer).starts = await self.before_assigned(assigned)
            except Exception as error:
                await self.crash(error)
                return
        await super()._on_partitions_assigned(assigned, generation_id)

    def _on_rebalance_when_stopped(self) -> None:
        # The consumer's own thread is about to close it. Faust would close it from this one, too,
        # and each then waits for the other: for ever, if the group is moving partitions just now.
        pass


class Application:
    """Joins `group`, fetches the records of `topic` that are committed (if they were written in a
    transaction) and hands them over one by one.

    take: gets each record with the generation of the group that it was fetched in; the next one
        comes when it returns.
    assigned: called with all partitions that are now this member's, before records come; returns
        the offset of each to begin at.
    revoked: called before partitions move, when no more records come.

    What Faust would commit by itself is not used: it commits an offset although an earlier one is
    still under way, and acks events that it skips while partitions move.
    """

    def __init__(
        self,
        group: str,
        topic: str,
        *,
        servers: str,
        take: Callable[[Incoming, int], Awaitable[None]],
        assigned: Callable[[list[int]], Awaitable[Mapping[int, int]]],
        revoked: Callable[[], Awaitable[None]],
    ) -> None:
        self.group = group
        self._servers = servers
        self.topic = topic
        self._take = take
        self._assigned = assigned
        self._revoked = revoked
        self._app: Any = _Faust(
            group,
            broker=[f"kafka://{server.strip()}" for server in servers.split(",")],
            autodiscover=False,
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=8 << 20,
            consumer_metadata_max_age_ms=_METADATA_MS,
            broker_session_timeout=SESSION_SECONDS,
            broker_heartbeat_interval=0.5,
            broker_max_poll_records=64,
            stream_buffer_maxsize=64,
            # Faust's own assignor, for the sake of tables, gives three members of four partitions
            # two, two and none; without standbys it is plain round robin.
            table_standby_replicas=0,
            # What is under way is waited for by `revoked`, for no longer than it takes.
            stream_wait_empty=False,
        )
        raw: dict[str, Any] = {"key_serializer": "raw", "value_serializer": "raw"}
        source = self._app.topic(topic, acks=False, key_type=bytes, value_type=bytes, **raw)
        self._app.agent(source, name=group)(self._agent)
        self._app.before_assigned = self._on_assigned
        self._app.on_partitions_revoked.connect(self._on_revoked)

    async def start(self) -> None:
        """Returns when the application runs; partitions come later. Raises MevstreamError if it
        cannot."""
        try:
            await self._app.start()
        except Exception as error:
            raise self._error(error) from error

    async def stop(self) -> None:
        """Leaves the group."""
        await self._app.stop()

    def check(self) -> None:
        """Raises MevstreamError if the application has crashed."""
        if (reason := self._app.crash_reason) is not None:
            raise self._error(reason) from reason

    @property
    def generation(self) -> int:
        """The group's generation, of which records are that come now."""
        return self._app.consumer_generation_id

    @property
    def member(self) -> Member:
        """This process as it was known to the group when partitions were assigned last."""
        coordinator = self._app.consumer._thread._consumer._coordinator
        return Member(self.group, coordinator.member_id, self.generation)

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Commits the next offset to read of each partition, for as long as it takes. False: the
        group has moved on."""
        thread = self._app.consumer._thread
        asked = {TopicPartition(self.topic, number): at for number, at in offsets.items()}
        try:
            await thread.call_thread(thread._ensure_consumer().commit, asked)
        except (CommitFailedError, IllegalStateError):
            return False
        except KafkaError as error:
            raise self._error(error) from error
        return True

    async def committed(self, partitions: Iterable[int]) -> dict[int, int | None]:
        """The group's committed offset of each partition, None where there is none."""
        return await self._ask(lambda reader: self._committed(reader, sorted(partitions)))

    async def beginnings(self, partitions: Iterable[int]) -> dict[int, int]:
        """The offset of the oldest record of each partition."""
        return await self._ask(lambda reader: self._beginnings(reader, sorted(partitions)))

    def _committed(self, reader: Consumer, partitions: Sequence[int]) -> dict[int, int | None]:
        asked = [Place(self.topic, partition) for partition in partitions]
        found = reader.committed(asked, _ANSWER_SECONDS)
        return {one.partition: one.offset if one.offset >= 0 else None for one in found}

    def _beginnings(self, reader: Consumer, partitions: Sequence[int]) -> dict[int, int]:
        return {
            partition: reader.get_watermark_offsets(Place(self.topic, partition), _ANSWER_SECONDS)[
                0
            ]
            for partition in partitions
        }

    async def _ask(self, question: Callable[[Consumer], _Answer]) -> _Answer:
        """Asks the cluster again until it answers. Raises MevstreamError if that takes too long."""

        def ask() -> _Answer:
            # It never joins the group.
            reader = Consumer(
                {"bootstrap.servers": self._servers, "group.id": self.group, "log_level": 0}
            )
            try:
                return question(reader)
            finally:
                reader.close()

        end = time.monotonic() + _ASK_SECONDS
        while True:
            try:
                return await asyncio.to_thread(ask)
            except KafkaException as error:
                if time.monotonic() > end:
                    raise self._error(error) from error
            await asyncio.sleep(_AGAIN_SECONDS)

    def end(self, partition: int) -> int | None:
        """The offset that the next record of an assigned partition will get, if it is known."""
        return self._app.consumer.highwater(TP(self.topic, partition))

    def reading(self, partition: int) -> Reading | None:
        """How far an assigned partition is read, None before the broker told of it."""
        consumer = self._app.consumer._thread._ensure_consumer()
        subscription = consumer._subscription.subscription
        assignment = subscription and subscription.assignment
        state = assignment and assignment.state_value(TopicPartition(self.topic, partition))
        if not state or None in (state.timestamp, state.highwater, state._position):
            return None
        return Reading(state.timestamp, state._position, state.highwater)

    async def _agent(self, stream: Any) -> None:
        # An exception would end the agent, and nobody would take the records that follow.
        async for event in cast(AsyncIterator[Any], stream.noack().events()):
            message = event.message
            try:
                await self._take(_incoming(message), message.generation_id)
            except Exception as error:
                await self._app.crash(error)
                return

    async def _on_assigned(self, assigned: Iterable[TP]) -> Mapping[TP, int]:
        starts = await self._assigned(sorted(tp.partition for tp in assigned))
        return {TP(self.topic, partition): offset for partition, offset in starts.items()}

    async def _on_revoked(self, app: Any, revoked: Iterable[TP], **_: Any) -> None:
        await self._revoked()

    def _error(self, reason: BaseException) -> MevstreamError:
        return MevstreamError(f"consumer group {self.group}: {one_line(reason)}")


def _incoming(message: Any) -> Incoming:
    return Incoming(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        message.headers or (),
        round(message.timestamp * 1000) * 1_000_000,
    )
