"""Words into quantities, with every problem kept, to show all of them together; a problem names its field."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tonnage import units
from tonnage.catalog.limits import RENT
from tonnage.catalog.prices import members
from tonnage.errors import InputError, Problem, nearest
from tonnage.printable import one_line

Read = TypeVar("Read")
Instead = TypeVar("Instead")


BOUNDS: Mapping[str, tuple[float, float, str]] = {
    "tokens": (1.0, 1e17, "1 to 1e17 tokens"),
    "price": (RENT.low, RENT.high, f"more than nothing and at most {units.show_price(RENT.high)}, such as $2.10/h"),
    "time": (0.0, units.YEAR, "0 s to a year"),
    "rate": (1e-6, 1e9, "1e-6/s to 1e9/s"),
    "bandwidth": (1e3, 1e18, "1 kB/s to 1e18 B/s"),
    "count": (1e-3, 1e9, "0.001 to 1e9"),
    "number": (-1e9, 1e9, "-1e9 to 1e9"),
}
"""Least and most of a kind of quantity that any question may mean, in base units and in words: far beyond what there
is (40 trillion tokens, $98/h, 100 TB/s), so that a slip of the pen is told and no sum overflows."""

EARLIEST, LATEST = datetime.date(2017, 6, 12), datetime.date(2099, 12, 31)
"""Dates that a question may name: from the first transformer (arXiv 1706.03762) on."""


@dataclass(frozen=True)
class WordReader:
    """Reads the words of fields. What cannot be read is in `problems`, and a stand-in is given back, so that reading
    goes on. A problem's path is the field, and what is inside it (`layout.tp9`); in its words, fields stand in
    backticks.
    """

    problems: list[Problem] = field(default_factory=list)

    def wrong(self, message: str, name: str) -> None:
        """Notes a problem of a field."""
        self.problems.append(Problem(message, path=name))

    def number(self, text: str, kind: str, name: str, bounds: tuple[float, float, str] | None = None) -> float:
        """A quantity of a kind that `units.parse` knows, within the bounds of that kind, or within others."""
        if units.lacks_unit(text, kind):
            self.wrong(f'"{one_line(text, 40)}" needs its unit, such as {units.example(kind)}', name)
            return 1.0
        value = self.parsed(text, name, lambda words: units.parse(words, kind), None)
        low, high, words = bounds or BOUNDS.get(kind, (-math.inf, math.inf, ""))
        if value is not None and not low <= value <= high:
            self.wrong(f"expected {words}, got {one_line(text, 40)}", name)
            return 1.0
        return 1.0 if value is None else value

    def optional(self, text: str | None, kind: str, name: str) -> float | None:
        """The same; None where nothing was written."""
        return None if text is None else self.number(text, kind, name)

    def price(self, text: str | None, name: str = "price") -> float | None:
        """A price within `catalog.limits.RENT`, as everywhere [USD/accelerator-s]."""
        return self.optional(text, "price", name)

    def share(self, text: str, name: str) -> float:
        """A share above 0 and at most 1."""
        value = self.number(text, "share", name)
        if not 0 < value <= 1:
            self.wrong(f"expected a share above 0 and at most 1, got {value:g}", name)
        return value

    def fleet(self, text: str, name: str = "on") -> tuple[int, str]:
        """(how many, of which chip)."""
        return self.parsed(text, name, units.parse_fleet, (1, ""))

    def layout(self, text: str | None, name: str, known: tuple[str, ...]) -> dict[str, int] | None:
        """What is given of a layout, or None; known: degrees that have a meaning in serving."""
        from tonnage.layout import parse_layout

        if text is None:
            return None
        try:
            read = parse_layout(text, name)
        except InputError as error:
            self.problems.extend(error.problems)
            return None
        unfit = sorted(read.keys() - set(known))
        self.problems.extend(Problem(f"{degree} has no meaning in serving", name, degree) for degree in unfit)
        return read

    def country(self, text: str | None, name: str) -> str | None:
        """The code of a country whose rules are asked, or None."""
        found = self.place(text, name)
        if found is not None and members(found):
            self.wrong(f"{found} has no rules of its own: name a country, such as {members(found)[0]}", name)
        return found

    def place(self, text: str | None, name: str = "in") -> str | None:
        """The code of a country or region, or None."""
        from tonnage.ask.price import place_code

        if text is None:
            return None
        try:
            return place_code(text, name)
        except InputError as error:
            self.problems.extend(error.problems)
            return None

    def term(self, text: str | None, price: str | None) -> str | None:
        """A term of payment, or None; it goes without a price of one's own."""
        from tonnage.ask.price import TERMS

        if text is not None and text not in TERMS:
            message = f'"{text}" is not one of {", ".join(TERMS)}'
            self.problems.append(Problem(message, path="term", suggestion=nearest(text, TERMS)))
        elif text is not None and price is not None:
            self.wrong("goes without `price`: it chooses among the catalogue's", "term")
        return text

    def parsed(self, text: str, name: str, parse: Callable[[str], Read], instead: Instead) -> Read | Instead:
        """`parse(text)`, or `instead` with the problem kept."""
        try:
            return parse(text)
        except ValueError as error:
            self.wrong(str(error), name)
            return instead

    def whole(self, text: str, name: str) -> int:
        """A whole number of at least 1."""
        value = self.number(text, "tokens", name, (1.0, 1e9, "a whole number from 1 to 1e9"))
        if value != int(value):
            self.wrong(f'"{one_line(text, 40)}" is not a whole number from 1 to 1e9', name)
            return 1
        return int(value)

    def within(self, text: str | None, name: str, low: int, high: float, of: str) -> int | None:
        """A whole number within bounds, of what it counts; None where nothing was written."""
        if text is None:
            return None
        before = len(self.problems)
        value = self.whole(text, name)
        if len(self.problems) == before and not low <= value <= high:
            self.wrong(f"expected {low} to {high:g} {of}, got {value:g}".replace("e+0", "e"), name)
        return value

    def date(self, text: str | None, name: str) -> datetime.date | None:
        """A date, or None."""
        if text is None:
            return None
        try:
            day = units.parse_date(text)
        except ValueError as error:
            self.wrong(str(error), name)
            return None
        if not EARLIEST <= day <= LATEST:
            self.wrong(f"expected a date from {EARLIEST} to {LATEST}, got {day}", name)
            return None
        return day

    def layouts(self, text: str | None, fleets: int, name: str) -> tuple[dict[str, int], ...]:
        """What is fixed on each fleet: one layout for all, or one of each with ` + ` between."""
        from tonnage.layout import parse_layout

        try:
            found = [parse_layout(part, "") for part in text.split("+")] if text else [{}]
        except InputError as error:
            self.problems.extend(
                Problem(p.message, path=".".join(filter(None, (name, p.path))), suggestion=p.suggestion)
                for p in error.problems
            )
            return ({},) * fleets
        if len(found) not in (1, fleets):
            self.wrong(f"{len(found)} layouts for {fleets} fleets", name)
        return tuple(found[i % len(found)] for i in range(fleets))

    def done(self) -> None:
        """Raises `InputError` with every problem, if there is one."""
        if self.problems:
            raise InputError(self.problems)
