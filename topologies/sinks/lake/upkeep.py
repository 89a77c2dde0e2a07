"""What a lake needs now and then: merging small files, dropping old ones, clearing what is left.

None of it disturbs sinks or readers: files are replaced by a commit, and those that no longer
count are deleted after a grace period, when nobody can be reading them any more.
"""

# The stubs of pyarrow leave the parameters of its generic classes open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from mevstream.topologies.sinks.lake.files import FileWriter
from mevstream.topologies.sinks.lake.manifest import (
    Commit,
    DataFile,
    Manifest,
    State,
    new_name,
    total,
)
from mevstream.topologies.sinks.lake.storage import LakeError, Storage
from mevstream.topologies.sinks.lake.tables import GROUP_TRANSACTIONS, TABLES, Table

# Rows in one piece of a merge; a piece is whole slots.
_PIECE = GROUP_TRANSACTIONS


@dataclass(slots=True)
class Done:
    """What was done to one hour of one table."""

    table: str
    chain: str
    hour: int
    before: list[DataFile]
    after: list[DataFile]

    @property
    def copies(self) -> int:
        """Rows that were there more than once."""
        return total(self.before)[0] - total(self.after)[0]


@dataclass(slots=True)
class Cleared:
    """Objects that were deleted."""

    replaced: int = 0
    orphans: int = 0
    drafts: int = 0


def compact(
    storage: Storage,
    *,
    target_bytes: int = 128 << 20,
    settle_seconds: float = 300,
) -> Iterator[Done]:
    """Merges the files of every hour that has more than one, or one that may hold copies, into
    sorted files of about `target_bytes` in which every row is once. Hours that got a file in the
    last `settle_seconds` are left for later. Yields each hour when it is done."""
    now = time.time_ns()
    for (name, chain, hour), files in list(Manifest(storage).existing().hours()):
        if name not in TABLES or is_settled(files):
            continue
        if max(file.written_ns for file in files) > now - int(settle_seconds * 1e9):
            continue
        merged = new_name()
        after = _merge(storage, TABLES[name], chain, hour, files, target_bytes, merged)
        manifest = Manifest(storage)
        manifest.commit(Commit("replace", add=after, drop=[file.path for file in files]))
        current = manifest.load().files
        # Another compaction may have been first.
        if all(file.path in current for file in after):
            yield Done(name, chain, hour, files, after)


def is_settled(files: Sequence[DataFile]) -> bool:
    """Whether the files of an hour have no row in common: one compaction made all of them."""
    return len({file.merged for file in files}) == 1 and files[0].merged != ""


def expire(storage: Storage, *, days: float) -> list[DataFile]:
    """Takes away files whose hour and whose writing both lie more than `days` back, and returns
    them. (A block from last year that is stored today lives as long as one of today.)"""
    oldest = time.time() - days * 86400
    manifest = Manifest(storage)
    old = [
        file
        for file in manifest.existing().files.values()
        if max((file.hour + 1) * 3600, file.written_ns / 1e9) < oldest
    ]
    if old:
        manifest.commit(Commit("remove", drop=[file.path for file in old]))
    return old


def clear(storage: Storage, *, grace_seconds: float) -> Cleared:
    """Deletes, once they are older than the grace period: files that no longer count, files that
    no commit ever named, and drafts of writers that are gone. Then sums up the manifest."""
    cleared = Cleared(drafts=storage.sweep(grace_seconds))
    oldest = time.time() - grace_seconds
    # Listed before the manifest is read: what was committed in between is no orphan.
    objects = [stored for table in TABLES for stored in storage.list(table)]
    manifest = Manifest(storage)
    state = manifest.load()
    gone = {path for path, when in state.removed.items() if when / 1e9 <= oldest}
    for path in gone:
        storage.delete(path)
        cleared.replaced += 1
    for stored in objects:
        if is_orphan(stored.path, state) and stored.changed <= oldest:
            storage.delete(stored.path)
            cleared.orphans += 1
    if state.folded or gone:
        manifest.checkpoint(grace_seconds=grace_seconds, gone=gone)
    return cleared


def is_orphan(path: str, state: State) -> bool:
    return path not in state.files and path not in state.removed


def _merge(
    storage: Storage,
    table: Table,
    chain: str,
    hour: int,
    files: Sequence[DataFile],
    target_bytes: int,
    merged: str,
) -> list[DataFile]:
    offsets: dict[str, tuple[int, int]] = {}
    for file in files:
        for place, (first, last) in file.offsets.items():
            before = offsets.get(place, (first, last))
            offsets[place] = min(before[0], first), max(before[1], last)
    written_ns = max(file.written_ns for file in files)
    pieces = _pieces(storage, table, files)
    result: list[DataFile] = []
    for rows in pieces:
        with FileWriter(storage, table, chain, hour) as writer:
            writer.write(rows)
            while writer.bytes < target_bytes and (rows := next(pieces, None)) is not None:
                writer.write(rows)
            file = writer.finish(written_ns=written_ns, offsets=offsets, merged=merged)
            result += [file] if file is not None else []
    return result


