"""Whether a lot of chips may be planned on: owned, rented or to be bought, at a place, on a day.

An export rule acts on export, import and transfer, not on use: what lawfully came before a rule stays usable, and so
does its rental inside the country. What would come after a rule bites is planned on only with a licence in hand.
"""

from __future__ import annotations

import datetime
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tonnage.catalog import load
from tonnage.errors import InputError, Problem, nearest
from tonnage.law.book import RuleBook, rule_book
from tonnage.law.classify import LICENCE, Classification, classify
from tonnage.law.criteria import ChipTraits, traits

if TYPE_CHECKING:
    from tonnage.catalog.catalog import Catalog

Date = datetime.date
TENURES = ("owned", "rented", "bought")
LICENCES = ("granted", "applied", "none")
Window = tuple[Date, Date | None]
"""First day, and the day on which it is over (None: still open)."""


@dataclass(frozen=True)
class Lawful:
    """Whether a lot is planned on, and why.

    status: the classification's status on the day that decides; rules: ids that decide; price_factor: what a purchase
    costs if all fees are passed on, price_factor_low: if none is; windows: when it could come without a licence.
    """

    planned: bool
    status: str
    reason: str
    rules: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    price_factor: float = 1.0
    price_factor_low: float = 1.0
    windows: tuple[Window, ...] = ()
    notes: tuple[str, ...] = ()
    could_not_verify: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "planned": self.planned,
            "status": self.status,
            "reason": self.reason,
            "rules": list(self.rules),
            "price_factor": self.price_factor,
            "notes": list(self.notes),
            "could_not_verify": list(self.could_not_verify),
            "sources": list(self.sources),
        }


def lawful(
    chip: str | ChipTraits,
    date: Date,
    place: str,
    headquarters: str | None = None,
    *,
    tenure: str = "bought",
    acquired: Date | None = None,
    licence: str = "none",
    state_funded: bool = False,
    known_at: Date | None = None,
    catalog: Catalog | None = None,
    book: RuleBook | None = None,
) -> Lawful:
    """Whether a lot may be planned on for use on `date`.

    tenure: `owned` (held already when `acquired` is None), `rented` (from stock already in the country when `acquired`
    is None), `bought` (delivered on `acquired`, else on `date`); licence: `granted` when the user holds one.
    Raises InputError for an unknown chip, place, tenure or licence.
    """
    _check("tenure", tenure, TENURES)
    _check("licence", licence, LICENCES)
    about = chip if isinstance(chip, ChipTraits) else traits(chip, catalog or load())
    rules = (book or rule_book()).as_known(known_at)
    where = rules.data.places.code(place)
    home = rules.data.places.code(headquarters, "headquarters") if headquarters else where
    if tenure == "bought" or acquired is not None:
        arrival = acquired or date
        verdict = classify(about, arrival, where, home, book=rules)
        return _delivered(verdict, licence, state_funded)
    return _held(about, date, where, home, tenure, licence, rules)


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        message = f'"{value[:40]}" is not a {name}; it is one of {", ".join(known)}'
        raise InputError(Problem(message, path=name, suggestion=nearest(value[:40], known)))


def _delivered(verdict: Classification, licence: str, state_funded: bool) -> Lawful:
    """A lot that comes on a day: free, by exception, or with a licence that the user holds."""
    forces = ("barred", "barred-state-funded") if state_funded else ("barred",)
    for measure in verdict.measures:
        if measure.force in forces:
            reason = f"{_on(verdict)}: {measure.title} ({measure.rule})"
            return _answer(verdict, False, reason, (measure.rule,))
    if verdict.status == "free":
        return _answer(verdict, True, f"no licence is needed {_on(verdict)}")
    if verdict.exception is not None and not verdict.exception.notify:
        return _answer(verdict, True, f"License Exception {verdict.exception.exception} serves {_on(verdict)}")
    named = ", ".join((*verdict.paragraphs, *verdict.rules)) or "no rule"
    if licence == "granted":
        return _answer(verdict, True, f"{_need(verdict)} {_on(verdict)} ({named}); one is said to be held")
    return _answer(verdict, False, f"{_need(verdict)} {_on(verdict)} ({named}); none is said to be held")


def _on(verdict: Classification) -> str:
    return f"for {verdict.title} to {verdict.place} on {verdict.date}"


