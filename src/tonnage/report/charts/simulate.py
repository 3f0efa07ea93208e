"""Charts of a simulated service: its waits by percentile, how full it is."""

from __future__ import annotations

from tonnage.report.charts.bars import BarRow, bars
from tonnage.report.charts.chart import Chart, Spec, chart, kinds, tips
from tonnage.report.charts.reading import Body, number
from tonnage.units import show_share, show_time

TIMES = {
    "ttft": "time to the first token",
    "tpot": "time per output token",
    "e2e": "whole request",
    "queueing": "wait before it begins",
}
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
    """A row for each wait, a mark for each percentile, in steps of ten."""
    values = [
        {"what": what, "seconds": seconds, "percentile": name.upper(), "shown": show_time(seconds)}
        for key, what in TIMES.items()
        for name in PERCENTILES
        if (seconds := number(body, key, name)) is not None and seconds > 0
    ]
    if not values:
        return ()
    x: Spec = {"field": "seconds", "type": "quantitative", "title": "seconds", "scale": {"type": "log", "nice": True}}
    x |= {"axis": {"format": "~g", "tickCount": 5}}
    y: Spec = {"field": "what", "type": "nominal", "title": None, "sort": list(TIMES.values())}
    y |= {"axis": {"labelLimit": 170, "grid": True, "ticks": False, "domain": False}}
    kind = kinds("percentile", [name.upper() for name in PERCENTILES])
    mark: Spec = {"type": "point", "size": 110}
    layers: list[Spec] = [
        {"mark": {"type": "line", "style": "quiet", "strokeWidth": 1}, "encoding": {"x": x, "y": y, "detail": y}},
        {
            "mark": mark,
            "encoding": {
                "x": x,
                "y": y,
                "shape": kind,
                "color": kind,
                "tooltip": tips(what="", percentile="", shown=""),
            },
        },
    ]
    first = ", ".join(
        f"{what} {show_time(middle)} at the median, {show_time(late)} at P99"
        for key, what in TIMES.items()
        if (middle := number(body, key, "p50")) is not None and (late := number(body, key, "p99")) is not None
    )
    rows = len({value["what"] for value in values})
    return (chart("waits", "waits of requests", f"{first}.", 46 * rows, data={"values": values}, layer=layers),)


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
