"""Serving cases as `serve` predicts them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tonnage import serve
from tonnage.errors import TonnageError
from tonnage.serve import Case, Estimate
from tonnage.truth.board import Made, expressed
from tonnage.truth.cases import Skip
from tonnage.truth.ceilings import ceilings
from tonnage.truth.null import Anchored
from tonnage.truth.score import Prediction
from tonnage.truth.scored import INPUT_RATE, RATE, TPOT, TTFT
from tonnage.truth.serving import figures, serving_case
from tonnage.truth.shapes import Library
from tonnage.truth.table import Row

_FIELDS = {RATE: "output_rate", INPUT_RATE: "input_rate", TPOT: "tpot", TTFT: "ttft"}


@dataclass(frozen=True)
class Ready:
    """A serving case that can be predicted, and its figures with their roofline."""

    case: Case
    anchored: tuple[Anchored, ...]


def prepare(rows: Iterable[Row], library: Library, skipped: Counter[str]) -> list[Ready]:
    """Cases that can be expressed; the others are counted by reason."""

    def make(row: Row) -> Ready:
        case = serving_case(row, library)
        open_figures = figures(row, case.arch.moe)
        roof = ceilings(case)
        return Ready(case, tuple(Anchored(figure, roof[figure.metric]) for figure in open_figures))

    return expressed(rows, make, skipped)


def references(rows: Iterable[Row], library: Library) -> list[Anchored]:
    """What the null model is fitted on."""
    return [one for ready in prepare(rows, library, Counter()) for one in ready.anchored]


def predict(rows: Iterable[Row], library: Library, skipped: Counter[str]) -> Made:
    """Our predictions of the rows that can be expressed; the others are counted by reason."""
    ready = prepare(rows, library, skipped)
    found = answers([one.case for one in ready])
    made = [row for one, answer in zip(ready, found, strict=True) for row in _rows(one, answer, skipped)]
    return Made(made, [], [], [one for part in ready for one in part.anchored])


def answers(cases: Sequence[Case]) -> list[serve.Prediction | str]:
    """Predictions of many cases at once; where that fails, one by one, the reason in place of those that fail."""
    try:
        return list(serve.predict(cases))
    except Exception:  # one malformed row of a foreign file must not cost the others their prediction
        return [_one(case) for case in cases]


def _one(case: Case) -> serve.Prediction | str:
    try:
        return serve.predict([case])[0]
    except TonnageError as error:
        return error.message[:90]
    except Exception as error:  # the same: the reason is counted and shown
        return f"could not be predicted ({type(error).__name__})"


def _rows(ready: Ready, answer: serve.Prediction | str, skipped: Counter[str]) -> Iterable[Prediction]:
    for one in ready.anchored:
        try:
            yield _row(one.figure, answer)
        except Skip as reason:
            skipped[str(reason)] += 1


def _row(figure: Prediction, answer: serve.Prediction | str) -> Prediction:
    if isinstance(answer, str):
        raise Skip(answer)
    estimate: Estimate | None = getattr(answer, _FIELDS[figure.metric])
    if estimate is None or not (math.isfinite(estimate.value) and estimate.value > 0):
        raise Skip(f"no {figure.metric} is predicted: {answer.outcome.reason}")
    return replace(
        figure,
        predicted=estimate.value,
        low=estimate.low,
        high=estimate.high,
        evidence=answer.evidence,
        outcome=answer.outcome.reason,
    )
