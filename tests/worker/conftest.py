"""The chain's topics, made anew for each test, and worker processes that read and write them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.broker import Kafka

from mevstream.topologies.raw.sources import open_sources
from worker.harness import TESTS, Field


@pytest.fixture
def field(kafka: Kafka, tmp_path: Path) -> Iterator[Field]:
    made = Field(kafka, tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def raw_batches(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The raw batches of eight simulated slots, of 20 transactions each: about a hundred."""
    folder = tmp_path_factory.mktemp("simulated") / "chain"
    command = [sys.executable, "-m", "mevstream", "simulate", str(folder), "--slots", "8"]
    subprocess.run(
        [*command, "--transactions", "250"], cwd=TESTS.parent, check=True, capture_output=True
    )
    return list(open_sources([str(folder)], batch_size=20))
