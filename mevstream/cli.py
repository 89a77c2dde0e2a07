"""The command line: the list of commands, and one clear line for every error."""

import sys
from typing import Annotated, NoReturn

import typer

from mevstream import __version__
from mevstream.commands.inspect import inspect
from mevstream.commands.migrate import migrate
from mevstream.commands.query import query
from mevstream.commands.run import run
from mevstream.commands.simulate import simulate
from mevstream.commands.stack import stack
from mevstream.commands.topics import topics
from mevstream.errors import MevstreamError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")

# Each command is one module of mevstream/commands; those import what is heavy (stores, numpy)
# inside the command, so that --help stays quick.
app.command()(run)
app.command()(inspect)
app.command()(query)
app.command()(migrate)
app.command()(simulate)
app.add_typer(topics)
app.add_typer(stack)


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
    try:
        app()
    except MevstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as leaving:
        # The reader of our output went away (`| head`): no error, though typer takes it for one.
        sys.exit(0 if isinstance(leaving.__context__, BrokenPipeError) else leaving.code)
    sys.exit(0)
