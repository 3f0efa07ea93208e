"""Charts of two answers: what differs most, as a ratio."""

from __future__ import annotations

import math

from tonnage.report.charts.bars import BarRow, bars
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.reading import Body, number, rows, text
from tonnage.units import show_number

SHOWN = 16


def charts(body: Body) -> tuple[Chart, ...]:
    """The largest ratios of the second answer to the first, in doublings; those within lists come last."""
    found = []
    for row in rows(body, "differences"):
        first, second, ratio = (number(row, key) for key in ("first", "second", "ratio"))
        if first is None or second is None or not ratio or ratio <= 0 or not text(row, "path"):
            continue
        shown = f"{show_number(first)} to {show_number(second)}, {100 * (ratio - 1):+.0f} %"
        style = "good" if ratio < 1 else "mark"
        found.append(BarRow(text(row, "path").replace("_", " "), 0.0, math.log2(ratio), shown, style=style))
    if not found:
        return ()
    found = sorted(found, key=lambda row: ("[" in row.label, -abs(row.end)))[:SHOWN]
    said = f"What differs most: {'; '.join(f'{row.label} {row.shown}' for row in found[:3])}."
    axis = "doublings from the first to the second (left: less)"
    return (bars("differences", "what differs most", said, found, axis=axis),)
