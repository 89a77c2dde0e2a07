"""A worker process: the consumer groups that were asked for, from start to end in good order."""

import asyncio
import signal
from collections.abc import Sequence

import uvloop

from mevstream.errors import MevstreamError
from mevstream.settings import Settings
from mevstream.topologies.chain import CHAIN, DEAD_LETTER, Link
from mevstream.topologies.observe.process import observed
from mevstream.topologies.worker.group import Group, Limits
from mevstream.topologies.worker.output import Delivered
from mevstream.topologies.worker.stateless import StatelessProcessor
from mevstream.topologies.worker.topics import MissingTopics, TopicPartitions

_REFRESH_SECONDS = 60.0


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


def run_worker(settings: Settings, links: Sequence[Link]) -> None:
    """Runs these links until SIGINT or SIGTERM asks for the end, or something breaks that only a
    new start mends: MevstreamError tells what."""
    # Faust's consumer thread makes a loop of its own.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # pyright: ignore[reportDeprecated]
    with observed("worker", settings), asyncio.Runner() as runner:
        runner.run(_Worker(settings, links).run())


class _Worker:
    def __init__(self, settings: Settings, links: Sequence[Link]) -> None:
        self._settings = settings
        self._links = links
        topics = {topic for link in links for topic in (link.input, *link.outputs)}
        self._partitions = TopicPartitions(settings.kafka_servers, {*topics, DEAD_LETTER})

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._broken: asyncio.Future[None] = loop.create_future()
        asked = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked.set)
        await asyncio.to_thread(self._partitions.refresh)
        groups = [self._open_group(link) for link in self._links]
        tasks = [
            asyncio.ensure_future(waiting)
            for waiting in (
                asked.wait(),
                self._broken,
                self._refresh(),
                *(group.run() for group in groups),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(group.stop() for group in groups))
        for task in done:
            task.result()

    def _open_group(self, link: Link) -> Group:
        settings = self._settings
        name = f"{settings.group_prefix}-{link.name}"
        output = Delivered(settings.kafka_servers, client=name, failed=self._fail)
        return Group(
            name,
            link.input,
            stage=link.name,
            servers=settings.kafka_servers,
            processor=StatelessProcessor(link, output, self._partitions),
            output=output,
            limits=Limits(records=settings.worker_records, bytes=settings.worker_bytes),
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
