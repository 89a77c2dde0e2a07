"""A Valkey server for the tests, and one that wants a password."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from stack.ports import free_ports

from mevstream.infra.stack.service import ServiceProcess
from mevstream.infra.stack.valkey import valkey_service
from mevstream.topologies.sinks.hot import RedisServer, connect


class Valkey:
    """The process; `start` again after `kill`."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self._service = valkey_service(folder=folder, log=folder / "log", port=port)
        self.server = RedisServer(f"redis://127.0.0.1:{port}/0")
        self.start()

    def start(self) -> None:
        self.process = ServiceProcess(self._service)
        self.process.wait_ready()

    def kill(self) -> None:
        self.process.kill()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path_factory.mktemp("valkey"))
    yield valkey
    valkey.process.stop()


@pytest.fixture
def client(valkey: Valkey) -> Iterator[Redis]:
    """An empty database."""
    client = connect(valkey.server)
    client.flushdb()
    yield client
    client.close()
