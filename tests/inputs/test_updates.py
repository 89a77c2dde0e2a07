"""Recorded Yellowstone streams and the collecting of single transactions, slot by slot."""

import struct
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mevstream.errors import InputError
from mevstream.schemas.geyser_pb2 import SlotStatus, SubscribeUpdate
from mevstream.schemas.raw_pb2 import Commitment, RawBatch
from mevstream.topologies.raw.batches import BatchWriter
from mevstream.topologies.raw.slots import MAX_LAG, SlotAssembler
from mevstream.topologies.raw.sources import open_sources

from .conftest import Block
from .conversions import fill_info, framed, parse, rows, transaction_update

Put = Callable[[str, bytes], str]
HASH = "11111111111111111111111111111112"


def slot_update(slot: int, status: SlotStatus, parent: int | None = None) -> SubscribeUpdate:
    update = SubscribeUpdate()
    update.slot.slot = slot
    update.slot.status = status
    if parent is not None:
        update.slot.parent = parent
    return update


def block_meta(slot: int, transactions: int) -> SubscribeUpdate:
    update = SubscribeUpdate()
    meta = update.block_meta
    meta.slot, meta.parent_slot, meta.executed_transaction_count = slot, slot - 1, transactions
    meta.blockhash = meta.parent_blockhash = HASH
    meta.block_time.timestamp = 1_700_000_000
    meta.block_height.block_height = slot - 5
    return update


def read(
    put: Put, updates: Iterable[SubscribeUpdate], **options: Any
) -> tuple[list[RawBatch], Counter[str]]:
    counts: Counter[str] = Counter()
    path = put("stream.bin", framed(updates))
    return parse(open_sources([path], counts=counts, **options)), counts


def test_real_stream_without_transactions(shared_data: Path) -> None:
    counts: Counter[str] = Counter()
    path = shared_data / "geyser_stream_sample.bin.gz"
    assert parse(open_sources([str(path)], counts=counts)) == []
    # 40,186 messages by the data's README.
    assert sum(n for kind, n in counts.items() if kind.startswith("updates.")) == 40_186
    assert counts["updates.slot"] == sum(
        n for kind, n in counts.items() if kind.startswith("slots.")
    )
    assert counts["updates.unknown"] == counts["slots.unknown"] == 0
    assert counts["slots.finalized"] == 49


def test_slots_leave_in_order_once_complete(blocks: list[Block], put: Put) -> None:
    a, b, c = (blocks[0].payloads[i] for i in range(3))
    updates = [
        transaction_update(11, 0, b),
        transaction_update(10, 1, c),
        block_meta(11, 1),
        slot_update(10, SlotStatus.SLOT_CONFIRMED, parent=8),
        transaction_update(10, 0, a),
        block_meta(10, 2),
    ]
    batches, counts = read(put, updates)
    assert rows(batches) == [(10, 0, a), (10, 1, c), (11, 0, b)]
    ten, eleven = batches
    # The block's own word on its parent is later than the slot update's.
    assert (ten.parent_slot, ten.block_height, ten.block_time) == (9, 5, 1_700_000_000)
    assert ten.commitment == Commitment.COMMITMENT_CONFIRMED
    assert eleven.commitment == Commitment.COMMITMENT_PROCESSED
    assert ten.blockhash == bytes(31) + b"\x01"
    assert counts["updates.transaction"] == counts["transactions"] == 3
    assert counts["slots.confirmed"] == 1


def test_filtered_stream_closes_by_lag(blocks: list[Block], put: Put) -> None:
    """With a filter the counts never match; a slot leaves when the stream is well past it."""
    payloads = blocks[0].payloads
    updates: list[SubscribeUpdate] = []
    for slot in range(100, 200):
        updates += [transaction_update(slot, slot, payloads[slot]), block_meta(slot, 1500)]
    assembled: list[int] = []
    path = put("stream.bin", framed(updates))
    for batch in map(RawBatch.FromString, open_sources([path])):
        assembled.append(batch.slot)
    assert assembled == list(range(100, 200))

    # One that comes when its slot is long gone is an error, not a loss.
    late = [*updates, transaction_update(100, 7, payloads[0])]
    with pytest.raises(InputError, match="message 201: slot 100 comes again"):
        list(open_sources([put("late.bin", framed(late))]))
    assert MAX_LAG < 100


