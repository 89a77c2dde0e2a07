"""The proxy does to a connection what it says."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from stack.ports import free_ports

from faults.proxy import Proxy

# Connections are cut on purpose: asyncio complains when it collects their rest.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """In front of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        echoes: list[threading.Thread] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                echoes.append(threading.Thread(target=echo, args=(connection,)))
                echoes[-1].start()

        acceptor = threading.Thread(target=serve)
        acceptor.start()
        with Proxy(server.getsockname()[1], free_ports(1)[0]) as proxy:
            yield proxy
        server.shutdown(socket.SHUT_RDWR)
        for thread in (acceptor, *echoes):
            thread.join(10)


def echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 5)


def exchange(client: socket.socket, data: bytes = b"x", seconds: float = 5) -> bytes:
    client.settimeout(seconds)
    client.sendall(data)
    received = b""
    while len(received) < len(data):
        piece = client.recv(65536)
        if not piece:
            raise ConnectionResetError
        received += piece
    return received


def test_passes_bytes_on(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert exchange(client, b"abc" * 100_000) == b"abc" * 100_000


def test_a_stalled_connection_goes_on_where_it_was(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert exchange(client) == b"x"
        proxy.stall()
        with pytest.raises(TimeoutError):
            exchange(client, b"held", 0.3)
        proxy.heal()
        assert client.recv(100) == b"held"


def test_cut_ends_connections_and_serves_new_ones(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert exchange(client) == b"x"
        proxy.cut()
        with pytest.raises(OSError):
            exchange(client)
    with connect(proxy) as client:
        assert exchange(client) == b"x"


def test_refuses_until_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as client:
        proxy.refuse()
        with pytest.raises(OSError):
            exchange(client)
        with pytest.raises(OSError):
            connect(proxy)
    proxy.heal()
    with connect(proxy) as client:
        assert exchange(client) == b"x"


def test_slow_holds_to_the_rate(proxy: Proxy) -> None:
    proxy.slow(50_000)
    with connect(proxy) as client:
        started = time.monotonic()
        exchange(client, bytes(20_000))
        # Both directions at once, piece by piece.
        assert 0.35 < time.monotonic() - started < 3
