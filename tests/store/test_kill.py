"""A run that is killed with SIGKILL and started again leaves the tables of a run that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store.conftest import contents

TESTS = Path(__file__).resolve().parents[1]
SLOTS = 30


def feed(folder: Path, fork: int, *, operation: int | None = None) -> subprocess.Popen[str]:
    arguments = [str(folder), str(fork), str(SLOTS), *([str(operation)] if operation else [])]
    return subprocess.Popen(
        [sys.executable, "-m", "store.feed", *arguments],
        env={**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, fork: int) -> int:
    """Runs to the end; the number of statements and inserts."""
    process = feed(folder, fork)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return len(out.split())


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A store after an uninterrupted run over fork 0, another over fork 1; its operations."""
    folder = tmp_path_factory.mktemp("clean") / "warm"
    finish(folder, 0)
    return folder, finish(folder, 1)


def test_killed_before_a_statement(tmp_path: Path, clean: tuple[Path, int]) -> None:
    """The second run replaces every block of the first: deletions, too, are cut off."""
    folder, operations = clean
    finish(tmp_path / "warm", 0)
    for operation in random.Random(1).sample(range(1, operations), 5):
        with feed(tmp_path / "warm", 1, operation=operation) as process:
            process.communicate(timeout=120)
        # A later run has fewer blocks left to store, and may end before that operation.
        assert process.returncode in (-signal.SIGKILL, 0)
    finish(tmp_path / "warm", 1)
    assert contents(tmp_path / "warm") == contents(folder)


def test_killed_at_any_moment(tmp_path: Path, clean: tuple[Path, int]) -> None:
    folder, operations = clean
    rng = random.Random(7)
    killed = 0
    finish(tmp_path / "warm", 0)
    for _ in range(4):
        with feed(tmp_path / "warm", 1) as process:
            assert process.stdout is not None
            for _ in range(rng.randrange(2, operations // 2)):
                process.stdout.readline()
            time.sleep(rng.random() * 0.02)
            process.kill()
        killed += process.returncode == -signal.SIGKILL
    assert killed
    finish(tmp_path / "warm", 1)
    assert contents(tmp_path / "warm") == contents(folder)
