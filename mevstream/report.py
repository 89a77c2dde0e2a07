"""What commands that stream tell: a line of progress while it runs, tables when it ends."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Self

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from mevstream.topologies.embedded import Totals
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import Stored

_LARGEST = 10
_QUOTES = "('SOL', 'USDC', 'USDT')"

# The largest swaps against SOL, USDC or USDT. Dollars are compared with SOL at the median rate of
# the swaps between them, where there are any.
_LARGEST_SQL = f"""
WITH
    (
        SELECT quantileExact(0.5)(if(symbol_in = 'SOL', price, 1 / price))
        FROM v_swaps
        WHERE slot BETWEEN {{first}} AND {{last}} AND price > 0
            AND (symbol_in, symbol_out) IN
                (('SOL', 'USDC'), ('SOL', 'USDT'), ('USDC', 'SOL'), ('USDT', 'SOL'))
    ) AS rate,
    symbol_in = 'SOL' OR (symbol_in IN {_QUOTES} AND ifNull(symbol_out, '') != 'SOL') AS by_input,
    if(by_input, amount_in, amount_out) AS value,
    if(by_input, symbol_in, symbol_out) AS unit
SELECT
    slot, tx_index, venue, ifNull(router, ''),
    amount_in, ifNull(symbol_in, mint_in), amount_out, ifNull(symbol_out, mint_out),
    signature
FROM v_swaps
WHERE slot BETWEEN {{first}} AND {{last}} AND (symbol_in IN {_QUOTES} OR symbol_out IN {_QUOTES})
ORDER BY if(unit = 'SOL', value, value / rate) DESC NULLS LAST, value DESC
LIMIT {_LARGEST}
"""

_VENUES_SQL = """
SELECT venue, count() AS n, countIf(router IS NOT NULL), uniqExact(pool), uniqExact(trader)
FROM v_swaps
WHERE slot BETWEEN {first} AND {last}
GROUP BY venue
ORDER BY n DESC, venue
"""


class ProgressLine:
    """One line on standard error that lives while the run does; nothing where no one looks."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._progress.add_task("starting")
        self._start = self._last = time.perf_counter()

    def __enter__(self) -> Self:
        self._progress.start()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._progress.stop()

    def update(self, totals: Totals) -> None:
        """Called after every batch of the embedded runtime."""
        self.show(totals.transactions, f"{totals.slots:,} slots  {totals.swaps:,} swaps")

    def show(self, transactions: int, note: str) -> None:
        """Called as often as anything changed; draws ten times a second."""
        now = time.perf_counter()
        if now - self._last < 0.1:
            return
        self._last = now
        rate = transactions / (now - self._start)
        self._progress.update(
            self._task, description=f"{transactions:,} transactions ({rate:,.0f}/s)  {note}"
        )


def print_report(
    engine: ChdbEngine, totals: Totals, stored: Stored, seconds: float, folder: Path
) -> None:
    """Prints what came in, the swaps of these slots by venue, the largest, and where they are."""
    console = Console()
    if not console.is_terminal:
        # Nobody's screen ends here: no cell is cut.
        console = Console(width=160)
    console.print(_came_in(totals, stored, seconds))
    if totals.swaps:
        span = {"first": totals.first_slot, "last": totals.last_slot}
        console.print(_venues(engine.rows(_VENUES_SQL.format(**span)), totals))
        console.print(_largest(engine.rows(_LARGEST_SQL.format(**span))))
    console.print(f"The tables are in {folder}. To look at them:", highlight=False)
    data = "" if folder == Path("data/mevstream") else f" --data {folder}"
    console.print(
        f'  {_program()} query{data} "SELECT venue, symbol_in, symbol_out, amount_in, amount_out, '
        'signature FROM v_swaps LIMIT 5"',
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _program() -> str:
    """How to call mevstream from here: by its name, or by path where the name is not found."""
    if shutil.which("mevstream"):
        return "mevstream"
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{os.path.relpath(sys.executable)} -m mevstream"
    return os.path.relpath(program)


def _came_in(totals: Totals, stored: Stored, seconds: float) -> Table:
    table = Table("what came in", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("", justify="right")
    table.add_column("")
    rate = totals.transactions / seconds if seconds else 0
    rows: list[tuple[str, int, str]] = [
        ("slots", totals.slots, _slots_note(totals, stored)),
        ("transactions", totals.transactions, f"{seconds:,.1f} s, {rate:,.0f} a second"),
        ("  votes", totals.votes, _share(totals.votes, totals.transactions)),
        ("  failed", totals.failed, _share(totals.failed, totals.transactions)),
        ("  succeeded", totals.succeeded, _share(totals.succeeded, totals.transactions)),
        ("  decoded only in part", totals.unknown, ""),
        ("dead-lettered records", totals.dead_letters, ""),
        ("with a Jito tip", totals.tipped, f"{totals.tip_lamports / 1e9:,.9f} SOL"),
        ("swaps", totals.swaps, f"{totals.failed_swap_attempts:,} more tried and failed"),
    ]
    for name, value, note in rows:
        table.add_row(name, f"{value:,}", note)
    return table


def _slots_note(totals: Totals, stored: Stored) -> str:
    notes = [
        (stored.skipped_slots, "were stored already"),
        (stored.replaced_slots, "replaced"),
        (totals.incomplete_slots, "with missing batches"),
    ]
    return ", ".join(f"{count:,} {what}" for count, what in notes if count)


def _venues(rows: list[tuple[Any, ...]], totals: Totals) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(f"venue (slots {totals.first_slot} to {totals.last_slot})")
    for name in ("swaps", "through a router", "pools", "traders"):
        table.add_column(name, justify="right")
    for venue, swaps, routed, pools, traders in rows:
        table.add_row(venue, f"{swaps:,}", _share(routed, swaps), f"{pools:,}", f"{traders:,}")
    return table


def _largest(rows: list[tuple[Any, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("largest swaps", "venue", "router"):
        table.add_column(name, overflow="fold")
    table.add_column("in", justify="right")
    table.add_column("out", justify="right")
    table.add_column("signature")
    for slot, index, venue, router, amount_in, token_in, amount_out, token_out, signature in rows:
        table.add_row(
            f"{slot}/{index}",
            venue,
            router,
            _amount(amount_in, token_in),
            _amount(amount_out, token_out),
            f"{signature[:16]}…",
        )
    return table


def _amount(amount: float | None, token: str) -> str:
    name = token if len(token) < 12 else f"{token[:6]}…"
    return f"{amount:,.4f} {name}" if amount is not None else f"? {name}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
