"""The export-control timeline as values: rules, their paragraphs and criteria, metrics, parties and sources.

Read from `data/rules.toml`, `sources.toml` and `places.toml`. A rule without a source does not load.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tonnage.law.places import Group, Places

DATA = Path(__file__).parent / "data"
KINDS = ("control", "review", "fee", "measure", "guidance", "listing", "note", "grant", "owners", "proposal")
"""grant: licences announced for named buyers; owners: reaches a buyer through who owns it; proposal: not law so far."""
STATUSES = ("free", "exception", "authorised", "approval", "case-by-case", "licence", "denied")
"""What a control does to a shipment, mildest first. authorised: a licence for the named buyer has been announced."""
PAUSES = ("suspended", "not enforced")
OPERATORS = (">=", ">", "<", "<=")


@dataclass(frozen=True)
class RuleSource:
    """Where a rule is printed. known: `fetched` (it, or a report that quotes it, was read) or `recalled`."""

    id: str
    title: str
    url: str
    known: str
    via: str = ""
    note: str = ""


@dataclass(frozen=True)
class Clause:
    """A comparison of a metric with a threshold, in the unit of the metric as the rule prints it."""

    metric: str
    op: str
    value: float


@dataclass(frozen=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold."""

    part: Tree


Tree = Clause | AllOf | AnyOf | Not


@dataclass(frozen=True)
class Metric:
    """A quantity that rules compare with thresholds, in the unit that they print."""

    id: str
    name: str
    unit: str
    definition: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Paragraph:
    """One way to fall under a rule: named chips, or criteria on numbers.

    exception: a licence exception can serve; inferred: why the machine reading is not the text itself; doubt: reported
    only, so that it makes a verdict uncertain and never certain; needs: a trait without which it is not asked at all;
    datacentre: asked only of chips that are (true) or are not (false) designed or marketed for data centres.
    """

    name: str
    chips: tuple[str, ...] = ()
    criteria: Tree | None = None
    exception: bool = False
    inferred: str = ""
    doubt: str = ""
    needs: str = ""
    datacentre: bool | None = None


@dataclass(frozen=True)
class Policy:
    """Status of an application for the parties of a group, by place or by headquarters."""

    where: str
    status: str
    by: str = "both"


@dataclass(frozen=True)
class LicenceException:
    """A licence exception open to a group; with `notify` the authority is told beforehand and may object."""

    where: str
    name: str
    notify: bool


@dataclass(frozen=True)
class Pause:
    """A span in which a rule on the books does not bite. until: first day on which it bites again, None: open.

    state: `suspended` (by a rule) or `not enforced` (by the authority's word, the text stands).
    """

    since: datetime.date
    announced: datetime.date
    state: str
    until: datetime.date | None = None

    def __post_init__(self) -> None:
        if self.state not in PAUSES or (self.until is not None and self.until <= self.since):
            raise ValueError(f"not a pause: {self}")

    def holds(self, date: datetime.date) -> bool:
        """Whether the rule is paused on that day."""
        return self.since <= date and (self.until is None or date < self.until)


@dataclass(frozen=True)
class Later:
    """What was said of a rule after it was announced: more of its text, or of its citation."""

    since: datetime.date
    text: str = ""
    citation: str = ""


