"""Pictures of an answer in characters, for a terminal: bars of memory, of a step and of waiting, the frontier.

Each is made of the answer's own numbers and says in words what it shows; what a mark means stands beside it, and no
colour is needed. A terminal without block characters gets `#`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tonnage.printable import printable
from tonnage.report.answer import WIDTH, Answer
from tonnage.report.charts.reading import numbers
from tonnage.report.memory import room_there
from tonnage.units import show_memory, show_number, show_share, show_time

EIGHTHS = " ▏▎▍▌▋▊▉█"
"""A cell filled by so many eighths (Unicode, Block Elements)."""

LEAST_BAR, MOST_BAR = 8, 60
"""Characters of a bar: with fewer there is none, more say no more."""

HEIGHT, MOST_WIDE = 12, 72
"""Lines and characters of the frontier."""

MEMORY = ("weights", "gradients", "optimizer", "kv_cache", "activations", "buffers", "slack")
"""Parts of an accelerator's memory, in the order in which they are told."""

STEP = "where the step goes"
"""Title of the bars of a step; a table of that title says the same."""

WAITED = {"ttft": "time to the first token", "tpot": "time per output token", "e2e": "whole request"}
"""What requests of a simulation wait for."""

MARKS = {"aggregated": "o", "disaggregated": "x", "afd": "+", "prefill": "p", "decode": "d"}
CHOSEN, OTHER = "@", "."
"""Marks of the frontier by mode, of the plan itself, and of a mode that has none."""


@dataclass(frozen=True)
class TextBar:
    """One line: a value from 0 up, and what stands behind it."""

    label: str
    value: float
    text: str


def drawn(body: Mapping[str, object], width: int, *, blocks: bool = True) -> tuple[str, ...]:
    """Every picture of an answer, as lines of at most `width`; empty where it has none."""
    made = [
        _memory(body, width, blocks),
        _step(body, width, blocks),
        _frontier(body, width),
        _waiting(body, width, blocks),
    ]
    lines: list[str] = []
    for picture in filter(None, made):
        lines += ["", *picture] if lines else picture
    return tuple(printable(line) for line in lines)


def has_blocks(encoding: str | None) -> bool:
    """Whether an encoding has the characters of bars."""
    try:
        EIGHTHS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def with_pictures(answer: Answer, body: Mapping[str, object], *, blocks: bool) -> Answer:
    """The answer with its pictures, if it has none of its own; a table that says the same is left out."""
    if answer.picture is not None or not drawn(body, WIDTH, blocks=blocks):
        return answer
    tables = tuple(table for table in answer.tables if table.title != STEP)
    return replace(answer, tables=tables, picture=lambda width: drawn(body, width, blocks=blocks))


def bar(share: float, cells: int, *, blocks: bool) -> str:
    """A bar of so many cells at most; something where there is anything at all."""
    eighths = round(max(0.0, min(share, 1.0)) * cells * 8)
    if not blocks:
        return "#" * (max(1, round(eighths / 8)) if share > 0 else 0)
    eighths = max(1, eighths) if share > 0 else 0
    return EIGHTHS[8] * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")


def bars(title: str, rows: Sequence[TextBar], width: int, whole: float, *, blocks: bool) -> list[str]:
    """A title and a line for each row; whole: the value of a full bar. A narrow terminal has the figures only."""
    labels = max(len(row.label) for row in rows)
    cells = min(MOST_BAR, width - 2 - labels - 2 - 2 - max(len(row.text) for row in rows))
    lines = [title[:width]]
    for row in rows:
        shown = bar(row.value / whole if whole else 0.0, cells, blocks=blocks) if cells >= LEAST_BAR else ""
        padded = f"{shown:{cells}}  " if cells >= LEAST_BAR else ""
        lines.append(f"  {row.label:{labels}}  {padded}{row.text}"[:width].rstrip())
    return lines


