"""A user's own measured runs as an anchor: one level of time that brings predictions onto them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tonnage.errors import InputError, Problem
from tonnage.system import System
from tonnage.train.job import TrainJob
from tonnage.train.result import TrainPlan
from tonnage.train.search import predict
from tonnage.train.stack import fitted

LARGEST = 5.0
"""Factor beyond which a measurement is not of what was described."""
NARROWEST = 0.05
"""Half-width below which nothing is claimed: published runs of one layout differ by as much."""


@dataclass(frozen=True)
class Measured:
    """A run of the user's own: what ran, and its rate [tokens/s for each accelerator]."""

    job: TrainJob
    system: System
    fixed: Mapping[str, int]
    rate: float


@dataclass(frozen=True)
class Level:
    """ratio: measured rate over the predicted one, the median of the runs that count; spread: half-width of the 90 %
    interval of the log of the step time once it is known; runs: how many counted, seen: how many were given; like: in
    what those that counted are like the run that is asked for.
    """

    ratio: float
    spread: float
    runs: int
    seen: int
    like: str


def level(job: TrainJob, system: System, runs: Sequence[Measured]) -> Level:
    """The level of the runs most like this one.

    Those of the same model, chip and precision count; where there is none, those on the chip that are dense or mixtures
    as it is; else all on the chip. Each is predicted as `predict` does, what is open set to the best. The spread is
    that of published runs around others as like (`scatter`), or of these runs around their level if that is wider.
    Raises `InputError` when no run is on the chip, or when the level is over `LARGEST` either way.
    """
    chosen, like, keys = _like(job, system, runs)
    if not chosen:
        raise InputError(Problem(f"no run of this file is on {system.accelerator.name}", "--anchor"))
    logs = [math.log(run.rate / _predicted(run)) for run in chosen]
    middle = float(np.median(logs))
    if not abs(middle) <= math.log(LARGEST):
        text = f"the measured rates are {math.exp(middle):.2g} times the predicted ones: another set-up"
        raise InputError(Problem(text, "--anchor"))
    own = 1.645 * float(np.std(logs, ddof=1)) if len(logs) > 2 else 0.0
    return Level(math.exp(middle), max(scatter(job.arch.moe, keys), own, NARROWEST), len(chosen), len(runs), like)


SAME = ("chip", "params", "precision")
"""What published runs must share to be as like each other as runs of one model on one chip."""


def _like(job: TrainJob, system: System, runs: Sequence[Measured]) -> tuple[list[Measured], str, tuple[str, ...]]:
    """(the runs that count, in what they are like, what published runs as like share)."""
    here = [run for run in runs if run.system.accelerator.name == system.accelerator.name]
    kind = [run for run in here if run.job.arch.moe == job.arch.moe]
    same = [run for run in kind if run.job.arch.name == job.arch.name and run.job.compute == job.compute]
    for found, words, keys in (
        (same, "of this model on this chip", SAME),
        (kind, "of this kind on this chip", SAME[:1]),
        (here, "on this chip", SAME[:1]),
    ):
        if found:
            return found, words, keys
    return [], "", SAME


def _predicted(run: Measured) -> float:
    rate = predict(run.job, run.system, run.fixed).tokens_per_second_per_accelerator
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(Problem(f"no layout divides {run.system.count} {run.system.accelerator.name}", "--anchor"))
    return rate


def scatter(moe: bool, keys: tuple[str, ...] = SAME) -> float:
    """Half-width of the 90 % interval of published runs around the median of the others that share `keys`.

    From the residuals of runs whose source was left out of the fit: what is left of them once the level of the others
    is known. One vote for each combination of keys.
    """
    held: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for run in fitted()[1].get("runs", []):
        if run["moe"] == moe:
            held[tuple(run[key] for key in keys)].append(math.log1p(run["error"]))
    values, votes = [], []
    for logs in held.values():
        if len(logs) > 1:
            rest = [abs(own - float(np.median(logs[:i] + logs[i + 1 :]))) for i, own in enumerate(logs)]
            values += rest
            votes += [1.0 / len(rest)] * len(rest)
    if not values:
        return float(fitted()[1]["spread"]["moe" if moe else "dense"])
    order = np.argsort(values)
    share = np.cumsum(np.asarray(votes)[order]) / sum(votes)
    return float(np.asarray(values)[order][np.searchsorted(share, 0.9)])


def leveled(found: TrainPlan, to: Level) -> TrainPlan:
    """A plan whose rates are brought onto the level: times divided by its ratio, the interval that of the level.

    The layout stays: one factor for all of them does not change which is best. The spread is never wider than it was.
    """
    if found.layout is None or found.doubt is None:
        return found
    spread = min(found.doubt.spread, to.spread)
    own = f"brought onto {to.runs} of your runs {to.like} ({1 / to.ratio:.3g} times the predicted time)"
    sure = replace(found.doubt, spread=spread, evidence="interpolated", reason=f"{own}; {_left(spread)}")
    seconds, shrink = found.step_time / to.ratio, math.exp(spread)
    useful = found.goodput
    wall = _over(found.wall_time, to.ratio)
    ends = (1.0, 1.0) if useful is None else (useful.value / useful.high, useful.value / useful.low)
    return replace(
        found,
        step_time=seconds,
        step_time_low=seconds / shrink,
        step_time_high=seconds * shrink,
        tokens_per_second_per_accelerator=found.tokens_per_second_per_accelerator * to.ratio,
        model_flops_per_second_per_accelerator=found.model_flops_per_second_per_accelerator * to.ratio,
        mfu=found.mfu * to.ratio,
        mfu_16bit=found.mfu_16bit * to.ratio,
        breakdown={name: value / to.ratio for name, value in found.breakdown.items()},
        wall_time=wall,
        wall_time_low=None if wall is None else wall / shrink * ends[0],
        wall_time_high=None if wall is None else wall * shrink * ends[1],
        accelerator_hours=_over(found.accelerator_hours, to.ratio),
        energy=_over(found.energy, to.ratio),
        cost=_over(found.cost, to.ratio),
        alternatives=tuple(replace(other, step_time=other.step_time / to.ratio) for other in found.alternatives),
        doubt=sure,
    )


def _left(spread: float) -> str:
    return f"runs beside such an anchor are within {math.expm1(spread):.0%} nine times in ten"


def _over(value: float | None, ratio: float) -> float | None:
    return None if value is None else value / ratio
