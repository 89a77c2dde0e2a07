"""The command line: the list of commands, and one clear line for every error."""

import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from mevstream import __version__
from mevstream.commands.dlq import dlq
from mevstream.commands.ingest import ingest
from mevstream.commands.inspect import inspect
from mevstream.commands.lake import lake
from mevstream.commands.migrate import migrate
from mevstream.commands.query import query
from mevstream.commands.replay import replay
from mevstream.commands.report import report
from mevstream.commands.run import run
from mevstream.commands.simulate import simulate
from mevstream.commands.sink import sink
from mevstream.commands.stack import stack
from mevstream.commands.topics import topics
from mevstream.commands.worker import worker
from mevstream.errors import MevstreamError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

# Each command is one module of mevstream/commands; those import what is heavy (stores, numpy)
# inside the command, so that --help stays quick.
app.command()(run)
app.command()(inspect)
app.command()(query)
app.command()(report)
app.command()(migrate)
app.command()(simulate)
app.command()(ingest)
app.command()(worker)
app.command()(replay)
app.add_typer(sink)
app.add_typer(lake)
app.add_typer(topics)
app.add_typer(stack)
app.add_typer(dlq)


def _tell_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def mevstream(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", is_eager=True, callback=_tell_version, help="Tell the version."
        ),
    ] = False,
) -> None:
    """Stream processing for Solana MEV: transactions in, decoded swaps and opportunities out."""


def main() -> NoReturn:
    """Entry point. Exit codes: 0 done, 1 an error told in one line, 2 usage, 130 interrupted."""
    _open_closed_streams()
    # What the terminal's encoding does not have is shown as an escape, as on standard error.
    # (A stream that a caller has put in place may not be one to configure.)
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")
    try:
        code = _call()
        # Else what is still buffered is written, and may fail, when nobody can tell it any more.
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (`| head`): no error.
        code = 0
        _drop_output()
    except OSError as error:
        code = _told(f"{error.filename or 'output'}: {error.strerror or error}")
        _drop_output()
    sys.exit(code)


def _call() -> int | str | None:
    try:
        app()
    except MevstreamError as error:
        return _told(str(error))
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None
        return leaving.code
    return 0


def _told(message: str) -> int:
    with suppress(OSError):
        print(f"error: {message}", file=sys.stderr)
    return 1


def _open_closed_streams() -> None:
    """A stream that the caller has closed (`>&-`) reads nothing and takes everything. Its number
    must be taken before any other file is opened: that file would get what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def _drop_output() -> None:
    """What could not be written is not tried again when the interpreter ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