@dataclass(frozen=True)
class Rule:
    """One dated act: who, what, where, from when until when, with sources. Dates: see docs/method/law.md.

    text, citation: as they stand today; first: text and citation as they were announced; later: what came since.

    needs_sold: a review that asks for what is sold in the United States when it takes effect; needs_us_origin: and that
    is exported from there; parties: buyers whom a grant names; unit_tpp: TPP of the unit that `unit_cap` counts in;
    owner_share: share of listed owners from which a buyer counts as listed; fate: how a proposal ended.
    """

    id: str
    title: str
    jurisdiction: str
    kind: str
    announced: datetime.date
    effective: datetime.date
    citation: str
    where: str
    text: str
    sources: tuple[str, ...]
    compliance: datetime.date | None = None
    ended: datetime.date | None = None
    ended_announced: datetime.date | None = None
    date_text: str = ""
    eccn: str = ""
    headquarters: str = ""
    paragraphs: tuple[Paragraph, ...] = ()
    policy: tuple[Policy, ...] = ()
    exceptions: tuple[LicenceException, ...] = ()
    revises: tuple[str, ...] = ()
    status: str = ""
    force: str = ""
    concerns: str = ""
    vendors: tuple[str, ...] = ()
    fee_share: float = 0.0
    fee_base: str = ""
    volume_cap: float | None = None
    unit_cap: int | None = None
    domestic_share: float | None = None
    conditions: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    note: str = ""
    presumes_free: bool = False
    pauses: tuple[Pause, ...] = ()
    needs_sold: bool = False
    needs_us_origin: bool = False
    parties: tuple[str, ...] = ()
    unit_tpp: float | None = None
    unit_name: str = ""
    owner_share: float | None = None
    fate: str = ""
    first: tuple[str, str] = ("", "")
    later: tuple[Later, ...] = ()

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError(f"{self.id}: a rule needs a source")
        if self.kind not in KINDS:
            raise ValueError(f'{self.id}: "{self.kind}" is not a kind of rule; kinds: {", ".join(KINDS)}')
        for status in (self.status, *(policy.status for policy in self.policy)):
            if status and status not in STATUSES:
                raise ValueError(f'{self.id}: "{status}" is not a status')

    def as_said(self, date: datetime.date) -> Rule:
        """With the words that could be had on that day."""
        if all(part.since <= date for part in self.later):
            return self
        text, citation = _words(self.first, (part for part in self.later if part.since <= date))
        return dataclasses.replace(self, text=text, citation=citation)

    @property
    def acts_from(self) -> datetime.date:
        """First day on which it bites: the compliance date if there is one."""
        return self.compliance or self.effective

    def in_force(self, date: datetime.date) -> bool:
        """Whether it bites on that day."""
        return self.on_the_books(date) and self.pause(date) is None

    def on_the_books(self, date: datetime.date) -> bool:
        """Whether it has to be complied with by its text on that day, enforced or not."""
        return self.acts_from <= date and (self.ended is None or date < self.ended)

    def pause(self, date: datetime.date) -> Pause | None:
        """The pause that holds on a day."""
        return next((pause for pause in self.pauses if pause.holds(date)), None)

    @property
    def turns(self) -> tuple[datetime.date, ...]:
        """Days on which it begins or ceases to bite, in order."""
        days = {self.acts_from, self.ended, *(day for p in self.pauses for day in (p.since, p.until))}
        return tuple(sorted(day for day in days if day is not None))

    @property
    def chips(self) -> tuple[str, ...]:
        """All chips named in its paragraphs."""
        return tuple(dict.fromkeys(chip for paragraph in self.paragraphs for chip in paragraph.chips))


@dataclass(frozen=True)
class Party:
    """What is known of vendors or labs on the Entity List. listed: whether they are on it at all."""

    vendors: tuple[str, ...]
    text: str
    since: datetime.date
    sources: tuple[str, ...]
    listed: bool = True

    def named(self, name: str) -> bool:
        """Whether a name is one of these."""
        return name.strip().lower() in {vendor.lower() for vendor in self.vendors}


@dataclass(frozen=True, eq=False)
class RuleData:
    """Everything that was read from the data files."""

    rules: tuple[Rule, ...]
    metrics: Mapping[str, Metric]
    parties: tuple[Party, ...]
    sources: Mapping[str, RuleSource]
    places: Places
    could_not_verify: tuple[str, ...]
    problems: tuple[str, ...] = field(default=())


def parse_tree(raw: Mapping[str, Any]) -> Tree:
    """`{metric, op, value}`, `{all_of: [...]}`, `{any_of: [...]}` or `{not: ...}` -> tree. Raises ValueError."""
    if "all_of" in raw:
        return AllOf(tuple(parse_tree(part) for part in raw["all_of"]))
    if "any_of" in raw:
        return AnyOf(tuple(parse_tree(part) for part in raw["any_of"]))
    if "not" in raw:
        return Not(parse_tree(raw["not"]))
    if set(raw) != {"metric", "op", "value"} or raw["op"] not in OPERATORS:
        raise ValueError(f"not a criterion: {dict(raw)}")
    return Clause(raw["metric"], raw["op"], float(raw["value"]))


def clauses(tree: Tree | None) -> tuple[Clause, ...]:
    """All comparisons of a tree, from left to right."""
    if tree is None:
        return ()
    if isinstance(tree, Clause):
        return (tree,)
    parts: Iterable[Tree] = (tree.part,) if isinstance(tree, Not) else tree.parts
    return tuple(clause for part in parts for clause in clauses(part))


