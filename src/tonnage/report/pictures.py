"""Charts as PNG and SVG, drawn by vl-convert: the same value that a page draws."""

from __future__ import annotations

from tonnage.errors import InputError, Problem, nearest
from tonnage.report.charts import Chart, Theme, themed
from tonnage.report.charts.chart import WIDTH
from tonnage.report.extras import needed

VEGA_LITE = "6.4"
"""Version of Vega-Lite that draws: the one that a page carries (scripts/vendor.py)."""

SCALE = 2.0
"""Pixels of a PNG for one of the chart: sharp on a screen that has two."""


def picked(charts: tuple[Chart, ...], name: str | None) -> Chart:
    """The chart of a name, or the first. Raises InputError with the nearest name, and where there is none."""
    if not charts:
        raise InputError(Problem("this answer has no chart"))
    if name is None:
        return charts[0]
    names = [chart.name for chart in charts]
    if name not in names:
        text = f'no chart named "{name[:60]}" here; there are {", ".join(names)}'
        raise InputError(Problem(text, "--chart", suggestion=nearest(name, names)))
    return charts[names.index(name)]


def draw(chart: Chart, ending: str, theme: Theme = "light", width: float = WIDTH) -> bytes:
    """A chart as a picture."""
    tool, spec = needed(ending), themed(chart, theme, width)
    if ending == ".svg":
        made: str = tool.vegalite_to_svg(spec, vl_version=VEGA_LITE)
        return made.encode("utf-8")
    drawn: bytes = tool.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=SCALE)
    return drawn
