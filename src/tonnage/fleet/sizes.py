"""How large a run is: sizes that are planned, and the speed of the best part of any number of accelerators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tonnage.fleet.uncertain import Floats

if TYPE_CHECKING:
    from tonnage.fleet.speeds import PlannedSpeed

LADDER = tuple(2 * 4**k for k in range(10))
"""Sizes that runs are planned at, whatever a lot holds, so that lots and what-ifs share plans: 2 to 524,288."""


WORTH = 0.2
"""A run grows while twice the accelerators make it 2^0.2 = 1.15 times as fast or more: beyond that its cost rises
nearly with its size for hardly a day. An assumption, of what labs do."""


@dataclass(frozen=True)
class SizeCurve:
    """Speed of a run over its size. sizes: rising [k]; rate: speed per accelerator there [k].

    Between the sizes the speed of the whole run is a straight line in logarithms. It never falls: where more
    accelerators would be slower, or hardly faster (`WORTH`), the best part of them trains and the others are spares.
    """

    sizes: Floats
    rate: Floats

    @cached_property
    def _logs(self) -> Floats:
        return np.asarray(np.log(self.sizes))

    @cached_property
    def _kept(self) -> tuple[Floats, NDArray[np.int64]]:
        """Logarithm of the run's speed at each size, and the index of the size that is used there."""
        logs = np.log(self.sizes * self.rate)
        used = np.zeros(logs.size, dtype=np.int64)
        for i in range(1, logs.size):
            last = used[i - 1]
            least = logs[last] + WORTH * math.log(self.sizes[i] / self.sizes[last])
            used[i] = i if logs[i] >= least else last
        return logs, used

    def best(self, accelerators: Floats) -> tuple[Floats, Floats]:
        """Accelerators that train, of so many, and the speed of the run; none below the smallest size."""
        if not self.sizes.size:
            return np.zeros_like(accelerators), np.zeros_like(accelerators)
        logs, used = self._kept
        below = np.searchsorted(self.sizes, accelerators, side="right") - 1
        inside = np.clip(accelerators, self.sizes[0], self.sizes[-1])
        at = np.maximum(below, 0)
        following = np.minimum(at + 1, used.size - 1)
        grows = (used[at] == at) & (used[following] == following)
        held = np.where(grows, inside, self.sizes[used[at]])
        speed = np.where(grows, np.interp(np.log(inside), self._logs, logs), logs[used[at]])
        runs = below >= 0
        return np.where(runs, held, 0.0), np.where(runs, np.exp(speed), 0.0)


NO_SIZE = SizeCurve(np.zeros(0), np.zeros(0))


DEPTH = 32
"""Sizes of less than the whole over this are planned only while the whole run would hardly be slower there."""

SMALLER = 4.0
"""A run may be this much smaller than the smallest size that was planned, unless a smaller one did not fit."""


def curve(speeds: tuple[PlannedSpeed, ...]) -> SizeCurve:
    """The curve through speeds that are possible; below the smallest the speed per accelerator is as there."""
    found = _points(speeds)
    return SizeCurve(np.array([size for size, _ in found]), np.array([speed.rate for _, speed in found]))


def sigmas(speeds: tuple[PlannedSpeed, ...]) -> Floats:
    """Standard deviation of the logarithm of the speed at each size of the curve [k]."""
    return np.array([speed.sigma for _, speed in _points(speeds)])


def _points(speeds: tuple[PlannedSpeed, ...]) -> list[tuple[float, PlannedSpeed]]:
    """Sizes of the curve, rising, and the speed at each."""
    possible = [speed for speed in speeds if speed.rate > 0]
    found = [(float(speed.accelerators), speed) for speed in sorted(possible, key=lambda speed: speed.accelerators)]
    if found and found[0][0] == min(speed.accelerators for speed in speeds) > 1:
        found.insert(0, (max(found[0][0] / SMALLER, 1.0), found[0][1]))
    return found


def planned(most: float, train: Callable[[int], PlannedSpeed]) -> tuple[PlannedSpeed, ...]:
    """Speeds at the sizes of the ladder that runs of up to `most` accelerators need, smallest first.

    From the first size that `most` does not pass downwards, until a run does not fit (half the last is tried too), or
    is so small that it is of no use.
    """
    return tuple(sorted(_downwards(most, train), key=lambda speed: speed.accelerators))


def _downwards(most: float, train: Callable[[int], PlannedSpeed]) -> Iterator[PlannedSpeed]:
    top = next((index for index, size in enumerate(LADDER) if size >= most), len(LADDER) - 1)
    fits, best = 0, 0.0
    for size in reversed(LADDER[: top + 1]):
        speed = train(size)
        yield speed
        best = max(best, size * speed.rate)
        if speed.rate > 0:
            fits = size
            if size <= most / DEPTH and size * speed.rate < best / 2:
                return
        elif fits:
            break
    if fits > 1:
        yield train(fits // 2)


def shown(speeds: tuple[PlannedSpeed, ...], most: float) -> tuple[PlannedSpeed, ...]:
    """The speeds that bracket the best part of `most` accelerators; all that were tried if none is possible."""
    held = float(curve(speeds).best(np.array([most]))[0][0])
    if not held:
        return speeds[-1:]
    possible = [speed for speed in speeds if speed.rate > 0]
    below = max((s for s in possible if s.accelerators <= held), key=lambda s: s.accelerators)
    above = min((s for s in possible if s.accelerators >= held), key=lambda s: s.accelerators, default=below)
    return (below,) if below is above else (below, above)


def round_size(count: float) -> int:
    """Largest number of at most `count` that is a power of two times 1, 3, 5, 7 or 9: one that layouts divide."""
    best = 1
    for odd in (1, 3, 5, 7, 9):
        if count >= odd:
            best = max(best, odd * 2 ** int(math.log2(count / odd) + 1e-9))
    return best
