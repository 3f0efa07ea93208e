"""Charts of every answer: pure functions from an answer's JSON to Vega-Lite values."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from tonnage.report.charts.chart import MIME, Chart, themed
from tonnage.report.charts.themes import Theme, theme

if TYPE_CHECKING:
    from collections.abc import Callable

    from tonnage.report.envelope import Reply

__all__ = ["MIME", "Chart", "Theme", "charts_of", "theme", "themed"]

DRAWN = {
    "fit": "fit",
    "launch": "launch",
    "serve": "serve",
    "train": "train",
}
"""Verbs with charts, and the module that draws them."""


def charts_of(answer: Reply | Mapping[str, object]) -> tuple[Chart, ...]:
    """The charts of a reply, or of an answer as JSON; none where a verb has none, or nothing is there to draw."""
    from tonnage.report.envelope import Reply, envelope, plain

    body: Mapping[str, object] = plain(envelope(answer)) if isinstance(answer, Reply) else answer
    name = DRAWN.get(str(body.get("command")))
    if name is None:
        return ()
    draw = importlib.import_module(f"tonnage.report.charts.{name}").charts
    return cast("Callable[[Mapping[str, object]], tuple[Chart, ...]]", draw)(body)
