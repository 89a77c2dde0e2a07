"""The programs under test as processes of their own: started, killed, stopped, frozen, watched."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Self

from mevstream.errors import MevstreamError


@dataclass(frozen=True, slots=True)
class Program:
    """What is started for one role. `stop_seconds` is what a SIGTERM may take."""

    role: str
    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_seconds: float = 30


@dataclass(frozen=True, slots=True)
class Exit:
    """A process that ended without being told to. `code` is negative for a signal."""

    name: str
    code: int
    at: float


class Instance:
    """One process of a program; its output goes to a log that is kept."""

    def __init__(self, program: Program, name: str, folder: Path) -> None:
        self.program = program
        self.name = name
        self.log = folder / f"{name}.log"
        # Whether its end is what somebody asked for.
        self.ending = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                program.command,
                env={**os.environ, **program.environment, "PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own: a supervisor and what it started get the signals together.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL to it and whatever it started; returns when it is gone."""
        self.ending = True
        self._signal(signal.SIGKILL)
        self._process.wait()

    def terminate(self) -> float:
        """SIGTERM, as a service manager sends it; the seconds until it was gone.

        Raises MevstreamError if that took longer than it may, after killing it; the end of its
        log then shows where its threads were.
        """
        self.ending = True
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self.program.stop_seconds)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGABRT)
            time.sleep(1)
            self.kill()
            raise MevstreamError(
                f"{self.name} did not end within {self.program.stop_seconds:.0f} s of SIGTERM"
            ) from None
        return time.monotonic() - started

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class Fleet:
    """As many instances of each program as are wanted. One that ends by itself is told in
    `exits` and started again, as a service manager does."""

    def __init__(self, programs: Sequence[Program], folder: Path) -> None:
        self.programs = {program.role: program for program in programs}
        self.exits: list[Exit] = []
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._running: dict[str, list[Instance]] = {role: [] for role in self.programs}
        self._numbers = {role: count() for role in self.programs}
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._look_after, daemon=True)
        self._watch.start()

    def start(self, role: str, instances: int = 1) -> list[Instance]:
        with self._lock:
            program = self.programs[role]
            added = [
                Instance(program, f"{role}-{next(self._numbers[role])}", self._folder)
                for _ in range(instances)
            ]
            self._running[role] += added
            return added

    def running(self, role: str) -> list[Instance]:
        """Those that are wanted now, the oldest first."""
        with self._lock:
            return list(self._running[role])

    def instances(self) -> list[Instance]:
        with self._lock:
            return [one for running in self._running.values() for one in running]

    def forget(self, instance: Instance) -> None:
        """From now on it is not wanted: its end is no accident."""
        with self._lock:
            instance.ending = True
            running = self._running[instance.program.role]
            # It may have ended by itself a moment ago.
            if instance in running:
                running.remove(instance)

    def stop(self) -> list[str]:
        """Ends everything by SIGTERM; a line for each that did not end in time."""
        self._closed.set()
        self._watch.join()
        problems: list[str] = []
        for instance in self.instances():
            instance.thaw()
            self.forget(instance)
            try:
                instance.terminate()
            except MevstreamError as error:
                problems.append(str(error))
        return problems

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._watch.join()
        for instance in self.instances():
            instance.kill()

    def _look_after(self) -> None:
        while not self._closed.wait(0.2):
            with self._lock:
                for instance in self.instances():
                    code = instance.exit_code()
                    if code is None or instance.ending:
                        continue
                    self.exits.append(Exit(instance.name, code, time.monotonic()))
                    self.forget(instance)
                    self.start(instance.program.role)
