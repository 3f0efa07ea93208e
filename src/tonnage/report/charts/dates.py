"""The fan of dates: by which day the launch has come in which share of the draws."""

from __future__ import annotations

import bisect
import copy
import datetime
from collections.abc import Sequence
from typing import cast

from tonnage.report.charts.chart import Chart, Spec, chart, over, tips, window
from tonnage.report.charts.reading import Body, at, day, number, rows, text
from tonnage.units import show_share

HEIGHT = 240
WEEK = datetime.timedelta(weeks=1)

SHORT: Spec = {"expr": "width < 420 ? datum.name : datum.words"}
"""Words of a percentile: where there is little room its name alone, for its day stands below the chart."""

NAME = "dates"

LEAST = 0.005
"""A smaller share is none."""

MOST = 100_000
"""Draws at most that are counted: a saved answer comes from anybody."""


def dates(body: Body) -> tuple[Chart, ...]:
    """The chance of a launch by date, with P10, P50 and P90; none where no draw launches in time."""
    start, end, chance = day(body, "start"), day(body, "horizon"), number(body, "launch", "probability_by_horizon")
    if start is None or end is None:
        return ()
    curve = _played(body, start, end) or _quantiles(body)
    if not curve:
        return ()
    last = max(chance or 0.0, curve[-1][1])
    values = [{"date": str(when), "p": p, "by": f"{show_share(p)} by {when}"} for when, p in [*curve, (end, last)]]
    x = over("date")
    y: Spec = {"field": "p", "type": "quantitative", "title": "share of the draws that have launched"}
    y |= {"scale": {"domain": [0, 1]}, "axis": {"format": "%", "tickCount": 5}}
    layers: list[Spec] = [
        window(start, end),
        {"mark": {"type": "area", "opacity": 0.25}, "encoding": {"x": x, "y": y}},
        {"mark": {"type": "line"}, "encoding": {"x": x, "y": y}},
        {"mark": {"type": "point", "opacity": 0, "size": 200}, "encoding": {"x": x, "y": y, "tooltip": tips(by="")}},
        *_marks(body, x, y),
        *_behind(body, x, y, end, last),
    ]
    title = f"when {text(body, 'model') or 'it'} launches"
    return (chart(NAME, title, _said(body, last, str(end)), HEIGHT, data={"values": values}, layer=layers),)


def _played(body: Body, start: datetime.date, end: datetime.date) -> list[tuple[datetime.date, float]]:
    """Share of the draws that have launched, week by week, where the answer has every draw."""
    found = at(body, "plan", "days")
    days = found if isinstance(found, list) and len(found) <= MOST else []
    known = sorted(float(day) for day in days if isinstance(day, (int, float)))
    weeks = (start + week * WEEK for week in range(1 + (end - start).days // 7))
    return [(when, bisect.bisect_right(known, (when - start).days) / len(days)) for when in weeks] if known else []


def _quantiles(body: Body) -> list[tuple[datetime.date, float]]:
    """The same by the quantiles that every answer has."""
    return [
        (when, p)
        for row in rows(body, "distribution")
        if (when := day(row, "date")) is not None and (p := number(row, "p")) is not None
    ]


def _marks(body: Body, x: Spec, y: Spec) -> list[Spec]:
    """P10, P50 and P90 as points with their words."""
    points = [
        {"date": str(when), "p": share, "name": name.upper(), "words": f"{name.upper()}  {when}"}
        for name, share in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))
        if (when := day(body, "launch", name)) is not None
    ]
    data = {"values": points}
    mark = {"type": "point", "shape": "diamond", "size": 110, "style": ["good", "edge"]}
    words = {"type": "text", "align": "right", "dx": -10, "dy": -4, "style": "good-text", "text": SHORT}
    place = {"x": x, "y": y}
    return [
        {"data": data, "mark": mark, "encoding": {**place, "tooltip": tips(words="")}},
        {"data": data, "mark": words, "encoding": place},
    ]


def _said(body: Body, last: float, end: str) -> str:
    known = [
        f"{name.upper()} {text(body, 'launch', name)}" for name in ("p10", "p50", "p90") if text(body, "launch", name)
    ]
    rest = _rest(body, last)
    told = f", {rest}" if rest else ""
    return f"{', '.join(known) or 'No date'}; {show_share(last)} of the draws have launched by {end}{told}."


def _rest(body: Body, last: float) -> str:
    """What comes of the draws that have not launched by the horizon: `9 % later, 45 % never`."""
    never = number(body, "launch", "probability_never")
    if never is None or text(body, "launch", "p90"):
        return ""
    shares = ((1 - last - never, "later"), (never, "never"))
    return ", ".join(f"{show_share(share)} {word}" for share, word in shares if share > LEAST)


def _behind(body: Body, x: Spec, y: Spec, end: datetime.date, last: float) -> list[Spec]:
    """Where a percentile lies behind the horizon: how many launch by then, and what comes of the others."""
    rest = _rest(body, last)
    if not rest:
        return []
    share = f"{show_share(last)} by then"
    return _at_end(x, y, end, last, {"name": share, "words": f"{share}, {rest}"}, -12, "good-text")


def _at_end(x: Spec, y: Spec, end: object, share: object, said: Spec, down: int, style: str) -> list[Spec]:
    """Words at the end of a curve: `name` where there is little room, `words` else."""
    mark = {"type": "text", "align": "right", "dx": -2, "dy": down, "style": style, "text": SHORT}
    return [{"data": {"values": [{"date": str(end), "p": share, **said}]}, "mark": mark, "encoding": {"x": x, "y": y}}]


def compared(now: Spec, before: Spec) -> Spec:
    """The chart of a launch, as JSON, with the curve of the same launch before a change as a dashed line."""
    made = copy.deepcopy(now)
    values, layers = at(before, "spec", "data", "values"), at(made, "spec", "layer")
    if not isinstance(values, list) or not values or not isinstance(layers, list):
        return made
    shown = [{**row, "by": f"before: {text(row, 'by')}"} for row in rows(before, "spec", "data", "values")]
    x, y = over("date"), cast("Spec", {"field": "p", "type": "quantitative"})
    place: Spec = {"x": x, "y": y}
    tip = {**place, "tooltip": tips(by="")}
    dashed = {"type": "line", "style": "quiet", "strokeDash": [5, 4], "strokeWidth": 2}
    last = shown[-1]
    share = f"before: {show_share(number(last, 'p') or 0.0)}"
    layers += [
        {"data": {"values": shown}, "mark": dashed, "encoding": place},
        {"data": {"values": shown}, "mark": {"type": "point", "opacity": 0, "size": 120}, "encoding": tip},
        *_at_end(x, y, last.get("date"), last.get("p"), {"name": share, "words": share}, 30, "quiet"),
    ]
    made["text"] = f"{text(now, 'text')} Before, dashed: {text(before, 'text')}"
    return made


def changed(now: Sequence[Spec], before: Sequence[Spec]) -> list[Spec]:
    """Charts of a launch, as JSON, the fan of dates beside that of the same launch before a change."""
    was = next((chart for chart in before if chart.get("name") == NAME), None)
    return [compared(chart, was) if was is not None and chart.get("name") == NAME else chart for chart in now]
