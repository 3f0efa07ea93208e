"""Where the time of a step goes: its parts, largest first."""

from __future__ import annotations

from tonnage.report.charts.bars import BarRow, bars
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.reading import Body, numbers
from tonnage.units import show_share, show_time


def breakdown(body: Body, title: str = "where a step goes", name: str = "breakdown") -> tuple[Chart, ...]:
    """Parts of a step with their share, largest first; none where nothing is known."""
    parts = sorted(
        ((name.replace("_", " "), size) for name, size in numbers(body, "breakdown").items() if size > 0),
        key=lambda part: -part[1],
    )
    whole = sum(size for _, size in parts)
    if not whole:
        return ()
    rows = [
        BarRow(
            label, 0.0, size, f"{show_time(size)}, {show_share(size / whole)}", f"{show_share(size / whole)} of a step"
        )
        for label, size in parts
    ]
    first = ", ".join(f"{label} {show_share(size / whole)}" for label, size in parts[:3])
    unit, scale = ("s", 1.0) if whole >= 2 else ("ms", 1e-3)
    said = f"A step takes {show_time(whole)}: {first}."
    return (bars(name, title, said, rows, axis=unit, scale=scale),)
