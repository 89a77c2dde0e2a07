"""mevstream dlq: records that could not be processed."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mevstream.commands.options import Kafka, parse_since

if TYPE_CHECKING:
    from mevstream.topologies.deadletters import Filter, Letter, Plan

dlq = typer.Typer(
    name="dlq", no_args_is_help=True, help="List, look at and replay records that failed."
)


class Format(StrEnum):
    table = "table"
    json = "json"


Stage = Annotated[str | None, typer.Option(help="Only what this link or sink gave up.")]
Topic = Annotated[str | None, typer.Option(help="Only records of this topic.")]
Slot = Annotated[
    str | None, typer.Option(metavar="SLOT[:SLOT]", help="Only this slot, or these (inclusive).")
]
Since = Annotated[
    str | None,
    typer.Option(metavar="AGE|TIME", help="Not older than 30m, 12h, 7d, or an ISO time (UTC)."),
]

_SHOWN_BYTES = 512
_TOLD = 20


@dlq.command(name="ls")
def list_letters(
    records: Annotated[
        bool, typer.Option("--records", help="Every letter instead of counts.")
    ] = False,
    stage: Stage = None,
    topic: Topic = None,
    slot: Slot = None,
    since: Since = None,
    format: Annotated[Format, typer.Option(help="How to print it.")] = Format.table,
    kafka: Kafka = None,
) -> None:
    """Count dead letters by topic, stage and error, or list them.

    Example: mevstream dlq ls --stage parsed --since 12h
    """
    from mevstream.infra.reader import Reader
    from mevstream.settings import load_settings
    from mevstream.topologies.deadletters import group_letters, read_letters

    wanted = _filter(stage, topic, slot, since)
    with Reader(load_settings(kafka=kafka).kafka_servers) as reader:
        letters = read_letters(reader, wanted)
        if records:
            rows = [_row(letter) for letter in letters]
        else:
            rows = [
                {
                    "topic": _printable(group.topic),
                    "stage": _printable(group.stage),
                    "error": _printable(group.error),
                    "letters": group.letters,
                    "first_slot": group.first_slot,
                    "last_slot": group.last_slot,
                    "last_seen": _time(group.last_seen_ns),
                }
                for group in group_letters(letters)
            ]
    _print(rows, format)


@dlq.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="PARTITION/OFFSET", help="As `ls` names it.")],
    payload: Annotated[
        Path | None, typer.Option(help="Write the payload to this file; - is standard output.")
    ] = None,
    kafka: Kafka = None,
) -> None:
    """Everything that is known of one dead letter, with its payload.

    Example: mevstream dlq show 3/1042 --payload record.bin
    """
    from mevstream.errors import MevstreamError
    from mevstream.infra.reader import Reader
    from mevstream.settings import load_settings
    from mevstream.topologies.deadletters import parse_place, read_letter

    place = parse_place(letter)
    with Reader(load_settings(kafka=kafka).kafka_servers) as reader:
        found = read_letter(reader, place)
    data = found.message.payload
    if payload == Path("-"):
        sys.stdout.buffer.write(data)
        return
    for name, value in _row(found).items():
        if value is not None:
            typer.echo(f"{name:<14}{value}")
    if found.message.key:
        typer.echo(f"{'key':<14}{_text(found.message.key)}")
    for name, value in sorted(found.message.headers.items()):
        typer.echo(f"header        {_printable(name)}: {_text(value)}")
    if payload is not None:
        try:
            payload.write_bytes(data)
        except OSError as error:
            raise MevstreamError(f"{payload}: {error.strerror}") from None
        typer.echo(f"{len(data):,} bytes of payload are in {payload}")
        return
    for start in range(0, min(len(data), _SHOWN_BYTES), 16):
        line = data[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        typer.echo(f"{start:08x}  {line.hex(' '):<47}  {text}")
    if len(data) > _SHOWN_BYTES:
        typer.echo(f"… {len(data) - _SHOWN_BYTES:,} more bytes; --payload FILE writes them all")


@dlq.command()
def replay(
    letters: Annotated[
        list[str] | None,
        typer.Argument(metavar="LETTER", help="These only (PARTITION/OFFSET)."),
    ] = None,
    stage: Stage = None,
    topic: Topic = None,
    slot: Slot = None,
    since: Since = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be sent; send nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    kafka: Kafka = None,
) -> None:
    """Send records that failed to where they came from, once more.

    A whole record goes back as it came. A single transaction is decoded again first; if that works
    now, the whole batch that it is part of goes back to mev.raw, as long as it is kept there.
    Exit code 1 if some letters could not be replayed.

    Example: mevstream dlq replay --stage parsed --since 12h --dry-run
    """
    from mevstream.infra.reader import Reader
    from mevstream.settings import load_settings
    from mevstream.topologies import deadletters

    servers = load_settings(kafka=kafka).kafka_servers
    wanted = _filter(stage, topic, slot, since, letters)
    with Reader(servers) as reader:
        plan = deadletters.plan_replay(reader, wanted)
    if dry_run:
        for resend in plan.resends[:_TOLD]:
            typer.echo(f"would send {resend} ({', '.join(map(str, resend.letters))})")
        if len(plan.resends) > _TOLD:
            typer.echo(f"… and {len(plan.resends) - _TOLD:,} more")
    elif plan.resends:
        count = len(plan.resends)
        if not yes:
            typer.confirm(f"Send {count:,} records for {plan.letters:,} letters?", abort=True)
        done: list[deadletters.Resend] = []
        try:
            deadletters.replay(servers, plan, sent=done.append)
        finally:
            told = sum(len(resend.letters) for resend in done)
            typer.echo(f"sent {len(done):,} records for {told:,} letters")
    _tell_refused(plan)
    if plan.refused:
        raise typer.Exit(1)


def _tell_refused(plan: "Plan") -> None:
    if plan.superseded:
        typer.echo(f"{plan.superseded:,} letters came back after a replay: their later ones count")
    if not plan.resends and not plan.refused:
        typer.echo("no letters to replay")
    for place, reason in plan.refused[:_TOLD]:
        typer.echo(f"not replayed: {place}: {reason}", err=True)
    if len(plan.refused) > _TOLD:
        typer.echo(f"… and {len(plan.refused) - _TOLD:,} more", err=True)


def _filter(
    stage: str | None,
    topic: str | None,
    slots: str | None,
    since: str | None,
    letters: list[str] | None = None,
) -> "Filter":
    from mevstream.topologies.deadletters import Filter, parse_place

    first, last = _slots(slots) if slots else (None, None)
    return Filter(
        stage=stage,
        topic=topic,
        first_slot=first,
        last_slot=last,
        since_ms=parse_since(since) if since else None,
        places={parse_place(text) for text in letters} if letters else None,
    )


def _slots(text: str) -> tuple[int, int]:
    from mevstream.errors import InputError

    first, _, last = text.partition(":")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise InputError(f"--slot {text}: give SLOT or FIRST:LAST")
    return int(first), int(last or first)


def _row(letter: "Letter") -> dict[str, Any]:
    message = letter.message
    return {
        "letter": str(letter.place),
        "topic": _printable(message.topic),
        "record": f"{message.partition}/{message.offset}" if message.offset >= 0 else None,
        "stage": _printable(message.stage),
        "slot": letter.slot,
        "seq": letter.seq,
        "position": letter.position,
        "seen": _time(message.seen_ns),
        "bytes": len(message.payload),
        "error": _printable(message.error),
    }


def _time(ns: int) -> str | None:
    from datetime import UTC, datetime

    if not ns:
        return None
    return f"{datetime.fromtimestamp(ns / 1e9, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _text(value: bytes) -> str:
    """Text as it is, anything else in hex."""
    text = value.decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else f"0x{value.hex()}"


def _printable(text: str) -> str:
    """What came from elsewhere does not get to steer the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _print(rows: list[dict[str, Any]], format: Format) -> None:
    if format is Format.json:
        import orjson

        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    if not rows:
        typer.echo("no dead letters")
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        # Nobody's screen ends here: no cell is cut.
        console = Console(width=240)
    table = Table(box=None)
    for name in rows[0]:
        numeric = isinstance(rows[0][name], int)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left")
    from rich.markup import escape

    for row in rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row.values()))
    console.print(table)
