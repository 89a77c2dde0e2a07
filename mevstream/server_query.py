"""Queries on a ClickHouse server, answered in the formats of the embedded engine.

The native protocol gives values, not text. So the server is asked to write each row as text itself
(formatRow): a result then has the same bytes as the embedded engine's, whatever its types.
"""

import re
from collections.abc import Generator
from typing import Any

import orjson

from mevstream.errors import MevstreamError
from mevstream.settings import Settings
from mevstream.topologies.sinks.engine import EngineError, ReadOnlyError
from mevstream.topologies.sinks.native_engine import NativeEngine, configured_server

_NAMES_AND_TYPES = "JSONCompactStringsEachRowWithNamesAndTypes"
_ROW_FORMATS = {
    "CSVWithNames": "CSV",
    "JSONEachRow": "JSONEachRow",
    _NAMES_AND_TYPES: "JSONCompactStringsEachRow",
}
_COMMENTS = re.compile(r"\s*(--[^\n]*\n|/\*.*?\*/|\()*\s*", re.DOTALL)
_READS = re.compile(r"(select|with|from|show|describe|desc|explain|exists|values)\b", re.IGNORECASE)


class ServerReader:
    """What `mevstream query` needs of an engine. Reading only, unless `write`."""

    def __init__(self, settings: Settings, *, write: bool) -> None:
        self._engine = NativeEngine(configured_server(settings))
        self._write = write

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The result as Python values. Raises EngineError."""
        return self._engine.rows(self._allowed(sql))

    def chunks(self, sql: str, output_format: str) -> Generator[bytes]:
        """The result, piece by piece; each piece is a whole document of the format, with its head.
        Raises EngineError, also in mid-result, and MevstreamError for a format that is not made of
        rows."""
        row_format = _ROW_FORMATS.get(output_format)
        if row_format is None:
            raise MevstreamError("a server's result can be had as table, csv, json or jsonl")
        self._allowed(sql)
        try:
            columns = self._engine.rows(f"DESCRIBE TABLE ({sql}\n)")
        except EngineError:
            # SHOW, EXPLAIN and the like are no subqueries, and errors are told as they are.
            yield self._plain(sql, output_format)
            return
        head = b""
        names, kinds = [column[0] for column in columns], [column[1] for column in columns]
        if output_format == "CSVWithNames":
            head = _csv(names)
        elif output_format == _NAMES_AND_TYPES:
            head = b"".join(orjson.dumps(line) + b"\n" for line in (names, kinds))
        empty = True
        for block in self._engine.blocks(f"SELECT formatRow('{row_format}', *) FROM ({sql}\n)"):
            empty = False
            yield head + b"".join(block)
        if empty:
            yield head

    def fetch(self, sql: str, output_format: str) -> bytes:
        return b"".join(self.chunks(sql, output_format))

    def close(self) -> None:
        self._engine.close()

    def _plain(self, sql: str, output_format: str) -> bytes:
        """A small result whose rows the server cannot write as text: every value as it prints."""
        if not _READS.match(sql, _head(sql)):
            self._engine.execute(sql)
            return b""
        names, kinds, rows = self._engine.typed_rows(sql)
        lines = [[None if v is None else str(v) for v in row] for row in rows]
        if output_format == "CSVWithNames":
            return b"".join(_csv(line) for line in (names, *lines))
        if output_format == _NAMES_AND_TYPES:
            return b"".join(orjson.dumps(line) + b"\n" for line in (names, kinds, *lines))
        return b"".join(orjson.dumps(dict(zip(names, line, strict=True))) + b"\n" for line in lines)

    def _allowed(self, sql: str) -> str:
        if not self._write and not _READS.match(sql, _head(sql)):
            raise ReadOnlyError("only statements that read are allowed")
        return sql


def _head(sql: str) -> int:
    match = _COMMENTS.match(sql)
    return match.end() if match else 0


def _csv(values: list[Any]) -> bytes:
    quoted = (
        r"\N" if value is None else '"' + str(value).replace('"', '""') + '"' for value in values
    )
    return ",".join(quoted).encode() + b"\n"
