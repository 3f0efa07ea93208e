"""Which rules a chip falls under on a day, at a place, for a firm: the verdict, with margins, sources and doubts."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tonnage.catalog import load
from tonnage.law.book import RuleBook, rule_book
from tonnage.law.buyer import Buyer, listing, ownership_note, pause_words, units
from tonnage.law.criteria import LOWER_BOUNDS, ChipTraits, Margin, holds, margins, traits, unknown_metrics
from tonnage.law.data import STATUSES, Paragraph, Rule, clauses
from tonnage.units import show_number, show_share

if TYPE_CHECKING:
    from tonnage.catalog.catalog import Catalog

Date = datetime.date
LICENCE = ("authorised", "approval", "case-by-case", "licence", "denied")
"""Statuses that mean that a licence is needed, mildest first."""


@dataclass(frozen=True)
class Finding:
    """One paragraph of one rule, asked of one chip. applies None: what is known does not decide it.

    status: how an application fares, after any review policy (`review`); exception: licence exception that can serve;
    why: what meets it, where that is neither a name nor a number; unmet: conditions of a review policy that fail.
    """

    rule: str
    title: str
    paragraph: str
    citation: str
    applies: bool | None
    status: str
    text: str
    named: bool
    margins: tuple[Margin, ...] = ()
    exception: str = ""
    notify: bool = False
    review: str = ""
    inferred: str = ""
    doubt: str = ""
    unknown: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    why: str = ""
    unmet: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        body = {name: getattr(self, name) for name in ("rule", "title", "paragraph", "citation", "applies", "status")}
        body |= {"why": self.why or None, "unmet": list(self.unmet)}
        body |= {"named": self.named, "exception": self.exception or None, "review": self.review or None}
        return body | {"margins": [margin.to_json() for margin in self.margins], "sources": list(self.sources)}


@dataclass(frozen=True)
class Fee:
    """A share of the price that a government takes. base: `revenue` (of the seller) or `import value` (a duty)."""

    rule: str
    share: float
    base: str

    @property
    def factor(self) -> float:
        """Price factor if the seller passes all of it on: 1/(1 - share) of revenue, 1 + share as a duty."""
        return 1 + self.share if self.base == "import value" else 1 / (1 - self.share)


@dataclass(frozen=True)
class Measure:
    """An act of the destination's authorities.

    force: `inquiry`, `discouraged`, `conditional`, `barred` or `barred-state-funded`.
    """

    rule: str
    title: str
    force: str
    text: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Classification:
    """Verdict on one chip, day and place.

    status: `free` (no licence needed), `exception` (a licence exception serves), `authorised` (needed, and announced
    for this buyer), `approval`, `case-by-case`, `licence`,
    `denied` (a licence is needed; how an application fares), `risk` (no licence rule, but the guidance on General
    Prohibition 10), `unverified` (facts are missing to decide). controlling: the findings that set the status;
    domestic: designed in a D:5 country or Macau, so that US rules on export are not asked.
    """

    chip: str
    title: str
    date: Date
    place: str
    headquarters: str
    status: str
    controlling: tuple[Finding, ...]
    findings: tuple[Finding, ...]
    measures: tuple[Measure, ...] = ()
    fees: tuple[Fee, ...] = ()
    conditions: tuple[str, ...] = ()
    could_not_verify: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    risk_rules: tuple[str, ...] = ()
    domestic: bool = False

    @property
    def licence_needed(self) -> bool:
        """Whether a licence is needed."""
        return self.status in LICENCE

    @property
    def rules(self) -> tuple[str, ...]:
        """Ids of the rules that set the status, with the review policies that changed it."""
        names = [name for finding in self.controlling for name in (finding.rule, finding.review) if name]
        return (
            tuple(dict.fromkeys((*names, *self.risk_rules))) if self.status == "risk" else tuple(dict.fromkeys(names))
        )

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """Paragraphs that set the status."""
        return tuple(dict.fromkeys(finding.paragraph for finding in self.controlling))

    @property
    def margins(self) -> tuple[Margin, ...]:
        """Margin to every threshold asked, rule by rule."""
        return tuple(dict.fromkeys(margin for finding in self.findings for margin in finding.margins))

    @property
    def exception(self) -> Finding | None:
        """The finding whose licence exception serves, when that is the status."""
        return self.controlling[0] if self.status == "exception" else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "chip": self.chip,
            "date": self.date.isoformat(),
            "place": self.place,
            "headquarters": self.headquarters,
            "status": self.status,
            "licence_needed": self.licence_needed,
            "rules": list(self.rules),
            "paragraphs": list(self.paragraphs),
            "findings": [finding.to_json() for finding in self.findings],
            "fees": [dataclasses.asdict(fee) for fee in self.fees],
            "measures": [dataclasses.asdict(measure) for measure in self.measures],
            "conditions": list(self.conditions),
            "could_not_verify": list(self.could_not_verify),
            "notes": list(self.notes),
            "risks": list(self.risks),
            "changes": list(self.changes),
            "sources": list(self.sources),
        }


def classify(
    chip: str | ChipTraits,
    date: Date,
    place: str,
    headquarters: str | None = None,
    *,
    catalog: Catalog | None = None,
    book: RuleBook | None = None,
    known_at: Date | None = None,
    buyer: Buyer | None = None,
) -> Classification:
    """Legal status of bringing a chip to a place on a day.

    headquarters: country of the receiving firm's headquarters or ultimate parent, the place's own if not given;
    known_at: only rules announced by then count; buyer: what more is known of who takes it. It says what the rules on
    file require of such a buyer, and nothing else. Raises InputError for a chip, place or rule that does not exist.
    """
    about = chip if isinstance(chip, ChipTraits) else traits(chip, catalog or load())
    rules = book or rule_book()
    places = rules.data.places
    where = places.code(place)
    home = places.code(headquarters, "headquarters") if headquarters else where
    rules = rules.as_known(known_at)
    who = buyer or Buyer()
    if who.origin is not None:
        who = dataclasses.replace(who, origin=places.code(who.origin, "origin"))
    found = _classified(about, date, where, home, rules, who)
    if not about.rates_high:
        return found
    upper = _classified(dataclasses.replace(about, rates=about.rates_high), date, where, home, rules, who)
    if upper.status == found.status:
        return found
    text = f"the rates of {about.name} are intervals; at their upper ends the status would be {upper.status}"
    return dataclasses.replace(found, could_not_verify=(text, *found.could_not_verify))


@functools.lru_cache(maxsize=4096)
def _classified(about: ChipTraits, date: Date, place: str, home: str, book: RuleBook, buyer: Buyer) -> Classification:
    party = _Party(date, place, home, book, buyer)
    findings = () if party.domestic(about) else party.findings(about)
    status, controlling = _verdict(findings)
    granted = party.granted(about, status, controlling)
    if granted is not None:
        status, controlling, findings = granted.status, (granted,), (*findings, granted)
    risks, status = party.risk(about, status)
    fees = party.fees(about) if status in LICENCE else ()
    reviews = [book.rule(finding.review) for finding in controlling if finding.review]
    body = Classification(
        about.key, about.name, date, place, home, status, controlling, findings, party.measures(about), fees
    )
    return dataclasses.replace(
        body,
        conditions=tuple(dict.fromkeys(text for rule in reviews for text in rule.conditions)),
        could_not_verify=_unverified(about, body, book),
        notes=party.notes(about, body),
        risks=(*(f"{rule.title}: {rule.text}" for rule in risks), *party.unenforced(about, status)),
        sources=_sources(body, risks, book),
        changes=book.changes,
        risk_rules=tuple(rule.id for rule in risks),
        domestic=party.domestic(about),
    )


@dataclass(frozen=True)
class _Party:
    """Who asks: day, place, headquarters, under which book, and what more is known of the buyer."""

    date: Date
    place: str
    home: str
    book: RuleBook
    buyer: Buyer = Buyer()

    def inside(self, group: str, code: str) -> bool:
        return self.book.data.places.has(group, code, self.date)

    def domestic(self, about: ChipTraits) -> bool:
        """Designed where US export rules do not start from: in China or another D:5 country, or Macau."""
        return about.designed_in is not None and self.inside("d5_macau", about.designed_in)

    def reached(self, rule: Rule) -> bool:
        """Whether a rule reaches this place, or this firm by its headquarters outside the United States."""
        by_home = rule.headquarters and self.place != "US" and self.inside(rule.headquarters, self.home)
        return self.inside(rule.where, self.place) or bool(by_home)

    def _fits(self, rule: Rule, group: str, by: str = "both") -> bool:
        by_home = self.inside(group, self.home) and (by == "headquarters" or bool(rule.headquarters))
        return by_home or (by != "headquarters" and self.inside(group, self.place))

    def findings(self, about: ChipTraits) -> tuple[Finding, ...]:
        rules = [rule for rule in self.book.in_force(self.date, "control") if self.reached(rule)]
        found = [self._find(rule, part, about) for rule in rules for part in rule.paragraphs if _asked(part, about)]
        return (*found, *self._of_the_buyer())

    def _of_the_buyer(self) -> Iterable[Finding]:
        """What reaches the buyer itself, whatever the chip: the Entity List, and its owners on it."""
        share = self.buyer.listed_share
        for rule in self.book.in_force(self.date, "owners"):
            if self.reached(rule) and share is not None and rule.owner_share is not None and share >= rule.owner_share:
                why = f"is met: listed firms own {show_share(share)} of the buyer"
                said = (rule.id, rule.title, "the ownership test", rule.citation, True, "licence", rule.text)
                yield Finding(*said, named=False, why=why, sources=rule.sources)
        entry = listing(self.buyer, self.book.data.parties, self.date)
        if entry is not None and self.place != "US":
            why, text = "names the buyer", f"presumption of denial in most cases; {entry.text}"
            said = ("entity_list", "Entity List", "the list", "15 CFR part 744, Supplement No. 4", True, "denied", text)
            yield Finding(*said, named=False, why=why, sources=entry.sources)

    def granted(self, about: ChipTraits, status: str, controlling: tuple[Finding, ...]) -> Finding | None:
        """The grant that covers the named buyer: free of a licence, or with one that was announced."""
        if status not in ("approval", "case-by-case", "licence"):
            return None
        for rule in self._grants():
            taken = units(rule, self.buyer, about)
            if rule.unit_cap is not None and taken is not None and taken > rule.unit_cap:
                continue
            said = (rule.id, rule.title, "the grant", rule.citation, True, rule.status, rule.text)
            return Finding(*said, named=False, why=f"names {self.buyer.name}", sources=rule.sources)
        return None

    def _grants(self) -> tuple[Rule, ...]:
        rules = self.book.in_force(self.date, "grant")
        named = [rule for rule in rules if self.inside(rule.where, self.place) and self.buyer.is_one_of(rule.parties)]
        return tuple(sorted(named, key=lambda rule: STATUSES.index(rule.status)))

    def _over(self, about: ChipTraits) -> Iterable[str]:
        """Grants to the buyer that what it takes goes beyond."""
        for rule in self._grants():
            taken = units(rule, self.buyer, about)
            if rule.unit_cap is None or taken is None:
                continue
            what = f"{show_number(taken)} {rule.unit_name} of {show_number(rule.unit_cap)}"
            yield f"{rule.title}: {what}" + (
                ": above what was announced, more licences are needed" if taken > rule.unit_cap else ""
            )

    def unenforced(self, about: ChipTraits, status: str) -> tuple[str, ...]:
        """What rules require that stand on the books and are not enforced, where no licence is asked for otherwise."""
        if self.domestic(about) or status in LICENCE:
            return ()
        found = []
        for rule in self.book.rules:
            pause = rule.pause(self.date)
            if rule.kind != "control" or pause is None or not rule.on_the_books(self.date) or not self.reached(rule):
                continue
            if any(_applies(part, about) for part in rule.paragraphs if _asked(part, about)):
                text = f"by its text, in force since {rule.effective}, a licence is needed; it is {pause_words(pause)}"
                found.append(f"{rule.title} ({rule.citation}): {text}, and may be enforced again")
        return tuple(found)

    def _find(self, rule: Rule, part: Paragraph, about: ChipTraits) -> Finding:
        applies = _applies(part, about)
        inferred = part.inferred
        if part.doubt:
            applies = None if applies else False
        if applies is None and (presumed := self._presumed_free(about, rule, bool(part.doubt))):
            applies, inferred = False, presumed
        status = next((policy.status for policy in rule.policy if self._fits(rule, policy.where, policy.by)), "licence")
        finding = Finding(
            rule.id,
            rule.title,
            part.name,
            rule.citation,
            applies,
            status,
            rule.text,
            bool(part.chips),
            margins(rule.id, part.name, part.criteria, about),
            inferred=inferred,
            doubt=part.doubt,
            unknown=unknown_metrics(part.criteria, about),
            sources=rule.sources,
        )
        if part.exception:
            return self._excepted(finding, rule)
        return finding if applies is False else self._reviewed(finding, about)

    def _presumed_free(self, about: ChipTraits, rule: Rule, doubtful: bool) -> str:
        """Why a paragraph that what is known leaves open is taken not to reach the chip; empty where nothing says so.

        A later letter that names it implies that earlier paragraphs did not reach it, and so does its sale to China
        without a licence while they were in force.
        """
        if about.free_sale is not None and rule.announced <= about.free_sale:
            return f"sold to China without a licence from {about.free_sale}, so that no paragraph of then reached it"
        letters = [other for other in self.book.data.rules if other.presumes_free and other.announced > rule.announced]
        if not doubtful and any(about.key in letter.chips for letter in letters):
            return "named in a letter, which is written for chips that no paragraph reaches"
        return ""

    def _excepted(self, finding: Finding, rule: Rule) -> Finding:
        for exception in rule.exceptions:
            if self._fits(rule, exception.where):
                return dataclasses.replace(
                    finding, status="exception", exception=exception.name, notify=exception.notify
                )
        return finding

    def _reviewed(self, finding: Finding, about: ChipTraits) -> Finding:
        for rule in self.book.in_force(self.date, "review"):
            if finding.rule not in rule.revises or not self.inside(rule.where, self.place):
                continue
            parts = tuple(_applies(part, about) for part in rule.paragraphs)
            found = [margin for part in rule.paragraphs for margin in margins(rule.id, part.name, part.criteria, about)]
            finding = dataclasses.replace(finding, margins=(*finding.margins, *found))
            unmet = tuple(self._unmet(rule, about)) if False not in parts else ()
            if unmet:
                finding = dataclasses.replace(finding, unmet=tuple(f"{rule.citation}: {text}" for text in unmet))
            elif True in parts:
                sources = tuple(dict.fromkeys((*finding.sources, *rule.sources)))
                text, status = rule.text, rule.status
                finding = dataclasses.replace(finding, status=status, review=rule.id, text=text, sources=sources)
            elif None in parts:
                missing = {name for part in rule.paragraphs for name in unknown_metrics(part.criteria, about)}
                finding = dataclasses.replace(finding, unknown=(*finding.unknown, *sorted(missing)))
        return finding

    def _unmet(self, rule: Rule, about: ChipTraits) -> Iterable[str]:
        """Conditions of a review policy that are known to fail."""
        if rule.needs_sold and about.sold is False:
            yield f"{about.name} is not sold in the United States, only rented in its maker's cloud"
        elif rule.needs_sold and about.released is not None and about.released > rule.effective:
            yield f"{about.name} came out on {about.released}, after {rule.effective}, when it had to be on sale"
        if rule.needs_us_origin and self.buyer.origin not in (None, "US"):
            yield f"only exports from the United States, not from {self.buyer.origin}"

    def risk(self, about: ChipTraits, status: str) -> tuple[tuple[Rule, ...], str]:
        """Guidance that marks the use of a chip as a risk; outside China it sets the status."""
        found = []
        for rule in self.book.in_force(self.date, "guidance"):
            named = about.key in rule.chips
            meets = any(_applies(part, about) for part in rule.paragraphs)
            if named or (meets and rule.concerns == "designed_in_d5" and self.domestic(about)):
                found.append(rule)
        if found and status == "free" and not self.inside("china_macau", self.place):
            status = "risk"
        return tuple(found), status

    def fees(self, about: ChipTraits) -> tuple[Fee, ...]:
        rules = [rule for rule in self.book.in_force(self.date, "fee") if self.reached(rule)]
        hits = [rule for rule in rules if any(_applies(part, about) for part in rule.paragraphs)]
        return tuple(Fee(rule.id, rule.fee_share, rule.fee_base) for rule in hits)

    def measures(self, about: ChipTraits) -> tuple[Measure, ...]:
        rules = [rule for rule in self.book.in_force(self.date, "measure") if self.reached(rule)]
        hits = [rule for rule in rules if self._measured(rule, about)]
        return tuple(Measure(rule.id, rule.title, rule.force, rule.text, rule.sources) for rule in hits)

    def _measured(self, rule: Rule, about: ChipTraits) -> bool:
        if rule.concerns == "foreign":
            if rule.force == "inspected" and about.datacentre is False:
                return about.key in rule.chips
            return about.designed_in is not None and not self.inside("china", about.designed_in)
        return about.key in rule.chips or (bool(about.vendor) and about.vendor in rule.vendors)

    def notes(self, about: ChipTraits, body: Classification) -> tuple[str, ...]:
        rules = [rule for rule in self.book.in_force(self.date, "note") if self._noted(rule, about, body)]
        owners = [rule for rule in self.book.rules if rule.kind == "owners" and rule.on_the_books(self.date)]
        owned = [text for rule in owners if (text := ownership_note(rule, self.buyer, self.date))]
        parties = [p for p in self.book.data.parties if about.vendor in p.vendors and p.since <= self.date]
        said = [f"{rule.title} ({rule.citation}): {rule.text}" for rule in rules]
        return (*self._over(about), *owned, *said, *(p.text for p in parties))

    def _noted(self, rule: Rule, about: ChipTraits, body: Classification) -> bool:
        if rule.concerns == "place":
            return self.inside(rule.where, self.place) and not self.domestic(about)
        if rule.concerns == "licensed":
            return self.reached(rule) and body.status in LICENCE
        if rule.concerns == "shipped":
            return self.buyer.origin is not None and self.inside(rule.where, self.buyer.origin)
        if rule.concerns == "origin":
            origin = self.buyer.origin
            from_there = origin is not None and self.inside(rule.where, origin)
            return (from_there or self.inside(rule.where, self.place)) and not self.domestic(about)
        if rule.concerns == "d5_headquarters":
            return self.inside("d5_macau", self.home) and not self.inside("d5_macau", self.place)
        if rule.concerns == "designed_in_d5":
            return self.domestic(about)
        return self.reached(rule) and about.key in rule.chips


def _asked(part: Paragraph, about: ChipTraits) -> bool:
    if part.needs and getattr(about, part.needs) is None:
        return False
    if part.datacentre is not None and part.datacentre != (about.datacentre is not False):
        return False
    return part.criteria is not None or about.key in part.chips


def _applies(part: Paragraph, about: ChipTraits) -> bool | None:
    if about.key in part.chips:
        return True
    return holds(part.criteria, about) if part.criteria is not None else False


def _verdict(findings: tuple[Finding, ...]) -> tuple[str, tuple[Finding, ...]]:
    """Severest status of the paragraphs that apply; `unverified` when none does for sure and some might."""
    hits = [finding for finding in findings if finding.applies]
    named = {finding.rule for finding in hits if finding.named}
    hits = [finding for finding in hits if finding.named or finding.rule not in named]
    if hits:
        worst = max(hits, key=lambda finding: STATUSES.index(finding.status)).status
        setting = [finding for finding in hits if finding.status == worst]
        printed = tuple(finding for finding in setting if not finding.inferred or finding.named) or tuple(setting)
        reported = tuple(finding for finding in findings if finding.applies is None and finding.doubt)
        if worst == "exception" and reported:
            return "unverified", (*printed, *reported)
        return worst, printed
    open_ones = tuple(f for f in findings if f.applies is None and (f.doubt or not f.inferred))
    return ("unverified", open_ones) if open_ones else ("free", ())


def _unverified(about: ChipTraits, body: Classification, book: RuleBook) -> tuple[str, ...]:
    """What a reader must know was not checked, or could not be."""
    named = {finding.rule for finding in body.controlling if finding.named}
    texts: list[str] = []
    for finding in body.findings:
        if finding.named or finding.rule not in named:
            texts += _doubts(finding, about, book)
    for identifier in dict.fromkeys(finding.review for finding in body.controlling if finding.review):
        review = book.rule(identifier)
        if review.conditions:
            texts.append(f"conditions of {review.citation}: {'; '.join(review.conditions)}")
        if review.needs_sold and about.china_oriented:
            texts.append(f"whether {about.name}, made for China, counts as commercially available in the United States")
    if body.findings and about.datacentre is None:
        texts.append(f"whether {about.name} is designed or marketed for data centres; taken as yes")
    texts += [text for fee in body.fees for text in book.rule(fee.rule).unverified]
    texts += [text for measure in body.measures for text in book.rule(measure.rule).unverified]
    if not body.findings and about.designed_in not in (None, "US") and body.place != about.designed_in:
        texts.append(f"whether {about.name}, designed outside the United States, is subject to US rules at all")
    return tuple(dict.fromkeys(texts))


def _doubts(finding: Finding, about: ChipTraits, book: RuleBook) -> list[str]:
    texts: list[str] = []
    if finding.applies is None and not finding.doubt:
        missing = ", ".join(finding.unknown) or "a fact"
        texts.append(f"{finding.paragraph} ({finding.rule}) is open: {missing} of {about.name} is not known")
    if finding.applies is not False:
        texts += [text for text in (finding.inferred, finding.doubt) if text]
        texts += [text for rule in book.rules if rule.id == finding.rule for text in rule.unverified]
    elif finding.unknown and finding.inferred:
        texts.append(
            f"{finding.paragraph} ({finding.rule}): {', '.join(finding.unknown)} not known; {finding.inferred}"
        )
    elif any(m.metric in LOWER_BOUNDS and m.holds is False for m in finding.margins):
        texts.append("transfer rate over all inputs and outputs: only the scale-up link is counted")
    return texts


def _sources(body: Classification, risks: tuple[Rule, ...], book: RuleBook) -> tuple[str, ...]:
    """Ids of the sources behind the verdict, of the rules that were asked when nothing applies."""
    findings = body.controlling or body.findings
    names = [source for finding in findings for source in finding.sources]
    names += [source for measure in body.measures for source in measure.sources]
    names += [source for fee in body.fees for source in book.rule(fee.rule).sources]
    names += [source for rule in risks for source in rule.sources]
    return tuple(dict.fromkeys(names))


def thresholds(rule: Rule, book: RuleBook) -> tuple[str, ...]:
    """Numeric thresholds of a rule as text, marked where they are not its own words."""
    found = []
    for part in rule.paragraphs:
        mark = " (as reported)" if part.doubt else " (inferred)" if part.inferred else ""
        for clause in clauses(part.criteria):
            metric = book.data.metrics[clause.metric]
            found.append(f"{metric.name} {clause.op} {clause.value:g} {metric.unit}{mark}")
    return tuple(dict.fromkeys(found))