def _pieces(storage: Storage, table: Table, files: Sequence[DataFile]) -> Iterator[pa.RecordBatch]:
    """All rows of the files in the table's order, each once; memory holds one piece, and the row
    groups that it comes from."""
    with ExitStack() as stack:
        sources: list[tuple[pq.ParquetFile, list[tuple[int, int, int]]]] = []
        for file in files:
            data = stack.enter_context(storage.open(file.path))
            try:
                parquet = pq.ParquetFile(data)
                sources.append((parquet, _row_groups(parquet)))
            except (pa.ArrowInvalid, OSError) as error:
                raise LakeError(f"lake {storage.url}: {file.path} is damaged: {error}") from None
        starts = sorted((first, rows) for _, groups in sources for first, _, rows in groups)
        cuts: list[int] = []
        size = 0
        for first, rows in starts:
            if not cuts or (size >= _PIECE and first > cuts[-1]):
                cuts.append(first)
                size = 0
            size += rows
        for begin, end in itertools.pairwise([*cuts, 1 << 64]):
            tables: list[pa.Table] = []
            for parquet, groups in sources:
                wanted = [i for i, (lo, hi, _) in enumerate(groups) if lo < end and hi >= begin]
                if wanted:
                    rows = _conform(parquet.read_row_groups(wanted, use_threads=False), table)
                    slots = rows.column("slot").to_numpy()
                    inside = slots >= begin
                    if end < 1 << 64:
                        inside &= slots < end
                    tables.append(rows.filter(pa.array(inside)))
            whole = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
            for batch in whole.to_batches():
                yield without_copies(table, table.sorted(batch))


def _row_groups(parquet: pq.ParquetFile) -> list[tuple[int, int, int]]:
    """(lowest slot, highest slot, rows) of each."""
    index = parquet.schema_arrow.names.index("slot")
    result: list[tuple[int, int, int]] = []
    for i in range(parquet.metadata.num_row_groups):
        group = parquet.metadata.row_group(i)
        statistics: Any = group.column(index).statistics
        result.append((statistics.min, statistics.max, group.num_rows))
    return result


def _conform(rows: pa.Table, table: Table) -> pa.Table:
    """Rows as this version writes them: a column that an earlier one did not have is null, or 0
    where there is no null."""
    if strangers := set(rows.schema.names) - set(table.schema.names):
        raise LakeError(
            f"the lake's table {table.name} has columns of a newer version: "
            f"{', '.join(sorted(strangers))}"
        )
    columns: list[Any] = []
    for column in table.schema:
        if column.name in rows.schema.names:
            columns.append(rows.column(column.name).cast(column.type))
        else:
            empty = None if column.nullable else _zero(column.type)
            columns.append(pa.chunked_array([pa.array([empty] * len(rows), column.type)]))
    return pa.Table.from_arrays(columns, schema=table.schema)


def _zero(type_: pa.DataType) -> object:
    if pa.types.is_fixed_size_binary(type_):
        return bytes(type_.byte_width)
    if pa.types.is_binary(type_):
        return b""
    if pa.types.is_list(type_):
        return []
    return "" if pa.types.is_string(type_) or pa.types.is_dictionary(type_) else 0


def without_copies(table: Table, rows: pa.RecordBatch) -> pa.RecordBatch:
    """Sorted rows without those that have the key of another one: the first of them stays, in a
    table that is ranked the one with the largest version."""
    if rows.num_rows < 2:
        return rows
    alike = np.ones(rows.num_rows - 1, dtype=bool)
    for name in table.order:
        values = rows.column(name).to_numpy(zero_copy_only=False)
        alike &= values[1:] == values[:-1]
    if not alike.any():
        return rows
    # Only rows that share their place in the order with a neighbour can be copies.
    suspect = np.append(alike, False) | np.insert(alike, 0, False)
    places = np.flatnonzero(suspect)
    if table.ranked:
        versions: Any = rows.column("version").to_numpy()[places]
        places = places[np.argsort(versions, kind="stable")[::-1]]
    indexes: Any = pa.array(places)
    columns = {name: _comparable(rows.column(name).take(indexes)) for name in table.key}
    first = (
        pa.table({**columns, "_row": indexes})
        .group_by(list(columns), use_threads=False)
        .aggregate([("_row", "first")])
        .column("_row_first")
        .to_numpy()
    )
    keep = ~suspect
    keep[first] = True
    return rows.filter(pa.array(keep))


def _comparable(column: Any) -> Any:
    if isinstance(column, pa.DictionaryArray):
        return column.dictionary_decode()
    if pa.types.is_list(column.type):
        return pa.array([orjson.dumps(value) for value in column.to_pylist()], pa.binary())
    return column
