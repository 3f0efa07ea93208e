"""Rules as rows for tables: what each says, where, from when until when, with its sources."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from tonnage.law.book import RuleBook, rule_book
from tonnage.law.buyer import pause_words
from tonnage.law.classify import thresholds
from tonnage.law.data import Rule, load_rules

Date = datetime.date


def rule_rows(
    as_of: Date | None = None, place: str | None = None, book: RuleBook | None = None
) -> list[dict[str, Any]]:
    """One row per rule, oldest first: those announced by `as_of`, those that reach `place`, when they are given.

    Columns: id, title, jurisdiction, kind, announced, from, until, state, paragraph, where, thresholds, chips, effect,
    fee_share (of price), volume_cap (share of US shipments), unit_cap (chips per customer or batch), sources.
    """
    rules = book or rule_book()
    places = rules.data.places
    code = places.code(place) if place else None
    rows = []
    for rule in sorted(rules.as_known(as_of).rules, key=lambda rule: (rule.announced, rule.id)):
        date = as_of or rule.acts_from
        if code is None or _touches(rule, code, date, rules):
            rows.append(_row(rule, as_of, rules))
    return rows


def _touches(rule: Rule, code: str, date: Date, book: RuleBook) -> bool:
    places = book.data.places
    groups = [group for group in (rule.where, rule.headquarters) if group]
    return rule.kind == "listing" or any(places.has(group, code, date) for group in groups)


def _row(rule: Rule, as_of: Date | None, book: RuleBook) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "jurisdiction": rule.jurisdiction,
        "kind": rule.kind,
        "announced": rule.announced.isoformat(),
        "from": rule.acts_from.isoformat(),
        "until": rule.ended.isoformat() if rule.ended else None,
        "state": rule_state(rule, as_of or datetime.date.today()),
        "paragraph": rule.eccn or rule.citation,
        "where": book.data.places.groups[rule.where].title,
        "thresholds": list(thresholds(rule, book)),
        "chips": list(rule.chips),
        "effect": rule.text,
        "fee_share": rule.fee_share or None,
        "volume_cap": rule.volume_cap,
        "unit_cap": rule.unit_cap,
        "sources": list(rule.sources),
    }


def rule_state(rule: Rule, day: Date) -> str:
    """State of a rule on a day, by what the book knows: `suspended until 2026-11-09, back unless extended`, ..."""
    if rule.kind == "proposal":
        over = rule.ended is not None and rule.ended <= day
        return f"{rule.fate or 'withdrawn'} {rule.ended}, never in force" if over else "proposed, not in force"
    if rule.ended is not None and rule.ended <= rule.acts_from:
        return "never in force"
    if rule.ended is not None and rule.ended <= day:
        return "ended"
    if day < rule.effective:
        return "announced"
    return _standing(rule, day)


def _standing(rule: Rule, day: Date) -> str:
    """State of a rule that is in force on a day, with the days of a pause."""
    pause = rule.pause(day)
    if pause is not None:
        words = pause_words(pause)
        return words if pause.until is not None else f"in force, {words}"
    if rule.compliance is not None and day < rule.compliance:
        return f"in force, compliance from {rule.compliance}"
    ahead = [pause for pause in rule.pauses if day < pause.since]
    if ahead:
        return f"in force, {ahead[0].state} from {ahead[0].since}"
    over = [pause for pause in rule.pauses if pause.until is not None and pause.until <= day]
    return f"in force again since {over[-1].until} unless the pause was extended" if over else "in force"


def source_rows(identifiers: Iterable[str]) -> list[dict[str, str]]:
    """id, title, url, known (fetched or recalled) and via of sources of rules."""
    known = load_rules().sources
    found = [known[name] for name in identifiers if name in known]
    return [{"id": s.id, "title": s.title, "url": s.url, "known": s.known, "via": s.via} for s in found]


def open_questions() -> tuple[str, ...]:
    """What could not be verified about the rules as a whole."""
    return load_rules().could_not_verify
