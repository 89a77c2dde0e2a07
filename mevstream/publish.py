"""Batches of a source onto mev.raw, from a command line: progress, interrupts, totals."""

from collections.abc import Iterator

from rich.console import Console

from mevstream.errors import InputError
from mevstream.interrupts import Interruptible
from mevstream.report import ProgressLine
from mevstream.settings import Settings
from mevstream.topologies.observe.process import observed
from mevstream.topologies.raw.producer import STAGE, Published, RawProducer, paced, read_batch


def publish(
    batches: Iterator[bytes],
    *,
    settings: Settings,
    rate: float | None = None,
    quiet: bool = False,
) -> int:
    """Publishes RawBatch messages until they end or a signal comes, waits for the delivery of all
    that were sent, and prints what arrived. Returns the number of the signal, else 0.

    rate: transactions a second; None: as fast as Kafka takes them.
    Raises InputError of the source after what came before it was delivered, and MevstreamError
    where Kafka is not there or a delivery failed.
    """
    producer = RawProducer(settings.kafka_servers, trace_ratio=settings.trace_ratio)
    broken: InputError | None = None
    with (
        observed(STAGE, settings),
        Interruptible(paced(map(read_batch, batches), rate)) as source,
        ProgressLine(quiet=quiet) as progress,
        producer,
    ):
        try:
            for batch in source:
                producer.send(batch)
                done = producer.published
                progress.show(done.transactions, f"{done.slots:,} slots  {done.bytes:,} bytes")
        except InputError as error:
            broken = error
    if not quiet:
        _print_totals(producer.published, progress.seconds)
    if broken is not None:
        raise broken
    return source.signal


def _print_totals(done: Published, seconds: float) -> None:
    slots = "none" if done.first_slot is None else f"{done.first_slot} to {done.last_slot}"
    rate = done.transactions / seconds if seconds else 0
    Console(soft_wrap=True, highlight=False).print(
        f"batches       {done.batches:,}\n"
        f"transactions  {done.transactions:,} in {seconds:,.1f} s, {rate:,.0f} a second\n"
        f"slots         {slots}, {done.slots:,} closed\n"
        f"bytes         {done.bytes:,}, {done.raw_bytes:,} uncompressed"
    )
