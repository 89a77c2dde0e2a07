"""The warm store's sink: the topics of the chain become rows of ClickHouse.

A slot is stored in this order: whatever the store has of another block of that slot goes, the
slot's row first; its transactions, what they did, candles, opportunities and dead letters come; its
row in `slots` last. That row is the commit mark. A slot that has one is complete and is skipped
when it comes again; a slot that has none was cut off, and the next writer removes what there is of
it. So whatever is run twice, or killed and run again, leaves the rows of one run.

Single transactions whose block nobody knows (no blockhash) cannot replace a block: they are
identified by their signature, gather in their slot, and give way to the block when it comes.
"""

import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from mevstream.codecs.features import FeatureView
from mevstream.codecs.opportunities import OpportunityView
from mevstream.codecs.parsed import ParsedView, view_parsed
from mevstream.errors import InputError
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.features_pb2 import ClosedSlot
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import (
    DEAD_LETTER,
    FEATURES,
    OPPORTUNITIES,
    PARSED,
    SLOTS,
    Record,
)
from mevstream.topologies.sinks import engine, migrations, opportunities
from mevstream.topologies.sinks.base import Sink
from mevstream.topologies.sinks.columns import NO_KEY, PARSED_TABLES, Flush, Rows, Run
from mevstream.topologies.sinks.market import market_rows
from mevstream.topologies.sinks.rows import dead_letter_rows, read_message, slot_rows
from mevstream.topologies.sinks.statements import (
    SINGLE,
    Block,
    Slot,
    Transaction,
    among,
    count_single,
    new_letters,
)

_OF_STATE = ("market_data", *opportunities.TABLES)
ROW_TABLES = (*PARSED_TABLES, *_OF_STATE, "dead_letters")


