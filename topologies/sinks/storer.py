"""Calls a sink's `store` on a thread of its own, again and again until it returns."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from time import monotonic, perf_counter_ns
from typing import Generic

from tenacity import (
    RetryCallState,
    Retrying,
    sleep_using_event,
    stop_when_event_set,
    wait_fixed,
    wait_random_exponential,
)

from mevstream.errors import MevstreamError
from mevstream.topologies.observe import metrics
from mevstream.topologies.observe.logging import get_logger
from mevstream.topologies.sinks.buffer import Item

_LONGEST_PAUSE = 15.0
_REMIND_SECONDS = 60.0


class Storer(Generic[Item]):
    """A store that is away is called again after a pause that grows to 15 s, for ever.

    A store that refuses a record for good looks the same from here: nothing goes on until somebody
    has looked, so it is said when it begins, every minute while it lasts, and when it is over.

    before: called before every `store`; it returns when what has to be durable first is.
    """

    def __init__(
        self, name: str, store: Callable[[Sequence[Item]], None], before: Callable[[], None]
    ) -> None:
        self._name = name
        self._store = store
        self._before = before
        self._log = get_logger(f"sink.{name}")
        self._meter = metrics.stage(name)
        self._given_up = threading.Event()
        self._work: SimpleQueue[tuple[Sequence[Item], Future[None]] | None] = SimpleQueue()
        self._retrying = Retrying(
            wait=wait_fixed(0.1) + wait_random_exponential(multiplier=0.25, max=_LONGEST_PAUSE),
            stop=stop_when_event_set(self._given_up),
            sleep=sleep_using_event(self._given_up),
            before_sleep=self._failed,
            reraise=True,
        )
        self._failing_since = self._told = 0.0
        self.failing: str | None = None
        # Not one of an executor: the interpreter waits for those, and a store may hang for ever.
        self._thread = threading.Thread(target=self._run, name=f"store {name}", daemon=True)
        self._thread.start()

    def submit(self, items: Sequence[Item]) -> "Future[None]":
        """Stores `items` (none: only what has to be durable first) after what was submitted
        before. The future has a result once they are stored, and an error only after `stop`."""
        future: Future[None] = Future()
        self._work.put((items, future))
        return future

    def stop(self, seconds: float) -> bool:
        """Ends the pauses and the thread; False where `store` has not returned in time."""
        self._given_up.set()
        self._work.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            items, future = work
            try:
                self._retrying(self._attempt, items)
            except BaseException as error:
                future.set_exception(error)
            else:
                self._succeeded()
                future.set_result(None)

    def _attempt(self, items: Sequence[Item]) -> None:
        self._before()
        if items:
            start = perf_counter_ns()
            self._store(items)
            self._meter.store.observe(perf_counter_ns() - start)

    def _failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        expected = isinstance(error, MevstreamError)
        text = str(error) if expected else f"{type(error).__name__}: {error}"
        now = monotonic()
        if self.failing is None:
            self._failing_since = now
        if self.failing is None or now - self._told >= _REMIND_SECONDS:
            self._told = now
            self._log.warning(
                "store does not take records",
                error=text,
                attempts=state.attempt_number,
                seconds=round(now - self._failing_since, 1),
                # An error that the sink did not expect is a defect to be found by its place.
                exc_info=None if expected else error,
            )
        self.failing = text
        self._meter.retries += 1
        metrics.store_state(self._name, False)

    def _succeeded(self) -> None:
        metrics.store_state(self._name, True)
        if self.failing is not None:
            self.failing = None
            seconds = round(monotonic() - self._failing_since, 1)
            self._log.info("store takes records again", seconds=seconds)
