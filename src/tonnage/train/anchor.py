"""A user's own measured runs as an anchor: one level of time that brings predictions onto them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tonnage.errors import InputError, Problem
from tonnage.interval import Z90
from tonnage.system import System
from tonnage.train.figures import TrainBill, TrainFigures
from tonnage.train.job import TrainJob
from tonnage.train.result import Level, TrainPlan
from tonnage.train.search import predict, wall_time
from tonnage.train.software import fitted

LARGEST = 5.0
"""Factor beyond which a measurement is not of what was described."""
NARROWEST = 0.05
"""Half-width below which nothing is claimed: published runs of one layout differ by as much."""


@dataclass(frozen=True)
class MeasuredRun:
    """A run of the user's own: what ran, and its rate [tokens/s for each accelerator]."""

    job: TrainJob
    system: System
    fixed: Mapping[str, int]
    rate: float


def level(job: TrainJob, system: System, runs: Sequence[MeasuredRun]) -> Level:
    """The level of the runs most like this one.

    Those of the same model, chip and precision count; where there is none, those on the chip that are dense or mixtures
    as it is; else all on the chip. Each is predicted as `predict` does, what is open set to the best. The spread is
    that of published runs around others as like (`scatter`), or of these runs around their level if that is wider.
    Raises `InputError` when no run is on the chip, or when the level is over `LARGEST` either way.
    """
    chosen, like, keys = _like(job, system, runs)
    if not chosen:
        raise InputError(Problem(f"no run of this file is on {system.accelerator.name}", path="anchor"))
    logs = [math.log(run.rate / _predicted(run)) for run in chosen]
    middle = float(np.median(logs))
    if not abs(middle) <= math.log(LARGEST):
        text = f"the measured rates are {math.exp(middle):.2g} times the predicted ones: another set-up"
        raise InputError(Problem(text, path="anchor"))
    own = Z90 * float(np.std(logs, ddof=1)) if len(logs) > 2 else 0.0
    return Level(math.exp(middle), max(scatter(job.arch.moe, keys), own, NARROWEST), len(chosen), len(runs), like)


SAME = ("chip", "params", "precision")
"""What published runs must share to be as like each other as runs of one model on one chip."""


def _like(job: TrainJob, system: System, runs: Sequence[MeasuredRun]) -> tuple[list[MeasuredRun], str, tuple[str, ...]]:
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


def _predicted(run: MeasuredRun) -> float:
    rate = predict(run.job, run.system, run.fixed).tokens_per_second
    if rate is None or not (math.isfinite(rate) and rate > 0):
        text = f"no layout divides {run.system.count} {run.system.accelerator.name}"
        raise InputError(Problem(text, path="anchor"))
    return rate


def scatter(moe: bool, keys: tuple[str, ...] = SAME) -> float:
    """Half-width of the 90 % interval of published runs around the median of the others that share `keys`.

    From the residuals of runs whose source was left out of the fit: what is left of them once the level of the others
    is known. One vote for each combination of keys.
    """
    held: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for run in fitted().runs:
        if run.moe == moe:
            held[tuple(getattr(run, key) for key in keys)].append(math.log1p(run.error))
    values, votes = [], []
    for logs in held.values():
        if len(logs) > 1:
            rest = [abs(own - float(np.median(logs[:i] + logs[i + 1 :]))) for i, own in enumerate(logs)]
            values += rest
            votes += [1.0 / len(rest)] * len(rest)
    if not values:
        return fitted().spread["moe" if moe else "dense"]
    order = np.argsort(values)
    share = np.cumsum(np.asarray(votes)[order]) / sum(votes)
    return float(np.asarray(values)[order][np.searchsorted(share, 0.9)])


def leveled(found: TrainPlan, to: Level) -> TrainPlan:
    """A plan whose rates are brought onto the level: times divided by its ratio, the interval that of the level.

    The layout stays: one factor for all of them does not change which is best. The spread is never wider than it was.
    """
    if found.run is None:
        return replace(found, anchor=to)
    return replace(
        found,
        run=_leveled(found.job, found.run, to),
        alternatives=tuple(replace(other, step_time=other.step_time / to.ratio) for other in found.alternatives),
        anchor=to,
        provenance=replace(found.provenance, evidence="interpolated"),
    )


def _leveled(job: TrainJob, run: TrainFigures, to: Level) -> TrainFigures:
    """The figures of a run with its times brought onto measured runs: rates by the ratio, times by its inverse."""
    spread = min(run.doubt.spread, to.spread)
    own = f"brought onto {to.runs} of your runs {to.like} ({1 / to.ratio:.3g} times the predicted time)"
    sure = replace(run.doubt, spread=spread, evidence="interpolated", reason=f"{own}; {_left(spread)}")
    seconds = run.step_time.value / to.ratio
    return replace(
        run,
        step_time=sure.around(seconds),
        tokens_per_second=run.tokens_per_second * to.ratio,
        model_flops_per_second=run.model_flops_per_second * to.ratio,
        mfu=run.mfu * to.ratio,
        mfu_16bit=run.mfu_16bit * to.ratio,
        breakdown={name: value / to.ratio for name, value in run.breakdown.items()},
        doubt=sure,
        wall_time=wall_time(job, seconds, run.goodput, sure),
        bill=run.bill and _shorter(run.bill, to.ratio),
    )


def _left(spread: float) -> str:
    return f"runs beside such an anchor are within {math.expm1(spread):.0%} nine times in ten"


def _shorter(bill: TrainBill, ratio: float) -> TrainBill:
    """What a run takes that ends sooner by a ratio."""
    return TrainBill(bill.accelerator_hours / ratio, _over(bill.energy, ratio), _over(bill.cost, ratio))


def _over(value: float | None, ratio: float) -> float | None:
    return None if value is None else value / ratio
