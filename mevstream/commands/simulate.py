"""mevstream simulate: a synthetic chain in the real wire format, with its ground truth."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mevstream.commands.options import MetricsPort
from mevstream.errors import InputError

if TYPE_CHECKING:
    from mevstream.topologies.raw.simulator import Block, SimulatorConfig
    from mevstream.topologies.raw.simulator.output import TruthFile

STDOUT = "-"
_SLOT_MS = 400
_LARGEST_SLOT = 4000
_SLOTS_A_SECOND = 100


def simulate(
    out: Annotated[
        str | None,
        typer.Argument(help="Folder for one file a slot, or - for a stream on stdout."),
    ] = None,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Publish to mev.raw, as it happens, instead.")
    ] = False,
    slots: Annotated[
        int | None, typer.Option(min=1, help="How many slots; a stream goes on for ever without.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="With --kafka: how long; without end otherwise.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal bytes.")] = 1,
    form: Annotated[
        Literal["pb", "pb.zst", "pb.gz", "json", "base64.json"],
        typer.Option("--format", help="Of the files; json is what getBlock answers."),
    ] = "pb.zst",
    truth: Annotated[
        Path | None,
        typer.Option(help="JSON lines: the true swaps and MEV, and counts per slot."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Transactions a second; as fast as possible without.")
    ] = None,
    first_slot: Annotated[int | None, typer.Option(help="Number of the first slot.")] = None,
    transactions: Annotated[
        int | None, typer.Option(min=1, help="Mean transactions a slot.")
    ] = None,
    sign: Annotated[
        bool, typer.Option("--sign", help="Real ed25519 signatures (slow); else random bytes.")
    ] = False,
    mev: Annotated[
        bool,
        typer.Option(
            "--mev/--no-mev", help="Agents that make MEV and what looks like it, with the truth."
        ),
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
    metrics_port: MetricsPort = None,
) -> None:
    """Write a simulated chain: real programs, layouts and logs, exact balances, true swaps.

    Examples:

      mevstream simulate /tmp/chain --slots 100 --seed 7 --truth /tmp/truth.jsonl

      mevstream simulate - --rate 5000 | mevstream run -

      mevstream simulate --kafka --rate 4000 --seconds 60
    """
    from mevstream.topologies.raw.simulator import MevConfig, Simulator, SimulatorConfig, output

    if rate is not None and not rate > 0:  # NaN neither
        raise InputError(f"--rate {rate}: has to be above zero")
    if (out is None) != kafka:
        raise InputError("give either a folder (or -) or --kafka, whose servers are a setting")
    if seconds is not None and not (kafka and seconds > 0):
        raise InputError(f"--seconds {seconds}: goes with --kafka and has to be above zero")
    if metrics_port is not None and not kafka:
        raise InputError("--metrics-port goes with --kafka")
    if out not in (None, STDOUT) and slots is None:
        raise InputError("--slots is needed when files are written")
    chosen: dict[str, Any] = {"seed": seed, "sign": sign, "mev": MevConfig() if mev else None}
    if kafka:
        chosen |= _live(rate)
    if first_slot is not None:
        chosen["first_slot"] = first_slot
    if transactions is not None:
        chosen["transactions_per_slot"] = transactions
    config = SimulatorConfig(**chosen)

    with ExitStack() as stack:
        truth_file = stack.enter_context(output.TruthFile(truth)) if truth else None
        if out is None:
            _to_kafka(config, slots, seconds, rate, truth_file, metrics_port)
            return
        if out == STDOUT:
            write = output.stream_writer(sys.stdout.buffer)
        else:
            output.prepare_folder(Path(out), force=force)
            write = output.file_writer(Path(out), form)
        blocks = output.paced(Simulator(config).blocks(slots), rate)
        for block in _with_progress(stack, blocks, slots):
            write(block)
            if truth_file is not None:
                truth_file.add(block)


def _live(rate: float | None) -> dict[str, Any]:
    """A chain that happens now: slots of 400 ms at `rate` (but none is larger than mainnet's
    largest), and numbers that no run before this one has used unless it made a hundred slots a
    second: a slot that comes again is taken for a copy, or for a fork."""
    now = time.time()
    size = _LARGEST_SLOT if rate is None else round(rate * _SLOT_MS / 1000)
    return {
        "start_time": int(now),
        "slot_ms": _SLOT_MS,
        "transactions_per_slot": min(max(size, 1), _LARGEST_SLOT),
        "first_slot": int(now * _SLOTS_A_SECOND),
    }


def _to_kafka(
    config: SimulatorConfig,
    slots: int | None,
    seconds: float | None,
    rate: float | None,
    truth_file: TruthFile | None,
    metrics_port: int | None,
) -> None:
    from mevstream.publish import publish
    from mevstream.settings import load_settings
    from mevstream.topologies.raw.batches import BatchWriter
    from mevstream.topologies.raw.simulator import Simulator, output

    settings = load_settings(metrics_port=metrics_port)
    writer = BatchWriter(settings.chain, settings.batch_size, time.time_ns)

    def batches() -> Iterator[bytes]:
        end = None if seconds is None else time.monotonic() + seconds
        for block in Simulator(config).blocks(slots):
            if end is not None and time.monotonic() >= end:
                return
            yield from output.raw_batches(block, writer)
            if truth_file is not None:
                truth_file.add(block)

    if signal := publish(batches(), settings=settings, rate=rate):
        raise typer.Exit(128 + signal)


def _with_progress(stack: ExitStack, blocks: Iterator[Block], slots: int | None) -> Iterator[Block]:
    """Blocks, with a progress bar where standard error is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from blocks
        return
    progress = stack.enter_context(
        Progress(
            TextColumn("slots"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[done]:,} transactions"),
            console=console,
        )
    )
    task = progress.add_task("", total=slots, done=0)
    done = 0
    for block in blocks:
        yield block
        done += block.counts["transactions"]
        progress.update(task, advance=1, done=done)
