"""Points in a plane: kinds told apart by shape and colour, what each is by pointing at it."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tonnage.report.charts.chart import FEW, Chart, Spec, chart, kinds, tips

HEIGHT = 340
KINDS = 6
"""Kinds with a shape and colour of their own at most; the others are one."""

MOST = 700
"""Points drawn at most: beyond it every nth is, so that a page stays small."""


@dataclass(frozen=True)
class Dot:
    """One point; x: a number, or a date as text; what: what it is, said when it is pointed at; low, high: of y."""

    x: float | str
    y: float
    kind: str
    what: str
    tip: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ChartAxis:
    """An axis: its title, and how it is divided (`linear`, `log`, `time`); norm: a value that all are held against."""

    title: str
    scale: str = "linear"
    format: str = "~s"
    norm: float | None = None

    def channel(self, field: str, ends: Sequence[float | str] = ()) -> Spec:
        """As Vega-Lite has it; ends: all that is drawn along it."""
        if self.scale == "time":
            return {"field": field, "type": "temporal", "title": self.title or None, **_days(ends)}
        scale: Spec = _decades(ends, self.norm) if self.scale == "log" else {"zero": False, "nice": True}
        axis: Spec = {"format": self.format, "tickCount": 6, "gridOpacity": FAINT if self.scale == "log" else 0.5}
        return {"field": field, "type": "quantitative", "title": self.title, "scale": scale, "axis": axis}


FAINT: Spec = {
    "condition": {"test": "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6", "value": 0.7},
    "value": 0.2,
}
"""Lines between the powers of ten are fainter than those at them."""

NARROW = 8.0
"""Ratio of the largest to the smallest below which an axis of tens ends near them, not at the next power of ten."""

EDGE = 1.15
"""By how much an axis goes beyond what it shows then."""

SEASON = datetime.timedelta(days=120)
"""Length of an axis of time below which its words name days, not months."""


def _decades(ends: Sequence[float | str], norm: float | None) -> Spec:
    held = [end for end in (*ends, norm) if isinstance(end, (int, float)) and end > 0]
    if not held or max(held) / min(held) >= NARROW:
        return {"type": "log", "nice": True}
    return {"type": "log", "nice": False, "domain": [min(held) / EDGE, max(held) * EDGE]}


def _days(ends: Sequence[float | str]) -> Spec:
    """Divisions of an axis of time; days before and after where there is but one day."""
    axis: Spec = {"format": "%b %Y", "tickCount": FEW}
    days = sorted(found for end in ends if isinstance(end, str) and (found := _day(end)) is not None)
    if not days or days[-1] - days[0] >= SEASON:
        return {"axis": axis}
    month = datetime.timedelta(days=max(2, (days[-1] - days[0]).days // 8))
    around = [{"year": day.year, "month": day.month, "date": day.day} for day in (days[0] - month, days[-1] + month)]
    return {"axis": {**axis, "format": "%d %b %Y"}, "scale": {"domain": around}}


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text[:10])
    except ValueError:
        return None


def scatter(
    name: str,
    title: str,
    said: str,
    points: Sequence[Dot],
    x: ChartAxis,
    y: ChartAxis,
    *,
    diagonal: bool = False,
    order: Sequence[str] = (),
) -> Chart:
    """The chart; diagonal: a dashed line where both are equal; order: of kinds that keep their colours."""
    drawn = list(points) if order else few(points)
    named = list(dict.fromkeys(point.kind for point in sorted(drawn, key=lambda point: _rank(point.kind, drawn))))
    values = [_value(point) for point in drawn]
    heights = [end for point in drawn for end in (point.y, point.low, point.high) if end is not None]
    across, up = x.channel("x", [point.x for point in drawn]), y.channel("y", heights)
    kind = kinds("kind", named, order)
    told = {"color": kind, "shape": kind} if len(named) > 1 else {}
    mark: Spec = {"type": "point", "size": 45 if len(drawn) < 300 else 24, "opacity": 0.8}
    spans: Spec = {
        "transform": [{"filter": {"field": "low", "valid": True}}],
        "mark": {"type": "rule", "strokeWidth": 1, "opacity": 0.5},
        "encoding": {"x": across, "y": {**up, "field": "low"}, "y2": {"field": "high"}},
    }
    layers: list[Spec] = [*([spans] if any(point.low is not None for point in drawn) else [])]
    layers += _diagonal(drawn, across, up) if diagonal else []
    layers += [] if y.norm is None else [_norm(y.norm, up)]
    layers.append({"mark": mark, "encoding": {"x": across, "y": up, **told, "tooltip": tips(what="", kind="", tip="")}})
    return chart(name, title, said, HEIGHT, data={"values": values}, layer=layers)


def _norm(value: float, y: Spec) -> Spec:
    """The line at which a value is as it was to be."""
    return {"data": {"values": [{"y": value}]}, "mark": {"type": "rule", "style": "limit"}, "encoding": {"y": y}}


def few(points: Sequence[Dot]) -> list[Dot]:
    """Every nth point, so that at most `MOST` are left, with the rarer kinds as one."""
    step = max(1, -(-len(points) // MOST))
    kept = list(points)[::step]
    common = {kind for kind, _ in Counter(point.kind for point in kept).most_common(KINDS)}
    several = len({point.kind for point in kept}) > KINDS
    return [p if p.kind in common or not several else replace(p, kind="other", tip=f"{p.kind}; {p.tip}") for p in kept]


def _rank(kind: str, points: Sequence[Dot]) -> tuple[bool, int]:
    """The commonest kind first, what is left over last."""
    return kind == "other", -sum(point.kind == kind for point in points)


def _value(point: Dot) -> Spec:
    made: Spec = {"x": point.x, "y": point.y, "kind": point.kind, "what": point.what, "tip": point.tip or "-"}
    return made if point.low is None or point.high is None else {**made, "low": point.low, "high": point.high}


def _diagonal(points: Sequence[Dot], x: Spec, y: Spec) -> list[Spec]:
    """Where both are equal, from the least to the most of either."""
    ends = [value for point in points for value in (point.x, point.y) if isinstance(value, (int, float)) and value > 0]
    if not ends:
        return []
    values = [{"x": end, "y": end} for end in (min(ends), max(ends))]
    return [{"data": {"values": values}, "mark": {"type": "line", "style": "limit"}, "encoding": {"x": x, "y": y}}]
