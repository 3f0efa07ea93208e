"""Points in a plane: kinds told apart by shape and colour, what each is by pointing at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tonnage.report.charts.chart import Chart, Spec, chart, kinds, tips

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
    """An axis: its title, and how it is divided (`linear`, `log` or `time`)."""

    title: str
    scale: str = "linear"
    format: str = "~s"

    def channel(self, field: str) -> Spec:
        """As Vega-Lite has it."""
        if self.scale == "time":
            axis: Spec = {"format": "%b %Y", "tickCount": 6}
            return {"field": field, "type": "temporal", "title": self.title or None, "axis": axis}
        scale: Spec = {"type": "log", "nice": True} if self.scale == "log" else {"zero": False, "nice": True}
        axis = {"format": self.format, "tickCount": 6, "gridOpacity": 0.5}
        return {"field": field, "type": "quantitative", "title": self.title, "scale": scale, "axis": axis}


def scatter(
    name: str, title: str, said: str, points: Sequence[Dot], x: ChartAxis, y: ChartAxis, *, diagonal: bool = False
) -> Chart:
    """The chart; diagonal: a dashed line where both are equal."""
    drawn = few(points)
    named = list(dict.fromkeys(point.kind for point in sorted(drawn, key=lambda point: _rank(point.kind, drawn))))
    values = [_value(point) for point in drawn]
    across, up = x.channel("x"), y.channel("y")
    kind = kinds("kind", named)
    told = {"color": kind, "shape": kind} if len(named) > 1 else {}
    mark: Spec = {"type": "point", "size": 45 if len(drawn) < 300 else 24, "opacity": 0.8}
    spans: Spec = {
        "transform": [{"filter": {"field": "low", "valid": True}}],
        "mark": {"type": "rule", "strokeWidth": 1, "opacity": 0.5},
        "encoding": {"x": across, "y": y.channel("low"), "y2": {"field": "high"}},
    }
    layers: list[Spec] = [*([spans] if any(point.low is not None for point in drawn) else [])]
    layers += _diagonal(drawn, across, up) if diagonal else []
    layers.append({"mark": mark, "encoding": {"x": across, "y": up, **told, "tooltip": tips(what="", kind="", tip="")}})
    return chart(name, title, said, HEIGHT, data={"values": values}, layer=layers)


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
