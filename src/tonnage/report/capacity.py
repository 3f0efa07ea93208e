"""Room for the cache as engines log it, and what is predicted for it, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tonnage.report.answer import Answer, Table
from tonnage.truth.capacity import median_and_90th

if TYPE_CHECKING:
    from tonnage.truth.capacity import CapacityRow

WORST = 12
"""Rows shown of those that are furthest off."""

TITLES = {"engine": "by engine and version", "kinds": "by kind of cache", "what": "by what is compared"}


def answer(rows: Sequence[CapacityRow]) -> Answer:
    """How far off, by engine and version and by kind of cache; the rows that are furthest off."""
    stated = [row for row in rows if not row.log.outlier]
    sentence = (
        f"Over {len(stated)} logged capacities that state their settings, median / 90th percentile, we miss by "
        f"{pair(stated)}; over all {len(rows)} by {pair(rows)}."
    )
    tables = (by("engine", rows), by("kinds", rows), by("what", rows), _worst(rows))
    return Answer(sentence, tables=tables, records=tuple(records(rows)))


def pair(rows: Sequence[CapacityRow]) -> str:
    """`0.5 / 6.9 %`."""
    median, most = median_and_90th(rows)
    return f"{100 * median:.1f} / {100 * most:.1f} %"


def by(field: str, rows: Sequence[CapacityRow]) -> Table:
    """Errors by a field of the logs: engine and version, or kind of cache."""
    title = TITLES[field]
    cells = []
    for name in sorted({getattr(row.log, field) for row in rows}):
        mine = [row for row in rows if getattr(row.log, field) == name]
        good = [row for row in mine if not row.log.outlier]
        cells.append((name, str(len(mine)), str(len(mine) - len(good)), pair(good) if good else "-", pair(mine)))
    return Table(title, ("", "logs", "left out", "median / 90th", "with those left out"), tuple(cells))


def _worst(rows: Sequence[CapacityRow]) -> Table:
    most = sorted(rows, key=lambda row: -abs(row.error))[:WORST]
    cells = tuple(
        (f"{100 * row.error:+.1f} %", row.log.name, f"{row.log.printed:,.6g} {row.log.unit}", row.log.note or "-")
        for row in most
    )
    return Table("furthest off", ("error", "what", "logged", "note"), cells)


def records(rows: Sequence[CapacityRow]) -> list[dict[str, object]]:
    """Every row as it is written to JSON and CSV."""
    named = ("name", "engine", "kinds", "what", "unit", "printed", "outlier", "source", "note")
    return [
        {**{name: getattr(row.log, name) for name in named}, "predicted": row.predicted, "error": row.error}
        for row in rows
    ]


def to_json(rows: Sequence[CapacityRow]) -> dict[str, object]:
    """Every row, and the errors."""
    stated = [row for row in rows if not row.log.outlier]
    names = ("median", "percentile_90")
    return {
        "stated": dict(zip(names, median_and_90th(stated), strict=True)),
        "all": dict(zip(names, median_and_90th(rows), strict=True)),
        "rows": records(rows),
    }
