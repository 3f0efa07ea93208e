"""A run under way: what its pace and its interruptions so far say of the rest of it.

Let r be the time it took over what was planned for the share D of its first stage that is done, and m the logarithm of
what such runs take over their plan (the slip on its place), the prior. A run's parts differ from one another as runs
do, by s: what is seen of a share D has a variance s^2 (1 - D) / D around what the rest will take, which the prior has
with s^2. Normal times normal:

    ln(rest over plan) ~ (1 - D) (m + g) + D ln r,   variance s^2 (1 - D)

so that what is seen counts by the share that is done. g = ln(useful time as planned / with the interruptions seen):
these are added to the record's (`train/goodput.py`, gamma-Poisson), and move the prior alone, for r has them in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tonnage.fleet.draws import draw_world
from tonnage.fleet.readiness import slipped
from tonnage.fleet.sizes import curve
from tonnage.fleet.uncertain import Floats
from tonnage.units import show_time

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.fleet.calendar import Calendar
    from tonnage.fleet.programme import Programme
    from tonnage.fleet.setting import TrainingSite
    from tonnage.fleet.speeds import PlannedSpeed


@dataclass(frozen=True)
class SeenFailures:
    """Mean time between interruptions of the run [s]: expected by the record, as seen (infinite without any), with
    both; useful: useful time over what was planned with.
    """

    expected: float
    seen: float
    both: float
    useful: float


@dataclass(frozen=True)
class SeenRun:
    """What is seen of a run at a place. done: share of its first stage; ratio: time over plan so far, None where
    nothing is known to have run there; prior: median of what such runs take over plan.
    """

    place: str
    done: float
    ratio: float | None
    prior: float
    failures: SeenFailures | None = None

    @property
    def rest(self) -> float:
        """Median of the time over plan of the rest."""
        return float(self.paced(np.array([self.prior]))[0])

    def paced(self, prior: Floats) -> Floats:
        """Time over plan of the rest, from draws of the prior."""
        useful = self.failures.useful if self.failures else 1.0
        if self.ratio is None:
            return prior / useful
        middle = (1 - self.done) * np.log(self.prior / useful) + self.done * np.log(self.ratio)
        return np.asarray(np.exp(middle + np.log(prior / self.prior) * np.sqrt(1 - self.done)))

    @property
    def text(self) -> str:
        """`so far 1.3 times its plan: the rest on 1.2 times (1.1 as such runs go)`."""
        if self.ratio is None:
            said = f"its pace is not known, nothing of {self.place} is there at the start"
        else:
            usual = f"{self.prior:.2f} as such runs go"
            said = f"so far {self.ratio:.2f} times its steps: the rest is planned on {self.rest:.2f} times ({usual})"
        if self.failures is None:
            return said
        expected, both = show_time(self.failures.expected), show_time(self.failures.both)
        seen = f"an interruption every {show_time(self.failures.seen)}" if self.failures.seen < math.inf else "none yet"
        return f"{said}; {seen}, expected every {expected}: planned on every {both}"


def of_programme(
    programme: Programme,
    calendars: Mapping[str, Calendar],
    places: Mapping[str, tuple[TrainingSite, ...]],
    training: Mapping[tuple[str, str, int], tuple[PlannedSpeed, ...]],
    catalog: Catalog,
) -> dict[str, SeenRun]:
    """What is seen of each run that is under way since a day that is known, by model."""
    made: dict[str, SeenRun] = {}
    for model in programme.coming:
        run, sites = model.training, places.get(model.name, ())
        if run is None or run.since is None or run.done.median <= 0 or not sites:
            continue
        site = next((site for site in sites if site.name == run.at), sites[0])
        speeds = training.get((model.name, site.name, 0))
        if speeds is None:
            continue
        elapsed = (programme.start - run.since).total_seconds()
        there = _there(programme, calendars, site, run.at_most or math.inf)
        speed = float(curve(speeds).best(np.array([there]))[1][0])
        plan = run.done.median * run.stages[0].amount.median / speed if speed > 0 else 0.0
        prior = float(slipped(np.array([programme.slip.median]), site.readiness.probability)[0])
        many = run.interruptions
        seen = None if many is None else failures(site.chip, round(there), many, elapsed, catalog)
        made[model.name] = SeenRun(site.name, run.done.median, elapsed / plan if plan else None, prior, seen)
    return made


def _there(programme: Programme, calendars: Mapping[str, Calendar], site: TrainingSite, at_most: float) -> float:
    """Accelerators of a place at the start, every input at its median, as many as a run uses."""
    world = draw_world(programme, calendars, 0, 0)
    lots = np.array([lot in site.lots for lot in world.lots])
    return float(min(world.available[0, 0, lots].sum(), at_most, site.limit))


def failures(chip: str, count: int, interruptions: int, elapsed: float, catalog: Catalog) -> SeenFailures | None:
    """Interruptions of a run on so many accelerators in so many seconds; None where there were no accelerators."""
    from tonnage.system import System, accelerator
    from tonnage.train.goodput import failures as record
    from tonnage.train.goodput import updated, useful

    if count < 1:
        return None
    known = record(System(accelerator(chip, catalog), count))
    both = updated(known, interruptions, count * elapsed)
    gained = useful(both, count) / useful(known, count)
    return SeenFailures(
        1 / (known.rate * count),
        elapsed / interruptions if interruptions else math.inf,
        1 / (both.rate * count),
        gained,
    )
