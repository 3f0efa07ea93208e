"""Training cases as `train` predicts them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tonnage import train
from tonnage.errors import TonnageError
from tonnage.system import System
from tonnage.train.job import TrainJob
from tonnage.truth.board import expressed
from tonnage.truth.cases import Skip
from tonnage.truth.null import Anchored
from tonnage.truth.score import Prediction
from tonnage.truth.shapes import Library
from tonnage.truth.table import Row
from tonnage.truth.training import anchored, training_job


@dataclass(frozen=True)
class Ready:
    """A training case that can be predicted, and its figure with its work."""

    job: TrainJob
    system: System
    layout: dict[str, int]
    anchored: Anchored


def prepare(rows: Iterable[Row], library: Library, skipped: Counter[str]) -> list[Ready]:
    """Cases that can be expressed; the others are counted by reason."""

    def make(row: Row) -> Ready:
        job, system, layout = training_job(row, library)
        return Ready(job, system, layout, anchored(row, job, system, layout))

    return expressed(rows, make, skipped)


def references(rows: Iterable[Row], library: Library) -> list[Anchored]:
    """What the null model is fitted on."""
    return [ready.anchored for ready in prepare(rows, library, Counter())]


def predict(
    rows: Iterable[Row], library: Library, skipped: Counter[str]
) -> tuple[list[Prediction], list[Prediction], list[Anchored]]:
    """(our predictions, those with nothing of a case's source in any fit, what the null model needs)."""
    ready = prepare(rows, library, skipped)
    made = expressed(ready, _row, skipped)
    return made, [], [one.anchored for one in ready]


def _row(ready: Ready) -> Prediction:
    try:
        plan: Any = train.plan(ready.job, ready.system, fixed=ready.layout)
    except TonnageError as error:
        raise Skip(error.message[:90]) from None
    except Exception as error:  # one malformed row of a foreign file must not cost the others their prediction
        raise Skip(f"could not be predicted ({type(error).__name__})") from None
    rate = plan.tokens_per_second_per_accelerator
    if rate is None or not (math.isfinite(rate) and rate > 0):
        raise Skip(f"no layout is predicted to run: {plan.outcome.reason}")
    step = plan.step_time
    return replace(
        ready.anchored.figure,
        predicted=rate,
        low=rate * step / plan.step_time_high,
        high=rate * step / plan.step_time_low,
        evidence=plan.evidence,
        outcome=plan.outcome.reason,
    )
