"""Metrics in Prometheus' exposition format. docs/metrics.md lists them.

A part of the chain (a link or a sink; label `stage`) resolves its meters once, with `stage` and
`StageMeter.partition`, and then only counts:

    meter = metrics.stage("parsed")
    part = meter.partition("mev.raw", 3)
    part.handled(offset, len(value), transactions, produced_ns, first_seen_ns, slot)
    meter.duplicates += 1

prometheus-client's own counters and histograms take a lock each, 0.4 and 1.1 µs, which is more for
the five values of a record than it may cost. So meters are plain numbers of the thread that counts
(two threads that add to one attribute at a time may lose an addition), and a collector makes
Prometheus' families of them when somebody asks.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

PREFIX = "mevstream_"

BUCKETS = (
    *(0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012, 0.02, 0.03, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the histograms' buckets, in seconds."""

_BUCKETS_NS = tuple(round(bound * 1e9) for bound in BUCKETS)
_BUCKET_NAMES = (*map(str, BUCKETS), "+Inf")


class Histogram:
    """Durations by bucket. `observe` takes nanoseconds; below zero (clocks differ) counts as 0."""

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum_ns = 0

    def observe(self, ns: int) -> None:
        if ns > 0:
            self.counts[bisect_left(_BUCKETS_NS, ns)] += 1
            self.sum_ns += ns
        else:
            self.counts[0] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated, as Prometheus wants them."""
        total = 0
        found: list[tuple[str, float]] = []
        for name, count in zip(_BUCKET_NAMES, self.counts, strict=True):
            total += count
            found.append((name, total))
        return found


class PartitionMeter:
    """What one stage took of one partition of its input.

    position: offset of the next record to handle; end: the one that the next record of the
    partition will get, as far as the consumer knows. Both -1 while unknown.
    """

    __slots__ = (
        "_stage",
        "bytes",
        "checkpoint_bytes",
        "checkpoint_time",
        "end",
        "partition",
        "position",
        "records",
        "topic",
        "transactions",
    )

    def __init__(self, stage: "StageMeter", topic: str, partition: int) -> None:
        self._stage = stage
        self.topic = topic
        self.partition = str(partition)
        self.records = 0
        self.transactions = 0
        self.bytes = 0
        self.position = -1
        self.end = -1
        self.checkpoint_bytes = 0
        self.checkpoint_time: float | None = None

    def handled(
        self,
        offset: int,
        size: int,
        transactions: int,
        produced_ns: int,
        first_seen_ns: int | None,
        slot: int | None,
    ) -> None:
        """Counts a record that is done with.

        size: bytes of the value as Kafka has it. produced_ns: the record's timestamp, which Kafka
        keeps in milliseconds; first_seen_ns: when a source saw the data (both nanoseconds since
        the epoch; 0 or None: not known).
        """
        now = time.time_ns()
        stage = self._stage
        self.records += 1
        self.transactions += transactions
        self.bytes += size
        self.position = offset + 1
        if produced_ns:
            stage.hop.observe(now - produced_ns)
        if first_seen_ns:
            stage.end_to_end.observe(now - first_seen_ns)
        if slot is not None and slot > stage.slot_handled:
            stage.slot_handled = slot
            stage.saw_slot(slot)

    def checkpointed(self, size: int) -> None:
        """A snapshot of `size` bytes was taken and delivered."""
        self.checkpoint_bytes = size
        self.checkpoint_time = time.monotonic()

    def release(self) -> None:
        """The partition is another's now: its lag and checkpoint are not told any more. What was
        counted stays, because a counter never goes back."""
        self.position = self.end = -1
        self.checkpoint_time = None

    @property
    def lag(self) -> int | None:
        """Records that wait; None while unknown."""
        if self.end < 0 or self.position < 0:
            return None
        return max(self.end - self.position, 0)


class StageMeter:
    """What one link or sink counts beside its records; the names are those of the metrics."""

    __slots__ = (
        "_metrics",
        "_outputs",
        "_partitions",
        "buffer_bytes",
        "buffer_records",
        "dead_letters",
        "drifts",
        "duplicates",
        "end_to_end",
        "gaps",
        "hop",
        "in_flight",
        "late",
        "name",
        "predicted",
        "quotes",
        "retries",
        "slot_handled",
        "store",
    )

    def __init__(self, metrics: "Metrics", name: str) -> None:
        self._metrics = metrics
        self._partitions: dict[tuple[str, int], PartitionMeter] = {}
        self._outputs: dict[str, list[int]] = {}
        self.name = name
        self.hop = Histogram()
        self.end_to_end = Histogram()
        self.store = Histogram()
        self.retries = self.dead_letters = 0
        self.gaps = self.late = self.duplicates = 0
        self.in_flight = self.buffer_records = self.buffer_bytes = 0
        self.slot_handled = -1
        self.quotes: dict[tuple[str, str], int] = {}
        self.drifts: dict[str, int] = {}
        self.predicted: dict[str, int] = {}

    def quoted(self, venue: str, exact: int, close: int, off: int, drifts: int) -> None:
        """Counts legs of a venue that were quoted before they moved their pool: to the unit, else
        within a thousandth, else off; and those that told another state than had been tracked."""
        for outcome, count in (("exact", exact), ("close", close), ("off", off)):
            key = (venue, outcome)
            self.quotes[key] = self.quotes.get(key, 0) + count
        self.drifts[venue] = self.drifts.get(venue, 0) + drifts

    def foretold(self, kind: str) -> None:
        """Counts a predicted row."""
        self.predicted[kind] = self.predicted.get(kind, 0) + 1

    def partition(self, topic: str, partition: int) -> PartitionMeter:
        """The meter of a partition of the input: always the same one."""
        meter = self._partitions.get((topic, partition))
        if meter is None:
            meter = self._partitions[topic, partition] = PartitionMeter(self, topic, partition)
        return meter

    def sent(self, topic: str, size: int) -> None:
        """Counts a record that was sent to `topic`, with the size of its value in bytes."""
        output = self._outputs.get(topic)
        if output is None:
            output = self._outputs[topic] = [0, 0]
        output[0] += 1
        output[1] += size

    def saw_slot(self, slot: int) -> None:
        """A record of this slot arrived; it may be handled much later."""
        if slot > self._metrics.slot_seen:
            self._metrics.slot_seen = slot

    @property
    def slot_distance(self) -> int | None:
        """Slots between the newest that this process has seen and the newest handled here."""
        if self.slot_handled < 0:
            return None
        return max(self._metrics.slot_seen - self.slot_handled, 0)

    def outputs(self) -> list[tuple[str, int, int]]:
        """(topic, records, bytes) of all that was sent."""
        return [(topic, records, size) for topic, (records, size) in list(self._outputs.items())]

    def partitions(self) -> list[PartitionMeter]:
        return list(self._partitions.values())


Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels, value."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric as docs/metrics.md tells it, and what makes its family from the meters."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    family: Callable[["Metrics"], Metric]


class Metrics:
    """All meters of a process, and Prometheus' collector over them."""

    def __init__(self) -> None:
        self._stages: dict[str, StageMeter] = {}
        self.stores: dict[str, bool] = {}
        self.slot_seen = -1

    def stage(self, name: str) -> StageMeter:
        """The meter of a link or sink: always the same one."""
        meter = self._stages.get(name)
        if meter is None:
            meter = self._stages[name] = StageMeter(self, name)
        return meter

    def stages(self) -> list[StageMeter]:
        return list(self._stages.values())

    def collect(self) -> Iterator[Metric]:
        """Called by the registry, on the thread that serves the scrape."""
        for definition in DEFINITIONS:
            yield definition.family(self)


