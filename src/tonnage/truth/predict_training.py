"""Training cases as `train` predicts them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    held = fitted()
    by_source = left_out(found, held.folds, _group)
    by_chip = left_out(found, held.chip_folds, _chip) if chips else []
    kinds = {name: left_out(found, held.kind_folds.get(name, {}), of) for name, of in KINDS.items()} if chips else {}
    return Made(made, by_source, by_chip, [one.anchored for one in ready], kinds)


def _group(one: PreparedRun) -> str:
    return one.anchored.figure.group


def _chip(one: PreparedRun) -> str:
    """The name under which a chip was left out: bins of one chip are one."""
    name = one.anchored.figure.tags["chip"]
    return next((chip for chip in fitted().chip_folds if name.startswith(chip)), name)


KINDS: Mapping[str, Callable[[PreparedRun], str]] = {
    "year": lambda one: str(one.job.when.year),
    "framework": lambda one: str(one.job.framework),
}
"""Kinds of runs that are left out whole, and what says that runs are of one."""


def left_out(
    found: Sequence[Planned], folds: Mapping[str, TrainSoftware], side: Callable[[PreparedRun], str]
) -> list[Prediction]:
    """Predictions with constants fitted without what is on a case's side (its source, chip, year, framework); none if
    no such fit is kept.

    The layout is the one predicted for the case: what the search chose of what its source leaves open.
    """
    made = []
    for one, plan, run in found:
        if folds and plan.layout is not None:
            software = folds.get(side(one))
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
