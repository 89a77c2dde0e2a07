"""Logs on standard error: readable lines on a terminal, else one JSON document a line.

    log = get_logger(__name__)
    log.warning("store away", store="clickhouse", retry_seconds=2.0)

An event is a constant text; what varies are its fields. What other libraries log through Python's
own `logging` comes out in the same form.
"""

import logging
import math
import re
import sys
import time
from collections import Counter
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

LEVELS = ("debug", "info", "warning", "error")

_SECRET = re.compile(
    r"passw(or)?d|secret|(^|_)token$|credential|authorization|api_?key|access_?key", re.I
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_MASK = "***"
# Each says at `info` what only its own developers want to know.
_CHATTY = ("aiokafka", "faust", "kafka", "mode", "opentelemetry", "urllib3")
# Of one message of theirs a line in so many seconds: a broker that is away is told ten times each.
_REPEAT_SECONDS = 10.0
_REPEAT_MESSAGES = 1000
# What they warn of they raise as well, and the caller tells it once.
_RAISED = ("clickhouse_driver",)


def get_logger(part: str) -> FilteringBoundLogger:
    """A logger whose lines carry `part`. It may be made before `configure` is called."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=part))


def configure(level: str = "info", *, stream: TextIO | None = None) -> None:
    """Sets how this process logs. `level` is one of LEVELS; `stream`: else standard error."""
    stream = stream or cast("TextIO", sys.stderr)
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Tracebacks as text: the other forms show local variables, secrets among them.
        structlog.processors.format_exc_info,
        _mask_secrets,
    ]
    if stream.isatty():
        renderer: Processor = structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_library_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_Repetitions())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    for name in _RAISED:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _Repetitions(logging.Filter):
    """Lets a message of a chatty library pass once in a while, with how many were held back."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str], float] = {}
        self._held: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _CHATTY:
            return True
        # What is put into the message may differ each time.
        message = record.name, str(record.msg)
        now = time.monotonic()
        if now - self._told.get(message, -math.inf) < _REPEAT_SECONDS:
            self._held[message] += 1
            return False
        if len(self._told) >= _REPEAT_MESSAGES:
            self._told.clear()
            self._held.clear()
        self._told[message] = now
        record.repeated = self._held.pop(message, 0)
        return True


def _library_name(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    record: logging.LogRecord = event["_record"]
    event["part"] = record.name
    if repeated := getattr(record, "repeated", 0):
        event["repeated"] = repeated
    return event


def _mask_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """No value of a field that is named like a secret, no user and password in an address."""
    for name, value in event.items():
        if _SECRET.search(name):
            event[name] = _MASK
        elif isinstance(value, str) and "://" in value:
            event[name] = _USER_INFO.sub(f"{_MASK}@", value)
    return event