def _define(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    labels: tuple[str, ...],
    meaning: str,
    samples: Callable[[Metrics], Samples],
) -> Definition:
    name = PREFIX + name

    def family(metrics: Metrics) -> Metric:
        made = kind(name, meaning, labels=labels)
        for values, value in samples(metrics):
            made.add_metric(values, value)
        return made

    return Definition(
        name, "counter" if kind is CounterMetricFamily else "gauge", labels, meaning, family
    )


def _of_partition(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    meaning: str,
    value: Callable[[PartitionMeter], float | None],
) -> Definition:
    def samples(metrics: Metrics) -> Samples:
        for stage in metrics.stages():
            for part in stage.partitions():
                if (found := value(part)) is not None:
                    yield (stage.name, part.topic, part.partition), found

    return _define(kind, name, ("stage", "topic", "partition"), meaning, samples)


def _of_stage(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    meaning: str,
    value: Callable[[StageMeter], float | None],
) -> Definition:
    def samples(metrics: Metrics) -> Samples:
        for stage in metrics.stages():
            if (found := value(stage)) is not None:
                yield (stage.name,), found

    return _define(kind, name, ("stage",), meaning, samples)


def _of_output(name: str, meaning: str, index: int) -> Definition:
    def samples(metrics: Metrics) -> Samples:
        for stage in metrics.stages():
            for output in stage.outputs():
                yield (stage.name, output[0]), float(output[index])

    return _define(CounterMetricFamily, name, ("stage", "topic"), meaning, samples)


def _of_quotes(metrics: Metrics) -> Samples:
    for stage in metrics.stages():
        for (venue, outcome), count in list(stage.quotes.items()):
            yield (stage.name, venue, outcome), count


def _by_name(counts: Callable[[StageMeter], dict[str, int]]) -> Callable[[Metrics], Samples]:
    def samples(metrics: Metrics) -> Samples:
        for stage in metrics.stages():
            for name, count in list(counts(stage).items()):
                yield (stage.name, name), count

    return samples


