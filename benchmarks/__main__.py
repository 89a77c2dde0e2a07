"""python -m benchmarks [NAME…] [--json]: all benchmarks of code, or those named.

python -m benchmarks chain|scaling|soak …: those of the whole chain on Kafka, each with options.
"""

import argparse
import importlib
import json
import signal
import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Report, one_core

MODULES = (
    "decoder",
    "columnar",
    "detection",
    "embedded",
    "simulator",
    "warm",
    "lake",
    "hot",
    "cycles",
)
SYSTEMS = ("chain", "scaling", "soak")
"""Those take minutes, need the servers of the local stack, and use every core."""


def table(report: Report) -> Table:
    """A report as people read it."""
    baseline = next(row.median for row in report.rows if row.name == report.baseline)
    facts = ", ".join(f"{name} {_text(value)}" for name, value in report.facts.items())
    result = Table(title=report.title, caption=facts, title_justify="left", caption_justify="left")
    result.add_column("")
    for column in (f"median {report.unit}", f"min {report.unit}", f"× {report.baseline}"):
        result.add_column(column, justify="right")
    scale = {"ms": 1e3, "µs": 1e6}[report.unit]
    for row in report.rows:
        times = (f"{seconds * scale:.3f}" for seconds in (row.median, row.minimum))
        result.add_row(row.name, *times, f"{row.median / baseline:.2f}")
    return result


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def main() -> None:
    # Servers and programs of a benchmark are ended, too, where it is.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if sys.argv[1:2] and sys.argv[1] in SYSTEMS:
        sys.exit(importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure against the rivals.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}")
    parser.epilog = f"{', '.join(SYSTEMS)}: alone, with options of their own (--help)"
    parser.add_argument("--json", action="store_true", help="figures in seconds, for machines")
    options = parser.parse_args()
    if strangers := set(options.names) - set(MODULES):
        parser.error(f"no benchmark is named {', '.join(sorted(strangers))}")
    one_core()
    reports: dict[str, Report] = {}
    for name in options.names or MODULES:
        reports[name] = importlib.import_module(f"benchmarks.{name}").run()
        if not options.json:
            Console().print(table(reports[name]), "")
    if options.json:
        print(json.dumps({name: asdict(report) for name, report in reports.items()}, indent=2))


if __name__ == "__main__":
    main()
