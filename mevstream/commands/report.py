"""mevstream report: the picture of a slot range, on the terminal or as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mevstream.commands.options import Data, Quiet, Slot

if TYPE_CHECKING:
    from mevstream.picture.facts import Picture
    from mevstream.settings import Settings


def report(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BLOCKS", help="Block files, folders or globs; - is standard input."
        ),
    ] = None,
    slot: Slot = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page here instead, one file that needs nothing else."),
    ] = None,
    first: Annotated[
        int | None, typer.Option("--from", min=0, help="First slot; without BLOCKS of a store.")
    ] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, help="Last slot (inclusive).")] = None,
    data: Data = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The slots that this ClickHouse server has."),
    ] = None,
    lake: Annotated[
        bool, typer.Option("--lake", help="The slots that the Parquet lake has ($MEVSTREAM_LAKE).")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Show what happened in some slots: traffic, swaps by venue, tips, and the MEV that was taken
    with its legs, who took it and who lost.

    Of block files, or without them of the slots --from to --to that a store has. Every number is
    one of the views that `mevstream query` reads (docs/schema.md).

    Examples:

    mevstream report 332254908.pb.gz

    mevstream report blocks/ --html picture.html

    mevstream report --from 332254908 --to 332255907 --data ./data --html picture.html
    """
    from mevstream.errors import MevstreamError
    from mevstream.settings import load_settings

    if first is not None and last is not None and first > last:
        raise MevstreamError(f"--from {first} is after --to {last}")
    stores = [data is not None, server is not None, lake]
    if sum(stores) > 1:
        raise MevstreamError("give one of --data, --server and --lake")
    settings = load_settings(store=data, clickhouse=server)
    if files:
        if any(stores):
            raise MevstreamError("give blocks or a store, not both")
        picture = _of_files(files, slot, first, last, settings, quiet)
    elif first is None and last is None and not any(stores):
        raise MevstreamError("give block files, or slots of a store with --from and --to")
    else:
        picture = _of_store(settings, first, last, server=server is not None, lake=lake)
    if html is None:
        from mevstream.picture.terminal import print_picture

        print_picture(picture)
    else:
        from mevstream.picture.page import page, write_page

        write_page(html, page(picture))
        if not quiet:
            typer.echo(f"{html}: {picture.totals.slots:,} slots")


def _of_files(
    files: list[str],
    slot: int | None,
    first: int | None,
    last: int | None,
    settings: "Settings",
    quiet: bool,
) -> "Picture":
    """Through the whole chain into a store that is gone afterwards."""
    import tempfile

    from mevstream.interrupts import Interruptible
    from mevstream.picture.facts import take
    from mevstream.report import ProgressLine
    from mevstream.topologies.embedded import EmbeddedRuntime
    from mevstream.topologies.raw.sources import open_sources
    from mevstream.topologies.sinks.chdb_engine import ChdbEngine
    from mevstream.topologies.sinks.clickhouse import ClickHouseSink, Limits

    batches = open_sources(files, slot=slot, chain=settings.chain, batch_size=settings.batch_size)
    with tempfile.TemporaryDirectory(prefix="mevstream-report-") as folder:
        engine = ChdbEngine(Path(folder))
        limits = Limits(transactions=settings.flush_transactions, bytes=settings.flush_bytes)
        with (
            ClickHouseSink(engine, limits=limits) as sink,
            Interruptible(batches) as source,
            ProgressLine(quiet=quiet) as progress,
        ):
            EmbeddedRuntime(sink).run(
                source, progress=progress.update, stop=lambda: source.signal != 0
            )
            if source.signal:
                raise typer.Exit(128 + source.signal)
            return take(engine, first, last)


def _of_store(
    settings: "Settings", first: int | None, last: int | None, *, server: bool, lake: bool
) -> "Picture":
    import signal
    from contextlib import closing

    from mevstream.errors import MevstreamError
    from mevstream.picture.facts import take

    # The engine does not return to Python until it has a result, so nobody else could end it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if server:
        from mevstream.server_query import ServerReader

        with closing(ServerReader(settings, write=False)) as reader:
            return take(reader, first, last)
    if lake:
        from mevstream.topologies.sinks.lake.storage import open_storage
        from mevstream.topologies.sinks.lake.views import open_lake

        with open_lake(open_storage(settings.lake, endpoint=settings.lake_endpoint)) as engine:
            return take(engine, first, last)
    from mevstream.topologies.sinks.chdb_engine import ChdbEngine

    if not (settings.store / "store").is_dir():
        raise MevstreamError(f"no store in {settings.store}: `mevstream run SOURCE` makes one")
    with closing(ChdbEngine(settings.store, read_only=True)) as engine:
        return take(engine, first, last)
