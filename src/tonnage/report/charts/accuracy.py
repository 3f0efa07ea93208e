"""Charts of accuracy: predicted against published, errors by source and by chip, how often intervals hold."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.report.charts.bars import BarRow, LimitLine, bars
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.launches import charts as launches
from tonnage.report.charts.points import ChartAxis, Dot, scatter
from tonnage.report.charts.reading import Body, at, number, rows, text
from tonnage.units import show_counted, show_number, show_share

SHOWN = 16
"""Groups of a breakdown at most, the largest."""

WORDS = {
    "tokens_per_second_per_accelerator": "tokens/s per accelerator",
    "output_tokens_per_second_per_accelerator": "output tokens/s per accelerator",
    "input_tokens_per_second_per_accelerator": "input tokens/s per accelerator",
    "tpot": "TPOT [ms]",
    "ttft": "TTFT [ms]",
    "accelerator_hours": "accelerator-hours",
    "wall_time": "time of the run [s]",
}
"""What a metric is called, with its unit."""

SCALES = {"tpot": 1e3, "ttft": 1e3}
"""What a value is multiplied with to be in that unit."""

BREAKDOWNS = {"group": "source", "chip": "chip"}
"""Which breakdowns are drawn, and by what they are."""


def charts(body: Body) -> tuple[Chart, ...]:
    """For the metric with the most cases first: every case, and the errors by source and by chip."""
    metrics = sorted({text(row, "metric") for row in rows(body, "rows")} - {""}, key=lambda name: -_count(body, name))
    clouds = tuple(made for name in metrics for made in _cloud(body, name))
    return (*clouds, *_breakdowns(body, metrics), *_holds(body, metrics), *_capacity(body), *launches(body))


def _count(body: Body, metric: str) -> int:
    return sum(text(row, "metric") == metric for row in rows(body, "rows"))


def _cloud(body: Body, metric: str) -> tuple[Chart, ...]:
    """Predicted against published, both in steps of ten."""
    points = [made for row in rows(body, "rows") if text(row, "metric") == metric and (made := _point(row)) is not None]
    if not points:
        return ()
    unit = WORDS.get(metric, metric.replace("_", " "))
    near = sum(isinstance(p.x, float) and abs(p.y / p.x - 1) <= 0.25 for p in points) / len(points)
    said = f"{show_counted(len(points), 'case')} of {unit}; {show_share(near)} within 25 % of what was published."
    form = "~g" if metric in SCALES else "~s"
    x, y = ChartAxis(f"published: {unit}", "log", form), ChartAxis(f"predicted: {unit}", "log", form)
    name = f"predicted-{metric.replace('_', '-')}"
    return (scatter(name, f"predicted against published: {unit}", said, points, x, y, diagonal=True),)


def _point(row: Mapping[str, object]) -> Dot | None:
    published, predicted = number(row, "published"), number(row, "predicted")
    if published is None or predicted is None or published <= 0 or predicted <= 0:
        return None
    scale = SCALES.get(text(row, "metric"), 1.0)
    published, predicted = scale * published, scale * predicted
    error = f"{100 * (predicted / published - 1):+.0f} %"
    tip = f"published {show_number(published)}, predicted {show_number(predicted)} ({error})"
    return Dot(published, predicted, text(row, "chip") or "not given", text(row, "id"), f"{text(row, 'group')}; {tip}")


def _breakdowns(body: Body, metrics: list[str]) -> tuple[Chart, ...]:
    """Errors by source and by chip, of the metric with the most cases where there are several."""
    by = at(body, "by")
    held = next((at(by, name) for name in metrics if isinstance(at(by, name, "group"), Mapping)), by)
    return tuple(made for key, word in BREAKDOWNS.items() for made in _errors(held, key, word))


def _errors(by: object, key: str, word: str) -> tuple[Chart, ...]:
    """From no error to the 90th percentile, with the median as a point."""
    groups = at(by, key)
    found = [made for name, group in _largest(groups) if (made := _row(name, group)) is not None]
    if not found:
        return ()
    worst = max(found, key=lambda row: row.point or 0.0)
    least = min(row.point or 0.0 for row in found)
    said = f"Median error by {word}: from {show_share(least)} to {show_share(worst.point or 0.0)} ({worst.label})."
    title = f"error by {word}: the point is the median, the bar ends at the 90th percentile"
    return (bars(f"error-by-{word}", title, said, found, axis="%", scale=0.01),)


def _largest(groups: object) -> list[tuple[str, object]]:
    named = list(groups.items()) if isinstance(groups, Mapping) else []
    return sorted(((str(name), group) for name, group in named), key=lambda item: -(number(item[1], "n") or 0.0))[
        :SHOWN
    ]


def _row(name: str, group: object) -> BarRow | None:
    median, p90, n = number(group, "median_abs_error"), number(group, "p90_abs_error"), number(group, "n")
    if median is None or p90 is None:
        return None
    bias, cover = number(group, "bias"), number(group, "coverage_90")
    tip = "" if bias is None else f"bias {100 * bias:+.0f} %"
    tip += "" if cover is None else f"; {show_share(cover)} in the 90 % interval"
    return BarRow(
        name,
        0.0,
        p90,
        f"{show_share(median)}, 90th {show_share(p90)}, {show_counted(n or 0, 'case')}",
        tip,
        point=median,
    )


def _holds(body: Body, metrics: list[str]) -> tuple[Chart, ...]:
    """How many of the cases lie in intervals that nine in ten should."""
    found = [(WORDS.get(name, name), number(body, "metrics", name, "left_out", "coverage_90")) for name in metrics]
    whole = number(body, "left_out", "coverage_90")
    made = [
        BarRow(name, 0.0, share, show_share(share))
        for name, share in [*found, ("all, nothing of the source in any fit", whole)]
        if share is not None
    ]
    if not made:
        return ()
    said = f"In the 90 % interval: {'; '.join(f'{row.label} {row.shown}' for row in made)}."
    limits = (LimitLine(0.9, "90 % meant"),)
    return (bars("intervals", "cases in the 90 % interval", said, made, axis="%", limits=limits, scale=0.01),)


def _capacity(body: Body) -> tuple[Chart, ...]:
    """Room that engines logged against what was predicted, where that was asked."""
    points = [
        Dot(printed, predicted, text(row, "engine") or "not given", text(row, "name"), _off(predicted, printed))
        for row in rows(body, "rows")
        if text(row, "unit") == "GiB"
        and (printed := number(row, "printed"))
        and (predicted := number(row, "predicted"))
        and printed > 0
        and predicted > 0
    ]
    if not points:
        return ()
    said = f"{show_counted(len(points), 'logged start')} of engines: room for the cache as predicted and as printed."
    x, y = ChartAxis("printed by the engine [GiB]", "log"), ChartAxis("predicted [GiB]", "log")
    return (scatter("capacity", "room for the cache", said, points, x, y, diagonal=True),)


def _off(predicted: float, printed: float) -> str:
    error = f"{100 * (predicted / printed - 1):+.1f} %"
    return f"predicted {show_number(predicted)} GiB, printed {show_number(printed)}: {error}"
