"""Charts of every answer: pure functions from an answer's JSON to Vega-Lite values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.lazily import opened

if TYPE_CHECKING:
    from tonnage.report.charts.chart import MIME, Chart, themed
    from tonnage.report.charts.drawn import DRAWN, charts_of
    from tonnage.report.charts.themes import Theme, theme

__all__ = ["DRAWN", "MIME", "Chart", "Theme", "charts_of", "theme", "themed"]

opened(
    __name__,
    {
        "chart": "MIME Chart themed",
        "drawn": "DRAWN charts_of",
        "themes": "Theme theme",
    },
)
