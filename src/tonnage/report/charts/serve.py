"""Charts of a service: the frontier of speed against output, the memory bar, where a step goes."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.report.charts.breakdown import breakdown
from tonnage.report.charts.chart import FEW, Chart, Spec, chart, kinds, tips
from tonnage.report.charts.memory import memory
from tonnage.report.charts.reading import Body, at, number, rows, text
from tonnage.units import show_number, show_time

HEIGHT = 300
TIPS = tips(
    layout="layout",
    mode="mode",
    speed="tokens/s of a user",
    output="output tokens/s per accelerator",
    tpot="TPOT",
    ttft="TTFT",
    requests="requests/s",
    running="running per replica",
)


def charts(body: Body) -> tuple[Chart, ...]:
    """Those of one kind of accelerators."""
    return (
        *frontier(body),
        *memory(body),
        *memory(body, "ffn_memory", "memory of one accelerator of the FFN side"),
        *breakdown(body),
    )


def frontier(body: Body) -> tuple[Chart, ...]:
    """Output of an accelerator against the speed that a user sees: every best layout, and the chosen one."""
    points = [made for row in rows(body, "frontier") if (made := _point(row)) is not None]
    chosen = [point for point in points if point["chosen"]]
    if len(points) < 2:
        return ()
    x: Spec = {"field": "x", "type": "quantitative", "title": "tokens/s of one user", "scale": {"zero": True}}
    x |= {"axis": {"tickCount": FEW}}
    y: Spec = {"field": "y", "type": "quantitative", "title": "output tokens/s per accelerator"}
    modes = list(dict.fromkeys(str(point["mode"]) for point in points))
    kind, several = kinds("mode", modes), len(modes) > 1
    shape = {"shape": kind, "color": kind} if several else {}
    layers: list[Spec] = [
        {"mark": {"type": "line", "strokeWidth": 1, "opacity": 0.7}, "encoding": {"x": x, "y": y}},
        {"mark": {"type": "point", "size": 55}, "encoding": {"x": x, "y": y, **shape, "tooltip": TIPS}},
    ]
    if chosen:
        layers += _chosen(chosen[0])
    return (chart("frontier", "speed against output", _said(points, chosen), HEIGHT, **_layered(points, layers)),)


def _layered(points: list[Spec], layers: list[Spec]) -> Spec:
    return {"data": {"values": points}, "layer": layers}


def _point(row: Mapping[str, object]) -> Spec | None:
    """A layout of the frontier, as the chart has it."""
    x, y = number(row, "tokens_per_second_per_user"), number(row, "output_tokens_per_second_per_accelerator")
    if x is None or y is None:
        return None
    prefill = text(row, "prefill_layout")
    layout = text(row, "layout") + (f", prefill {prefill}" if prefill else "")
    return {
        "x": x,
        "y": y,
        "chosen": at(row, "chosen") is True,
        "layout": layout,
        "mode": text(row, "mode"),
        "speed": show_number(x),
        "output": show_number(y),
        "tpot": _time(row, "tpot"),
        "ttft": _time(row, "ttft"),
        "requests": show_number(number(row, "requests_per_second") or 0.0),
        "running": show_number(number(row, "running_per_replica") or 0.0),
    }


def _time(row: Mapping[str, object], key: str) -> str:
    value = number(row, key)
    return "-" if value is None else show_time(value)


def _chosen(point: Spec) -> list[Spec]:
    """The chosen layout: a large diamond with its words."""
    data: Spec = {"values": [{**point, "words": f"chosen: {point['layout']}"}]}
    place: Spec = {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}}
    mark: Spec = {"type": "point", "shape": "diamond", "size": 220, "style": ["good", "edge"]}
    words: Spec = {"type": "text", "align": "left", "dx": 12, "dy": -8, "style": "good-text", "limit": 300}
    return [
        {"data": data, "mark": mark, "encoding": {**place, "tooltip": TIPS}},
        {"data": data, "mark": words, "encoding": {**place, "text": {"field": "words", "type": "nominal"}}},
    ]


def _said(points: list[Spec], chosen: list[Spec]) -> str:
    first, last = points[0], points[-1]
    text = (
        f"From {first['output']} output tokens/s per accelerator at {first['speed']} tokens/s of a user "
        f"to {last['output']} at {last['speed']}"
    )
    if chosen:
        text += f"; chosen: {chosen[0]['layout']} with {chosen[0]['output']} at {chosen[0]['speed']}"
    return text + "."
