"""What differs between two answers: which inputs changed, then the results, largest first, in people's units."""

from __future__ import annotations

import datetime
import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from tonnage import files, units
from tonnage.ask.saved import leaves
from tonnage.errors import InputError
from tonnage.report.answer import Answer, Table

SHOWN = 40
NOTHING = 1e-12
"""Below which a number is what is left of sums that cancel: far under a cent, a second or a share of any answer."""
HEADLINES = (
    "command", "outcome", "binds", "layout", "prefill_layout", "step_time", "wall_time", "duration", "mfu",
    "ttft", "tpot", "max_context", "max_batch", "requests_per_second", "tokens_per_second_per_accelerator",
    "output_tokens_per_second_per_accelerator", "input_tokens_per_second_per_accelerator",
    "model_flops_per_second_per_accelerator", "launch", "launches", "trained_on", "memory", "cost", "price",
    "accelerator_hours", "energy", "power", "goodput", "accelerators", "used", "batch_per_accelerator", "breakdown",
)  # fmt: skip
"""What an answer is read for, by the first part of its path."""

LISTS = (
    "calendar", "alternatives", "sensitivity", "sobol", "frontier", "timeline", "speeds", "throughputs", "spans",
    "distribution", "definitions", "assumptions", "sources", "days", "values",
)  # fmt: skip
"""Long lists, whose entries stand last: an entry of one answer need not be about the same thing as in another."""

UNSEEN = ("plan", "catalog", "version")
"""What is not compared leaf by leaf: the plan says the same as the other keys, and digests have no size."""

TOLD_BY = (
    ("key",),
    ("what",),
    ("lot",),
    ("name",),
    ("p",),
    ("kind", "about"),
    ("from",),
    ("use", "model", "chip", "accelerators"),
)
"""What entries of a list are told apart by, where they have it and no two have the same: an entry of one answer is then
held against the one about the same thing in the other, wherever it stands."""

Row = dict[str, Any]


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Row]:
    """Leaves that differ: path, first, second, their ratio where both are numbers, and days where both are dates.

    Inputs come first, those of a programme by their place in its file; then what an answer is read for, the largest
    change first; then the rest; entries of long lists last.
    """
    a, b = ({**_asked(answer), **_said(answer)} for answer in (first, second))
    changed = [path for path in dict.fromkeys([*a, *b]) if a.get(path) != b.get(path)]
    rows = [_row(path, a.get(path), b.get(path)) for path in changed]
    return sorted(rows, key=lambda row: (_rank(row["path"]), -_size(row)))


