"""What sinks need of a ClickHouse, wherever it runs, and how it says no."""

import re
from typing import Protocol

import pyarrow as pa

from mevstream.errors import MevstreamError
from mevstream.topologies.sinks import migrations


class Engine(migrations.Engine, Protocol):
    """A connection to one store: the embedded engine's and a server's alike."""

    def insert(self, table: str, rows: pa.RecordBatch, token: str) -> None:
        """Appends the rows as one block. A second insert with the same token does nothing."""
        ...

    def close(self) -> None: ...


class EngineError(MevstreamError):
    """The store refused a statement or is away; the message is ClickHouse's, in one line."""


class ReadOnlyError(EngineError):
    """A statement would change a store that is open for reading only."""


def engine_error(error: Exception) -> EngineError:
    """The part of ClickHouse's message that tells the user something, as one line."""
    text = " ".join(str(error).split())
    text = re.sub(r"^(.*?DB::Exception: |Code: \d+\. )", "", text)
    if text.endswith("(READONLY)"):
        return ReadOnlyError("the store is open for reading only")
    text = re.sub(r"( \(version [^)]*\))|(: While executing \w+)|(\.? ?Stack trace.*)", "", text)
    text = re.sub(r"Expected one of: .*\. \(", "(", text)
    return EngineError(text.strip() or type(error).__name__)
