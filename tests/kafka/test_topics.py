"""The chain's topics: what the chain list asks for, and what a cluster makes of it."""

import subprocess
import sys

import pytest

from kafka.broker import Kafka
from mevstream.errors import MevstreamError
from mevstream.infra.topics import Cluster, TopicSpec, topic_specs
from mevstream.topologies.chain import CHAIN, Link


def specs_of(chain: tuple[Link, ...] = CHAIN) -> dict[str, TopicSpec]:
    specs = topic_specs(raw_partitions=6, market_partitions=3, retention_hours=2, chain=chain)
    assert len({spec.name for spec in specs}) == len(specs)
    return {spec.name: spec for spec in specs}


def test_partitions_and_retention_follow_the_purpose_of_a_topic() -> None:
    specs = specs_of()
    partitions = {name: spec.partitions for name, spec in specs.items()}
    assert partitions == {
        "mev.raw": 6,
        "mev.parsed": 3,
        "mev.features": 3,
        "mev.opportunities": 3,
        "mev.slots": 1,
        "mev.dead-letter": 6,
        "mev.checkpoints": 3,
    }
    compacted = {name for name, s in specs.items() if s.config["cleanup.policy"] == "compact"}
    assert compacted == {"mev.slots", "mev.checkpoints"}
    assert specs["mev.raw"].config["retention.ms"] == str(2 * 3_600_000)
    assert specs["mev.dead-letter"].config["retention.ms"] == str(30 * 24 * 3_600_000)


def test_a_link_more_is_a_topic_more() -> None:
    link = Link("new", input="mev.parsed", outputs=("mev.new",), open_stage=lambda: lambda _: [])
    assert specs_of((*CHAIN, link)).keys() - specs_of().keys() == {"mev.new"}
    assert specs_of((*CHAIN, link))["mev.new"].partitions == 3


def test_topics_are_made_once_and_brought_back_to_what_they_should_be(kafka: Kafka) -> None:
    cluster = Cluster(kafka.servers)
    name = "ensured"
    spec = TopicSpec(name, 3, {"cleanup.policy": "compact", "segment.ms": "3600000"})
    assert cluster.ensure([spec]) == {name: "created"}
    assert cluster.ensure([spec]) == {name: "unchanged"}
    (topic,) = cluster.describe([name])
    assert topic.config == spec.config
    assert [(p.number, p.leader, p.first, p.end) for p in topic.partitions] == [
        (number, 1, 0, 0) for number in range(3)
    ]

    other = TopicSpec(name, 5, {"cleanup.policy": "delete", "retention.ms": "60000"})
    assert cluster.ensure([other]) == {name: "changed, keeps 3 partitions"}
    (topic,) = cluster.describe([name])
    assert topic.config == {**spec.config, **other.config}


def test_offsets_are_counted(kafka: Kafka) -> None:
    name = kafka.topic(2)
    producer = kafka.producer()
    for number in range(7):
        producer.produce(name, b"x", partition=number % 2)
    assert producer.flush(30) == 0
    (topic,) = Cluster(kafka.servers).describe([name])
    assert [(p.first, p.end) for p in topic.partitions] == [(0, 4), (0, 3)]
    assert topic.records == 7


def test_the_commands(kafka: Kafka) -> None:
    def topics(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mevstream", "topics", *arguments]
        command += ["--kafka", kafka.servers]
        return subprocess.run(command, capture_output=True, text=True)

    kafka.delete(specs_of())
    created = topics("create", "--raw-partitions", "5")
    assert created.returncode == 0, created.stderr
    assert "mev.raw  created" in created.stdout.splitlines()
    assert "mev.raw  unchanged" in topics("create", "--raw-partitions", "5").stdout.splitlines()

    rows = {row[0]: row[1:] for line in topics("list").stdout.splitlines() if (row := line.split())}
    assert rows["mev.raw"] == ["5", "0", "24", "h"]
    assert rows["mev.slots"] == ["1", "0", "compact"]

    assert "cleanup.policy = compact" in topics("describe", "mev.slots").stdout
    missing = topics("describe", "mev.nothing")
    assert missing.returncode == 1
    assert missing.stderr == f"error: {kafka.servers}: there is no topic mev.nothing\n"


def test_a_cluster_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(MevstreamError, match=r"^Kafka at 127\.0\.0\.1:1 does not answer "):
        Cluster("127.0.0.1:1").names()
