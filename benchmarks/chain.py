"""python -m benchmarks chain: the chain on Kafka, broker and stores on the same machine.

What the parse workers carry beside an empty Faust hop over the same records; where their time
goes; raw → parsed → ClickHouse and lake; the latency of a record at mainnet's rate.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from confluent_kafka import OFFSET_END, Consumer, TopicPartition
from faults.programs import sink_group
from faults.watch import CommitWatch
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row, interleaved
from benchmarks.machine import (
    BATCH,
    REPOSITORY,
    Cluster,
    Instance,
    Program,
    RawRecord,
    Use,
    Watch,
    ends,
    make_topic,
    percentile,
    producer,
    programs,
    publish,
    settings,
    simulated_records,
    steady_rate,
)
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.frames import compress, decompress
from mevstream.codecs.headers import read_headers
from mevstream.topologies.chain import CHAIN, PARSED, RAW

RAW_PARTITIONS = MARKETS = 4
MAINNET_RATE = 4000
_HOP = "bench.hop"
_TIMEOUT = 300.0


@dataclass(slots=True)
class Throughput:
    """rate: transactions a second, in the middle of the run; transactions: so many of them, and
    uses: what each process took for them."""

    name: str
    rate: float
    transactions: int
    uses: dict[str, Use] = field(default_factory=dict[str, Use])


@dataclass(slots=True)
class Figures:
    """What a run measured. latency: milliseconds from produce to each parsed record, by how many
    transactions a raw record has; floor: to the one record that the empty hop passes on."""

    transactions: int = 0
    records: int = 0
    record_bytes: int = 0
    throughputs: list[Throughput] = field(default_factory=list[Throughput])
    parts: list[Row] = field(default_factory=list[Row])
    latency: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    floor: dict[int, list[float]] = field(default_factory=dict[int, list[float]])


class Bench:
    """One machine with its topics filled; each measurement reads them as a new consumer group."""

    def __init__(self, cluster: Cluster, records: Sequence[RawRecord]) -> None:
        self._cluster = cluster
        self._records = records
        self._groups = 0
        self.transactions = sum(record.transactions for record in records)

    def fill(self) -> None:
        publish(self._cluster.kafka, RAW, self._records, RAW_PARTITIONS)

    def hop(self, instances: int) -> Throughput:
        """The reference: records passed on, nothing done."""
        program, topic = self._hop()
        return self._measure(
            f"empty Faust hop, {_count(instances)}",
            [(program, instances)],
            lambda: ends(self._cluster.kafka, topic),
            len(self._records),
        )

    def _hop(self) -> tuple[Program, str]:
        topic = f"{_HOP}-{self._next()}"
        make_topic(self._cluster.kafka, topic, RAW_PARTITIONS)
        arguments = (self._cluster.kafka, f"group-{topic}", RAW, topic, str(RAW_PARTITIONS))
        command = (sys.executable, "-m", "benchmarks.faust_hop", *arguments)
        return Program("hop", command, {"PYTHONPATH": str(REPOSITORY)}), topic

    def workers(self, instances: int) -> Throughput:
        """raw → parsed."""
        [worker] = programs(self._cluster, links=("parsed",), sinks=(), prefix=self._next())
        before = ends(self._cluster.kafka, PARSED)
        return self._measure(
            f"raw → parsed, {_count(instances)}",
            [(worker, instances)],
            lambda: ends(self._cluster.kafka, PARSED) - before,
            len(self._records) * MARKETS,
        )

    def _next(self) -> str:
        self._groups += 1
        return f"bench-{self._groups}"

    def _measure(
        self,
        name: str,
        wanted: Sequence[tuple[Program, int]],
        progress: Callable[[], int],
        total: int,
    ) -> Throughput:
        started: list[Instance] = []

        def alive() -> int:
            for one in started:
                if one.exit_code() is not None:
                    raise RuntimeError(f"{one.name} ended: {one.log.read_text()[-500:]}")
            return progress()

        with ExitStack() as stack:
            running: dict[str, list[int]] = {
                server: [one.process.pid] for server, one in self._cluster.servers.items()
            }
            for each, count in wanted:
                for _ in range(count):
                    role = each.role if each.role in ("hop", "worker") else f"sink {each.role}"
                    label = f"{role}-{self._next()}"
                    instance = Instance(each, label, self._cluster.logs)
                    stack.callback(instance.kill)
                    started.append(instance)
                    running[label] = [instance.pid]
            with Watch(running) as watch:
                rate, units = steady_rate(alive, total, mark=watch.mark, timeout=_TIMEOUT)
        each = self.transactions / total
        return Throughput(name, rate * each, round(units * each), watch.uses)

    def end_to_end(self, sinks: Sequence[str]) -> Throughput:
        """raw → parsed → the stores, all at once; of what every sink has committed. It has to come
        before `workers`, for sinks begin where mev.parsed does."""
        prefix = self._next()
        found = programs(self._cluster, links=("parsed",), sinks=sinks, prefix=prefix)
        groups = [sink_group(sink, prefix) for sink in sinks]
        commits = CommitWatch(self._cluster.kafka, groups)
        return self._measure(
            f"raw → parsed → {' and '.join(sinks)}",
            [(one, 1) for one in found],
            lambda: min(commits.records(group, PARSED) for group in groups),
            len(self._records) * MARKETS,
        )

    def latency(self, seconds: float, first_slot: int, batch: int) -> list[float]:
        """Milliseconds from produce until a poll() gets each parsed record, at mainnet's rate."""
        [worker] = programs(self._cluster, links=("parsed",), sinks=(), prefix=self._next())
        return self._latency(worker, PARSED, MARKETS, seconds, first_slot, batch)

    def floor(self, seconds: float, first_slot: int, batch: int) -> list[float]:
        """The same of the empty hop, which makes one record of one."""
        program, topic = self._hop()
        return self._latency(program, topic, 1, seconds, first_slot, batch)

    def _latency(
        self,
        program: Program,
        topic: str,
        copies: int,
        seconds: float,
        first_slot: int,
        batch: int,
    ) -> list[float]:
        count = int(seconds * MAINNET_RATE / batch) + 1
        records = simulated_records(count, first_slot=first_slot, batch=batch)[:count]
        # It starts where the others began, and has to be at the end before it is measured.
        instance = Instance(program, f"latency-{self._next()}", self._cluster.logs)
        try:
            return _latency(self._cluster.kafka, records, topic, copies)
        finally:
            instance.kill()


