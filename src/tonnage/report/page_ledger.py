"""The part of docs/accuracy.md on what was recorded in a ledger and measured."""

from __future__ import annotations

from tonnage.ledger import Errors
from tonnage.report import page
from tonnage.report.ledger import HEADER, READINGS, reading_row, summary_rows

MOST = 200
"""Newest readings that are listed."""

INTRODUCTION = """\
Plans that were recorded before they were carried out, against what was measured of them ([ledger](ledger.md)). One vote
a run; the error is exp|ln(predicted/measured)| - 1, *inside* the share in the interval that is meant to hold so many.
"""


def ledger_page(found: Errors) -> list[str]:
    """Lines of the page; none where nothing was both predicted and measured."""
    if not found.rows:
        return []
    lines = ["## Ledger", "", INTRODUCTION, *page.table(HEADER, summary_rows(found))]
    newest = [reading_row(one) for one in found.rows[-MOST:]]
    return [*lines, "### What was measured", "", *page.table(READINGS, newest)]
