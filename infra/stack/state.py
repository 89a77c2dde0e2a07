"""What the supervisor of a stack tells the rest of the world, and the locks around it."""

import fcntl
from pathlib import Path
from typing import IO, Literal, Self

import psutil
from pydantic import BaseModel

SUPERVISOR_LOCK = "supervisor.lock"
"""Held by the supervisor as long as it lives."""
CONTROL_LOCK = "control.lock"
"""Held by `up` and `down` while they work."""


class ProcessId(BaseModel):
    """A process so that no later one with the same number can be taken for it."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """For this process or a child that was not waited for."""
        return cls(pid=pid, created=psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            return process if alive and process.create_time() == self.created else None
        except psutil.Error:
            return None


class ServiceState(BaseModel):
    """`waiting`: until it is started again. `started` in seconds since the epoch."""

    state: Literal["starting", "running", "waiting", "stopped"] = "starting"
    process: ProcessId | None = None
    started: float | None = None
    restarts: int = 0
    last_end: str | None = None


class StackState(BaseModel):
    """`error` is why the phase is `failed`."""

    phase: Literal["starting", "running", "stopping", "stopped", "failed"]
    supervisor: ProcessId
    services: dict[str, ServiceState]
    error: str | None = None

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What the last supervisor of the folder wrote; it need not run any more."""
        try:
            return cls.model_validate_json(state_file(folder).read_text())
        except (OSError, ValueError):
            return None


def state_file(folder: Path) -> Path:
    return folder / "state.json"


def try_lock(folder: Path, name: str) -> IO[str] | None:
    """A lock that ends with the file or the process; None if another process has it."""
    file = (folder / name).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def wait_lock(folder: Path, name: str) -> IO[str]:
    """The same, once nobody else has it."""
    file = (folder / name).open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file
