"""mevstream sink: what the chain makes, from Kafka into the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mevstream.commands.options import Kafka, MetricsPort

if TYPE_CHECKING:
    from mevstream.settings import Settings
    from mevstream.topologies.sinks.stream import StreamSink

sink = typer.Typer(
    name="sink",
    no_args_is_help=True,
    help="Store what the chain makes: consumers of their own, one store each.",
)

Group = Annotated[
    str | None, typer.Option(help="Consumer group (default: mevstream- and the sink's name).")
]
Seconds = Annotated[
    float | None, typer.Option(min=0.001, help="Age at which what was read is stored.")
]
Size = Annotated[
    int | None, typer.Option("--bytes", min=1, help="Size at which it is, in bytes of messages.")
]
Records = Annotated[int | None, typer.Option(min=1, help="Number of records at which it is.")]
Drain = Annotated[
    float, typer.Option(min=0, help="Seconds for storing what is held when it has to end.")
]
Votes = Annotated[
    bool, typer.Option("--votes", help="Store vote transactions, too (they are counted anyway).")
]


@sink.command()
def clickhouse(
    server: Annotated[
        str | None,
        typer.Argument(metavar="HOST:PORT", help="Else $MEVSTREAM_CLICKHOUSE, else the stack's."),
    ] = None,
    votes: Votes = False,
    kafka: Kafka = None,
    group: Group = None,
    seconds: Seconds = None,
    size: Size = None,
    records: Records = None,
    drain: Drain = 30,
    metrics_port: MetricsPort = None,
) -> None:
    """Write rows of a ClickHouse server's tables, which it creates or updates first.

    Start it as often as wanted: the partitions are shared out. SIGTERM or SIGINT ends it in good
    order: what was read is stored and committed first (exit code 0; 1 where that took too long,
    and the rest comes again). User, password and TLS come from MEVSTREAM_CLICKHOUSE_… in the
    environment.

    Example: mevstream sink clickhouse 127.0.0.1:9000 --metrics-port 9101
    """
    from mevstream.settings import load_settings
    from mevstream.topologies.sinks.native_engine import NativeEngine, configured_server
    from mevstream.topologies.sinks.warm import WarmSink

    settings = load_settings(kafka=kafka, metrics_port=metrics_port, clickhouse=server)
    _run(
        WarmSink(lambda: NativeEngine(configured_server(settings)), votes=votes),
        settings,
        group=group,
        seconds=seconds,
        size=size,
        records=records,
        drain=drain,
    )


@sink.command()
def lake(
    url: Annotated[
        str | None,
        typer.Argument(
            help="A folder or s3://bucket/prefix; else $MEVSTREAM_LAKE, else data/lake."
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="S3 server, http://host:port (default: Amazon's).")
    ] = None,
    votes: Votes = False,
    kafka: Kafka = None,
    group: Group = None,
    seconds: Seconds = None,
    size: Size = None,
    records: Records = None,
    drain: Drain = 60,
    metrics_port: MetricsPort = None,
) -> None:
    """Write Parquet files, to a folder or an object store.

    Start it as often as wanted: the partitions are shared out. SIGTERM or SIGINT ends it in good
    order: what was read is stored and committed first (exit code 0; 1 where that took too long,
    and the rest comes again).

    Example: mevstream sink lake s3://mevstream-lake/main --endpoint http://127.0.0.1:8333
    """
    from mevstream.settings import load_settings
    from mevstream.topologies.sinks.lake.sink import LakeSink
    from mevstream.topologies.sinks.lake.storage import open_storage

    settings = load_settings(
        kafka=kafka, metrics_port=metrics_port, lake=url, lake_endpoint=endpoint
    )
    storage = open_storage(settings.lake, endpoint=settings.lake_endpoint)
    _run(
        LakeSink(storage, votes=votes, grace_seconds=settings.lake_grace_seconds),
        settings,
        group=group,
        seconds=seconds,
        size=size,
        records=records,
        drain=drain,
    )


@sink.command()
def hot(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="redis://…, rediss://… or unix://…; else $MEVSTREAM_REDIS."
        ),
    ] = None,
    kafka: Kafka = None,
    group: Group = None,
    seconds: Seconds = None,
    size: Size = None,
    records: Records = None,
    drain: Drain = 10,
    metrics_port: MetricsPort = None,
) -> None:
    """Keep the last state of every pool in Redis or Valkey, for readers in a hurry.

    Start it as often as wanted: the partitions are shared out. SIGTERM or SIGINT ends it in good
    order: what was read is stored and committed first (exit code 0; 1 where that took too long,
    and the rest comes again). The password comes from MEVSTREAM_REDIS_PASSWORD or
    MEVSTREAM_REDIS_PASSWORD_FILE.

    Example: mevstream sink hot redis://127.0.0.1:6379/0
    """
    from mevstream.settings import load_settings
    from mevstream.topologies.sinks.hot import HotSink, configured_redis

    settings = load_settings(kafka=kafka, metrics_port=metrics_port, redis=url)
    _run(
        HotSink(configured_redis(settings), seconds=settings.hot_seconds),
        settings,
        group=group,
        seconds=seconds,
        size=size,
        records=records,
        drain=drain,
    )


def _run(
    sink: StreamSink[Any],
    settings: Settings,
    *,
    group: str | None,
    seconds: float | None,
    size: int | None,
    records: int | None,
    drain: float,
) -> None:
    """Runs a sink until SIGINT or SIGTERM. Raises MevstreamError where not all that was held
    could be stored by then."""
    from mevstream.errors import MevstreamError
    from mevstream.interrupts import Interruption
    from mevstream.topologies.observe.process import observed
    from mevstream.topologies.sinks.buffer import Bounds
    from mevstream.topologies.sinks.runner import SinkRunner

    runner = SinkRunner(
        sink,
        settings.kafka_servers,
        group=group or f"{settings.group_prefix}-{sink.name}",
        bounds=Bounds(
            seconds or sink.default_seconds,
            size or sink.default_bytes,
            records or sink.default_records,
        ),
        drain_seconds=drain,
    )
    with observed(f"sink-{sink.name}", settings), Interruption() as interruption:
        drained = runner.run(interruption)
    if not drained:
        raise MevstreamError(
            f"sink {sink.name}: not everything was stored in {drain:g} s; the rest comes again"
        )
