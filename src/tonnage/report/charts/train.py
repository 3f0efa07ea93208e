"""Charts of a training plan: where a step goes, the memory bar, what else is nearly as good."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.report.charts.bars import BarRow, LimitLine, bars
from tonnage.report.charts.breakdown import breakdown
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.memory import memory
from tonnage.report.charts.reading import Body, number, rows, text
from tonnage.units import show_memory, show_time


def charts(body: Body) -> tuple[Chart, ...]:
    """Those of one layout on one kind of accelerators."""
    return (*breakdown(body), *memory(body, title="memory of the fullest rank"), *_alternatives(body))


def _alternatives(body: Body) -> tuple[Chart, ...]:
    """Steps of the layouts that come next, against the chosen one."""
    best, rest = number(body, "step_time"), rows(body, "alternatives")
    others = [made for row in rest if (made := _row(row)) is not None]
    if best is None or not others:
        return ()
    low, high = number(body, "step_time_low"), number(body, "step_time_high")
    doubt = "" if low is None or high is None else f"90 %: {show_time(low)} to {show_time(high)}"
    first = BarRow("as planned", 0.0, best, show_time(best), doubt, "good")
    said = f"A step takes {show_time(best)} as planned; next best: {others[0].label}, {others[0].shown}."
    limits = (LimitLine(best, "as planned"),)
    return (bars("alternatives", "nearly as good", said, [first, *others], axis="s", limits=limits),)


def _row(row: Mapping[str, object]) -> BarRow | None:
    step, slower, held = number(row, "step_time"), number(row, "slower"), number(row, "memory")
    if step is None:
        return None
    shown = show_time(step) + ("" if slower is None else f", {100 * slower:+.1f} %")
    return BarRow(
        text(row, "differs") or text(row, "layout"), 0.0, step, shown, "" if held is None else show_memory(held)
    )
