"""Ending a stream in good order on SIGINT and SIGTERM."""

import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

_Handler = Callable[[int, FrameType | None], Any] | int | None


class _Interrupted(Exception):
    """Breaks off a wait; never leaves this module."""


class Interruption:
    """Notes the first SIGINT or SIGTERM; called, it tells whether one came.

    As a context manager it takes the signals and gives them back. `signal` is the number of the
    one that came, else 0. A second one is handled as before: it ends the process the hard way.
    """

    def __init__(self) -> None:
        self._before: dict[int, _Handler] = {}
        self.signal = 0

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._restore()

    def __call__(self) -> bool:
        return self.signal != 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())


class Interruptible(Interruption, Generic[T]):
    """An iterator that ends at the first signal, even while it waits for its next item."""

    def __init__(self, items: Iterator[T]) -> None:
        super().__init__()
        self._items = items
        self._waiting = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self.signal:
            raise StopIteration
        try:
            self._waiting = True
            return next(self._items)
        except _Interrupted:
            raise StopIteration from None
        finally:
            self._waiting = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        super()._handle(number, frame)
        if self._waiting:
            raise _Interrupted
