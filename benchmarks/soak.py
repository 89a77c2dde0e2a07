"""python -m benchmarks soak: memory of a worker and of each sink under steady load, over time.

Resident memory is sampled; the first fifth of the run, in which caches fill, is left out of the
slope (least squares, MB an hour). The exit code is 1 where a process takes more than it may.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression, median

from faults.load import Load
from faults.programs import SINKS, sink_group
from faults.watch import CommitWatch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import BATCH, Cluster, Instance, Use, Watch, programs

RAW_PARTITIONS = MARKETS = 4
WORKER_MB, SINK_MB = 400, 600
_WARM_UP = 0.2


@dataclass(frozen=True, slots=True)
class Line:
    """Resident memory in MB (10^6 bytes); slope in MB an hour; cpu in cores."""

    process: str
    first: float
    middle: float
    last: float
    peak: float
    slope: float
    cpu: float
    limit: float | None


def line_of(process: str, use: Use, seconds: float, limit: float | None) -> Line:
    settled = [(at, size / 1e6) for at, size in use.rss if at >= seconds * _WARM_UP]
    times, sizes = zip(*settled, strict=True)
    slope = linear_regression(times, sizes).slope * 3600
    return Line(
        process=process,
        first=sizes[0],
        middle=median(sizes),
        last=sizes[-1],
        peak=use.peak / 1e6,
        slope=slope,
        cpu=use.cpu / seconds,
        limit=limit,
    )


def measure(
    options: argparse.Namespace, tell: Callable[[str], None]
) -> tuple[list[Line], int, list[int]]:
    """(a line a process, transactions sent, records that each sink had not stored at the end)."""
    seconds = options.minutes * 60
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="mevstream-soak-", dir=options.folder)
        name = stack.enter_context(temporary)
        cluster = stack.enter_context(
            Cluster(
                Path(name),
                roles=("worker", *options.sinks),
                stores=[SINKS[sink] for sink in options.sinks],
                raw_partitions=RAW_PARTITIONS,
                market_partitions=MARKETS,
                report=tell,
            )
        )
        found = programs(cluster, links=options.links, sinks=options.sinks)
        running = {server: [one.process.pid] for server, one in cluster.servers.items()}
        for one in found:
            instance = Instance(one, one.role, cluster.logs)
            stack.callback(instance.kill)
            label = one.role if one.role == "worker" else f"sink {one.role}"
            running[label] = [instance.pid]
        load = Load(
            cluster.kafka,
            partitions=RAW_PARTITIONS,
            rate=options.rate,
            seed=1,
            batch_size=BATCH,
        )
        load.start()
        with Watch(running, seconds=2) as watch:
            for minute in range(int(options.minutes)):
                time.sleep(60)
                sizes = ", ".join(
                    f"{process} {use.rss[-1][1] / 1e6:,.0f} MB"
                    for process, use in watch.uses.items()
                    if use.rss
                )
                tell(f"{minute + 1:3d} min  {load.ledger.transactions:,} transactions; {sizes}")
            time.sleep(max(seconds - int(options.minutes) * 60, 0))
        load.stop()
        time.sleep(5)
        groups = [sink_group(sink) for sink in options.sinks]
        commits = CommitWatch(cluster.kafka, groups)
        lags = [commits.lag(group) for group in groups]
    limits = {"worker": WORKER_MB} | {f"sink {sink}": SINK_MB for sink in options.sinks}
    lines = [
        line_of(process, use, watch.seconds, limits.get(process))
        for process, use in watch.uses.items()
    ]
    return lines, load.ledger.transactions, lags


def show(lines: Sequence[Line], console: Console) -> None:
    table = Table(title="Resident memory, MB", title_justify="left")
    table.add_column("")
    for column in ("after warm-up", "median", "at the end", "peak", "MB/h", "cores", "limit"):
        table.add_column(column, justify="right")
    for line in lines:
        sizes = (line.first, line.middle, line.last, line.peak)
        table.add_row(
            line.process,
            *(f"{size:,.0f}" for size in sizes),
            f"{line.slope:+,.1f}",
            f"{line.cpu:.2f}",
            "" if line.limit is None else f"{line.limit:,.0f}",
        )
    console.print(table)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=4000, help="transactions a second")
    parser.add_argument("--links", nargs="+", default=["all"], help="links of the worker")
    parser.add_argument("--sinks", nargs="*", default=list(SINKS), help=", ".join(SINKS))
    parser.add_argument("--folder", type=Path, help="where the data goes for the time being")
    parser.add_argument("--json", action="store_true", help="all figures, for machines")
    options = parser.parse_args(arguments)
    errors = Console(stderr=True)
    lines, transactions, lags = measure(options, lambda line: errors.print(line, highlight=False))
    if options.json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        console = Console()
        show(lines, console)
        console.print(
            f"{transactions:,} transactions at {options.rate:,.0f} a second; records behind at the "
            f"end, by sink: {', '.join(map(str, lags)) or 'none'}",
            highlight=False,
        )
    return int(any(line.limit is not None and line.peak > line.limit for line in lines))
