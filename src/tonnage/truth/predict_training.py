"""Training cases as `train` predicts them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tonnage.system import System
from tonnage.train import search
from tonnage.train.figures import TrainFigures
from tonnage.train.job import TrainJob
from tonnage.train.result import TrainPlan
from tonnage.train.search import evaluate
from tonnage.train.software import TrainSoftware, fitted
from tonnage.truth.board import Made, expressed
from tonnage.truth.cases import Skip, attempt
from tonnage.truth.null import Anchored
from tonnage.truth.score import Prediction
from tonnage.truth.shapes import Library
from tonnage.truth.table import Row
from tonnage.truth.training import anchored, training_job


@dataclass(frozen=True)
class PreparedRun:
    """A training case that can be predicted, and its figure with its work."""

    job: TrainJob
    system: System
    layout: dict[str, int]
    anchored: Anchored


Planned = tuple[PreparedRun, TrainPlan, TrainFigures]
"""A case, its plan, and what its run does."""


def prepare(rows: Iterable[Row], library: Library, skipped: Counter[str]) -> list[PreparedRun]:
    """Cases that can be expressed; the others are counted by reason."""

    def make(row: Row) -> PreparedRun:
        job, system, layout = training_job(row, library)
        return PreparedRun(job, system, layout, anchored(row, job, system, layout))

    return expressed(rows, make, skipped)


def references(rows: Iterable[Row], library: Library) -> list[Anchored]:
    """What the null model is fitted on."""
    return [ready.anchored for ready in prepare(rows, library, Counter())]


def predict(rows: Iterable[Row], library: Library, skipped: Counter[str], chips: bool = False) -> Made:
    """Our predictions of the rows that can be expressed; the others are counted by reason. chips: each left out too."""
    ready = prepare(rows, library, skipped)
    found = expressed(ready, _planned, skipped)
    made = [_row(one, plan, run, run.step_time.value) for one, plan, run in found]
    by_source = left_out(found, fitted().folds, "group")
    by_chip = left_out(found, fitted().chip_folds, "chip") if chips else []
    return Made(made, by_source, by_chip, [one.anchored for one in ready])


def left_out(found: Sequence[Planned], folds: Mapping[str, TrainSoftware], by: str) -> list[Prediction]:
    """Predictions with constants fitted without the case's source (`group`) or chip (`chip`); none if not kept.

    The layout is the one predicted for the case: what the search chose of what its source leaves open.
    """
    made = []
    for one, plan, run in found:
        figure = one.anchored.figure
        side = figure.group if by == "group" else figure.tags[by]
        if folds and plan.layout is not None:
            key = next((name for name in folds if side == name or (by == "chip" and side.startswith(name))), None)
            software = folds[key] if key else None
            seconds = float(evaluate(one.job, one.system, plan.layout, software).step_time[0])
            made.append(_row(one, plan, run, seconds))
    return made


def _planned(ready: PreparedRun) -> Planned:
    plan = search.predict(ready.job, ready.system, ready.layout)
    run = plan.run
    if run is None or not (math.isfinite(run.tokens_per_second) and run.tokens_per_second > 0):
        raise Skip(f"no layout is predicted to run: {plan.outcome.reason}")
    return ready, plan, run


def planned(ready: PreparedRun) -> TrainPlan | None:
    """The plan of a case, or None where there is none."""
    try:
        return attempt(lambda: _planned(ready))[1]
    except Skip:
        return None


def _row(ready: PreparedRun, plan: TrainPlan, run: TrainFigures, seconds: float) -> Prediction:
    step = run.step_time
    rate = run.tokens_per_second * step.value / seconds
    return replace(
        ready.anchored.figure,
        predicted=rate,
        low=rate * step.value / step.high,
        high=rate * step.value / step.low,
        evidence=plan.evidence,
        outcome=plan.outcome.reason,
    )
