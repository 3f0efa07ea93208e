"""Work done a few times and timed, by the clock and on the processor."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class StepTime:
    """Time of a step by the clock, and of this process on its processor [s]. They part where others are running too."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: StepTime) -> StepTime:
        return StepTime(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: StepTime) -> StepTime:
        """What one takes longer than the other: nothing where noise says that it takes less."""
        return StepTime(max(0.0, self.wall - other.wall), max(0.0, self.cpu - other.cpu))

    def __rmul__(self, times: int) -> StepTime:
        return StepTime(times * self.wall, times * self.cpu)


def timed(work: Callable[[], object], settle: Callable[[], None], repeats: int) -> StepTime:
    """Medians of so many repetitions after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        began, busy = time.perf_counter(), time.process_time()
        work()
        settle()
        times.append((time.perf_counter() - began, time.process_time() - busy))
    return medians(times[1:])


def medians(times: list[tuple[float, float]]) -> StepTime:
    """Of pairs by the clock and on the processor."""
    return StepTime(*(statistics.median(column) for column in zip(*times, strict=True)))