def _histogram(name: str, meaning: str, value: Callable[[StageMeter], Histogram]) -> Definition:
    name = PREFIX + name

    def family(metrics: Metrics) -> Metric:
        made = HistogramMetricFamily(name, meaning, labels=("stage",))
        for stage in metrics.stages():
            histogram = value(stage)
            made.add_metric((stage.name,), histogram.buckets(), histogram.sum_ns / 1e9)
        return made

    return Definition(name, "histogram", ("stage",), meaning, family)


def _checkpoint_age(part: PartitionMeter) -> float | None:
    taken = part.checkpoint_time
    return None if taken is None else time.monotonic() - taken


def _slot_seen(metrics: Metrics) -> Samples:
    if metrics.slot_seen >= 0:
        yield (), metrics.slot_seen


def _stores(metrics: Metrics) -> Samples:
    return [((name,), float(up)) for name, up in list(metrics.stores.items())]


_COUNTER, _GAUGE = CounterMetricFamily, GaugeMetricFamily

DEFINITIONS: tuple[Definition, ...] = (
    _of_partition(_COUNTER, "records", "records handled", lambda part: part.records),
    _of_partition(
        _COUNTER, "transactions", "transactions in the records handled", lambda p: p.transactions
    ),
    _of_partition(
        _COUNTER, "in_bytes", "bytes of their values as Kafka has them", lambda part: part.bytes
    ),
    _of_output("sent_records", "records sent", 1),
    _of_output("sent_bytes", "bytes of their values", 2),
    _histogram(
        "hop_seconds",
        "from the timestamp of the input record (milliseconds) until it was handled",
        lambda stage: stage.hop,
    ),
    _histogram(
        "end_to_end_seconds",
        "from the moment when a source first saw the data until it was handled here",
        lambda stage: stage.end_to_end,
    ),
    _histogram(
        "store_seconds", "time that a store took to take a buffer", lambda stage: stage.store
    ),
    _of_partition(_GAUGE, "lag_records", "records that wait in Kafka", lambda part: part.lag),
    _of_stage(
        _GAUGE, "in_flight_records", "records taken and not acknowledged", lambda s: s.in_flight
    ),
    _of_stage(
        _GAUGE,
        "buffer_records",
        "records held until their order is known or their store takes them",
        lambda stage: stage.buffer_records,
    ),
    _of_stage(_GAUGE, "buffer_bytes", "bytes of these records", lambda stage: stage.buffer_bytes),
    _of_stage(
        _COUNTER, "retries", "calls of a store or broker made again", lambda stage: stage.retries
    ),
    _of_stage(
        _COUNTER,
        "dead_letters",
        "records sent to mev.dead-letter",
        lambda stage: stage.dead_letters,
    ),
    _of_stage(
        _COUNTER, "gaps", "batches of a slot waited for and given up", lambda stage: stage.gaps
    ),
    _of_stage(
        _COUNTER, "late", "records that came after their gap was given up", lambda stage: stage.late
    ),
    _of_stage(
        _COUNTER, "duplicates", "records dropped as seen before", lambda stage: stage.duplicates
    ),
    _define(
        _COUNTER,
        "quotes",
        ("stage", "venue", "outcome"),
        "swap legs quoted before they moved their pool: exact (to the unit), close (within a "
        "thousandth), off",
        _of_quotes,
    ),
    _define(
        _COUNTER,
        "drifts",
        ("stage", "venue"),
        "swap legs that told another state of their pool than earlier ones had left",
        _by_name(lambda stage: stage.drifts),
    ),
    _define(
        _COUNTER,
        "predicted",
        ("stage", "kind"),
        "predicted rows: arbitrage, backrun, exposure",
        _by_name(lambda stage: stage.predicted),
    ),
    _define(_GAUGE, "slot_seen", (), "newest slot that arrived in this process", _slot_seen),
    _of_stage(
        _GAUGE,
        "slot_handled",
        "newest slot handled",
        lambda stage: stage.slot_handled if stage.slot_handled >= 0 else None,
    ),
    _of_stage(
        _GAUGE,
        "slot_distance",
        "slot_seen less slot_handled, in slots",
        lambda stage: stage.slot_distance,
    ),
    _define(_GAUGE, "store_up", ("store",), "1 while the store answers, else 0", _stores),
    _of_partition(
        _GAUGE,
        "checkpoint_age_seconds",
        "since the last snapshot of the state was delivered",
        _checkpoint_age,
    ),
    _of_partition(
        _GAUGE,
        "checkpoint_bytes",
        "size of that snapshot",
        lambda part: part.checkpoint_bytes if part.checkpoint_time is not None else None,
    ),
)


def new_registry(metrics: Metrics) -> CollectorRegistry:
    """A registry with these metrics and those of the process (CPU, memory, garbage collector)."""
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


METRICS = Metrics()
"""The meters of this process."""


def stage(name: str) -> StageMeter:
    """The meter of a link or sink in this process: always the same one."""
    return METRICS.stage(name)


def store_state(name: str, up: bool) -> None:
    """Tells whether a store (`clickhouse`, `lake`, `hot`, `kafka`) answers."""
    METRICS.stores[name] = up
