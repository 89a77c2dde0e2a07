"""Starting, ending and looking at a stack from outside: what the command `stack` calls."""

import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from mevstream.errors import MevstreamError
from mevstream.infra.stack.config import StackConfig, log_file
from mevstream.infra.stack.service import Service, health, last_words, open_log, port_is_free
from mevstream.infra.stack.state import (
    CONTROL_LOCK,
    SUPERVISOR_LOCK,
    ServiceState,
    StackState,
    state_file,
    try_lock,
    wait_lock,
)
from mevstream.infra.stack.supervisor import START_SECONDS

# The broker alone may take 30 s; what takes longer is ended the hard way.
_STOP_SECONDS = 45


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service now. `problem` is None where it answers, else what it does instead."""

    name: str
    state: str
    pid: int | None
    address: str
    uptime_seconds: float | None
    memory_bytes: int | None
    restarts: int
    problem: str | None
    last_end: str | None


def is_running(folder: Path) -> bool:
    """Whether a supervisor runs the stack of the folder."""
    if not (folder / SUPERVISOR_LOCK).exists():
        return False
    free = try_lock(folder, SUPERVISOR_LOCK)
    if free is None:
        return True
    free.close()
    return False


def up(config: StackConfig) -> bool:
    """Starts the stack and returns once every service answers; False if it ran already.

    Raises MevstreamError, with nothing left running, where a service cannot be started, and where
    the stack of the folder runs with another configuration.
    """
    try:
        config.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MevstreamError(f"{config.folder}: {error.strerror}") from None
    with _control(config.folder):
        if is_running(config.folder):
            if not config.same_servers(StackConfig.load(config.folder)):
                raise MevstreamError(
                    f"the stack in {config.folder} runs with other settings: "
                    "end it first (mevstream stack down)"
                )
            return False
        _end_orphans(config.folder)
        services = config.build()
        _check_ports(services)
        config.save()
        state_file(config.folder).unlink(missing_ok=True)
        with open_log(config.log("supervisor")) as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "mevstream.infra.stack.supervisor", config.folder],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _wait_running(config, supervisor)
        except BaseException:
            supervisor.terminate()
            supervisor.wait()
            raise
    return True


def down(folder: Path) -> bool:
    """Ends the stack in good order and returns once nothing of it runs; False if nothing did."""
    if not folder.is_dir():
        return False
    with _control(folder):
        state = StackState.load(folder)
        ran = is_running(folder)
        if ran and state is not None and (supervisor := state.supervisor.find()):
            supervisor.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                supervisor.wait(_STOP_SECONDS)
        if is_running(folder) and state is not None and (supervisor := state.supervisor.find()):
            supervisor.kill()
            supervisor.wait(_STOP_SECONDS)
        return _end_orphans(folder) or ran


def status(config: StackConfig) -> list[ServiceStatus]:
    """How every service of the stack is now, asked directly."""
    known = StackState.load(config.folder)
    rows: list[ServiceStatus] = []
    for service in config.build():
        told = known.services.get(service.name) if known else None
        told = told or ServiceState(state="stopped")
        process = told.process.find() if told.process else None
        state = told.state if process or told.state in ("waiting", "stopped") else "gone"
        memory: int | None = None
        with contextlib.suppress(psutil.Error):
            memory = process.memory_info().rss if process else None
        rows.append(
            ServiceStatus(
                name=service.name,
                state=state,
                pid=process.pid if process else None,
                address=service.address,
                uptime_seconds=time.time() - told.started if process and told.started else None,
                memory_bytes=memory,
                restarts=told.restarts,
                problem=health(service) if process else "is not running",
                last_end=told.last_end,
            )
        )
    return rows


def log_lines(
    folder: Path, names: list[str], *, lines: int, follow: bool
) -> Iterator[tuple[str, str]]:
    """(service, line) of the last lines of each log; with `follow` what is added, for ever."""
    positions: dict[str, int] = {}
    for name in names:
        path = log_file(folder, name)
        data = path.read_bytes() if path.exists() else b""
        # A line that is still being written is left for later.
        positions[name] = data.rfind(b"\n") + 1
        for line in data[: positions[name]].decode(errors="replace").splitlines()[-lines:]:
            yield name, line
    while follow:
        time.sleep(0.2)
        for name in names:
            path = log_file(folder, name)
            if not path.exists():
                continue
            with path.open("rb") as file:
                if path.stat().st_size < positions[name]:
                    positions[name] = 0
                file.seek(positions[name])
                data = file.read()
            complete = data.rfind(b"\n") + 1
            positions[name] += complete
            for line in data[:complete].decode(errors="replace").splitlines():
                yield name, line


@contextlib.contextmanager
def _control(folder: Path) -> Generator[None]:
    try:
        held = wait_lock(folder, CONTROL_LOCK)
    except OSError as error:
        raise MevstreamError(f"{folder}: {error.strerror}") from None
    with held:
        yield


def _wait_running(config: StackConfig, supervisor: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS + 30
    while True:
        state = StackState.load(config.folder)
        if state is not None and state.phase == "running":
            return
        if supervisor.poll() is not None:
            told = StackState.load(config.folder)
            log = config.log("supervisor")
            why = told.error if told else None
            raise MevstreamError(why or f"the supervisor ended: {last_words(log)} (log: {log})")
        if time.monotonic() > end:
            raise MevstreamError(
                f"the supervisor does not answer (log: {config.log('supervisor')})"
            )
        time.sleep(0.05)


def _end_orphans(folder: Path) -> bool:
    """Ends what a supervisor that was killed has left running; True if there was anything."""
    state = StackState.load(folder)
    told = state.services.values() if state else ()
    left = [process for s in told if s.process and (process := s.process.find())]
    for process in left:
        process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=_STOP_SECONDS)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=_STOP_SECONDS)
    return bool(left)


def _check_ports(services: list[Service]) -> None:
    owners = Counter(port for service in services for port in service.ports)
    for service in services:
        for port in service.ports:
            where = f"{service.name}: port {port}"
            setting = f"MEVSTREAM_{service.name.upper()}_PORT chooses another"
            if not 0 < port < 65536 or owners[port] > 1:
                raise MevstreamError(f"{where} is no port of its own ({setting})")
            if not port_is_free(port):
                raise MevstreamError(f"{where} is taken{_owner(port)} ({setting})")


def _owner(port: int) -> str:
    """Who listens on a port, as far as this user may know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
