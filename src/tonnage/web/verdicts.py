"""Verdicts of `tonnage qualify -o verdict.json` in the work folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from tonnage import files
from tonnage.errors import InputError
from tonnage.printable import one_line
from tonnage.report.answer import Answer, Table
from tonnage.report.answer import to_json as words_of
from tonnage.report.charts import charts_of
from tonnage.report.charts.reading import number
from tonnage.units import show_number

Json = Mapping[str, object]

DEEP, MOST, LIMIT = 3, 200, 5_000_000
"""Folders below the work folder, files that are told, and bytes of one, at most."""


def _files(work: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for top, below, names in os.walk(work):
        depth = len(Path(top).relative_to(work).parts)
        below[:] = sorted(name for name in below if depth < DEEP and not name.startswith("."))
        for name in sorted(names):
            path = Path(top) / name
            if name.endswith(".json") and not path.is_symlink() and path.stat().st_size < LIMIT:
                found[path.relative_to(work).as_posix().replace("/", "--").removesuffix(".json")] = path
    return found


def listed(work: Path) -> list[dict[str, object]]:
    """Name, device and outcome of each verdict."""
    read = ((name, _verdict(path)) for name, path in _files(work).items())
    kept = [(name, body) for name, body in read if body is not None][:MOST]
    return [
        {"name": name, **{key: one_line(str(_of(body).get(key)), 100) for key in ("device", "verdict")}}
        for name, body in kept
    ]


def read(work: Path, name: str) -> dict[str, object] | None:
    """The verdict that was saved under a name that is listed, in words and charts; a name is never read as a path."""
    path = _files(work).get(name)
    body = None if path is None else _verdict(path)
    if body is None:
        return None
    return {"answer": words_of(_answer(_of(body))), "charts": [chart.to_json() for chart in charts_of(body)]}


def _answer(found: Json) -> Answer:
    """The verdict as it is read: the word, what it is about, what binds, what is missing, each gate."""
    sentence = f"{found.get('device')}: {found.get('verdict')}."
    about = f"{found.get('model')} on {found.get('cards')} cards for {found.get('days')} days; {found.get('software')}"
    rows = [("for", about), ("serves", str(found.get("serves"))), ("trains", str(found.get("trains")))]
    rows += [("measured on", str(found["date"]))] if found.get("date") else []
    rows += [
        (label, str(text)) for key, label in (("binds", "binds"), ("missing", "missing")) for text in _list(found, key)
    ]
    gates = [cast("Json", gate) for gate in _list(found, "gates") if isinstance(gate, dict)]
    table = Table("gates", ("gate", "state", "measured", "limit", "unit", "why"), tuple(map(_gate, gates)))
    return Answer(sentence, tuple(rows), (table,), feasible=found.get("verdict") != "unfit")


def _gate(gate: Json) -> tuple[str, ...]:
    figures = (number(gate, "measured"), number(gate, "limit"))
    shown = ("" if value is None else show_number(value) for value in figures)
    return (str(gate.get("name")), str(gate.get("state")), *shown, str(gate.get("unit", "")), str(gate.get("why", "")))


def _of(body: Json) -> Json:
    """The verdict in an answer."""
    found = body.get("verdict")
    return cast("Json", found) if isinstance(found, dict) else {}


def _list(found: Json, key: str) -> list[object]:
    held = found.get(key)
    return held if isinstance(held, list) else []


def _verdict(path: Path) -> dict[str, object] | None:
    try:
        body = files.read_json(path, LIMIT).value
    except InputError:
        return None
    return body if isinstance(body, dict) and body.get("command") == "qualify" else None