def _memory(body: Mapping[str, object], width: int, blocks: bool) -> list[str]:
    held = numbers(body, "memory")
    capacity, total = room_there(held), held.get("total")
    parts = [(name.replace("_", " "), held[name]) for name in MEMORY if held.get(name, 0.0) > 0]
    if not parts or capacity is None or total is None:
        return []
    parts.append(("free", capacity - total) if total <= capacity else ("too much", total - capacity))
    rows = [TextBar(name, size, f"{show_memory(size)}, {show_share(size / capacity)}") for name, size in parts]
    title = f"memory of one accelerator: {show_memory(total)} of {show_memory(capacity)}"
    return bars(title, rows, width, max(capacity, total), blocks=blocks)


def _step(body: Mapping[str, object], width: int, blocks: bool) -> list[str]:
    """Where a step goes, the most first."""
    parts = sorted(numbers(body, "breakdown").items(), key=lambda item: -item[1])
    parts = [(name, value) for name, value in parts if value > 0]
    if not parts:
        return []
    shares = body.get("command") == "serve"
    whole = sum(value for _, value in parts)
    rows = [
        TextBar(name.replace("_", " "), v, show_share(v) if shares else f"{show_time(v)}, {show_share(v / whole)}")
        for name, v in parts
    ]
    return bars(STEP, rows, width, parts[0][1], blocks=blocks)


def _waiting(body: Mapping[str, object], width: int, blocks: bool) -> list[str]:
    """Percentiles of what requests waited, each kind on a scale of its own."""
    if body.get("command") != "simulate":
        return []
    lines: list[str] = []
    for kind, title in (
        ("ttft", "time to the first token"),
        ("tpot", "time per output token"),
        ("e2e", "whole request"),
    ):
        found = numbers(body, kind)
        rows = [TextBar(at, found[at], show_time(found[at])) for at in ("p50", "p90", "p95", "p99") if at in found]
        if rows:
            lines += bars(f"{title} ({kind})", rows, width, max(row.value for row in rows), blocks=blocks)
    return lines


# ---------------------------------------------------------------- the frontier


def _frontier(body: Mapping[str, object], width: int) -> list[str]:
    """Tokens/s of a user to the right, tokens/s of an accelerator upwards; the plan is marked."""
    rows = body.get("frontier")
    points = [point for row in rows if (point := _point(row))] if isinstance(rows, (list, tuple)) else []
    if len(points) < 3:
        return []
    top, right = max(y for _, y, _ in points), max(x for x, _, _ in points)
    edge = max(len(show_number(top)), 4)
    columns = min(MOST_WIDE, width - edge - 3)
    cells = [[" "] * columns for _ in range(HEIGHT)]
    for x, y, mark in sorted(points, key=lambda point: point[2] == CHOSEN):
        cells[HEIGHT - 1 - round(y / top * (HEIGHT - 1))][round(x / right * (columns - 1))] = mark
    names = {mark: name for name, mark in MARKS.items() if any(point[2] == mark for point in points)}
    names |= {CHOSEN: "this plan"} if any(point[2] == CHOSEN for point in points) else {}
    key = ", ".join(f"{mark} {name}" for mark, name in names.items())
    lines = ["frontier: tokens/s of an accelerator over tokens/s of a user"[:width], f"  {key}"[:width]]
    for index, row in enumerate(cells):
        label = show_number(top) if index == 0 else "0" if index == HEIGHT - 1 else ""
        lines.append(f"{label:>{edge}} |{''.join(row)}".rstrip())
    end = f"{show_number(right)} tokens/s of a user"
    lines.append(f"{'':{edge}} +{'-' * columns}")
    lines.append(f"{'':{edge}}  0{end:>{columns - 1}}")
    return lines


def _point(row: object) -> tuple[float, float, str] | None:
    """(x, y, mark) of a row of the frontier."""
    if not isinstance(row, Mapping):
        return None
    x, y = row.get("tokens_per_second_per_user"), row.get("output_tokens_per_second_per_accelerator")
    if not isinstance(x, (int, float)) or not isinstance(y, (int, float)) or not (x > 0 and y > 0):
        return None
    return float(x), float(y), CHOSEN if row.get("chosen") else MARKS.get(str(row.get("mode")), OTHER)
