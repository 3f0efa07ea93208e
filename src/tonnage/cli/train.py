"""`tonnage train MODEL --on 2048xh800`: the best layout to train a model on these chips."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tonnage.ask.train_words import TrainWords
from tonnage.cli.again import command_of
from tonnage.cli.common import COMMON, Common, finish
from tonnage.cli.flags import as_flags, with_flags
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.ask.train import TrainQuestion
    from tonnage.catalog import Catalog
    from tonnage.train import TrainJob

NAMES = frozenset({*(field.name for field in fields(TrainWords)), "in"})
"""Fields that have a flag."""


def train(model: str, /, *, words: TrainWords, common: Common = COMMON) -> int:
    """The best layout to train a model on these chips: step time, memory, days, cost.

    Parameters
    ----------
    model
        bundled name, config.json, folder with one, or an architecture in YAML.
    """
    from tonnage.ask import train as ask

    as_of = common.date()
    with as_flags(NAMES):
        asked = ask.read(model, words, as_of)
    catalog = common.load_catalog()
    job = asked.job(catalog)
    inputs = _inputs(asked, words, common)
    mixed = len(asked.fleets) > 1
    return finish((_mixed if mixed else _single)(asked, job, inputs, catalog), common)


def _inputs(asked: TrainQuestion, words: TrainWords, common: Common) -> dict[str, Any]:
    """What was asked, as flags, so that it can be asked again."""
    given = {field.name: getattr(words, field.name) for field in fields(words)}
    given |= {"on": words.on[0] if len(words.on) == 1 else list(words.on)}
    given |= {"anchor": None if words.anchor is None else str(words.anchor), "in": asked.place}
    del given["place"]
    return {"model": asked.model, **given, "as_of": common.as_of}


def _command(inputs: dict[str, Any]) -> str:
    """The command without its layout, for hints."""
    usual = {field.name: field.default for field in fields(TrainWords)}
    given = {name: value for name, value in inputs.items() if name != "model"}
    return command_of("train", inputs["model"], given, usual, without=("layout",))


def _single(asked: TrainQuestion, job: TrainJob, inputs: dict[str, Any], catalog: Catalog) -> Reply:
    """One kind of accelerators: the plan, then what else was asked of it."""
    from tonnage.ask.train_plan import planned
    from tonnage.report.train import answer

    with as_flags(NAMES):
        found = planned(asked, job, catalog)
    plan, command = found.plan, _command(inputs)
    body: dict[str, Any] = plan.to_json() | {"software": [vars(one) for one in found.software]}
    if plan.move is not None:
        body["switch"] |= {"to": inputs["move_to"]}
    hints: tuple[str, ...] = (f"{command} --layout {plan.layout}  pins this layout; --json has every number",)
    if not plan.outcome.feasible:
        hints = (f"{command}  (no --layout)",) if plan.layout is None else ()
    told = with_flags(answer(plan, found.quote, found.software), NAMES, *hints)
    facts = plan.provenance.facts
    return Reply("train", inputs, body, told, plan.outcome, plan.evidence, facts, catalog)


def _mixed(asked: TrainQuestion, job: TrainJob, inputs: dict[str, Any], catalog: Catalog) -> Reply:
    """Several kinds together."""
    from tonnage.ask.train_plan import planned_mixed
    from tonnage.report.train_mixed import answer

    plan = planned_mixed(asked, job, catalog)
    body, command = plan.to_json(), _command(inputs)
    hints: tuple[str, ...] = (f'{command} --layout "{body["layout"]}"  pins these layouts',)
    if not plan.outcome.feasible:
        hints = () if inputs["layout"] is None else (f"{command}  (no --layout)",)
    title = " + ".join(f"{count:,} {chip}" for count, chip in asked.fleets)
    told = with_flags(answer(plan, title), NAMES, *hints)
    facts = plan.provenance.facts
    return Reply("train", inputs, body, told, plan.outcome, plan.evidence, facts, catalog)
