"""What is to be allocated over time, as plain arrays: lots by period, services, runs of stages on places.

Nothing here knows a programme: `optimum_case.py` makes these arrays from one. Axes: p periods, l lots, m services, j
places of a run. Times are in periods, work in the unit of its stage (tokens, or periods of a pause).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tonnage.fleet.draws import Bools
from tonnage.fleet.nights import Nights
from tonnage.fleet.uncertain import Floats

NEAR = 1e-3
"""Most by which the lines over a curve of speed may lie above its concave hull, as a share of the speed."""


@dataclass(frozen=True)
class SpeedCurve:
    """Speed of a run by the accelerators that are free for it, the best subset of them used: never falls.

    sizes, rising; speeds: work a period at them. Between them it is linear, below the first it is nothing, from the
    last on it stays.
    """

    sizes: Floats
    speeds: Floats

    def at(self, accelerators: Floats | float) -> Floats:
        """Work a period."""
        if not self.sizes.size:
            return np.zeros_like(np.asarray(accelerators, dtype=np.float64))
        inside = np.interp(accelerators, self.sizes, self.speeds)
        return np.where(np.asarray(accelerators) >= self.sizes[0] * (1 - 1e-12), inside, 0.0)

    def hull(self, most: float) -> tuple[Floats, Floats]:
        """Corners (accelerators, work a period) of the least concave curve over this one up to `most` accelerators.

        A run may spend part of a period at one size and the rest at another: that makes any speed of the hull.
        """
        at = np.concatenate([[0.0], self.sizes[self.sizes < most], [most]])
        speed = np.concatenate([[0.0], self.speeds[self.sizes < most], self.at(np.array([most]))])
        kept: list[int] = []
        for i in range(len(at)):
            while len(kept) > 1 and _below(at, speed, kept[-2], kept[-1], i):
                kept.pop()
            if not kept or at[i] > at[kept[-1]]:
                kept.append(i)
            elif speed[i] > speed[kept[-1]]:
                kept[-1] = i
        return at[kept], speed[kept]

    def lines(self, most: float) -> tuple[Floats, Floats]:
        """Lines a, b: speed <= a x accelerators + b x share of the period, that lie on or just over the hull."""
        at, speed = self.hull(most)
        top = float(speed[-1])
        if len(at) < 2 or top <= 0:
            return np.zeros(1), np.array([max(top, 0.0)])
        slope = np.diff(speed) / np.diff(at)
        offset = speed[:-1] - slope * at[:-1]
        kept = _few(at, speed, slope, offset)
        return np.append(slope[kept], 0.0), np.append(offset[kept], top)


def _below(at: Floats, speed: Floats, a: int, b: int, c: int) -> bool:
    """Whether corner b lies on or below the line from a to c."""
    return bool((speed[b] - speed[a]) * (at[c] - at[a]) <= (speed[c] - speed[a]) * (at[b] - at[a]))


INSIDE = (0.25, 0.5, 0.75)
"""Where on an edge of the hull the lines are held against it."""


def _few(at: Floats, speed: Floats, slope: Floats, offset: Floats) -> list[int]:
    """Few of the hull's edges, such that the lowest of their lines is `NEAR` it."""
    edge = np.repeat(np.arange(len(slope)), len(INSIDE))
    size = at[edge] + np.tile(INSIDE, len(slope)) * np.diff(at)[edge]
    exact = slope[edge] * size + offset[edge]
    kept = sorted({0, len(slope) - 1})
    while True:
        over = (slope[kept][:, None] * size + offset[kept][:, None]).min(axis=0)
        over = np.minimum(over, speed[-1]) / np.maximum(exact, 1e-300) - 1.0
        worst = int(np.argmax(over))
        if over[worst] <= NEAR or edge[worst] in kept:
            return kept
        kept = sorted([*kept, int(edge[worst])])


@dataclass(frozen=True)
class RunStage:
    """One stage. amount of work; curves: by place; timed: it takes its time whatever is free (a pause, rounds),
    at `pace` periods a period, and holds `holds` accelerators meanwhile, or as many as are free [j].
    """

    kind: str
    amount: float
    curves: tuple[SpeedCurve, ...]
    timed: bool = False
    holds: tuple[float, ...] = ()
    pace: tuple[float, ...] = ()

    def speed(self, place: int, free: Floats) -> Floats:
        """Work a period at a place with what is free there."""
        if self.timed:
            return np.full_like(free, self.pace[place] if self.pace else 1.0)
        return self.curves[place].at(free)


@dataclass(frozen=True)
class RunPlace:
    """Where a run may be. lots: which [l], of one chip kind; opens: the first period in which it may be used; fails:
    share of what is left of a stage on arrival that can be done there before the run fails, infinite if it completes.
    """

    name: str
    lots: Bools
    opens: int = 0
    fails: float = math.inf


@dataclass(frozen=True)
class ModelRun:
    """The training of one model. move: periods lost by going from one place to another [j, j], infinite if it cannot;
    begins: the period before which it does not begin.
    """

    name: str
    places: tuple[RunPlace, ...]
    stages: tuple[RunStage, ...]
    move: Floats
    begins: float = 0.0


@dataclass(frozen=True)
class AllocationProblem:
    """What is to be allocated.

    capacity: accelerators [p, l]; need: requests/s [m, p]; rate: requests/s per accelerator, 0 where it cannot be
    [m, l]; price: of use [USD/accelerator-period] [l], NaN where none is known; unserved: requests/s that may stay
    unserved, all services together [p]; runs; power: [W] of an accelerator [l], and the most in each period [p];
    budget: [USD] of all that the runs use; nights: that the runs take, None if they do not.
    """

    capacity: Floats
    need: Floats
    rate: Floats
    price: Floats
    runs: tuple[ModelRun, ...] = ()
    unserved: Floats | None = None
    power: Floats | None = None
    most_power: Floats | None = None
    budget: float = math.inf
    nights: Nights | None = None

    @property
    def periods(self) -> int:
        """Number of periods."""
        return int(self.capacity.shape[0])

    @property
    def priced(self) -> Floats:
        """Prices; a lot without one is taken as almost free."""
        price = np.nan_to_num(self.price, nan=0.0)
        return np.asarray(np.maximum(price, 1e-6 * (float(price.max(initial=0.0)) or 1.0)))


@dataclass(frozen=True)
class Allocation:
    """What was found. trained: of each run, in periods; serving [m, l, p]; training: accelerators, averaged over the
    period, by run [k, l, p]; stages: the share of the period by run, stage and place [k][s, j, p]; extra: accelerators
    added to each lot for the whole time [l]; short: requests/s unserved [m, p]; cost [USD]: of training, of services.
    """

    trained: tuple[float, ...]
    serving: Floats
    training: Floats
    stages: tuple[Floats, ...]
    extra: Floats
    short: Floats
    training_cost: float
    service_cost: float
    value: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def cost(self) -> float:
        """[USD] of all that is used."""
        return self.training_cost + self.service_cost
