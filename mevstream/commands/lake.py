"""mevstream lake: upkeep of the Parquet lake."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mevstream.topologies.sinks.lake.upkeep import Cleared

lake = typer.Typer(
    name="lake", no_args_is_help=True, help="Merge, expire and verify the files of the lake."
)

Url = Annotated[
    str | None,
    typer.Argument(help="A folder or s3://bucket/prefix; else $MEVSTREAM_LAKE, else data/lake."),
]
Endpoint = Annotated[
    str | None, typer.Option(help="S3 server, http://host:port (default: Amazon's).")
]
Grace = Annotated[
    int | None,
    typer.Option(min=60, help="Seconds after which files that no longer count are deleted."),
]


@lake.command()
def compact(
    url: Url = None,
    endpoint: Endpoint = None,
    file_mb: Annotated[int | None, typer.Option(min=1, help="Size of a file, in MiB.")] = None,
    settle: Annotated[
        float, typer.Option(min=0, help="Leave hours that got a file in the last seconds.")
    ] = 300,
    grace: Grace = None,
) -> None:
    """Merge the small files of each hour into sorted ones in which every row is once.

    Sinks and readers go on meanwhile. Files that were replaced, and what dead writers left, are
    deleted after the grace period. Meant to be run every hour.

    Example: mevstream lake compact s3://mevstream-lake/main --endpoint http://127.0.0.1:8333
    """
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.table import Table

    from mevstream.settings import load_settings
    from mevstream.topologies.sinks.lake.manifest import total
    from mevstream.topologies.sinks.lake.storage import open_storage
    from mevstream.topologies.sinks.lake.upkeep import clear
    from mevstream.topologies.sinks.lake.upkeep import compact as compact_lake

    settings = load_settings(
        lake=url, lake_endpoint=endpoint, lake_file_mb=file_mb, lake_grace_seconds=grace
    )
    storage = open_storage(settings.lake, endpoint=settings.lake_endpoint)
    table = Table("table", "chain", "hour", box=None)
    for column in ("files", "merged into", "rows", "copies dropped", "MB"):
        table.add_column(column, justify="right")
    for done in compact_lake(
        storage, target_bytes=settings.lake_file_mb << 20, settle_seconds=settle
    ):
        rows, size = total(done.after)
        hour = datetime.fromtimestamp(done.hour * 3600, UTC)
        files = (len(done.before), len(done.after))
        counts = (*files, rows, done.copies)
        table.add_row(
            done.table,
            done.chain,
            f"{hour:%Y-%m-%d %H}",
            *(f"{count:,}" for count in counts),
            f"{size / 1e6:,.1f}",
        )
    console = Console()
    console.print(table if table.row_count else "nothing to merge")
    _tell(clear(storage, grace_seconds=settings.lake_grace_seconds))


@lake.command()
def expire(
    url: Url = None,
    endpoint: Endpoint = None,
    days: Annotated[int | None, typer.Option(min=1, help="Keep files this many days.")] = None,
    grace: Grace = None,
) -> None:
    """Drop files that are older than `lake_days` (90), by the hour of their blocks.

    A file lives that long from when it was written, however old its blocks are.

    Example: mevstream lake expire --days 30
    """
    from mevstream.settings import load_settings
    from mevstream.topologies.sinks.lake.manifest import total
    from mevstream.topologies.sinks.lake.storage import open_storage
    from mevstream.topologies.sinks.lake.upkeep import clear
    from mevstream.topologies.sinks.lake.upkeep import expire as expire_lake

    settings = load_settings(
        lake=url, lake_endpoint=endpoint, lake_days=days, lake_grace_seconds=grace
    )
    storage = open_storage(settings.lake, endpoint=settings.lake_endpoint)
    files = expire_lake(storage, days=settings.lake_days)
    rows, size = total(files)
    typer.echo(f"{len(files):,} files expired: {rows:,} rows, {size / 1e6:,.1f} MB")
    _tell(clear(storage, grace_seconds=settings.lake_grace_seconds))


@lake.command()
def verify(
    url: Url = None,
    endpoint: Endpoint = None,
    quick: Annotated[bool, typer.Option("--quick", help="Sizes only; read no file.")] = False,
) -> None:
    """Check every file against the manifest, and the offsets for holes. Exit code 1 for damage.

    Example: mevstream lake verify --quick
    """
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from mevstream.errors import MevstreamError
    from mevstream.settings import load_settings
    from mevstream.topologies.sinks.lake.storage import open_storage
    from mevstream.topologies.sinks.lake.verify import verify as verify_lake

    settings = load_settings(lake=url, lake_endpoint=endpoint)
    storage = open_storage(settings.lake, endpoint=settings.lake_endpoint)
    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("verifying")
        findings = verify_lake(
            storage,
            quick=quick,
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )
    console = Console()
    console.print(
        f"{findings.files:,} files, {findings.rows:,} rows, {findings.bytes / 1e6:,.1f} MB; "
        f"{findings.unsettled:,} hours to compact, {len(findings.orphans):,} files that no commit "
        f"names, {findings.removed:,} that were replaced",
        highlight=False,
        soft_wrap=True,
    )
    if findings.offsets:
        table = Table("topic", box=None)
        for column in ("partition", "first offset", "last offset"):
            table.add_column(column, justify="right")
        for (topic, partition), (first, last) in findings.offsets.items():
            table.add_row(topic, str(partition), f"{first:,}", f"{last:,}")
        console.print(table)
    for path, problem in findings.damage.items():
        console.print(f"{path} {problem}", style="red", highlight=False, soft_wrap=True)
    for hole in findings.holes:
        topic, partition = hole.place
        console.print(
            f"{topic}/{partition}: offsets {hole.first:,} to {hole.last:,} are in no commit",
            style="red",
            highlight=False,
            soft_wrap=True,
        )
    for path in findings.orphans:
        console.print(f"{path} is named by no commit", highlight=False, soft_wrap=True)
    if not findings.sound:
        raise MevstreamError(
            f"the lake is damaged: {len(findings.damage)} files, {len(findings.holes)} holes"
        )


def _tell(cleared: "Cleared") -> None:
    typer.echo(
        f"deleted: {cleared.replaced:,} files that were replaced or had expired, "
        f"{cleared.orphans:,} that no commit named, {cleared.drafts:,} drafts"
    )