class Engine(engine.Engine, Protocol):
    """What the sink needs of ClickHouse beside statements and inserts: to tell a clean end."""

    def begin_writing(self) -> bool: ...

    def end_writing(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When a buffer is written, whatever comes first. Without `seconds` the boundaries depend on
    the records alone, and a second run over the same input inserts the same blocks."""

    transactions: int = 1 << 15
    bytes: int = 48 << 20
    seconds: float | None = None


@dataclass(slots=True)
class Stored:
    """What a sink has done so far, in rows."""

    transactions: int = 0
    swaps: int = 0
    candles: int = 0
    opportunities: int = 0
    slots: int = 0
    dead_letters: int = 0
    skipped_slots: int = 0
    replaced_slots: int = 0

    def add(self, other: "Stored") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a flush does, decided once: a flush that is repeated must not decide again, because
    what it finds in the store by then is partly its own."""

    run: Run
    token: str
    keep: dict[Block, bool]
    known: set[Transaction]
    """Single transactions that the store has."""
    known_opportunities: set[bytes]
    """Ids of those that single transactions completed and the store has."""


@dataclass(slots=True)
class _Buffer:
    views: list[ParsedView] = field(default_factory=list[ParsedView])
    features: list[FeatureView] = field(default_factory=list[FeatureView])
    opportunities: list[OpportunityView] = field(default_factory=list[OpportunityView])
    slots: list[SlotStatus] = field(default_factory=list[SlotStatus])
    letters: list[DeadLetter] = field(default_factory=list[DeadLetter])
    transactions: int = 0
    bytes: int = 0
    since: float = field(default_factory=time.monotonic)
    plan: _Plan | None = None

    def __bool__(self) -> bool:
        return bool(self.views or self.features or self.opportunities or self.slots or self.letters)

    def reached(self, limits: Limits) -> bool:
        return (
            self.transactions >= limits.transactions
            or self.bytes >= limits.bytes
            or (limits.seconds is not None and time.monotonic() - self.since >= limits.seconds)
        )


class ClickHouseSink(Sink):
    """Writes through `engine`, which it owns from `open` to `close`.

    votes: vote transactions become rows, too (`slots` counts them in any case).
    replace: a slot that is complete in the store is written anew instead of being skipped.
    run_id: what the rows tell as the run that wrote them; else the time and a random part.
    stateful: False where nothing will come of the links with state: the candles and opportunities
        of a slot that is replaced stay.
    """

    topics = frozenset({PARSED, FEATURES, OPPORTUNITIES, SLOTS, DEAD_LETTER})

    def __init__(
        self,
        engine: Engine,
        *,
        votes: bool = False,
        replace: bool = False,
        limits: Limits | None = None,
        run_id: str | None = None,
        stateful: bool = True,
    ) -> None:
        self._engine = engine
        self._votes = votes
        self._tables = [name for name in ROW_TABLES if stateful or name not in _OF_STATE]
        self._replace = replace
        self._limits = limits or Limits()
        self._buffer = _Buffer()
        # Blocks whose first rows were flushed and whose row in `slots` was not: whether they are
        # being stored (else they are passed over).
        self._begun: dict[Block, bool] = {}
        self._flushes = 0
        # A name that is given may be given twice, and then no insert is a copy of an earlier one.
        self._session = secrets.token_hex(8)
        self.run_id = (
            run_id or f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{self._session[:6]}"
        )
        self.stored = Stored()

    def open(self) -> None:
        migrations.migrate(self._engine)
        if not self._engine.begin_writing():
            self._remove_unfinished()

    def write(self, record: Record) -> None:
        buffer = self._buffer
        if record.topic == PARSED:
            view = view_parsed(record.value)
            buffer.views.append(view)
            buffer.transactions += view.n_tx
        elif record.topic == FEATURES:
            features = FeatureView(record.value)
            if not features.closed:
                return  # no candles
            features.validate()
            buffer.features.append(features)
        elif record.topic == OPPORTUNITIES:
            found = OpportunityView(record.value)
            if not found.n_opportunities:
                return
            found.validate()
            buffer.opportunities.append(found)
        elif record.topic == SLOTS:
            buffer.slots.append(read_message(SlotStatus, record.topic, record.value))
        elif record.topic == DEAD_LETTER:
            buffer.letters.append(read_message(DeadLetter, record.topic, record.value))
        else:
            raise InputError(f"the warm store takes no records of {record.topic}")
        buffer.bytes += len(record.value)
        if buffer.reached(self._limits):
            self.flush()

    def flush(self) -> None:
        buffer = self._buffer
        if not buffer:
            return
        if buffer.plan is None:
            buffer.plan = self._prepare(buffer)
        self._store(buffer, buffer.plan)
        self._buffer = _Buffer()
        self._flushes += 1

    def abandon(self) -> None:
        blocks = [block for block, kept in self._begun.items() if kept and block[2] != NO_KEY]
        self._delete(self._tables, {block[:2] for block in blocks})
        for block in blocks:
            del self._begun[block]

    def close(self) -> None:
        if not self._buffer and not any(self._begun.values()):
            self._engine.end_writing()
        self._engine.close()

    # -- what a flush does --------------------------------------------------------------------

    def _prepare(self, buffer: _Buffer) -> _Plan:
        """Decides which blocks are stored and removes from the store what they replace."""
        keep = dict(self._begun)
        chosen: dict[Slot, Block] = {}
        commitment: dict[Block, int] = {}
        for view in buffer.views:
            block = _block(view)
            commitment[block] = max(view.commitment, commitment.get(block, 0))
            # Of two blocks of one slot the later stays, of a block and single transactions
            # the block.
            if block[:2] not in chosen or block[2] != NO_KEY:
                chosen[block[:2]] = block
        keep.update((block, False) for block in commitment if chosen[block[:2]] != block)
        new = {slot: block for slot, block in chosen.items() if block not in keep}
        found = self._find(new)
        replaced: set[Slot] = set()
        gathered: set[Slot] = set()
        for slot, block in new.items():
            known, complete, status = found.get(slot, (None, False, 0))
            for rival in [begun for begun in self._begun if begun[:2] == slot]:
                keep[rival] = False
                replaced.add(slot)
            if block[2] == NO_KEY:
                keep[block] = known in (None, NO_KEY)
                if known == NO_KEY:
                    gathered.add(slot)
            elif known == block[2] and complete and status >= commitment[block]:
                keep[block] = self._replace
                if self._replace:
                    replaced.add(slot)
            else:
                keep[block] = True
                if known is not None:
                    replaced.add(slot)
        self._delete(("slots", *self._tables), replaced)
        self.stored.replaced_slots += len(replaced)
        return _Plan(
            run=Run(self.run_id, version=time.time_ns()),
            token=f"{self._session}/{self._flushes}",
            keep=keep,
            known=self._gathered(gathered),
            known_opportunities=self._found_single(buffer.opportunities),
        )

    def _store(self, buffer: _Buffer, plan: _Plan) -> None:
        """Rows first, then the rows in `slots` that make them count."""
        views = [view for view in buffer.views if plan.keep[_block(view)]]
        stored = Stored()
        if views:
            flush = Flush(views, self._rows_of(views, plan.known), plan.run)
            stored.transactions, stored.swaps = flush.n_transactions, flush.n_swaps
            for table in PARSED_TABLES:
                if flush.size(table):
                    self._insert(table, flush.rows(table), plan)
        candles = market_rows(
            buffer.features, plan.run, lambda slot: plan.keep.get(_block(slot), False)
        )
        stored.candles = candles.num_rows
        self._insert("market_data", candles, plan)
        found = opportunities.opportunity_rows(
            buffer.opportunities,
            plan.run,
            lambda block: plan.keep.get(block, False),
            plan.known_opportunities,
        )
        stored.opportunities = found["opportunities"].num_rows
        for table, rows in found.items():
            self._insert(table, rows, plan)
        letters = new_letters(self._engine, buffer.letters)
        stored.dead_letters = len(letters)
        self._insert("dead_letters", dead_letter_rows(letters, plan.run), plan)

        slots: dict[Slot, SlotStatus] = {}
        for status in buffer.slots:
            if plan.keep.get(_block(status), False):
                slots[status.chain, status.slot] = status
            else:
                stored.skipped_slots += 1
        gathered = {slot: status for slot, status in slots.items() if not status.blockhash}
        count_single(self._engine, gathered)
        stored.slots = len(slots)
        self._insert("slots", slot_rows(slots.values(), plan.run), plan)
        before = {transaction[:2] for transaction in plan.known} & gathered.keys()
        self._delete(("slots",), before, f"version < {plan.run.version}")
        ended = {_block(status) for status in buffer.slots}
        self._begun = {block: kept for block, kept in plan.keep.items() if block not in ended}
        self.stored.add(stored)

    def _insert(self, table: str, rows: pa.RecordBatch, plan: _Plan) -> None:
        if rows.num_rows:
            self._engine.insert(table, rows, f"{plan.token}/{table}")

    def _find(self, slots: Collection[Slot]) -> dict[Slot, tuple[bytes, bool, int]]:
        """What `slots` has: slot → (blockhash, complete, commitment)."""
        if not slots:
            return {}
        rows = self._engine.rows(
            "SELECT chain, slot, blockhash, batches > 0 AND batches = batches_total, "
            "toInt8(commitment) "
            f"FROM slots FINAL WHERE {among(slots)}"
        )
        return {
            (chain, slot): (blockhash, bool(complete), commitment)
            for chain, slot, blockhash, complete, commitment in rows
        }

    def _delete(self, tables: Iterable[str], slots: Collection[Slot], also: str = "1") -> None:
        if slots:
            for table in tables:
                self._engine.execute(f"DELETE FROM {table} WHERE {among(slots)} AND {also}")

    def _rows_of(self, views: Iterable[ParsedView], known: Collection[Transaction]) -> list[Rows]:
        """Which transactions of each batch become rows: all but votes, or all; of single
        transactions those that are not `known` yet."""
        rows: list[Rows] = []
        seen: set[tuple[Transaction, int]] = set()
        for view in views:
            if view.blockhash:
                rows.append("all" if self._votes else "no votes")
                continue
            new = np.zeros(view.n_tx, dtype=bool)
            for i, signature in enumerate(view.tx_signature):
                transaction = (view.chain, view.slot, signature.tobytes())
                # A part has a copy of a transaction whose home is another one, for its swaps.
                row = (transaction, view.partition)
                new[i] = transaction not in known and row not in seen
                seen.add(row)
            rows.append(new)
        return rows

    def _gathered(self, slots: Collection[Slot]) -> set[Transaction]:
        """The single transactions that the store has of these slots."""
        if not slots:
            return set()
        return set(
            self._engine.rows(
                f"SELECT chain, slot, signature FROM transactions WHERE {among(slots)} AND {SINGLE}"
            )
        )

    def _found_single(self, views: Iterable[OpportunityView]) -> set[bytes]:
        """Of the opportunities in single transactions the ids of those that the store has."""
        slots = {
            block[:2]
            for view in views
            for block in opportunities.completing_blocks(view)
            if block[2] == NO_KEY
        }
        if not slots:
            return set()
        rows = self._engine.rows(f"SELECT id FROM opportunities WHERE {among(slots)} AND {SINGLE}")
        return {id_ for (id_,) in rows}

    def _remove_unfinished(self) -> None:
        """Removes the rows of slots that the last writer began and did not complete."""
        while self._engine.rows("SELECT 1 FROM system.mutations WHERE NOT is_done LIMIT 1"):
            time.sleep(0.02)  # deletions of that writer go on by themselves
        for table in ROW_TABLES:
            self._engine.execute(
                f"DELETE FROM {table} WHERE slot != 0 "
                "AND (chain, slot) NOT IN (SELECT chain, slot FROM slots)"
            )
        for tables, whole, key in (
            (PARSED_TABLES, "transactions", "signature"),
            (opportunities.TABLES, "opportunities", "id"),
        ):
            for table in tables:
                if table != whole:
                    self._engine.execute(
                        f"DELETE FROM {table} WHERE {SINGLE} AND (chain, slot, {key}) NOT IN "
                        f"(SELECT chain, slot, {key} FROM {whole} WHERE {SINGLE})"
                    )


def _block(of: ParsedView | SlotStatus | ClosedSlot) -> Block:
    return of.chain, of.slot, of.blockhash or NO_KEY
