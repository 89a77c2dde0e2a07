"""The server that tells how a process is: over real HTTP, beside others, and when checks break."""

import http.client
import json
import socket
import urllib.request
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from mevstream.errors import MevstreamError
from mevstream.topologies.observe.health import Health, HealthServer, Heartbeat


def serve(health: Health, port: int = 0) -> HealthServer:
    return HealthServer("127.0.0.1", port, health=health, registry=CollectorRegistry())


def ask(server: HealthServer, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(server.address + path, timeout=5) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_alive_and_ready_are_two_questions() -> None:
    health = Health()
    reasons: dict[str, str | None] = {"loop": None, "store": "connection refused"}
    health.live("loop", lambda: reasons["loop"])
    health.ready("store", lambda: reasons["store"])
    with serve(health) as server:
        assert ask(server, "/healthz") == (200, {"ok": True, "failing": {}})
        away = {"store": "connection refused"}
        assert ask(server, "/readyz") == (503, {"ok": False, "failing": away})
        reasons.update(loop="stuck", store=None)
        assert ask(server, "/healthz") == (503, {"ok": False, "failing": {"loop": "stuck"}})
        assert ask(server, "/readyz") == (503, {"ok": False, "failing": {"loop": "stuck"}})
        health.remove("loop")
        assert ask(server, "/readyz")[0] == 200


def test_a_check_that_breaks_is_a_failure_and_not_an_outage() -> None:
    health = Health()

    def broken() -> str | None:
        raise KeyError("nobody")

    health.ready("part", broken)
    with serve(health) as server:
        status, answer = ask(server, "/readyz")
        assert (status, answer["failing"]) == (503, {"part": "KeyError: 'nobody'"})
        assert ask(server, "/healthz")[0] == 200


def test_a_loop_that_is_stuck_is_found() -> None:
    beat = Heartbeat(3600)
    assert beat() is None
    assert (stuck := Heartbeat(-1)()) is not None
    assert "nothing happened" in stuck


def test_other_paths_and_methods_are_refused() -> None:
    with serve(Health()) as server:
        connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=5)
        for method, path, status in (
            ("GET", "/", 404),
            ("GET", "/metrics/../etc", 404),
            ("POST", "/metrics", 405),
            ("HEAD", "/healthz", 200),
        ):
            connection.request(method, path)
            with connection.getresponse() as answer:
                assert answer.status == status, (method, path)
            connection.close()


def test_a_client_that_says_nothing_keeps_nobody_waiting() -> None:
    with serve(Health()) as server:
        port = urlsplit(server.address).port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port)):
            assert ask(server, "/healthz")[0] == 200


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with serve(Health()) as server:
        port = urlsplit(server.address).port
        assert port
        with pytest.raises(MevstreamError, match=f"^metrics server: 127.0.0.1:{port}: Address"):
            serve(Health(), port)
    # It is free again at once.
    with serve(Health(), port) as again:
        assert ask(again, "/healthz")[0] == 200
