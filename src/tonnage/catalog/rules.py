"""Export rules as dated, sourced, executable data: the public face of the room's `rules_*` modules.

`classify` says under which rules a chip falls on a day; `lawful` whether a lot may be planned on; `rule_book` gives the
rules, also as known on a day, without one, or with one changed; `explain` and `rule_rows` put answers into words.
Planning figures, not legal advice.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from tonnage.catalog.rules_book import RuleBook, rule_book
from tonnage.catalog.rules_classify import Classification, Fee, Finding, Measure, classify, thresholds
from tonnage.catalog.rules_criteria import ChipTraits, Margin, performance_density, tpp, traits, traits_from_mapping
from tonnage.catalog.rules_data import Party, Rule, RuleSource, load_rules
from tonnage.catalog.rules_lawful import Lawful, free_windows, lawful
from tonnage.units import show_number, show_share

__all__ = [
    "ChipTraits",
    "Classification",
    "Fee",
    "Finding",
    "Lawful",
    "Margin",
    "Measure",
    "Party",
    "Rule",
    "RuleBook",
    "RuleSource",
    "classify",
    "explain",
    "free_windows",
    "lawful",
    "load_rules",
    "open_questions",
    "performance_density",
    "rule_book",
    "rule_rows",
    "source_rows",
    "tpp",
    "traits",
    "traits_from_mapping",
]

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
        "state": _state(rule, as_of),
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


def _state(rule: Rule, as_of: Date | None) -> str:
    if rule.ended is not None and rule.ended <= rule.acts_from:
        return "never in force"
    if as_of is None:
        return "ended" if rule.ended else "in force"
    if rule.ended is not None and rule.ended <= as_of:
        return "ended"
    return "in force" if rule.in_force(as_of) else "announced"


def source_rows(identifiers: Iterable[str]) -> list[dict[str, str]]:
    """id, title, url, known (fetched or recalled) and via of sources of rules."""
    known = load_rules().sources
    found = [known[name] for name in identifiers if name in known]
    return [{"id": s.id, "title": s.title, "url": s.url, "known": s.known, "via": s.via} for s in found]


def open_questions() -> tuple[str, ...]:
    """What could not be verified about the rules as a whole."""
    return load_rules().could_not_verify


# ---------------------------------------------------------------- words

_OPENING = {
    "free": "No licence is needed to bring {chip} to {place} on {date}.",
    "exception": "License Exception {exception} can serve to bring {chip} to {place} on {date}{notify}.",
    "approval": "A licence is needed to bring {chip} to {place} on {date} (presumption of approval).",
    "case-by-case": "A licence is needed to bring {chip} to {place} on {date} (decided case by case).",
    "licence": "A licence is needed to bring {chip} to {place} on {date}.",
    "denied": "A licence is needed to bring {chip} to {place} on {date} (presumption of denial).",
    "risk": "No licence rule stops {chip} in {place} on {date}, but using it risks violating General Prohibition 10.",
    "unverified": "It could not be verified whether {chip} needs a licence for {place} on {date}.",
}


def explain(verdict: Classification) -> list[str]:
    """The verdict in sentences: what is needed, by which rule and paragraph, how near, what else, what is in doubt."""
    lines = [_opening(verdict)]
    if not verdict.findings:
        lines.append(_unasked(verdict))
    lines += [_controlling(finding) for finding in verdict.controlling]
    lines += _nearest_thresholds(verdict)
    for fee in verdict.fees:
        lines.append(f"Fee: {show_share(fee.share)} of {fee.base} ({fee.rule}).")
    for measure in verdict.measures:
        lines.append(f"In {verdict.place}, {measure.force}: {measure.title} ({measure.rule}): {measure.text}.")
    lines += [f"Risk: {text}." for text in verdict.risks]
    lines += [f"Note: {text}." for text in verdict.notes]
    lines += [f"Could not verify: {text}." for text in verdict.could_not_verify]
    lines += [f"Changed: {text}." for text in verdict.changes]
    return lines


def _opening(verdict: Classification) -> str:
    found = verdict.exception
    notify = " after a notification of 25 days, to which the authority may object" if found and found.notify else ""
    words = {"chip": verdict.title, "place": verdict.place, "date": verdict.date, "notify": notify}
    return _OPENING[verdict.status].format(**words, exception=found.exception if found else "")


def _unasked(verdict: Classification) -> str:
    if verdict.domestic:
        return "It is designed in China or another D:5 country: US rules on export are not asked of it."
    home = "" if verdict.headquarters == verdict.place else f" for a firm with headquarters in {verdict.headquarters}"
    return f"No rule on file controls such chips in {verdict.place}{home} on {verdict.date}."


def _controlling(finding: Finding) -> str:
    why = "names it" if finding.named else _numbers(finding)
    review = f" Reviewed under {finding.review}." if finding.review else ""
    head = f"Rule: {finding.title} ({finding.rule}). {_upper(finding.paragraph)} {why}.{review}"
    return f"{head} {_upper(finding.text)}. Citation: {finding.citation}."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _numbers(finding: Finding) -> str:
    if finding.applies is None:
        return "is open: " + (f"{', '.join(finding.unknown)} not known" if finding.unknown else "reported only")
    held: dict[str, Margin] = {}
    for margin in finding.margins:
        if margin.holds and margin.rule == finding.rule:
            best = held.setdefault(margin.metric, margin)
            held[margin.metric] = margin if margin.threshold > best.threshold else best
    return "is met: " + ", ".join(_margin(margin) for margin in held.values())


def _margin(margin: Margin) -> str:
    name = load_rules().metrics[margin.metric].name
    limit = show_number(margin.threshold, 4)
    if margin.value is None or margin.ratio is None:
        return f"{name} not known (limit {limit} {margin.unit})"
    op = margin.op if margin.holds else _FAILS[margin.op]
    return f"{name} {show_number(margin.value, 4)} {op} {limit}{_gap(margin.ratio)}"


def _gap(ratio: float) -> str:
    if ratio == 1:
        return ""
    if ratio >= 2:
        return f" ({show_number(ratio)} times)"
    return f" ({show_share(abs(ratio - 1))} {'above' if ratio > 1 else 'below'})"


_FAILS = {">=": "<", ">": "<=", "<": ">=", "<=": ">"}


def _nearest_thresholds(verdict: Classification) -> list[str]:
    """Per paragraph that does not apply, the thresholds that keep the chip out of it."""
    lines = []
    for finding in verdict.findings:
        kept = [margin for margin in finding.margins if margin.holds is False and margin.rule == finding.rule]
        if finding.applies is False and kept and finding.rule not in verdict.rules:
            words = "; ".join(dict.fromkeys(_margin(margin) for margin in kept))
            lines.append(f"{finding.paragraph} ({finding.rule}) does not apply: {words}.")
    return list(dict.fromkeys(lines))
