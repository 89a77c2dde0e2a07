"""The parts of slots: which of them become rows, and what a slot is once they have.

A raw batch is parted by market, so a slot comes as many records through several writers. Each part
that is stored leaves a mark in `slot_parts`, and a slot's row is computed from the marks of all of
them. Its version grows with every mark, so of two writers the one that saw more marks is right.

Of several blocks of one slot the one that began last counts. Rows of the others are not stored or
go again, and their marks say so (`stored` false).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from mevstream.codecs.parsed import ParsedMessage
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.parsed.slots import SUMMED, batch_statuses
from mevstream.topologies.sinks.columns import PARSED_TABLES, key_bytes
from mevstream.topologies.sinks.engine import Engine
from mevstream.topologies.sinks.opportunities import TABLES as OPPORTUNITY_TABLES
from mevstream.topologies.sinks.rows import Part
from mevstream.topologies.sinks.statements import Block, Slot, among

_Key = tuple[str, int, bytes, int, int, int]
"""chain, slot, blockhash, seq, partitions, partition: the sorting key of `slot_parts`."""

_Rank = tuple[int, int, bool]
"""When a block began, the version of its first mark, whether it has rows: of several blocks the one
with the largest counts."""

_COMPARED = ("batches_total", "transactions", "swaps", "fee_lamports", "compute_units")
"""Counts by which a part is known to be the one that is stored."""

_ENVELOPE = ("parent_slot", "parent_blockhash", "block_height", "source")
_COUNTS = tuple(name for name in SUMMED if name != "batches")


@dataclass(frozen=True, slots=True)
class _Mark:
    counts: tuple[int, ...]
    stored: bool
    began: int
    commitment: int
    first_seen: int
    version: int


Marks = dict[_Key, _Mark]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of parts comes to: `batches` become rows, `parts` marks; the others are known."""

    batches: list[ParsedMessage]
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class SlotState:
    """A slot as the marks tell it: the row that `slots` should have, and its version. `replaced`
    are the blocks that do not count and have rows."""

    status: SlotStatus
    version: int
    replaced: tuple[bytes, ...]


def find_marks(engine: Engine, slots: Collection[Slot]) -> Marks:
    """The marks that the store has of these slots."""
    if not slots:
        return {}
    compared = ", ".join(_COMPARED)
    rows = engine.rows(
        "SELECT chain, slot, blockhash, seq, partitions, partition, toUInt8(stored), began, "
        f"toInt8(commitment), toUnixTimestamp64Nano(first_seen), version, {compared} "
        f"FROM slot_parts FINAL WHERE {among(slots)}"
    )
    return {
        cast("_Key", row[:6]): _Mark(row[11:], bool(row[6]), row[7], row[8], row[9], row[10])
        for row in rows
    }


def plan_parts(batches: Sequence[ParsedMessage], marks: Marks, version: int) -> Plan:
    """Decides on `batches`, parts of known blocks in the order in which they came.

    `version` is that of the marks to be made: nanoseconds, later than those there are.
    """
    rank: dict[Block, _Rank] = {}
    for key, mark in marks.items():
        began, oldest, stored = rank.get(key[:3], (0, version, False))
        rank[key[:3]] = (
            max(began, mark.began),
            min(oldest, mark.version),
            stored or mark.stored,
        )
    known = set(rank)
    keys = [_key(batch) for batch in batches]
    for key, batch in zip(keys, batches, strict=True):
        block, mark, seen = key[:3], marks.get(key), batch.received_ns
        if block not in rank:
            rank[block] = (seen, version, True)
        elif block not in known:
            rank[block] = (min(seen, rank[block][0]), version, True)
        elif mark and not mark.stored and seen > mark.first_seen and rank[block][0] <= mark.began:
            # A block that gave way comes again: from now on it is the later one.
            rank[block] = (seen, version, True)
    counts: dict[Slot, Block] = {}
    for block in sorted(rank, key=rank.__getitem__):
        counts[block[:2]] = block

    plan = Plan([], [])
    marks = dict(marks)
    statuses = batch_statuses(batches, [batch.n_malformed for batch in batches])
    for key, batch, status in zip(keys, batches, statuses, strict=True):
        began = rank[key[:3]][0]
        mark = _Mark(
            counts=tuple(getattr(status, name) for name in _COMPARED),
            stored=counts[key[:2]] == key[:3],
            began=began,
            commitment=status.commitment,
            first_seen=status.first_seen_ns,
            version=version,
        )
        rows = mark.stored
        if (old := marks.get(key)) and old.counts == mark.counts:
            rows = rows and not old.stored
            mark = replace(mark, stored=old.stored or mark.stored)
            if mark.stored == old.stored and mark.commitment <= old.commitment:
                continue
        marks[key] = mark
        if rows:
            plan.batches.append(batch)
        plan.parts.append(Part(status, key[5], key[4], mark.stored, began))
    return plan


