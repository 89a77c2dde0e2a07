"""How every benchmark here measures: one core, interleaved repetitions, medians and minima."""

import gc
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Row:
    """One thing measured, in seconds."""

    name: str
    median: float
    minimum: float


@dataclass
class Report:
    """What one benchmark module found. Ratios are taken to the medians' row named `baseline`."""

    title: str
    rows: list[Row]
    baseline: str
    facts: dict[str, str | int | float] = field(default_factory=dict[str, str | int | float])
    unit: str = "ms"
    """What the table shows seconds in: ms or µs."""


def one_core() -> None:
    """Stays on one core, where the system lets a process choose."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    in_a_row: int = 1,
    warm_up: int = 3,
) -> list[Row]:
    """Takes turns, so that whatever disturbs the machine for a while disturbs all of them: in each
    round each function is called `in_a_row` times. The first call of a row finds the caches as
    the other functions left them; with more than one, the median tells of warm ones.
    The collector is off while the clock runs; results are freed outside it.
    """
    samples: dict[str, list[float]] = {name: [] for name in functions}
    clock = time.perf_counter
    for number in range(-warm_up, rounds):
        for name, function in functions.items():
            for _ in range(in_a_row):
                gc.collect(0)
                gc.disable()
                start = clock()
                result = function()
                elapsed = clock() - start
                gc.enable()
                del result
                if number >= 0:
                    samples[name].append(elapsed)
    return [Row(name, median(times), min(times)) for name, times in samples.items()]
