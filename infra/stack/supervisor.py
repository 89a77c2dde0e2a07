"""The background process of a stack: starts the services, starts again what ends, stops them all.

Run as `python -m mevstream.infra.stack.supervisor FOLDER`. It holds the lock of the folder as long
as it lives, and tells in state.json what it does. If a service does not come up the first time,
the whole stack ends with that error; later a service that ends is started again, for ever.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Literal

from mevstream.errors import MevstreamError
from mevstream.infra.stack.config import StackConfig, write_whole
from mevstream.infra.stack.service import Service, ServiceProcess, health
from mevstream.infra.stack.state import (
    SUPERVISOR_LOCK,
    ProcessId,
    ServiceState,
    StackState,
    state_file,
    try_lock,
)

TICK_SECONDS = 0.2
START_SECONDS = 90
# A service that ran this long before it ended is in no crash loop.
STEADY_SECONDS = 60
MAX_BACKOFF_SECONDS = 30


def backoff_seconds(ends: int) -> float:
    """How long to wait after so many ends in a row (from 1), each soon after its start."""
    return min(0.5 * 2 ** min(ends - 1, 10), MAX_BACKOFF_SECONDS)


class _Watch:
    """One service: its process, and when to start it again."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.process: ServiceProcess | None = None
        self.state = ServiceState()
        self._ends = 0
        self._start_at = 0.0

    def start(self) -> None:
        self.process = ServiceProcess(self.service)
        self.state.state = "starting"
        self.state.started = self.process.started
        self.state.process = ProcessId.of(self.process.pid)

    def tick(self) -> bool:
        """Looks after the service once; True if something has changed."""
        if self.process is None:
            if time.monotonic() < self._start_at:
                return False
            self.state.restarts += 1
            try:
                self.start()
            except MevstreamError as error:
                self._ended(str(error), steady=False)
            return True
        if self.process.exit_code() is not None:
            lived = time.time() - self.process.started
            self._ended(self.process.obituary(), steady=lived > STEADY_SECONDS)
            return True
        if self.state.state == "starting" and self.process.answers():
            self.state.state = "running"
            return True
        return False

    def stopped(self) -> None:
        self.process = None
        self.state.state, self.state.process, self.state.started = "stopped", None, None

    def _ended(self, why: str, *, steady: bool) -> None:
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {why}", flush=True)
        self._ends = 1 if steady else self._ends + 1
        self._start_at = time.monotonic() + backoff_seconds(self._ends)
        self.stopped()
        self.state.state, self.state.last_end = "waiting", why


class Supervisor:
    """Runs the services of a stack until it is told to stop."""

    def __init__(self, folder: Path, services: Sequence[Service]) -> None:
        self._folder = folder
        self._watches = [_Watch(service) for service in services]
        self._stopping = False

    def run(self) -> None:
        """Returns after a SIGTERM. However it ends, no service is left running.

        Raises MevstreamError for a service that did not come up.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop_soon)
        error: str | None = None
        try:
            self._start_all()
            self._write("running")
            while not self._stopping:
                changes = [watch.tick() for watch in self._watches]
                if any(changes):
                    self._write("running")
                time.sleep(TICK_SECONDS)
        except Exception as failure:
            error = str(failure)
            raise
        finally:
            self._write("stopping", error)
            self._stop_all()
            self._write("failed" if error else "stopped", error)

    def _start_all(self) -> None:
        end = time.monotonic() + START_SECONDS
        for watch in self._watches:
            watch.start()
            self._write("starting")
        while not self._stopping:
            for watch in self._watches:
                if watch.tick():
                    self._write("starting")
                if watch.state.last_end is not None:
                    raise MevstreamError(watch.state.last_end)
            late = [watch.service for watch in self._watches if watch.state.state == "starting"]
            if not late:
                return
            if time.monotonic() > end:
                raise MevstreamError(
                    f"{late[0].name} did not answer on {late[0].address} within {START_SECONDS} s: "
                    f"{health(late[0])} (log: {late[0].log})"
                )
            time.sleep(TICK_SECONDS / 4)

    def _stop_all(self) -> None:
        running = [(watch, watch.process) for watch in self._watches if watch.process]
        for _, process in running:
            process.terminate()
        for watch, process in running:
            process.wait()
            watch.stopped()

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _write(
        self,
        phase: Literal["starting", "running", "stopping", "stopped", "failed"],
        error: str | None = None,
    ) -> None:
        myself = ProcessId.of(os.getpid())
        services = {watch.service.name: watch.state for watch in self._watches}
        state = StackState(phase=phase, supervisor=myself, services=services, error=error)
        write_whole(state_file(self._folder), state.model_dump_json(indent=2))


def main(folder: Path) -> int:
    held = try_lock(folder, SUPERVISOR_LOCK)
    if held is None:
        print(f"error: {folder}: another supervisor runs this stack", file=sys.stderr)
        return 1
    try:
        config = StackConfig.load(folder)
        if config is None:
            raise MevstreamError(f"{folder}: no stack was ever started here")
        Supervisor(folder, config.build()).run()
    except MevstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
