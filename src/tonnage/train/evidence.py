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
SIZE, SCALE, LENGTH = 4.0, 4.0, 8.0
"""Factors in parameters, in accelerators and in tokens of a sequence within which a published run is near. Assumption:
efficiency moves with the logarithm of each, with that of the sequence only through attention."""
WEIGHTS = (1.0, 0.5, 0.5)
"""E-folds of distance for one e-fold of parameters, of accelerators, of the sequence: the least distance tells which of
several runs is shown. Assumption."""


@dataclass(frozen=True)
class Apart:
    """How far a published run is from one that is asked for. chip, kind, precision: whether they are the same (kind:
    a mixture or not; precision: of the products); size, scale, length: factors in parameters, accelerators and tokens
    of a sequence, 1 or more.
    """

    chip: bool
    kind: bool
    precision: bool
    size: float
    scale: float
    length: float

    @property
    def near(self) -> bool:
        """Whether a prediction between such runs is an interpolation: all that is the same is, and no factor is past
        its threshold.
        """
        inside = self.size <= SIZE and self.scale <= SCALE and self.length <= LENGTH
        return self.chip and self.kind and self.precision and inside

    @property
    def distance(self) -> float:
        """One number of it: e-folds over size, ranks and sequence, and steps for chip, kind and precision."""
        folds = (weight * math.log(x) for weight, x in zip(WEIGHTS, (self.size, self.scale, self.length), strict=True))
        return math.hypot(*folds) + 1.0 * (not self.chip) + 1.0 * (not self.kind) + 0.5 * (not self.precision)

    @property
    def words(self) -> str:
        """What is not near of it."""
        far = [
            *([] if self.chip else ["another chip"]),
            *([] if self.kind else ["dense against sparse"]),
            *([] if self.precision else ["another precision"]),
            *([] if self.size <= SIZE else [f"{self.size:.2g} times in parameters"]),
            *([] if self.scale <= SCALE else [f"{self.scale:.2g} times in accelerators"]),
            *([] if self.length <= LENGTH else [f"{self.length:.2g} times in tokens of a sequence"]),
        ]
        return ", ".join(far)


@dataclass(frozen=True)
class NearestRun:
    """The published run most like one: any that is near before those that are not, then by distance; apart: how far."""

    run: PublishedRun
    distance: float
    apart: Apart | None = None


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
    elif near is not None and near.apart is not None and not near.apart.near:
        evidence, spread = "extrapolated", UNLIKE * spread
        reasons.append(f"no published run is near, the nearest is apart by {near.apart.words}")
    extra = UNPROVEN.get(int(layout.schedule), 0.0)
    if extra:
        reasons.append("hardly any published run validates its schedule")
    return TrainDoubt(evidence, math.hypot(spread, extra), "; ".join(reasons), near)


def nearest(job: TrainJob, system: System, runs: Sequence[PublishedRun]) -> NearestRun | None:
    """The run most like this one."""
    size = params(job.arch).total
    found = [(run, apart(job, system, run, size)) for run in runs]
    if not found:
        return None
    best, far = min(found, key=lambda one: (not one[1].near, one[1].distance))
    return NearestRun(best, round(far.distance, 2), far)


def apart(job: TrainJob, system: System, run: PublishedRun, size: int | None = None) -> Apart:
    """How far a published run is from a job on a system. size: parameters of the job's model, where they are known."""
    return Apart(
        chip=run.chip == system.accelerator.name,
        kind=run.moe == job.arch.moe,
        precision=_width(COMPUTE[run.precision]) == _width(job.compute),
        size=_factor(run.params, params(job.arch).total if size is None else size),
        scale=_factor(run.count, system.count),
        length=_factor(run.seq, job.seq),
    )


def _width(compute: str) -> str:
    """Rates of one width: BF16 and FP16 products take as long."""
    return "16 bits" if compute in ("bf16", "fp16") else compute


def _factor(one: float, other: float) -> float:
    return max(one / other, other / one)
