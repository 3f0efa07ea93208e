"""Serving cases as `serve` predicts them."""

from __future__ import annotations

import importlib.resources
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from tonnage import serve
from tonnage.errors import TonnageError
from tonnage.interval import Interval
from tonnage.serve import Deployment
from tonnage.serve.replica.software import Constants, constants
from tonnage.serve.replica.step import keeping_steps
from tonnage.simulate.as_run import finite, is_finite, piles_up
from tonnage.truth.board import Made, expressed
from tonnage.truth.cases import DEFECT, Skip, attempt
from tonnage.truth.ceilings import ceilings
from tonnage.truth.null import Anchored
from tonnage.truth.score import Prediction
from tonnage.truth.scored import INPUT_RATE, RATE, TPOT, TTFT
from tonnage.truth.serving import figures, serving_case
from tonnage.truth.shapes import Library
from tonnage.truth.table import Row

_FIELDS = {RATE: "output_rate", INPUT_RATE: "input_rate", TPOT: "tpot", TTFT: "ttft"}


@dataclass(frozen=True)
class PreparedService:
    """A serving case that can be predicted, and its figures with their roofline."""

    case: Deployment
    anchored: tuple[Anchored, ...]


def prepare(rows: Iterable[Row], library: Library, skipped: Counter[str]) -> list[PreparedService]:
    """Cases that can be expressed; the others are counted by reason."""

    def make(row: Row) -> PreparedService:
        case = serving_case(row, library)
        open_figures = figures(row, case.arch.moe)
        roof = ceilings(case)
        return PreparedService(case, tuple(Anchored(figure, roof[figure.metric]) for figure in open_figures))

    return expressed(rows, make, skipped)


def references(rows: Iterable[Row], library: Library) -> list[Anchored]:
    """What the null model is fitted on."""
    return [one for ready in prepare(rows, library, Counter()) for one in ready.anchored]


def predict(rows: Iterable[Row], library: Library, skipped: Counter[str], chips: bool = False) -> Made:
    """Our predictions of the rows that can be expressed; the others are counted by reason. chips: each left out too."""
    ready = prepare(rows, library, skipped)
    with keeping_steps():
        made = _all(ready, answers([one.case for one in ready]), skipped)
        by_source = left_out(ready, folds("source"), lambda one: one.case.group, skipped)
        by_chip = left_out(ready, folds("chip"), lambda one: one.case.accelerator.name, skipped) if chips else []
        kinds = {name: _kind_out(ready, folds(name), side, skipped) for name, side in KINDS.items()} if chips else {}
    return Made(made, by_source, by_chip, [one for part in ready for one in part.anchored], kinds)


KINDS: Mapping[str, Callable[[PreparedService], str]] = {
    "stack": lambda one: one.case.stack or "",
    "engine": lambda one: (one.case.engine or "").partition("@")[0],
    "year": lambda one: (one.case.date or "")[:4],
}
"""Whole kinds of runs that are left out of the fit at once, and what a case is of each."""


def _kind_out(
    ready: Sequence[PreparedService],
    kept: Mapping[str, Constants],
    side: Callable[[PreparedService], str],
    skipped: Counter[str],
) -> list[Prediction]:
    """Predictions of the cases of which a kind was left out of a fit, with the constants of that fit."""
    return left_out([one for one in ready if side(one) in kept], kept, side, skipped)


def left_out(
    ready: Sequence[PreparedService],
    kept: Mapping[str, Constants],
    side: Callable[[PreparedService], str],
    skipped: Counter[str],
) -> list[Prediction]:
    """Predictions with constants fitted without what `side` names of a case; none if no such fits are kept.

    What was in no fit at all (a new source) is predicted with the constants that come with tonnage. Of what cannot be
    predicted only defects are counted: the rest is, with the constants of all.
    """
    made: list[Prediction] = []
    lost: Counter[str] = Counter()
    for name in sorted({side(one) for one in ready}) if kept else ():
        part = [one for one in ready if side(one) == name]
        made += _all(part, answers([one.case for one in part], kept.get(name)), lost)
    skipped += Counter({reason: count for reason, count in lost.items() if reason.startswith(DEFECT)})
    return made


