"""The programme: who wants to launch what, on which lots of accelerators, from when on, under which rules.

`read_programme` reads a programme file and checks it; all that is wrong with it is found at once, each problem with
line, column, dotted path and the nearest valid name.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from tonnage.fleet.judged import SAID, Judged
from tonnage.fleet.uncertain import Uncertain, point
from tonnage.units import show_share

if TYPE_CHECKING:
    from tonnage.model import Architecture

DAY = 86400.0
FIRST_USERS = 0.1
"""Share of the demand at launch that has to be served before a model has its first users: an assumption."""
Date = datetime.date
StageKind = Literal["pretrain", "extend", "sft", "rl", "pause"]
ChangeKind = Literal["licence", "ban", "fee"]


@dataclass(frozen=True)
class Quote:
    """A price that is counted with: of what (rent, owning or purchase); low, high [USD/accelerator-s, USD of a
    purchase]; term: one of `catalog.prices.TENURES`, empty where the programme gives the price; place: codes it holds
    in, those of another place included; date; source: key, `programme`, or `computed` from a purchase; basis:
    what exactly was priced.
    """

    lot: str
    chip: str
    what: str
    low: float
    high: float
    term: str = ""
    place: tuple[str, ...] = ()
    date: Date | None = None
    source: str = "programme"
    basis: str = ""


@dataclass(frozen=True)
class Purchase:
    """Accelerators that are bought: price: [USD] of one with what stands around it; life: [s] of use; resale: share of
    the price that is left at its end.
    """

    price: float
    life: float
    resale: float

    @property
    def wear(self) -> float:
        """What use wears off [USD/accelerator-s], in a straight line."""
        return self.price * (1 - self.resale) / self.life


@dataclass(frozen=True)
class Lot:
    """Accelerators of one kind that come together.

    name; chip: catalogue key; count [accelerators]; tenure: owned or rented; price: [USD/accelerator-s], None when no
    price is known (owned lots only); price_note: where the price is from; start, until, acquired: day numbers; over:
    [s] of even delivery; licence: name of a licence; spare: share held back; busy: share that other people's
    demand takes at the start, and its growth [1/s], compounded monthly; sources: fact ids.

    term: [s] for which a lease is paid at least; notice: [s] ahead of an early end, None where a lease is bound to
    `until`; lead: [s] from the first day, that of the order, to the arrival; bought: the purchase of an owned lot,
    of a rented one what it would be, where known; owning: [USD/accelerator-s] of a rented lot if it were bought;
    quotes: the prices that it is counted with; optional: whether it may be taken or left, as the best plan decides,
    step: so many accelerators at a time, None if as a whole.
    """

    name: str
    chip: str
    count: Uncertain
    tenure: str
    price: Uncertain | None
    price_note: str
    start: Uncertain
    until: Uncertain | None = None
    over: Uncertain = field(default_factory=lambda: point(0.0))
    acquired: Uncertain | None = None
    in_hand: bool = False
    licence: str | None = None
    spare: Uncertain = field(default_factory=lambda: point(0.0))
    busy: Uncertain = field(default_factory=lambda: point(0.0))
    busy_growth: Uncertain = field(default_factory=lambda: point(0.0))
    sources: tuple[str, ...] = ()
    term: float = 0.0
    notice: float | None = None
    lead: Uncertain = field(default_factory=lambda: point(0.0))
    bought: Purchase | None = None
    owning: Uncertain | None = None
    quotes: tuple[Quote, ...] = ()
    optional: bool = False
    step: float | None = None


@dataclass(frozen=True)
class ServiceSpec:
    """The demand for a model and its service level.

    input_tokens, output_tokens: [token/s] at the start, zero for a model that only takes over; growth: [1/s],
    compounded monthly; peak: capacity held over average demand; isl, osl: [token] of a request; ttft, tpot: [s] or
    None; cache_hit: share; takes_over: share of the predecessor's demand; within: [s]; surge: demand added at launch as
    a share of what moves; first_users: share of its demand at launch with which it has its first users; lots: names
    that may serve, empty for all; engine: that serves it, with a version or not, the usual one of each chip where None;
    day: load of each hour of the day over the highest, empty if it is not known.
    """

    isl: float
    osl: float
    input_tokens: Uncertain
    output_tokens: Uncertain
    growth: Uncertain
    peak: Uncertain
    ttft: float | None = None
    tpot: float | None = None
    cache_hit: float = 0.0
    takes_over: Uncertain = field(default_factory=lambda: point(1.0))
    within: Uncertain = field(default_factory=lambda: point(0.0))
    surge: Uncertain = field(default_factory=lambda: point(0.0))
    first_users: Uncertain = field(default_factory=lambda: point(FIRST_USERS))
    lots: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    engine: str | None = None
    day: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrainingStage:
    """One stage of training. amount: [token], or [s] of a pause."""

    kind: StageKind
    amount: Uncertain
    seq: float | None = None
    global_batch: int | None = None
    precision: str | None = None
    isl: float | None = None
    osl: float | None = None


@dataclass(frozen=True)
class Training:
    """How a model is trained: stages in order; places: for each attempt the names of the lots it runs on, and what the
    user called it; at_most: [accelerators] of one run; chosen: whether the user gave their order; done: share of the
    first stage that is done at the start; since: day on which it began; interruptions: so far; at: the place where it
    is then, the first unless given.
    """

    stages: tuple[TrainingStage, ...]
    places: tuple[tuple[str, tuple[str, ...]], ...]
    at_most: float | None = None
    chosen: bool = True
    done: Uncertain = field(default_factory=lambda: point(0.0))
    since: Date | None = None
    interruptions: int | None = None
    at: str = ""


@dataclass(frozen=True)
class Model:
    """A model of the programme: in service, to come, or both. rounds, each: of improvement [s]; hold: accelerators that
    they hold, None for what is assumed.
    """

    name: str
    reference: str
    architecture: Architecture | None
    service: ServiceSpec | None = None
    training: Training | None = None
    after: str | None = None
    rounds: Uncertain = field(default_factory=lambda: point(0.0))
    each: Uncertain = field(default_factory=lambda: point(0.0))
    hold: Uncertain | None = None


@dataclass(frozen=True)
class Change:
    """What the law is taken to be instead: `licence`, `ban`, or `fee` (a licence for a share of the price on top of it,
    which the lot's price bears), for a chip, from a day on.
    """

    kind: ChangeKind
    chip: str
    start: Date
    share: float = 0.0

    def __str__(self) -> str:
        fee = f" {show_share(self.share)}" if self.kind == "fee" else ""
        return f"{self.kind} {self.chip}{fee} from {self.start}"


@dataclass(frozen=True)
class Rules:
    """Which rules count. known_at: only those announced by that day; without: ids or chips; changes: see `Change`;
    altered: changes of single rules, as `law.RuleBook.apply` reads them.
    """

    known_at: Date | None = None
    without: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    altered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Programme:
    """Everything that a launch is planned from. Times in seconds, days as ordinals inside `Uncertain`.

    debug: [s] from the failure of a run until it is given up; verdicts: of one's own trials, by chip or lot;
    correlations: pairs of inputs by name, with their correlation. budget: [USD] that may be spent until the launch and
    committed beyond it; power: [W] of the site; None without a cap. night_training: whether
    training takes what services leave at night. left_out: lots that cannot be planned on, each
    with its reason. text, path, sets, as_of: what it was read from: the whole file, its name, leaves that were
    changed, and the day of knowledge that was asked for.
    """

    name: str
    start: Date
    end: Date
    place: str
    headquarters: str
    lots: tuple[Lot, ...]
    models: tuple[Model, ...]
    rules: Rules
    slip: Uncertain
    give_up: Uncertain
    readiness: Mapping[str, Uncertain] = field(default_factory=dict)
    verdicts: Mapping[str, Judged] = field(default_factory=dict)
    debug: Uncertain = field(default_factory=lambda: point(0.0))
    known: Date = Date.min
    budget: float | None = None
    power: float | None = None
    night_training: bool = False
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    path: str = ""
    text: str = ""
    sets: Mapping[str, str] = field(default_factory=dict)
    as_of: Date | None = None
    correlations: tuple[tuple[str, str, float], ...] = ()

    @property
    def days(self) -> int:
        """Days from the start to the end of the horizon."""
        return (self.end - self.start).days

    def model(self, name: str) -> Model:
        """The model of that name."""
        return next(model for model in self.models if model.name == name)

    @property
    def coming(self) -> tuple[Model, ...]:
        """Models that are to launch, in order: those that are trained or follow another; else the last."""
        found = tuple(model for model in self.models if model.training or model.after)
        return found or self.models[-1:]

    def judged(self, name: str, chip: str, lots: tuple[str, ...] = ()) -> Judged | None:
        """The verdict on a lot or place, else the worst on its lots, else on its chip."""
        if name in self.verdicts:
            return self.verdicts[name]
        own = [self.verdicts[lot] for lot in lots if lot in self.verdicts]
        return max(own, key=lambda found: SAID.index(found.word)) if own else self.verdicts.get(chip)

    def said_ready(self, name: str, chip: str, lots: tuple[str, ...] = ()) -> Uncertain | None:
        """The readiness that is stated of a place, else the least of its lots', else its chip's."""
        if name in self.readiness:
            return self.readiness[name]
        own = [self.readiness[lot] for lot in lots if lot in self.readiness]
        return min(own, key=lambda share: share.median) if own else self.readiness.get(chip)

    def inputs(self) -> dict[str, Uncertain]:
        """Every uncertain quantity by its dotted name; the name decides its stream of draws."""
        return dict(_inputs(self))


def _inputs(programme: Programme) -> Iterator[tuple[str, Uncertain]]:
    for lot in programme.lots:
        for key in ("count", "price", "start", "until", "over", "acquired", "spare", "busy", "busy_growth", "lead"):
            quantity = getattr(lot, key)
            if quantity is not None:
                yield f"fleet.{lot.name}.{ {'start': 'from'}.get(key, key) }", quantity
    for model in programme.models:
        for key in ("input_tokens", "output_tokens", "growth", "peak", "takes_over", "within", "surge", "first_users"):
            if model.service:
                yield f"models.{model.name}.serve.{key}", getattr(model.service, key)
        for index, stage in enumerate(model.training.stages if model.training else ()):
            yield f"models.{model.name}.train.stages.{index}.{stage.kind}", stage.amount
        if model.training:
            yield f"models.{model.name}.train.done", model.training.done
        if model.hold is not None:
            yield f"models.{model.name}.good_enough.hold", model.hold
        yield f"models.{model.name}.good_enough.rounds", model.rounds
        yield f"models.{model.name}.good_enough.each", model.each
    yield "assumptions.slip", programme.slip
    yield "assumptions.give_up", programme.give_up
    yield "assumptions.debug", programme.debug


def uncertain_names(lots: tuple[Lot, ...], models: tuple[Model, ...]) -> set[str]:
    """Dotted names of the inputs that are not one number, of a fleet and models."""
    whole = Programme("", Date.min, Date.max, "", "", lots, models, Rules(), point(1.0), point(1.0))
    return {name for name, quantity in whole.inputs().items() if not quantity.certain}


def order(models: Mapping[str, str | None]) -> tuple[str, ...]:
    """Names in an order in which each comes after its predecessor; a name on a cycle is left out."""
    done: dict[str, None] = {}
    for _ in models:
        for name, before in models.items():
            if name not in done and (before is None or before in done or before not in models):
                done[name] = None
    return tuple(done)


_CHANGE = re.compile(
    r"^(licen[cs]e|ban|fee)\s+(?:(?:for|on)\s+)?(\S+)(?:\s+(?:of\s+)?([\d.]+\s*%))?(?:\s+from\s+(\S+))?$",
    re.IGNORECASE,
)


def parse_change(text: str, start: Date) -> Change:
    """`licence h20 from 2025-07-14`, `fee h20 15 % from 2025-08-11` -> the change, with the chip as it is written.

    Raises ValueError with a sentence.
    """
    from tonnage import units

    match = _CHANGE.match(text.strip())
    if not match or (match[1].lower() == "fee") != bool(match[3]):
        ways = "licence CHIP from DATE, ban CHIP from DATE, or fee CHIP SHARE from DATE"
        raise ValueError(f'"{text[:60]}" is not a change of rules; write {ways}')
    kind: ChangeKind = "ban" if match[1].lower() == "ban" else "fee" if match[3] else "licence"
    share = units.parse(match[3], "share") if match[3] else 0.0
    return Change(kind, match[2], units.parse_date(match[4]) if match[4] else start, share)


def with_fees(lots: tuple[Lot, ...], rules: Rules) -> tuple[Lot, ...]:
    """Lots that come under a fee, at prices that bear all of it."""
    return tuple(_with_fee(lot, rules) for lot in lots)


def _with_fee(lot: Lot, rules: Rules) -> Lot:
    """The dearest fee that falls on a part of the lot, on the whole of it: a lot has one price."""
    last = (lot.acquired or lot.start).interval[1] + lot.over.interval[1] / DAY
    due = [c.share for c in rules.changes if c.kind == "fee" and c.chip == lot.chip and c.start.toordinal() <= last]
    if not due or lot.in_hand or lot.price is None:
        return lot
    note = f"{lot.price_note}; with a fee of {show_share(max(due))}".removeprefix("; ")
    return replace(lot, price=lot.price.scaled(1 + max(due)), price_note=note)


def rule_words(text: str) -> dict[str, str]:
    """`known-at 2025-02-28` -> {"known-at": "2025-02-28"}; `as-of` -> {}. Raises ValueError with a sentence."""
    word, _, rest = text.strip().partition(" ")
    if word.lower() in ("as-of", "as_of") and not rest.strip():
        return {}
    if word.lower() in ("known-at", "without", "with") and rest.strip():
        return {word.lower(): rest.strip()}
    raise ValueError(f'"{text[:60]}" is not read; write as-of, known-at DATE, without RULE or with CHANGE')
