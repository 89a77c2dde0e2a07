"""What every test may use: the real data where it is present, a word where it is not."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

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
