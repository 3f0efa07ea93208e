"""The shape of every answer: a sentence, then numbers, why, doubt, and the next command.

A verb fills an `Answer`; `render` prints it for people, `to_csv` gives its table to programs.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tonnage.printable import printable

WIDTH = 118
"""Characters of a line in files and where no terminal says how wide it is."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
"""First characters that make a spreadsheet read a cell as a formula or a command."""

NUMBER = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?(?: ?%)?|[+-]?\$[\d.,]+[kMBT]?|-")
"""Text that is a number or a dash: a minus before it is no formula."""

BREAKS = re.compile(r"\s+|(?<=,)(?=[^\s\d])")
"""Where a cell of a table may break: between words, and after the commas of a layout, not of a number."""

HERE = "\u200b"
"""A word that is too long for a line may break here (Unicode's own mark of such a place)."""

MANY = 7
"""Columns beyond which a table whose words would have to be broken is told row by row instead."""

FINER = re.compile(r"\s+|(?<=[,_/:;])(?=\S)|(?<=[a-z]-)(?=\w)")
"""Where it may break besides on a narrow line: inside names, after what joins their parts."""

ANYWHERE = re.compile(r"\s+|(?<=\S{9})(?=[^\s\d-])")
"""Where it may break when nothing else fits."""

EVERYWHERE = re.compile(r"\s+|(?<=\S{6})(?=\S)")
"""Between any two characters after the first six, before a line is wider than it may be."""


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

    sentence: the answer; rows: (label, text) lines such as ("memory", "88.4 of 96 GB: ..."); tables; picture: draws
    lines of at most a width for the terminal; hints: next commands; records: the main table with full numbers, for
    CSV; feasible: False colours the sentence as a no.
    """

    sentence: str
    rows: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    picture: Callable[[int], tuple[str, ...]] | None = None
    hints: tuple[str, ...] = ()
    records: tuple[dict[str, object], ...] = field(default=())
    feasible: bool = True


def render(answer: Answer, saved: tuple[str, ...] = (), *, color: bool = False, width: int = WIDTH) -> str:
    """The answer as text, at most `width` wide: cells of tables fold, a picture is drawn for that width."""
    answer = safe(answer)
    lines = [_paint(line, answer.feasible, color) for line in _wrap(answer.sentence, width)]
    if answer.rows:
        lines += ["", *_rows(answer.rows, width)]
    for table in answer.tables:
        lines += ["", *_table(table, width)]
    if answer.picture is not None:
        lines += ["", *map(printable, answer.picture(width))]
    if answer.hints or saved:
        lines.append("")
    lines += [line for hint in answer.hints for line in _wrap(f"hint: {hint}", width, "      ")]
    lines += [f"saved: {printable(path)}" for path in saved]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def safe(answer: Answer) -> Answer:
    """The same answer with nothing in its words that a terminal obeys: names come from files."""
    rows = tuple((printable(label), printable(text)) for label, text in answer.rows)
    return replace(
        answer,
        sentence=printable(answer.sentence),
        rows=rows,
        tables=tuple(_safe_table(table) for table in answer.tables),
        hints=tuple(map(printable, answer.hints)),
    )


def _safe_table(table: Table) -> Table:
    header, rows = (tuple(map(printable, table.header)), tuple(tuple(map(printable, row)) for row in table.rows))
    return Table(printable(table.title), header, rows, printable(table.note))


def _wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Lines that break between words, never inside a flag; a layout that is longer than a line after its commas."""
    words = [word.replace(",", f",{HERE}") if len(word) > width - len(indent) else word for word in text.split(" ")]
    return _Wrapper(width, subsequent_indent=indent, break_on_hyphens=False).wrap(" ".join(words))


class _Wrapper(textwrap.TextWrapper):
    """Breaks where it is told to besides."""

    wordsep_simple_re = re.compile(rf"([\t\n\x0b\x0c\r ]+)|{HERE}")


def _paint(text: str, good: bool, color: bool) -> str:
    return f"\x1b[1;{32 if good else 31}m{text}\x1b[0m" if color else text


def _rows(rows: tuple[tuple[str, str], ...], whole: int) -> list[str]:
    width = max(len(label) for label, _ in rows) + 2
    lines: list[str] = []
    for label, text in rows:
        wrapped = _wrap(text, whole - width - 2) or [""]
        lines.append(f"  {label:<{width}}{wrapped[0]}")
        lines += [" " * (width + 2) + line for line in wrapped[1:]]
    return lines


def _table(table: Table, width: int) -> list[str]:
    columns = range(len(table.header))
    right = [_numeric([row[i] for row in table.rows]) for i in columns]
    grid = [table.header, *table.rows]
    shape = _shape([[row[i] for row in grid] for i in columns], right, width)
    if shape.breaks is EVERYWHERE or (shape.breaks is ANYWHERE and len(columns) > MANY):
        return _stacked(table, width)
    lines = textwrap.wrap(table.title, width)
    for row in grid:
        cells = [_fold(cell, w, shape.breaks) for cell, w in zip(row, shape.widths, strict=True)]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            sized = zip(parts, shape.widths, right, strict=True)
            aligned = (f"{part:>{w}}" if r else f"{part:<{w}}" for part, w, r in sized)
            lines.append(" " * shape.indent + (" " * shape.gap).join(aligned))
    lines += ["  " + line for line in textwrap.wrap(table.note, width - 2)] if table.note else []
    return lines


