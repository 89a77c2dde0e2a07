"""mevstream migrate: brings the warm store's tables and views to this version."""

from typing import Annotated

import typer

from mevstream.commands.options import Data


def migrate(
    data: Data = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="A ClickHouse server that holds the store instead."),
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Only list what is applied.")] = False,
) -> None:
    """Create or update the tables and views of the warm store.

    `run` and `sink clickhouse` do this by themselves. How long rows are kept, $MEVSTREAM_WARM_DAYS
    (7), is set by this command alone. Migrations that were applied must not have changed since.
    User, password and TLS for a server come from MEVSTREAM_CLICKHOUSE_… in the environment.

    Example: mevstream migrate --server 127.0.0.1:9000 --status
    """
    from mevstream.errors import MevstreamError
    from mevstream.settings import load_settings
    from mevstream.topologies.sinks import migrations
    from mevstream.topologies.sinks.chdb_engine import ChdbEngine

    if data is not None and server is not None:
        raise MevstreamError("give --data or --server, not both")
    settings = load_settings(store=data, clickhouse=server)
    if server is None:
        engine = ChdbEngine(settings.store)
    else:
        from mevstream.topologies.sinks.native_engine import NativeEngine, configured_server

        engine = NativeEngine(configured_server(settings))
    try:
        known = migrations.load()
        before = migrations.applied(engine)
        migrations.check(known, before)
        if not status:
            migrations.migrate(engine, known)
            migrations.keep(engine, settings.warm_days)
        kept = migrations.kept_days(engine)
    finally:
        engine.close()
    for migration in known:
        missing = "pending" if status else "applied now"
        typer.echo(f"{migration.name}  {'applied' if migration.number in before else missing}")
    for days in sorted(set(kept.values())):
        typer.echo(f"rows are kept {days} days")
