"""A warm store in a temporary folder, filled through the runtime, and looked at from outside."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mevstream.topologies.embedded import EmbeddedRuntime, Totals
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ROW_TABLES, ClickHouseSink, Limits, Stored
from store.synthetic import stand_in

TABLES = ("slots", *ROW_TABLES)
# What differs between two runs over the same input.
VOLATILE = "run_id, version, ingested_at"


class Store:
    """Every call opens the folder, does its work, and lets go of it, as a command would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.totals = Totals()

    def run(self, batches: Iterable[bytes], *, flush: int = 100_000, **options: Any) -> Stored:
        limits = Limits(transactions=flush)
        with ClickHouseSink(ChdbEngine(self.folder), limits=limits, **options) as sink:
            self.totals = EmbeddedRuntime(sink, stand_in()).run(batches)
            return sink.stored

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        engine = ChdbEngine(self.folder, read_only=True)
        try:
            return engine.rows(sql)
        finally:
            engine.close()

    def value(self, sql: str) -> Any:
        [(value,)] = self.rows(sql)
        return value

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        return contents(self.folder)


def contents(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table as it lies there, and again as FINAL gives it, save for what
    tells when and by which run it was written."""
    engine = ChdbEngine(folder, read_only=True)
    try:
        return {
            f"{table}{final}": sorted(
                engine.rows(
                    f"SELECT hex(toString(tuple(* EXCEPT ({VOLATILE}"
                    f"{', seen' if table == 'dead_letters' else ''})))) FROM {table}{final}"
                )
            )
            for table in TABLES
            for final in ("", " FINAL")
        }
    finally:
        engine.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "warm")


@pytest.fixture
def new_store(tmp_path: Path) -> Callable[[str], Store]:
    return lambda name: Store(tmp_path / name)
