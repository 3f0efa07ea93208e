"""How sure a prediction is: evidence, interval, the nearest published run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tonnage.interval import Interval, within
from tonnage.layout import Layout
from tonnage.model.counts import params
from tonnage.provenance import Evidence
from tonnage.system import System
from tonnage.train import schedule
from tonnage.train.job import COMPUTE, TrainJob
from tonnage.train.software import PublishedRun, fitted

TIERS: tuple[Evidence, ...] = ("interpolated", "extrapolated", "analytic")
"""Evidence, the surest first."""
UNPROVEN = {schedule.ZERO_BUBBLE: 0.10, schedule.DUALPIPE: 0.05}
"""Added log-doubt of schedules that no, or one, published run validates; the search adds it to the step too.
Assumption."""
MAKERS = ("NVIDIA", "Huawei")
"""Makers of whose chips the fit has runs of several sources: their further chips are an extrapolation."""
OTHER_MAKER = 1.4
"""Times the interval of left-out chips, on a chip of another maker. Assumption: too few publish to measure it."""
UNLIKE = 1.15
"""Times the interval, where no published run is like the one asked for. Assumption."""
FAR = 2.5
"""Distance (`nearest`) from which no published run counts as like: a factor of 12 in size, for one. Assumption."""


@dataclass(frozen=True)
class NearestRun:
    """The published run most like one; distance: in e-folds over size, ranks, sequence, and steps for chip, precision
    and kind.
    """

    run: PublishedRun
    distance: float


@dataclass(frozen=True)
class TrainDoubt:
    """evidence: its tier; spread: half-width of the 90 % interval of the log of the step time; reason: a sentence;
    nearest: the published run most like it, None where there is none.
    """

    evidence: Evidence
    spread: float
    reason: str
    nearest: NearestRun | None

    def around(self, value: float) -> Interval:
        """The interval of a time."""
        return within(value, math.exp(self.spread))


def doubt(job: TrainJob, system: System, layout: Layout) -> TrainDoubt:
    """Doubt of one plan, from residuals of runs left out of the fit."""
    held = fitted()
    kind = "moe" if job.arch.moe else "dense"
    spread = held.spread[kind]
    near = nearest(job, system, held.runs)
    reasons = [f"left-out {kind} runs are within {math.expm1(spread):.0%} nine times in ten"]
    evidence: Evidence = "interpolated"
    if all(run.chip != system.accelerator.name for run in held.runs):
        known = system.accelerator.vendor in MAKERS
        evidence = "extrapolated" if known else "analytic"
        spread = max(spread, held.spread["chip"]) * (1.0 if known else OTHER_MAKER)
        reasons.append(f"no run on {system.accelerator.name} was seen")
    elif near is not None and near.distance > FAR:
        evidence, spread = "extrapolated", UNLIKE * spread
        reasons.append("no published run is like it")
    extra = UNPROVEN.get(int(layout.schedule), 0.0)
    if extra:
        reasons.append("hardly any published run validates its schedule")
    return TrainDoubt(evidence, math.hypot(spread, extra), "; ".join(reasons), near)


def nearest(job: TrainJob, system: System, runs: Sequence[PublishedRun]) -> NearestRun | None:
    """The run most like this one."""
    if not runs:
        return None
    size = math.log(params(job.arch).total)
    here = (size, 0.5 * math.log(system.count), 0.5 * math.log(job.seq))

    def distance(run: PublishedRun) -> float:
        there = (math.log(run.params), 0.5 * math.log(run.count), 0.5 * math.log(run.seq))
        steps = (
            1.0 * (run.chip != system.accelerator.name)
            + 1.0 * (run.moe != job.arch.moe)
            + 0.5 * (COMPUTE[run.precision] != job.compute)
        )
        return math.dist(here, there) + steps

    best = min(runs, key=distance)
    return NearestRun(best, round(distance(best), 2))
