"""Writes rows into the Parquet files of a lake: a file for each table, chain and hour."""

# The stubs of pyarrow leave the parameters of its generic classes open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import secrets
from contextlib import ExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from mevstream.topologies.sinks.lake.manifest import DataFile
from mevstream.topologies.sinks.lake.storage import Draft, Storage
from mevstream.topologies.sinks.lake.tables import Table

_LEVEL = 3


def hour_folder(table: str, chain: str, hour: int) -> str:
    """Where the files of an hour (since the epoch) lie: the names and values of Hive."""
    begin = datetime.fromtimestamp(hour * 3600, UTC)
    return f"{table}/chain={quote(chain, safe='')}/date={begin:%Y-%m-%d}/hour={begin:%H}"


class FileWriter:
    """One file, written a row group at a time; `finish` publishes it. Batches have to come in the
    table's order. One that is left without `finish` leaves nothing."""

    def __init__(self, storage: Storage, table: Table, chain: str, hour: int) -> None:
        self._storage = storage
        self._table, self._chain, self._hour = table, chain, hour
        self._slots: tuple[int, int] | None = None
        self._stack = ExitStack()
        self._draft: Draft = self._stack.enter_context(storage.draft())
        names: list[str] = table.schema.names
        plain = set(table.unique)
        # Random bytes do not shrink; trying takes a third of the time.
        codecs = {name: "none" if name == "signature" else "zstd" for name in names}
        levels = {name: _LEVEL for name in names if codecs[name] == "zstd"}
        open_writer: Any = pq.ParquetWriter
        file: Any = self._draft
        self._writer: Any = open_writer(
            pa.PythonFile(file, mode="w"),
            table.schema,
            compression=codecs,
            compression_level=levels,
            use_dictionary=[name for name in names if name not in plain],
            sorting_columns=pq.SortingColumn.from_ordering(
                table.schema, [(name, "ascending") for name in table.order]
            ),
            write_page_index=True,
        )
        self._stack.callback(self._end)
        self.rows = 0

    @property
    def bytes(self) -> int:
        """So far."""
        return self._draft.size

    def write(self, rows: pa.RecordBatch) -> None:
        if not rows.num_rows:
            return
        slots = rows.column("slot")
        first, last = slots[0].as_py(), slots[-1].as_py()
        self._slots = (self._slots or (first, last))[0], last
        self._writer.write_batch(rows, row_group_size=rows.num_rows)
        self.rows += rows.num_rows

    def finish(
        self, *, written_ns: int, offsets: dict[str, tuple[int, int]], merged: str = ""
    ) -> DataFile | None:
        """Publishes the file; what the manifest has to say of it. None: there are no rows."""
        with self:
            if self._slots is None:
                return None
            self._writer.close()
            folder = hour_folder(self._table.name, self._chain, self._hour)
            path = f"{folder}/{self._slots[0]}-{self._slots[1]}-{secrets.token_hex(6)}.parquet"
            self._storage.publish(self._draft, path)
            return DataFile(
                table=self._table.name,
                path=path,
                chain=self._chain,
                hour=self._hour,
                rows=self.rows,
                bytes=self._draft.size,
                sha256=self._draft.sha256,
                slots=self._slots,
                written_ns=written_ns,
                offsets=offsets,
                merged=merged,
            )

    def _end(self) -> None:
        """Ends the writer while its draft is there: it writes the end of the file when it is
        deleted, otherwise."""
        try:
            self._writer.close()
        except (OSError, pa.ArrowException):
            # Why the file was given up is told by the error that did it.
            self._writer.is_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
