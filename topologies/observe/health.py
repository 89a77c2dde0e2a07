"""One small HTTP server a process: `/metrics`, `/healthz` (alive) and `/readyz` (can take work).

Parts register named checks. A check returns None while all is well, else the reason in a few
words; it is called on a thread of the server and must return at once: look at what is known, ask
nobody. `/healthz` fails where only a restart helps, `/readyz` where waiting does.
"""

import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app  # pyright: ignore[reportUnknownVariableType]

from mevstream.errors import MevstreamError
from mevstream.topologies.observe import metrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Check = Callable[[], str | None]


class Health:
    """The checks of a process."""

    def __init__(self) -> None:
        self._live: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}

    def live(self, name: str, check: Check) -> None:
        """Adds a check to /healthz; one of that name is replaced."""
        self._live[name] = check

    def ready(self, name: str, check: Check) -> None:
        """Adds a check to /readyz; one of that name is replaced."""
        self._ready[name] = check

    def remove(self, name: str) -> None:
        """Takes the checks of that name away, if there are any."""
        self._live.pop(name, None)
        self._ready.pop(name, None)

    def failures_live(self) -> dict[str, str]:
        return _failures(self._live)

    def failures_ready(self) -> dict[str, str]:
        """What is not alive is not ready either."""
        return _failures(self._live | self._ready)


class Heartbeat:
    """A check that fails when `beat` was not called for `seconds`: a loop that is stuck."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.beat()

    def beat(self) -> None:
        self._last = time.monotonic()

    def __call__(self) -> str | None:
        still = time.monotonic() - self._last
        return f"nothing happened for {still:.0f} s" if still > self._seconds else None


class HealthServer:
    """Serves as a context manager. `port` 0 takes any free one; `address` tells which."""

    def __init__(
        self, host: str, port: int, *, health: Health, registry: CollectorRegistry
    ) -> None:
        self._metrics: Any = make_wsgi_app(registry)
        self._health = health
        try:
            self._server = make_server(
                host, port, self._answer, server_class=_Server, handler_class=_Handler
            )
        except OSError as error:
            raise MevstreamError(
                f"metrics server: {host}:{port}: {error.strerror or error} "
                "(another process may have the port; 0 takes any free one)"
            ) from None
        self.address = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="metrics server", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start("405 Method Not Allowed", [("Allow", "GET, HEAD")])
            return [b""]
        if path == "/metrics":
            return self._metrics(environ, start)
        if path == "/healthz":
            failures = self._health.failures_live()
        elif path == "/readyz":
            failures = self._health.failures_ready()
        else:
            start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"/metrics, /healthz, /readyz\n"]
        status = "503 Service Unavailable" if failures else "200 OK"
        start(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [orjson.dumps({"ok": not failures, "failing": failures}), b"\n"]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    # A client that connects and says nothing does not keep a thread for ever.
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not logged."""


def _failures(checks: dict[str, Check]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, check in list(checks.items()):
        try:
            reason = check()
        except Exception as error:
            # A check that breaks is no proof of health, and must not break the answer.
            reason = f"{type(error).__name__}: {error}"
        if reason is not None:
            found[name] = reason
    return found


HEALTH = Health()
"""The checks of this process."""


def live(name: str, check: Check) -> None:
    """Adds a check to this process's /healthz."""
    HEALTH.live(name, check)


def ready(name: str, check: Check) -> None:
    """Adds a check to this process's /readyz."""
    HEALTH.ready(name, check)


def remove(name: str) -> None:
    """Takes the checks of that name away."""
    HEALTH.remove(name)


def serve(host: str, port: int) -> HealthServer:
    """The server of this process, for a `with` statement. Raises MevstreamError where the port
    cannot be had."""
    return HealthServer(host, port, health=HEALTH, registry=metrics.new_registry(metrics.METRICS))
