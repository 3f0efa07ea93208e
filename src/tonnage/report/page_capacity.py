"""The part of docs/accuracy.md on the room that engines log for the cache."""

from __future__ import annotations

from collections.abc import Sequence

from tonnage.report import page
from tonnage.report.capacity import TITLES, by
from tonnage.report.page import Line
from tonnage.truth.capacity import CapacityRow, median_and_90th

INTRODUCTION = """\
Room for the cache, and what a given cache holds, as engines print it when they start, against what is predicted
([method](method/serving-memory.md)). Left out of the bars, not of the tables, is what lacks a setting or rests on a
defect.
"""

BARS = (0.02, 0.08)
"""Median and 90th percentile that are asked for."""


def capacity_page(rows: Sequence[CapacityRow]) -> list[str]:
    """Lines of the page."""
    stated = [row for row in rows if not row.log.outlier]
    lines = ["## Capacities", "", INTRODUCTION]
    lines += page.figures_table([_line("capacities that state their settings", stated), _line("all", rows)])
    for field, title in TITLES.items():
        table = by(field, rows)
        lines += [f"### Capacities {title}", "", *page.table(table.header, table.rows)]
    return [*lines, "### Every capacity", "", *page.table(("what", "logged", "error", "source"), map(_row, rows))]


def _line(what: str, rows: Sequence[CapacityRow]) -> Line:
    median, most = median_and_90th(rows)
    met = median <= BARS[0] and most <= BARS[1]
    shown = f"{100 * median:.1f} / {100 * most:.1f} %"
    return Line(f"{what} ({len(rows)})", f"{100 * BARS[0]:.0f} / {100 * BARS[1]:.0f} %", shown, "", met)


def _row(row: CapacityRow) -> tuple[str, ...]:
    log = row.log
    mark = " (left out)" if log.outlier else ""
    return f"{log.name}{mark}", f"{log.printed:,.6g} {log.unit}", f"{100 * row.error:+.1f} %", log.source
