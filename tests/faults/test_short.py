"""A few faults of the catalogue, each once: what `make chaos` does at length."""

from pathlib import Path

import pytest

from faults.chaos import Chaos, Options

FAULTS = (
    "worker: kill -9",
    "sink clickhouse: kill -9",
    "ClickHouse: kill -9",
    "sink lake: broker connections cut",
    "poison records",
    "batches repeated",
    "clock: an hour back",
)


# The proxies are taken down with connections open: asyncio complains when it collects their rest.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_few_faults_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    options = Options(
        folder=tmp_path,
        seed=11,
        minutes=0,
        faults=len(FAULTS),
        only=FAULTS,
        rate=600,
        pause=1,
    )
    with Chaos(options, print) as chaos:
        outcome = chaos.run()
    assert outcome.problems == []
    assert {line.fault for line in outcome.lines if line.times} == set(FAULTS)
