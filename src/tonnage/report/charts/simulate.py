"""Charts of a simulated service: its waits by percentile, how full it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tonnage.report.charts.bars import BAR, BOTTOM, PITCH, WORDS, BarRow, bars
from tonnage.report.charts.chart import Chart, Spec, chart, kinds, tips, words
from tonnage.report.charts.points import FAINT
from tonnage.report.charts.reading import Body, number
from tonnage.units import show_share, show_time

TIMES = {
    "ttft": "time to the first token",
    "tpot": "time per output token",
    "e2e": "whole request",
    "queueing": "wait before it begins",
}
WHAT: Spec = {"field": "what", "type": "nominal"}
MIDDLE = (BAR + BOTTOM) / 2
"""Height of the marks of a row below its words."""

PERCENTILES = ("p50", "p90", "p95", "p99")
FULL = {
    "utilisation": "time in which a step runs",
    "kv_occupancy": "KV cache in use",
    "hit_rate": "input found in the prefix cache",
    "within_limits": "requests within the limits",
}


def charts(body: Body) -> tuple[Chart, ...]:
    """Waits, and shares."""
    return (*_times(body), *_shares(body))


def _times(body: Body) -> tuple[Chart, ...]:
    """A row for each wait under its words, a mark for each percentile, in steps of ten."""
    found = [(what, _percentiles(body, key)) for key, what in TIMES.items()]
    found = [(what, times) for what, times in found if times]
    if not found:
        return ()
    points = [
        {"what": what, "seconds": seconds, "percentile": name.upper(), "shown": show_time(seconds), "at": row + MIDDLE}
        for row, (what, times) in enumerate(found)
        for name, seconds in times.items()
    ]
    named = [
        {"what": what, "shown": " to ".join(dict.fromkeys(_ends(times))), "at": row + WORDS}
        for row, (what, times) in enumerate(found)
    ]
    x: Spec = {"field": "seconds", "type": "quantitative", "title": "seconds", "scale": {"type": "log", "nice": True}}
    x |= {"axis": {"format": "~g", "tickCount": 5, "gridOpacity": FAINT}}
    y: Spec = {"field": "at", "type": "quantitative", "axis": None, "scale": {"domain": [len(found), 0], "nice": False}}
    kind = kinds("percentile", [name.upper() for name in PERCENTILES])
    hover = tips(what="", percentile="", shown="")
    layers: list[Spec] = [
        *_beside(named, y),
        {"mark": {"type": "line", "style": "quiet", "strokeWidth": 1}, "encoding": {"x": x, "y": y, "detail": WHAT}},
        {
            "mark": {"type": "point", "size": 80, "opacity": 0.85},
            "encoding": {"x": x, "y": y, "shape": kind, "color": kind, "tooltip": hover},
        },
    ]
    said = ", ".join(f"{row['what']} {row['shown']}" for row in named)
    title = "waits of requests, from the median to P99"
    return (
        chart(
            "waits",
            title,
            f"From the median to P99: {said}.",
            PITCH * len(found),
            data={"values": points},
            layer=layers,
        ),
    )


def _percentiles(body: Body, key: str) -> dict[str, float]:
    found = ((name, number(body, key, name)) for name in PERCENTILES)
    return {name: seconds for name, seconds in found if seconds is not None and seconds > 0}


def _ends(times: Mapping[str, float]) -> tuple[str, str]:
    """The first and the last of the percentiles that are known."""
    held = list(times.values())
    return show_time(held[0]), show_time(held[-1])


def _beside(named: Sequence[Spec], y: Spec) -> list[Spec]:
    """Words above each row: what it is at the left, its times at the right."""
    made: list[Spec] = []
    for field, x, align, style in (("what", 0, "left", "plain"), ("shown", "width", "right", "quiet")):
        mark: Spec = {"align": align, "baseline": "middle", "style": style}
        place: Spec = {"x": {"value": x}, "y": y, "text": {"field": field, "type": "nominal"}}
        made += words(mark, place, data={"values": list(named)})
    return made


def _shares(body: Body) -> tuple[Chart, ...]:
    made = [
        BarRow(what, 0.0, share, show_share(share))
        for key, what in FULL.items()
        if (share := number(body, key)) is not None and share > 0
    ]
    if not made:
        return ()
    said = f"{'; '.join(f'{row.label} {row.shown}' for row in made)}."
    return (bars("shares", "how full it is", said, made, axis="%", scale=0.01),)
