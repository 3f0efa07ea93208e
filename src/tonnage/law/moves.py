"""How far the thresholds of a rule would have to move to leave a chip out, and what fee the record knows for a chip."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tonnage.law.book import RuleBook
from tonnage.law.classify import Classification, Fee, classify
from tonnage.law.criteria import ChipTraits, metric_value
from tonnage.law.data import clauses, load_rules
from tonnage.units import show_number

DIGITS = 4
"""Significant digits to which a moved threshold is rounded up."""


@dataclass(frozen=True)
class ThresholdMove:
    """One threshold of a rule, as it is and as it would be, in the metric's printed unit."""

    metric: str
    old: float
    new: float


@dataclass(frozen=True)
class Arrivals:
    """Chips that would come: where, for whom, on what day."""

    chips: tuple[ChipTraits, ...]
    date: datetime.date
    place: str
    headquarters: str | None = None

    def under(self, book: RuleBook) -> Iterable[Classification]:
        """Each chip's verdict by a book."""
        for chip in self.chips:
            yield classify(chip, self.date, self.place, self.headquarters, book=book)


def least_moves(identifier: str, coming: Arrivals, book: RuleBook) -> tuple[ThresholdMove, ...]:
    """The fewest thresholds of a rule, moved the least, so that it catches none of the chips; empty where none do.

    A rule that names a chip catches it whatever its thresholds. All subsets of the thresholds that a chip reaches are
    tried, fewest first, then by the sum of ln(new/old). Rates that are intervals count with their upper ends.
    """
    sure = replace(coming, chips=tuple(replace(c, rates=c.rates_high or c.rates, rates_high=()) for c in coming.chips))
    rule = next((rule for rule in book.rules if rule.id == identifier), None)
    if rule is None or any(chip.key in rule.chips for chip in sure.chips):
        return ()
    if not any(_catches(verdict, identifier) for verdict in sure.under(book)):
        return ()
    found = dict.fromkeys(
        move
        for paragraph in rule.paragraphs
        for clause in clauses(paragraph.criteria)
        if clause.op in (">", ">=")
        for move in _reached(clause.metric, clause.value, sure.chips)
    )
    for size in range(1, len(found) + 1):
        for moves in sorted(itertools.combinations(found, size), key=_distance):
            if not any(_catches(verdict, identifier) for verdict in sure.under(moved(identifier, moves, book))):
                return moves
    return ()


def moved(identifier: str, moves: Iterable[ThresholdMove], book: RuleBook) -> RuleBook:
    """The book with thresholds of a rule moved."""
    for move in moves:
        book = book.with_threshold(identifier, move.metric, move.old, move.new)
    return book


def moves_text(moves: Sequence[ThresholdMove]) -> str:
    """`TPP at 15,840 instead of 4,800 and 1,600`."""
    metrics = load_rules().metrics
    news = {
        (move.metric, move.new): [m.old for m in moves if (m.metric, m.new) == (move.metric, move.new)]
        for move in moves
    }
    return ", ".join(
        f"{metrics[metric].name} at {show_number(new, DIGITS)} {metrics[metric].unit} instead of "
        + " and ".join(show_number(old, DIGITS) for old in olds)
        for (metric, new), olds in news.items()
    )


def _reached(metric: str, value: float, chips: Sequence[ChipTraits]) -> Iterable[ThresholdMove]:
    """The move of one threshold just beyond every chip that reaches it."""
    values = [found for chip in chips if (found := metric_value(chip, metric)) is not None and found >= value > 0]
    if values:
        yield ThresholdMove(metric, value, above(max(values)))


def above(value: float) -> float:
    """The next number of `DIGITS` significant digits above a value."""
    step = 10.0 ** (math.floor(math.log10(value)) + 1 - DIGITS)
    return float(f"{(math.floor(value / step + 1e-9) + 1) * step:.{DIGITS}g}")


def _distance(moves: tuple[ThresholdMove, ...]) -> float:
    return sum(math.log(move.new / move.old) for move in moves)


def _catches(verdict: Classification, identifier: str) -> bool:
    """Whether a rule catches the chip, or may: what is open counts."""
    return any(found.rule == identifier and found.applies is not False for found in verdict.findings)


def known_fee(chip: ChipTraits, place: str, headquarters: str | None, book: RuleBook) -> Fee | None:
    """The latest fee of the book for which a licence for this chip may be had, on the day on which it begins."""
    rules = sorted((rule for rule in book.rules if rule.kind == "fee"), key=lambda rule: rule.acts_from, reverse=True)
    for rule in rules:
        verdict = classify(chip, rule.acts_from, place, headquarters, book=book)
        if found := [fee for fee in verdict.fees if fee.rule == rule.id]:
            return found[0]
    return None