def _latency(servers: str, records: Sequence[RawRecord], topic: str, copies: int) -> list[float]:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "bench-latency",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 500,
            "fetch.min.bytes": 1,
        }
    )
    consumer.assign([TopicPartition(topic, number, OFFSET_END) for number in range(MARKETS)])
    quiet = time.monotonic()
    seen = False
    while not seen or time.monotonic() - quiet < 3:
        if consumer.poll(0.1) is not None:
            seen, quiet = True, time.monotonic()
    sent: dict[tuple[int, int], float] = {}
    out = producer(servers)

    def send() -> None:
        due = time.perf_counter()
        for i, record in enumerate(records):
            due += record.transactions / MAINNET_RATE
            while (ahead := due - time.perf_counter()) > 0:
                out.poll(0)
                time.sleep(min(ahead, 0.005))
            sent[record.slot, record.seq] = time.perf_counter()
            out.produce(
                RAW, record.value, partition=i % RAW_PARTITIONS, headers=list(record.headers)
            )
            out.poll(0)
        out.flush(30)

    sender = threading.Thread(target=send)
    sender.start()
    found: list[float] = []
    end = time.monotonic() + sum(record.transactions for record in records) / MAINNET_RATE + 30
    # The first second warms caches and connections.
    warm_up = MAINNET_RATE // records[0].transactions * copies
    expected = len(records) * copies
    arrived = 0
    while arrived < expected and time.monotonic() < end:
        message = consumer.poll(0.5)
        if message is None or message.error():
            continue
        now = time.perf_counter()
        headers = read_headers([(k, v) for k, v in message.headers() or () if v is not None])  # type: ignore[misc]
        at = sent.get((headers.slot or 0, headers.seq or 0))
        if at is not None:
            arrived += 1
            if arrived > warm_up:
                found.append((now - at) * 1e3)
    sender.join()
    consumer.close()
    if arrived < expected:
        raise RuntimeError(f"{arrived} of {expected} records came out of {topic}")
    return found


def parts_of_a_record(records: Sequence[RawRecord]) -> list[Row]:
    """What the steps of a parse worker take for one full record, each alone, on warm caches."""
    link = next(link for link in CHAIN if link.name == "parsed")
    assert link.open_split is not None
    stage, split = link.open_stage(), link.open_split()
    sample = [record for record in records if record.transactions == BATCH][:8]
    raw = [decompress(record.value) for record in sample]
    decoder = BatchDecoder()
    parsed = [decoder.decode(one) for one in raw]
    pieces = [piece for one in parsed for piece in split(one, MARKETS)]
    rows = interleaved(
        {
            "zstd off the raw record": lambda: [decompress(record.value) for record in sample],
            "decoding": lambda: [decoder.decode(one) for one in raw],
            "decoding, counts and dead letters": lambda: [stage(one) for one in raw],
            "parting by market": lambda: [split(one, MARKETS) for one in parsed],
            "zstd onto the parsed records": lambda: [compress(piece) for piece in pieces],
        },
        rounds=20,
    )
    return [Row(row.name, row.median / len(sample), row.minimum / len(sample)) for row in rows]


