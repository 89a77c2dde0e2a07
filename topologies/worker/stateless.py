"""Records of a stateless link on their way through a worker: each on its own, in any order."""

from collections.abc import Callable, Mapping

from mevstream.topologies.chain import DEAD_LETTER, Link
from mevstream.topologies.observe import metrics
from mevstream.topologies.worker.output import Output, Position
from mevstream.topologies.worker.progress import Track
from mevstream.topologies.worker.records import Incoming, Partitions, Result, StatelessStep


class StatelessProcessor:
    """Sends what follows from a record at once; the record is done when that is safe."""

    def __init__(self, link: Link, output: Output, partitions: Partitions) -> None:
        self._step = StatelessStep(link, partitions)
        self._output = output
        self._meter = metrics.METRICS.stage(link.name)

    async def assigned(
        self, tracks: Mapping[int, Track], committed: Mapping[int, int | None]
    ) -> Mapping[int, int]:
        return {}

    async def tick(self) -> None:
        return

    async def revoked(self) -> None:
        return

    async def take(
        self, record: Incoming, track: Track, generation: int, leave: Callable[[], None]
    ) -> None:
        track.begin(record.offset)
        result = self._step(record)

        def done() -> None:
            track.done(record.offset)
            leave()
            count_record(self._meter, record, result)

        position = Position(record.topic, record.partition, record.offset + 1, generation)
        await self._output.send(result.records, position, done)


def count_record(meter: metrics.StageMeter, record: Incoming, result: Result) -> None:
    """Tells the metrics of a record that is done."""
    headers = result.headers
    meter.partition(record.topic, record.partition).handled(
        record.offset,
        record.size,
        result.transactions,
        record.timestamp_ns,
        headers.first_seen_ns if headers else None,
        headers.slot if headers else None,
    )
    for sent in result.records:
        meter.sent(sent.topic, len(sent.value))
        meter.dead_letters += sent.topic == DEAD_LETTER
