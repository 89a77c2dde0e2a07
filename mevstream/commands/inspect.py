"""mevstream inspect: what the pipeline reads out of block files, as JSON lines."""

import sys
from typing import Annotated

import typer

from mevstream.commands.options import Slot
from mevstream.errors import MevstreamError

NAMES = {
    "transactions": "transaction",
    "swaps": "swap",
    "liquidity": "liquidity",
    "liquidations": "liquidation",
    "opportunities": "opportunity",
    "predicted": "predicted",
}
# Positions told in one warning.
SHOWN = 20


def inspect(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Block files, folders or globs; - is standard input."),
    ],
    slot: Slot = None,
    records: Annotated[
        str, typer.Option(help=f"Which records to print, comma-separated: {', '.join(NAMES)}.")
    ] = "transactions,swaps",
) -> None:
    """Print what is in block files, one JSON object a line, in chain order.

    Swaps, liquidity changes and liquidations of failed transactions moved nothing and are not
    printed. An opportunity is printed when it is complete: an arbitrage, a backrun, a liquidation
    or JIT liquidity after the batch of its last transaction, a sandwich after its slot. `predicted`
    are those that nobody has to have taken; they are `opportunity` lines, too, with another origin.
    A record that is no transaction is told on standard error, and the exit code is then 1.

    Example: mevstream inspect 332254908.pb.gz --records opportunities
    """
    from mevstream.cext.decoder import BatchDecoder
    from mevstream.codecs.json_lines import json_lines, opportunity_lines
    from mevstream.codecs.opportunities import OpportunityView, Origin
    from mevstream.codecs.parsed import view_parsed
    from mevstream.topologies.chain import OPPORTUNITIES, Stage
    from mevstream.topologies.raw.sources import open_sources

    wanted = _record_names(records)
    decoder = BatchDecoder()
    detect: Stage | None = None
    origins = [Origin.observed] * ("opportunity" in wanted)
    origins += [Origin.predicted] * ("predicted" in wanted)
    if origins:
        from mevstream.topologies.opportunities.stage import open_stage

        detect = open_stage()
    complete = True
    for raw in open_sources(files, slot=slot):
        parsed = decoder.decode(raw)
        view = view_parsed(parsed)
        sys.stdout.buffer.write(json_lines(view, wanted))
        for record in detect(parsed) if detect else ():
            if record.topic == OPPORTUNITIES:
                sys.stdout.buffer.write(opportunity_lines(OpportunityView(record.value), origins))
        if len(view.malformed):
            complete = False
            _warn(raw, view.malformed.tolist())
    sys.stdout.flush()
    if not complete:
        raise typer.Exit(1)


def _record_names(records: str) -> set[str]:
    """Singular is accepted as well: it is what the records call themselves."""
    wanted: set[str] = set()
    for name in map(str.strip, records.split(",")):
        if name not in NAMES and name not in NAMES.values():
            raise MevstreamError(f"--records: no record is named {name!r}: {', '.join(NAMES)}")
        wanted.add(NAMES.get(name, name))
    return wanted


def _warn(raw: bytes, malformed: list[int]) -> None:
    """Says where in the block the records lie that are no transactions."""
    from mevstream.codecs.raw import RawView

    batch = RawView(raw)
    places = batch.tx_index[malformed].tolist()
    shown = ", ".join(map(str, places[:SHOWN])) + (", ..." if len(places) > SHOWN else "")
    print(
        f"warning: slot {batch.slot}: {len(places)} of {len(batch.transactions)} records are no "
        f"transactions and were left out (positions in the block: {shown})",
        file=sys.stderr,
    )
