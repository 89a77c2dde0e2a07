"""mevstream worker: links of the chain on Kafka."""

from typing import Annotated

import typer

from mevstream.commands.options import Kafka, MetricsPort


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
    kafka: Kafka = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Run links of the chain on Kafka: records in, what follows from them out, at least once.

    Each link is a consumer group of its own: start the command as often as there are cores or
    machines, and the partitions of its input are shared out. SIGTERM or SIGINT ends it in good
    order (exit code 0): what was taken is delivered and committed, the rest is another worker's.

    Example: mevstream worker parsed --kafka broker:9092
    """
    from mevstream.settings import load_settings
    from mevstream.topologies.worker.process import choose_links, plan_groups, run_worker

    settings = load_settings(kafka=kafka, metrics_port=metrics_port)
    run_worker(settings, plan_groups(choose_links(links), fused=fused))
