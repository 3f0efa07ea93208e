"""When chips may lawfully come into a place: a lot's calendar, from the rules of the catalogue."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tonnage.errors import InputError
from tonnage.fleet.programme import Change, Lot, Programme, Rules
from tonnage.fleet.uncertain import point

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.law import RuleBook

Date = datetime.date
FAR = 1_000_000


@dataclass(frozen=True)
class Ruling:
    """Whether a chip may be planned on from a day on: lawful; reason, one sentence; ids of the rules that decide."""

    start: Date
    lawful: bool
    reason: str
    rules: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calendar:
    """Legal status of one lot over time. spans: [first, last) days from the programme's start in which chips of the
    lot may come; always: nothing ever forbids it; more: whether more of its chips may come on every day of the plan.
    """

    rulings: tuple[Ruling, ...]
    spans: tuple[tuple[int, int], ...]
    always: bool
    more: bool = True

    @property
    def never(self) -> bool:
        """Whether no day allows it."""
        return not self.always and not self.spans

    @property
    def refusals(self) -> tuple[Ruling, ...]:
        """Rulings that forbid."""
        return tuple(ruling for ruling in self.rulings if not ruling.lawful)


def calendar(lot: Lot, programme: Programme, catalog: Catalog) -> Calendar:
    """The calendar of a lot.

    A lot without `from` and `acquired` is in hand, or is rented from stock that is in the country: what is asked is
    whether it could have come lawfully. Any other is asked on each day on which it may come.
    """
    rules = book(programme.rules, catalog)
    if lot.in_hand:
        ruling = _ruling(lot, programme.start, programme, catalog, rules, delivered=False)
        new = replace(lot, start=point(programme.start.toordinal()), in_hand=False)
        more = all(later.lawful for later in _timeline(new, programme, catalog, rules))
        return Calendar((ruling,), (), ruling.lawful, more)
    rulings = _timeline(lot, programme, catalog, rules)
    spans: list[tuple[int, int]] = []
    for index, ruling in enumerate(rulings):
        begin = (ruling.start - programme.start).days if index else -FAR
        end = (rulings[index + 1].start - programme.start).days if index + 1 < len(rulings) else FAR
        if ruling.lawful:
            spans.append((begin, end))
    always = all(ruling.lawful for ruling in rulings)
    return Calendar(rulings, tuple(spans), always, always)


def _timeline(lot: Lot, programme: Programme, catalog: Catalog, rules: RuleBook) -> tuple[Ruling, ...]:
    """Rulings from the first day on which the lot may come to the end of the horizon, one for each change."""
    arrival = lot.acquired or lot.start
    first = min(Date.fromordinal(int(arrival.interval[0])), programme.end)
    turns = {change.start for change in programme.rules.changes}
    for rule in rules.rules:
        turns |= set(rule.turns)
    found: list[Ruling] = []
    for day in sorted({first, *(turn for turn in turns if first < turn <= programme.end)}):
        ruling = _ruling(lot, day, programme, catalog, rules, delivered=True)
        if not found or (ruling.lawful, ruling.rules) != (found[-1].lawful, found[-1].rules):
            found.append(ruling)
    return tuple(found)


def _ruling(lot: Lot, day: Date, programme: Programme, catalog: Catalog, rules: RuleBook, *, delivered: bool) -> Ruling:
    change = _changed(lot.chip, day, programme.rules.changes)
    if change is not None and delivered:
        return Ruling(day, change.kind != "ban", f"by assumption: {change}", (f"with {change}",))
    from tonnage.law import lawful

    found = lawful(
        lot.chip,
        day,
        programme.place,
        programme.headquarters,
        tenure="bought" if delivered else lot.tenure,
        licence="granted" if lot.licence else "none",
        catalog=catalog,
        book=rules,
    )
    return Ruling(day, found.planned, found.reason, tuple(found.rules), tuple(found.sources))


def _changed(chip: str, day: Date, changes: Iterable[Change]) -> Change | None:
    matching = [change for change in changes if change.chip == chip and change.start <= day]
    return max(matching, key=lambda change: change.start, default=None)


def book(rules: Rules, catalog: Catalog) -> RuleBook:
    """The rules that count for a programme."""
    from tonnage.law import rule_book

    whole = rule_book(rules.altered) if rules.altered else rule_book()
    return whole.as_known(rules.known_at).without(*_present(ids(rules.without, catalog), whole, rules.known_at))


def _present(identifiers: tuple[str, ...], whole: RuleBook, known_at: Date | None) -> tuple[str, ...]:
    known = {rule.id for rule in whole.as_known(known_at).rules}
    return tuple(name for name in identifiers if name in known)


def ids(wanted: Iterable[str], catalog: Catalog) -> tuple[str, ...]:
    """Ids of the rules that are meant by ids and by names of chips (every rule that names the chip)."""
    from tonnage.law import rule_book

    known = {rule.id: rule for rule in rule_book().rules}
    found: list[str] = []
    for name in wanted:
        if name in known:
            found.append(name)
            continue
        try:
            chip = catalog.chip(name)
        except InputError:
            continue
        found += [rule.id for rule in known.values() if chip in rule.chips]
    return tuple(dict.fromkeys(found))


def names(catalog: Catalog) -> tuple[str, ...]:
    """Ids of all rules."""
    from tonnage.law import rule_book

    return tuple(rule.id for rule in rule_book().rules)
