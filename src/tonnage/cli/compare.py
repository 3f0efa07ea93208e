"""`tonnage compare A.json B.json`: what differs between two saved answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tonnage.cli.common import COMMON, Common, Result, check_outputs, finish
from tonnage.cli.saved import leaves, read_answer
from tonnage.report.answer import Answer, Table

SHOWN = 40
HEADLINES = (
    "inputs", "command", "outcome", "binds", "layout", "prefill_layout", "degrees", "step_time", "wall_time", "mfu",
    "ttft", "tpot", "max_context", "max_batch", "requests_per_second", "tokens_per_second_per_accelerator",
    "output_tokens_per_second_per_accelerator", "input_tokens_per_second_per_accelerator",
    "model_flops_per_second_per_accelerator", "launch", "launches", "trained_on", "memory", "cost", "price",
    "accelerator_hours", "energy", "power", "goodput", "accelerators", "used", "batch_per_accelerator", "breakdown",
)  # fmt: skip
"""What an answer is read for, by the first part of its path, in the order in which it is read."""

LISTS = (
    "calendar", "alternatives", "sensitivity", "frontier", "timeline", "speeds", "throughputs", "spans",
    "distribution", "definitions", "assumptions", "sources",
)  # fmt: skip
"""Long lists, whose entries stand last: an entry of one answer need not be about the same thing as in another."""


def compare(first: Path, second: Path, /, *, common: Common = COMMON) -> int:
    """What differs between two saved answers: their inputs first, then their results, headlines first.

    Parameters
    ----------
    first
        a result saved with `-o FILE.json`.
    second
        another one.
    """
    check_outputs(common)
    answers = read_answer(first), read_answer(second)
    changes = differences(*answers)
    inputs = [change for change in changes if change["path"].startswith("inputs")]
    results = [change for change in changes if not change["path"].startswith("inputs")]
    sentence = "The two answers are the same."
    if changes:
        sentence = f"{_counted(len(inputs), 'input')} and {_counted(len(results), 'result')} differ."
    commands = [str(answer["command"])[:40] for answer in answers]
    if commands[0] != commands[1]:
        sentence = f"These answer two different commands, {commands[0]} and {commands[1]}: {sentence}"
    tables = tuple(_table(title, rows) for title, rows in (("inputs", inputs), ("results", results)) if rows)
    answer = Answer(sentence, tables=tables, records=tuple(changes))
    given = {"first": str(first), "second": str(second)}
    return finish(Result("compare", given, {"differences": changes}, answer), common)


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    """Leaves that differ: path, first, second, and their ratio where both are numbers.

    What an answer is read for comes first, entries of long lists last; among equals the largest change. What `plan`
    keeps is left out: it says the same again.
    """
    a, b = (leaves({key: value for key, value in one.items() if key != "plan"}) for one in (first, second))
    changed = [path for path in dict.fromkeys([*a, *b]) if a.get(path) != b.get(path) and "seconds" not in path]
    rows = [{"path": p, "first": a.get(p), "second": b.get(p), "ratio": _ratio(a.get(p), b.get(p))} for p in changed]
    return sorted(rows, key=lambda row: (_rank(row["path"]), -abs((row["ratio"] or 1.0) - 1.0)))


def _rank(path: str) -> int:
    """Place of a leaf in the list of differences: headlines, then the rest, then entries of lists."""
    stem = re.split(r"[.\[]", path, maxsplit=1)[0]
    if stem in LISTS:
        return len(HEADLINES) + 2 + LISTS.index(stem)
    for rank, headline in enumerate(HEADLINES):
        if stem == headline or stem.startswith(f"{headline}_"):
            return rank
    return len(HEADLINES) + ("[" in path)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


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
