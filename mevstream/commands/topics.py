"""mevstream topics: the chain's topics on Kafka."""

import sys
from typing import Annotated

import typer

from mevstream.commands.options import Kafka

topics = typer.Typer(
    name="topics", no_args_is_help=True, help="Create, list and describe the chain's topics."
)


@topics.command()
def create(
    kafka: Kafka = None,
    raw_partitions: Annotated[
        int | None, typer.Option(min=1, help="Partitions of mev.raw.")
    ] = None,
    market_partitions: Annotated[
        int | None, typer.Option(min=1, help="Partitions of the topics split by market.")
    ] = None,
    replication: Annotated[
        int, typer.Option(help="Replicas of each partition; -1: the cluster's default.")
    ] = -1,
) -> None:
    """Make the topics that are missing and set the configuration of all.

    Partitions of a topic that exists are never changed.

    Example: mevstream topics create --kafka broker:9092 --raw-partitions 12
    """
    from mevstream.infra.topics import Cluster, topic_specs
    from mevstream.settings import load_settings

    settings = load_settings(
        kafka=kafka, raw_partitions=raw_partitions, market_partitions=market_partitions
    )
    specs = topic_specs(
        raw_partitions=settings.raw_partitions,
        market_partitions=settings.market_partitions,
        retention_hours=settings.topic_retention_hours,
    )
    for name, done in (
        Cluster(settings.kafka_servers).ensure(specs, replication=replication).items()
    ):
        typer.echo(f"{name}  {done}")


@topics.command(name="list")
def list_topics(kafka: Kafka = None) -> None:
    """All topics with their partitions, offsets in use and retention.

    Example: mevstream topics list
    """
    from rich.console import Console
    from rich.table import Table

    from mevstream.infra.topics import Cluster
    from mevstream.settings import load_settings

    cluster = Cluster(load_settings(kafka=kafka).kafka_servers)
    table = Table("topic", box=None)
    for column in ("partitions", "records", "kept"):
        table.add_column(column, justify="right")
    for topic in cluster.describe(cluster.names()):
        kept = topic.config.get("cleanup.policy", "delete")
        if kept == "delete":
            milliseconds = int(topic.config.get("retention.ms", "604800000"))
            kept = f"{milliseconds / 3_600_000:g} h" if milliseconds >= 0 else "for ever"
        table.add_row(topic.name, str(len(topic.partitions)), f"{topic.records:,}", kept)
    Console().print(table)


@topics.command()
def describe(
    names: Annotated[list[str], typer.Argument(metavar="TOPIC...", help="Names of topics.")],
    kafka: Kafka = None,
) -> None:
    """Partitions with leader, replicas and offsets, and what is set for the topic.

    Example: mevstream topics describe mev.raw
    """
    from rich.console import Console
    from rich.table import Table

    from mevstream.infra.topics import Cluster
    from mevstream.settings import load_settings

    console = Console()
    for topic in Cluster(load_settings(kafka=kafka).kafka_servers).describe(names):
        console.print(topic.name, style="bold", highlight=False)
        for name, value in sorted(topic.config.items()):
            console.print(f"  {name} = {value}", highlight=False)
        table = Table(box=None)
        for column in ("partition", "leader", "replicas", "in sync", "first", "end"):
            table.add_column(column, justify="right")
        for p in topic.partitions:
            values = (p.number, p.leader, p.replicas, p.in_sync, p.first, p.end)
            table.add_row(*map(str, values))
        console.print(table)


@topics.command()
def lag(
    kafka: Kafka = None,
    partitions: Annotated[
        bool, typer.Option("--partitions", help="A line for each partition.")
    ] = False,
) -> None:
    """How far the chain's consumer groups are behind: workers and sinks.

    What retention took before a group had read it is counted as lost.

    Example: mevstream topics lag --partitions
    """
    from rich.console import Console
    from rich.table import Table

    from mevstream.infra.groups import groups
    from mevstream.settings import load_settings

    settings = load_settings(kafka=kafka)
    table = Table("group", "state", box=None)
    table.add_column("members", justify="right")
    table.add_column("topic")
    if partitions:
        table.add_column("partition", justify="right")
    for column in ("committed", "behind", "lost"):
        table.add_column(column, justify="right")
    for group in groups(settings.kafka_servers, f"{settings.group_prefix}-"):
        head = (group.name, group.state, str(group.members))
        topics = dict.fromkeys(one.topic for one in group.lags)
        if not topics:
            table.add_row(*head)
        for topic in topics:
            lags = [one for one in group.lags if one.topic == topic]
            for rows in [[one] for one in lags] if partitions else [lags]:
                place = (topic, str(rows[0].partition)) if partitions else (topic,)
                sums = (
                    sum(one.committed for one in rows),
                    sum(one.behind for one in rows),
                    sum(one.lost for one in rows),
                )
                table.add_row(*head, *place, *(f"{value:,}" for value in sums))
                head = ("", "", "")
    # Whole names, whoever reads them from a pipe.
    Console(width=None if sys.stdout.isatty() else 160).print(table)
