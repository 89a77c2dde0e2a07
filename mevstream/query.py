"""Runs a statement on the warm store or the lake and prints what it returns."""

import re
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import orjson
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mevstream.errors import MevstreamError
from mevstream.settings import Settings
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.engine import EngineError, ReadOnlyError

_FORMATS = {
    "table": "JSONCompactStringsEachRowWithNamesAndTypes",
    "csv": "CSVWithNames",
    "json": "JSONEachRow",
    "jsonl": "JSONEachRow",
    "arrow": "ArrowStream",
}
# What a table shows; the other formats are written as they come and show everything.
MAX_TABLE_ROWS = 1000
# A table narrower than this a column is unreadable: rows are then written one below another.
_MIN_COLUMN = 10

_KEY = re.compile(r"(Nullable\()?(LowCardinality\()?FixedString\((32|64)\)")
_NUMBER = re.compile(r"(Nullable\()?(U?Int|Float|Decimal)")
_CSV_HEAD = re.compile(rb'(?:[^"\n]|"[^"]*")*\n')


class Reader(Protocol):
    """An engine that answers in ClickHouse's formats."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...

    def chunks(self, sql: str, output_format: str) -> Generator[bytes]: ...

    def fetch(self, sql: str, output_format: str) -> bytes: ...


def run_query(sql: str, folder: Path, output_format: str, *, write: bool = False) -> None:
    """Prints the result of one statement: a table, csv, json (an array), jsonl or arrow (a
    stream). Statements that change the store need `write`.

    Raises MevstreamError (also EngineError, with ClickHouse's message in one line); once a result
    has begun that can only be an error that ClickHouse meets in the middle of it.
    """
    sql = _checked(sql, output_format)
    if not (folder / "store").is_dir():
        raise MevstreamError(f"no store in {folder}: `mevstream run SOURCE` makes one")
    engine = ChdbEngine(folder, read_only=not write)
    try:
        _run(engine, sql, output_format)
    except ReadOnlyError:
        raise MevstreamError("the statement would change the store: that needs --write") from None
    finally:
        engine.close()


def run_lake_query(sql: str, url: str, endpoint: str | None, output_format: str) -> None:
    """The same on a lake (topologies/sinks/lake), whose tables are those of the warm store.
    Nothing can be changed there. Raises MevstreamError."""
    from mevstream.topologies.sinks.lake.storage import open_storage
    from mevstream.topologies.sinks.lake.views import open_lake

    sql = _checked(sql, output_format)
    with open_lake(open_storage(url, endpoint=endpoint)) as engine:
        try:
            _run(engine, sql, output_format)
        except ReadOnlyError:
            raise MevstreamError(
                "a query can neither change the lake nor read anything else"
            ) from None


def run_server_query(
    sql: str, settings: Settings, output_format: str, *, write: bool = False
) -> None:
    """The same on a ClickHouse server, in every format but arrow. Raises MevstreamError."""
    from mevstream.server_query import ServerReader

    if output_format == "arrow":
        raise MevstreamError("arrow is not to be had from a server: csv and jsonl are")
    with closing(ServerReader(settings, write=write)) as reader:
        try:
            _run(reader, _checked(sql, output_format), output_format)
        except ReadOnlyError:
            raise MevstreamError("the statement changes the store: that needs --write") from None


def _checked(sql: str, output_format: str) -> str:
    sql = sql.strip().rstrip(";").rstrip()
    if not sql:
        raise MevstreamError("the statement is empty")
    if output_format == "arrow" and sys.stdout.isatty():
        raise MevstreamError("arrow is binary: send it to a file or to a program")
    return sql


def _run(engine: Reader, sql: str, output_format: str) -> None:
    if output_format != "arrow":
        sql = _with_base58(engine, sql)
    # A result that is given up half-way must end before its connection does.
    with closing(_pieces(engine, sql, _FORMATS[output_format])) as pieces:
        _PRINTERS[output_format](pieces)
    sys.stdout.flush()


def _pieces(engine: Reader, sql: str, engine_format: str) -> Generator[bytes]:
    """The result as documents of the format, at least one."""
    empty = True
    try:
        with closing(engine.chunks(sql, engine_format)) as chunks:
            for piece in chunks:
                empty = False
                yield piece
    except EngineError as error:
        # SHOW, DESCRIBE, EXPLAIN and whatever returns no rows come as a whole or not at all.
        if not empty or "Streaming query is not supported" not in str(error):
            raise
    if empty:
        yield engine.fetch(sql, engine_format)


def _with_base58(engine: Reader, sql: str) -> str:
    """The query with its binary keys as base58; what cannot be a subquery stays as it is."""
    try:
        columns = engine.rows(f"DESCRIBE TABLE ({sql}\n)")
    except EngineError:
        return sql
    keys = [_quote(name) for name, kind, *_ in columns if _KEY.match(kind)]
    if not keys:
        return sql
    replaced = ", ".join(f"base58Encode({key}) AS {key}" for key in keys)
    return f"SELECT * REPLACE ({replaced}) FROM ({sql}\n)"


def _quote(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _print_csv(pieces: Iterator[bytes]) -> None:
    out = sys.stdout.buffer
    out.write(next(pieces))
    for piece in pieces:
        head = _CSV_HEAD.match(piece)
        out.write(piece[head.end() if head else 0 :])


def _print_jsonl(pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        sys.stdout.buffer.write(piece)


def _print_json(pieces: Iterator[bytes]) -> None:
    out = sys.stdout.buffer
    before = b"[\n"
    for piece in pieces:
        if rows := piece.rstrip(b"\n"):
            # A row is one line: line ends within strings are escaped.
            out.write(before + rows.replace(b"\n", b",\n"))
            before = b",\n"
    out.write(b"\n]\n" if before == b",\n" else b"[]\n")


def _print_arrow(pieces: Iterator[bytes]) -> None:
    writer: Any = None
    out: Any = sys.stdout.buffer
    for piece in pieces:
        reader = pa.ipc.open_stream(piece)
        if writer is None:
            writer = pa.ipc.new_stream(out, reader.schema)
        for batch in reader:
            writer.write_batch(batch)
    writer.close()


def _print_table(pieces: Iterator[bytes]) -> None:
    names: list[str] = []
    kinds: list[str] = []
    rows: list[list[str | None]] = []
    for piece in pieces:
        lines = [orjson.loads(line) for line in piece.decode(errors="replace").splitlines()]
        if not lines:
            continue
        names, kinds = lines[:2]
        rows += lines[2:]
        if len(rows) > MAX_TABLE_ROWS:
            break
    console = Console()
    shown = rows[:MAX_TABLE_ROWS]
    if not console.is_terminal:
        console = Console(width=100_000)
    elif len(names) * _MIN_COLUMN > console.width:
        _print_records(console, names, shown)
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name, kind in zip(names, kinds, strict=True):
        right = _NUMBER.match(kind) is not None
        table.add_column(escape(name), justify="right" if right else "left", overflow="fold")
    for row in shown:
        table.add_row(*("" if value is None else escape(value) for value in row))
    if names:
        console.print(table)
    if len(rows) > MAX_TABLE_ROWS:
        console.print(f"the first {MAX_TABLE_ROWS} rows; --format csv or jsonl gives all")


def _print_records(console: Console, names: list[str], rows: list[list[str | None]]) -> None:
    width = max(len(name) for name in names)
    for number, row in enumerate(rows, 1):
        console.rule(f"row {number}", align="left")
        for name, value in zip(names, row, strict=True):
            console.print(f"{name:{width}}  {'' if value is None else value}", markup=False)


_PRINTERS = {
    "table": _print_table,
    "csv": _print_csv,
    "json": _print_json,
    "jsonl": _print_jsonl,
    "arrow": _print_arrow,
}
