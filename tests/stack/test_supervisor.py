"""The supervisor with small services of its own: crashes, crash loops, a start that fails."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mevstream.errors import MevstreamError
from mevstream.infra.stack import supervisor
from mevstream.infra.stack.service import Service
from mevstream.infra.stack.state import ProcessId, ServiceState, StackState
from stack.ports import free_ports

LISTEN = """
import pathlib, socket, sys
pathlib.Path("starts").open("a").write("x")
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""
DIE = "import sys; sys.exit('the disk is on fire')"


def service(folder: Path, name: str, program: str) -> Service:
    (port,) = free_ports(1)
    return Service(
        name=name,
        command=(sys.executable, "-c", program, str(port)),
        folder=folder / name,
        log=folder / f"{name}.log",
        ports=(port,),
        probe=lambda: socket.create_connection(("127.0.0.1", port), 1).close(),
        stop_seconds=5,
    )


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The supervisor runs in this process and takes its signals."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    # So that a story that ends before the supervisor has begun does not end the test run.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run_until(folder: Path, services: list[Service], story: Callable[[], None]) -> None:
    """Runs the supervisor while `story` acts from another thread, ends it when the story ends,
    and fails where that does."""
    failures: list[BaseException] = []

    def tell() -> None:
        try:
            story()
        except BaseException as failure:
            failures.append(failure)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    runner = supervisor.Supervisor(folder, services)
    thread = threading.Thread(target=tell)
    thread.start()
    runner.run()
    thread.join()
    if failures:
        raise failures[0]


def state_when(folder: Path, name: str, wanted: Callable[[ServiceState], bool]) -> ServiceState:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        state = StackState.load(folder)
        if state and name in state.services and wanted(state.services[name]):
            return state.services[name]
        time.sleep(0.02)
    pytest.fail(f"{name}: {StackState.load(folder)}")


def test_a_service_that_is_killed_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    services = [service(tmp_path, name, LISTEN) for name in ("one", "two")]
    seen: list[ProcessId] = []

    def story() -> None:
        one = state_when(tmp_path, "one", lambda s: s.state == "running").process
        two = state_when(tmp_path, "two", lambda s: s.state == "running").process
        assert one is not None
        assert two is not None
        os.kill(one.pid, signal.SIGKILL)
        again = state_when(tmp_path, "one", lambda s: s.restarts == 1 and s.state == "running")
        assert again.last_end == "one was ended by SIGKILL"
        assert again.process is not None
        assert again.process.pid != one.pid
        assert state_when(tmp_path, "two", lambda s: True).process == two
        seen.extend((again.process, two))

    run_until(tmp_path, services, story)
    assert all(process.find() is None for process in seen)
    state = StackState.load(tmp_path)
    assert state is not None
    assert state.phase == "stopped"
    assert {s.state for s in state.services.values()} == {"stopped"}


def test_a_service_that_does_not_come_up_ends_the_stack_with_its_last_words(
    tmp_path: Path,
) -> None:
    before = psutil.Process().children()
    services = [service(tmp_path, "good", LISTEN), service(tmp_path, "bad", DIE)]
    with pytest.raises(MevstreamError) as failure:
        supervisor.Supervisor(tmp_path, services).run()
    assert str(failure.value).startswith("bad ended with exit code 1: the disk is on fire (log: ")
    state = StackState.load(tmp_path)
    assert state is not None
    assert (state.phase, state.error) == ("failed", str(failure.value))
    assert psutil.Process().children() == before


def test_the_wait_before_a_restart_doubles_up_to_a_bound() -> None:
    waits = [supervisor.backoff_seconds(ends) for ends in range(1, 12)]
    assert waits[:4] == [0.5, 1, 2, 4]
    assert waits[-1] == supervisor.backoff_seconds(10**9) == supervisor.MAX_BACKOFF_SECONDS


def test_a_crash_loop_is_slowed_down(tmp_path: Path) -> None:
    """Comes up once, then never again: three ends take two waits, 0.5 and 1 s."""
    once = LISTEN.replace(
        "server =",
        "sys.argv[1] if pathlib.Path('starts').stat().st_size == 1 else sys.exit('no')\nserver =",
    )
    times: list[float] = []

    def story() -> None:
        process = state_when(tmp_path, "looping", lambda s: s.state == "running").process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        for restarts in range(3):
            state_when(
                tmp_path,
                "looping",
                lambda s, n=restarts: s.restarts == n and s.state == "waiting",
            )
            times.append(time.monotonic())

    run_until(tmp_path, [service(tmp_path, "looping", once)], story)
    assert times[1] - times[0] >= 0.5
    assert times[2] - times[1] >= 1
