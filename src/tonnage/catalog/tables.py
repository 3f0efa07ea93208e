"""CSV tables of facts and sources -> values, with every problem collected and placed (`file:line:column`)."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tonnage.catalog.facts import KINDS, UNITS, Fact, Source, convert, number
from tonnage.catalog.limits import UnknownAttribute, limit_of
from tonnage.errors import InputError, Problem, nearest
from tonnage.units import parse_date

COLUMNS = (
    "entity",
    "attribute",
    "value",
    "unit",
    "low",
    "high",
    "source",
    "locator",
    "retrieved",
    "date",
    "kind",
    "note",
)
"""Columns of every table of facts."""

MORE = ("about", "place", "tenure", "until", "period", "disclosed", "mark")
"""Columns that a table may add."""

SOURCE_COLUMNS = ("key", "title", "url", "via", "licence", "known")

_DATES = ("retrieved", "date", "until", "disclosed")

CELL, ROWS = 4_000, 100_000
"""Longest cell [characters] and most rows that are read."""


class TableRow(NamedTuple):
    """One row of a table: its line, and its cells by column. A tuple, for a command splits some thousand of them."""

    line: int
    cells: dict[str, str]


class TableReader:
    """Reads tables one after another; gathers problems instead of stopping at the first.

    own: the tables are the user's: their facts are marked so, and go before ours.
    """

    def __init__(self, sources: Mapping[str, Source] | None = None, *, own: bool = False) -> None:
        self.own = own
        self.sources: dict[str, Source] = dict(sources or {})
        self.problems: list[Problem] = []
        self.ids: dict[str, int] = {}
        self._days: dict[str, datetime.date | None] = {"": None}

    def read_sources(self, text: str, name: str) -> None:
        """Rows of sources.csv, added to `sources`; a key given twice keeps the first."""
        for line, cells in self._rows(text, name, SOURCE_COLUMNS[:2], SOURCE_COLUMNS):
            given = {key: value for key, value in cells.items() if value}
            try:
                self.sources.setdefault(cells["key"], Source(**given))
            except (TypeError, ValueError) as error:
                self._problem(str(error), name, line, 1, cells["key"])

    def read_facts(self, text: str, name: str, table: str = "") -> tuple[Fact, ...]:
        """Rows of a table of facts. Rows with a problem are left out and each of their problems is kept.

        table: what the rows are of; a user's own chips and prices are held against the bounds of `limits`.
        """
        return self.facts_of(self.rows(text, name), name, table)

    def rows(self, text: str, name: str) -> Iterator[TableRow]:
        """Rows of a table of facts, before anything in them is looked at."""
        return (TableRow(*row) for row in self._rows(text, name, COLUMNS, (*COLUMNS, *MORE)))

    def facts_of(self, rows: Iterable[TableRow], name: str, table: str = "") -> tuple[Fact, ...]:
        """Rows as facts; see `read_facts`."""
        found = []
        for row in rows:
            try:
                found.append(self._bounded(row.cells, table))
            except _CellError:
                self._bad_row(row.cells, table, name, row.line)
        return tuple(found)

    def _bounded(self, cells: Mapping[str, str], table: str) -> Fact:
        fact = self._fact(cells)
        if self.own and table:
            _within(cells, fact, table)
        return fact

    def _bad_row(self, cells: Mapping[str, str], table: str, name: str, row: int) -> None:
        """Keeps what is wrong with a row: every date that is none, and the first other thing."""
        order = list(cells)
        for bad in sorted(self._wrong(cells, table), key=lambda bad: order.index(bad.column)):
            path = f"{cells['entity']} {cells['attribute']}".strip()
            self._problem(bad.message, name, row, 1 + order.index(bad.column), path, bad.suggestion)

    def _wrong(self, cells: Mapping[str, str], table: str) -> Iterator[_CellError]:
        undated = dict(cells)
        for column in [column for column in _DATES if column in cells]:
            try:
                self._day(cells, column)
            except _CellError as bad:
                undated[column] = ""
                yield bad
        try:
            self._bounded(undated, table)
        except _CellError as bad:
            yield bad

    def raise_problems(self) -> None:
        """InputError with every problem found so far, if there is one."""
        if self.problems:
            hint = f"columns: {','.join(COLUMNS)}; the units and kinds are listed in docs/sources.md"
            raise InputError(self.problems, hint=hint)

    def _rows(
        self, text: str, name: str, needed: tuple[str, ...], allowed: tuple[str, ...]
    ) -> Iterator[tuple[int, dict[str, str]]]:
        rows = csv.reader(io.StringIO(text), strict=True)
        try:
            header = [cell.strip() for cell in next(rows, [])]
            if not self._header(header, name, needed, allowed):
                return
            for cells in rows:
                if rows.line_num > ROWS or max(map(len, cells), default=0) > CELL:
                    self._problem(f"longer than {CELL:,} characters or {ROWS:,} lines", name, rows.line_num, 1, "")
                    return
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    message = f"{len(cells)} cells where the header has {len(header)}"
                    self._problem(message, name, rows.line_num, 1, cells[0][:60])
                    continue
                yield rows.line_num, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            self._problem(f"is not CSV: {error}", name, rows.line_num or 1, 1, "")

    def _header(self, header: list[str], name: str, needed: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
        before = len(self.problems)
        for index, column in enumerate(header):
            if column not in allowed:
                suggestion = nearest(column[:60], allowed)
                self._problem(f'no column named "{column[:60]}"', name, 1, index + 1, "", suggestion)
        missing = [column for column in needed if column not in header]
        if missing:
            self._problem(f"the columns {', '.join(missing)} are missing", name, 1, 1, "")
        if len(set(header)) != len(header):
            self._problem("a column is named twice", name, 1, 1, "")
        return len(self.problems) == before

    def _fact(self, cells: Mapping[str, str]) -> Fact:
        source = cells["source"]
        if not source:
            raise _CellError("source", "a fact needs a source")
        known = self.sources.get(source)
        if known is None:
            raise _CellError("source", f'no source with the key "{source[:60]}"', nearest(source[:60], self.sources))
        value, base = _cell("unit" if cells["value"] else "value", convert, cells["value"], cells["unit"])
        note = cells["note"]
        if known.known == "recalled":
            note = f"{note}; recalled, not re-read" if note else "recalled, not re-read"
        plain = isinstance(value, float) and cells["unit"] not in ("count", "share")
        fields: dict[str, Any] = {
            "id": self._id(cells),
            "entity": cells["entity"],
            "attribute": cells["attribute"],
            "value": value,
            "unit": base,
            "source": source,
            "kind": cells["kind"],
            "locator": cells["locator"],
            "note": note,
            "known": "own" if self.own else known.known,
            "printed": f"{cells['value']} {cells['unit']}" if plain else cells["value"],
        }
        self._optional(cells, fields)
        try:
            return Fact(**fields)
        except ValueError as error:
            raise _CellError(_guilty(cells), str(error)) from None

    def _optional(self, cells: Mapping[str, str], fields: dict[str, Any]) -> None:
        """Adds what a row may leave out: most cells are empty, and an empty one costs nothing."""
        for column in ("low", "high"):
            if cells[column]:
                fields[column] = self._bound(cells, column)
        for column in ("retrieved", "date", "until"):
            if cells.get(column):
                fields[column] = self._day(cells, column)
        if cells["date"] or cells.get("disclosed"):
            fields["disclosed"] = self._day(cells, "disclosed") or self._end(cells["date"])
        for column in ("about", "place"):
            if cells.get(column):
                fields[column] = tuple(cells[column].split())
        for column in ("tenure", "period", "mark"):
            if cells.get(column):
                fields[column] = cells[column]

    def _bound(self, cells: Mapping[str, str], column: str) -> float:
        if cells["unit"] in ("text", "date", "flag"):
            raise _CellError(column, "only a number has an interval")
        value = _cell(column, convert, cells[column], cells["unit"])[0]
        return value if isinstance(value, float) else number(cells[column])

    def _day(self, cells: Mapping[str, str], column: str) -> datetime.date | None:
        text = cells.get(column, "")
        if text not in self._days:
            self._days[text] = _cell(column, parse_date, text)
        return self._days[text]

    def _end(self, text: str) -> datetime.date | None:
        """Last day of a date given as a month, quarter or year: before it, the figure could not be known."""
        return None if len(text) in (0, 10) else parse_date(text, end=True)

    def _id(self, cells: Mapping[str, str]) -> str:
        name = f"{'own:' * self.own}{cells['entity']}/{cells['attribute']}"
        name += f"@{cells['date']}" if cells["date"] else ""
        self.ids[name] = self.ids.get(name, 0) + 1
        return name if self.ids[name] == 1 else f"{name}#{self.ids[name]}"

    def _problem(
        self, message: str, name: str, line: int, column: int, path: str, suggestion: str | None = None
    ) -> None:
        if len(self.problems) < 100:
            self.problems.append(Problem(message, f"{name}:{line}:{column}", path[:120], suggestion))


class _CellError(Exception):
    """What is wrong with one cell of a row."""

    def __init__(self, column: str, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.column, self.message, self.suggestion = column, message, suggestion


def _guilty(cells: Mapping[str, str]) -> str:
    """Column that a fact's own checks most likely refused."""
    if not cells["entity"] or not cells["attribute"]:
        return "entity" if not cells["entity"] else "attribute"
    return "value" if cells["kind"] in KINDS else "kind"


def _within(cells: Mapping[str, str], fact: Fact, table: str) -> None:
    """Raises _CellError when a fact has an attribute, a unit or a size that its table does not allow."""
    try:
        limit = limit_of(table, fact.attribute, fact.unit)
    except UnknownAttribute as error:
        raise _CellError("attribute", str(error), error.suggestion) from None
    if limit is None:
        return
    if fact.unit != limit.unit:
        wanted = ", ".join(unit for unit, (_, base) in UNITS.items() if base == limit.unit) or limit.unit
        raise _CellError("unit", f'{fact.attribute} is not in "{cells["unit"][:20]}"; units: {wanted}')
    for column, value in (("value", fact.value), ("low", fact.low), ("high", fact.high)):
        if value is not None:
            _cell(column, limit.check, value)


def _cell(column: str, read: Any, *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except ValueError as error:
        raise _CellError(column, str(error)) from None
