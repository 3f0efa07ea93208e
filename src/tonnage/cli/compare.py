"""`tonnage compare A.json B.json`: what differs between two saved answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tonnage.cli.common import COMMON, Common, Result, finish
from tonnage.cli.saved import leaves, read_answer
from tonnage.report.answer import Answer, Table

SHOWN = 40


def compare(first: Path, second: Path, /, *, common: Common = COMMON) -> int:
    """What differs between two saved answers: their inputs first, then their results, largest change first.

    Parameters
    ----------
    first
        a result saved with `-o FILE.json`.
    second
        another one.
    """
    changes = differences(read_answer(first), read_answer(second))
    inputs = [change for change in changes if change["path"].startswith("inputs")]
    results = [change for change in changes if not change["path"].startswith("inputs")]
    sentence = (
        f"{len(inputs)} inputs and {len(results)} results differ." if changes else "The two answers are the same."
    )
    tables = tuple(_table(title, rows) for title, rows in (("inputs", inputs), ("results", results)) if rows)
    answer = Answer(sentence, tables=tables, records=tuple(changes))
    given = {"first": str(first), "second": str(second)}
    return finish(Result("compare", given, {"differences": changes}, answer), common)


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    """Leaves that differ: path, first, second, and their ratio where both are numbers; largest ratio first."""
    a, b = leaves(first), leaves(second)
    changed = [path for path in dict.fromkeys([*a, *b]) if a.get(path) != b.get(path) and "seconds" not in path]
    rows = [{"path": p, "first": a.get(p), "second": b.get(p), "ratio": _ratio(a.get(p), b.get(p))} for p in changed]
    return sorted(rows, key=lambda row: -abs((row["ratio"] or 1.0) - 1.0))


def _ratio(first: Any, second: Any) -> float | None:
    both = [value for value in (first, second) if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return second / first if len(both) == 2 and first else None


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    cells = tuple(
        (row["path"], _cell(row["first"]), _cell(row["second"]), _change(row["ratio"])) for row in rows[:SHOWN]
    )
    note = f"and {len(rows) - SHOWN} more (--json or --csv has them all)" if len(rows) > SHOWN else ""
    return Table(title, ("what", "first", "second", "change"), cells, note)


def _cell(value: Any) -> str:
    text = "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 36 else text[:35] + "…"


def _change(ratio: float | None) -> str:
    return "" if ratio is None else f"{100 * (ratio - 1):+.1f} %"
