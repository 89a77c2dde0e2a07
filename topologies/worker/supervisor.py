"""A parent process that starts its child again when that breaks."""

import os
import signal
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from mevstream.topologies.observe.logging import get_logger

log = get_logger(__name__)

_FIRST_DELAY_SECONDS = 0.5
_LAST_DELAY_SECONDS = 30.0
_GOOD_SECONDS = 60.0
_END_SECONDS = 20
_STEP_SECONDS = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Child:
    """The process that does the work.

    identity: the same for all children of one parent, of which one runs at a time.
    """

    identity: str
    _ready: int

    def ready(self) -> None:
        """From now on this process is started again when it ends by itself."""
        os.write(self._ready, b"\n")
        os.close(self._ready)


def supervise() -> Child:
    """Returns in a new process, and in another one each time that breaks. The caller's process
    stays behind, passes SIGINT and SIGTERM on and ends with the exit code of its last child.

    A child that ends by itself is started again: after half a second, and after twice as long each
    time, up to 30 s, until one has run for a minute. One that breaks at the very first start
    (`Child.ready` was not called) is not: what was asked for cannot be done. A child that does not
    end within 20 s of a signal is killed, and one whose parent has died ends as by SIGTERM.

    To be called before there are threads: they would be missing in the child.
    """
    if threading.active_count() > 1:
        raise RuntimeError("a process with threads cannot be supervised")
    return _Supervisor().run()


class _Supervisor:
    def __init__(self) -> None:
        self._identity = uuid.uuid4().hex
        self._child = 0
        self._asked = 0

    def run(self) -> Child:
        for number in _SIGNALS:
            signal.signal(number, self._pass_on)
        signal.signal(signal.SIGALRM, self._kill)
        delay = _FIRST_DELAY_SECONDS
        was_ready = False
        restarts = 0
        while True:
            ready, is_ready = os.pipe()
            alive, is_alive = os.pipe()
            # A signal must not come to a child that still has its parent's handlers.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            self._child = os.fork()
            if not self._child:
                os.close(ready)
                os.close(is_alive)
                return self._be_child(alive, is_ready)
            os.close(is_ready)
            os.close(alive)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            began = time.monotonic()
            code = self._wait()
            seconds = time.monotonic() - began
            was_ready = was_ready or os.read(ready, 1) != b""
            os.close(ready)
            os.close(is_alive)
            if self._asked or not was_ready:
                _exit(code)
            if seconds >= _GOOD_SECONDS:
                delay = _FIRST_DELAY_SECONDS
            restarts += 1
            log.warning(
                "worker ended, starting it again",
                exit_code=code,
                after_seconds=round(seconds, 1),
                in_seconds=delay,
                restarts=restarts,
            )
            self._sleep(delay)
            delay = min(2 * delay, _LAST_DELAY_SECONDS)

    def _be_child(self, alive: int, is_ready: int) -> Child:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

        def watch() -> None:
            os.read(alive, 1)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=watch, name="parent", daemon=True).start()
        return Child(self._identity, is_ready)

    def _wait(self) -> int:
        """The exit code of the child, negative if a signal ended it."""
        child = self._child
        # Until it is reaped its number is nobody else's, so a signal cannot hit a stranger.
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        self._child = 0
        signal.alarm(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._asked:
                sys.exit(0)
            time.sleep(_STEP_SECONDS)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._asked = number
        if self._child:
            os.kill(self._child, number)
            signal.alarm(_END_SECONDS)

    def _kill(self, number: int, frame: FrameType | None) -> None:
        if self._child:
            log.error("worker does not end, it is killed", seconds=_END_SECONDS)
            os.kill(self._child, signal.SIGKILL)


def _exit(code: int) -> NoReturn:
    sys.exit(code if code >= 0 else 1)
