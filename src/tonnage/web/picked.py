"""What leaves the page of an answer: to the browser words, charts and few values; as a file all of it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from tonnage.printable import json_safe
from tonnage.report.answer import from_json
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

Json = Mapping[str, object]

OF_LAUNCH = ("launch", "start", "horizon", "rules_applied", "not_lawful", "model", "draws")
"""Keys of a launch that the page compares and switches."""


def renamed(said: Json, names: Mapping[str, str]) -> dict[str, object]:
    """An answer with the paths of the page's own folder under the names that people know."""
    text = json.dumps(said)
    for path, name in names.items():
        text = text.replace(json.dumps(path)[1:-1], name)
    return cast("dict[str, object]", json.loads(text))


def picked(view: str, said: Json, names: Mapping[str, str], before: Json | None = None) -> dict[str, object]:
    """The part of a worker's answer that a view shows. before: the answer of the same launch before rules were switched
    off, where its draws are as many.
    """
    body = _object(said.get("reply"))
    found: dict[str, object] = {
        "code": said.get("code"),
        "answer": _told(said.get("answer")),
        "charts": _charts(said, before),
        "errors": said.get("errors") or [],
        "outcome": body.get("outcome"),
        "evidence": body.get("evidence"),
        "sources": len(_list(body.get("sources"))),
        "facts": {key: body[key] for key in OF_LAUNCH if key in body} if view == "launch" else {},
    }
    return renamed(found, names)


def _told(answer: object) -> object:
    """The words of an answer; of its table with full numbers only whether it has one: that is fetched when wanted."""
    return {**answer, "csv": bool(answer.get("csv"))} if isinstance(answer, Mapping) else answer


def table_of(said: Json) -> str:
    """The table of an answer with full numbers, as CSV."""
    return str(_object(said.get("answer")).get("csv") or "")


def _charts(said: Json, before: Json | None) -> list[dict[str, object]]:
    """Charts of an answer, and those that stand below it."""
    from tonnage.report.below import below
    from tonnage.report.charts.dates import changed

    made = [{**_object(chart)} for chart in _list(said.get("charts"))]
    if not made:
        return made
    if before is not None and _object(before.get("reply")).get("draws") == _object(said.get("reply")).get("draws"):
        made = changed(made, [{**_object(chart)} for chart in _list(before.get("charts"))])
    return [*made, *(chart.to_json() for chart in below(_object(said.get("reply"))))]


def whole(said: Json) -> str:
    """The answer as the command line saves it."""
    return json_safe(json.dumps(said.get("reply") or {}, indent=1, ensure_ascii=False)) + "\n"


def report_of(said: Json, command: str) -> str:
    """The answer as one file with its charts, as `-o report.html` writes it."""
    from tonnage.report.standalone import page

    body = _object(said.get("reply"))
    inputs = _object(body.get("inputs"))
    return page(
        Reply(str(body.get("command")), inputs, body, from_json(_object(said.get("answer"))), catalog=_known()), command
    )


def sources_of(said: Json) -> dict[str, object]:
    """The facts that an answer rests on, as a table: value, kind, date, source."""
    from tonnage.report.sources import facts_of

    facts, _ = facts_of(_object(said.get("reply")), _known())
    header = ("fact", "text", "kind", "date", "source")
    return {"header": header, "rows": [[str(fact[key] or "") for key in header] for fact in facts]}


@functools.cache
def _known() -> Catalog:
    from tonnage import catalog

    return catalog.load(None)


def _object(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
