"""Sources onto mev.raw: every batch once, in order, paced, and nothing lost in silence."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Message
from kafka.broker import Kafka

from mevstream.codecs.headers import RecordHeaders, unpack_record
from mevstream.codecs.raw import RawView
from mevstream.errors import MevstreamError
from mevstream.infra.topics import Cluster, TopicSpec
from mevstream.topologies.raw.producer import RawProducer, paced, read_batch
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.sources import open_sources

ROOT = Path(__file__).parents[2]


MEVSTREAM = (sys.executable, "-m", "mevstream")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MEVSTREAM, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "chain"
    done = command("simulate", folder, "--slots", "8", "--transactions", "700")
    assert done.returncode == 0, done.stderr
    return folder


def unpack(record: Message) -> tuple[RawView, RecordHeaders]:
    headers: list[tuple[str, bytes | None]] = list(record.headers() or [])  # type: ignore[arg-type]
    message, read = unpack_record(record.value() or b"", headers, schema="mevstream.v1.RawBatch")
    return RawView(message), read


def records_of(kafka: Kafka, topic: str) -> list[Message]:
    (described,) = Cluster(kafka.servers).describe([topic])
    return kafka.read(topic, described.records)


@pytest.mark.parametrize("partitions", [1, 3])
def test_every_batch_arrives_once_round_robin(kafka: Kafka, chain: Path, partitions: int) -> None:
    topic = kafka.topic(partitions)
    messages = list(open_sources([str(chain)]))
    with RawProducer(kafka.servers, topic=topic) as producer:
        for message in messages:
            producer.send(read_batch(message))

    came: dict[tuple[int, int], RawView] = {}
    traces: set[str] = set()
    placed: dict[int, list[tuple[int, int]]] = {}
    for record in records_of(kafka, topic):
        view, headers = unpack(record)
        place = view.slot, view.seq
        assert (headers.slot, headers.seq, headers.last) == (*place, view.last)
        assert headers.first_seen_ns == view.received_ns
        # Each begins a trace, by default one that nobody follows.
        assert headers.traceparent is not None
        assert headers.traceparent.endswith("-00")
        assert headers.traceparent not in traces
        traces.add(headers.traceparent)
        assert place not in came
        came[place] = view
        placed.setdefault(record.partition() or 0, []).append(place)
    sent = [RawView(message) for message in messages]
    assert [came[view.slot, view.seq].transactions for view in sent] == [
        view.transactions for view in sent
    ]
    order = [(view.slot, view.seq) for view in sent]
    assert placed == {p: order[p::partitions] for p in range(partitions)}
    done = producer.published
    assert done.batches == len(sent)
    assert done.transactions == sum(len(view.transactions) for view in sent)
    assert (done.first_slot, done.last_slot, done.slots) == (sent[0].slot, sent[-1].slot, 8)
    assert done.raw_bytes == sum(map(len, messages)) > done.bytes > 0


def test_a_rate_is_kept_from_the_first_batch_to_the_last(chain: Path) -> None:
    batches = [read_batch(message) for message in open_sources([str(chain)])]
    total = sum(batch.transactions for batch in batches)
    start = time.monotonic()
    times = [(time.monotonic() - start, batch) for batch in paced(iter(batches), 5000)]
    before = 0
    for at, batch in times:
        assert at >= before / 5000 - 0.001
        before += batch.transactions
    assert times[-1][0] < total / 5000 + 1


def test_a_killed_broker_costs_nothing(kafka: Kafka, chain: Path) -> None:
    topic = kafka.topic(2)
    messages = list(open_sources([str(chain)]))
    with RawProducer(kafka.servers, topic=topic) as producer:
        for number, message in enumerate(messages):
            producer.send(read_batch(message))
            if number == len(messages) // 2:
                kafka.restart()
    places = [unpack(record)[0] for record in records_of(kafka, topic)]
    expected = [RawView(message) for message in messages]
    assert sorted((v.slot, v.seq) for v in places) == [(v.slot, v.seq) for v in expected]


def test_what_cannot_be_delivered_is_an_error(kafka: Kafka, chain: Path) -> None:
    topic = kafka.topic()
    # The broker refuses every record.
    Cluster(kafka.servers).ensure([TopicSpec(topic, 1, {"max.message.bytes": "1000"})])
    producer = RawProducer(kafka.servers, topic=topic)
    message = next(open_sources([str(chain)]))
    producer.send(read_batch(message))
    with pytest.raises(MevstreamError, match=r"batch \d+/\d+ was not delivered: .*too large"):
        producer.flush()
    with pytest.raises(MevstreamError, match="was not delivered"):
        producer.send(read_batch(message))
    assert producer.published.batches == 0


def test_no_topic_and_no_broker_are_clear_errors(kafka: Kafka) -> None:
    with pytest.raises(MevstreamError, match="there is no topic nothing"):
        RawProducer(kafka.servers, topic="nothing")
    done = command("ingest", str(ROOT / "README.md"), "--kafka", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: Kafka at 127.0.0.1:1 does not answer ")
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def raw(kafka: Kafka) -> Kafka:
    Cluster(kafka.servers).ensure([TopicSpec("mev.raw", 5, {})])
    return kafka


def end_of_raw(kafka: Kafka) -> int:
    (topic,) = Cluster(kafka.servers).describe(["mev.raw"])
    return topic.records


def test_the_command_prints_what_arrived(raw: Kafka, chain: Path) -> None:
    before = end_of_raw(raw)
    done = command("ingest", chain, "--kafka", raw.servers)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    words = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert int(words["batches"][0]) == end_of_raw(raw) - before
    assert words["slots"][:3] == ["400000000", "to", "400000007,"]


def test_a_broken_input_leaves_what_came_before_it(raw: Kafka, chain: Path, tmp_path: Path) -> None:
    before = end_of_raw(raw)
    broken = tmp_path / "400000099.pb"
    broken.write_bytes(b"\x0a\xff\xff")
    done = command("ingest", chain, broken, "--kafka", raw.servers)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {broken}: ")
    assert end_of_raw(raw) - before == int(done.stdout.split()[1]) > 0


def test_an_interrupt_ends_it_in_good_order(raw: Kafka, chain: Path) -> None:
    before = end_of_raw(raw)
    process = subprocess.Popen(
        [*MEVSTREAM, "ingest", str(chain), "--kafka", raw.servers, "--rate", "1000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while end_of_raw(raw) < before + 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")
    assert int(out.split()[1]) == end_of_raw(raw) - before < 24


def test_a_simulated_chain_happens_now(raw: Kafka, tmp_path: Path) -> None:
    before = end_of_raw(raw)
    truth = tmp_path / "truth.jsonl"
    start = time.time()
    done = subprocess.run(
        [*MEVSTREAM, "simulate", "--kafka", "--rate=3000", "--slots=4", f"--truth={truth}"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "MEVSTREAM_KAFKA": raw.servers},
        capture_output=True,
        text=True,
        timeout=120,
    )
    end = time.time()
    assert done.returncode == 0, done.stderr
    views = [unpack(record)[0] for record in raw.read("mev.raw", end_of_raw(raw))]
    new = sorted(
        (view for view in views if view.source == "simulator" and view.received_ns > start * 1e9),
        key=lambda view: (view.slot, view.seq),
    )
    assert len(new) == end_of_raw(raw) - before
    slots = sorted({view.slot for view in new})
    assert slots == list(range(slots[0], slots[0] + 4))
    counted = [json.loads(line) for line in truth.read_text().splitlines()]
    assert [c["transactions"] for c in counted if c["record"] == "slot"] == [
        sum(len(view.transactions) for view in new if view.slot == slot) for slot in slots
    ]
    seen = [view.received_ns / 1e9 for view in new]
    assert seen == sorted(seen)
    assert start < seen[0] < seen[-1] < end
    # Four slots of 1,200 transactions; a second may be made up where the simulator was slow.
    assert seen[-1] - seen[0] > 0.4
    assert all(start - 1 <= (view.block_time or 0) <= end for view in new)


def test_simulated_batches_are_those_of_the_stored_block(tmp_path: Path) -> None:
    from mevstream.topologies.raw.batches import BatchWriter
    from mevstream.topologies.raw.simulator.output import raw_batches

    (block,) = Simulator(SimulatorConfig(transactions_per_slot=600)).blocks(1)
    (tmp_path / f"{block.slot}.pb").write_bytes(block.data)
    stored = [RawView(message) for message in open_sources([str(tmp_path)])]
    live = [RawView(m) for m in raw_batches(block, BatchWriter("solana", 256, time.time_ns))]
    for one, other in zip(stored, live, strict=True):
        assert one.transactions == other.transactions
        for name in (
            "slot",
            "parent_slot",
            "seq",
            "last",
            "blockhash",
            "parent_blockhash",
            "block_height",
            "chain",
            "commitment",
        ):
            assert getattr(one, name) == getattr(other, name), name
