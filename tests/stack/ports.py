"""Ports that are free on the loopback address."""

import random
import socket

from mevstream.infra.stack.s3 import s3_ports
from mevstream.infra.stack.service import port_is_free


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def free_s3_port() -> int:
    """A port for the S3 server, which needs more than this one. Below those that systems give out
    by themselves, so that nobody takes one in the meantime."""
    for _ in range(1000):
        port = random.randrange(10_000, 20_000)
        if all(map(port_is_free, s3_ports(port).values())):
            return port
    raise AssertionError("no free ports")


def quiet_ports(count: int) -> list[int]:
    """Different free ports below those that systems give out by themselves: also after a while, or
    after a restart, no connection of somebody else has taken one."""
    found: list[int] = []
    for port in random.sample(range(20_000, 30_000), 2000):
        if len(found) < count and port_is_free(port):
            found.append(port)
    if len(found) < count:
        raise AssertionError("no free ports")
    return found
