"""mevstream migrate: brings the warm store's tables and views to this version."""

from typing import Annotated

import typer

from mevstream.commands.options import Data


def migrate(
    data: Data = None,
    status: Annotated[bool, typer.Option("--status", help="Only list what is applied.")] = False,
) -> None:
    """Create or update the tables and views of the warm store.

    `run` does this by itself. Migrations that were applied must not have changed since.

    Example: mevstream migrate --data ./data --status
    """
    from mevstream.settings import load_settings
    from mevstream.topologies.sinks import migrations
    from mevstream.topologies.sinks.chdb_engine import ChdbEngine

    engine = ChdbEngine(load_settings(store=data).store)
    try:
        known = migrations.load()
        before = migrations.applied(engine)
        migrations.check(known, before)
        if not status:
            migrations.migrate(engine, known)
    finally:
        engine.close()
    for migration in known:
        missing = "pending" if status else "applied now"
        typer.echo(f"{migration.name}  {'applied' if migration.number in before else missing}")
