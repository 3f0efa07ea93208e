"""Which charts an answer has: the module named after its verb draws them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from tonnage.report.charts.chart import Chart

if TYPE_CHECKING:
    from collections.abc import Callable

    from tonnage.report.envelope import Reply
    from tonnage.shown import ShownResult

DRAWN = ("accuracy", "compare", "fit", "launch", "lawful", "ledger", "qualify", "serve", "show", "simulate", "train")
"""Verbs with charts; the module of that name draws them."""


def charts_of(answer: Reply | ShownResult | Mapping[str, object]) -> tuple[Chart, ...]:
    """The charts of a plan, of a reply, or of an answer as JSON; none where a verb has none, or nothing is there to
    draw.
    """
    from tonnage.report.envelope import Reply, envelope, plain
    from tonnage.shown import ShownResult

    if isinstance(answer, ShownResult):
        from tonnage.report.told import told

        answer = told(answer)
    body: Mapping[str, object] = plain(envelope(answer)) if isinstance(answer, Reply) else answer
    name = body.get("command")
    if name not in DRAWN:
        return ()
    draw = importlib.import_module(f"tonnage.report.charts.{name}").charts
    return cast("Callable[[Mapping[str, object]], tuple[Chart, ...]]", draw)(body)
