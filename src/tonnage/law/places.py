"""Places and groups of places that export rules speak of, by date."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from tonnage.errors import InputError, Problem, nearest

Span = tuple[datetime.date | None, datetime.date | None]


@dataclass(frozen=True, eq=False)
class Group:
    """Members are codes and other groups (`plus`), less groups, less codes; `keep` stays whatever is taken out.

    dates: a member's first day and the day on which it is no longer one. all: everyone but `less_codes`.
    """

    id: str
    title: str
    members: frozenset[str]
    plus: tuple[str, ...]
    less: tuple[str, ...]
    everyone: bool
    less_codes: frozenset[str]
    keep: frozenset[str]
    dates: Mapping[str, Span]
    sources: tuple[str, ...]

    def own(self, code: str, date: datetime.date) -> bool:
        """Whether the code is listed here itself on that day."""
        since, until = self.dates.get(code, (None, None))
        return code in self.members and (since is None or since <= date) and (until is None or date < until)


@dataclass(frozen=True, eq=False)
class Places:
    """ISO 3166-1 codes, common names, groups, and the home country of each vendor (names in lower case)."""

    codes: frozenset[str]
    names: Mapping[str, str]
    groups: Mapping[str, Group]
    vendors: Mapping[str, str]

    def code(self, text: str, path: str = "place") -> str:
        """`CN`, `cn`, `China`, `CN-inner-mongolia` -> `CN`. Raises InputError with the nearest name."""
        plain = text.strip()
        if (known := self.names.get(plain.lower())) is not None:
            return known
        head = plain.upper().split("-")[0].split("_")[0]
        if head in self.codes:
            return head
        suggestion = nearest(plain[:40], (*self.names, *self.codes))
        message = f'"{plain[:40]}" is not a country; write a two-letter code such as CN'
        raise InputError(Problem(message, path=path, suggestion=suggestion))

    def has(self, group: str, code: str, date: datetime.date) -> bool:
        """Whether a country is a member of a group on a day."""
        body = self.groups[group]
        if body.everyone:
            return code not in body.less_codes
        inside = body.own(code, date) or any(self.has(other, code, date) for other in body.plus)
        taken = code in body.less_codes or any(self.has(other, code, date) for other in body.less)
        return inside and (code in body.keep or not taken)

    def members(self, group: str, date: datetime.date) -> tuple[str, ...]:
        """Codes of a group on a day, sorted."""
        return tuple(sorted(code for code in self.codes if self.has(group, code, date)))

    def home(self, vendor: str) -> str | None:
        """Country in which a vendor has its headquarters; None when it is not known."""
        return self.vendors.get(vendor.strip().lower())