def _paragraph(raw: dict[str, Any]) -> Paragraph:
    criteria = raw.pop("criteria", None)
    chips = tuple(raw.pop("chips", ()))
    return Paragraph(chips=chips, criteria=parse_tree(criteria) if criteria else None, **raw)


def _words(first: tuple[str, str], later: Iterable[Later]) -> tuple[str, str]:
    """Text and citation of a rule with what was said later."""
    parts = tuple(later)
    text = "; ".join((first[0], *(part.text for part in parts if part.text)))
    return text, ", ".join((first[1], *(part.citation for part in parts if part.citation)))


def _rule(raw: dict[str, Any]) -> Rule:
    later = tuple(Later(**part) for part in raw.pop("later", ()))
    first = (raw["text"], raw["citation"])
    raw["text"], raw["citation"] = _words(first, later)
    built: dict[str, Any] = {
        "first": first,
        "later": later,
        "paragraphs": tuple(_paragraph(part) for part in raw.pop("paragraph", ())),
        "policy": tuple(Policy(**part) for part in raw.pop("policy", ())),
        "exceptions": tuple(LicenceException(**part) for part in raw.pop("exceptions", ())),
        "pauses": tuple(Pause(**part) for part in raw.pop("pauses", ())),
    }
    lists = {key: tuple(value) for key, value in raw.items() if isinstance(value, list)}
    return Rule(**{**raw, **lists, **built})


def _group(name: str, raw: dict[str, Any], dates: Mapping[str, tuple[Any, Any]]) -> Group:
    return Group(
        name,
        raw["title"],
        frozenset(raw.get("members", "").split()),
        tuple(raw.get("plus", ())),
        tuple(raw.get("less", ())),
        bool(raw.get("all", False)),
        frozenset(raw.get("less_codes", "").split()),
        frozenset(raw.get("keep", "").split()),
        dates,
        tuple(raw["sources"]),
    )


def _places(raw: dict[str, Any]) -> Places:
    groups = {}
    for name, body in raw["group"].items():
        dates = {change["code"]: (change.get("from"), change.get("until")) for change in body.get("changes", ())}
        groups[name] = _group(name, body, dates)
    vendors = {name.lower(): code for name, code in raw["vendors"].items()}
    return Places(frozenset(raw["codes"].split()), raw["names"], groups, vendors)


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((DATA / name).read_text(encoding="utf-8"))


@functools.cache
def load_rules() -> RuleData:
    """The bundled rules, read once. Raises ValueError when a rule has no source, or names what does not exist."""
    raw = _read("rules.toml")
    sources = {key: RuleSource(key, **body) for key, body in _read("sources.toml").items()}
    metrics = {
        m["id"]: Metric(m["id"], m["name"], m["unit"], m["definition"], tuple(m["sources"])) for m in raw["metric"]
    }
    parties = tuple(
        Party(tuple(p["vendors"]), p["text"], p["from"], tuple(p["sources"]), p.get("listed", True))
        for p in raw["party"]
    )
    rules = tuple(_rule(part) for part in raw["rule"])
    data = RuleData(rules, metrics, parties, sources, _places(_read("places.toml")), tuple(raw["could_not_verify"]))
    _check(data)
    return data


def _check(data: RuleData) -> None:
    """Every name that a rule uses exists. Raises ValueError."""
    ids = [rule.id for rule in data.rules]
    if len(set(ids)) != len(ids):
        raise ValueError("two rules share an id")
    for rule in data.rules:
        unknown = set(rule.sources) - set(data.sources) | set(rule.revises) - set(ids)
        groups = {rule.where, *(policy.where for policy in rule.policy), *(e.where for e in rule.exceptions)}
        unknown |= (groups | ({rule.headquarters} if rule.headquarters else set())) - set(data.places.groups)
        for paragraph in rule.paragraphs:
            unknown |= {c.metric for c in clauses(paragraph.criteria)} - set(data.metrics)
        if unknown:
            raise ValueError(f"{rule.id}: unknown {', '.join(sorted(unknown))}")
    users: list[Metric | Party | Group] = [*data.metrics.values(), *data.parties, *data.places.groups.values()]
    for user in users:
        if not user.sources or set(user.sources) - set(data.sources):
            raise ValueError(f"{user}: a source is missing")
