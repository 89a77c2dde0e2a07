"""A disk that is too small for an embedded store, and what the store makes of it."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.simulator.output import file_writer, prepare_folder

_SLOTS = 60
_SMALL, _LARGE = "6m", "1g"
# Where nothing can be mounted: no file may grow beyond this, which stops the store as well.
_FILE_BYTES = 1 << 20
_COUNTS = "SELECT count() AS slots, sum(transactions) AS transactions, sum(swaps) AS swaps"


class SmallDisk:
    """Runs the embedded pipeline on a full disk. `problems` gathers what it should not have done.

    The disk is a tmpfs where this user may mount one, else a limit on the size of files.
    """

    def __init__(self, folder: Path) -> None:
        self.problems: list[str] = []
        self._folder = folder
        self._number = 0

    def fill_up(self, seed: int) -> None:
        """Simulates a small chain and runs it into a store on the small disk: that has to fail in
        one clear line. Then the disk gets room, and the same command has to end well, with
        every slot, transaction and swap there once."""
        self._number += 1
        folder = self._folder / f"disk-{self._number}"
        chain, disk = folder / "chain", folder / "disk"
        prepare_folder(chain, force=False)
        disk.mkdir()
        write = file_writer(chain, "pb")
        truth = {"slots": 0, "transactions": 0, "swaps": 0}
        for block in Simulator(SimulatorConfig(seed=seed)).blocks(_SLOTS):
            write(block)
            truth["slots"] += 1
            truth["transactions"] += block.counts["transactions"]
            truth["swaps"] += block.n_swaps
        mounted = _mount(disk, _SMALL)
        try:
            self._run_twice(chain, disk, truth, mounted)
        finally:
            if mounted:
                subprocess.run(["umount", "-l", disk], check=True)
            shutil.rmtree(folder)

    def _run_twice(self, chain: Path, disk: Path, truth: dict[str, int], mounted: bool) -> None:
        store = str(disk / "store")
        # Small flushes: some slots are stored before the disk is full.
        settings = {"MEVSTREAM_FLUSH_TRANSACTIONS": "8192"}
        command = ["run", str(chain), "--data", store, "--quiet"]
        full = _mevstream(command, settings, None if mounted else _limit_files)
        told = full.stderr.strip().splitlines()
        if full.returncode == 0:
            self.problems.append("a run on a full disk ended as if nothing had happened")
        elif full.returncode < 0 or len(told) != 1 or not told[0].startswith("error: "):
            last = told[-1] if told else "nothing"
            self.problems.append(
                f"a run on a full disk ended with {full.returncode} and {len(told)} lines: {last}"
            )
        if mounted:
            subprocess.run(["mount", "-o", f"remount,size={_LARGE}", disk], check=True)
        again = _mevstream(command, settings, None)
        if again.returncode:
            self.problems.append(f"a run after the disk got room failed: {again.stderr.strip()}")
            return
        for source in ("slots FINAL", "slots"):
            if (found := _row(f"{_COUNTS} FROM {source}", store)) != truth:
                self.problems.append(f"after a full disk {source} has {found}, not {truth}")
        rows = "SELECT count() - uniqExact(signature) AS twice FROM transactions"
        if _row(rows, store) != {"twice": 0}:
            self.problems.append("after a full disk transactions are there twice")


def _row(sql: str, store: str) -> dict[str, int]:
    done = _mevstream(["query", sql, "--data", store, "--format", "json"], {}, None)
    [row] = json.loads(done.stdout)
    return {name: int(value) for name, value in row.items()}


def _mevstream(
    arguments: list[str], settings: dict[str, str], before: Callable[[], None] | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mevstream", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=before,
    )


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, resource.RLIM_INFINITY))


def _mount(folder: Path, size: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False
