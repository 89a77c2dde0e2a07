"""mevstream worker: links of the chain on Kafka."""

from enum import StrEnum
from typing import Annotated

import typer

from mevstream.commands.options import Kafka, MetricsPort


class Delivery(StrEnum):
    """How often a reader gets what follows from a record."""

    at_least_once = "at-least-once"
    exactly_once = "exactly-once"


def worker(
    links: Annotated[
        list[str], typer.Argument(metavar="LINK...", help="Links of the chain, or all.")
    ],
    fused: Annotated[
        bool,
        typer.Option(
            "--fused", help="Run the links as one group, each taking over from the one before."
        ),
    ] = False,
    delivery: Annotated[
        Delivery | None,
        typer.Option(help="What readers get: each record at least once (default), or exactly."),
    ] = None,
    supervise: Annotated[
        bool,
        typer.Option(
            "--supervise", help="Start again when it breaks; always so with exactly-once."
        ),
    ] = False,
    kafka: Kafka = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Run links of the chain on Kafka: records in, what follows from them out.

    Each link is a consumer group of its own: start the command as often as there are cores or
    machines, and the partitions of its input are shared out. SIGTERM or SIGINT ends it in good
    order (exit code 0): what was taken is delivered and committed, the rest is another worker's.

    Example: mevstream worker parsed --kafka broker:9092
    """
    from mevstream.settings import load_settings
    from mevstream.topologies.worker.process import choose_links, plan_groups, run_worker

    settings = load_settings(kafka=kafka, metrics_port=metrics_port, delivery=delivery)
    plans = plan_groups(choose_links(links), fused=fused)
    run_worker(settings, plans, supervised=supervise)
