"""python -m benchmarks scaling: a consumer group of 1, 2 and 4 parse workers, each held to a share
of a core; and a rolling restart of all workers under load.

The share is small, so that four workers, the broker and this program fit the machine: what is
measured is how the group shares the work out, not how many cores there are.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from faults.chaos import Chaos, Options
from rich.console import Console
from rich.table import Table

from benchmarks.governor import Governor
from benchmarks.machine import (
    BATCH,
    Cluster,
    Instance,
    ends,
    programs,
    publish,
    simulated_records,
)
from mevstream.topologies.chain import PARSED, RAW

RAW_PARTITIONS = 8
MARKETS = 4
_SETTLE_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Step:
    """rate: transactions a second; used: of a core, by all workers together; efficiency: rate
    over that of one worker times the number of workers."""

    workers: int
    rate: float
    used: float
    efficiency: float


@dataclass(slots=True)
class Figures:
    """pause: seconds, the longest that a batch took in the rolling restart."""

    share: float
    steps: list[Step] = field(default_factory=list[Step])
    pause: float = 0.0
    lost: int = 0
    copies: int = 0
    problems: list[str] = field(default_factory=list[str])


def _step(
    cluster: Cluster, workers: int, share: float, seconds: float, prefix: str
) -> tuple[float, float]:
    """(transactions a second, cores used by the workers) from a backlog that does not end."""
    [worker] = programs(cluster, links=("parsed",), sinks=(), prefix=prefix)
    with ExitStack() as stack:
        instances = [Instance(worker, f"{prefix}-{i}", cluster.logs) for i in range(workers)]
        for instance in instances:
            stack.callback(instance.kill)
        first = ends(cluster.kafka, PARSED)
        while ends(cluster.kafka, PARSED) == first:
            time.sleep(0.2)
        governor = stack.enter_context(Governor([one.pid for one in instances], share))
        # All of them are there, and the group is at rest, before the clock starts.
        time.sleep(_SETTLE_SECONDS)
        cpu = sum(governor.cpu(one.pid) for one in instances)
        started, before = time.monotonic(), ends(cluster.kafka, PARSED)
        time.sleep(seconds)
        done, elapsed = ends(cluster.kafka, PARSED) - before, time.monotonic() - started
        used = sum(governor.cpu(one.pid) for one in instances) - cpu
        if ends(cluster.kafka, PARSED) - first >= ends(cluster.kafka, RAW) * MARKETS:
            raise RuntimeError(f"{workers} workers were through the backlog: give a larger one")
    return done / MARKETS * BATCH / elapsed, used / elapsed


def measure(options: argparse.Namespace, tell: Callable[[str], None]) -> Figures:
    figures = Figures(options.share)
    records = simulated_records(1000)
    with tempfile.TemporaryDirectory(prefix="mevstream-bench-", dir=options.folder) as name:
        with Cluster(
            Path(name),
            roles=("worker",),
            stores=(),
            raw_partitions=RAW_PARTITIONS,
            market_partitions=MARKETS,
            report=tell,
        ) as cluster:
            for i in range(options.backlog):
                tell(f"filling mev.raw: {(i + 1) * len(records):,} records")
                publish(cluster.kafka, RAW, records, RAW_PARTITIONS)
            for workers in options.workers:
                tell(f"{workers} × {options.share:.0%} of a core")
                rate, used = _step(
                    cluster, workers, options.share, options.seconds, f"scaling-{workers}"
                )
                single = figures.steps[0].rate / figures.steps[0].workers if figures.steps else rate
                figures.steps.append(Step(workers, rate, used, rate / single / workers))
        tell(f"a rolling restart of {options.roll} workers at {options.rate:,.0f} a second")
        _roll(figures, options, Path(name) / "roll", tell)
    return figures


def _roll(
    figures: Figures, options: argparse.Namespace, folder: Path, tell: Callable[[str], None]
) -> None:
    """The fault tests' own rolling restart, with their oracle."""
    chosen = Options(
        folder=folder,
        seed=1,
        minutes=0,
        faults=1,
        only=("worker: rolling restart",),
        links=("parsed",),
        sinks=(),
        workers=options.roll,
        rate=options.rate,
        batch_size=BATCH,
    )
    with Chaos(chosen, tell) as chaos:
        outcome = chaos.run()
    [line] = [line for line in outcome.lines if line.times]
    figures.pause = max(line.pauses)
    figures.lost, figures.copies = line.lost, line.topic_copies
    figures.problems = outcome.problems


def show(figures: Figures, console: Console) -> None:
    table = Table(
        title=f"Parse workers at {figures.share:.0%} of a core each", title_justify="left"
    )
    for column in ("workers", "transactions/s", "cores used", "efficiency"):
        table.add_column(column, justify="right")
    for step in figures.steps:
        table.add_row(
            str(step.workers), f"{step.rate:,.0f}", f"{step.used:.2f}", f"{step.efficiency:.2f}"
        )
    console.print(table)
    console.print(
        f"rolling restart under load: {figures.lost} batches lost, {figures.copies} records twice "
        f"in mev.parsed, longest pause of a batch {figures.pause:.1f} s; {os.cpu_count()} cores",
        highlight=False,
    )
    for problem in figures.problems:
        console.print(problem, highlight=False)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks scaling", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--share", type=float, default=0.2, help="of a core, for each worker")
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--backlog", type=int, default=8, help="thousands of records to begin with")
    parser.add_argument("--roll", type=int, default=2, help="workers that are restarted")
    parser.add_argument("--rate", type=float, default=4000, help="transactions a second meanwhile")
    parser.add_argument("--folder", type=Path, help="where the data goes for the time being")
    parser.add_argument("--json", action="store_true", help="all figures, for machines")
    options = parser.parse_args(arguments)
    errors = Console(stderr=True)
    figures = measure(options, lambda line: errors.print(line, highlight=False))
    if options.json:
        print(json.dumps(asdict(figures), indent=2))
    else:
        show(figures, Console())
    return 1 if figures.problems else 0