def measure(options: argparse.Namespace, tell: Callable[[str], None]) -> Figures:
    figures = Figures()
    sinks = [sink for sink in options.sinks if sink]
    stores = {"clickhouse": "clickhouse", "lake": "s3"}
    with tempfile.TemporaryDirectory(prefix="mevstream-bench-", dir=options.folder) as name:
        tell(f"simulating {options.records:,} records of {BATCH} transactions")
        records = simulated_records(options.records)
        figures.records = len(records)
        figures.transactions = sum(record.transactions for record in records)
        figures.record_bytes = sum(len(record.value) for record in records) // len(records)
        with Cluster(
            Path(name),
            roles=("worker", *sinks),
            stores=[stores[sink] for sink in sinks],
            raw_partitions=RAW_PARTITIONS,
            market_partitions=MARKETS,
            report=tell,
        ) as cluster:
            bench = Bench(cluster, records)
            tell("filling mev.raw")
            bench.fill()
            tell("a first hop, which warms the broker")
            bench.hop(1)
            if sinks:
                tell(f"raw → parsed → {' and '.join(sinks)}")
                _mevstream(
                    cluster, "migrate", "--server", cluster.servers["clickhouse"].service.address
                )
                figures.throughputs.append(bench.end_to_end(sinks))
            for count in options.workers:
                tell(f"the empty Faust hop, {_count(count)}")
                figures.throughputs.append(bench.hop(count))
                tell(f"raw → parsed, {_count(count)}")
                figures.throughputs.append(bench.workers(count))
            tell(f"latency at {MAINNET_RATE:,} transactions a second")
            after = records[-1].slot + 1000
            for batch in options.batches:
                figures.floor[batch] = bench.floor(options.seconds, after, batch)
                after += 100_000
                figures.latency[batch] = bench.latency(options.seconds, after, batch)
                after += 100_000
    tell("what the steps take")
    figures.parts = parts_of_a_record(records)
    return figures


def _mevstream(cluster: Cluster, *arguments: str) -> None:
    import subprocess

    environment = {**os.environ, **settings(cluster, "worker", direct=True)}
    command = [sys.executable, "-m", "mevstream", *arguments]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def _count(instances: int) -> str:
    return "1 process" if instances == 1 else f"{instances} processes"


def show(figures: Figures, console: Console) -> None:
    console.print(
        f"{figures.transactions:,} transactions in {figures.records:,} records of "
        f"{figures.record_bytes / 1e3:,.0f} kB, {RAW_PARTITIONS} raw and {MARKETS} market "
        f"partitions, {os.cpu_count()} cores for everything",
        highlight=False,
    )
    table = Table(title="Throughput", title_justify="left")
    table.add_column("")
    for column in ("transactions/s", "µs CPU a transaction", "peak MB", "CPU seconds by process"):
        table.add_column(column, justify="right")
    for one in figures.throughputs:
        own = {n: use for n, use in one.uses.items() if n.startswith(("hop", "worker"))}
        cpu = sum(use.cpu for use in own.values()) / one.transactions * 1e6
        peak = max(use.peak for use in own.values()) / 1e6
        listed = ", ".join(f"{_role(n)} {use.cpu:.1f}" for n, use in one.uses.items())
        table.add_row(one.name, f"{one.rate:,.0f}", f"{cpu:.1f}", f"{peak:,.0f}", listed)
    console.print(table, "")
    table = Table(title="Where a parse worker's time goes, per record", title_justify="left")
    table.add_column("")
    for column in ("median ms", "minimum ms"):
        table.add_column(column, justify="right")
    for row in figures.parts:
        table.add_row(row.name, f"{row.median * 1e3:.3f}", f"{row.minimum * 1e3:.3f}")
    console.print(table, "")
    table = Table(
        title=f"Latency at {MAINNET_RATE:,} transactions a second, ms", title_justify="left"
    )
    table.add_column("from produce to")
    for column in ("transactions a raw record", "records", "p50", "p90", "p99", "longest"):
        table.add_column(column, justify="right")
    for batch, floor in figures.floor.items():
        for name, found in (
            ("the record of an empty hop", floor),
            ("each parsed record", figures.latency[batch]),
        ):
            shares = [f"{percentile(found, share):.1f}" for share in (50, 90, 99)]
            table.add_row(name, str(batch), f"{len(found):,}", *shares, f"{max(found):.1f}")
    console.print(table)


def _role(name: str) -> str:
    return name.partition("-bench")[0]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks chain", description=__doc__)
    parser.add_argument("--records", type=int, default=3000, help="in mev.raw, 256 transactions")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="processes")
    parser.add_argument("--sinks", nargs="*", default=["clickhouse", "lake"])
    parser.add_argument("--seconds", type=float, default=30, help="of the measurement of latency")
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        default=[BATCH, 64],
        help="transactions a raw record, where latency is measured",
    )
    parser.add_argument("--folder", type=Path, help="where the data goes for the time being")
    parser.add_argument("--json", action="store_true", help="all figures, for machines")
    options = parser.parse_args(arguments)
    console = Console(width=None if Console().is_terminal else 140)
    errors = Console(stderr=True)
    figures = measure(options, lambda line: errors.print(line, highlight=False))
    if options.json:
        print(json.dumps(asdict(figures), indent=2))
    else:
        show(figures, console)
    return 0
