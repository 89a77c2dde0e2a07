"""A worker process: the consumer groups that were asked for, from start to end in good order."""

import asyncio
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import uvloop

from mevstream.errors import MevstreamError
from mevstream.infra.topics import Cluster
from mevstream.settings import Settings
from mevstream.topologies.chain import CHAIN, CHECKPOINTS, DEAD_LETTER, RAW, SLOTS, Link
from mevstream.topologies.observe.logging import configure, get_logger
from mevstream.topologies.observe.process import observed
from mevstream.topologies.worker.application import SESSION_SECONDS
from mevstream.topologies.worker.group import Group, Limits, Processor
from mevstream.topologies.worker.lanes import OrderBounds
from mevstream.topologies.worker.output import Delivered, Output
from mevstream.topologies.worker.progress import ReadingClock
from mevstream.topologies.worker.stateful import FusedProcessor, LanesProcessor, StateSettings
from mevstream.topologies.worker.stateless import StatelessProcessor
from mevstream.topologies.worker.supervisor import Child, supervise
from mevstream.topologies.worker.topics import MissingTopics, TopicPartitions
from mevstream.topologies.worker.transactions import Transactional

log = get_logger(__name__)

_REFRESH_SECONDS = 10.0
_MARGIN_SECONDS = 2.0
# Exactly once, records are in hand until their transaction is committed, and while one is being
# committed the next has to fill.
_IN_TRANSACTIONS = 16
_LEAVE_SECONDS = 10.0


