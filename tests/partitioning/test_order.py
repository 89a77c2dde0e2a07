"""The order of a market partition: whatever happens on the way, the same batches in one order."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mevstream.codecs.headers import Origin
from mevstream.errors import InputError
from mevstream.topologies.order import (
    DISORDER_SLOTS,
    REMEMBERED_SLOTS,
    Arrival,
    Duplicate,
    Event,
    Gap,
    Late,
    Position,
    Released,
    SlotOrder,
)
from partitioning.chains import arrivals, chain, disorder, expected, log, lose, run, told

SEEDS, ORIGINS = st.integers(0, 2**64), st.integers(1, 6)


@given(SEEDS, ORIGINS, st.sampled_from([0, 0.05, 0.4]))
def test_any_way_gives_the_same_order_and_the_gaps_that_there_are(
    seed: int, origins: int, share: float
) -> None:
    random = Random(seed)
    batches = lose(random, chain(random, 12), share)
    records = log(random, batches, origins)
    events = run(SlotOrder(origins), records)
    assert told(events) == expected(batches)
    # Every other one came again.
    again = [event for event in events if not isinstance(event, Released | Gap)]
    assert all(isinstance(event, Duplicate) for event in again)
    assert len(again) == len(records) - len(batches)


@given(SEEDS, ORIGINS, st.sampled_from([0, 0.05, 0.4]))
def test_a_source_may_be_out_of_order_by_some_slots(seed: int, origins: int, share: float) -> None:
    random = Random(seed)
    # Between a block and the parent it names nothing is waited for; only another fork is there.
    batches = lose(random, chain(random, 24, plain=True), share)
    if not batches:
        return
    sent = disorder(random, batches, DISORDER_SLOTS)
    events = run(SlotOrder(origins), log(random, sent, origins))
    assert told(events) == expected(batches)
    assert not any(isinstance(event, Late) for event in events)


@given(SEEDS, ORIGINS, st.booleans())
def test_without_loss_time_releases_only_what_skipped_slots_hold_up(
    seed: int, origins: int, plain: bool
) -> None:
    random = Random(seed)
    batches = chain(random, 12, plain=plain)
    order = SlotOrder[int](origins)
    records = log(random, batches, origins)
    before = [event for arrival in arrivals(records) for event in order.add(arrival, 0.0)]
    # What all partitions came past is through.
    highs = {origin.partition: (batch["slot"], batch["seq"]) for batch, origin in records}
    for batch, origin in records:
        key = (batch["slot"], batch["seq"])
        highs[origin.partition] = max(highs[origin.partition], key)
    slot, seq = min(highs.values())
    # Where a parent is not told, or further back, something may have been there.
    bound = (slot, seq) if plain else (slot - DISORDER_SLOTS, -1)
    through = [b for b in batches if (b["slot"], b["seq"]) <= bound]
    if len(highs) == origins:
        assert len([e for e in before if isinstance(e, Released)]) >= len(through)
    assert told(before + order.tick(1e9)) == expected(batches)


@given(SEEDS, ORIGINS, st.sampled_from([0, 0.2]))
def test_a_snapshot_and_its_offset_go_on_where_it_was_taken(
    seed: int, origins: int, share: float
) -> None:
    random = Random(seed)
    batches = lose(random, chain(random, 12), share)
    records = log(random, batches, origins)
    order, done, saved, start = SlotOrder[int](origins), [], b"", 0
    kept: list[Event[int]] = []
    offset = 0
    crashes = 3
    while offset < len(records):
        events = order.add(list(arrivals(records))[offset], 0.0)
        done += events
        offset += 1
        chance = random.random()
        if chance < 0.2:
            saved, kept = order.snapshot(), list(done)
            assert order.low_offset is not None
            start = order.low_offset
        elif chance < 0.3 and crashes:
            crashes -= 1
            order, done, offset = SlotOrder[int](origins), list(kept), start
            if saved:
                order.restore(saved, start)
                assert order.low_offset == start
                assert order.released == sum(isinstance(event, Released) for event in kept)
    done += order.tick(1e9)
    assert told(done) == expected(batches)
    assert order.low_offset == len(records)
    assert not any(isinstance(event, Late) for event in done)


@given(SEEDS, ORIGINS, st.integers(10, 80))
def test_what_is_held_is_bounded(seed: int, origins: int, most: int) -> None:
    random = Random(seed)
    batches = chain(random, 20)
    order = SlotOrder[int](origins, max_bytes=most)
    events: list[Event[int]] = []
    for arrival in arrivals(log(random, batches, origins)):
        events += order.add(arrival, 0.0)
        assert order.held_bytes == 10 * order.held <= most
    events += order.tick(1e9)
    released = [(e.arrival.slot, e.arrival.seq) for e in events if isinstance(e, Released)]
    late = [(e.arrival.slot, e.arrival.seq) for e in events if isinstance(e, Late)]
    # In order and once; what was given up came late, nothing went without a word.
    assert released == sorted(set(released))
    assert set(released) | set(late) == {(b["slot"], b["seq"]) for b in batches}
    assert not set(released) & set(late)


@given(SEEDS, ORIGINS)
def test_a_second_block_of_a_slot_is_processed_too(seed: int, origins: int) -> None:
    random = Random(seed)
    batches = chain(random, 10)
    for batch in batches:
        batch["blockhash"] = batch["slot"].to_bytes(32, "little")
    slot = random.choice(batches)["slot"]
    rival = [
        {"slot": slot, "seq": seq, "last": seq == 2, "parent_slot": 0, "blockhash": b"r" * 32}
        for seq in range(3)
    ]
    behind = random.randrange(len(batches) + 1)
    while behind < len(batches) and batches[behind]["slot"] <= slot:
        behind += 1
    sent = [*batches[:behind], *rival, *batches[behind:]]
    events = run(SlotOrder(origins), log(random, sent, origins))
    released = [e.arrival for e in events if isinstance(e, Released)]
    blocks = {(a.slot, a.blockhash): [] for a in released}
    for arrival in released:
        blocks[arrival.slot, arrival.blockhash].append(arrival.seq)
    assert len(released) == len(sent)
    assert not any(isinstance(event, Late) for event in events)
    for seqs in blocks.values():
        assert seqs == list(range(len(seqs)))


# -- one case at a time -------------------------------------------------------------------------


class Reader:
    """Adds batches of slot and seq; blocks are told apart by a letter."""

    def __init__(self, origins: int, **bounds: Any) -> None:
        self.order = SlotOrder[str](origins, **bounds)
        self.origins = origins
        self.offset = 0

    def add(
        self, slot: int, seq: int, block: str = "a", *, origin: int = 0, now: float = 0, **more: Any
    ) -> list[Any]:
        values: dict[str, Any] = {"last": False, "parent_slot": slot - 1, "size": 1, **more}
        arrival = Arrival(
            slot=slot,
            seq=seq,
            blockhash=block.encode(),
            origin=Origin(origin, values.pop("partitions", self.origins), self.offset),
            offset=self.offset,
            payload="",
            **values,
        )
        self.offset += 1
        return [short(event) for event in self.order.add(arrival, now)]

    def tick(self, now: float) -> list[Any]:
        return [short(event) for event in self.order.tick(now)]


def short(event: Event[Any]) -> Any:
    if isinstance(event, Gap):
        return event
    name = type(event).__name__
    return f"{name} {event.arrival.slot}/{event.arrival.seq}{event.arrival.blockhash.decode()}"


def test_what_follows_directly_waits_for_nobody() -> None:
    reader = Reader(3)
    assert reader.add(5, 0) == []
    assert reader.add(5, 2, origin=2, last=True) == []
    assert reader.order.position is None
    assert reader.add(5, 1, origin=1) == ["Released 5/0a", "Released 5/1a", "Released 5/2a"]
    assert reader.order.position == Position(5, 2, True, b"a")
    assert reader.add(5, 3, origin=0) == ["Late 5/3a"]
    assert reader.add(6, 0, origin=1) == ["Released 6/0a"]
    assert reader.order.released == 4


def test_a_skipped_slot_may_still_have_a_block_of_another_fork() -> None:
    reader = Reader(2)
    reader.add(5, 0, last=True)
    assert reader.add(5, 1, origin=1) == ["Released 5/0a", "Late 5/1a"]
    assert reader.add(7, 0, origin=0, parent_slot=5) == []
    assert reader.add(6, 0, origin=1, last=True) == ["Released 6/0a", "Released 7/0a"]


def test_what_a_source_sends_too_late_is_waited_for_by_slots() -> None:
    reader = Reader(1)
    reader.add(5, 0, last=True)
    assert reader.add(6, 1, last=True) == []
    for slot in range(7, 7 + DISORDER_SLOTS - 1):
        assert reader.add(slot, 0, last=True) == []
    assert reader.add(6, 0) == [
        "Released 6/0a",
        "Released 6/1a",
        *(f"Released {slot}/0a" for slot in range(7, 6 + DISORDER_SLOTS)),
    ]
    reader.add(30, 1, last=True, parent_slot=9)
    reader.add(30 + DISORDER_SLOTS, 0, last=True)
    assert reader.order.held == 2
    assert reader.add(31 + DISORDER_SLOTS, 0, last=True)[:2] == [
        Gap(30, b"a", 0, 1),
        "Released 30/1a",
    ]


def test_end_of_the_stream() -> None:
    reader = Reader(4, idle_seconds=2)
    reader.add(5, 0, now=1)
    reader.add(9, 1, origin=1, now=2, last=True, parent_slot=7)
    assert reader.tick(3.9) == []
    assert reader.tick(4) == [
        "Released 5/0a",
        Gap(5, b"a", 1, None),
        Gap(7, b"", 0, None),
        Gap(9, b"a", 0, 1),
        "Released 9/1a",
    ]
    assert reader.add(5, 3) == ["Late 5/3a"]
    assert reader.add(7, 0, "x") == ["Late 7/0x"]
    assert reader.add(9, 0) == ["Late 9/0a"]
    assert reader.add(9, 1) == ["Duplicate 9/1a"]
    assert reader.add(8, 0) == ["Late 8/0a"]
    assert reader.add(4, 0) == ["Late 4/0a"]


def test_one_batch_waits_only_so_long_while_others_come() -> None:
    reader = Reader(2, idle_seconds=5, wait_seconds=10)
    reader.add(5, 0, now=0)
    for second in range(1, 10):
        reader.add(6, second, now=second)
        assert reader.tick(second) == []
    assert reader.tick(10) == ["Released 5/0a"]
    assert reader.order.held == 9
    assert reader.tick(11)[:3] == [Gap(5, b"a", 1, None), Gap(6, b"a", 0, 1), "Released 6/1a"]


def test_more_partitions_of_raw_are_waited_for() -> None:
    reader = Reader(1)
    assert reader.add(5, 0) == ["Released 5/0a"]
    assert reader.add(7, 0, partitions=2) == []
    assert reader.add(11, 0, origin=1, partitions=2) == []
    assert reader.add(11, 1, origin=0, partitions=2) == [
        Gap(5, b"a", 1, None),
        Gap(6, b"", 0, None),
        "Released 7/0a",
    ]
    restored = SlotOrder[int](1)
    restored.restore(reader.order.snapshot(), 4)
    arrival = Arrival(12, 0, False, 11, b"", Origin(0, 1, 0), 4, 1, 0)
    assert restored.add(arrival, 0) == []


def test_a_block_that_tells_its_hash_late_is_one_block() -> None:
    reader = Reader(1)
    reader.add(5, 0, "")
    assert reader.add(5, 1, "b") == ["Released 5/1b"]
    assert reader.add(5, 2, "c") == []
    assert reader.add(5, 0, "c") == ["Released 5/0c"]
    assert reader.add(5, 2, "b") == ["Released 5/2b"]
    assert reader.add(5, 0, "") == ["Duplicate 5/0"]


def test_a_rival_that_stays_incomplete_ends_with_the_idle_bound() -> None:
    reader = Reader(1, idle_seconds=1)
    reader.add(5, 0)
    assert reader.add(5, 2, "b") == []
    assert reader.order.low_offset == 1
    assert reader.tick(1) == [Gap(5, b"b", 0, 2), "Released 5/2b"]
    assert reader.add(5, 1, "b") == ["Late 5/1b"]
    assert reader.order.low_offset == 3


def test_slots_that_were_forgotten_give_duplicates() -> None:
    reader = Reader(1)
    for slot in range(1, REMEMBERED_SLOTS + 10):
        reader.add(slot, 0, last=True)
    assert reader.add(3, 0, "b") == ["Duplicate 3/0b"]
    assert reader.add(REMEMBERED_SLOTS, 0, "b") == [f"Released {REMEMBERED_SLOTS}/0b"]
    assert len(reader.order.snapshot()) < 20 * REMEMBERED_SLOTS


def test_a_source_that_begins_again_is_told_apart() -> None:
    random = Random(3)
    batches = chain(random, 30)
    events = run(SlotOrder(3), log(random, [*batches, *batches[40:]], 3))
    assert told(events) == expected(batches)
    assert not any(isinstance(event, Late) for event in events)


def test_restore_refuses_what_is_no_snapshot() -> None:
    reader = Reader(1)
    assert reader.order.low_offset is None
    reader.add(5, 0)
    with pytest.raises(InputError, match="OrderState"):
        reader.order.restore(b"\xff", 0)
    assert reader.add(5, 1) == ["Released 5/1a"]
