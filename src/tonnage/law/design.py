"""The largest designs within the limits: how much of a chip's rate, memory bandwidth and link stays outside every rule.

The maker's side of the rules as they are published. Rules only ever ask whether a quantity is at or above a limit, so
that less of a quantity is never more controlled; what is lawful changes at the limits alone. Each limit is therefore
tried as a ceiling, and of the designs that the law's own classification leaves free those are kept that no other
exceeds in everything.
"""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tonnage.law.book import RuleBook, rule_book
from tonnage.law.classify import Classification, classify
from tonnage.law.criteria import ChipTraits, metric_value
from tonnage.law.data import clauses
from tonnage.law.lawful import lawful

STEP = 1e-4
"""To which shares are rounded down, so that a design stays below a limit and never on it."""

AXES = {
    "rate": ("tpp", "bit_tops_2022", "performance_density"),
    "bandwidth": ("memory_bandwidth", "dram_bandwidth"),
    "link": ("interconnect", "interconnect_2022"),
}
"""What of a chip each metric grows with: its dense rates, its memory bandwidth, its scale-up link."""


@dataclass(frozen=True)
class Shares:
    """Shares of a chip's dense rates, memory bandwidth and scale-up link; the die, and all else, stay as they are."""

    rate: float = 1.0
    bandwidth: float = 1.0
    link: float = 1.0

    def within(self, other: Shares) -> bool:
        """Whether another has at least as much of everything."""
        return self.rate <= other.rate and self.bandwidth <= other.bandwidth and self.link <= other.link


def designed(chip: ChipTraits, shares: Shares) -> ChipTraits:
    """A new chip of these shares. No rule names it; rates that are intervals count with their upper ends."""
    rates = chip.rates_high or chip.rates
    return replace(
        chip,
        key=f"a design from {chip.key}",
        title=f"a design from {chip.name}",
        rates=tuple((name, rate * shares.rate) for name, rate in rates),
        rates_high=(),
        bandwidth=None if chip.bandwidth is None else chip.bandwidth * shares.bandwidth,
        link=None if chip.link is None else chip.link * shares.link,
    )


def lawful_designs(
    chip: ChipTraits,
    date: datetime.date,
    place: str,
    headquarters: str | None = None,
    *,
    book: RuleBook | None = None,
) -> tuple[Shares, ...]:
    """The largest shares with which the chip may be brought to a place on a day without a licence; none exceeds another
    in everything. Empty where no share can, or where a fact that decides is not known.
    """
    rules = book or rule_book()
    return _largest(chip, date, rules, lambda design: lawful(design, date, place, headquarters, book=rules).planned)


def licensed_designs(
    chip: ChipTraits,
    date: datetime.date,
    place: str,
    headquarters: str | None = None,
    *,
    book: RuleBook | None = None,
) -> tuple[Shares, ...]:
    """The largest shares with which a licence would be decided case by case on a day; none exceeds another in all.

    Such a design needs a licence that may be refused: it stands apart from those that need none. A new design is not on
    sale before the day itself.
    """
    rules = book or rule_book()

    def verdict(design: ChipTraits) -> Classification:
        return classify(new_on(design, date), date, place, headquarters, book=rules)

    able = ("free", "exception", "case-by-case")
    found = _largest(chip, date, rules, lambda design: verdict(design).status in able)
    return tuple(shares for shares in found if verdict(designed(chip, shares)).status == "case-by-case")


def new_on(design: ChipTraits, date: datetime.date) -> ChipTraits:
    """A design that comes out on a day."""
    return replace(design, released=date)


def _largest(
    chip: ChipTraits, date: datetime.date, book: RuleBook, allows: Callable[[ChipTraits], bool]
) -> tuple[Shares, ...]:
    ceilings = {axis: _ceilings(chip, metrics, date, book) for axis, metrics in AXES.items()}
    allowed: list[Shares] = []
    for values in sorted(itertools.product(*ceilings.values()), key=sum, reverse=True):
        shares = Shares(*values)
        if any(shares.within(larger) for larger in allowed):
            continue
        if allows(designed(chip, shares)):
            allowed.append(shares)
    return tuple(allowed)


def licence_refused(
    chip: ChipTraits, date: datetime.date, place: str, headquarters: str | None = None, *, book: RuleBook | None = None
) -> tuple[str, ...]:
    """Why the whole chip, as a new design, would not be decided case by case: conditions of a review that fail."""
    found = classify(new_on(designed(chip, Shares()), date), date, place, headquarters, book=book)
    return tuple(dict.fromkeys(text for finding in found.controlling for text in finding.unmet))


def _ceilings(chip: ChipTraits, metrics: Iterable[str], date: datetime.date, book: RuleBook) -> tuple[float, ...]:
    """Shares just below each limit in force that a chip reaches by some metrics, and all of it."""
    whole = designed(chip, Shares())
    found = {1.0}
    for rule in book.in_force(date):
        for clause in (clause for part in rule.paragraphs for clause in clauses(part.criteria)):
            value = metric_value(whole, clause.metric) if clause.metric in metrics else None
            if value and clause.value <= value:
                found.add(round((math.ceil(clause.value / value / STEP - 1e-9) - 1) * STEP, 4))
    return tuple(sorted(share for share in found if share > 0))


def limits_met(
    chip: ChipTraits, date: datetime.date, place: str, headquarters: str | None = None, *, book: RuleBook | None = None
) -> tuple[str, ...]:
    """Ids of the rules that keep the whole chip, as a new design that no rule names, from coming on a day."""
    return lawful(designed(chip, Shares()), date, place, headquarters, book=book).rules


def limits_above(
    chip: ChipTraits,
    shares: Shares,
    date: datetime.date,
    place: str,
    headquarters: str | None = None,
    *,
    book: RuleBook | None = None,
) -> dict[str, tuple[str, ...]]:
    """For each quantity of which a design has less than the whole chip: ids of the rules that more of it would meet."""
    found = {}
    for axis in AXES:
        share: float = getattr(shares, axis)
        if share < 1:
            more = replace(shares, **{axis: min(1.0, share + 2 * STEP)})
            found[axis] = lawful(designed(chip, more), date, place, headquarters, book=book).rules
    return found
