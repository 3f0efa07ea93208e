"""Charts of a ledger: predicted against measured, in the order of time and by kind; what a plan predicted."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.report.charts.bars import BarRow, bars
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.points import ChartAxis, Dot, scatter
from tonnage.report.charts.reading import Body, at, number, rows, text
from tonnage.units import show_counted, show_number

SHOWN = 20


def charts(body: Body) -> tuple[Chart, ...]:
    """Of errors: readings and groups; of one plan: each quantity over time; of all: what was measured of each."""
    return (*_readings(body), *_groups(body), *_measured(body), *_plans(body))


def _readings(body: Body) -> tuple[Chart, ...]:
    """Predicted over measured by day."""
    points = []
    for row in rows(body, "rows"):
        predicted, measured = number(row, "predicted"), number(row, "measured")
        if predicted is None or measured is None or not text(row, "at") or min(predicted, measured) <= 0:
            continue
        what = " ".join(word for word in (text(row, "model"), "on", text(row, "chip")) if word)
        tip = f"predicted {show_number(predicted)}, measured {show_number(measured)}"
        points.append(Dot(text(row, "at"), predicted / measured, text(row, "metric"), what, tip))
    if not points:
        return ()
    near = sum(0.9 <= point.y <= 1.1 for point in points)
    said = f"{show_counted(len(points), 'reading')}, {near} within 10 % of what was predicted."
    x, y = ChartAxis("", "time"), ChartAxis("predicted over measured", "log", "~g", 1.0)
    return (scatter("readings", "predicted over measured", said, points, x, y),)


def _groups(body: Body) -> tuple[Chart, ...]:
    """Median error and 90th percentile of each group and quantity."""
    groups = at(body, "groups")
    made = []
    for name, held in groups.items() if isinstance(groups, Mapping) else ():
        for quantity, one in held.items() if isinstance(held, Mapping) else ():
            median, p90 = number(one, "median_abs_error"), number(one, "p90_abs_error")
            if median is not None and p90 is not None:
                label = quantity if name == quantity else f"{name}: {quantity}"
                made.append(BarRow(str(label), 0.0, p90, f"{100 * median:.1f} %, 90th {100 * p90:.1f} %", point=median))
    if not made:
        return ()
    said = f"Median errors: {'; '.join(f'{row.label} {row.shown}' for row in made[:4])}."
    title = "errors: the point is the median, the bar ends at the 90th percentile"
    return (bars("errors", title, said, made[:SHOWN], axis="%", scale=0.01),)


def _measured(body: Body) -> tuple[Chart, ...]:
    """Every quantity of one plan as it was measured, over what was predicted."""
    points = []
    for row in rows(body, "rows"):
        values = at(row, "values")
        for name, _ in values.items() if isinstance(values, Mapping) else ():
            measured, predicted = number(values, name), number(body, "predicted", name, "value")
            if measured is not None and predicted and text(row, "at") and measured / predicted > 0:
                tip = f"measured {show_number(measured)}, predicted {show_number(predicted)}"
                points.append(Dot(text(row, "at"), measured / predicted, str(name), text(row, "run") or "-", tip))
    if not points:
        return ()
    said = f"{show_counted(len(points), 'measured value')}, over what the plan predicted."
    x, y = ChartAxis("", "time"), ChartAxis("measured over predicted", "log", "~g", 1.0)
    return (scatter("measured", "measured over predicted", said, points, x, y),)


def _plans(body: Body) -> tuple[Chart, ...]:
    made = [
        BarRow(
            f"{text(row, 'id')[:8]} {text(row, 'of')} {text(row, 'model')}",
            0.0,
            count,
            f"{show_counted(count, 'row')} measured",
        )
        for row in rows(body, "plans")[:SHOWN]
        if (count := number(row, "measured")) is not None
    ]
    if not made:
        return ()
    first = "; ".join(f"{row.label}, {row.shown}" for row in made[:3])
    said = f"{show_counted(len(made), 'plan')}, newest first: {first}."
    return (bars("plans", "what was measured of each plan", said, made, axis="rows"),)
