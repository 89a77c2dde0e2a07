"""mevstream replay: slots that are kept, through this version's decoder once more."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mevstream.commands.options import Kafka, Quiet

if TYPE_CHECKING:
    from mevstream.topologies.embedded import Totals
    from mevstream.topologies.replay import Found

_TOLD = 20


def replay(
    first: Annotated[int, typer.Option("--from", min=0, help="First slot.")],
    last: Annotated[int, typer.Option("--to", min=0, help="Last slot (inclusive).")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of an embedded warm store to write to.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            help="host:port of the ClickHouse server to write to (default: the local stack's)."
        ),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(help="What the new rows tell as their run (column run_id).")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="AGE|TIME",
            help="Look only at records that Kafka got since then: 12h, 7d, an ISO time (UTC).",
        ),
    ] = None,
    votes: Annotated[bool, typer.Option("--votes", help="Store vote transactions, too.")] = False,
    incomplete: Annotated[
        bool,
        typer.Option("--incomplete", help="Write slots that lack batches, too, as they are."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 if a slot lacks batches or is absent.")
    ] = False,
    kafka: Kafka = None,
    quiet: Quiet = False,
) -> None:
    """Decode a range of slots from mev.raw again and write them over the rows that there are.

    Slots of which not all batches are kept any more are told and left alone. A replay that was cut
    off can simply be started again.

    Example: mevstream replay --from 332254908 --to 332255907 --run-id fixed-orca
    """
    import re

    from mevstream.commands.options import parse_since
    from mevstream.errors import MevstreamError
    from mevstream.infra.reader import Reader
    from mevstream.interrupts import Interruptible
    from mevstream.report import ProgressLine
    from mevstream.settings import load_settings
    from mevstream.topologies.chain import RAW
    from mevstream.topologies.embedded import EmbeddedRuntime
    from mevstream.topologies.replay import STATELESS_CHAIN, RawReplay, ServerEngine
    from mevstream.topologies.sinks.chdb_engine import ChdbEngine
    from mevstream.topologies.sinks.clickhouse import ClickHouseSink, Limits
    from mevstream.topologies.sinks.native_engine import configured_server

    if first > last:
        raise MevstreamError(f"--from {first} is after --to {last}")
    if data is not None and server is not None:
        raise MevstreamError("give --data or --server, not both")
    if run_id is not None and not re.fullmatch(r"[\w.:-]{1,64}", run_id, re.ASCII):
        raise MevstreamError(f"--run-id {run_id}: letters, digits and . : _ - only, up to 64")
    settings = load_settings(store=data, kafka=kafka, clickhouse=server)
    since_ms = parse_since(since) if since else None
    with Reader(settings.kafka_servers) as reader, ProgressLine(quiet=quiet) as progress:
        start = reader.offsets_at(RAW, since_ms) if since_ms is not None else None
        source = RawReplay(
            reader,
            first,
            last,
            start=start,
            incomplete=incomplete,
            looked=lambda found: progress.show(
                0, f"{found.records:,} records looked at  {found.batches:,} batches found"
            ),
        )
        sink = ClickHouseSink(
            ChdbEngine(settings.store) if data else ServerEngine(configured_server(settings)),
            votes=votes,
            replace=True,
            limits=Limits(transactions=settings.flush_transactions, bytes=settings.flush_bytes),
            run_id=run_id,
        )
        with Interruptible(iter(source)) as batches, sink:
            runtime = EmbeddedRuntime(sink, STATELESS_CHAIN)
            runtime.run(batches, progress=progress.update, stop=lambda: batches.signal != 0)
    if not quiet:
        _report(source.found, runtime.totals, sink.stored.replaced_slots, progress.seconds)
        typer.echo(f"rows are of run {sink.run_id}")
    for slot, lacks in list(source.found.incomplete.items())[:_TOLD]:
        done = "as they are" if incomplete else "left alone"
        typer.echo(f"incomplete: slot {slot} lacks {lacks} ({done})", err=True)
    if len(source.found.incomplete) > _TOLD:
        typer.echo(f"… and {len(source.found.incomplete) - _TOLD:,} more", err=True)
    for slot in source.found.absent[:_TOLD]:
        typer.echo(f"absent: slot {slot}, parent of one that is there", err=True)
    if batches.signal:
        raise typer.Exit(128 + batches.signal)
    if strict and (source.found.incomplete or source.found.absent or source.found.unreadable):
        raise typer.Exit(1)


def _report(found: "Found", totals: "Totals", replaced: int, seconds: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("replayed", box=box.SIMPLE_HEAD)
    table.add_column("", justify="right")
    rate = totals.transactions / seconds if seconds else 0
    table.add_column(f"{seconds:,.1f} s, {rate:,.0f} transactions a second")
    rows: list[tuple[str, int, str]] = [
        ("records looked at", found.records, f"{found.unreadable:,} unreadable"),
        ("batches", found.batches, f"{found.duplicates:,} of them twice"),
        ("slots", totals.slots, f"{replaced:,} of them replaced"),
        ("incomplete slots", len(found.incomplete), ""),
        ("absent slots", len(found.absent), ""),
        ("transactions", totals.transactions, f"{totals.unknown:,} decoded only in part"),
        ("swaps", totals.swaps, ""),
        ("dead letters", totals.dead_letters, ""),
    ]
    for name, value, note in rows:
        table.add_row(name, f"{value:,}", note)
    Console().print(table)
