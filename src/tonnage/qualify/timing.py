"""The time of a call: warmed up, repeated, its median and its spread, processor time beside wall time.

    spread = (third quartile - first quartile) / median

A machine on which others work is told by the spread, by the time that a hypervisor took away (steal, proc(5)), and on
a processor by the time in which this process waited for its turn.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tonnage.device.kinds import DeviceKind

SPREAD, STEAL = 0.15, 0.05
"""Beyond either a machine is too noisy for a verdict (assumption; medians of a quiet machine spread by 1 to 10 %)."""

SHORTEST = 2e-3
"""Least time of one sample [s]: calls are repeated inside it, so that the clock's own grain is nothing."""

MOST_CALLS = 20_000
"""Calls in one sample at most."""


@dataclass(frozen=True)
class Timed:
    """One call. seconds: by the clock of its device; wall: on the wall; cpu: of this process [s], medians; spread: of
    `seconds`; samples: how many.
    """

    seconds: float
    wall: float
    cpu: float
    spread: float
    samples: int


def timed(work: Callable[[], object], kind: DeviceKind, budget: float, least: int = 3, most: int = 9) -> Timed:
    """The time of one call; about `budget` seconds are spent, never fewer than `least` samples.

    The first call is not counted: it loads, compiles and allocates.
    """
    kind.clocked(work, 1)
    began = time.perf_counter()
    first = max(kind.clocked(work, 1), 1e-7)
    wall = max(time.perf_counter() - began, 1e-7)
    times = min(MOST_CALLS, max(1, round(SHORTEST / first)))
    count = max(least, min(most, int(budget / max(wall * times, SHORTEST))))
    seconds, walls, cpus = [], [], []
    for _ in range(count):
        began, used = time.perf_counter(), time.process_time()
        seconds.append(kind.clocked(work, times))
        walls.append((time.perf_counter() - began) / times)
        cpus.append((time.process_time() - used) / times)
    middle = statistics.median(seconds)
    return Timed(middle, statistics.median(walls), statistics.median(cpus), spread_of(seconds), count)


def turns(seconds: float, wall: float, kind: DeviceKind) -> float:
    """Share of the wall time in which a processor did something else; nothing is known of it elsewhere."""
    return max(0.0, 1.0 - seconds / wall) if kind.KIND == "cpu" and wall > 0 else 0.0


def spread_of(values: list[float]) -> float:
    """Distance of the quartiles over the median; of fewer than four values, of the ends."""
    middle = statistics.median(values)
    if middle <= 0:
        return 0.0
    if len(values) < 4:
        return (max(values) - min(values)) / middle
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle


class Steal:
    """Share of the processors' time that the hypervisor gave to others, since this was made; 0 where nobody says."""

    def __init__(self) -> None:
        self._before = _ticks()

    def share(self) -> float:
        """Stolen over all time since then."""
        stolen, total = (now - then for now, then in zip(_ticks(), self._before, strict=True))
        return stolen / total if total > 0 else 0.0


def _ticks() -> tuple[float, float]:
    """(stolen, all) ticks of all processors since the machine started (proc(5), stat: the eighth number is steal)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        numbers = [float(word) for word in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
        return numbers[7], sum(numbers)
    return 0.0, 0.0
