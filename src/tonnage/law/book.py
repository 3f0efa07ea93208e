"""The rules as a book: as known on a day, without a rule, or with one changed. Never altered in place."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tonnage.errors import InputError, Problem, nearest
from tonnage.law.data import AllOf, AnyOf, Clause, Not, Paragraph, Rule, RuleData, Tree, load_rules
from tonnage.units import parse, parse_date

_DATES = ("announced", "effective", "compliance", "ended")
_CHANGEABLE = (*_DATES, "fee_share", "status", "pauses")


@dataclass(frozen=True, eq=False)
class RuleBook:
    """The rules that count. changes: what was altered from the record, as sentences, for the answer to say."""

    data: RuleData
    rules: tuple[Rule, ...]
    changes: tuple[str, ...] = ()

    def rule(self, identifier: str) -> Rule:
        """The rule with this id. Raises InputError with the nearest id."""
        for rule in self.rules:
            if rule.id == identifier:
                return rule
        names = [rule.id for rule in self.rules]
        problem = Problem(f'no rule "{identifier[:60]}"', path="rules", suggestion=nearest(identifier[:60], names))
        raise InputError(problem, hint="tonnage show rules")

    def in_force(self, date: datetime.date, *kinds: str) -> tuple[Rule, ...]:
        """Rules that bite on a day, of the kinds asked."""
        return tuple(rule for rule in self.rules if rule.in_force(date) and (not kinds or rule.kind in kinds))

    def as_known(self, date: datetime.date | None) -> RuleBook:
        """What could be known on that day: rules, their words and their ends, as announced by then."""
        return self if date is None else _known(self, date)

    def without(self, *identifiers: str) -> RuleBook:
        """The book had these rules never been made. Raises InputError for an id that does not exist."""
        gone = {self.rule(identifier).id for identifier in identifiers}
        left = tuple(rule for rule in self.rules if rule.id not in gone)
        return dataclasses.replace(
            self, rules=left, changes=(*self.changes, *(f"without {name}" for name in identifiers))
        )

    def with_change(self, identifier: str, **changes: Any) -> RuleBook:
        """The book with one rule's dates, fee share [share] or status changed. Raises InputError."""
        old = self.rule(identifier)
        if bad := [key for key in changes if key not in _CHANGEABLE]:
            message = f'"{bad[0][:40]}" of a rule cannot be changed; can be: {", ".join(_CHANGEABLE)}'
            raise InputError(Problem(message, path="rules", suggestion=nearest(bad[0], _CHANGEABLE)))
        if "ended" in changes and "ended_announced" not in changes:
            changes["ended_announced"] = changes["ended"]
        if "ended" in changes and changes["ended"] is None:
            changes.setdefault("pauses", ())
        try:
            new = dataclasses.replace(old, **changes)
        except ValueError as error:
            raise InputError(Problem(str(error), path="rules")) from None
        said = [f"{key} {value}" for key, value in changes.items() if key in _CHANGEABLE and key != "pauses"]
        if changes.get("pauses") == () and old.pauses:
            said.append("never paused")
        return self._replaced(new, ", ".join(said))

    def with_threshold(self, identifier: str, metric: str, old: float, new: float) -> RuleBook:
        """The book with every `metric` threshold of value `old` in one rule set to `new`. Raises InputError."""
        rule = self.rule(identifier)
        paragraphs = tuple(_moved(paragraph, metric, old, new) for paragraph in rule.paragraphs)
        if paragraphs == rule.paragraphs:
            raise InputError(Problem(f"{identifier} has no {metric} threshold of {old:g}", path="rules"))
        return self._replaced(dataclasses.replace(rule, paragraphs=paragraphs), f"{metric} {old:g} to {new:g}")

    def _replaced(self, new: Rule, what: str) -> RuleBook:
        rules = tuple(new if rule.id == new.id else rule for rule in self.rules)
        return dataclasses.replace(self, rules=rules, changes=(*self.changes, f"with {new.id}: {what}"))

    def apply(self, spec: str | Iterable[str]) -> RuleBook:
        """The book that a programme's `rules:` asks for. Raises InputError with all problems.

        `as-of` (each rule acts from its own date), `known-at DATE`, `without RULE`, `with RULE.FIELD=VALUE`
        (announced, effective, compliance, ended: a date or `never`; paused: `never`; fee_share; status; a metric:
        `OLD->NEW`). A rule that never ends is never paused either.
        """
        book: RuleBook = self
        problems: list[Problem] = []
        for text in (spec,) if isinstance(spec, str) else tuple(spec):
            try:
                book = _applied(book, str(text).strip())
            except InputError as error:
                problems += error.problems
            except ValueError as error:
                problems.append(Problem(str(error), path="rules"))
        if problems:
            raise InputError(problems)
        return book


