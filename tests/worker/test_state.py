"""Stateful links on Kafka: in order, and with the same state whatever happens to the workers."""

import itertools
import random
import threading
import time

import pytest
from confluent_kafka import Message

from mevstream.codecs.raw import RawView
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import CHECKPOINTS, DEAD_LETTER, FEATURES, PARSED, SLOTS
from mevstream.topologies.worker.process import choose_links
from worker.harness import Field, at_least, endless, results_of, value_of

MARKETS = 2
# So that little time passes between two snapshots, and a kill strikes in all of their steps.
OFTEN = {"MEVSTREAM_CHECKPOINT_SECONDS": "0.3"}


def made_of(values: list[bytes], name: str = "features") -> list[set[bytes]]:
    """What a link makes of batches that are in order, for each market partition."""
    link = choose_links([name])[0]
    stages = [link.open_stage() for _ in range(MARKETS)]
    found: list[set[bytes]] = [set() for _ in stages]
    for parts, _ in results_of(values, MARKETS):
        for stage, records, part in zip(stages, found, parts, strict=True):
            records |= {record.value for record in stage(part)}
    return found


def check_made(field: Field, fed: list[bytes], name: str = "features") -> list[Message]:
    """What came out is, byte for byte, what an uninterrupted run gives."""
    messages = field.read(choose_links([name])[0].outputs[0], at_least(MARKETS * len(fed)))
    found: list[set[bytes]] = [set() for _ in range(MARKETS)]
    for message in messages:
        found[message.partition() or 0].add(value_of(message))
    assert found == made_of(fed, name)
    return messages


def test_batches_come_out_in_order_and_offsets_follow_the_snapshots(
    field: Field, raw_batches: list[bytes]
) -> None:
    field.topics(raw=3, market=MARKETS)
    field.feed(raw_batches, partitions=3)
    features = field.worker("features", MEVSTREAM_CHECKPOINT_SECONDS="1")
    field.worker("parsed")
    messages = check_made(field, raw_batches)
    assert len(messages) == MARKETS * len(raw_batches)
    field.wait(lambda: field.lag("features", PARSED) == 0, "all covered by snapshots")
    assert not [
        m for m in field.read(SLOTS, at_least(1)) if SlotStatus.FromString(value_of(m)).reporter
    ]
    keys = {message.key() for message in field.read(CHECKPOINTS, lambda m: len(m) >= 4)}
    assert {b"features/0/1/manifest", b"features/1/1/manifest"} <= keys
    assert features.terminate()[0] == 0, features.said()


@pytest.mark.parametrize("link", ["features", "opportunities"])
def test_killed_at_any_moment_the_state_goes_on(
    field: Field, raw_batches: list[bytes], link: str
) -> None:
    field.topics(raw=2, market=MARKETS)
    values = list(itertools.islice(endless(raw_batches), 700))
    feeder = threading.Thread(
        target=lambda: field.feed(values, partitions=2, rate=100), daemon=True
    )
    field.worker("parsed")
    workers = [field.worker(link, **OFTEN) for _ in range(2)]
    feeder.start()
    chance = random.Random(7)
    while feeder.is_alive():
        victim = chance.randrange(2)
        field.wait(lambda w=workers[victim]: "partitions assigned" in w.said(), "joined")
        time.sleep(chance.uniform(0, 1.5))
        workers[victim].kill()
        workers[victim] = field.worker(link, **OFTEN)
    feeder.join()
    check_made(field, values, link)


def test_what_comes_too_late_is_a_gap_and_a_dead_letter(
    field: Field, raw_batches: list[bytes]
) -> None:
    field.topics()
    position = 5
    late = raw_batches[position]
    field.feed([value for value in raw_batches if value != late])
    field.worker("parsed")
    bounds = {"MEVSTREAM_ORDER_WAIT_SECONDS": "1", "MEVSTREAM_ORDER_IDLE_SECONDS": "1"}
    field.worker("features", **bounds)
    field.read(FEATURES, at_least(len(raw_batches) - 1))
    view = RawView(late)

    def reports(messages: list[Message]) -> list[tuple[bytes | None, SlotStatus]]:
        read = [(m.key(), SlotStatus.FromString(value_of(m))) for m in messages]
        return [(key, status) for key, status in read if status.reporter]

    [(key, status)] = reports(field.read(SLOTS, lambda messages: bool(reports(messages))))
    assert (status.slot, status.blockhash) == (view.slot, view.blockhash)
    assert (list(status.missing), status.reporter) == ([view.seq], "features/0")
    place = f"solana/{view.slot}/{view.blockhash.hex()}/features/0/{view.seq}"
    assert key == place.encode()

    field.feed([late])
    [message] = field.read(DEAD_LETTER, lambda messages: len(messages) == 1)
    letter = DeadLetter.FromString(value_of(message))
    assert letter.error == "came after its gap was given up"
    assert (letter.topic, letter.offset) == (PARSED, len(raw_batches) - 1)
    assert letter.headers["mev.slot"] == str(view.slot).encode()


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_broker_that_is_away_makes_no_gaps_and_a_batch_that_stays_away_does(
    field: Field, raw_batches: list[bytes], delivery: str
) -> None:
    field.topics()
    missing = 5
    options = ("--delivery", delivery)
    bounds = {"MEVSTREAM_ORDER_WAIT_SECONDS": "4", "MEVSTREAM_ORDER_IDLE_SECONDS": "4"}
    field.worker("parsed", *options)
    features = field.worker("features", *options, **bounds)
    field.feed([*raw_batches[:missing], *raw_batches[missing + 1 : 10]])
    field.read(FEATURES, at_least(missing))
    with field.kafka.paused():
        time.sleep(7)
    field.feed([raw_batches[missing], *raw_batches[10:19]])
    field.read(FEATURES, at_least(19))
    assert '"gap"' not in features.said()

    field.feed(raw_batches[20:23])
    field.read(FEATURES, at_least(22))
    assert features.said().count('"gap"') == 1


def test_fused_links_give_what_they_give_apart(field: Field, raw_batches: list[bytes]) -> None:
    """Killed and started again, too; and one more of them is refused."""
    field.topics(raw=2, market=MARKETS)
    values = list(itertools.islice(endless(raw_batches), 400))
    feeder = threading.Thread(target=lambda: field.feed(values, partitions=2, rate=60), daemon=True)
    feeder.start()
    fused = ["parsed", "features", "--fused"]
    worker = field.worker(*fused, **OFTEN)
    field.read(FEATURES, at_least(40))
    worker.kill()
    worker = field.worker(*fused, **OFTEN)
    field.wait(lambda: "partitions assigned" in worker.said(), "assigned")
    second = field.worker(*fused, **OFTEN)
    assert second.process.wait(30) == 1
    assert "another worker runs" in second.said().splitlines()[-1]
    feeder.join()
    check_made(field, values)
    parsed = {value_of(m) for m in field.read(PARSED, at_least(MARKETS * len(values)))}
    assert parsed == {part for parts, _ in results_of(values, MARKETS) for part in parts}
    field.wait(lambda: field.lag("parsed+features") == 0, "all covered by snapshots")
    code, seconds = worker.terminate()
    assert code == 0, worker.said()
    assert seconds < 8
