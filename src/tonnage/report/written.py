"""What is said of a launch file beside the answer: how it was read, what is not priced, and what would be better."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tonnage import units
from tonnage.report.answer import Answer

if TYPE_CHECKING:
    from tonnage.launchfile import Written
    from tonnage.serve import FitPlan, ServePlan
    from tonnage.train import TrainPlan
    from tonnage.values import Plain

SHOWN = 8
"""Settings that are listed; the rest are in the JSON."""

WORTH = 0.02
"""Gain under which a change is not worth its name: repeats of one benchmark spread as much."""


def with_written(answer: Answer, written: Written, change: str) -> Answer:
    """The answer, with what was read before its rows and what would be changed after them."""
    fields = {name: value for name, value in written.words.items() if value is not True}
    asked = " ".join(f"{name} {value}" for name, value in sorted(fields.items()))
    switches = [name for name, value in written.words.items() if value is True]
    notes = "".join(f"; {note}" for note in written.read)
    rows = [("file", f"{written.path}, {written.engine}: {' '.join([asked, *switches])}{notes}")]
    rows += [("not priced", _listed(written.unpriced))] if written.unpriced else []
    rows += [("not known", _listed(written.strange))] if written.strange else []
    return replace(answer, rows=(*rows, *answer.rows, ("change", change)))


def _listed(settings: tuple[str, ...]) -> str:
    more = f"; and {len(settings) - SHOWN} more" if len(settings) > SHOWN else ""
    return "; ".join(settings[:SHOWN]) + more


def written_json(written: Written, change: str) -> dict[str, Plain]:
    """The same as keys of the JSON."""
    return {
        "file": written.path,
        "engine": written.engine,
        "words": dict(written.words),
        "read": list(written.read),
        "not_priced": list(written.unpriced),
        "not_known": list(written.strange),
        "change": change,
    }


def _gain(text: str, gain: float) -> str:
    if gain < WORTH:
        return "nothing: no plan that was found is 2 % better under the same limits"
    return f"{text}, {gain:+.0%}"


def serve_change(plan: ServePlan, best: ServePlan) -> str:
    """The best plan beside the one as it is written."""
    if not best.outcome.feasible:
        return "no other layout on these accelerators can either; more accelerators or fewer bits"
    rate = best.requests_per_second or 0.0
    words = f"{best.layout_text} ({best.mode}), {best.chunk:,} tokens a step" if best.chunk else str(best.layout_text)
    now = plan.requests_per_second or 0.0
    if not plan.outcome.feasible or now <= 0:
        return f"as it is written it cannot be; {words}: {units.show_number(rate)} requests/s"
    text = f"{words}: {units.show_number(rate)} instead of {units.show_number(now)} requests/s"
    return _gain(text, rate / now - 1)


def fit_change(plan: FitPlan, best: FitPlan) -> str:
    """The layout that holds most."""
    if not best.outcome.feasible:
        return "no other layout on these accelerators can either; more accelerators or fewer bits"
    text = f"{best.layout_text} holds {best.max_batch:,} sequences of {best.context:,.0f}"
    if not plan.outcome.feasible or plan.max_batch < 1:
        return f"as it is written it cannot be; {text}"
    return _gain(f"{text} instead of {plan.max_batch:,}", best.max_batch / plan.max_batch - 1)


def train_change(plan: TrainPlan, best: TrainPlan) -> str:
    """The best layout beside the one as it is written."""
    if not best.outcome.feasible or best.step_time is None:
        return "no other layout on these accelerators can either"
    there = units.show_time(best.step_time.value)
    if not plan.outcome.feasible or plan.step_time is None:
        return f"as it is written it cannot be; {best.layout}: {there} a step"
    now = plan.step_time.value
    text = f"{best.layout}: {there} instead of {units.show_time(now)} a step"
    return _gain(text, now / best.step_time.value - 1)
