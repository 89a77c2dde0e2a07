"""ClickHouse inside the process (chdb), in a folder that belongs to one process at a time."""

import fcntl
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from mevstream.errors import MevstreamError
from mevstream.topologies.sinks.engine import engine_error

# The store shares the process, and often the core, with the decoder.
_WRITER_OPTIONS = {"max_threads": 1, "max_insert_threads": 1}


class ChdbEngine:
    """A connection to the store in `folder` (created if it does not exist).

    A second process on the same folder gets a MevstreamError: chdb itself would corrupt nothing,
    but hang or answer with half a page.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        path = _store_path(folder)
        self._lock = _lock(folder)
        self._unclean = folder / "writing"
        # Loading the engine takes a second and 200 MB of shared pages: not before it is needed.
        from chdb.state.sqlitelike import Connection

        options = {} if read_only else _WRITER_OPTIONS
        arguments = "&".join(f"{name}={value}" for name, value in options.items())
        try:
            self._connection: Any = Connection(f"{path}?{arguments}")
            if read_only:
                self.execute("SET readonly = 1")
        except Exception as error:
            self._lock.close()
            raise engine_error(error) from None

    def begin_writing(self) -> bool:
        """Marks the folder as being written. False if the last writer never said it had ended."""
        clean = not self._unclean.exists()
        self._unclean.touch()
        return clean

    def end_writing(self) -> None:
        self._unclean.unlink(missing_ok=True)

    def execute(self, sql: str) -> None:
        """Runs a statement that returns nothing. Raises EngineError."""
        self.fetch(sql, "Null")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The result as Python values, a tuple a row; for small ones. Raises EngineError."""
        table = pa.ipc.open_stream(self.fetch(sql, "ArrowStream")).read_all()
        return list(zip(*table.to_pydict().values(), strict=True))

    def fetch(self, sql: str, output_format: str) -> bytes:
        """The whole result of any statement in a ClickHouse format. Raises EngineError."""
        try:
            return self._connection.query(sql, output_format).bytes()
        except RuntimeError as error:
            raise engine_error(error) from None

    def chunks(self, sql: str, output_format: str) -> Generator[bytes]:
        """The result of a SELECT, piece by piece; each piece is a whole document of the format,
        with its head. Raises EngineError, also in mid-result."""
        try:
            with self._connection.send_query(sql, output_format) as result:
                for chunk in result:
                    yield chunk.bytes()
        except RuntimeError as error:
            raise engine_error(error) from None

    def insert(self, table: str, rows: pa.RecordBatch, token: str) -> None:
        """Appends the rows as one block. A second insert with the same token does nothing.
        Raises EngineError for what the store did not take, a full disk among others.

        Not through the engine's streaming insert: that one calls rows stored which it could not
        write. An unnamed file in memory carries them instead.
        """
        names = ", ".join(rows.schema.names)
        with _memory_file() as file:
            writer: Any
            with pa.ipc.new_stream(file, rows.schema) as writer:
                writer.write_batch(rows)
            file.flush()
            self.execute(
                f"INSERT INTO {table} ({names}) FROM INFILE '/dev/fd/{file.fileno()}' "
                f"SETTINGS insert_deduplicate = 1, insert_deduplication_token = '{token}' "
                "FORMAT ArrowStream"
            )

    def close(self) -> None:
        self._connection.close()
        self._lock.close()


def _memory_file() -> Any:
    # Arrow's stubs know no file of typing's.
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("rows"), "wb")
    return tempfile.TemporaryFile()


def _store_path(folder: Path) -> str:
    """The engine's own folder as it must be named in a connection string."""
    # Absolute, for "file:x" and ":memory:" have a meaning of their own there.
    path = str(folder.absolute() / "store")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise MevstreamError(f"data directory {folder}: its path must be UTF-8") from None
    if "?" in path:
        raise MevstreamError(f"data directory {folder}: the store takes no '?' in its path")
    return path


def _lock(folder: Path) -> IO[str]:
    """Holds the folder for this process; the kernel lets go of it whatever way the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a+")
    except OSError as error:
        raise MevstreamError(f"data directory {folder}: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        raise MevstreamError(
            f"data directory {folder} is in use by another process{owner and f' ({owner})'}"
        ) from None
    file.truncate(0)
    file.write(f"pid {os.getpid()}")
    file.flush()
    return file
