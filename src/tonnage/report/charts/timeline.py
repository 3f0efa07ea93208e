"""The timeline of a launch: what each lot does when, in the draw at P50, with rules and dates."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tonnage.report.charts.chart import WIDTH, Chart, Spec, chart, kinds, over, tips, window, words
from tonnage.report.charts.reading import Body, day, number, rows, text
from tonnage.units import show_number, show_share

LANE = 84
"""Pixels of a lot: a line of words, and what it does below."""

ABOVE = 0.34
"""Share of a lane that its words take."""

SIGN = 17 / LANE
"""Height of a line of words above the lanes, one for each date and each day of rules [lanes]."""

AIR = 0.08
"""Between those and the first lane [lanes]."""

LETTER, LINE = 6.6, 13.0
"""Pixels of a letter and of a line of words that stand on an activity, which tell it apart without its colour."""

ROOMY: Spec = {"expr": "width < 480 ? 0 : 1"}
"""Words on activities are left away where they have no room."""


SEAM = datetime.timedelta(days=1)
"""By how much a box runs under the next of its kind, so that none shows between them."""


@dataclass(frozen=True)
class Stay:
    """What some accelerators of a lot do from a day to another."""

    lot: str
    start: datetime.date
    end: datetime.date
    does: str
    count: float


def timeline(body: Body) -> tuple[Chart, ...]:
    """Lots as lanes, what is there in grey, what it does stacked on it; dashed lines for rules and launch dates."""
    start, end = day(body, "start"), day(body, "horizon")
    there, uses = _stays(body, "calendar"), _stays(body, "timeline")
    if start is None or end is None or not there:
        return ()
    lots = list(dict.fromkeys(bar.lot for bar in there))
    most = {lot: max(bar.count for bar in there if bar.lot == lot) or 1.0 for lot in lots}
    doings = sorted(dict.fromkeys(bar.does for bar in uses), key=lambda does: not does.startswith("serves"))
    stacked = _stacked(uses, doings, lots, most)
    track = [_box(bar, lots.index(bar.lot), 0.0, bar.count / most[bar.lot], "there") for bar in there]
    x = over("from")
    bottom, lines = len(lots), _lines(body, start, end)
    above = SIGN * len(lines) + AIR
    y: Spec = {"field": "top", "type": "quantitative", "axis": None}
    y |= {"scale": {"domain": [bottom, -above], "nice": False}}
    does = kinds("does", doings)
    box: Spec = {"x": x, "x2": {"field": "to"}, "y": y, "y2": {"field": "bottom"}}
    hover = tips(lot="lot", does="does", count="accelerators", when="when")
    layers: list[Spec] = [
        window(start, end),
        {"data": {"values": track}, "mark": {"type": "rect", "style": "track"}, "encoding": {**box, "tooltip": hover}},
        {
            "data": {"values": stacked},
            "mark": {"type": "rect"},
            "encoding": {**box, "fill": does, "tooltip": hover, "description": {"field": "does", "type": "nominal"}},
        },
        _inside(stacked, (end - start).days, y),
        *(layer for line in lines for layer in _upright(line, y, above, start, end)),
        *_names(lots, most, y),
    ]
    title = f"what each lot does, in the draw at P50 ({text(body, 'timeline_draw', 'launch') or 'no launch'})"
    return (chart("timeline", title, _said(body, lots, doings), LANE * (bottom + above), layer=layers),)


def _stays(body: Body, key: str) -> list[Stay]:
    found = []
    for row in rows(body, key):
        start, end, count = day(row, "from"), day(row, "until"), number(row, "accelerators")
        if start is not None and end is not None and count is not None and count > 0:
            found.append(Stay(text(row, "lot"), start, end, text(row, "does"), count))
    return found


def _stacked(uses: Sequence[Stay], doings: Sequence[str], lots: Sequence[str], most: Mapping[str, float]) -> list[Spec]:
    """Boxes of what lots do, each on those of the same time that come before it."""
    begins = {(bar.lot, bar.does, bar.start) for bar in uses}
    below: dict[tuple[str, datetime.date], float] = {}
    made: list[Spec] = []
    for does in doings:
        for bar in (bar for bar in uses if bar.does == does and bar.lot in most):
            under = below.get((bar.lot, bar.start), 0.0)
            box = _box(bar, lots.index(bar.lot), under, bar.count / most[bar.lot], does)
            seam = SEAM if (bar.lot, does, bar.end) in begins else datetime.timedelta()
            made.append({**box, "to": str(bar.end + seam)})
            below[bar.lot, bar.start] = under + bar.count / most[bar.lot]
    return made


def _box(bar: Stay, lane: int, under: float, share: float, does: str) -> Spec:
    base = lane + 1 - 0.06
    height = 1 - ABOVE - 0.06
    return {
        "lot": bar.lot,
        "does": does,
        "from": str(bar.start),
        "to": str(bar.end),
        "end": str(bar.end),
        "top": round(base - height * min(1.0, under + share), 4),
        "bottom": round(base - height * under, 4),
        "count": show_number(bar.count),
        "when": f"{bar.start} to {bar.end}",
    }


def _inside(boxes: Sequence[Spec], days: int, y: Spec) -> Spec:
    """Words in the middle of what a lot does for long, where they have room."""
    ordered = sorted(boxes, key=lambda box: (str(box["lot"]), str(box["does"]), str(box["from"])))
    values = [made for run in _runs(ordered) if (made := _named(run, max(1, days))) is not None]
    mark = {"type": "text", "align": "center", "baseline": "middle", "style": "on-mark", "opacity": ROOMY}
    text: Spec = {"field": "words", "type": "nominal"}
    place: Spec = {"x": {"field": "at", "type": "temporal"}, "y": y}
    return {"data": {"values": values}, "mark": mark, "encoding": {**place, "text": text}}


def _named(run: Sequence[Spec], days: int) -> Spec | None:
    """The words of a run: what it does, or the stage alone, as far as there is room."""
    first, last = (datetime.date.fromisoformat(str(run[index][key])) for index, key in ((0, "from"), (-1, "end")))
    room = (last - first).days / days * WIDTH
    does = str(run[0]["does"])
    fitting = [text for text in (does, does.partition(": ")[2]) if text and LETTER * len(text) <= room]
    if not fitting:
        return None
    middle = run[len(run) // 2]
    top, bottom = (float(str(middle[key])) for key in ("top", "bottom"))
    return {"words": fitting[0], "at": str(first + (last - first) / 2), "top": (top + bottom) / 2}


def _runs(boxes: Sequence[Spec]) -> list[list[Spec]]:
    """Boxes of one lot and activity that follow each other and are high enough for words."""
    made: list[list[Spec]] = []
    for box in boxes:
        if (float(str(box["bottom"])) - float(str(box["top"]))) * LANE < LINE:
            continue
        last = made[-1][-1] if made else None
        if last and (last["lot"], last["does"], last["end"]) == (box["lot"], box["does"], box["from"]):
            made[-1].append(box)
        else:
            made.append([box])
    return made


def _names(lots: Sequence[str], most: Mapping[str, float], y: Spec) -> list[Spec]:
    """What each lane is, above it."""
    values = [
        {"words": f"{lot}: {show_number(most[lot], 4)} accelerators", "top": index + ABOVE / 2 + 0.03}
        for index, lot in enumerate(lots)
    ]
    encoding: Spec = {"x": {"value": 0}, "y": y, "text": {"field": "words", "type": "nominal"}}
    return words({"align": "left", "baseline": "middle"}, encoding, data={"values": values})


@dataclass(frozen=True)
class Upright:
    """A line from top to bottom on a day, with its words in a row of their own above the lanes."""

    at: datetime.date
    words: str
    why: str
    row: int
    line: str
    style: str


def _lines(body: Body, start: datetime.date, end: datetime.date) -> list[Upright]:
    """Launch dates, then the days from which on rules keep chips away."""
    dates = [
        (at, f"{name.upper()} {at}", "", "good-line", "good-text")
        for name in ("p10", "p50", "p90")
        if (at := day(body, "launch", name)) is not None and start <= at <= end
    ]
    refused = [(*each, "limit", "limit-text") for each in _refusals(body, start, end)]
    return [
        Upright(at, words, why, row, line, style)
        for row, (at, words, why, line, style) in enumerate([*dates, *refused])
    ]


def _upright(one: Upright, y: Spec, above: float, start: datetime.date, end: datetime.date) -> list[Spec]:
    """The line, and its words at that side of it where there is more room."""
    data: Spec = {
        "values": [{"at": str(one.at), "words": one.words, "why": one.why or "-", "top": one.row * SIGN - above}]
    }
    late = (one.at - start) > (end - start) / 2
    x: Spec = {"field": "at", "type": "temporal"}
    hover = tips(words="", why="why") if one.why else tips(words="")
    mark = {"align": "right" if late else "left", "baseline": "top", "dx": -4 if late else 4, "dy": 2}
    place: Spec = {"x": x, "y": y, "text": {"field": "words", "type": "nominal"}, "tooltip": hover}
    down: Spec = {"x": x, "y": y, "y2": {"value": "height"}, "tooltip": hover}
    rule: Spec = {"data": data, "mark": {"type": "rule", "style": one.line}, "encoding": down}
    return [rule, *words({**mark, "style": one.style, "limit": 260}, place, data=data)]


def _refusals(body: Body, start: datetime.date, end: datetime.date) -> list[tuple[datetime.date, str, str]]:
    """By day: which chips may not come from then on, and why."""
    chips: dict[datetime.date, list[str]] = {}
    reasons: dict[datetime.date, list[str]] = {}
    for row in rows(body, "not_lawful"):
        since, share = day(row, "start"), number(row, "share")
        if since is not None and since <= end:
            at = max(since, start)
            part = "" if share is None else f" ({show_share(share)} of {text(row, 'lot')})"
            chips.setdefault(at, []).append(text(row, "chip"))
            reasons.setdefault(at, []).append(text(row, "reason") + part)
    return [
        (at, f"{at} no more {', '.join(dict.fromkeys(chips[at]))}", "; ".join(dict.fromkeys(reasons[at])))
        for at in sorted(chips)
    ]


def _said(body: Body, lots: Sequence[str], doings: Sequence[str]) -> str:
    refused = [words for _, words, _ in _refusals(body, datetime.date.min, datetime.date.max)]
    told = f"Lots {', '.join(lots)}: {', '.join(doings) or 'nothing is done'}"
    return told + (f"; {'; '.join(refused)}" if refused else "") + "."