def test_second_copies_are_counted_once(blocks: list[Block], put: Put) -> None:
    """Transactions and blocks subscribed to together, and slots replayed after a reconnection."""
    payloads = blocks[0].payloads[:20]
    block = SubscribeUpdate()
    block.block.slot = 10
    block.block.blockhash = block.block.parent_blockhash = HASH
    for index, payload in enumerate(payloads):
        fill_info(block.block.transactions.add(), index, payload)
    single = [transaction_update(10, index, payload) for index, payload in enumerate(payloads)]
    batches, counts = read(put, [*single[:7], block, *single])
    assert rows(batches) == [(10, index, payload) for index, payload in enumerate(payloads)]
    assert counts["duplicates"] == 27
    assert counts["transactions"] == 20


def test_dead_slot_may_come_again(blocks: list[Block], put: Put) -> None:
    a, b = blocks[0].payloads[:2]
    updates = [
        transaction_update(10, 0, a),
        slot_update(10, SlotStatus.SLOT_DEAD),
        transaction_update(10, 0, b),
        slot_update(10, SlotStatus.SLOT_FINALIZED),
    ]
    batches, counts = read(put, updates)
    assert rows(batches) == [(10, 0, a), (10, 0, b)]
    assert [batch.commitment for batch in batches] == [
        Commitment.COMMITMENT_DEAD,
        Commitment.COMMITMENT_FINALIZED,
    ]
    assert counts["slots.dead"] == 1


def test_positions_with_gaps_are_listed(blocks: list[Block], put: Put) -> None:
    updates = [
        transaction_update(10, index, blocks[0].payloads[index]) for index in (3, 500, 4, 17)
    ]
    batches, _ = read(put, updates, batch_size=2)
    assert [(b.first_index, list(b.tx_index)) for b in batches] == [(3, []), (17, [17, 500])]
    assert [b.seq for b in batches] == [0, 1]


def test_block_without_transactions(put: Put) -> None:
    update = SubscribeUpdate()
    update.block.slot = 10
    update.block.blockhash = HASH
    batches, _ = read(put, [update])
    assert [(b.slot, b.last, len(b.transactions)) for b in batches] == [(10, True, 0)]


def test_streams_cut_into_files_are_one(blocks: list[Block], put: Put) -> None:
    updates = [transaction_update(10, i, p) for i, p in enumerate(blocks[0].payloads[:9])]
    paths = [put(f"{i}.bin", framed(updates[i * 3 : i * 3 + 3])) for i in range(3)]
    (batch,) = parse(open_sources(paths))
    assert list(batch.transactions) == list(blocks[0].payloads[:9])


def test_unknown_kinds_and_fields_are_passed_over(blocks: list[Block], put: Put) -> None:
    payload = blocks[0].payloads[0]
    known = transaction_update(10, 4, payload).SerializeToString()
    # Field 30: a kind not known yet; field 15 of an update.
    other = b"\xf2\x01\x03abc"
    messages = [other, known + b"\x7a\x01x", b""]
    stream = b"".join(struct.pack(">I", len(m)) + m for m in messages)
    counts: Counter[str] = Counter()
    batches = parse(open_sources([put("s.bin", stream)], counts=counts))
    assert rows(batches) == [(10, 4, payload)]
    assert counts["updates.unknown"] == 2


def assembler(max_open_bytes: int) -> tuple[SlotAssembler, Counter[str]]:
    counts: Counter[str] = Counter()
    return SlotAssembler(BatchWriter("solana", 4, lambda: 0), counts, max_open_bytes), counts


def test_memory_bound_closes_the_oldest_slot() -> None:
    slots, _ = assembler(1000)
    seen: list[bytes] = []
    for i in range(300):
        slots.add(slots.header(i // 3, Commitment.COMMITMENT_CONFIRMED), None, bytes(100), "x", "y")
        ready = list(slots.drain())
        assert len(ready) <= 1
        seen += ready
    assert len(seen) == 97
    slots.close_all()
    seen += slots.drain()
    assert rows(parse(seen)) == [(i // 3, i % 3, bytes(100)) for i in range(300)]


def test_memory_bound_within_one_slot() -> None:
    """A slot larger than the bound leaves in parts; the last one has the flag all the same."""
    for total in (20, 21, 22):
        slots, counts = assembler(1000)
        header = slots.header(5, Commitment.COMMITMENT_CONFIRMED)
        seen: list[bytes] = []
        for i in range(total):
            slots.add(header, None, bytes([i]) * 100, "x", "y")
            seen += slots.drain()
        assert seen
        slots.close_all()
        seen += slots.drain()
        assert rows(parse(seen)) == [(5, i, bytes([i]) * 100) for i in range(total)]
        assert counts["transactions"] == total


def test_position_that_is_none() -> None:
    slots, _ = assembler(1000)
    header = slots.header(5, Commitment.COMMITMENT_CONFIRMED)
    with pytest.raises(InputError, match="no position"):
        slots.add(header, 1 << 32, b"x", "file", "message 1")
