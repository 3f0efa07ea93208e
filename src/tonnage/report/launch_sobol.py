"""Sobol indices of a launch as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage import units
from tonnage.report.answer import Table

if TYPE_CHECKING:
    from tonnage.fleet.plan import LaunchPlan

SHOWN = 8


def table(plan: LaunchPlan) -> Table:
    """The inputs with the largest total index; no rows where none was asked for."""
    rows = tuple(
        (
            item.name,
            item.text,
            _share(item.first, item.first_low, item.first_high),
            _share(item.total, item.total_low, item.total_high),
        )
        for item in plan.sobol[:SHOWN]
        if item.total > 0
    )
    note = (
        "alone: gone once it is known; with others: left while it alone is not; 90 % in brackets. A launch after the "
        "horizon, or none, counts as one on its last day"
    )
    return Table("share of the variance of the launch day", ("input", "as given", "alone", "with others"), rows, note)


def _share(value: float, low: float, high: float) -> str:
    """A share with its interval: an estimate may lie a little below 0."""
    return (
        f"{units.show_share(max(value, 0.0))} ({units.show_share(max(low, 0.0))} to {units.show_share(max(high, 0.0))})"
    )
