"""The colours of charts, light and dark: a Vega-Lite configuration that is kept apart from what is drawn.

Every pair of a colour and its ground has a contrast of 3 at least, text of 4.5 (WCAG 2.2, criteria 1.4.11 and 1.4.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Theme = Literal["light", "dark"]

FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Colours:
    """Of one theme. ground: behind everything; text, quiet: words; line: axes and grid; track: what is not used;
    mark: where there is one colour; limit: what may not be passed; good: what is chosen or reached; many: kinds.
    """

    ground: str
    text: str
    quiet: str
    line: str
    track: str
    mark: str
    limit: str
    good: str
    many: tuple[str, ...]


LIGHT = Colours(
    ground="#ffffff",
    text="#1b2128",
    quiet="#525c66",
    line="#d5dae0",
    track="#e4e8ec",
    mark="#1f6fb4",
    limit="#b03a06",
    good="#00734f",
    many=("#1f6fb4", "#a85a08", "#00815c", "#8e4aa8", "#b2412e", "#5e6a75", "#7a6d00", "#c2408a"),
)
DARK = Colours(
    ground="#14181d",
    text="#e8ecf0",
    quiet="#a7b1bb",
    line="#333b44",
    track="#2a323a",
    mark="#5aaef2",
    limit="#ff9466",
    good="#4fd3a4",
    many=("#5aaef2", "#f0a044", "#4fd3a4", "#c99be6", "#ff8a75", "#a7b1bb", "#d6c64e", "#f28cc0"),
)
COLOURS: dict[Theme, Colours] = {"light": LIGHT, "dark": DARK}


def theme(name: Theme) -> dict[str, object]:
    """The configuration of a theme: colours, type and lines."""
    c = COLOURS[name]
    return {
        "background": c.ground,
        "font": FONT,
        "view": {"stroke": None},
        "padding": 6,
        "title": {"color": c.text, "fontSize": 15, "fontWeight": 600, "anchor": "start", "offset": 12, "frame": "group"}
        | {"subtitleColor": c.quiet, "subtitleFontSize": 12},
        "axis": {"labelColor": c.quiet, "titleColor": c.text, "labelFontSize": 12, "titleFontSize": 12}
        | {"titleFontWeight": 500, "gridColor": c.line, "domainColor": c.quiet, "tickColor": c.quiet}
        | {"labelOverlap": True, "titlePadding": 8, "gridOpacity": 0.8},
        "legend": {"labelColor": c.text, "titleColor": c.text, "labelFontSize": 12, "titleFontSize": 12}
        | {"orient": "top", "direction": "horizontal", "symbolStrokeWidth": 2, "labelLimit": 240},
        "range": {"category": list(c.many)},
        "mark": {"color": c.mark},
        "text": {"color": c.text, "font": FONT, "fontSize": 12},
        "rule": {"color": c.quiet},
        "line": {"strokeWidth": 2},
        "point": {"filled": True, "size": 60, "opacity": 1},
        "style": {
            "track": {"color": c.track},
            "mark": {"color": c.mark},
            "alert": {"color": c.limit},
            "good": {"color": c.good},
            "edge": {"stroke": c.text, "strokeWidth": 1.5},
            "limit": {"color": c.limit, "strokeDash": [5, 3], "strokeWidth": 1.5},
            "limit-text": {"color": c.limit},
            "good-line": {"color": c.good, "strokeDash": [2, 3], "strokeWidth": 1.5},
            "good-text": {"color": c.good, "fontWeight": 600},
            "quiet": {"color": c.quiet},
            "on-mark": {"color": c.ground},
            "halo": {"color": c.ground, "stroke": c.ground, "strokeWidth": 8, "strokeJoin": "round"},
        },
    }