def slot_states(engine: Engine, slots: Collection[Slot]) -> dict[Slot, SlotState]:
    """What the marks come to, for those of the slots that have any."""
    if not slots:
        return {}
    found: dict[Slot, list[tuple[_Rank, int, int, int, SlotStatus]]] = {}
    for chain, slot, blockhash, began, oldest, newest, marks, stored, *values in engine.rows(
        _STATES.format(condition=among(slots))
    ):
        batches, total, seen, commitment, time, *rest = values
        told: dict[str, Any] = dict(zip((*_ENVELOPE, *_COUNTS), rest, strict=True))
        status = SlotStatus(
            chain=chain,
            slot=slot,
            blockhash=blockhash,
            batches=batches,
            batches_total=total,
            first_seen_ns=seen,
            commitment=commitment,
            block_time=time,
            **told,
        )
        rank = (began, oldest, stored > 0)
        found.setdefault((chain, slot), []).append((rank, newest, marks, stored, status))
    return {
        slot: SlotState(
            status=max(blocks, key=lambda block: block[0])[4],
            # Grows with each mark, even with one that is older than others.
            version=max(block[1] for block in blocks) + sum(block[2] for block in blocks),
            replaced=tuple(
                block[4].blockhash
                for block in sorted(blocks, key=lambda block: block[0])[:-1]
                if block[3]
            ),
        )
        for slot, blocks in found.items()
    }


def changed(engine: Engine, states: dict[Slot, SlotStatus]) -> tuple[set[Slot], set[Slot]]:
    """Of the rows that `slots` should have: those that differ from what it has, and those whose
    slot has gathered single transactions so far."""
    if not states:
        return set(), set()
    columns = ", ".join((*_ENVELOPE, *_COUNTS))
    rows = engine.rows(
        "SELECT chain, slot, blockhash, batches, batches_total, toUnixTimestamp64Nano(first_seen), "
        f"toInt8(commitment), toUnixTimestamp(block_time), {columns} "
        f"FROM slots FINAL WHERE {among(states)}"
    )
    there = {row[:2]: row[2:] for row in rows}
    gathered = {slot for slot, row in there.items() if not row[0].strip(b"\0")}
    return {slot for slot, status in states.items() if there.get(slot) != _row(status)}, gathered


def given_way(engine: Engine, slots: Collection[Slot]) -> set[Block]:
    """Blocks of these slots that have marks and no rows: another one counts."""
    if not slots:
        return set()
    rows = engine.rows(
        "SELECT chain, slot, blockhash FROM slot_parts FINAL "
        f"WHERE {among(slots)} GROUP BY chain, slot, blockhash HAVING max(toUInt8(stored)) = 0"
    )
    return set(cast("list[Block]", rows))


def remove_blocks(engine: Engine, blocks: Iterable[Block]) -> None:
    """Removes the rows of blocks that gave way, then notes that they are gone: a writer that is
    cut off in between leaves a mark by which the next one does it again."""
    for chain, slot, blockhash in blocks:
        block = f"{among([(chain, slot)])} AND blockhash = unhex('{blockhash.hex()}')"
        for table in (*PARSED_TABLES, "market_data", *OPPORTUNITY_TABLES):
            engine.execute(f"DELETE FROM {table} WHERE {block}")
        engine.execute(
            "INSERT INTO slot_parts SELECT * REPLACE (false AS stored, version + 1 AS version) "
            f"FROM (SELECT * FROM slot_parts FINAL WHERE {block} AND stored)"
        )


def _key(batch: ParsedMessage) -> _Key:
    blockhash = key_bytes(batch.blockhash)
    return batch.chain, batch.slot, blockhash, batch.seq, max(batch.partitions, 1), batch.partition


def _row(status: SlotStatus) -> tuple[object, ...]:
    return (
        key_bytes(status.blockhash),
        status.batches,
        status.batches_total,
        status.first_seen_ns,
        status.commitment,
        status.block_time,
        status.parent_slot,
        key_bytes(status.parent_blockhash),
        *(getattr(status, name) for name in (*_ENVELOPE[2:], *_COUNTS)),
    )


# A batch that was parted otherwise at another time counts once, as the parting that is whole.
_STATES = f"""
WITH batch AS (
    SELECT
        chain, slot, blockhash, seq, partitions,
        max(p.began) AS b_began, min(p.version) AS b_oldest, max(p.version) AS b_newest,
        count() AS b_marks, countIf(p.stored) AS b_stored, b_stored = partitions AS b_whole,
        max(p.batches_total) AS b_total, min(p.first_seen) AS b_seen,
        max(toInt8(p.commitment)) AS b_commitment, any(p.block_time) AS b_time,
        {", ".join(f"any(p.{name}) AS b_{name}" for name in _ENVELOPE)},
        {", ".join(f"sumIf(p.{name}, p.stored) AS b_{name}" for name in _COUNTS)}
    FROM slot_parts AS p FINAL
    WHERE {{condition}}
    GROUP BY chain, slot, blockhash, seq, partitions
    ORDER BY b_whole DESC, b_newest DESC
    LIMIT 1 BY chain, slot, blockhash, seq
)
SELECT
    chain, slot, blockhash, max(b_began), min(b_oldest), max(b_newest), sum(b_marks),
    sum(b_stored), countIf(b_whole), max(b_total), toUnixTimestamp64Nano(min(b_seen)),
    max(b_commitment), toUnixTimestamp(any(b_time)),
    {", ".join(f"any(b_{name})" for name in _ENVELOPE)},
    {", ".join(f"sum(b_{name})" for name in _COUNTS)}
FROM batch
GROUP BY chain, slot, blockhash
"""
