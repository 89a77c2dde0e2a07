"""mevstream query: SQL on the embedded warm store."""

import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mevstream.commands.options import Data


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    arrow = "arrow"


def query(
    sql: Annotated[str | None, typer.Argument(help="One statement; - reads it from stdin.")] = None,
    file: Annotated[Path | None, typer.Option(help="Read the statement from a file.")] = None,
    format: Annotated[Format, typer.Option(help="How to print the result.")] = Format.table,
    data: Data = None,
    write: Annotated[bool, typer.Option("--write", help="Allow changes to the store.")] = False,
) -> None:
    """Run one SQL statement on the warm store.

    Read-only unless --write is given. Keys and signatures (FixedString) are shown as base58,
    except in arrow. The views and columns are described in docs/schema.md.

    Example: mevstream query "SELECT venue, count() FROM v_swaps GROUP BY venue ORDER BY 2 DESC"
    """
    from mevstream.errors import MevstreamError
    from mevstream.query import run_query
    from mevstream.settings import load_settings

    if (sql is None) == (file is None):
        raise MevstreamError("give one SQL statement, or a file with --file")
    try:
        text = file.read_text() if file else sys.stdin.read() if sql == "-" else sql
    except (OSError, UnicodeDecodeError) as error:
        raise MevstreamError(f"{file or 'standard input'}: {error}") from None
    # The engine does not return to Python until it has a result, so nobody else could end it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    run_query(text or "", load_settings(store=data).store, format, write=write)
