"""A Faust application that reads one topic as one consumer group, and what is asked of it."""

# Faust's objects are typed loosely, and a commit of chosen offsets is not part of what it exports.
# pyright: reportUnknownMemberType=false, reportPrivateUsage=false

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import faust
from confluent_kafka import Consumer, TopicPartition
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from mevstream.errors import MevstreamError
from mevstream.topologies.worker.output import Member
from mevstream.topologies.worker.records import Incoming, one_line

SESSION_SECONDS = 6.0
"""How long a group waits for a member that is silent before its partitions go to others. Taking
over partitions must not take longer: their new member is silent while it reads its snapshots."""

_FULL_SECONDS = 0.02
_COMMITTED_SECONDS = 10.0

# Else these subclasses would speak under this module's name, at its level.
_library_log = logging.getLogger("faust.mevstream")


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    logger = _library_log

    def _create_worker_consumer(self, transport: Any) -> Any:
        # Faust reads what is committed only if the whole application works in its own kind of
        # transactions. This is where it looks, and here alone; it is the same to everybody else.
        consumer = cast(Any, self.consumer)
        consumer.in_transaction = True
        try:
            return super()._create_worker_consumer(transport)
        finally:
            consumer.in_transaction = False


class _Consumer(driver.Consumer):
    logger = _library_log

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:
        # A partition whose buffer is full is not among those that are waited for; it has to be
        # asked for again as soon as there is room, however quiet the others are.
        if self._buffered_partitions:
            timeout = min(timeout, _FULL_SECONDS)
        return await super()._getmany(active_partitions, timeout)


class _Faust(faust.App):
    logger = _library_log
    before_assigned: Callable[[set[TP]], Awaitable[None]]

    def _new_consumer(self) -> Any:
        cast(Any, self.transport).Consumer = _Consumer
        return super()._new_consumer()

    def _create_directories(self) -> None:
        """Faust's folders are for its tables; there are none."""

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        # Its own signal comes when events may be on their way already.
        if not self.should_stop:
            try:
                await self.before_assigned(assigned)
            except Exception as error:
                await self.crash(error)
                return
        await super()._on_partitions_assigned(assigned, generation_id)


class Application:
    """Joins `group`, fetches the records of `topic` that are committed (if they were written in a
    transaction) and hands them over one by one.

    take: gets each record with the generation of the group that it was fetched in; the next one
        comes when it returns.
    assigned: called with all partitions that are now this member's, before records come.
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
        assigned: Callable[[list[int]], Awaitable[None]],
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
        """Commits the next offset to read of each partition. False: the group has moved on."""
        tps = {TP(self.topic, partition): offset for partition, offset in offsets.items()}
        return await self._app.consumer._commit(tps)

    async def committed(self, partitions: Iterable[int]) -> dict[int, int | None]:
        """The group's committed offset of each partition, None where there is none."""
        return await asyncio.to_thread(self._committed, sorted(partitions))

    def _committed(self, partitions: Sequence[int]) -> dict[int, int | None]:
        # It never joins the group.
        reader = Consumer(
            {"bootstrap.servers": self._servers, "group.id": self.group, "log_level": 0}
        )
        try:
            asked = [TopicPartition(self.topic, partition) for partition in partitions]
            found = reader.committed(asked, _COMMITTED_SECONDS)
            return {one.partition: one.offset if one.offset >= 0 else None for one in found}
        finally:
            reader.close()

    def end(self, partition: int) -> int | None:
        """The offset that the next record of an assigned partition will get, if it is known."""
        return self._app.consumer.highwater(TP(self.topic, partition))

    async def _agent(self, stream: Any) -> None:
        # An exception would end the agent, and nobody would take the records that follow.
        async for event in cast(AsyncIterator[Any], stream.noack().events()):
            message = event.message
            try:
                await self._take(_incoming(message), message.generation_id)
            except Exception as error:
                await self._app.crash(error)
                return

    async def _on_assigned(self, assigned: Iterable[TP]) -> None:
        await self._assigned(sorted(tp.partition for tp in assigned))

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
