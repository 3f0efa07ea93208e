"""Saved answers as results: shown by notebooks, taken as tables, compared with each other.

A plan that is saved is read back as the plan and told as its verb tells it. Of the other answers the words are not
saved: their charts say what they show, and their table is every value by its path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tonnage.ask.saved import leaves, read_answer
from tonnage.errors import InputError
from tonnage.fleet.plan import from_json as launch_of
from tonnage.report.answer import Answer
from tonnage.report.charts import charts_of
from tonnage.report.compare import answer as compared
from tonnage.report.compare import differences
from tonnage.report.envelope import Reply, envelope, plain
from tonnage.report.told import told
from tonnage.serve import FitPlan, ServePlan
from tonnage.shown import ShownResult
from tonnage.train import MixedPlan, TrainPlan
from tonnage.values import Plain

HEAD = ("schema", "command", "inputs", "sources", "catalog", "seed", "version", "definitions", "plan")
"""What is of every answer, and no value of this one."""


@dataclass(frozen=True, eq=False)
class SavedResult(ShownResult):
    """An answer of any verb, read back. body: its JSON."""

    body: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Comparison(ShownResult):
    """Two answers and what differs between them: `rows` of path, first, second, ratio or days, what matters first."""

    first: Mapping[str, object]
    second: Mapping[str, object]

    @property
    def rows(self) -> list[dict[str, object]]:
        """Inputs that changed, then results, the largest change first."""
        return [{**row} for row in differences(self.first, self.second)]


def read_result(path: str | Path) -> SavedResult:
    """A result saved with `-o FILE.json`, or held in a report (`-o FILE.html`). Raises InputError where it is none."""
    return SavedResult(read_answer(Path(path)))


def compare(first: str | Path | ShownResult, second: str | Path | ShownResult) -> Comparison:
    """What differs between two answers: plans, saved results, or files of such. Raises InputError for other files."""
    return Comparison(_body(first), _body(second))


def _body(given: str | Path | ShownResult) -> Mapping[str, object]:
    if isinstance(given, SavedResult):
        return given.body
    if isinstance(given, ShownResult):
        return cast("Mapping[str, object]", plain(envelope(told(given))))
    return read_answer(Path(given))


# in words


def _train(body: Mapping[str, Plain]) -> ShownResult:
    held = body.get("plan")
    kind = MixedPlan if isinstance(held, Mapping) and "systems" in held else TrainPlan
    return kind.from_json(body)


PLANS: dict[str, Callable[[Mapping[str, Plain]], ShownResult]] = {
    "fit": FitPlan.from_json,
    "serve": ServePlan.from_json,
    "train": _train,
    "launch": launch_of,
}
"""Verbs whose answers are read back as plans."""


def _plan(body: Mapping[str, object]) -> ShownResult | None:
    """The plan that an answer holds; None where it holds none that this version reads."""
    read = PLANS.get(str(body["command"]))
    if read is None or "plan" not in body:
        return None
    try:
        return read(cast("Mapping[str, Plain]", body))
    except InputError:
        return None


@told.register
def _saved(result: SavedResult) -> Reply:
    inputs = result.body["inputs"]
    given = {str(key): value for key, value in inputs.items()} if isinstance(inputs, Mapping) else {}
    plan = _plan(result.body)
    said = _words(result.body) if plan is None else told(plan).answer
    return Reply(str(result.body["command"]), given, {**result.body}, said)


def _words(body: Mapping[str, object]) -> Answer:
    """An answer whose words were not saved: what its charts say, and every value."""
    about = ", ".join(f"{key} {value}" for key, value in _given(body).items())
    outcome = str(body.get("outcome") or "answered")
    rows = tuple((chart.title, chart.text) for chart in charts_of(body))
    values = {key: value for key, value in body.items() if key not in HEAD}
    records = tuple({"what": path, "value": value} for path, value in leaves(values).items())
    sentence = f"tonnage {body['command']}: {outcome}{f' ({about})' if about else ''}."
    return Answer(sentence, rows, records=records, feasible=outcome in ("feasible", "answered"))


def _given(body: Mapping[str, object]) -> dict[str, object]:
    """Inputs that were given."""
    held = body["inputs"]
    return {str(k): v for k, v in held.items() if v not in (None, False, "", [])} if isinstance(held, Mapping) else {}


@told.register
def _compared(result: Comparison) -> Reply:
    names = (str(result.first["command"])[:40], str(result.second["command"])[:40])
    return Reply("compare", {}, {"differences": result.rows}, compared(names, result.rows))
