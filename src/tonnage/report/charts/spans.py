"""Stretches of time, one a row, with their words above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tonnage.report.charts.bars import BAR, BOTTOM, PITCH, WORDS, room
from tonnage.report.charts.chart import Chart, Spec, chart, tips, words

NARROW = 480
"""Width below which the words at the right end are left to the hover: those at the left need the room [pixels]."""

ROOMY: Spec = {"expr": f"width < {NARROW} ? 0 : 1"}


@dataclass(frozen=True)
class Span:
    """One row: from a date to another, or on (an empty text), with what is written at its right end."""

    label: str
    start: str
    end: str
    shown: str
    tip: str = ""
    style: str = "mark"


def spans(name: str, title: str, said: str, rows: Sequence[Span], last: str) -> Chart | None:
    """The chart, ending on a day; None without rows."""
    if not rows:
        return None
    values = [_value(index, row, last) for index, row in enumerate(rows)]
    x: Spec = {"field": "from", "type": "temporal", "title": None, "axis": {"format": "%Y", "tickCount": 6}}
    y: Spec = {"field": "top", "type": "quantitative", "axis": None, "scale": {"domain": [len(rows), 0], "nice": False}}
    place: Spec = {"y": {**y, "field": "words"}}
    left: Spec = {"x": {"value": 0}, **place, "text": {"field": "label", "type": "nominal"}}
    right: Spec = {"x": {"value": "width"}, **place, "text": {"field": "shown", "type": "nominal"}}
    layers: list[Spec] = [
        *words({"align": "left", "baseline": "middle", "limit": _room(rows)}, left),
        *words({"align": "right", "baseline": "middle", "style": "quiet", "opacity": ROOMY}, right),
        *(_layer(style, x, y) for style in dict.fromkeys(row.style for row in rows)),
    ]
    return chart(name, title, said, PITCH * len(rows), data={"values": values}, layer=layers)


def _room(rows: Sequence[Span]) -> Spec:
    """Pixels for the words at the left."""
    return {"expr": f"width < {NARROW} ? width : {room(row.shown for row in rows)['expr']}"}


def _value(index: int, row: Span, last: str) -> Spec:
    made: Spec = {"label": row.label, "shown": row.shown, "tip": row.tip or "-", "style": row.style, "from": row.start}
    made |= {"to": max(row.start, row.end or last), "on": "" if row.end else "goes on"}
    return {**made, "words": index + WORDS, "top": index + BAR + 0.1, "bottom": index + BOTTOM - 0.1}


def _layer(style: str, x: Spec, y: Spec) -> Spec:
    return {
        "transform": [{"filter": {"field": "style", "equal": style}}],
        "mark": {"type": "rect", "style": style, "cornerRadius": 2},
        "encoding": {
            "x": x,
            "x2": {"field": "to"},
            "y": y,
            "y2": {"field": "bottom"},
            "tooltip": tips(label="", shown="", tip=""),
        },
    }
