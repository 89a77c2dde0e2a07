"""What was sent, counted, so that something may be done when all of it up to here is safe."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence

from mevstream.topologies.worker.output import Output, Position
from mevstream.topologies.worker.progress import Track
from mevstream.topologies.worker.records import Outgoing


class Sends:
    """Sends through an output and says when everything that was sent before is done."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._track = Track("", 0)
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []  # a heap
        self._asked = itertools.count()
        self.count = 0

    async def send(
        self,
        records: Sequence[Outgoing],
        position: Position | None = None,
        mark: Outgoing | None = None,
    ) -> int:
        """Sends records; returns how many sends there were with this one."""
        number = self.count
        self.count += 1
        self._track.begin(number)

        def done() -> None:
            self._track.done(number)
            while self._waiting and self._waiting[0][0] <= (self._track.position or 0):
                heapq.heappop(self._waiting)[2]()

        await self._output.send(records, position, done, mark)
        return number + 1

    def after(self, count: int, callback: Callable[[], None]) -> None:
        """Calls back when the first `count` sends are done."""
        if (self._track.position or 0) >= count:
            callback()
        else:
            heapq.heappush(self._waiting, (count, next(self._asked), callback))

    async def wait(self, count: int) -> None:
        """Returns when the first `count` sends are done."""
        done = asyncio.Event()
        self.after(count, done.set)
        await done.wait()
