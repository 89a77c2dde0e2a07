"""The chain on one machine for a benchmark: servers, programs, and what they take of it."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from types import TracebackType
from typing import Self

import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from faults.clock import WallClock
from faults.cluster import Cluster
from faults.load import raw_batches
from faults.processes import Instance, Program
from faults.programs import programs, settings

from mevstream.codecs.headers import RecordHeaders, pack_record
from mevstream.infra.topics import Cluster as Topics
from mevstream.topologies.chain import MESSAGES, RAW
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig

REPOSITORY = Path(__file__).resolve().parents[1]

__all__ = ["Cluster", "Instance", "Program", "WallClock", "programs", "settings"]

BATCH = 256
# Large slots, so that nearly every record is full.
SLOT = 20 * BATCH


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record of mev.raw, ready to be sent."""

    slot: int
    seq: int
    transactions: int
    value: bytes
    headers: list[tuple[str, str | bytes | None]]


def simulated_records(
    count: int, *, first_slot: int = 400_000_000, batch: int = BATCH
) -> list[RawRecord]:
    """About `count` records of the simulated chain at mainnet's mix, `batch` transactions each."""
    config = SimulatorConfig(seed=7, transactions_per_slot=SLOT, first_slot=first_slot)
    records: list[RawRecord] = []
    for block in Simulator(config).blocks(None):
        batches = list(raw_batches(block, batch))
        left = block.counts["transactions"]
        for seq, value in enumerate(batches):
            headers = RecordHeaders(
                schema=MESSAGES[RAW],
                slot=block.slot,
                seq=seq,
                last=seq == len(batches) - 1,
                first_seen_ns=time.time_ns(),
            )
            packed, listed = pack_record(value, headers)
            size = min(left, batch)
            left -= size
            records.append(RawRecord(block.slot, seq, size, packed, [*listed]))
        if len(records) >= count:
            return records
    raise AssertionError


def producer(servers: str) -> Producer:
    return Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "message.max.bytes": 4 << 20,
            "log_level": 3,
        }
    )


def publish(servers: str, topic: str, records: Iterable[RawRecord], partitions: int) -> None:
    """Sends the records round robin, as fast as the broker takes them."""
    out = producer(servers)
    for i, record in enumerate(records):
        while True:
            try:
                out.produce(
                    topic, record.value, partition=i % partitions, headers=list(record.headers)
                )
                break
            except BufferError:
                out.poll(0.1)
        out.poll(0)
    assert out.flush(120) == 0


def make_topic(servers: str, name: str, partitions: int) -> None:
    topic = NewTopic(name, partitions, 1, config={"max.message.bytes": str(4 << 20)})
    # The client has to live until it has its answer.
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([topic])[name].result(15)


def ends(servers: str, topic: str) -> int:
    """Records that were ever written to a topic."""
    [told] = Topics(servers).describe([topic])
    return sum(partition.end for partition in told.partitions)


@dataclass(slots=True)
class Use:
    """What a process took while it was watched. cpu: seconds, between the marks where there are
    two; rss: bytes, by time."""

    cpu: float = 0.0
    rss: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    @property
    def peak(self) -> int:
        return max((size for _, size in self.rss), default=0)


class Watch:
    """Samples processes by name until it is left; `uses` then has what each took. A name may stand
    for several processes, whose sum it is. `mark` bounds what is counted of their CPU time."""

    def __init__(self, processes: Mapping[str, Iterable[int]], seconds: float = 0.5) -> None:
        self.uses = {name: Use() for name in processes}
        self.seconds = 0.0
        self._processes = {
            name: [psutil.Process(pid) for pid in pids] for name, pids in processes.items()
        }
        self._every = seconds
        self._marks: list[dict[str, float]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._before = {name: self._cpu(name) for name in self.uses}
        self._started = time.monotonic()
        self._thread.start()
        return self

    def mark(self) -> None:
        self._marks.append({name: self._cpu(name) for name in self.uses})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds = time.monotonic() - self._started
        self._done.set()
        self._thread.join()
        after = {name: self._cpu(name) for name in self.uses}
        first, last = self._marks if len(self._marks) == 2 else (self._before, after)
        for name, use in self.uses.items():
            use.cpu = last[name] - first[name]

    def _cpu(self, name: str) -> float:
        total = 0.0
        for process in self._processes[name]:
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
        return total

    def _sample(self) -> None:
        while not self._done.wait(self._every):
            now = time.monotonic() - self._started
            for name, processes in self._processes.items():
                try:
                    size = sum(process.memory_info().rss for process in processes)
                except psutil.Error:
                    continue
                self.uses[name].rss.append((now, size))


LOW, HIGH = 0.15, 0.9


def steady_rate(
    progress: Callable[[], int], total: int, *, mark: Callable[[], None], timeout: float
) -> tuple[float, int]:
    """(units a second, units) between about LOW and HIGH of `total`: without the start, when
    programs load and caches fill, and without the end. `mark` is called at both. Returns when all
    is done; raises RuntimeError where that takes longer than `timeout` seconds."""
    end = time.monotonic() + timeout
    bounds: list[tuple[float, int]] = []
    while (count := progress()) < total or len(bounds) < 2:
        now = time.monotonic()
        if now > end:
            raise RuntimeError(f"{count:,} of {total:,} within {timeout:.0f} s")
        if count >= (LOW, HIGH, total + 1)[len(bounds)] * total:
            bounds.append((now, count))
            mark()
        time.sleep(0.05)
    (a, first), (b, last) = bounds
    return (last - first) / (b - a), last - first


def percentile(values: list[float], share: int) -> float:
    return quantiles(values, n=100, method="inclusive")[share - 1]
