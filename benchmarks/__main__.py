"""python -m benchmarks [NAME…] [--json]: all benchmarks, or those named."""

import argparse
import importlib
import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Report, one_core

MODULES = ("decoder", "columnar", "embedded", "simulator", "warm", "lake", "hot")


def table(report: Report) -> Table:
    """A report as people read it."""
    baseline = next(row.median for row in report.rows if row.name == report.baseline)
    facts = ", ".join(f"{name} {_text(value)}" for name, value in report.facts.items())
    result = Table(title=report.title, caption=facts, title_justify="left", caption_justify="left")
    result.add_column("")
    for column in ("median ms", "min ms", f"× {report.baseline}"):
        result.add_column(column, justify="right")
    for row in report.rows:
        milliseconds = (f"{seconds * 1e3:.3f}" for seconds in (row.median, row.minimum))
        result.add_row(row.name, *milliseconds, f"{row.median / baseline:.2f}")
    return result


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure against the rivals.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}")
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
