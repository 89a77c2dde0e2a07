"""A ClickHouse server for the stack: the embedded engine behind its native protocol."""

import sys
from pathlib import Path
from typing import Any

from mevstream.infra.stack.service import HOST, Service


def clickhouse_service(*, folder: Path, log: Path, port: int) -> Service:
    """A server of the native protocol whose tables lie in `folder`."""
    return Service(
        name="clickhouse",
        command=(
            sys.executable,
            "-m",
            "mevstream.infra.stack.clickhouse_front",
            folder / "store",
            str(port),
        ),
        folder=folder,
        log=log,
        ports=(port,),
        probe=lambda: _probe(port),
        stop_seconds=30,
    )


def _probe(port: int) -> None:
    from clickhouse_driver import Client  # pyright: ignore[reportMissingTypeStubs]

    client: Any = Client(HOST, port, connect_timeout=1, send_receive_timeout=2)
    try:
        client.execute("SELECT 1")
    finally:
        client.disconnect()
