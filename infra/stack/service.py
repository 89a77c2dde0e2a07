"""One service as a process: how it is started, asked whether it answers, and ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mevstream.errors import MevstreamError

HOST = "127.0.0.1"
_MAX_LOG_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server program. `ports` are all that it listens on, the one for its clients first.

    `prepare` makes its folder ready before a start. `probe` raises an exception where the server
    does not answer properly; it takes a second or two at most.
    """

    name: str
    command: tuple[str | Path, ...]
    folder: Path
    log: Path
    ports: tuple[int, ...]
    probe: Callable[[], None]
    prepare: Callable[[], None] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_seconds: float = 10

    @property
    def address(self) -> str:
        return f"{HOST}:{self.ports[0]}"


class ServiceProcess:
    """A running service; the one that starts it ends it."""

    def __init__(self, service: Service) -> None:
        """Prepares and starts it. Raises MevstreamError where that is not possible."""
        self.service = service
        service.folder.mkdir(parents=True, exist_ok=True)
        service.prepare()
        with open_log(service.log) as log:
            try:
                self._process = subprocess.Popen(
                    service.command,
                    cwd=service.folder,
                    env={**os.environ, **service.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            except OSError as error:
                raise MevstreamError(f"{service.name}: {error}") from None
        self.started = time.time()

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def answers(self) -> bool:
        return answers(self.service)

    def wait_ready(self, seconds: float = 60) -> None:
        """Returns once it answers. Raises MevstreamError if it ends before or takes longer."""
        end = time.monotonic() + seconds
        while not self.answers():
            if self.exit_code() is not None:
                raise MevstreamError(self.obituary())
            if time.monotonic() > end:
                raise MevstreamError(
                    f"{self.service.name} did not answer on {self.service.address} within "
                    f"{seconds:.0f} s (log: {self.service.log})"
                )
            time.sleep(0.05)

    def obituary(self) -> str:
        """One line on a process that ended by itself: how, and the last words of its log."""
        code = self.exit_code() or 0
        if code < 0:
            return f"{self.service.name} was ended by {signal.Signals(-code).name}"
        words = last_words(self.service.log)
        told = f": {words}" if words else ""
        return f"{self.service.name} ended with exit code {code}{told} (log: {self.service.log})"

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float | None = None) -> None:
        """Returns when it has ended; the hard way after `seconds` (default: the service's own)."""
        try:
            self._process.wait(self.service.stop_seconds if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def stop(self) -> None:
        self.terminate()
        self.wait()


def open_log(path: Path) -> BinaryIO:
    """The log to append to; one that has grown large begins anew and the old one stays as .1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def last_words(log: Path) -> str:
    """The last line of a log that tells an error, else its last line; at most 300 characters."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - 16_384, 0))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    # The frames of a Java stack trace say nothing to who reads one line.
    lines = [line for line in lines if line and not line.startswith(("at ", "..."))]
    errors = [line for line in lines if "ERROR" in line or "Exception" in line or "error" in line]
    return (errors or lines or [""])[-1][:300]


def answers(service: Service) -> bool:
    """Whether the service's probe succeeds now."""
    return health(service) is None


def health(service: Service) -> str | None:
    """None if the service answers, else in one line what it did instead."""
    try:
        socket.create_connection((HOST, service.ports[0]), 1).close()
        service.probe()
    except Exception as error:
        # A probe runs another project's client: whatever that raises, the answer is "no".
        told = error.strerror if isinstance(error, OSError) else str(error)
        return (told or type(error).__name__).splitlines()[0][:200]
    return None


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the port of the loopback address."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still fading away counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
