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

from mevstream.infra.topics import Cluster, topic_specs
from runner.scene import wait

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


def test_the_lake_holds_the_true_swaps(
    environment: dict[str, str], truth: list[dict[str, object]], tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")
    environment = environment | {"MEVSTREAM_LAKE": lake}

    def swaps() -> int:
        asked = [*MEVSTREAM, "query", "SELECT count() FROM swaps", "--lake", "--format=csv"]
        done = subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True)
        return int(done.stdout.splitlines()[1]) if done.returncode == 0 else 0

    with process(environment, "sink", "lake", "--seconds", "1"):
        wait(lambda: swaps() >= len(truth), "swaps in the lake", 60)
    with process(environment, "sink", "lake", "--seconds", "1", "--group", "once-more"):
        wait(lambda: swaps() >= len(truth), "swaps in the lake", 60)
    assert swaps() == len(truth)
    sql = "SELECT base58Encode(signature) AS signature, amount_in, amount_out FROM swaps"
    rows = command(environment, "query", sql, "--lake", "--format", "jsonl")
    columns = ("signature", "amount_in", "amount_out")
    assert Counter(
        tuple(row[name] for name in columns) for row in map(json.loads, rows.splitlines())
    ) == Counter(tuple(swap[name] for name in columns) for swap in truth)