def _asked(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs by path; those of a programme are the leaves of its text, where the answer holds it."""
    found = {f"inputs.{path}": value for path, value in leaves(answer.get("inputs") or {}).items()}
    plan = answer.get("plan")
    text = plan.get("programme_text") if isinstance(plan, Mapping) else None
    if isinstance(text, str):
        try:
            read = files.parse_yaml(text, "programme").value
        except InputError:
            return found
        found |= {f"inputs.programme.{path}": value for path, value in leaves(_named(read)).items()}
    return found


def _named(value: Any) -> Any:
    """Lists of things with a name as mappings by name, so that an inserted lot moves no other."""
    if isinstance(value, Mapping):
        return {str(key): _named(item) for key, item in value.items()}
    if isinstance(value, list):
        names = [str(item["lot"]) if isinstance(item, Mapping) and "lot" in item else None for item in value]
        if all(names) and len(set(names)) == len(names):
            return {name: _named(item) for name, item in zip(names, value, strict=True)}
        return [_named(item) for item in value]
    return str(value)


def _said(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Results by path; what a cause is called says the same as its number in words, and is left out."""
    kept = {key: value for key, value in answer.items() if key not in (*UNSEEN, "inputs")}
    found = {path.replace(".[", "["): value for path, value in leaves(_told(kept)).items()}
    return {path: value for path, value in found.items() if not re.search(r"(^|\.)seconds$|^binds\[.*\]\.text$", path)}


def _told(value: Any) -> Any:
    """Lists as mappings by what tells their entries apart, where something does."""
    if isinstance(value, Mapping):
        return {key: _told(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    for fields in TOLD_BY:
        if not all(isinstance(item, Mapping) and all(field in item for field in fields) for item in value):
            continue
        names = [" ".join(str(item[field]) for field in fields) for item in value]
        if value and len(set(names)) == len(names):
            return {f"[{name}]": _told(item) for name, item in zip(names, value, strict=True)}
    return [_told(item) for item in value]


def _row(path: str, first: Any, second: Any) -> Row:
    row: Row = {"path": path, "first": first, "second": second, "ratio": _ratio(first, second)}
    days = _days(first, second)
    return row | ({"days": days} if days is not None else {})


def _rank(path: str) -> int:
    """Place of a leaf in the list of differences: inputs, headlines, the rest, entries of lists."""
    return _rank_of(path.partition(".")[0].partition("[")[0])


@functools.cache
def _rank_of(stem: str) -> int:
    if stem == "inputs":
        return 0
    if stem in LISTS:
        return 3 + LISTS.index(stem)
    read = any(stem == headline or stem.startswith(f"{headline}_") for headline in HEADLINES)
    return 1 if read else 2


def _size(row: Row) -> float:
    """How large a change is: the logarithm of a ratio; a date by its days over a year. A word and what came or went
    stands before all numbers, a sentence after them.
    """
    if row.get("days") is not None:
        return abs(float(row["days"])) / 365.0
    if any(isinstance(row[side], str) and " " in row[side].strip() for side in ("first", "second")):
        return -1.0
    ratio = row["ratio"]
    return abs(math.log(ratio)) if ratio and ratio > 0 else math.inf


def _ratio(first: Any, second: Any) -> float | None:
    both = [value for value in (first, second) if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return second / first if len(both) == 2 and first else None


def _days(first: Any, second: Any) -> int | None:
    """Days from one date to another, where both are dates."""
    try:
        return (datetime.date.fromisoformat(str(second)) - datetime.date.fromisoformat(str(first))).days
    except ValueError:
        return None


def answer(commands: tuple[str, str], changes: list[Row]) -> Answer:
    """The differences in words and two tables."""
    asked = [row for row in changes if row["path"].startswith("inputs.")]
    said = [row for row in changes if not row["path"].startswith("inputs.")]
    sentence = "The two answers are the same."
    if changes:
        sentence = f"{_counted(len(asked), 'input')} and {_counted(len(said), 'result')} differ."
    if commands[0] != commands[1]:
        sentence = f"These answer two different commands, {commands[0]} and {commands[1]}: {sentence}"
    return Answer(sentence, tables=tables(changes, commands[0]), records=tuple(changes))


def tables(changes: list[Row], command: str) -> tuple[Table, ...]:
    """Differences as tables: inputs, then results; command: whose answers they are."""
    asked = [row for row in changes if row["path"].startswith("inputs.")]
    said = [row for row in changes if not row["path"].startswith("inputs.")]
    shown = [row for row in said if _rank(row["path"]) < 3] or said
    found = (
        _table("inputs", asked, len(asked), command),
        _table("results, largest change first", shown, len(said), command),
    )
    return tuple(table for table in found if table.rows)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _table(title: str, rows: list[Row], all_of_them: int, command: str) -> Table:
    cells = [
        (row["path"], *(_cell(row["path"], row[side], command) for side in ("first", "second")), _change(row))
        for row in rows
    ]
    seen = tuple(row for row in cells if row[1] != row[2] or "…" in row[1])[:SHOWN]
    left = all_of_them - len(seen)
    note = f"and {left} more, or less than is shown (--json or --csv has them all)" if left else ""
    return Table(title, ("what", "first", "second", "change"), seen, note)


def _days_long(value: float) -> str:
    return f"{units.show_number(value)} days"


_UNITS: tuple[tuple[str, Callable[[float], str]], ...] = (
    (r"^train breakdown", units.show_time),
    (r"^launch binds\[.*: .*\]\.by$|^launch causes\.|_days(\.|_|$)|[._]days(_|$)", _days_long),
    (r"(^|[ ._])(ttft|tpot|step_time|wall_time|duration)|_time$|checkpoint_interval|between_failures", units.show_time),
    (r"(^|[ .])memory|kv_bytes|_bytes$|kv_cache", units.show_memory),
    (r"[ ._]energy", units.show_energy),
    (r"(^|[ ._])power(_per_accelerator)?$", units.show_power),
    (r"flops_per_second", units.show_flop_rate),
    (r"[ ._]params$", units.show_count),
    (r"(^|[ ._])price(_per_accelerator)?(\.(value|low|high))?$", units.show_price),
    (r" cost|\.cost|cost_per|total_p\d+$|[._]usd_|signed_for$| day\.(revenue|cost|margin)", units.show_money),
    (r"share$| breakdown| goodput| mfu|probability| trained_on| busy", units.show_share),
)
"""How people read a number, by what the command and its path say it is."""


def _cell(path: str, value: Any, command: str) -> str:
    if value is None:
        return "-"
    text = str(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = 0.0 if abs(value) < NOTHING else value
        shows = next((show for pattern, show in _UNITS if re.search(pattern, f"{command} {path}")), None)
        text = shows(float(value)) if shows else units.show_number(float(value), 4)
    return text if len(text) <= 36 else text[:35] + "…"


def _change(row: Row) -> str:
    if row.get("days") is not None:
        return f"{row['days']:+d} d"
    return "" if row["ratio"] is None else f"{100 * (row['ratio'] - 1):+.1f} %"
