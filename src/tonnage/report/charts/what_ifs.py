"""What would change a launch: each change from its P10 to its P90, on the same draws."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from tonnage.report.charts.bars import BAR, BELOW, BOTTOM, NEXT, PITCH, WORDS, room
from tonnage.report.charts.chart import Chart, Spec, chart, over, tips, window, words
from tonnage.report.charts.reading import Body, at, day, number, rows, text
from tonnage.units import show_share

SAID: Spec = {"field": "range", "type": "nominal"}
"""What a screen reader says of a bar; its name stands beside it."""

LEAST = 0.005
"""A smaller change of a chance is none."""

SHOWN = 24
"""Changes at most, those that move it most first."""


def what_ifs(body: Body) -> tuple[Chart, ...]:
    """A range for each change, with a point at P50, under its words; the plan as it is stands first."""
    start, end = day(body, "start"), day(body, "horizon")
    named = [row for row in rows(body, "alternatives") if text(row, "name")]
    if start is None or end is None or not named:
        return ()
    base = at(body, "launch")
    chance = number(base, "probability_by_horizon") or 0.0
    given = {**(base if isinstance(base, Mapping) else {}), "name": "as planned", "lawful": True}
    listed = sorted(named, key=lambda row: _most(row, chance))[:SHOWN]
    made = [_row(index, row, end) for index, row in enumerate([given, *listed])]
    x = over("from")
    y: Spec = {"field": "top", "type": "quantitative", "axis": None, "scale": {"domain": [len(made), 0], "nice": False}}
    hover = tips(name="what if", range="launch", shift="P50", chance="by the horizon", lawful="lawful")
    layers: list[Spec] = [
        window(start, end),
        *_now(base, len(made), y),
        _rect(x, y, hover, {"field": "index", "gt": 0}, "mark", 0.55),
        _rect(x, y, hover, {"field": "index", "equal": 0}, "good", 0.7),
        _point(y, hover),
        *_words(y, "name", {"value": 0}, {"align": "left", "limit": room(str(row["shown"]) for row in made)}),
        *_words(y, "shown", {"value": "width"}, {"align": "right", "style": "quiet"}),
    ]
    said = _said(listed, chance)
    return (
        chart(
            "what-ifs",
            "what if: how far P50 moves, chance in time",
            said,
            PITCH * len(made),
            data={"values": made},
            layer=layers,
        ),
    )


def _row(index: int, row: Mapping[str, object], end: datetime.date) -> Spec:
    """One change as the chart has it: a range that goes on beyond the horizon ends there."""
    p10, p50, p90 = (day(row, key) for key in ("p10", "p50", "p90"))
    shift, chance = number(row, "shift_days"), number(row, "probability_by_horizon")
    moved = "" if shift is None else "the same day" if abs(shift) < 0.5 else f"{shift:+.0f} d"
    when = " | ".join("later" if date is None else str(date) for date in (p10, p50, p90))
    share = "" if chance is None else show_share(chance)
    return {
        "index": index,
        "name": text(row, "name"),
        "from": None if p10 is None else str(p10),
        "to": str(p90 or end),
        "p50": None if p50 is None else str(p50),
        "range": f"P10 | P50 | P90: {when}",
        "shift": moved or "-",
        "chance": share,
        "lawful": "yes" if at(row, "lawful") is True else "no",
        "shown": ", ".join(part for part in (moved, share) if part),
        "words": index + WORDS,
        "top": index + BAR + 0.1,
        "bottom": index + BOTTOM - 0.1,
        "middle": index + (BAR + BOTTOM) / 2,
    }


def _rect(x: Spec, y: Spec, hover: list[Spec], which: Spec, style: str, opacity: float) -> Spec:
    return {
        "transform": [{"filter": which}, {"filter": {"field": "from", "valid": True}}],
        "mark": {"type": "rect", "style": style, "opacity": opacity, "cornerRadius": 2},
        "encoding": {
            "x": x,
            "x2": {"field": "to"},
            "y": y,
            "y2": {"field": "bottom"},
            "tooltip": hover,
            "description": SAID,
        },
    }


def _point(y: Spec, hover: list[Spec]) -> Spec:
    return {
        "transform": [{"filter": {"field": "p50", "valid": True}}],
        "mark": {"type": "point", "shape": "diamond", "size": 110, "style": ["good", "edge"]},
        "encoding": {
            "x": {"field": "p50", "type": "temporal"},
            "y": {**y, "field": "middle"},
            "tooltip": hover,
            "description": SAID,
        },
    }


def _words(y: Spec, field: str, x: Spec, mark: Spec) -> list[Spec]:
    place: Spec = {"x": x, "y": {**y, "field": "words"}, "text": {"field": field, "type": "nominal"}}
    return words({**mark, "baseline": "middle"}, place)


def _now(base: object, count: int, y: Spec) -> list[Spec]:
    """A dashed line at the P50 of the plan as it is, which leaves the words of rows out."""
    p50 = day(base, "p50")
    if p50 is None:
        return []
    pieces = [{"at": str(p50), "top": row + BELOW, "bottom": min(row + NEXT, count)} for row in range(count)]
    place: Spec = {"x": {"field": "at", "type": "temporal"}, "y": y, "y2": {"field": "bottom"}}
    return [{"data": {"values": pieces}, "mark": {"type": "rule", "style": "good-line"}, "encoding": place}]


def _most(row: Mapping[str, object], chance: float) -> tuple[float, float]:
    """What moves P50 most comes first, then what moves the chance most: where P50 lies behind the horizon, that alone
    tells.
    """
    moved = number(row, "probability_by_horizon")
    return -abs(number(row, "shift_days") or 0.0), -abs((chance if moved is None else moved) - chance)


def _said(listed: list[Mapping[str, object]], chance: float) -> str:
    told = [said for row in listed if (said := _told(row, chance))]
    return f"{'; '.join(told[:3])}." if told else "None of the changes moves the launch."


def _told(row: Mapping[str, object], chance: float) -> str:
    """`twice the ascend: 59 days earlier`, or by how much its chance in time moves where no day does."""
    shift, moved = number(row, "shift_days"), number(row, "probability_by_horizon")
    if shift:
        return f"{text(row, 'name')}: {abs(shift):.0f} days {'later' if shift > 0 else 'earlier'}"
    if moved is None or abs(moved - chance) < LEAST:
        return ""
    return f"{text(row, 'name')}: {show_share(moved)} in time, in place of {show_share(chance)}"
