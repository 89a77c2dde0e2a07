"""Trace context from hop to hop: kept when tracing is off, a chain of spans when it is on."""

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mevstream.codecs.headers import RecordHeaders, write_headers
from mevstream.topologies.observe import tracing

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    assert tracing.configure("test", exporter=exporter)
    yield exporter
    tracing.shut_down()


def hop(stage: str, traceparent: str | None, error: str | None = None) -> str | None:
    return tracing.hop(
        stage,
        traceparent,
        time.time_ns() - 1_000_000,
        topic="mev.raw",
        partition=2,
        offset=7,
        slot=5,
        error=error,
    )


def test_off_passes_the_context_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tracing.ENDPOINT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert not tracing.configure("test")
    assert hop("parsed", SAMPLED) == SAMPLED
    assert hop("parsed", None) is None


def test_a_new_trace_is_one_that_headers_take() -> None:
    made = [tracing.new_trace(0.5) for _ in range(400)]
    for traceparent in made:
        write_headers(RecordHeaders(schema="x", traceparent=traceparent))
    assert len({traceparent[3:35] for traceparent in made}) == len(made)
    assert 100 < sum(traceparent.endswith("-01") for traceparent in made) < 300
    assert tracing.new_trace(0).endswith("-00")
    assert tracing.new_trace(1).endswith("-01")


def test_spans_of_a_record_are_a_chain(spans: InMemorySpanExporter) -> None:
    after_parsed = hop("parsed", SAMPLED)
    after_features = hop("features", after_parsed, error="store away")
    assert after_parsed is not None
    assert after_features is not None
    tracing.shut_down()
    parsed, features = spans.get_finished_spans()
    assert parsed.parent is not None
    assert features.parent is not None
    assert f"{parsed.parent.trace_id:032x}-{parsed.parent.span_id:016x}" == SAMPLED[3:52]
    assert f"{features.parent.span_id:016x}" == after_parsed[36:52]
    assert after_parsed[:36] == after_features[:36] == SAMPLED[:36]
    assert (parsed.name, features.name) == ("parsed", "features")
    assert parsed.attributes is not None
    assert parsed.attributes["messaging.kafka.offset"] == 7
    assert parsed.attributes["mev.slot"] == 5
    assert parsed.start_time is not None
    assert parsed.end_time is not None
    assert parsed.end_time - parsed.start_time >= 1_000_000
    assert (parsed.status.is_ok, features.status.is_ok) == (True, False)
    # After the end: as if it had never been on.
    assert hop("parsed", SAMPLED) == SAMPLED


def test_a_trace_that_is_not_sampled_makes_no_span(spans: InMemorySpanExporter) -> None:
    quiet = SAMPLED[:-2] + "00"
    assert hop("parsed", quiet) == quiet
    tracing.shut_down()
    assert not spans.get_finished_spans()


def test_off_costs_next_to_nothing() -> None:
    best = float("inf")
    for _ in range(50):
        start = time.perf_counter()
        for _ in range(1000):
            hop("parsed", SAMPLED)
        best = min(best, (time.perf_counter() - start) / 1000)
    assert best < 2e-6
