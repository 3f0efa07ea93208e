"""A chart: one JSON value in Vega-Lite, the same in page, report, notebook and picture."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from tonnage.printable import printable
from tonnage.report.charts import themes
from tonnage.report.charts.reading import at

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the version of the language; nothing is fetched from there."""

MIME = "application/vnd.vegalite.v6+json"
"""Under which a notebook takes the value."""

WIDTH = 640
"""Pixels of a picture's plot, where nothing says how wide it may be."""

Spec = dict[str, object]
"""A JSON object of the language."""

LETTER, BESIDE = 7.0, 32.0
"""Pixels of a letter of a legend, and of what stands beside its words: the mark and the space to the next."""

FEW: Spec = {"expr": "max(5, min(9, floor(width / 90)))"}
"""Divisions of an axis that runs across: as many as have room for their words."""


@dataclass(frozen=True)
class Chart:
    """One chart.

    name: short, of letters and dashes (`frontier`); title: what stands above it; text: a sentence that says what it
    shows, for who does not see it; spec: the complete Vega-Lite value with its data, as wide as what holds it, in no
    theme (`themes.theme` gives the colours).
    """

    name: str
    title: str
    text: str
    spec: Spec

    def to_json(self) -> Spec:
        """The chart as a JSON object."""
        return {"name": self.name, "title": self.title, "text": self.text, "spec": self.spec}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Spec:
        """As a notebook shows it: the value, and the sentence for who does not draw it."""
        return {MIME: themed(self, "light", WIDTH), "text/plain": f"{self.title}: {self.text}"}

    def data(self) -> tuple[dict[str, object], ...]:
        """The rows that it draws: of its own data, then of layers that have theirs, each as far as people read it."""
        layers = cast("Sequence[Spec]", self.spec.get("layer", ()))
        sets = [_values(part) for part in (self.spec, *layers) if at(part, "mark", "aria") is not False]
        return tuple(row for rows in sets for row in rows)


def _values(part: Spec) -> Sequence[dict[str, object]]:
    held = part.get("data")
    return cast("Sequence[dict[str, object]]", held.get("values", ())) if isinstance(held, dict) else ()


def chart(name: str, title: str, text: str, height: float, **body: object) -> Chart:
    """A chart of a height [pixels]; body: its data, layers or mark and encoding."""
    spec: Spec = {
        "$schema": SCHEMA,
        "title": title,
        "description": text,
        "width": "container",
        "height": round(height),
        "autosize": {"type": "fit-x", "contains": "padding"},
    }
    made = cast("Spec", _safe({**spec, **body}))
    return Chart(name, printable(title), printable(text), made)


def themed(made: Chart, name: themes.Theme, width: float | None = None) -> Spec:
    """The value with the colours of a theme in it, complete for what draws it; width: of the plot [pixels]."""
    spec = copy.deepcopy(made.spec)
    spec["config"] = themes.theme(name)
    if width is not None:
        spec |= {"width": round(width), "autosize": {"type": "pad", "contains": "content"}}
    return spec


def _safe(value: object) -> object:
    """Only what JSON has, with nothing in its text that turns the direction of reading or has no width."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {str(key): _safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_safe(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def words(mark: Spec, encoding: Spec, **layer: object) -> list[Spec]:
    """A text on what lies below it: the same twice, first in the colour of the ground and wider."""
    behind = {"type": "text", **mark, "style": "halo", "aria": False}
    plain = {key: value for key, value in encoding.items() if key != "tooltip"}
    encoding = {**encoding, "description": encoding["text"]}
    return [
        {**layer, "mark": behind, "encoding": plain},
        {**layer, "mark": {"type": "text", **mark}, "encoding": encoding},
    ]


def kinds(field: str, named: Sequence[str], order: Sequence[str] = ()) -> Spec:
    """A channel that tells kinds apart, with a legend that folds where there is no room; order: all kinds in the order
    of the colours and shapes that they keep, where some of them are not there.
    """
    pitch = round(LETTER * max(map(len, named), default=0) + BESIDE)
    legend: Spec = {"columns": {"expr": f"max(1, floor(width / {pitch}))"}}
    if order:
        legend["values"], named = list(named), [*order, *(name for name in named if name not in order)]
    return {"field": field, "type": "nominal", "title": None, "scale": {"domain": list(named)}, "legend": legend}


def over(field: str) -> Spec:
    """A channel of days."""
    return {"field": field, "type": "temporal", "title": None, "axis": {"format": "%b %Y", "tickCount": FEW}}


def window(start: datetime.date, end: datetime.date) -> Spec:
    """A layer that shows nothing and sets the first and the last of the days; boxes would set them twice."""
    ends = [{"year": day.year, "month": day.month, "date": day.day} for day in (start, end)]
    x = {**over("day"), "scale": {"domain": ends}}
    data = {"values": [{"day": str(start)}, {"day": str(end)}]}
    return {"data": data, "mark": {"type": "point", "opacity": 0, "aria": False}, "encoding": {"x": x}}


def tips(**fields: str) -> list[Spec]:
    """What is said of a mark when it is pointed at: field and the words before it."""
    return [{"field": field, "title": title, "type": "nominal"} for field, title in fields.items()]
