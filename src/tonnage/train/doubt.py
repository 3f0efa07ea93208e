"""How sure a prediction is: evidence, interval, the nearest published run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tonnage.layout import Layout
from tonnage.model.counts import params
from tonnage.system import System
from tonnage.train import schedule
from tonnage.train.job import COMPUTE, TrainJob
from tonnage.train.stack import fitted

UNPROVEN = {schedule.ZERO_BUBBLE: 0.10, schedule.DUALPIPE: 0.05}
"""Added log-doubt of schedules that no, or one, published run validates; the search adds it to the step too."""


MAKERS = ("NVIDIA", "Huawei")
"""Vendors whose chips have runs of several sources in the fit; the others' few say little of their further chips."""


@dataclass(frozen=True)
class Doubt:
    """evidence: interpolated, extrapolated or analytic; spread: half-width of the 90 % interval of the log of the step
    time; reason: a sentence; nearest: the published run most like it, how far (in e-folds over size, ranks, sequence,
    and steps for chip, precision, kind), and how far off we were on it with its source left out.
    """

    evidence: str
    spread: float
    reason: str
    nearest: dict[str, Any] | None


def doubt(job: TrainJob, system: System, layout: Layout) -> Doubt:
    """Doubt of one plan, from residuals of runs left out of the fit."""
    _, held = fitted()
    kind = "moe" if job.arch.moe else "dense"
    spread = float(held["spread"][kind])
    near = nearest(job, system, held.get("runs", []))
    chips = {run["chip"] for run in held.get("runs", [])}
    reasons = [f"left-out {kind} runs are within {math.expm1(spread):.0%} nine times in ten"]
    evidence = "interpolated"
    if system.accelerator.name not in chips:
        fitted_maker = system.accelerator.vendor in MAKERS
        evidence = "extrapolated" if fitted_maker else "analytic"
        spread = max(spread, float(held["spread"].get("chip", 1.3 * spread))) * (1.0 if fitted_maker else 1.4)
        reasons.append(f"no run on {system.accelerator.name} was seen")
    elif near is not None and near["distance"] > 2.5:
        evidence, spread = "extrapolated", 1.15 * spread
        reasons.append("no published run is like it")
    extra = UNPROVEN.get(int(layout.schedule), 0.0)
    if extra:
        reasons.append("hardly any published run validates its schedule")
    return Doubt(evidence, math.hypot(spread, extra), "; ".join(reasons), near)


def nearest(job: TrainJob, system: System, runs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The run most like this one, with `distance`."""
    if not runs:
        return None
    size = math.log(params(job.arch).total)
    here = (size, 0.5 * math.log(system.count), 0.5 * math.log(job.seq))

    def distance(run: dict[str, Any]) -> float:
        there = (math.log(run["params"]), 0.5 * math.log(run["count"]), 0.5 * math.log(run["seq"]))
        steps = (
            1.0 * (run["chip"] != system.accelerator.name)
            + 1.0 * (run["moe"] != job.arch.moe)
            + 0.5 * (COMPUTE[run["precision"]] != job.compute)
        )
        return float(math.dist(here, there)) + float(steps)

    best = min(runs, key=distance)
    return {**best, "distance": round(distance(best), 2)}