def _stacked(table: Table, width: int) -> list[str]:
    """A table of many columns in few characters: each row by its name, and below it what it has."""
    lines = textwrap.wrap(table.title, width)
    for first, *rest in table.rows:
        said = ", ".join(f"{name} {cell}" for name, cell in zip(table.header[1:], rest, strict=True) if cell)
        lines += [f"  {line}" for line in _wrap(first, width - 2)]
        lines += [f"    {line}" for line in _wrap(said, width - 4)]
    lines += ["  " + line for line in textwrap.wrap(table.note, width - 2)] if table.note else []
    return lines


@dataclass(frozen=True)
class _Shape:
    """How a table is laid out: widths of its columns, spaces before and between them, where cells break."""

    widths: list[int]
    indent: int
    gap: int
    breaks: re.Pattern[str]


def _shape(columns: list[list[str]], right: list[bool], width: int) -> _Shape:
    """The roomiest layout that fits: two spaces and whole words, then one space, then names in parts, then anything."""
    for indent, gap, breaks in (
        (2, 2, BREAKS), (2, 1, BREAKS), (2, 1, FINER), (2, 1, ANYWHERE), (0, 1, ANYWHERE), (0, 1, EVERYWHERE)
    ):  # fmt: skip
        room = width - indent - gap * (len(columns) - 1)
        widths = _widths(columns, right, room, breaks)
        if sum(widths) <= room:
            break
    return _Shape(widths, indent, gap, breaks)


def _widths(columns: list[list[str]], right: list[bool], room: int, breaks: re.Pattern[str]) -> list[int]:
    """Widths of columns that share `room` characters. Columns of words give way first, then those of numbers; the
    widest together, none below its longest piece.
    """
    natural = [max(map(len, cells)) for cells in columns]
    least = [max((len(piece) for cell in cells for piece in _pieces(cell, breaks)), default=0) for cells in columns]
    for stiff in (right, [False] * len(columns)):
        firm = [whole if keeps else piece for whole, piece, keeps in zip(natural, least, stiff, strict=True)]
        for cap in range(max(natural), 0, -1):
            widths = [max(min(whole, cap), piece) for whole, piece in zip(natural, firm, strict=True)]
            if sum(widths) <= room:
                return widths
    return least


def _pieces(cell: str, breaks: re.Pattern[str]) -> list[str]:
    """What of a cell stays on one line."""
    return [piece for piece in breaks.split(cell) if piece]


def _fold(cell: str, width: int, breaks_at: re.Pattern[str]) -> list[str]:
    """A cell as lines of at most `width` where its pieces allow."""
    lines: list[str] = []
    start = 0
    while len(cell) - start > width:
        breaks = [found.end() for found in breaks_at.finditer(cell, start)]
        breaks = [at - start for at in breaks if at > start]
        fit = [at for at in breaks if len(cell[start : start + at].rstrip()) <= width]
        if not breaks:
            break
        at = fit[-1] if fit else breaks[0]
        lines.append(cell[start : start + at].rstrip())
        start += at
    return [*lines, cell[start:]]


def _numeric(cells: list[str]) -> bool:
    """Whether a column reads better aligned right: most of its cells begin with a digit, sign or currency."""
    filled = [cell for cell in cells if cell and cell != "-"]
    return bool(filled) and sum(cell[0] in "+-−$0123456789<>~" for cell in filled) >= 0.7 * len(filled)


def to_json(answer: Answer) -> dict[str, object]:
    """The answer's words as a JSON object; the numbers stand in the envelope."""
    said = safe(answer)
    tables = [{"title": t.title, "header": t.header, "rows": t.rows, "note": t.note} for t in said.tables]
    return {
        "sentence": said.sentence,
        "feasible": said.feasible,
        "rows": [{"label": label, "text": text} for label, text in said.rows],
        "tables": tables,
        "hints": said.hints,
        "csv": to_csv(said),
    }


def from_json(said: Mapping[str, object], records: tuple[dict[str, object], ...] = ()) -> Answer:
    """The words of an answer, from its JSON; records: its main table, which stands elsewhere."""
    rows = [row for row in _items(said.get("rows")) if isinstance(row, Mapping)]
    tables = [table for table in _items(said.get("tables")) if isinstance(table, Mapping)]
    return Answer(
        str(said.get("sentence")),
        tuple((str(row.get("label")), str(row.get("text"))) for row in rows),
        tuple(map(_table_from, tables)),
        hints=tuple(map(str, _items(said.get("hints")))),
        records=records,
        feasible=said.get("feasible") is not False,
    )


def _table_from(said: Mapping[str, object]) -> Table:
    rows = tuple(tuple(map(str, _items(row))) for row in _items(said.get("rows")))
    header = tuple(map(str, _items(said.get("header"))))
    return Table(str(said.get("title")), header, rows, str(said.get("note") or ""))


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else ()


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
    """Text that begins like a spreadsheet formula gets an apostrophe, so that opening the CSV runs nothing; text that
    a terminal would obey is shown as its codes. A number that is not one (NaN) is an empty cell.
    """
    if isinstance(value, float) and value != value:
        return None
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text[:1] in FORMULA and not NUMBER.fullmatch(text) else text
