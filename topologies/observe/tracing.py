"""Traces: W3C trace context in the record header `traceparent`, a span for each hop of a record.

Off (no exporter is set) or for a trace that is not sampled, a hop passes the context on and does
nothing else. Whoever starts a trace decides whether it is sampled; everyone after goes by its flag.
"""

import os
import random
import time
from typing import Any

from mevstream.codecs.headers import Origin

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

# version "00" - 32 hex digits of the trace - 16 of the span - flags
_FLAGS = slice(53, 55)
_SAMPLED = 1

_provider: Any = None
_tracer: Any = None
_context_of: Any = None


def configure(service: str, *, endpoint: str | None = None, exporter: Any = None) -> bool:
    """Sends the spans of this process, under the name `service`, with OTLP over HTTP.

    endpoint: base address of a collector, like `http://127.0.0.1:4318`; else OpenTelemetry's own
    variables name it, and without any nothing is sent. exporter: a SpanExporter in place of OTLP.
    Returns whether spans are made. Call `shut_down` at the end.
    """
    global _provider, _tracer, _context_of
    shut_down()
    if exporter is None and not endpoint and not any(map(os.environ.get, ENDPOINT_VARIABLES)):
        return False
    # Loading the SDK takes half a second: not before it is needed.
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint and f"{endpoint.rstrip('/')}/v1/traces")
    _provider = TracerProvider(
        sampler=ParentBased(ALWAYS_OFF),
        resource=Resource.create({"service.name": service}),
        # `shut_down` is called in order; a hook at exit would come after the threads have ended.
        shutdown_on_exit=False,
    )
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("mevstream")
    _context_of = TraceContextTextMapPropagator()
    return True


def shut_down() -> None:
    """Sends what is left and stops; after it hops only pass their context on."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


def new_trace(ratio: float) -> str:
    """The traceparent of a record that begins here; the share `ratio` of them is sampled."""
    sampled = random.random() < ratio  # noqa: S311  (an id, no secret)
    # Neither id may be zero.
    trace = random.getrandbits(128) or 1
    span = random.getrandbits(64) or 1
    return f"00-{trace:032x}-{span:016x}-{sampled:02x}"


def hop(
    stage: str,
    traceparent: str | None,
    began_ns: int,
    *,
    topic: str,
    partition: int,
    offset: int,
    slot: int | None = None,
    seq: int | None = None,
    origin: Origin | None = None,
    error: str | None = None,
) -> str | None:
    """The traceparent for what follows from a record. Call it once per record, when the work on
    it is done and before its outputs are sent: the span lasts from `began_ns` (since the epoch)
    until now.

    error: why the record was given up, if it was.
    """
    if _tracer is None or traceparent is None or not int(traceparent[_FLAGS], 16) & _SAMPLED:
        return traceparent
    from opentelemetry.trace import SpanKind, Status, StatusCode

    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }
    if slot is not None:
        attributes["mev.slot"] = slot
    if seq is not None:
        attributes["mev.seq"] = seq
    if origin is not None:
        attributes["mev.origin"] = str(origin)
    span = _tracer.start_span(
        stage,
        context=_context_of.extract({"traceparent": traceparent}),
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        start_time=began_ns,
    )
    if error is not None:
        span.set_status(Status(StatusCode.ERROR, error))
    span.end(max(time.time_ns(), began_ns))
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
