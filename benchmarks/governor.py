"""Holds processes to a share of a core, as a container's CPU quota does, without any rights."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_PERIOD = 0.05
_LOOK = 0.002


class Governor:
    """While it is entered, each process gets `share` of a core: `share * 50` ms of CPU time in
    each 50 ms, after which it is stopped (SIGSTOP) until the next period. What it overdraws, it
    has less of in the next ones."""

    def __init__(self, pids: Sequence[int], share: float) -> None:
        self._share = share
        # The kernel's CPU-time clock of a process (clock_getcpuclockid): nanoseconds.
        self._clocks = {pid: (~pid << 3) | 2 for pid in pids}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def cpu(self, pid: int) -> float:
        """Seconds of CPU time that the process has used; those of all its threads."""
        return time.clock_gettime(self._clocks[pid])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        spent = {pid: self.cpu(pid) for pid in self._clocks}
        stopped: set[int] = set()
        try:
            period_ends = time.monotonic() + _PERIOD
            while not self._done.wait(_LOOK):
                now = time.monotonic()
                if now >= period_ends:
                    period_ends += _PERIOD
                    for pid, before in spent.items():
                        # Unused time is gone, overdrawn time is owed.
                        spent[pid] = min(before + self._share * _PERIOD, self.cpu(pid))
                for pid, before in spent.items():
                    over = self.cpu(pid) - before >= self._share * _PERIOD
                    if over != (pid in stopped):
                        self._signal(pid, signal.SIGSTOP if over else signal.SIGCONT)
                        (stopped.add if over else stopped.discard)(pid)
        except OSError:
            # A process has ended; the others must not stay stopped.
            return
        finally:
            for pid in stopped:
                self._signal(pid, signal.SIGCONT)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