def choose_links(names: Sequence[str], chain: Sequence[Link] = CHAIN) -> list[Link]:
    """The links of these names in the order of the chain; `all` is every one. Raises
    MevstreamError for a name that no link has."""
    known = [link.name for link in chain]
    for name in names:
        if name not in (*known, "all"):
            raise MevstreamError(
                f"no link is called {name!r}: there are {', '.join(known)} and all"
            )
    return [link for link in chain if link.name in names or "all" in names]


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One consumer group: the links that one process runs together, in their order."""

    links: tuple[Link, ...]

    @property
    def name(self) -> str:
        return "+".join(link.name for link in self.links)

    @property
    def alone(self) -> bool:
        """Whether one process has to have all partitions of the input: those behind the split by
        market come from all of them."""
        return len(self.links) > 1 and not self.links[0].stateful


def plan_groups(links: Sequence[Link], *, fused: bool) -> list[GroupPlan]:
    """A group for each link, or one for all of them. Raises MevstreamError for links that cannot
    be fused."""
    if not fused or len(links) == 1:
        return [GroupPlan((link,)) for link in links]
    # Lanes have what is split by market: the output of the first link, or the input of one that has
    # state, and what the links before give.
    first = links[0]
    topics = {first.input} if first.stateful else set[str]()
    for link, following in pairwise(links):
        topics.add(link.outputs[0])
        if following.input not in topics:
            raise MevstreamError(f"{link.name} and {following.name} do not follow one another")
        if not following.stateful:
            raise MevstreamError(
                f"{following.name} has no state: it cannot be fused with {link.name}"
            )
    if not links[0].stateful and links[0].open_split is None:
        raise MevstreamError(f"{links[0].name} does not split by market: it cannot be fused")
    return [GroupPlan(tuple(links))]


def run_worker(settings: Settings, plans: Sequence[GroupPlan], *, supervised: bool = False) -> None:
    """Runs these groups until SIGINT or SIGTERM asks for the end, or something breaks that only a
    new start mends: MevstreamError tells what.

    supervised: a parent process makes that new start; always so where delivery is exactly once.
    """
    if settings.delivery == "exactly-once":
        for plan in plans:
            if plan.alone:
                raise MevstreamError(f"{plan.name}: fused links deliver at least once only")
    configure(settings.log_level)
    child = supervise() if supervised or settings.delivery == "exactly-once" else None
    # Faust's consumer thread makes a loop of its own.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # pyright: ignore[reportDeprecated]
    with observed("worker", settings), asyncio.Runner() as runner:
        runner.run(_Worker(settings, plans, child).run())


def _end_in_time(*errors: str) -> None:
    """Ends the process in some seconds, if it has not ended by itself. `errors`: why it ends."""

    def leave() -> None:
        # What may be committed has been by now, or cannot be. It is left to threads of libraries
        # that wait for a broker, some of them without a bound.
        log.error("worker left before its threads had ended", seconds=_LEAVE_SECONDS, errors=errors)
        logging.shutdown()
        os._exit(1 if errors else 0)

    timer = threading.Timer(_LEAVE_SECONDS, leave)
    timer.daemon = True
    timer.start()


class _Worker:
    def __init__(self, settings: Settings, plans: Sequence[GroupPlan], child: Child | None) -> None:
        self._settings = settings
        self._child = child
        self._plans = plans
        links = [link for plan in plans for link in plan.links]
        topics = {topic for link in links for topic in (link.input, *link.outputs)}
        topics |= {RAW, DEAD_LETTER}
        if any(link.stateful for link in links):
            topics |= {CHECKPOINTS, SLOTS}
        self._partitions = TopicPartitions(settings.kafka_servers, topics)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._broken: asyncio.Future[None] = loop.create_future()
        asked = asyncio.Event()

        def end() -> None:
            if not asked.is_set():
                asked.set()
                _end_in_time()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        await asyncio.to_thread(self._partitions.refresh)
        for plan in self._plans:
            if plan.alone:
                await self._wait_until_alone(plan, asked)
        if asked.is_set():
            return
        if self._child is not None:
            self._child.ready()
        groups = [self._open_group(plan) for plan in self._plans]
        tasks = [
            asyncio.ensure_future(waiting)
            for waiting in (
                asked.wait(),
                self._broken,
                self._refresh(),
                *(group.run() for group in groups),
            )
        ]
        done: set[Any] = set()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not asked.is_set():
                _end_in_time(*(str(error) for task in done if (error := task.exception())))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(group.stop() for group in groups))
        for task in done:
            task.result()

    def _open_group(self, plan: GroupPlan) -> Group:
        settings = self._settings
        first, *rest = plan.links
        name = f"{settings.group_prefix}-{plan.name}"
        output = self._open_output(name)
        state = StateSettings(
            servers=settings.kafka_servers,
            group=name,
            checkpoint_seconds=settings.checkpoint_seconds,
            bounds=OrderBounds(
                idle_seconds=settings.order_idle_seconds,
                wait_seconds=settings.order_wait_seconds,
                bytes=settings.order_bytes,
            ),
            exact=settings.delivery == "exactly-once",
        )
        clock = ReadingClock()
        processor: Processor
        if first.stateful:
            processor = LanesProcessor(plan.links, output, self._partitions, state, clock)
        elif rest:
            processor = FusedProcessor(first, rest, output, self._partitions, state, clock)
        else:
            processor = StatelessProcessor(first, output, self._partitions)
        return Group(
            name,
            first.input,
            stage=first.name,
            servers=settings.kafka_servers,
            processor=processor,
            output=output,
            limits=self._limits(),
            clock=clock,
        )

    async def _wait_until_alone(self, plan: GroupPlan, asked: asyncio.Event) -> None:
        """Returns when the group has no members, or the end is asked for. A member that was killed
        is gone after its session."""
        name = f"{self._settings.group_prefix}-{plan.name}"
        cluster = Cluster(self._settings.kafka_servers)
        end = time.monotonic() + SESSION_SECONDS + _MARGIN_SECONDS
        while not asked.is_set() and await asyncio.to_thread(cluster.members, name):
            if time.monotonic() > end:
                raise MevstreamError(
                    f"consumer group {name}: another worker runs {plan.name} already, and fused "
                    "links need all partitions in one process"
                )
            await asyncio.sleep(_MARGIN_SECONDS / 4)

    def _limits(self) -> Limits:
        settings = self._settings
        exact = settings.delivery == "exactly-once"
        records = settings.worker_records * (_IN_TRANSACTIONS if exact else 1)
        return Limits(records=records, bytes=settings.worker_bytes)

    def _open_output(self, group: str) -> Output:
        settings = self._settings
        if settings.delivery == "at-least-once":
            return Delivered(settings.kafka_servers, client=group, failed=self._fail)
        identity = self._child.identity if self._child else uuid.uuid4().hex
        return Transactional(
            settings.kafka_servers,
            client=group,
            identity=f"{group}-{identity}",
            failed=self._fail,
            seconds=settings.transaction_ms / 1000,
            most=settings.worker_records * _IN_TRANSACTIONS // 2,
        )

    def _fail(self, error: MevstreamError) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                await asyncio.to_thread(self._partitions.refresh)
            except MissingTopics:
                raise
            except MevstreamError:
                # A broker that is away is waited for; what is known stays true meanwhile.
                continue
