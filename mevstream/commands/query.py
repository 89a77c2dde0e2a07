"""mevstream query: SQL on the embedded warm store, or on the lake."""

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
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Query this ClickHouse server instead."),
    ] = None,
    lake: Annotated[
        bool, typer.Option("--lake", help="Query the Parquet lake instead ($MEVSTREAM_LAKE).")
    ] = False,
    lake_url: Annotated[
        str | None, typer.Option(help="Query this lake: a folder or s3://bucket/prefix.")
    ] = None,
) -> None:
    """Run one SQL statement on the warm store, here or on a server, or on the lake.

    Read-only unless --write is given. Keys and signatures (FixedString) are shown as base58,
    except in arrow. The views and columns are described in docs/schema.md.

    Examples:

    mevstream query "SELECT venue, count() FROM v_swaps GROUP BY venue ORDER BY 2 DESC"

    mevstream query --server 127.0.0.1:9000 "SELECT max(slot) FROM v_slots"
    """
    from mevstream.errors import MevstreamError
    from mevstream.query import run_lake_query, run_query, run_server_query
    from mevstream.settings import load_settings

    if (sql is None) == (file is None):
        raise MevstreamError("give one SQL statement, or a file with --file")
    try:
        text = file.read_text() if file else sys.stdin.read() if sql == "-" else sql
    except (OSError, UnicodeDecodeError) as error:
        raise MevstreamError(f"{file or 'standard input'}: {error}") from None
    # The engine does not return to Python until it has a result, so nobody else could end it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    settings = load_settings(store=data, lake=lake_url, clickhouse=server)
    if lake or lake_url is not None:
        if write or data is not None or server is not None:
            raise MevstreamError(
                "--write, --data and --server are for the warm store, not for the lake"
            )
        run_lake_query(text or "", settings.lake, settings.lake_endpoint, format)
    elif server is not None:
        if data is not None:
            raise MevstreamError("give --data or --server, not both")
        run_server_query(text or "", settings, format, write=write)
    else:
        run_query(text or "", settings.store, format, write=write)
