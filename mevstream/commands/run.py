"""mevstream run: the whole chain in one process, into the embedded warm store."""

from typing import Annotated

import typer

from mevstream.commands.options import Data, Quiet, Slot


def run(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="Block files, folders or globs; - is standard input."
        ),
    ],
    slot: Slot = None,
    data: Data = None,
    votes: Annotated[
        bool,
        typer.Option("--votes", help="Store vote transactions, too (they are counted anyway)."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write slots anew that the store already has.")
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=256, help="Transactions a batch.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Decode blocks and store their transactions and swaps, ready to be queried.

    Slots that the store has are skipped, so a run that was cut off can simply be started again.
    An interrupt ends it in good order (exit code 130, or 143 for a termination).

    Example: mevstream run blocks/ 332254908.pb.gz --data ./data
    """
    from mevstream.errors import InputError
    from mevstream.interrupts import Interruptible
    from mevstream.report import ProgressLine, print_report
    from mevstream.settings import load_settings
    from mevstream.topologies.embedded import EmbeddedRuntime
    from mevstream.topologies.raw.sources import open_sources
    from mevstream.topologies.sinks.chdb_engine import ChdbEngine
    from mevstream.topologies.sinks.clickhouse import ClickHouseSink, Limits

    settings = load_settings(store=data, batch_size=batch_size)
    batches = open_sources(sources, slot=slot, chain=settings.chain, batch_size=settings.batch_size)
    engine = ChdbEngine(settings.store)
    sink = ClickHouseSink(
        engine,
        votes=votes,
        replace=replace,
        limits=Limits(transactions=settings.flush_transactions, bytes=settings.flush_bytes),
    )
    broken: InputError | None = None
    with Interruptible(batches) as source, sink:
        runtime = EmbeddedRuntime(sink)
        with ProgressLine(quiet=quiet) as progress:
            try:
                runtime.run(source, progress=progress.update, stop=lambda: source.signal != 0)
            except InputError as error:
                broken = error
        if not quiet:
            print_report(engine, runtime.totals, sink.stored, progress.seconds, settings.store)
    if broken is not None:
        raise broken
    if source.signal:
        raise typer.Exit(128 + source.signal)
