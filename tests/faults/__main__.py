"""python tests/faults [--minutes N] [--faults N] [--delivery at-least-once|exactly-once] …

The chain under faults, on a Kafka and stores of its own. Ends with exit code 1 where anything was
lost, is in the tables twice, or did not come in time; logs and reports stay in the folder.
"""

import argparse
import secrets
import shutil
import signal
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[0] = str(REPOSITORY / "tests")

from rich.console import Console  # noqa: E402 (the folder was put on the path just now)

from faults import report  # noqa: E402
from faults.chaos import Chaos, Options, names  # noqa: E402
from faults.programs import SINKS  # noqa: E402
from mevstream.errors import MevstreamError  # noqa: E402


def main() -> int:
    options, keep = _options()
    # What runs is ended, too, where the run is.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    terminal = Console().is_terminal
    console = Console(width=None if terminal else 120)
    started = time.monotonic()

    def tell(line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - started), 60)
        console.print(f"{minutes:3d}:{seconds:02d}  {line}", highlight=False)

    tell(f"seed {options.seed}, folder {options.folder}")
    try:
        with Chaos(options, tell) as chaos:
            outcome = chaos.run()
    except MevstreamError as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1
    title = f"The chain under faults, {options.delivery}"
    console.print(report.rich_table(outcome.lines, title))
    for fact in outcome.facts:
        console.print(f"  {fact}", highlight=False)
    text = report.markdown(outcome.lines, outcome.facts)
    (options.folder / "report.md").write_text(text)
    for problem in outcome.problems:
        console.print(f"[red]{problem}[/red]", highlight=False)
    if outcome.problems:
        console.print(f"[red]failed[/red]; logs: {options.folder / 'logs'}")
        return 1
    console.print("[green]nothing lost, nothing twice[/green]")
    if not keep:
        for part in options.folder.iterdir():
            if part.is_dir() and part.name != "logs":
                shutil.rmtree(part)
    return 0


def _options() -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(prog="python tests/faults", description="Faults, and a count.")
    parser.add_argument("--minutes", type=float, default=20, help="at least so long")
    parser.add_argument("--faults", type=int, default=100, help="at least so many")
    parser.add_argument("--delivery", default="at-least-once", help="or exactly-once")
    parser.add_argument("--seed", type=int, help="of the chain and the order of the faults")
    parser.add_argument("--rate", type=float, default=1500, help="transactions a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--links", nargs="+", default=["all"], help="links of a worker")
    parser.add_argument("--sinks", nargs="*", default=list(SINKS), help=", ".join(SINKS))
    parser.add_argument("--only", nargs="+", default=[], metavar="FAULT", help="see --list")
    parser.add_argument("--bound", type=float, default=180, help="seconds until all is stored")
    parser.add_argument("--folder", type=Path, help="default: build/chaos/SEED")
    parser.add_argument("--keep", action="store_true", help="keep data as well as logs")
    parser.add_argument("--list", action="store_true", help="print the faults and end")
    given = parser.parse_args()
    if strangers := set(given.sinks) - SINKS.keys():
        parser.error(f"no sink is named {', '.join(sorted(strangers))}")
    known = names(given.sinks)
    if given.list:
        print(*known, sep="\n")
        parser.exit()
    if strangers := set(given.only) - set(known):
        parser.error(f"no fault is named {', '.join(sorted(strangers))}")
    seed = secrets.randbelow(1 << 31) if given.seed is None else given.seed
    folder = (given.folder or REPOSITORY / "build" / "chaos" / str(seed)).absolute()
    if folder.exists():
        shutil.rmtree(folder)
    options = Options(
        folder=folder,
        seed=seed,
        minutes=given.minutes,
        faults=given.faults,
        only=given.only,
        links=given.links,
        sinks=given.sinks,
        delivery=given.delivery,
        workers=given.workers,
        rate=given.rate,
        bound=given.bound,
    )
    return options, given.keep


if __name__ == "__main__":
    sys.exit(main())