def rule_book(spec: str | Iterable[str] = "as-of") -> RuleBook:
    """The bundled rules, altered as `spec` says (see `RuleBook.apply`)."""
    return _whole().apply(spec)


@functools.cache
def _whole() -> RuleBook:
    return RuleBook(load_rules(), load_rules().rules)


@functools.lru_cache(maxsize=256)
def _known(book: RuleBook, date: datetime.date) -> RuleBook:
    rules = tuple(_as_known(rule, date) for rule in book.rules if rule.announced <= date)
    return dataclasses.replace(book, rules=rules, changes=(*book.changes, f"rules as known on {date}"))


def _as_known(rule: Rule, date: datetime.date) -> Rule:
    rule = rule.as_said(date)
    pauses = tuple(pause for pause in rule.pauses if pause.announced <= date)
    if pauses != rule.pauses:
        rule = dataclasses.replace(rule, pauses=pauses)
    if rule.ended is None or (rule.ended_announced or rule.ended) <= date:
        return rule
    return dataclasses.replace(rule, ended=None, ended_announced=None)


def _moved(paragraph: Paragraph, metric: str, old: float, new: float) -> Paragraph:
    return dataclasses.replace(paragraph, criteria=_moved_tree(paragraph.criteria, metric, old, new))


def _moved_tree(tree: Tree | None, metric: str, old: float, new: float) -> Any:
    if tree is None:
        return None
    if isinstance(tree, Clause):
        hit = tree.metric == metric and tree.value == old
        return dataclasses.replace(tree, value=float(new)) if hit else tree
    if isinstance(tree, Not):
        return Not(_moved_tree(tree.part, metric, old, new))
    parts = tuple(_moved_tree(part, metric, old, new) for part in tree.parts)
    return AllOf(parts) if isinstance(tree, AllOf) else AnyOf(parts)


def _applied(book: RuleBook, text: str) -> RuleBook:
    word, _, rest = text.partition(" ")
    rest = rest.strip()
    if word in ("as-of", "asof") and not rest:
        return book
    if word in ("known-at", "known_at"):
        return book.as_known(parse_date(rest))
    if word == "without":
        return book.without(rest)
    if word == "with":
        return _changed(book, rest)
    words = ("as-of", "known-at", "without", "with")
    message = f'"{text[:60]}" is not as-of, known-at DATE, without RULE or with RULE.FIELD=VALUE'
    raise InputError(Problem(message, path="rules", suggestion=nearest(word[:40], words)))


def _changed(book: RuleBook, text: str) -> RuleBook:
    target, equals, value = text.partition("=")
    identifier, dot, name = target.strip().partition(".")
    if not equals or not dot:
        raise ValueError(f'"{text[:60]}" is not RULE.FIELD=VALUE')
    name, value = name.strip(), value.strip()
    if "->" in value:
        old, _, new = value.partition("->")
        return book.with_threshold(identifier, name, parse(old.strip(), "number"), parse(new.strip(), "number"))
    if name in _DATES:
        return book.with_change(identifier, **{name: None if value == "never" else parse_date(value)})
    if name in ("paused", "pauses"):
        if value != "never":
            raise ValueError(f'paused can be set to never, not to "{value[:40]}"')
        return book.with_change(identifier, pauses=())
    if name == "fee_share":
        share = parse(value, "share")
        if not 0 <= share <= 1:
            raise ValueError(f"a fee is 0 % to 100 % of the price, got {value[:20]}")
        return book.with_change(identifier, fee_share=share)
    return book.with_change(identifier, **{name: value})
