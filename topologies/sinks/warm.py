"""The warm store's sink on Kafka: records of the chain's topics become rows of a ClickHouse server.

Several instances share the partitions. Rows come first, then the marks of the parts they are of
(`slot_parts`), then the rows of `slots` that follow from the marks. What a reader may rely on:

- The views, and tables with FINAL: every row once, whatever came twice and whoever was killed when.
- `slots`: counts of what is stored; batches = batches_total where all of it is.
- Tables without FINAL: a part that comes again, from other offsets too, is recognised by its mark
  and skipped, and an insert that is repeated is recognised by its token (topic, partition and
  offsets of the records in it). Rows are there twice, until ClickHouse merges them, only where an
  instance was killed between rows and mark; single transactions of unknown blocks, which have no
  marks; `market_data`, those of opportunities, `slot_batches` and `slot_gaps`, where a record came
  again.

Of two blocks of a slot the later one counts (parts.py); the views show no other in the meantime.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from google.protobuf.message import DecodeError

from mevstream.codecs.features import FeatureView
from mevstream.codecs.opportunities import OpportunityView
from mevstream.codecs.parsed import ParsedMessage, read_parsed
from mevstream.errors import InputError
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import DEAD_LETTER, FEATURES, OPPORTUNITIES, PARSED, SLOTS
from mevstream.topologies.parsed.slots import batch_status
from mevstream.topologies.sinks import migrations
from mevstream.topologies.sinks.columns import PARSED_TABLES, Flush, Rows, Run, key_bytes
from mevstream.topologies.sinks.engine import Engine
from mevstream.topologies.sinks.market import market_rows
from mevstream.topologies.sinks.opportunities import TABLES as OPPORTUNITY_TABLES
from mevstream.topologies.sinks.opportunities import completing_blocks, opportunity_rows
from mevstream.topologies.sinks.parts import (
    Plan,
    changed,
    find_marks,
    given_way,
    plan_parts,
    remove_blocks,
    slot_states,
)
from mevstream.topologies.sinks.rows import (
    batch_rows,
    dead_letter_rows,
    gap_rows,
    part_rows,
    slot_rows,
)
from mevstream.topologies.sinks.statements import (
    SINGLE,
    Block,
    Slot,
    among,
    count_single,
    new_letters,
)
from mevstream.topologies.sinks.stream import Delivery, StreamSink

Value = ParsedMessage | FeatureView | OpportunityView | SlotStatus | DeadLetter


@dataclass(frozen=True, slots=True)
class WarmItem:
    """A record that was read, and where it lay."""

    topic: str
    partition: int
    offset: int
    value: Value


@dataclass(slots=True)
class Stored:
    """What this instance has written, in rows, and the parts that were there already."""

    transactions: int = 0
    swaps: int = 0
    candles: int = 0
    opportunities: int = 0
    slots: int = 0
    dead_letters: int = 0
    known_parts: int = 0

    def add(self, other: "Stored") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class WarmSink(StreamSink[WarmItem]):
    """Writes to what `connect` makes when the sink is opened.

    votes: vote transactions become rows, too (`slots` counts them in any case).
    """

    name = "clickhouse"
    topics = (PARSED, FEATURES, OPPORTUNITIES, SLOTS, DEAD_LETTER)

    def __init__(self, connect: Callable[[], Engine], *, votes: bool = False) -> None:
        self._connect = connect
        self._votes = votes
        self._engine: Engine | None = None
        self.run_id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        self.stored = Stored()

    def open(self) -> None:
        self.close()
        engine = self._connect()
        try:
            migrations.migrate(engine)
        except BaseException:
            engine.close()
            raise
        self._engine = engine

    def read(self, delivery: Delivery) -> WarmItem:
        value = _READERS[delivery.topic](delivery)
        return WarmItem(delivery.topic, delivery.partition, delivery.offset, value)

    def transactions(self, item: WarmItem) -> int:
        return item.value.n_home if isinstance(item.value, ParsedMessage) else 0

    def store(self, items: Sequence[WarmItem]) -> None:
        if self._engine is None:
            raise RuntimeError("the sink is not open")
        run = Run(self.run_id, version=time.time_ns())
        stored = _Store(self._engine, run, items, self._votes).write()
        self.stored.add(stored)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


class _Store:
    """One call of `store`. Run again after a failure it finds what it had done by then in the
    marks, or the server finds it by the token."""

    def __init__(self, engine: Engine, run: Run, items: Sequence[WarmItem], votes: bool) -> None:
        self._engine = engine
        self._run = run
        self._items = {id(item.value): item for item in items}
        batches = [item.value for item in items if isinstance(item.value, ParsedMessage)]
        self._batches = [batch for batch in batches if batch.blockhash]
        self._single = [batch for batch in batches if not batch.blockhash]
        self._features = [item.value for item in items if isinstance(item.value, FeatureView)]
        self._found = [item.value for item in items if isinstance(item.value, OpportunityView)]
        self._statuses = [item.value for item in items if isinstance(item.value, SlotStatus)]
        self._letters = [item.value for item in items if isinstance(item.value, DeadLetter)]
        self._votes = votes
        self._stored = Stored()

    def write(self) -> Stored:
        slots = {(batch.chain, batch.slot) for batch in (*self._batches, *self._single)}
        marks = find_marks(self._engine, slots)
        plan = plan_parts(self._batches, marks, self._run.version)
        self._stored.known_parts = len(self._batches) - len(plan.parts)
        # A single transaction gives way to the block of its slot.
        blocks = {key[:2] for key in marks} | {(b.chain, b.slot) for b in self._batches}
        single = [batch for batch in self._single if (batch.chain, batch.slot) not in blocks]
        self._write_rows([*plan.batches, *single])
        self._write_marks(plan)
        self._write_slots(slots & blocks)
        self._write_candles()
        self._write_opportunities()
        self._write_letters()
        self._write_single_slots(single)
        self._write_told()
        return self._stored

    def _write_rows(self, batches: list[ParsedMessage]) -> None:
        if not batches:
            return
        rows: list[Rows] = [
            "all" if self._votes or not batch.blockhash else "no votes" for batch in batches
        ]
        flush = Flush(batches, rows, self._run)
        for table in PARSED_TABLES:
            if flush.size(table):
                self._engine.insert(table, flush.rows(table), self._token(batches))
        self._stored.transactions, self._stored.swaps = flush.n_transactions, flush.n_swaps

    def _write_marks(self, plan: Plan) -> None:
        if plan.parts:
            # No token: a mark may come back to what it was before, and has to be taken then.
            self._engine.insert("slot_parts", part_rows(plan.parts, self._run), "")

    def _write_slots(self, slots: set[Slot]) -> None:
        """Brings `slots` to what the marks say, also where nothing new came: a writer before may
        have been cut off here."""
        states = slot_states(self._engine, slots)
        differ, gathered = changed(self._engine, {k: s.status for k, s in states.items()})
        replaced: list[Block] = [
            (*slot, blockhash) for slot, state in states.items() for blockhash in state.replaced
        ]
        rows = [states[slot] for slot in differ]
        if rows:
            statuses, versions = [state.status for state in rows], [state.version for state in rows]
            self._engine.insert("slots", slot_rows(statuses, self._run, versions), "")
        if gathered:
            for table in (*PARSED_TABLES, *OPPORTUNITY_TABLES):
                self._engine.execute(f"DELETE FROM {table} WHERE {among(gathered)} AND {SINGLE}")
        remove_blocks(self._engine, replaced)
        self._stored.slots += len(rows)

    def _write_single_slots(self, batches: Iterable[ParsedMessage]) -> None:
        """Rows of `slots` for those that gather single transactions."""
        statuses: dict[Slot, SlotStatus] = {}
        for batch in batches:
            status = statuses[batch.chain, batch.slot] = batch_status(batch, 0)
            status.ClearField("seq")
            status.batches = status.batches_total = 1
        if not statuses:
            return
        versions = dict.fromkeys(statuses, self._run.version)
        for chain, slot, version in self._engine.rows(
            "SELECT chain, slot, max(version) + count() FROM transactions FINAL "
            f"WHERE {among(statuses)} AND {SINGLE} GROUP BY chain, slot"
        ):
            versions[chain, slot] = version
        count_single(self._engine, statuses)
        rows, _ = changed(self._engine, statuses)
        if rows:
            self._engine.insert(
                "slots",
                slot_rows([statuses[k] for k in rows], self._run, [versions[k] for k in rows]),
                "",
            )
        self._stored.slots += len(rows)

    def _write_candles(self) -> None:
        views = [view for view in self._features if view.n_candles]
        if not views:
            return
        gone = given_way(self._engine, {(c.chain, c.slot) for view in views for c in view.closed})
        rows = market_rows(
            views,
            self._run,
            lambda closed: (closed.chain, closed.slot, key_bytes(closed.blockhash)) not in gone,
        )
        if rows.num_rows:
            # The rows depend on the marks of this moment, so the token does, too.
            self._engine.insert("market_data", rows, f"{self._token(views)}/{rows.num_rows}")
        self._stored.candles = rows.num_rows

    def _write_opportunities(self) -> None:
        views = [view for view in self._found if view.n_opportunities]
        if not views:
            return
        blocks = {block for view in views for block in completing_blocks(view)}
        gone = given_way(self._engine, {(chain, slot) for chain, slot, _ in blocks})
        tables = opportunity_rows(views, self._run, lambda block: block not in gone)
        for table, rows in tables.items():
            if rows.num_rows:
                # As for candles.
                self._engine.insert(table, rows, f"{self._token(views)}/{rows.num_rows}")
        self._stored.opportunities = tables["opportunities"].num_rows

    def _write_letters(self) -> None:
        letters = new_letters(self._engine, self._letters)
        if letters:
            rows = dead_letter_rows(letters, self._run)
            self._engine.insert("dead_letters", rows, self._token(letters))
        self._stored.dead_letters = len(letters)

    def _write_told(self) -> None:
        """What mev.slots tells: counts of batches of known blocks, and gaps."""
        batches = [s for s in self._statuses if s.HasField("seq") and s.blockhash]
        gaps = [s for s in self._statuses if s.reporter]
        if batches:
            rows = batch_rows(batches, self._run)
            self._engine.insert("slot_batches", rows, self._token(batches))
        if gaps:
            self._engine.insert("slot_gaps", gap_rows(gaps, self._run), self._token(gaps))

    def _token(self, values: Sequence[Value]) -> str:
        """topic/partition/offsets of the records that these values are, and a digest of them, for
        there may be records in between that were left out."""
        offsets: dict[tuple[str, int], list[int]] = {}
        for value in values:
            item = self._items[id(value)]
            offsets.setdefault((item.topic, item.partition), []).append(item.offset)
        places = sorted(offsets.items())
        digest = hashlib.blake2b(repr(places).encode(), digest_size=8).hexdigest()
        ranges = (f"{topic}/{n}/{min(found)}-{max(found)}" for (topic, n), found in places)
        return f"{','.join(ranges)}#{digest}"


def _read_parsed(delivery: Delivery) -> ParsedMessage:
    return read_parsed(delivery.value)


def _read_features(delivery: Delivery) -> FeatureView:
    view = FeatureView(delivery.value)
    view.validate()
    return view


_MessageT = TypeVar("_MessageT", SlotStatus, DeadLetter)


def _read_opportunities(delivery: Delivery) -> OpportunityView:
    view = OpportunityView(delivery.value)
    view.validate()
    return view


def _reader(kind: type[_MessageT]) -> Callable[[Delivery], _MessageT]:
    def read(delivery: Delivery) -> _MessageT:
        try:
            return kind.FromString(delivery.value)
        except DecodeError:
            raise InputError(f"{delivery.topic}: not a {kind.__name__} message") from None

    return read


_READERS: dict[str, Callable[[Delivery], Value]] = {
    PARSED: _read_parsed,
    FEATURES: _read_features,
    OPPORTUNITIES: _read_opportunities,
    SLOTS: _reader(SlotStatus),
    DEAD_LETTER: _reader(DeadLetter),
}
