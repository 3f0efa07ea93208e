"""Words into numbers, with every problem kept, to show them together; a problem names the field that it is about."""

from __future__ import annotations

from dataclasses import dataclass, field

from tonnage import units
from tonnage.errors import InputError, Problem


@dataclass(frozen=True)
class WordReader:
    """Reads the words of fields. What cannot be read is in `problems`, and a number that does no harm is given back."""

    problems: list[Problem] = field(default_factory=list)

    def wrong(self, message: str, name: str) -> None:
        """Notes a problem of a field."""
        self.problems.append(Problem(message, path=name))

    def number(self, text: str, kind: str, name: str) -> float:
        """A quantity of a kind that `units.parse` knows."""
        try:
            return units.parse(text, kind)
        except ValueError as error:
            self.wrong(str(error), name)
            return 1.0

    def optional(self, text: str | None, kind: str, name: str) -> float | None:
        """The same; None where nothing was written."""
        return None if text is None else self.number(text, kind, name)

    def price(self, text: str | None, name: str = "price") -> float | None:
        """A price above nothing [USD/accelerator-s]."""
        value = self.optional(text, "price", name)
        if value is not None and not value > 0:
            self.wrong(f"expected more than nothing, such as $2.10/h, got {text}", name)
        return value

    def share(self, text: str, name: str) -> float:
        """A share above 0 and at most 1."""
        value = self.number(text, "share", name)
        if not 0 < value <= 1:
            self.wrong(f"expected a share above 0 and at most 1, got {value:g}", name)
        return value

    def fleet(self, text: str, name: str = "on") -> tuple[int, str]:
        """(how many, of which chip)."""
        try:
            return units.parse_fleet(text)
        except ValueError as error:
            self.wrong(str(error), name)
            return 1, ""

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

    def place(self, text: str | None, name: str = "in") -> str | None:
        """The code of a country, or None."""
        from tonnage.ask.price import place_code

        if text is None:
            return None
        try:
            return place_code(text, name)
        except InputError as error:
            self.problems.extend(error.problems)
            return None

    def done(self) -> None:
        """Raises `InputError` with every problem, if there is one."""
        if self.problems:
            raise InputError(self.problems)
