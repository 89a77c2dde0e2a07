"""Exactly once: what follows from records, and that they were read, in one Kafka transaction."""

import asyncio
import logging
import os
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from mevstream.errors import MevstreamError
from mevstream.infra.kafka_errors import has_place
from mevstream.topologies.chain import MAX_LETTER_BYTES
from mevstream.topologies.observe.logging import get_logger
from mevstream.topologies.worker.output import Member, Output, Position
from mevstream.topologies.worker.records import Outgoing, one_line

log = get_logger(__name__)

TRANSACTION_SECONDS = 6.0
"""How long Kafka keeps a transaction open that nobody ends."""

STUCK_EXIT_CODE = 75
"""With this the process ends when librdkafka does not come back from a call."""

_CALL_SECONDS = 5.0
_STUCK_SECONDS = 8.0
_ABORT_SECONDS = 2.0
_INIT_SECONDS = 15.0
_INIT_RETRY_SECONDS = 0.5


def group_metadata(member: Member) -> bytes:
    """`member` in the form that librdkafka gives a consumer's own membership in, and takes in
    `send_offsets_to_transaction`.

    Python has no other way to speak for a member that is not librdkafka's. The layout is internal
    to it: version, generation, group and member as C strings, and that there is no instance id.
    """
    names = b"".join(name.encode() + b"\0" for name in (member.group, member.id))
    return b"CGMDv2:" + struct.pack("=i", member.generation) + names + b"\x01"


@dataclass(frozen=True, slots=True)
class _Item:
    records: Sequence[Outgoing]
    position: Position | None
    done: Callable[[], None]
    mark: Outgoing | None


