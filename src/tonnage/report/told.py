"""A result as its verb tells it: the keys of its JSON, and its words."""

from __future__ import annotations

import functools
from dataclasses import replace

from tonnage.ask.simulated import SimulatedService
from tonnage.fleet import LaunchPlan
from tonnage.provenance import SCHEMA
from tonnage.qualify.verdict import Verdict
from tonnage.report.answer import Answer
from tonnage.report.envelope import Reply
from tonnage.serve import FitPlan, ServePlan
from tonnage.train import MixedPlan, TrainPlan


@functools.singledispatch
def told(result: object) -> Reply:
    """The reply that a verb would give with this result; what only the verb knows (its flags) is left out.

    Raises TypeError for what is no result.
    """
    raise TypeError(f"no result of tonnage: {type(result).__name__}")


@told.register
def _fit(result: FitPlan) -> Reply:
    from tonnage.report.fit import answer_of

    asked = result.question
    model, on = asked.arch.name, f"{asked.system.count}x{asked.system.accelerator.name}"
    curve: tuple[dict[str, object], ...] = tuple({**point.to_json()} for point in result.curve)
    said, known = replace(answer_of(model, on, result), records=curve), result.provenance
    return Reply("fit", {}, result.to_json(), said, result.outcome, known.evidence, known.facts, formats="")


@told.register
def _serve(result: ServePlan) -> Reply:
    from tonnage.ask.serve import ServeFound
    from tonnage.report.serve import answer_of, body_of

    found = ServeFound(result)
    return Reply("serve", {}, body_of(found), answer_of("tonnage serve", found), result.outcome)


@told.register
def _train(result: TrainPlan) -> Reply:
    from tonnage.report.train import answer

    return Reply("train", {}, result.to_json(), answer(result), result.outcome)


@told.register
def _mixed(result: MixedPlan) -> Reply:
    from tonnage.report.train_mixed import answer

    title = " + ".join(f"{part.count}x{part.accelerator.name}" for part in result.systems)
    return Reply("train", {}, result.to_json(), answer(result, title), result.outcome)


@told.register
def _launch(result: LaunchPlan) -> Reply:
    from tonnage.report.launch import answer

    said = answer(result, result.programme_name or "PROGRAMME.yaml")
    return Reply("launch", {}, result.to_json(), said, result.outcome, result.evidence, result.sources)


@told.register
def _simulated(result: SimulatedService) -> Reply:
    from tonnage.report.simulate import answer_of, body_of, outcome

    return Reply("simulate", {}, body_of(result), answer_of(result), outcome(result))


@told.register
def _verdict(result: Verdict) -> Reply:
    rows = (*(("binds", text) for text in result.binds), *(("missing", text) for text in result.missing))
    sentence = f"{result.device}, for {result.model}: {result.sentence}."
    said = Answer(sentence, rows, feasible=result.verdict != "unfit")
    return Reply("qualify", {}, {"schema": SCHEMA, "verdict": result.to_json()}, said)
