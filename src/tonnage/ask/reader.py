"""Words read into quantities; every problem is kept, to show all of them together."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import TypeVar

from tonnage import units
from tonnage.errors import InputError, Problem

Read = TypeVar("Read")


class WordReader:
    """Reads fields by name and keeps every problem; what cannot be read has a stand-in, so that reading goes on.

    A problem's path is the field, and what is inside it (`layout.tp9`). In its words, fields stand in backticks.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, message: str, field: str) -> None:
        """Keeps a problem of a field."""
        self.problems.append(Problem(message, path=field))

    def check(self) -> None:
        """Raises `InputError` with all that was wrong."""
        if self.problems:
            raise InputError(self.problems)

    def parsed(self, text: str, field: str, parse: Callable[[str], Read], instead: Read) -> Read:
        """`parse(text)`, or `instead` with the problem kept."""
        try:
            return parse(text)
        except ValueError as error:
            self.wrong(str(error), field)
            return instead

    def number(self, text: str, kind: str, field: str) -> float:
        """A quantity in base units."""
        return self.parsed(text, field, lambda words: units.parse(words, kind), 1.0)

    def optional(self, text: str | None, kind: str, field: str) -> float | None:
        """The same, or None."""
        return None if text is None else self.number(text, kind, field)

    def whole(self, text: str, field: str) -> int:
        """A whole number of at least 1."""
        value = self.number(text, "tokens", field)
        if not (math.isfinite(value) and value == int(value) and 1 <= value <= 1e9):
            self.wrong(f'"{text}" is not a whole number of at least 1', field)
            return 1
        return int(value)

    def date(self, text: str | None, field: str) -> datetime.date | None:
        """A date, or None."""
        if text is None:
            return None
        try:
            return units.parse_date(text)
        except ValueError as error:
            self.wrong(str(error), field)
            return None

    def fleet(self, text: str, field: str) -> tuple[int, str]:
        """(count, chip)."""
        return self.parsed(text, field, units.parse_fleet, (1, ""))

    def place(self, text: str | None, field: str) -> str | None:
        """Code of a place (`china` -> `CN`), or None."""
        from tonnage.law.data import load_rules

        if text is None:
            return None
        try:
            return load_rules().places.code(text)
        except InputError as error:
            self.problems += [Problem(p.message, path=field, suggestion=p.suggestion) for p in error.problems]
            return None

    def layouts(self, text: str | None, fleets: int, field: str) -> tuple[dict[str, int], ...]:
        """What is fixed on each fleet: one layout for all, or one of each with ` + ` between."""
        from tonnage.layout import parse_layout

        try:
            found = [parse_layout(part, "") for part in text.split("+")] if text else [{}]
        except InputError as error:
            self.problems += [
                Problem(p.message, path=".".join(filter(None, (field, p.path))), suggestion=p.suggestion)
                for p in error.problems
            ]
            return ({},) * fleets
        if len(found) not in (1, fleets):
            self.wrong(f"{len(found)} layouts for {fleets} fleets", field)
        return tuple(found[i % len(found)] for i in range(fleets))
