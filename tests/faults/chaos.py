"""One run: the chain under load, fault after fault, and then the count."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.clock import WallClock
from faults.cluster import Cluster
from faults.disk import SmallDisk
from faults.faults import NAMES, WORKER, Fault, Scene, catalogue
from faults.load import Ledger, Load
from faults.oracle import (
    Findings,
    Store,
    letter_findings,
    store_findings,
    topic_findings,
    wait_until,
)
from faults.processes import Fleet
from faults.programs import SINKS, programs, settings, sink_group
from faults.report import Line
from faults.watch import CommitWatch, StoredWatch, TopicWatch
from mevstream.errors import MevstreamError
from mevstream.topologies.chain import CHAIN, PARSED

_START_SECONDS = 90.0
_PATIENCE = 0.75
_RECOVERY_SECONDS = 60.0
_RECENT_SLOTS = 200
# On their way for so long, in calm weather, at most.
_PARSED_SECONDS = 2.0
_STORED_SECONDS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """seed: of the order of the faults and of the chain. minutes, faults: the run ends when both
    are reached. rate: transactions a second. bound: seconds in which everything has to be stored
    after the last fault. pause: the most seconds between two faults."""

    folder: Path
    seed: int
    minutes: float = 20
    faults: int = 100
    only: Sequence[str] = ()
    links: Sequence[str] = ("all",)
    sinks: Sequence[str] = tuple(SINKS)
    delivery: str = "at-least-once"
    workers: int = 2
    rate: float = 1500
    batch_size: int = 64
    bound: float = 180
    pause: float = 6


@dataclass(slots=True)
class _Injection:
    name: str
    fault: Fault
    at: float
    # Whether what had been before was over, so that a pause can only be this fault's.
    calm: bool


@dataclass(slots=True)
class Outcome:
    """`problems` is empty where the run is clean."""

    lines: list[Line]
    facts: list[str]
    problems: list[str]
    settled_seconds: float = field(default=0.0)


class Chaos:
    """A context manager that holds everything that runs."""

    def __init__(self, options: Options, tell: Callable[[str], None]) -> None:
        self.options = options
        self._tell = tell
        self._random = random.Random(options.seed)
        self._stack = ExitStack()
        self._injections: list[_Injection] = []
        self._problems: list[str] = []

    def __enter__(self) -> "Chaos":
        options = self.options
        options.folder.mkdir(parents=True, exist_ok=True)
        self._tell("starting the servers")
        roles = (WORKER, *options.sinks)
        self.cluster = self._stack.enter_context(
            Cluster(
                options.folder,
                roles=roles,
                stores=[SINKS[sink] for sink in options.sinks],
                report=self._tell,
            )
        )
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        options, cluster = self.options, self.cluster
        self.clock = WallClock(options.folder)
        if "clickhouse" in options.sinks:
            self._mevstream("migrate", "--server", cluster.servers["clickhouse"].service.address)
        listed = programs(
            cluster,
            self.clock,
            links=options.links,
            sinks=options.sinks,
            delivery=options.delivery,
        )
        self.fleet = self._stack.enter_context(Fleet(listed, cluster.logs))
        self.topics = TopicWatch(cluster.kafka, cluster.market_partitions)
        self.stored = StoredWatch(cluster)
        groups = [sink_group(sink) for sink in options.sinks]
        self.commits = CommitWatch(cluster.kafka, groups)
        self.load = Load(
            cluster.kafka,
            partitions=cluster.raw_partitions,
            rate=options.rate,
            seed=options.seed,
            batch_size=options.batch_size,
        )
        self.disk = SmallDisk(options.folder)
        self.fleet.start(WORKER, options.workers)
        for sink in options.sinks:
            self.fleet.start(sink, 2 if sink == "clickhouse" else 1)
        self.topics.start()
        self.commits.start()
        if "clickhouse" in options.sinks:
            self.stored.start()
        self.load.start()

    def run(self) -> Outcome:
        """Injects the faults, waits for the end of what they did, and counts."""
        options = self.options
        started = time.monotonic()
        if not wait_until(lambda: self._settled(some=True), _START_SECONDS):
            exits = ", ".join(sorted({f"{one.name} ({one.code})" for one in self.fleet.exits}))
            raise MevstreamError(
                f"nothing was stored within {_START_SECONDS:.0f} s, before any fault"
                + (f"; ended by themselves: {exits}" if exits else "")
                + f"; logs: {self.cluster.logs}"
            )
        self._inject_all(started + options.minutes * 60)
        self._tell("the load ends; waiting for what is on its way")
        self.load.stop()
        ended = time.monotonic()
        if not wait_until(self._settled, options.bound):
            self._problems.append(f"not everything was there {options.bound:.0f} s after the end")
        settled = time.monotonic() - ended
        # What should not come has its chance to.
        time.sleep(2)
        self._problems += self.fleet.stop()
        for watch in (self.topics, self.commits):
            watch.close()
        if "clickhouse" in options.sinks:
            self.stored.close()
        self._tell("counting")
        outcome = self._count()
        outcome.settled_seconds = settled
        outcome.facts.append(f"everything was stored {settled:.1f} s after the load had ended")
        outcome.facts.append(f"whole run: {(time.monotonic() - started) / 60:.1f} minutes")
        return outcome

    # -- faults -------------------------------------------------------------------------------

    def _inject_all(self, until: float) -> None:
        options = self.options
        scene = Scene(
            cluster=self.cluster,
            fleet=self.fleet,
            load=self.load,
            clock=self.clock,
            disk=self.disk,
            random=self._random,
        )
        calm = True
        for number, (name, fault) in enumerate(self._order(), start=1):
            if number > options.faults and time.monotonic() > until:
                return
            injection = _Injection(name, fault, time.monotonic(), calm)
            self._injections.append(injection)
            self._tell(f"fault {number}: {name}")
            try:
                fault.inject(scene)
                time.sleep(self._random.uniform(*fault.hold))
            except Exception as error:
                self._problems.append(f"{name}: {error}")
            try:
                fault.heal(scene)
            except Exception as error:
                self._problems.append(f"{name}, healing: {error}")
            # Most faults find the chain at rest, some find it recovering.
            if self._random.random() < _PATIENCE:
                calm = self._recovers(fault.role)
                if not calm:
                    self._problems.append(f"{name}: not over within {_RECOVERY_SECONDS:.0f} s")
            else:
                calm = False
            # Evenly over the time that there is, but never in step with anything.
            left = max(options.faults - number, 1)
            even = max((until - time.monotonic()) / left - 8, 0.5)
            time.sleep(self._random.uniform(0.2, max(min(2 * even, options.pause), 0.5)))

    def _order(self) -> Iterator[tuple[str, Fault]]:
        """Rounds over the whole catalogue, each in another order."""
        known = catalogue({sink: SINKS[sink] for sink in self.options.sinks})
        names = list(self.options.only) or list(known)
        while True:
            self._random.shuffle(names)
            for name in names:
                yield name, known[name]()

    def _recovers(self, role: str) -> bool:
        """Waits until everything flows as it did before the fault that was healed just now."""
        healed = time.monotonic()

        def recovered() -> bool:
            now = time.monotonic()
            recent = list(self.load.ledger.slots.values())[-_RECENT_SLOTS:]
            if role == WORKER:
                return all(
                    sent > now - _PARSED_SECONDS or self._arrived(truth.slot, seq) is not None
                    for truth in recent
                    for seq, sent in list(truth.sent.items())
                )
            if role == "clickhouse":
                return all(
                    truth.complete_at is None
                    or truth.complete_at > now - _STORED_SECONDS
                    or truth.slot in self.stored.complete
                    for truth in recent
                )
            changes = self.commits.groups[sink_group(role)].changes
            return bool(changes) and changes[-1] > healed

        return wait_until(recovered, _RECOVERY_SECONDS)

    # -- the count ----------------------------------------------------------------------------

    def _settled(self, *, some: bool = False) -> bool:
        """Whether what was sent is in the topics and stores, by their own cheap tellings."""
        ledger = self.load.ledger
        parts = sum(part[0] == PARSED for part in list(self.topics.parts))
        sent = [truth for truth in list(ledger.slots.values()) if truth.complete_at is not None]
        if some:
            stored = "clickhouse" not in self.options.sinks or bool(self.stored.complete)
            return parts > 0 and stored
        batches = sum(truth.batches for truth in sent)
        if parts < batches * self.cluster.market_partitions:
            return False
        if "clickhouse" in self.options.sinks and len(self.stored.complete) < len(sent):
            return False
        return all(self.commits.settled(sink_group(sink)) for sink in self.options.sinks)

    def _stores(self) -> list[Store]:
        stores: list[Store] = []
        if "clickhouse" in self.options.sinks:
            stores.append(Store("ClickHouse", self.cluster.clickhouse, " FINAL"))
        if "lake" in self.options.sinks:
            stores.append(Store("lake", self._query_lake))
        return stores

    def _query_lake(self, sql: str) -> Sequence[tuple[Any, ...]]:
        done = self._mevstream("query", sql, "--lake", "--format", "json")
        return [tuple(row.values()) for row in json.loads(done)]

    def _mevstream(self, *arguments: str) -> str:
        """Runs a command of the project past all faults, and gives what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "mevstream", *arguments],
            env={**os.environ, **settings(self.cluster, WORKER)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            told = done.stderr.strip() or f"exit code {done.returncode}"
            raise RuntimeError(f"mevstream {' '.join(arguments)}: {told}")
        return done.stdout

    def _count(self) -> Outcome:
        ledger = self.load.ledger
        stores = self._stores()
        topic = topic_findings(
            self.topics,
            ledger,
            links=[link for link in CHAIN if {link.name, "all"} & {*self.options.links}],
            partitions=self.cluster.market_partitions,
            exactly_once=self.options.delivery == "exactly-once",
        )
        warm = stores[0] if "clickhouse" in self.options.sinks else None
        letters = letter_findings(self.topics, warm, ledger)
        tables = [store_findings(store, ledger) for store in stores]
        problems = [*self._problems, *ledger.failures, *self.disk.problems]
        for findings in (topic, letters, *tables):
            problems += findings.problems
        for name, findings in zip(
            ("topics", *(store.name for store in stores)), (topic, *tables), strict=True
        ):
            if lost := findings.lost.total():
                what = "batches" if name == "topics" else "transactions"
                problems.append(f"{name}: {lost} {what} lost")
            if twice := findings.twice.total():
                problems.append(f"{name}: {twice} rows twice")
        return Outcome(self._lines(topic, tables), self._facts(ledger), problems)

    def _facts(self, ledger: Ledger) -> list[str]:
        seconds = {WORKER: "worker"} | {sink: f"sink {sink}" for sink in self.options.sinks}
        exits = [f"{one.name} ({one.code})" for one in self.fleet.exits]
        return [
            f"delivery {self.options.delivery}, seed {self.options.seed}; "
            f"{self.options.workers} workers with {' '.join(self.options.links)}, sinks "
            f"{', '.join(role for role in seconds if role != WORKER)}",
            f"{ledger.transactions:,} transactions in {ledger.batches:,} batches of "
            f"{len(ledger.slots):,} slots sent, {len(ledger.poison)} poisoned records, "
            f"{sum(ledger.repeated.values())} batches sent again, "
            f"{len(ledger.out_of_order)} out of order",
            f"{len(self._injections)} faults of {len({i.name for i in self._injections})} kinds",
            f"processes that ended by themselves and were started again: {len(exits)}"
            + (f" ({', '.join(exits[:10])})" if exits else ""),
            f"dead letters in the topic: {len(self.topics.letters)}; gap reports: "
            f"{len(self.topics.reports)}; counts in mev.slots that came again: "
            f"{self.topics.status_copies}",
        ]

    def _lines(self, topic: Findings, tables: Sequence[Findings]) -> list[Line]:
        lines: dict[str, Line] = {}
        ends = [injection.at for injection in self._injections[1:]] + [time.monotonic()]
        windows = list(zip(self._injections, ends, strict=True))
        for injection, until in windows:
            line = lines.setdefault(injection.name, Line(injection.name))
            line.times += 1
            if injection.calm:
                line.pauses.append(self._pause(injection, until))
        # What happened before the first fault is nobody's.
        calm = Line("before any fault")

        def whose(at: float) -> Line:
            for injection, _ in reversed(windows):
                if injection.at <= at:
                    return lines[injection.name]
            return calm

        truths = self.load.ledger.slots
        for findings in (topic, *tables):
            for slot, count in findings.lost.items():
                whose(_sent(truths[slot].sent)).lost += count
            for slot, count in findings.twice.items():
                at = _sent(truths[slot].sent) if slot in truths else 0.0
                whose(at).table_copies += count
        for copy in self.topics.copies:
            whose(copy.at).topic_copies += 1
        ordered = sorted(lines.values(), key=lambda line: line.fault)
        return ordered + ([calm] if calm.lost or calm.topic_copies or calm.table_copies else [])

    def _pause(self, injection: _Injection, until: float) -> float:
        """The longest time that anything took which was on its way in the fault's window."""
        role, since = injection.fault.role, injection.at
        truths = list(self.load.ledger.slots.values())
        if role == "clickhouse":
            times = ((truth.complete_at, self.stored.complete.get(truth.slot)) for truth in truths)
        elif role == WORKER:
            times = (
                (sent, self._arrived(truth.slot, seq))
                for truth in truths
                for seq, sent in truth.sent.items()
            )
        else:
            return self.commits.longest_pause(sink_group(role), since, until)
        return max(
            (
                there - sent
                for sent, there in times
                if sent is not None and there is not None and sent < until and there > since
            ),
            default=0.0,
        )

    def _arrived(self, slot: int, seq: int) -> float | None:
        times = [
            self.topics.parts.get((PARSED, slot, seq, number))
            for number in range(self.cluster.market_partitions)
        ]
        return None if None in times else max(time for time in times if time is not None)


def _sent(times: dict[int, float]) -> float:
    return min(times.values(), default=0.0)


def names(sinks: Sequence[str]) -> list[str]:
    """The faults that there are with these sinks."""
    assert {SINKS[sink] for sink in sinks} <= NAMES.keys()
    return list(catalogue({sink: SINKS[sink] for sink in sinks}))
