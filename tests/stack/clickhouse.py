"""The stack's own ClickHouse front as a process of a test."""

from pathlib import Path

from mevstream.infra.stack.clickhouse import clickhouse_service
from mevstream.infra.stack.service import ServiceProcess
from stack.ports import free_ports


class FrontProcess:
    """`start` again after `kill` finds the same tables."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._service = clickhouse_service(folder=folder, log=folder / "log", port=self.port)
        self.start()

    def start(self) -> None:
        self.process = ServiceProcess(self._service)
        self.process.wait_ready()

    def kill(self) -> None:
        self.process.kill()
