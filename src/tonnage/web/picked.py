"""What the browser gets of an answer: words, charts, and the few values that the page moves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from tonnage.printable import json_safe

Json = dict[str, object]

OF_LAUNCH = ("launch", "start", "horizon", "rules_applied", "not_lawful", "model", "draws", "base_case")
"""Keys of a launch that the page compares and switches."""

DROPPED = ("plan", "rows", "timeline")
"""Keys that only a saved answer needs."""


def picked(view: str, said: Mapping[str, object], names: Mapping[str, str]) -> Json:
    """The part of a worker's answer that a view shows; paths of the page's own folder under the names people know."""
    reply = said.get("reply")
    body = cast("Mapping[str, object]", reply) if isinstance(reply, Mapping) else {}
    found: Json = {
        "code": said.get("code"),
        "answer": said.get("answer"),
        "charts": said.get("charts") or [],
        "errors": said.get("errors") or [],
        "outcome": body.get("outcome"),
        "evidence": body.get("evidence"),
        "sources": body.get("sources") or [],
        "facts": {key: body[key] for key in OF_LAUNCH if key in body} if view == "launch" else {},
    }
    text = json.dumps(found)
    for path, name in names.items():
        text = text.replace(json.dumps(path)[1:-1], name)
    return cast("Json", json.loads(text))


def whole(said: Mapping[str, object]) -> str:
    """The answer as the command line saves it."""
    return json_safe(json.dumps(said.get("reply") or {}, indent=1, ensure_ascii=False)) + "\n"


def report_of(said: Mapping[str, object]) -> str:
    """The answer as one file with its charts."""
    raise NotImplementedError
