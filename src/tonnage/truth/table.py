"""The compact tables in which the published cases are kept: CSV with typed, dotted columns.

A header cell is `path:type`; `layout.tp:number` puts a number at row["layout"]["tp"]. An empty cell is an absent key,
`=` repeats the cell above. Types: text, number (an integer where it is written as one), bool, auto (text or
number), words (strings joined by `|`, `-` for none), json.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_table(path: Path) -> Iterator[Row]:
    """Rows of a table, each as nested dicts in the published schema."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        columns = [_column(cell) for cell in next(lines)]
        above: list[Any] = [None] * len(columns)
        for line in lines:
            row: Row = {}
            for index, cell in enumerate(line):
                if not cell:
                    continue
                keys, parse = columns[index]
                if cell != "=":
                    above[index] = parse(cell)
                _put(row, keys, above[index])
            yield row


def _column(header: str) -> tuple[tuple[str, ...], Callable[[str], Any]]:
    path, _, kind = header.partition(":")
    return tuple(path.split(".")), _PARSE[kind]


def _put(row: Row, keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        row = row.setdefault(key, {})
    row[keys[-1]] = list(value) if isinstance(value, list) else dict(value) if isinstance(value, dict) else value


def _number(cell: str) -> int | float:
    try:
        return int(cell)
    except ValueError:
        return float(cell)


def _auto(cell: str) -> int | float | str:
    return _number(cell) if cell[0].isdigit() else cell


_PARSE: dict[str, Callable[[str], Any]] = {
    "text": str,
    "number": _number,
    "bool": {"true": True, "false": False}.__getitem__,
    "auto": _auto,
    "words": lambda cell: [] if cell == "-" else cell.split("|"),
    "json": json.loads,
}
