"""Charts of what may be brought: training and serving speed of each chip, with its status in words."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.report.charts.bars import BarRow, bars
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.reading import Body, number, rows, text
from tonnage.units import show_number

SHOWN = 20
USES = {
    "training": ("tokens_per_second_per_accelerator", "tokens/s per accelerator", "layout"),
    "serving": ("requests_per_second_per_accelerator", "requests/s per accelerator", "serving_layout"),
}


def charts(body: Body) -> tuple[Chart, ...]:
    """One for each use, the fastest first."""
    return tuple(made for use in USES for made in _use(body, use))


def _use(body: Body, use: str) -> tuple[Chart, ...]:
    key, unit, layout = USES[use]
    found = [
        BarRow(_named(row), 0.0, rate, show_number(rate), text(row, layout), _style(row))
        for row in rows(body, "chips")
        if (rate := number(row, key))
    ]
    if not found:
        return ()
    found = sorted(found, key=lambda row: -row.end)[:SHOWN]
    said = f"Fastest for {use}: {'; '.join(f'{row.label}, {row.shown} {unit}' for row in found[:3])}."
    return (bars(use, f"{use} on what may be brought", said, found, axis=unit),)


def _named(row: Mapping[str, object]) -> str:
    return f"{text(row, 'title') or text(row, 'chip')}: {text(row, 'status')}"


def _style(row: Mapping[str, object]) -> str:
    return "mark" if text(row, "status") == "free" else "quiet"
