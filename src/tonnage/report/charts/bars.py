"""Bars with their words above them: legible on a telephone, and told apart by words, not by colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tonnage.report.charts.chart import Chart, Spec, chart, tips, words

PITCH = 38
"""Pixels from one row to the next: a line of words, and a bar."""

STRIP = 20
"""Pixels above the rows for the words of limits."""

SAID: Spec = {"field": "label", "type": "nominal"}
"""What a screen reader says of a bar: which it is; its value stands beside it."""

LETTER = 6.8
"""Pixels of a letter, about."""

WORDS, BAR, BOTTOM = 0.26, 0.5, 0.88
"""Where in a row the words stand, and where the bar begins and ends (shares of the pitch)."""

BELOW, NEXT = 0.46, 1.05
"""Between which heights of a row a limit is drawn, so that it strikes through no words (shares of the pitch)."""

FEW = 6
"""Divisions of an axis, about."""

LEFT = 0.3
"""Share of the axis within which the words of a limit stand at its right: they have no room at its left."""


@dataclass(frozen=True)
class BarRow:
    """One row: what it is, from where to where it reaches, how it is written; tip: what else is said of it.

    style: `mark` of the theme, or `alert`, `good`, `track`; point: of a range, the value within it.
    """

    label: str
    start: float
    end: float
    shown: str
    tip: str = ""
    style: str = "mark"
    point: float | None = None


@dataclass(frozen=True)
class LimitLine:
    """A line that may not be passed, or is compared with."""

    value: float
    label: str


def bars(
    name: str,
    title: str,
    said: str,
    rows: Sequence[BarRow],
    *,
    axis: str = "",
    limits: Sequence[LimitLine] = (),
    scale: float = 1.0,
    whole: bool = False,
) -> Chart:
    """A chart of horizontal bars; scale: what one unit of the axis is of the values; axis: its title; whole: of what
    is counted in whole ones, though means of it are not.
    """
    values = [_row(index, row, scale) for index, row in enumerate(rows)]
    ends = [*(end for row in rows for end in (row.start, row.end)), *(limit.value for limit in limits), 0.0]
    x: Spec = {"field": "from", "type": "quantitative", "title": axis or None}
    x |= {
        "scale": {"domain": [min(ends) / scale, max(ends) / scale or 1.0], "nice": True},
        "axis": _ticks(rows, scale, whole),
    }
    above = STRIP / PITCH if limits else 0.0
    y: Spec = {"field": "top", "type": "quantitative", "axis": None}
    y |= {"scale": {"domain": [len(rows), -above], "nice": False}}
    hover = tips(label="what", shown="value", tip="and")
    place: Spec = {"y": {**y, "field": "words"}}
    left: Spec = {"x": {"value": 0}, **place, "text": {"field": "label", "type": "nominal"}}
    right: Spec = {"x": {"value": "width"}, **place, "text": {"field": "shown", "type": "nominal"}}
    layers = [
        *_limits(limits, scale, len(rows), above, y, (max(ends) - min(ends)) / scale),
        *words({"align": "left", "baseline": "middle", "limit": room(row.shown for row in rows)}, left),
        *words({"align": "right", "baseline": "middle", "style": "quiet"}, right),
        *(_bar_layer(style, x, y, hover) for style in dict.fromkeys(row.style for row in rows)),
        *([_point_layer(y, hover)] if any(row.point is not None for row in rows) else []),
    ]
    return chart(name, title, said, PITCH * (len(rows) + above), data={"values": values}, layer=layers)


def _ticks(rows: Sequence[BarRow], scale: float, whole: bool) -> Spec:
    """Divisions of the axis: whole ones where whole things are counted."""
    counted = scale == 1.0 and all(row.end == round(row.end) for row in rows)
    most = round(max((row.end for row in rows), default=0.0))
    if counted and min(row.start for row in rows) >= 0 and most <= FEW:
        return {"values": list(range(max(1, most) + 1)), "format": ",d"}
    return {"tickCount": FEW, **({"tickMinStep": 1, "format": ",d"} if counted or whole else {})}


def room(right: Iterable[str]) -> Spec:
    """Pixels that the words at the left of a row may take, beside the longest at the right."""
    longest = max(map(len, right), default=0)
    return {"expr": f"max(90, width - {round(LETTER * longest + 12)})"}


def _row(index: int, row: BarRow, scale: float) -> Spec:
    place = {"words": index + WORDS, "top": index + BAR, "bottom": index + BOTTOM}
    ends = {"from": min(row.start, row.end) / scale, "to": max(row.start, row.end) / scale}
    if row.point is not None:
        place |= {"point": row.point / scale, "middle": index + (BAR + BOTTOM) / 2}
    return {"label": row.label, "shown": row.shown, "tip": row.tip or "-", "style": row.style, **ends, **place}


def _bar_layer(style: str, x: Spec, y: Spec, hover: list[Spec]) -> Spec:
    """Bars of one style."""
    return {
        "transform": [{"filter": {"field": "style", "equal": style}}],
        "mark": {"type": "rect", "style": style, "cornerRadius": 2},
        "encoding": {
            "x": x,
            "x2": {"field": "to"},
            "y": y,
            "y2": {"field": "bottom"},
            "tooltip": hover,
            "description": SAID,
        },
    }


def _point_layer(y: Spec, hover: list[Spec]) -> Spec:
    """The value within each range."""
    return {
        "mark": {"type": "point", "shape": "diamond", "size": 90, "style": ["good", "edge"]},
        "encoding": {
            "x": {"field": "point", "type": "quantitative"},
            "y": {**y, "field": "middle"},
            "tooltip": hover,
        },
    }


def _limits(limits: Iterable[LimitLine], scale: float, count: int, above: float, y: Spec, whole: float) -> list[Spec]:
    """Dashed lines from top to bottom that leave the words of rows out, with their own words at the top."""
    pieces = [(-above, 0.0), *((index + BELOW, min(index + NEXT, count)) for index in range(count))]
    x: Spec = {"field": "at", "type": "quantitative"}
    made: list[Spec] = []
    for limit in limits:
        at = limit.value / scale
        lines = [{"at": at, "label": limit.label, "top": top, "bottom": bottom} for top, bottom in pieces]
        place: Spec = {"x": x, "y": y, "y2": {"field": "bottom"}, "tooltip": tips(label="")}
        made.append({"data": {"values": lines}, "mark": {"type": "rule", "style": "limit"}, "encoding": place})
        align, dx = ("left", 5) if at < LEFT * whole else ("right", -5)
        mark = {"type": "text", "align": align, "baseline": "top", "dx": dx, "style": "limit-text"}
        place = {"x": x, "y": {"value": 2}, "text": {"field": "label", "type": "nominal"}}
        made.append({"data": {"values": [{"at": at, "label": limit.label}]}, "mark": mark, "encoding": place})
    return made
