"""The shape of every answer: a sentence, then numbers, why, doubt, and the next command.

A verb fills an `Answer`; `render` prints it for people, `to_csv` gives its table to programs.
"""

from __future__ import annotations

import csv
import io
import textwrap
from dataclasses import dataclass, field

WIDTH = 118


@dataclass(frozen=True)
class Table:
    """A small table under a title; cells are text already. `note` is printed below it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Answer:
    """What a person reads.

    sentence: the answer; rows: (label, text) lines such as ("memory", "88.4 of 96 GB: ..."); tables; picture: lines
    drawn for the terminal; hints: next commands; records: the main table with full numbers, for CSV; feasible: False
    colours the sentence as a no.
    """

    sentence: str
    rows: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    picture: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    records: tuple[dict[str, object], ...] = field(default=())
    feasible: bool = True


def render(answer: Answer, saved: tuple[str, ...] = (), *, color: bool = False) -> str:
    """The answer as text, at most `WIDTH` wide except for tables that are wider by nature."""
    lines = [_paint(line, answer.feasible, color) for line in textwrap.wrap(answer.sentence, WIDTH)]
    if answer.rows:
        lines += ["", *_rows(answer.rows)]
    for table in answer.tables:
        lines += ["", *_table(table)]
    if answer.picture:
        lines += ["", *answer.picture]
    if answer.hints or saved:
        lines.append("")
    lines += [line for hint in answer.hints for line in _wrap(f"hint: {hint}", WIDTH, "      ")]
    lines += [f"saved: {path}" for path in saved]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Lines that break between words, never inside a flag."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _paint(text: str, good: bool, color: bool) -> str:
    return f"\x1b[1;{32 if good else 31}m{text}\x1b[0m" if color else text


def _rows(rows: tuple[tuple[str, str], ...]) -> list[str]:
    width = max(len(label) for label, _ in rows) + 2
    lines: list[str] = []
    for label, text in rows:
        wrapped = _wrap(text, WIDTH - width - 2) or [""]
        lines.append(f"  {label:<{width}}{wrapped[0]}")
        lines += [" " * (width + 2) + line for line in wrapped[1:]]
    return lines


def _table(table: Table) -> list[str]:
    grid = [table.header, *table.rows]
    widths = [max(len(row[i]) for row in grid) for i in range(len(table.header))]
    right = [_numeric([row[i] for row in table.rows]) for i in range(len(table.header))]
    lines = [table.title]
    for row in grid:
        cells = (f"{cell:>{w}}" if r else f"{cell:<{w}}" for cell, w, r in zip(row, widths, right, strict=True))
        lines.append("  " + "  ".join(cells))
    lines += ["  " + line for line in textwrap.wrap(table.note, WIDTH - 2)] if table.note else []
    return lines


def _numeric(cells: list[str]) -> bool:
    """Whether a column reads better aligned right: most of its cells begin with a digit, sign or currency."""
    filled = [cell for cell in cells if cell and cell != "-"]
    return bool(filled) and sum(cell[0] in "+-−$0123456789<>~" for cell in filled) >= 0.7 * len(filled)


def to_csv(answer: Answer) -> str:
    """The answer's records as CSV; with none, its rows as label and text. No cell runs in a spreadsheet."""
    out = io.StringIO()
    records = answer.records or tuple({"what": label, "value": text} for label, text in answer.rows)
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{name: _inert(value) for name, value in record.items()} for record in records])
    return out.getvalue()


def _inert(value: object) -> object:
    """Text that begins like a spreadsheet formula gets an apostrophe, so that opening the CSV runs nothing."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "@", "\t") else value
