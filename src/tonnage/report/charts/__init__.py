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

DRAWN = ("accuracy", "compare", "fit", "launch", "lawful", "ledger", "qualify", "serve", "show", "simulate", "train")
"""Verbs with charts; the module of that name draws them."""


def charts_of(answer: Reply | Mapping[str, object]) -> tuple[Chart, ...]:
    """The charts of a reply, or of an answer as JSON; none where a verb has none, or nothing is there to draw."""
    from tonnage.report.envelope import Reply, envelope, plain

    body: Mapping[str, object] = plain(envelope(answer)) if isinstance(answer, Reply) else answer
    name = body.get("command")
    if name not in DRAWN:
        return ()
    draw = importlib.import_module(f"tonnage.report.charts.{name}").charts
    return cast("Callable[[Mapping[str, object]], tuple[Chart, ...]]", draw)(body)