class Transactional(Output):
    """Exactly once, for readers of committed records: all that was sent within `seconds`, or
    follows from `most` inputs, is one transaction together with the offsets of those inputs.

    What comes while a transaction is being committed waits for the next one. Whatever goes wrong
    with a transaction goes to `failed`, once, and nothing is sent any more: a new process begins
    where the last transaction ended. It should have the same `identity` (the transactional id),
    which no other process has: that ends at once what this one left open. A member that has lost
    its partitions cannot commit, because the group refuses the offsets of an old generation.
    """

    commits_offsets = True

    def __init__(
        self,
        servers: str,
        *,
        client: str,
        identity: str,
        failed: Callable[[MevstreamError], None],
        seconds: float = 0.1,
        most: int = 256,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._servers = servers
        self._failed = failed
        self._seconds = seconds
        self._most = most
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "client.id": client,
                "transactional.id": identity,
                "transaction.timeout.ms": int(TRANSACTION_SECONDS * 1000),
                "linger.ms": 0,
                "message.max.bytes": MAX_LETTER_BYTES,
                # What is in hand is bounded by the caller.
                "queue.buffering.max.messages": 0,
                "queue.buffering.max.kbytes": 2 << 20,
                "log_level": 0,
                **(settings or {}),
            }
        )
        self._member: Member | None = None
        self._error: str | None = None
        self._unplaced = False
        self._items: deque[_Item] = deque()
        # The open transaction.
        self._open = False
        self._offsets: dict[tuple[str, int], int] = {}
        self._marks: dict[tuple[int, bytes | None], Outgoing] = {}
        self._sent: list[Callable[[], None]] = []
        self._some = asyncio.Event()
        self._due = asyncio.Event()
        self._hurry = False
        self._settled = asyncio.Event()
        self._settled.set()
        self._task = asyncio.create_task(self._run())

    # -- called by the group ----------------------------------------------------------------------

    async def send(
        self,
        records: Sequence[Outgoing],
        position: Position | None,
        done: Callable[[], None],
        mark: Outgoing | None = None,
    ) -> None:
        """Does not wait: what is sent without a pause in between is one transaction."""
        member = self._member
        generation = position.generation if position else None
        if member is None or generation not in (None, member.generation):
            # The group sends nothing between `revoked` and `assigned`. If it did, these records
            # would be another member's, and only a new start is sure to leave them to it.
            self._break("a record came when its partition was not assigned")
        if self._error is not None:
            return
        self._settled.clear()
        item = _Item(records, position, done, mark)
        if self._open:
            self._produce(item)
        else:
            self._items.append(item)
            self._some.set()

    async def revoked(self) -> None:
        self._hurry = True
        self._due.set()
        await self._settled.wait()
        self._hurry = False
        self._member = None

    def assigned(self, member: Member) -> None:
        self._member = member

    async def close(self, seconds: float) -> None:
        if self._error is None:
            self._task.cancel()
        await asyncio.wait([self._task], timeout=seconds)

    # -- transactions -----------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._take_over()
            while self._error is None:
                await self._some.wait()
                await self._transaction()
        except KafkaException as error:
            self._break(error.args[0].str())
        except Exception as error:
            log.exception("transaction failed")
            self._break(one_line(error))
        await self._abort()
        self._failed(MevstreamError(f"Kafka at {self._servers}: transaction: {self._error}"))

    async def _take_over(self) -> None:
        """Ends what an earlier process of this identity left open."""
        while True:
            try:
                await _within(
                    _INIT_SECONDS + _STUCK_SECONDS,
                    lambda: self._producer.init_transactions(_INIT_SECONDS),
                )
                log.info("transactions can begin")
                return
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
                await asyncio.sleep(_INIT_RETRY_SECONDS)

    async def _transaction(self) -> None:
        if (member := self._member) is None:
            raise RuntimeError("there is something to send, and no partition is assigned")
        self._some.clear()
        self._due.clear()
        self._producer.begin_transaction()
        self._open = True
        while self._items:
            self._produce(self._items.popleft())
        if not self._hurry:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._seconds)
        self._open = False
        if self._error is not None:
            return
        await self._commit(group_metadata(member))
        sent, self._sent = self._sent, []
        for done in sent:
            done()
        if self._items:
            self._some.set()
        else:
            self._settled.set()

    def _produce(self, item: _Item) -> None:
        try:
            for record in item.records:
                self._produce_record(record)
        except (KafkaException, BufferError) as error:
            self._break(one_line(error))
            return
        if item.mark is not None:
            self._marks[item.mark.partition, item.mark.key] = item.mark
        if (position := item.position) is not None:
            place = position.topic, position.partition
            self._offsets[place] = max(position.offset, self._offsets.get(place, 0))
        self._sent.append(item.done)
        if len(self._sent) >= self._most:
            self._due.set()

    def _produce_record(self, record: Outgoing) -> None:
        self._producer.produce(
            record.topic,
            record.value,
            record.key,
            record.partition,
            self._delivered,
            headers=record.headers,  # pyright: ignore[reportArgumentType]
        )

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        # An error fails the transaction by itself.
        if error is None and not has_place(message):
            self._unplaced = True

    async def _commit(self, metadata: Any) -> None:
        offsets = [TopicPartition(*place, at) for place, at in self._offsets.items()]
        for mark in self._marks.values():
            self._produce_record(mark)
        self._offsets, self._marks = {}, {}

        def commit() -> None:
            self._producer.flush(_CALL_SECONDS)
            if self._unplaced:
                raise RuntimeError("records were taken, but not said where")
            self._producer.send_offsets_to_transaction(offsets, metadata, _CALL_SECONDS)
            self._producer.commit_transaction(_CALL_SECONDS)

        await _within(_STUCK_SECONDS, commit)
        log.debug("transaction committed", offsets=[str(o) for o in offsets])

    def _break(self, error: str) -> None:
        """Nothing is sent and committed any more."""
        self._error = self._error or error
        self._some.set()
        self._due.set()
        self._settled.set()

    async def _abort(self) -> None:
        """So that readers need not wait until the transaction times out."""
        aborting = asyncio.to_thread(self._producer.abort_transaction, _ABORT_SECONDS)
        with suppress(KafkaException, TimeoutError):
            await asyncio.wait_for(aborting, 2 * _ABORT_SECONDS)


async def _within(seconds: float, call: Callable[[], object]) -> None:
    """Runs `call` on a thread of its own. If it has not come back in so many seconds, the process
    ends: librdkafka can block for longer than it was told when a broker goes away, or when the
    wall clock, by which it waits, is set. Its thread cannot be ended, and it would keep the
    process from ending in good order."""
    calling = asyncio.ensure_future(asyncio.to_thread(call))
    done, _ = await asyncio.wait([calling], timeout=seconds)
    if not done:
        log.error("Kafka's client is stuck, the process ends", seconds=seconds)
        logging.shutdown()
        os._exit(STUCK_EXIT_CODE)
    calling.result()
