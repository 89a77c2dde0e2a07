"""Random chains of blocks, and how their batches reach one market partition."""

from collections.abc import Iterator
from random import Random
from typing import Any

from mevstream.codecs.headers import Origin
from mevstream.topologies.order import Arrival, Event, Gap, Released, SlotOrder

Batch = dict[str, Any]


def chain(random: Random, slots: int, *, plain: bool = False) -> list[Batch]:
    """The batches of a chain in the order in which a source sends them: with skipped slots and,
    unless it is plain, forks (a parent further back) and blocks that do not tell their parent."""
    batches: list[Batch] = []
    slot, before = 100, [99]
    for _ in range(slots):
        slot += random.choice((1, 1, 1, 1, 2, 3))
        is_fork, is_told = random.random() < 0.3 and not plain, random.random() < 0.9 or plain
        parent = random.choice(before[-2:]) if is_fork else before[-1]
        count = random.randrange(1, 6)
        blockhash = random.choice((b"", random.randbytes(32), random.randbytes(32)))
        told = parent if is_told else 0
        batches += [
            {
                "slot": slot,
                "seq": seq,
                "last": seq == count - 1,
                "parent_slot": told,
                "blockhash": blockhash,
            }
            for seq in range(count)
        ]
        before.append(slot)
    return batches


def lose(random: Random, batches: list[Batch], share: float) -> list[Batch]:
    """Single batches and whole blocks go missing."""
    slots = {batch["slot"] for batch in batches}
    lost = {slot for slot in slots if random.random() < share / 2}
    return [b for b in batches if b["slot"] not in lost and random.random() >= share]


def disorder(random: Random, batches: list[Batch], slots: int) -> list[Batch]:
    """A source sends the batches in another order, though none after one of more than `slots`
    slots later. (The first block is where a reader begins, so that comes first.)"""
    first = [batch for batch in batches if batch["slot"] == batches[0]["slot"]]
    rest = batches[len(first) :]
    return first + sorted(rest, key=lambda batch: batch["slot"] + random.random() * slots)


def log(random: Random, batches: list[Batch], origins: int) -> list[tuple[Batch, Origin]]:
    """One market partition: the batches went round robin over `origins` partitions of mev.raw,
    each of which was parsed in order by workers that now and then began again further back."""
    queues: list[list[tuple[Batch, Origin]]] = [[] for _ in range(origins)]
    for number, batch in enumerate(batches):
        queue = queues[number % origins]
        queue.append((batch, Origin(number % origins, origins, len(queue))))
    at = [0] * origins
    result: list[tuple[Batch, Origin]] = []
    while open_ := [i for i in range(origins) if at[i] < len(queues[i])]:
        chosen = random.choice(open_)
        for _ in range(random.randrange(1, 5)):
            if at[chosen] < len(queues[chosen]):
                result.append(queues[chosen][at[chosen]])
                at[chosen] += 1
        if random.random() < 0.1:
            at[chosen] = max(0, at[chosen] - random.randrange(4))
    return result


def arrivals(records: list[tuple[Batch, Origin]], start: int = 0) -> Iterator[Arrival[int]]:
    for offset, (batch, origin) in enumerate(records[start:], start):
        yield Arrival(**batch, origin=origin, offset=offset, size=10, payload=offset)


def told(events: list[Event[Any]]) -> list[Any]:
    """What does not depend on how the batches came: (slot, seq) of each one released, gaps."""
    return [
        (event.arrival.slot, event.arrival.seq) if isinstance(event, Released) else event
        for event in events
        if isinstance(event, Released | Gap)
    ]


def expected(batches: list[Batch]) -> list[Any]:
    """What a reader of the batches has to be told, who has all of them in order."""
    result: list[Any] = []
    last: Batch | None = None
    for batch in batches:
        slot, seq = batch["slot"], batch["seq"]
        due = 0
        if last is not None and last["slot"] == slot:
            due = last["seq"] + 1
        elif last is not None:
            if not last["last"]:
                result.append(Gap(last["slot"], last["blockhash"], last["seq"] + 1, None))
            if batch["parent_slot"] > last["slot"]:
                result.append(Gap(batch["parent_slot"], b"", 0, None))
        if seq > due:
            result.append(Gap(slot, batch["blockhash"], due, seq))
        result.append((slot, seq))
        last = batch
    return result


def run(order: SlotOrder[int], records: list[tuple[Batch, Origin]]) -> list[Event[int]]:
    """All events of a partition that is read to its end."""
    events = [event for arrival in arrivals(records) for event in order.add(arrival, 0.0)]
    return events + order.tick(1e9)
