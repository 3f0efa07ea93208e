"""Charts of a launch: the timeline of lots and rules, the chance by date, what moves it, what would change it."""

from __future__ import annotations

from tonnage.report.charts.bars import BarRow, bars
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.dates import dates
from tonnage.report.charts.reading import Body, number, rows, text
from tonnage.report.charts.timeline import timeline
from tonnage.report.charts.what_ifs import what_ifs
from tonnage.units import show_money, show_share

SHOWN = 10
"""Inputs, and what is in the way, at most."""


def charts(body: Body) -> tuple[Chart, ...]:
    """Those of one programme."""
    return (*timeline(body), *dates(body), *_tornado(body), *what_ifs(body), *_in_the_way(body), *_money(body))


def _tornado(body: Body) -> tuple[Chart, ...]:
    """Days later, or earlier, with more of an input."""
    made = []
    for row in rows(body, "sensitivity")[:SHOWN]:
        swing, never, name = number(row, "swing"), number(row, "never"), text(row, "name")
        if swing is None or not name:
            continue
        later = f"{swing:+.0f} days"
        oftener = "" if never is None or abs(never) < 0.005 else f", never {100 * never:+.0f} %"
        style = "alert" if swing > 0 else "good"
        made.append(BarRow(name, 0.0, swing, later + oftener, text(row, "text"), style))
    if not made:
        return ()
    first = "; ".join(f"{row.label} {row.shown}" for row in made[:3])
    said = f"How much later in the draws with the upper third of an input than in those with the lower: {first}."
    return (bars("tornado", "what moves it most", said, made, axis="days (left: earlier with more of it)", whole=True),)


def _in_the_way(body: Body) -> tuple[Chart, ...]:
    """Days on the way to the launch, by cause."""
    made = []
    for row in rows(body, "binds")[:SHOWN]:
        days, what = number(row, "by"), text(row, "what")
        if days is not None and what and days > 0:
            made.append(BarRow(what, 0.0, days, f"{days:.0f} days", text(row, "lift")))
    if not made:
        return ()
    said = f"Mean days on the way to the launch: {'; '.join(f'{row.label} {row.shown}' for row in made[:3])}."
    axis = "days, mean of the draws that launch"
    return (bars("in-the-way", "what is in the way", said, made, axis=axis, whole=True),)


def _money(body: Body) -> tuple[Chart, ...]:
    """What each lot costs until the launch."""
    made, whole = [], 0.0
    for row in rows(body, "cost", "by_lot"):
        total, lot = number(row, "total"), text(row, "lot")
        if total is not None and total > 0 and lot:
            parts = ((key, number(row, key) or 0.0) for key in ("training", "service", "idle", "committed"))
            tip = ", ".join(f"{key} {show_money(value)}" for key, value in parts if value > 0)
            made.append(BarRow(lot, 0.0, total, show_money(total), tip))
            whole += total
    if not made:
        return ()
    shares = "; ".join(f"{row.label} {row.shown} ({show_share(row.end / whole)})" for row in made[:4])
    return (
        bars("cost", "what it costs, by lot", f"Mean cost until the launch: {shares}.", made, axis="$M", scale=1e6),
    )
