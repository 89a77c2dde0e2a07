"""Logs: one document a line, the same for libraries, and never a secret."""

import io
import json
import logging
import time
from typing import Any

import pytest

from mevstream.topologies.observe.logging import configure, get_logger


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_where_nobody_looks() -> None:
    log = get_logger("worker")
    stream = io.StringIO()
    configure("info", stream=stream)
    log.debug("not this")
    log.warning("store away", store="clickhouse", seconds=2.5)
    logging.getLogger("some.library").warning("%d partitions", 4)
    own, library = lines(stream)
    assert own.pop("timestamp").endswith("Z")
    assert own == {
        "event": "store away",
        "level": "warning",
        "part": "worker",
        "store": "clickhouse",
        "seconds": 2.5,
    }
    assert library["event"] == "4 partitions"
    assert (library["level"], library["part"]) == ("warning", "some.library")


def test_readable_lines_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    configure("debug", stream=stream)
    get_logger("worker").debug("partition assigned", partition=3)
    assert "partition assigned" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize("terminal", [False, True])
def test_no_secret_is_logged(terminal: bool) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    configure("info", stream=stream)
    log = get_logger("sink")
    password = "hunter2"  # noqa: S105
    log.info("connect", clickhouse_password=password, s3_access_key=password, token=password)
    log.info("connect", address=f"redis://user:{password}@127.0.0.1:6379/0")
    logging.getLogger("library").warning("clickhouse://user:%s@127.0.0.1", password)
    try:
        raise RuntimeError("no answer")
    except RuntimeError:
        log.exception("failed")
    text = stream.getvalue()
    assert password not in text
    assert "127.0.0.1:6379/0" in text
    # The traceback is there, what the variables were is not.
    assert "RuntimeError: no answer" in text
    assert "terminal" not in text


def test_what_kafka_s_clients_repeat_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    configure("info", stream=stream)
    library = logging.getLogger("aiokafka.conn")
    now = time.monotonic()
    for step in range(250):
        monkeypatch.setattr(time, "monotonic", lambda step=step: now + step / 10)
        library.error("Unable to connect to %s", f"broker-{step}")
        if step == 50:
            library.error("another thing")
    told = lines(stream)
    assert [line["event"] for line in told] == [
        "Unable to connect to broker-0",
        "another thing",
        "Unable to connect to broker-100",
        "Unable to connect to broker-200",
    ]
    assert [line.get("repeated", 0) for line in told] == [0, 0, 99, 99]
    # What this program says itself is never held back.
    for _ in range(3):
        get_logger("worker").error("record dead-lettered")
    assert len(lines(stream)) == len(told) + 3
