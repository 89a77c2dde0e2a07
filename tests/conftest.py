"""What every test may use: the real data where it is present, a word where it is not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from kafka.broker import Kafka

# A machine that is busy for a moment is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real blocks and transactions: $MEVSTREAM_DATA, else ../shared/data."""
    folder = Path(os.environ.get("MEVSTREAM_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder (MEVSTREAM_DATA names another)")
    return folder


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A real broker on free ports of the loopback address, one a session, warm: the first
    idempotent record of a producer costs it a second and the first consumer group three, which no
    test has to pay and no timeout to allow for.

    One that cannot be started is a failure of the tests that want it, never a reason to skip.
    """
    from kafka.broker import Kafka

    broker = Kafka(tmp_path_factory.mktemp("kafka"))
    try:
        topic = broker.topic()
        producer = broker.producer()
        producer.produce(topic, b"warm")
        assert producer.flush(30) == 0
        for protocol in ("consumer", "classic"):
            broker.read(topic, 1, protocol=protocol)
        yield broker
    finally:
        broker.process.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says per reason how many tests did not run: a green run that skipped half proves little."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        where_and_why = report.longrepr
        reason = where_and_why[2] if isinstance(where_and_why, tuple) else str(where_and_why)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("not run")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:5d}  {reason}")
