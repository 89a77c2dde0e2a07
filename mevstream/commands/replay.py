"""mevstream replay: slots that are kept, through this version's decoder once more."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mevstream.commands.options import Kafka, Quiet

if TYPE_CHECKING:
    from mevstream.settings import Settings
    from mevstream.topologies.embedded import Totals
    from mevstream.topologies.replay import Found

_TOLD = 20


class Source(StrEnum):
    kafka = "kafka"
    lake = "lake"


def replay(
    first: Annotated[int, typer.Option("--from", min=0, help="First slot.")],
    last: Annotated[int, typer.Option("--to", min=0, help="Last slot (inclusive).")],
    source: Annotated[
        Source, typer.Option(help="Where the slots are: decode them again, or copy their rows.")
    ] = Source.kafka,
    data: Annotated[
        Path | None, typer.Option(help="Folder of an embedded warm store to write to.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="ClickHouse server to write to (default: the local stack's)."
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
    lake: Annotated[
        str | None,
        typer.Option(help="A folder or s3://bucket/prefix; else $MEVSTREAM_LAKE, else data/lake."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a range of slots anew, over the rows that there are.

    From Kafka the raw batches in mev.raw are decoded again; from the lake the rows are copied as
    they are there. Slots of which something is missing are told and left alone. A replay that was
    cut off can simply be started again.

    Example: mevstream replay --from 332254908 --to 332255907 --run-id fixed-orca
    """
    import re

    from mevstream.errors import MevstreamError
    from mevstream.settings import load_settings

    if first > last:
        raise MevstreamError(f"--from {first} is after --to {last}")
    if data is not None and server is not None:
        raise MevstreamError("give --data or --server, not both")
    if run_id is not None and not re.fullmatch(r"[\w.:-]{1,64}", run_id, re.ASCII):
        raise MevstreamError(f"--run-id {run_id}: letters, digits and . : _ - only, up to 64")
    settings = load_settings(store=data, kafka=kafka, clickhouse=server, lake=lake)
    if source is Source.lake:
        if data is not None:
            raise MevstreamError("rows of the lake go to a server; to look at them: query --lake")
        lacking, number = _from_lake(settings, first, last, run_id, incomplete, quiet)
    else:
        lacking, number = _from_kafka(
            settings,
            first,
            last,
            run_id,
            incomplete,
            quiet,
            embedded=data is not None,
            since=since,
            votes=votes,
        )
    if number:
        raise typer.Exit(128 + number)
    if strict and lacking:
        raise typer.Exit(1)


def _from_kafka(
    settings: "Settings",
    first: int,
    last: int,
    run_id: str | None,
    incomplete: bool,
    quiet: bool,
    *,
    embedded: bool,
    since: str | None,
    votes: bool,
) -> tuple[bool, int]:
    """Whether something is missing, and the signal that ended it, if one did."""
    from mevstream.commands.options import parse_since
    from mevstream.infra.reader import Reader
    from mevstream.interrupts import Interruptible
    from mevstream.report import ProgressLine
    from mevstream.topologies.chain import RAW
    from mevstream.topologies.embedded import EmbeddedRuntime
    from mevstream.topologies.replay import STATELESS_CHAIN, RawReplay, ServerEngine
    from mevstream.topologies.sinks.chdb_engine import ChdbEngine
    from mevstream.topologies.sinks.clickhouse import ClickHouseSink, Limits
    from mevstream.topologies.sinks.native_engine import configured_server

    since_ms = parse_since(since) if since else None
    with Reader(settings.kafka_servers) as reader, ProgressLine(quiet=quiet) as progress:
        source = RawReplay(
            reader,
            first,
            last,
            start=reader.offsets_at(RAW, since_ms) if since_ms is not None else None,
            incomplete=incomplete,
            looked=lambda found: progress.show(
                0, f"{found.records:,} records looked at  {found.batches:,} batches found"
            ),
        )
        sink = ClickHouseSink(
            ChdbEngine(settings.store) if embedded else ServerEngine(configured_server(settings)),
            votes=votes,
            replace=True,
            limits=Limits(transactions=settings.flush_transactions, bytes=settings.flush_bytes),
            run_id=run_id,
            stateful=False,
        )
        with Interruptible(iter(source)) as batches, sink:
            runtime = EmbeddedRuntime(sink, STATELESS_CHAIN)
            runtime.run(batches, progress=progress.update, stop=lambda: batches.signal != 0)
    found = source.found
    if not quiet:
        _report(found, runtime.totals, sink.stored.replaced_slots, progress.seconds)
        typer.echo(f"rows are of run {sink.run_id}")
    _tell_incomplete(found.incomplete, written=incomplete)
    for slot in found.absent[:_TOLD]:
        typer.echo(f"absent: slot {slot}, parent of one that is there", err=True)
    return bool(found.incomplete or found.absent or found.unreadable), batches.signal


def _from_lake(
    settings: "Settings", first: int, last: int, run_id: str | None, incomplete: bool, quiet: bool
) -> tuple[bool, int]:
    """The same, from the lake."""
    import time

    from mevstream.interrupts import Interruptible
    from mevstream.report import ProgressLine
    from mevstream.topologies.reload import reload
    from mevstream.topologies.sinks.lake.storage import open_storage
    from mevstream.topologies.sinks.lake.views import open_lake
    from mevstream.topologies.sinks.native_engine import NativeEngine, configured_server

    run_id = run_id or f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-lake"
    server = NativeEngine(configured_server(settings))
    storage = open_storage(settings.lake, endpoint=settings.lake_endpoint)
    with (
        open_lake(storage) as engine,
        Interruptible(iter(())) as signals,
        ProgressLine(quiet=quiet) as progress,
    ):
        try:
            done = reload(
                engine,
                server,
                first,
                last,
                run_id=run_id,
                incomplete=incomplete,
                progress=lambda done: progress.show(
                    done.rows["transactions"], f"{done.slots:,} slots"
                ),
                stop=lambda: signals.signal != 0,
            )
        finally:
            server.close()
    if not quiet:
        counts = "  ".join(f"{count:,} {table}" for table, count in done.rows.items())
        typer.echo(f"copied in {progress.seconds:,.1f} s: {counts}")
        typer.echo(f"rows are of run {run_id}")
    _tell_incomplete(done.incomplete, written=incomplete)
    return bool(done.incomplete), signals.signal


def _tell_incomplete(incomplete: dict[int, str], *, written: bool) -> None:
    done = "as they are" if written else "left alone"
    for slot, lacks in list(incomplete.items())[:_TOLD]:
        typer.echo(f"incomplete: slot {slot} lacks {lacks} ({done})", err=True)
    if len(incomplete) > _TOLD:
        typer.echo(f"… and {len(incomplete) - _TOLD:,} more", err=True)


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