def folds(kind: str) -> dict[str, Constants]:
    """Constants of `serve` fitted without each source (`source`) or chip (`chip`); empty where they are not kept."""
    place = importlib.resources.files("tonnage.serve").joinpath("data/folds.json")
    if not place.is_file():
        return {}
    usual, names = constants(), {field.name for field in fields(Constants)}
    held = json.loads(place.read_text(encoding="utf-8")).get(kind, {})
    return {
        name: replace(usual, **{part: value for part, value in values.items() if part in names})
        for name, values in held.items()
    }


def answers(cases: Sequence[Deployment], fitted: Constants | None = None) -> list[serve.ServePrediction | str]:
    """Predictions of many cases at once; where that fails, one by one, the reason in place of those that fail."""
    steady = _steady(cases, fitted)
    return [_as_sent(case, one, fitted) for case, one in zip(cases, steady, strict=True)]


def _as_sent(
    case: Deployment, steady: serve.ServePrediction | str, fitted: Constants | None
) -> serve.ServePrediction | str:
    """A finite run, whose requests are all sent at once or pile up, as it comes out of a simulation; others as they
    are.
    """
    if isinstance(steady, str) or not (is_finite(case) or piles_up(case, _served(steady, case))):
        return steady
    try:
        run = attempt(lambda: finite(case, fitted))
    except Skip as reason:
        return str(reason)
    dies = case.pool.count
    return replace(
        steady,
        output_rate=_moved(steady.output_rate, run.rate * case.osl / dies),
        input_rate=_moved(steady.input_rate, run.rate * case.isl / dies),
        tpot=_moved(steady.tpot, run.tpot),
        ttft=_moved(steady.ttft, run.ttft),
    )


def _served(steady: serve.ServePrediction, case: Deployment) -> float:
    """Requests that a steady state serves per second in the whole deployment; infinite where it has no rate."""
    return math.inf if steady.output_rate is None else steady.output_rate.value * case.pool.count / max(case.osl, 1.0)


def _moved(known: Interval | None, value: float) -> Interval | None:
    """Another value with the same doubt."""
    if known is None or not math.isfinite(value):
        return None
    return Interval(value, known.low * value / known.value, known.high * value / known.value)


def _steady(cases: Sequence[Deployment], fitted: Constants | None) -> list[serve.ServePrediction | str]:
    try:
        return list(serve.predict(cases, fitted))
    except TonnageError:
        return [_one(case, fitted) for case in cases]
    except Exception:  # a defect: of which case, so that the others keep their prediction
        found = [_one(case, fitted) for case in cases]
        if not any(isinstance(one, str) and one.startswith(DEFECT) for one in found):
            raise
        return found


def _one(case: Deployment, fitted: Constants | None) -> serve.ServePrediction | str:
    try:
        return attempt(lambda: serve.predict([case], fitted)[0])
    except Skip as reason:
        return str(reason)


def _all(
    ready: Sequence[PreparedService], found: Sequence[serve.ServePrediction | str], skipped: Counter[str]
) -> list[Prediction]:
    return [row for one, answer in zip(ready, found, strict=True) for row in _rows(one, answer, skipped)]


def _rows(ready: PreparedService, answer: serve.ServePrediction | str, skipped: Counter[str]) -> Iterable[Prediction]:
    for one in ready.anchored:
        try:
            yield _row(one.figure, answer)
        except Skip as reason:
            skipped[str(reason)] += 1


def _row(figure: Prediction, answer: serve.ServePrediction | str) -> Prediction:
    if isinstance(answer, str):
        raise Skip(answer)
    estimate: Interval | None = getattr(answer, _FIELDS[figure.metric])
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
