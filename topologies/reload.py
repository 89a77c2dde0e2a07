"""Slots from the lake into a ClickHouse server: the rows as they lie there, not decoded again."""

# The stubs of pyarrow leave the parameters of its generic classes open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from mevstream.topologies.sinks import migrations
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.columns import PARSED_TABLES
from mevstream.topologies.sinks.engine import Engine
from mevstream.topologies.sinks.opportunities import TABLES as OPPORTUNITY_TABLES
from mevstream.topologies.sinks.opportunities import VERSION_BITS

_REPLACED = (*PARSED_TABLES, "dead_letters", "slots")
"""The row in `slots` makes the others count: it is the first to go and the last to come."""

_TABLES = (*OPPORTUNITY_TABLES, *_REPLACED)
"""Nothing tells whether the lake has all opportunities of a slot, so those that the server has are
written over and none is removed."""

# A row's precedence among those of its id, times 2 ** VERSION_BITS. What `ingested_at`, which is in
# seconds, leaves of the version is far below that.
_PRECEDENCE = (
    f"bitShiftLeft(bitShiftRight(version - toUInt64(toUnixTimestamp(ingested_at)) * 1000000000, "
    f"{VERSION_BITS}), {VERSION_BITS})"
)

_CHUNK_TRANSACTIONS = 1 << 16
_CHUNK_SLOTS = 1000

# What Arrow has in another width than ClickHouse's blocks.
_CASTS = {"Bool": "toUInt8", "Enum8": "toInt8", "DateTime": "toUInt32"}


class _Slot(NamedTuple):
    chain: str
    slot: int
    blockhash: bytes
    transactions: int


@dataclass(slots=True)
class Reloaded:
    """What was written so far; incomplete: slot → what the lake lacks of it."""

    slots: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_TABLES, 0))
    incomplete: dict[int, str] = field(default_factory=dict[int, str])
    stopped: bool = False


def reload(
    lake: ChdbEngine,
    server: Engine,
    first: int,
    last: int,
    *,
    run_id: str,
    incomplete: bool = False,
    progress: Callable[[Reloaded], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Reloaded:
    """Writes the slots `first` to `last` (inclusive) of `lake` (`lake.views.open_lake`) in place of
    what the server has of them, in pieces of whole slots; `stop` is asked between two of them.

    A piece that was cut off is written by the next call. incomplete: also slots of which the lake
    lacks batches; else these are left alone. Raises EngineError of either side.
    """
    migrations.migrate(server)
    done = Reloaded()
    columns = {table: _columns(server, table) for table in _TABLES}
    slots: list[_Slot] = []
    for one, lacks in _find(lake, first, last):
        if lacks:
            done.incomplete[one.slot] = lacks
        if not lacks or incomplete:
            slots.append(one)
    version = time.time_ns()
    for number, piece in enumerate(_pieces(slots)):
        if stop():
            done.stopped = True
            break
        span = f"slot BETWEEN {piece[0].slot} AND {piece[-1].slot}"
        places = ", ".join(f"('{_escape(one.chain)}', {one.slot})" for one in piece)
        blocks = ", ".join(
            f"('{_escape(one.chain)}', {one.slot}, unhex('{one.blockhash.hex()}'))" for one in piece
        )
        # Dead letters know their slot only.
        among = {
            table: f"(chain, slot) IN ({places})"
            if table == "dead_letters"
            else f"(chain, slot, blockhash) IN ({blocks})"
            for table in _TABLES
        }
        for table in reversed(_REPLACED):
            server.execute(f"DELETE FROM {table} WHERE (chain, slot) IN ({places})")
        token = f"reload-{secrets.token_hex(8)}-{number}"
        for table in _TABLES:
            rows = _read(lake, table, columns[table], f"{span} AND {among[table]}", run_id, version)
            for part, batch in enumerate(rows):
                server.insert(table, batch, f"{token}/{table}/{part}")
                done.rows[table] += batch.num_rows
        done.slots += len(piece)
        if progress is not None:
            progress(done)
    return done


def _find(lake: ChdbEngine, first: int, last: int) -> Iterator[tuple[_Slot, str]]:
    """The slots of the range and what each lacks. The lake gets counts and rows from different
    topics, so one may be there before the other."""
    span = f"slot BETWEEN {first} AND {last}"
    stored: dict[tuple[str, int, bytes], list[int]] = {}
    for index, (table, count) in enumerate(
        (("transactions", "countIf(NOT is_vote)"), ("swaps", "count()"))
    ):
        for *block, rows in lake.rows(
            f"SELECT toString(chain), slot, blockhash, {count} FROM {table} WHERE {span} "
            "GROUP BY ALL"
        ):
            stored.setdefault((block[0], block[1], block[2]), [0, 0])[index] = rows
    for chain, slot, blockhash, transactions, votes, swaps, batches, total in lake.rows(
        "SELECT toString(chain), slot, blockhash, transactions, votes, swaps, batches, "
        f"batches_total FROM slots WHERE {span} ORDER BY slot, chain"
    ):
        here = stored.get((chain, slot, blockhash), [0, 0])
        lacks = ""
        if batches != total:
            lacks = f"batches: it has {batches} of {total or '?'}"
        elif here != [transactions - votes, swaps]:
            lacks = f"rows: it has {here[0]} of {transactions - votes} transactions"
            lacks += f", {here[1]} of {swaps} swaps"
        yield _Slot(chain, slot, blockhash, transactions), lacks


def _pieces(slots: list[_Slot]) -> Iterator[list[_Slot]]:
    piece: list[_Slot] = []
    transactions = 0
    for slot in slots:
        piece.append(slot)
        transactions += slot.transactions
        if transactions >= _CHUNK_TRANSACTIONS or len(piece) == _CHUNK_SLOTS:
            yield piece
            piece, transactions = [], 0
    if piece:
        yield piece


def _columns(server: Engine, table: str) -> dict[str, str]:
    """The columns that an insert gives, with their types; those with a default keep it."""
    return dict(
        server.rows(
            "SELECT name, type FROM system.columns WHERE database = currentDatabase() "
            f"AND table = '{table}' AND default_kind = '' ORDER BY position"
        )
    )


def _read(
    lake: ChdbEngine, table: str, columns: dict[str, str], condition: str, run_id: str, version: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a table as its sink would make them."""
    precedence = f" + {_PRECEDENCE}" if table in OPPORTUNITY_TABLES else ""
    given = {"run_id": f"'{_escape(run_id)}'", "version": f"toUInt64({version}){precedence}"}
    selected = ", ".join(
        f"{given.get(name) or _plain(name, kind)} AS c{number}"
        for number, (name, kind) in enumerate(columns.items())
    )
    data = lake.fetch(f"SELECT {selected} FROM {table} WHERE {condition}", "ArrowStream")
    with pa.ipc.open_stream(data) as stream:
        rows = stream.read_all().combine_chunks()
    arrays: list[Any] = []
    for number, kind in enumerate(columns.values()):
        column: Any = rows.column(number)
        array = column.combine_chunks()
        if kind == "LowCardinality(String)":
            array = array.cast(pa.string()).dictionary_encode()
        arrays.append(array)
    if rows.num_rows:
        yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _plain(name: str, kind: str) -> str:
    base = kind.partition("(")[0]
    if kind == "LowCardinality(String)":
        return f"toString({name})"
    return f"{_CASTS[base]}({name})" if base in _CASTS else name


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
