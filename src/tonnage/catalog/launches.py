"""Launches of models: what was said of the day beforehand, and the day on which it came.

A window that was said in words (weeks, later this year) is bounded by our reading of the words, which stand beside it:
judge slips of less than a month with care. A launch that was not found is open, not never.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from tonnage.catalog.facts import Fact

Date = datetime.date

RESULTS = ("early", "on time", "late", "never", "open", "no date given")
"""Against the first window. never: given up or replaced; open: not seen, so far as is known on the day."""


@dataclass(frozen=True)
class Statement:
    """What was said of a launch beforehand. first, last: ends of the window that it gives, None where it gives none;
    kind: lab, executive or press; promise: the words; by: whose they are; source: id of the fact.
    """

    said: Date
    first: Date | None
    last: Date | None
    kind: str
    promise: str
    by: str
    source: str


@dataclass(frozen=True)
class Launch:
    """One model's launch as it was known on a day.

    statements: in the order in which they were made; actual: the day it came, None as long as it had not; result: one
    of `RESULTS`; as_of: the day of the launch, or the last day on which it is known not to have come; what: what came,
    where that is less than was said; source: id of the fact that says how it ended, else of the model's.
    """

    model: str
    id: str
    lab: str
    statements: tuple[Statement, ...]
    actual: Date | None
    result: str
    as_of: Date
    what: str
    cause: str
    note: str
    source: str

    @property
    def promised(self) -> Statement | None:
        """The first statement with an end of its window, None where no date was given."""
        return next((said for said in self.statements if said.last), None)

    @property
    def slip(self) -> int | None:
        """Days from the end of the first window to the launch; to `as_of`, a lower bound, where it has not come."""
        said = self.promised
        return (self.as_of - said.last).days if said and said.last else None


def read_launch(key: str, facts: Mapping[str, Fact], as_of: Date | None) -> Launch:
    """A launch from the facts that were known of it on `as_of`."""

    def text(attribute: str) -> str:
        return facts[attribute].text if attribute in facts else ""

    def day(attribute: str) -> Date | None:
        return facts[attribute].day if attribute in facts else None

    statements = _statements(facts)
    actual = day("actual")
    last = facts.get("result") or facts.get("actual") or next(iter(facts.values()))
    return Launch(
        model=text("model") or key,
        id=key,
        lab=text("lab"),
        statements=statements,
        actual=actual,
        result=text("result") or "open",
        as_of=actual or day("unreleased_on") or as_of or max(said.said for said in statements),
        what=facts["actual"].note if actual else "",
        cause=text("cause"),
        note=text("note"),
        source=last.id,
    )


def _statements(facts: Mapping[str, Fact]) -> tuple[Statement, ...]:
    names = [name for name in facts if name.startswith("statement.") and name.count(".") == 1]
    found = [_statement(name, facts) for name in names]
    return tuple(sorted(found, key=lambda said: said.said))


def _statement(name: str, facts: Mapping[str, Fact]) -> Statement:
    said = facts[name]

    def part(attribute: str) -> Fact | None:
        return facts.get(f"{name}.{attribute}")

    first, last, kind, by = (part(attribute) for attribute in ("first", "last", "kind", "by"))
    return Statement(
        said=said.date or Date.min,
        first=first.day if first else None,
        last=last.day if last else None,
        kind=kind.text if kind else "",
        promise=said.text,
        by=by.text if by else "",
        source=said.id,
    )
