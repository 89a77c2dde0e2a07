"""A simulated chain from `ingest` through a worker into the stores, by the commands."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka.broker import Kafka
from sinks.conftest import Front

from mevstream.infra.topics import Cluster, topic_specs
from mevstream.topologies.sinks.native_engine import NativeEngine
from runner.scene import committed_offsets, wait

ROOT = Path(__file__).parents[2]
MEVSTREAM = (sys.executable, "-m", "mevstream")


@pytest.fixture(scope="module")
def environment(kafka: Kafka) -> dict[str, str]:
    specs = topic_specs(raw_partitions=2, market_partitions=2, retention_hours=1)
    kafka.delete(spec.name for spec in specs)
    Cluster(kafka.servers).ensure(specs)
    return {
        **os.environ,
        "MEVSTREAM_KAFKA": kafka.servers,
        "MEVSTREAM_GROUP_PREFIX": "commands",
    }


@pytest.fixture(scope="module")
def truth(
    kafka: Kafka, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, object]]:
    """The true swaps of a chain that lies parsed in Kafka."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate = ["simulate", str(folder / "chain"), "--slots", "20", "--transactions", "600"]
    command(environment, *simulate, "--truth", str(folder / "truth.jsonl"))
    command(environment, "ingest", str(folder / "chain"), "--quiet")
    (raw,) = Cluster(kafka.servers).describe(["mev.raw"])

    def parsed() -> int:
        (topic,) = Cluster(kafka.servers).describe(["mev.parsed"])
        return topic.records

    with process(environment, "worker", "parsed"):
        wait(lambda: parsed() >= 2 * raw.records, "parsed records", 90)
    lines = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    return [line for line in lines if line["record"] == "swap"]


def command(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [*MEVSTREAM, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def process(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs a command; at the end SIGTERM has to end it in good order."""
    running = subprocess.Popen(
        [*MEVSTREAM, *arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield running
        running.send_signal(signal.SIGTERM)
        _, log = running.communicate(timeout=60)
        assert running.returncode == 0, log
    finally:
        running.kill()
        running.communicate()


def wait_committed(kafka: Kafka, group: str) -> None:
    """Waits until a group has committed all of mev.parsed."""
    (topic,) = Cluster(kafka.servers).describe(["mev.parsed"])
    ends = {partition.number: partition.end for partition in topic.partitions}
    wait(lambda: committed_offsets(kafka.servers, group, "mev.parsed", 2) == ends, "commits", 90)


def test_the_lake_holds_the_true_swaps(
    kafka: Kafka, environment: dict[str, str], truth: list[dict[str, object]], tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")
    environment = environment | {"MEVSTREAM_LAKE": lake}

    for group in ("lake", "lake-once-more"):
        with process(environment, "sink", "lake", "--seconds", "1", "--group", group):
            wait_committed(kafka, group)
    sql = "SELECT base58Encode(signature) AS signature, amount_in, amount_out FROM swaps"
    rows = command(environment, "query", sql, "--lake", "--format", "jsonl")
    columns = ("signature", "amount_in", "amount_out")
    assert Counter(
        tuple(row[name] for name in columns) for row in map(json.loads, rows.splitlines())
    ) == Counter(tuple(swap[name] for name in columns) for swap in truth)


def test_clickhouse_holds_the_true_swaps(
    kafka: Kafka, environment: dict[str, str], truth: list[dict[str, object]], tmp_path: Path
) -> None:
    front = Front(tmp_path)
    engine = NativeEngine(front.server())
    address = f"127.0.0.1:{front.port}"

    def swaps() -> Counter[tuple[object, ...]]:
        columns = "base58Encode(signature), amount_in, amount_out"
        return Counter(engine.rows(f"SELECT {columns} FROM swaps FINAL"))

    try:
        command(environment, "migrate", "--server", address)
        for group in ("warm", "warm-once-more"):
            with process(environment, "sink", "clickhouse", address, "--group", group):
                wait_committed(kafka, group)
        columns = ("signature", "amount_in", "amount_out")
        assert swaps() == Counter(tuple(swap[name] for name in columns) for swap in truth)
    finally:
        engine.close()
        front.process.stop()


@pytest.mark.parametrize(
    "arguments",
    [
        ("clickhouse", "127.0.0.1:1"),
        ("hot", "redis://127.0.0.1:1/0"),
        ("lake", "s3://bucket/prefix", "--endpoint", "http://127.0.0.1:1"),
    ],
)
def test_a_store_that_is_not_there_is_one_line(
    environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    done = subprocess.run(
        [*MEVSTREAM, "sink", *arguments],
        cwd=ROOT,
        env=environment | keys,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
