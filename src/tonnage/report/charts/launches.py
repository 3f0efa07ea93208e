"""The chart of the back-test: what was foreseen of each launch, and when it came, in days after the programme's day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tonnage.report.charts.bars import BAR, BOTTOM, PITCH, WORDS, room
from tonnage.report.charts.chart import FEW, Chart, Spec, chart, kinds, tips, words
from tonnage.report.charts.reading import Body, at, day, number, rows, text

LIMIT = 730
"""Days after a programme's day up to which it is scored (docs/backtest.md)."""

KINDS = ("P50 foreseen", "came", "not come yet", "rival's P50")
"""What is marked in a row, told apart by shape and colour."""

MIDDLE = (BAR + BOTTOM) / 2


def charts(body: Body) -> tuple[Chart, ...]:
    """P10 to P90 of each programme as a bar, with what came and what the announced day alone would have said."""
    found = [row for row in rows(body, "rows") if day(row, "cut_off") is not None and not text(row, "reason")]
    if not found:
        return ()
    named = [_row(index, row) for index, row in enumerate(found)]
    marks = [mark for index, row in enumerate(found) for mark in _marks(index, row)]
    x: Spec = {"field": "from", "type": "quantitative", "title": "days after the day on which it was foreseen"}
    x |= {"scale": {"domain": [0, LIMIT], "nice": False}, "axis": {"tickCount": FEW}}
    y: Spec = {"field": "top", "type": "quantitative", "axis": None}
    y |= {"scale": {"domain": [len(named), 0], "nice": False}}
    hover = tips(name="", foreseen="P10 | P50 | P90", happened="came", rival="rival's P50", scores="CRPS [days]")
    place: Spec = {"x": {**x, "field": "day"}, "y": {**y, "field": "middle"}}
    kind = kinds("kind", [name for name in KINDS if any(mark["kind"] == name for mark in marks)])
    point: Spec = {"type": "point", "size": 80, "opacity": 0.95}
    layers: list[Spec] = [
        *_words(y, "name", {"value": 0}, {"align": "left", "limit": room(str(row["shown"]) for row in named)}),
        *_words(y, "shown", {"value": "width"}, {"align": "right", "style": "quiet"}),
        *(_ranges(style, x, y, hover) for style in dict.fromkeys(str(row["style"]) for row in named)),
        {
            "data": {"values": marks},
            "mark": point,
            "encoding": {**place, "shape": kind, "color": kind, "tooltip": tips(name="", kind="", date="")},
        },
    ]
    title = "how right such dates were"
    return (chart("back-test", title, _said(body, found), PITCH * len(named), data={"values": named}, layer=layers),)


def _row(index: int, row: Mapping[str, object]) -> Spec:
    first, last = _after(row, "forecast", "p10"), _after(row, "forecast", "p90")
    inside = at(row, "inside") is True
    came = text(row, "came") or f"not by {text(row, 'known_to')}"
    score, rival = (number(row, key) or 0.0 for key in ("crps", "rival_crps"))
    return {
        "name": f"{text(row, 'story')}, {text(row, 'cut_off')}",
        "shown": f"{score:.0f}, rival {rival:.0f}",
        "from": LIMIT if first is None else min(first, LIMIT),
        "to": LIMIT if last is None else min(last, LIMIT),
        "foreseen": " | ".join(_date(row, "forecast", key) for key in ("p10", "p50", "p90")),
        "happened": f"{text(row, 'event')}: {came}, {'inside' if inside else 'outside'}",
        "rival": _date(row, "rival", "p50"),
        "scores": f"{score:.0f}, rival {rival:.0f}",
        "style": "mark" if inside else "alert",
        "words": index + WORDS,
        "top": index + BAR + 0.06,
        "bottom": index + BOTTOM - 0.06,
    }


def _marks(index: int, row: Mapping[str, object]) -> list[Spec]:
    """The points of a row, in the order in which they are drawn."""
    came = "came" if text(row, "came") else "known_to"
    points = (
        (KINDS[3], _after(row, "rival", "p50"), _date(row, "rival", "p50")),
        (KINDS[0], _after(row, "forecast", "p50"), _date(row, "forecast", "p50")),
        (KINDS[1] if came == "came" else KINDS[2], _after(row, came), text(row, came)),
    )
    name = f"{text(row, 'story')}, {text(row, 'cut_off')}"
    return [
        {"name": name, "kind": kind, "day": min(days, LIMIT), "date": date, "middle": index + MIDDLE}
        for kind, days, date in points
        if days is not None
    ]


def _after(row: Mapping[str, object], *keys: str) -> int | None:
    """Days from the programme's day to a date; None for never."""
    start, found = day(row, "cut_off"), day(row, *keys)
    return None if start is None or found is None else (found - start).days


def _date(row: Mapping[str, object], *keys: str) -> str:
    found = day(row, *keys)
    return "never" if found is None else str(found)


def _ranges(style: str, x: Spec, y: Spec, hover: Sequence[Spec]) -> Spec:
    """Bars of one style."""
    place: Spec = {"x": x, "x2": {"field": "to"}, "y": y, "y2": {"field": "bottom"}, "tooltip": list(hover)}
    place["description"] = {"field": "happened", "type": "nominal"}
    return {
        "transform": [{"filter": {"field": "style", "equal": style}}],
        "mark": {"type": "rect", "style": style, "opacity": 0.45, "cornerRadius": 2},
        "encoding": place,
    }


def _words(y: Spec, field: str, x: Spec, mark: Spec) -> list[Spec]:
    place: Spec = {"x": x, "y": {**y, "field": "words"}, "text": {"field": field, "type": "nominal"}}
    return words({**mark, "baseline": "middle"}, place)


def _said(body: Body, found: Sequence[Mapping[str, object]]) -> str:
    inside = sum(at(row, "inside") is True for row in found)
    score, rival = number(body, "crps"), number(body, "null", "crps")
    means = "" if score is None or rival is None else f": {score:.0f} on average, the rival's {rival:.0f}"
    return (
        f"Bars reach from P10 to P90; what came lies inside {inside} of {len(found)}. At the right the score (CRPS in "
        f"days, less is better) beside that of the announced day with the usual slips{means}, each story once."
    )
