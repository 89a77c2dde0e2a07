"""mevstream stack: a local Kafka and the stores, in the background."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mevstream.infra.stack.config import StackConfig

stack = typer.Typer(
    name="stack", no_args_is_help=True, help="A local Kafka and stores, for one machine."
)

Folder = Annotated[Path | None, typer.Option(help="Folder of the stack's data and logs.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port of this service.")]


@stack.command()
def up(
    folder: Folder = None,
    kafka_port: Port = None,
    kafka_controller_port: Port = None,
    clickhouse_port: Port = None,
    valkey_port: Port = None,
    s3_port: Port = None,
) -> None:
    """Start Kafka, ClickHouse, Valkey and an S3 server on loopback and create the topics.

    They go on in the background, and what crashes is started again. Data stays in the folder.

    Example: mevstream stack up --kafka-port 19092
    """
    from mevstream.infra.stack import control
    from mevstream.infra.stack.config import SERVICES, StackConfig
    from mevstream.infra.stack.jars import ensure_jars
    from mevstream.infra.stack.java import find_java
    from mevstream.infra.stack.s3 import BUCKET
    from mevstream.infra.topics import Cluster, topic_specs
    from mevstream.settings import load_settings

    settings = load_settings(
        stack_folder=folder,
        kafka_port=kafka_port,
        kafka_controller_port=kafka_controller_port,
        clickhouse_port=clickhouse_port,
        valkey_port=valkey_port,
        s3_port=s3_port,
    )
    java = find_java()
    config = StackConfig(
        folder=settings.stack_folder.absolute(),
        java=java,
        jars=ensure_jars(settings.cache, report=lambda line: typer.echo(line, err=True)),
        services=SERVICES,
        kafka_port=settings.kafka_port,
        kafka_controller_port=settings.kafka_controller_port,
        kafka_heap_mb=settings.kafka_heap_mb,
        clickhouse_port=settings.clickhouse_port,
        valkey_port=settings.valkey_port,
        s3_port=settings.s3_port,
    )
    started = control.up(config)
    specs = topic_specs(
        raw_partitions=settings.raw_partitions,
        market_partitions=settings.market_partitions,
        retention_hours=settings.topic_retention_hours,
    )
    made = Cluster(f"127.0.0.1:{config.kafka_port}").ensure(specs)
    _print_status(config)
    typer.echo(f"the stack {'is up' if started else 'was up already'}: {config.folder}")
    for name, done in made.items():
        if done != "unchanged":
            typer.echo(f"topic {name} {done}")
    typer.echo(f"S3 bucket {BUCKET}; keys: AWS_SHARED_CREDENTIALS_FILE={config.credentials}")


@stack.command()
def down(folder: Folder = None) -> None:
    """End the stack in good order; its data stays.

    Example: mevstream stack down
    """
    from mevstream.infra.stack import control
    from mevstream.settings import load_settings

    ran = control.down(load_settings(stack_folder=folder).stack_folder)
    typer.echo("the stack is down" if ran else "the stack was down already")


@stack.command()
def status(
    folder: Folder = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Show how each service is; exit code 1 unless all of them answer.

    Example: mevstream stack status
    """
    from dataclasses import asdict

    import orjson

    from mevstream.infra.stack import control

    config = _config(folder)
    if json:
        rows = control.status(config)
        typer.echo(orjson.dumps([asdict(row) for row in rows], option=orjson.OPT_INDENT_2))
        healthy = all(row.problem is None for row in rows)
    else:
        healthy = _print_status(config)
        if not control.is_running(config.folder):
            typer.echo("no supervisor runs (mevstream stack up starts it)")
    if not healthy:
        raise typer.Exit(1)


@stack.command()
def logs(
    service: Annotated[
        str | None,
        typer.Argument(help="kafka, clickhouse, valkey, s3, supervisor; default: all."),
    ] = None,
    folder: Folder = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines of each.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
) -> None:
    """Print the last lines of the services' logs.

    Example: mevstream stack logs kafka --follow
    """
    from mevstream.errors import MevstreamError
    from mevstream.infra.stack import control

    config = _config(folder)
    names = [*config.services, "supervisor"]
    if service is not None and service not in names:
        raise MevstreamError(f"no service {service} (there are {', '.join(names)})")
    shown = [service] if service else names
    for name, line in control.log_lines(config.folder, shown, lines=lines, follow=follow):
        typer.echo(line if service else f"{name:10}  {line}")


def _config(folder: Path | None) -> "StackConfig":
    from mevstream.errors import MevstreamError
    from mevstream.infra.stack.config import StackConfig
    from mevstream.settings import load_settings

    where = load_settings(stack_folder=folder).stack_folder
    config = StackConfig.load(where)
    if config is None:
        raise MevstreamError(f"{where}: no stack was started here (mevstream stack up)")
    return config


def _print_status(config: "StackConfig") -> bool:
    """Prints the table; True if every service answers."""
    from datetime import timedelta

    from rich.console import Console
    from rich.table import Table

    from mevstream.infra.stack import control

    table = Table("service", "state", box=None)
    for column in ("pid", "address", "uptime", "memory", "restarts"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("health")
    healthy = True
    for row in control.status(config):
        healthy &= row.problem is None
        uptime, memory = row.uptime_seconds, row.memory_bytes
        table.add_row(
            row.name,
            row.state,
            str(row.pid or "-"),
            row.address,
            "-" if uptime is None else str(timedelta(seconds=int(uptime))),
            "-" if memory is None else f"{memory / 2**20:,.0f} MB",
            str(row.restarts),
            "ok" if row.problem is None else row.problem,
        )
    Console().print(table)
    return healthy