_NEEDS = {
    "exception": "a notified licence exception is needed",
    "authorised": "a licence is needed, and one was announced for this buyer",
    "approval": "a licence is needed (presumption of approval)",
    "case-by-case": "a licence is needed (case by case)",
    "licence": "a licence is needed",
    "denied": "a licence is needed (presumption of denial)",
    "risk": "authorisation against General Prohibition 10 is needed",
    "unverified": "it could not be verified that no licence is needed",
}


def _need(verdict: Classification) -> str:
    return _NEEDS[verdict.status]


def _answer(verdict: Classification, planned: bool, reason: str, rules: tuple[str, ...] = ()) -> Lawful:
    factor = 1.0
    for fee in verdict.fees:
        factor *= fee.factor
    soft = [m for m in verdict.measures if m.rule not in rules]
    notes = (*(f"{m.force}: {m.title}" for m in soft), *verdict.risks, *verdict.changes)
    deciding = rules or verdict.rules
    return Lawful(
        planned, verdict.status, reason, deciding, verdict.sources, factor, 1.0, (), notes, verdict.could_not_verify
    )


def _held(about: ChipTraits, date: Date, place: str, home: str, tenure: str, licence: str, book: RuleBook) -> Lawful:
    """A lot that is in the country already. Whoever rents it out is taken to be a firm of the place."""
    holder = home if tenure == "owned" else place
    verdict = classify(about, date, place, holder, book=book)
    windows = free_windows(about, date, place, holder, book)
    answer = functools.partial(_stock, verdict, windows)
    if verdict.status == "risk":
        return answer(licence == "granted", f"{_need(verdict)} {_on(verdict)}")
    if tenure == "rented" and (abroad := _remote(about, date, place, home, verdict, book)):
        return answer(licence == "granted", abroad)
    if verdict.status == "free":
        return answer(True, f"no licence is needed {_on(verdict)}")
    if windows:
        text = f"{_spans(windows)} it could come without a licence; rules on export do not reach use in the country"
        return answer(True, f"{about.name} in {place} on {date}: {text}")
    if licence == "granted":
        return answer(True, f"{_need(verdict)} {_on(verdict)}; one is said to be held")
    text = f"on no day up to {date} could it come without a licence ({', '.join(verdict.rules)})"
    return answer(False, f"{about.name} in {place}: {text}; none is said to be held")


def _stock(verdict: Classification, windows: tuple[Window, ...], planned: bool, reason: str) -> Lawful:
    notes = (*(f"{m.force}: {m.title}" for m in verdict.measures), *verdict.risks, *verdict.changes)
    factor = 1.0
    unverified = verdict.could_not_verify
    if planned and verdict.status in LICENCE:
        unverified = ("when and how the stock in the country came", *unverified)
    rules, sources = verdict.rules, verdict.sources
    return Lawful(planned, verdict.status, reason, rules, sources, factor, factor, windows, notes, unverified)


def _remote(about: ChipTraits, date: Date, place: str, home: str, held: Classification, book: RuleBook) -> str:
    """Why a lot rented abroad by a firm of a D:5 country is not planned on; empty when that is not the case."""
    data = book.data.places
    if data.has("d5_macau", place, date) or not data.has("d5_macau", home, date):
        return ""
    as_own = classify(about, date, place, home, book=book)
    if as_own.status in ("free", held.status):
        return ""
    return (
        f"{_need(as_own)} for a firm with headquarters in {home} to hold {about.name} in {place} on {date}; whether "
        "renting it there from another firm is outside the rules could not be verified"
    )


def free_windows(about: ChipTraits, until: Date, place: str, home: str, book: RuleBook) -> tuple[Window, ...]:
    """Spans, from the chip's release to `until`, in which it could come without a licence, by the rules of the book."""
    start = about.released or Date(2022, 1, 1)
    if start > until:
        start = until
    edges = {start}
    for rule in book.rules:
        if rule.kind in ("control", "guidance"):
            edges |= {edge for edge in rule.turns if start < edge <= until}
    ordered = sorted(edges)
    spans: list[tuple[Date, Date | None]] = []
    for first, after in zip(ordered, [*ordered[1:], None], strict=True):
        if not _comes(classify(about, first, place, home, book=book)):
            continue
        if spans and spans[-1][1] == first:
            spans[-1] = (spans[-1][0], after)
        else:
            spans.append((first, after))
    return tuple(spans)


def _comes(verdict: Classification) -> bool:
    return verdict.status == "free" or (verdict.exception is not None and not verdict.exception.notify)


def _spans(windows: tuple[Window, ...]) -> str:
    words = [f"from {first} until {after}" if after else f"from {first}" for first, after in windows]
    return " and ".join(words)
