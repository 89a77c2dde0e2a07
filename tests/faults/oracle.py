"""Counts what became of everything that was sent.

Conservation: every transaction that is no vote is a row of each store, once, with its signature;
every swap is; every batch has its counts in mev.slots, and their sum is the slot's row. Integrity:
no row that was never sent. Poison: each poisoned record is a dead letter, in the topic and in the
warm store, and nothing else is (but batches that a stateful link had given up waiting for).
Liveness: all of this within a bound after the last fault healed.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from faults.load import POISON, Ledger, SlotTruth
from faults.watch import TopicWatch
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import CHAIN, Link

Query = Callable[[str], Sequence[tuple[Any, ...]]]
_TOLD = 12


@dataclass(frozen=True, slots=True)
class Store:
    """Tables that can be asked. `final` is what follows a table's name so that a row that was
    written again counts once, as it does in the views."""

    name: str
    query: Query
    final: str = ""


@dataclass(slots=True)
class Findings:
    """What a store or topic does not have, or has too often, by slot; and in words."""

    lost: Counter[int] = field(default_factory=Counter[int])
    twice: Counter[int] = field(default_factory=Counter[int])
    problems: list[str] = field(default_factory=list[str])

    @property
    def clean(self) -> bool:
        return not (self.lost.total() or self.twice.total() or self.problems)


def store_findings(store: Store, ledger: Ledger) -> Findings:
    """Compares transactions, swaps and slots, row by row of the ledger."""
    found = Findings()
    sent = {slot: truth for slot, truth in ledger.slots.items() if truth.sent}
    rows = {
        slot: (count, digest, unique)
        for slot, count, digest, unique in store.query(
            "SELECT slot, count(), sum(reinterpretAsUInt64(substring(signature, 1, 8))), "
            f"uniqExact(signature) FROM transactions{store.final} GROUP BY slot"
        )
    }
    for slot, truth in sent.items():
        count, digest, unique = rows.pop(slot, (0, 0, 0))
        found.twice[slot] += count - unique
        found.lost[slot] += max(truth.rows - unique, 0)
        if unique > truth.rows or (unique == truth.rows == count and digest != truth.digest):
            found.problems.append(f"{store.name}: slot {slot} has other transactions than sent")
    if rows:
        found.problems.append(f"{store.name}: transactions of slots never sent: {_few(rows)}")
    legs = {
        slot: (count, unique)
        for slot, count, unique in store.query(
            "SELECT slot, count(), uniqExact(signature, ix_outer, ix_inner, leg) "
            f"FROM swaps{store.final} GROUP BY slot"
        )
    }
    wrong: dict[int, str] = {}
    for slot, truth in sent.items():
        count, unique = legs.get(slot, (0, 0))
        found.twice[slot] += count - unique
        if unique != truth.swaps:
            wrong[slot] = f"{slot} ({unique} of {truth.swaps})"
    if wrong:
        found.problems.append(f"{store.name}: swaps differ in slots {_few(wrong.values())}")
    _slot_rows(store, sent, found)
    found.lost, found.twice = +found.lost, +found.twice
    return found


def _slot_rows(store: Store, sent: dict[int, SlotTruth], found: Findings) -> None:
    rows = {
        slot: counts
        for slot, *counts in store.query(
            "SELECT slot, transactions, votes, failed, succeeded, swaps, batches, batches_total "
            f"FROM slots{store.final} ORDER BY slot"
        )
    }
    wrong = [
        f"{slot} ({rows.get(slot)}, sent {_counts(truth)})"
        for slot, truth in sent.items()
        if rows.get(slot) != _counts(truth)
    ]
    if wrong:
        found.problems.append(f"{store.name}: rows of slots that do not add up: {_few(wrong)}")
    if strangers := rows.keys() - sent.keys():
        found.problems.append(f"{store.name}: slots never sent: {_few(strangers)}")


def _counts(truth: SlotTruth) -> list[int]:
    return [
        truth.transactions,
        truth.votes,
        truth.failed,
        truth.transactions - truth.votes - truth.failed,
        truth.swaps,
        truth.batches,
        truth.batches,
    ]


def topic_findings(
    watch: TopicWatch,
    ledger: Ledger,
    *,
    links: Sequence[Link],
    partitions: int,
    exactly_once: bool,
) -> Findings:
    """Every batch has one record for each market partition in the topic of each link (or is a dead
    letter of a stateful link), and its counts in mev.slots. Exactly once: no record came again
    whose raw batch did not."""
    found = Findings()
    given_up = {(letter.stage, letter.slot, letter.seq) for letter in watch.letters}
    missing = [
        (link.outputs[0], slot, seq, number)
        for link in links
        for slot, truth in ledger.slots.items()
        for seq in truth.sent
        for number in range(partitions)
        if (link.outputs[0], slot, seq, number) not in watch.parts
        and (link.name, slot, seq) not in given_up
    ]
    found.lost.update(slot for slot, _ in {part[1:3] for part in missing})
    if missing:
        found.problems.append(f"topics: missing {_few(missing)}")
    again = {copy.part for copy in watch.copies if copy.part[1:3] not in ledger.repeated}
    if exactly_once and again:
        found.problems.append(f"topics: records that came again: {_few(sorted(again))}")
    strangers = {
        part[1:3]
        for part in watch.parts
        if part[1] not in ledger.slots or part[2] not in ledger.slots[part[1]].sent
    }
    if strangers:
        found.problems.append(f"topics: batches never sent: {_few(sorted(strangers))}")
    found.problems += [f"topics: {line}" for line in watch.strange[:_TOLD]]
    _slot_statuses(watch, ledger, found)
    found.lost = +found.lost
    return found


def _slot_statuses(watch: TopicWatch, ledger: Ledger, found: Findings) -> None:
    sums: dict[int, list[int]] = {}
    totals: dict[int, int] = {}
    seen: Counter[tuple[int, int]] = Counter()
    for status in watch.statuses.values():
        seen[status.slot, status.seq] += 1
        row = sums.setdefault(status.slot, [0] * 6)
        for i, count in enumerate(_status_counts(status)):
            row[i] += count
        totals[status.slot] = max(totals.get(status.slot, 0), status.batches_total)
    wrong = [
        str(slot)
        for slot, truth in ledger.slots.items()
        if truth.sent and [*sums.get(slot, [0] * 6), totals.get(slot, 0)] != _counts(truth)
    ]
    if wrong:
        found.problems.append(f"mev.slots does not add up in slots {_few(wrong)}")
    if twice := [batch for batch, count in seen.items() if count > 1]:
        found.problems.append(f"mev.slots has two keys for batches {_few(twice)}")


def _status_counts(status: SlotStatus) -> list[int]:
    return [
        status.transactions,
        status.votes,
        status.failed,
        status.succeeded,
        status.swaps,
        status.batches,
    ]


def letter_findings(watch: TopicWatch, warm: Store | None, ledger: Ledger) -> Findings:
    """Dead letters: one for each poisoned record, at least once in the topic, once in the table."""
    found = Findings()
    stages = {link.name for link in CHAIN if link.stateful}
    in_topic: Counter[bytes] = Counter()
    others: Counter[str] = Counter()
    for letter in watch.letters:
        if POISON in letter.payload:
            in_topic[_poison(letter.payload)] += 1
        elif letter.stage not in stages or (letter.slot, letter.seq) not in ledger.out_of_order:
            others[f"{letter.stage}: {letter.error}"] += 1
    if missing := ledger.poison.keys() - in_topic.keys():
        found.problems.append(f"mev.dead-letter lacks {_few(missing)}")
    if strangers := in_topic.keys() - ledger.poison.keys():
        found.problems.append(f"mev.dead-letter has what was never sent: {_few(strangers)}")
    if others:
        told = [f"{count} × {what}" for what, count in others.most_common()]
        found.problems.append(f"mev.dead-letter has records that can be read: {_few(told)}")
    if warm is not None:
        rows = Counter(
            _poison(payload)
            for (payload,) in warm.query(
                f"SELECT hex(payload) FROM dead_letters{warm.final} "
                f"WHERE position(payload, '{POISON.decode()}') > 0"
            )
        )
        if missing := ledger.poison.keys() - rows.keys():
            found.problems.append(f"the table dead_letters lacks {_few(missing)}")
        if twice := [payload for payload, count in rows.items() if count > 1]:
            found.problems.append(f"the table dead_letters has twice: {_few(twice)}")
            found.twice[0] += len(twice)
    return found


def _poison(payload: bytes | str) -> bytes:
    data = bytes.fromhex(payload) if isinstance(payload, str) else payload
    return data[data.index(POISON) :]


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.5)
    return done()


def _few(items: Any) -> str:
    listed = list(items)
    told = ", ".join(str(one) for one in listed[:_TOLD])
    return told + (f" and {len(listed) - _TOLD} more" if len(listed) > _TOLD else "")
