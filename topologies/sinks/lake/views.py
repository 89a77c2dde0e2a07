"""The lake as ClickHouse tables: those of the warm store, with the same columns and views, read
from the files that count."""

# The stubs of pyarrow leave the parameters of its generic classes open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from mevstream.topologies.sinks import migrations
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.columns import NO_KEY
from mevstream.topologies.sinks.lake.manifest import Manifest, State
from mevstream.topologies.sinks.lake.storage import Storage
from mevstream.topologies.sinks.lake.tables import TABLES, Table
from mevstream.topologies.sinks.lake.upkeep import is_settled
from mevstream.topologies.sinks.market import VOLUME

_TYPES = {
    pa.bool_(): "Bool",
    pa.int8(): "Int8",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.float32(): "Float32",
    pa.float64(): "Float64",
    pa.string(): "String",
    pa.binary(): "String",
    pa.list_(pa.uint32()): "Array(UInt32)",
    pa.timestamp("ms", tz="UTC"): "DateTime64(3, 'UTC')",
    pa.timestamp("ns", tz="UTC"): "DateTime64(9, 'UTC')",
    pa.dictionary(pa.int32(), pa.string()): "LowCardinality(String)",
    VOLUME: "Decimal(38, 0)",
}

# Of the columns of `slots`, those that are no sum over the batches of a block.
_NOT_SUMMED = frozenset(
    {"parent_slot", "block_height", "batches_total", "schema_version", "version"}
)


@contextmanager
def open_lake(storage: Storage) -> Generator[ChdbEngine]:
    """An engine over the lake as it is now; for reading only. Files that are replaced meanwhile
    stay for the grace period of `mevstream lake compact`."""
    state = Manifest(storage).existing()
    with tempfile.TemporaryDirectory(prefix="mevstream-lake-") as folder:
        engine = ChdbEngine(Path(folder))
        try:
            _define(engine, storage, state)
            engine.execute("SET readonly = 1")
            yield engine
        finally:
            engine.close()


def _define(engine: ChdbEngine, storage: Storage, state: State) -> None:
    migrations.migrate(engine)
    warm: dict[str, list[tuple[str, str, str, str]]] = {}
    for table, name, kind, default_kind, default in engine.rows(
        "SELECT table, name, type, default_kind, default_expression FROM system.columns "
        "WHERE database = currentDatabase() AND table IN (SELECT name FROM system.tables "
        "WHERE database = currentDatabase() AND engine LIKE '%MergeTree') ORDER BY position"
    ):
        warm.setdefault(table, []).append((name, kind, default_kind, default))
    for table in warm:
        # What the lake does not have is not there, rather than empty.
        engine.execute(f"DROP TABLE {table}")
    _name_files(engine, storage, state)
    for table in TABLES.values():
        structure = ", ".join(f"{f.name} {clickhouse_type(f)}" for f in table.schema)
        engine.execute(
            f"CREATE TABLE lake_objects_{table.name} "
            f"({structure}, chain LowCardinality(String)) "
            f"ENGINE = {storage.clickhouse(f'{table.name}/**/*.parquet')}"
        )
        engine.execute(f"CREATE VIEW lake_{table.name} AS {_rows(table)}")
        columns = warm.get(table.name)
        selected = _as_warm(table, columns) if columns else "*"
        engine.execute(f"CREATE VIEW {table.name} AS SELECT {selected} FROM lake_{table.name}")
    engine.execute(f"CREATE VIEW slots AS {_slots(warm['slots'])}")


def _name_files(engine: ChdbEngine, storage: Storage, state: State) -> None:
    engine.execute(
        "CREATE TABLE lake_files (table String, path String, settled Bool) ENGINE = Memory"
    )
    paths: list[tuple[str, str, bool]] = [
        (file.table, storage.clickhouse_path(file.path), is_settled(files))
        for _, files in state.hours()
        for file in files
    ]
    if paths:
        tables, names, settled = zip(*paths, strict=True)
        rows = pa.RecordBatch.from_arrays(
            [pa.array(tables), pa.array(names), pa.array(settled)],
            names=["table", "path", "settled"],
        )
        engine.insert("lake_files", rows, "files")


def _rows(table: Table) -> str:
    """The rows of a table, each once."""
    source = f"lake_objects_{table.name}"
    named = f"SELECT path FROM lake_files WHERE table = '{table.name}' AND settled ="
    key = ", ".join(("chain", *table.key))
    ranked = "ORDER BY version DESC " if table.ranked else ""
    return (
        f"SELECT * FROM {source} WHERE _path IN ({named} true) UNION ALL "
        f"SELECT * FROM {source} WHERE _path IN ({named} false) {ranked}LIMIT 1 BY {key}"
    )


def clickhouse_type(field: Any) -> str:
    """The type of a field of a lake's schema."""
    if pa.types.is_fixed_size_binary(field.type):
        return f"FixedString({field.type.byte_width})"
    name = _TYPES[field.type]
    return f"Nullable({name})" if field.nullable else name


def _as_warm(table: Table, columns: list[tuple[str, str, str, str]]) -> str:
    """The columns of the warm table, of its types and with its computed ones."""
    fields: dict[str, Any] = {field.name: field for field in table.schema}
    selected: list[str] = []
    for name, kind, default_kind, default in columns:
        if default_kind == "ALIAS":
            selected.append(f"CAST({default}, '{_quote(kind)}') AS {name}")
        elif name == "chain":
            selected.append("chain")
        elif name not in fields:
            selected.append(f"defaultValueOfTypeName('{_quote(kind)}') AS {name}")
        elif fields[name].nullable:
            selected.append(
                f"CAST(ifNull({name}, toDateTime64(0, 3, 'UTC')), '{_quote(kind)}') AS {name}"
            )
        elif clickhouse_type(fields[name]) != kind:
            selected.append(f"CAST({name}, '{_quote(kind)}') AS {name}")
        else:
            selected.append(name)
    return ", ".join(selected)


def _slots(columns: list[tuple[str, str, str, str]]) -> str:
    """A row a slot: of its blocks the one that came last, of each batch of it the status with the
    highest commitment, added up. Reports of gaps are none of it."""
    selected: list[str] = []
    for name, kind, _, _ in columns:
        if name in ("chain", "slot", "blockhash"):
            selected.append(name)
        elif name == "first_seen":
            selected.append("min(b.first_seen) AS first_seen")
        elif name == "block_time":
            selected.append(
                "CAST(ifNull(max(b.block_time), toDateTime64(0, 3, 'UTC')), "
                f"'{_quote(kind)}') AS block_time"
            )
        elif name not in ("source", "run_id", *TABLES["slot_batches"].schema.names):
            selected.append(f"defaultValueOfTypeName('{_quote(kind)}') AS {name}")
        elif kind.startswith("UInt") and name not in _NOT_SUMMED:
            selected.append(
                f"CAST(if(countIf(b.seq >= 0) > 0, sumIf(b.{name}, b.seq >= 0), max(b.{name})), "
                f"'{_quote(kind)}') AS {name}"
            )
        else:
            selected.append(f"CAST(max(b.{name}), '{_quote(kind)}') AS {name}")
    none = f"unhex('{NO_KEY.hex()}')"
    return (
        f"SELECT {', '.join(selected)} FROM ("
        "SELECT * FROM lake_slot_batches WHERE reporter = '' "
        "ORDER BY commitment DESC, version DESC LIMIT 1 BY chain, slot, blockhash, seq) AS b "
        "GROUP BY chain, slot, blockhash "
        f"ORDER BY blockhash != {none} DESC, version DESC LIMIT 1 BY chain, slot"
    )


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
