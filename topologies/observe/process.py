"""Turns on what the settings ask for, for the time that a process runs."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from mevstream.settings import Settings
from mevstream.topologies.observe import health, logging, tracing


@contextmanager
def observed(service: str, settings: Settings) -> Generator[None]:
    """Logs, traces and, where a port is set, the metrics server of a process that runs until the
    block ends. service: what the process is (`worker`, `sink-clickhouse`, `ingest`).

    Raises MevstreamError where the port cannot be had.
    """
    logging.configure(settings.log_level)
    log = logging.get_logger("mevstream")
    with ExitStack() as stack:
        if tracing.configure(f"mevstream-{service}", endpoint=settings.otlp_endpoint):
            stack.callback(tracing.shut_down)
        if settings.metrics_port is not None:
            server = stack.enter_context(health.serve(settings.metrics_host, settings.metrics_port))
            log.info("metrics server", address=server.address, service=service)
        yield
