"""mevstream ingest: recorded blocks onto mev.raw, for the workers."""

from typing import Annotated

import typer

from mevstream.commands.options import Kafka, MetricsPort, Quiet, Slot


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="Block files, folders or globs; - is standard input."
        ),
    ],
    kafka: Kafka = None,
    rate: Annotated[
        float | None, typer.Option(help="Transactions a second; as fast as possible without.")
    ] = None,
    slot: Slot = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=256, help="Transactions a batch.")
    ] = None,
    metrics_port: MetricsPort = None,
    quiet: Quiet = False,
) -> None:
    """Publish blocks to Kafka's topic mev.raw, where the workers take them.

    Ends when every batch is acknowledged by all replicas; one that is not is an error. What was
    published before is dropped by the workers when it comes again, so an ingest that was cut off
    can simply be started again. An interrupt ends it in good order (exit code 130, or 143 for a
    termination).

    Example: mevstream ingest blocks/ --rate 4000
    """
    from mevstream.errors import InputError
    from mevstream.publish import publish
    from mevstream.settings import load_settings
    from mevstream.topologies.raw.sources import open_sources

    if rate is not None and not rate > 0:  # NaN neither
        raise InputError(f"--rate {rate}: has to be above zero")
    settings = load_settings(kafka=kafka, batch_size=batch_size, metrics_port=metrics_port)
    batches = open_sources(sources, slot=slot, chain=settings.chain, batch_size=settings.batch_size)
    signal = publish(
        batches,
        settings=settings,
        rate=rate,
        quiet=quiet,
    )
    if signal:
        raise typer.Exit(128 + signal)
