"""The answer of a launch, as a value and as JSON."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tonnage.errors import Bind, Outcome
from tonnage.fleet import words
from tonnage.fleet.base_case import BaseCase
from tonnage.fleet.best import PolicyGap
from tonnage.fleet.causes import Activity, Cause, Lever
from tonnage.fleet.programme import Quote
from tonnage.fleet.readiness import Readiness
from tonnage.fleet.speeds import PlannedSpeed
from tonnage.shown import ShownResult
from tonnage.values import Plain, decode, encode

Date = datetime.date


T = TypeVar("T")


@dataclass(frozen=True)
class Percentiles(Generic[T]):
    """P10, P50, P90. Dates are None where the horizon ends first, costs where a lot that is used has no price."""

    p10: T | None
    p50: T | None
    p90: T | None

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {name: str(v) if isinstance(v, Date) else v for name, v in vars(self).items()}


@dataclass(frozen=True)
class LotMoney:
    """What is paid for a lot in the draw that is shown [USD], None without a price: until the launch for training, for
    services and idle, and committed beyond it.
    """

    lot: str
    chip: str
    tenure: str
    training: float | None
    service: float | None
    idle: float | None
    committed: float | None

    @property
    def total(self) -> float | None:
        """Until the launch."""
        parts = (self.training, self.service, self.idle)
        return None if any(part is None for part in parts) else sum(part or 0.0 for part in parts)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {**vars(self), "total": self.total}


@dataclass(frozen=True)
class Money:
    """What is paid, over the draws that launch [USD].

    total: from the start to the launch, used or not; idle: what of it stood idle; committed: beyond the launch, by
    terms, notice and purchases; by_lot: in the draw that is shown; quotes: the prices counted with; whole: P50 of
    what is paid and committed together; unpriced: lots
    that are held and have no price; budget, over: the cap, and the share of draws that cost more; not_leased: rented
    lots that are left away for the budget, by share of draws.
    """

    total: Percentiles[float]
    idle: Percentiles[float]
    committed: Percentiles[float]
    by_lot: tuple[LotMoney, ...]
    quotes: tuple[Quote, ...]
    whole: float | None = None
    unpriced: tuple[str, ...] = ()
    budget: float | None = None
    over: float = 0.0
    not_leased: tuple[tuple[str, float], ...] = ()

    def to_json(self) -> dict[str, object]:
        """The keys of `cost`."""
        body: dict[str, object] = {
            "total": _cost(self.total, self.unpriced),
            "idle": _cost(self.idle, self.unpriced),
            "committed": _cost(self.committed, self.unpriced),
            "by_lot": [lot.to_json() for lot in self.by_lot],
        }
        if self.budget is not None:
            body["budget"] = {"cap": self.budget, "over": self.over, "not_leased": dict(self.not_leased)}
        return body


def _quote(quote: Quote) -> dict[str, object]:
    return {**vars(quote), "place": list(quote.place), "date": _day(quote.date)}


@dataclass(frozen=True)
class Sensitivity:
    """How an uncertain quantity moves the launch.

    name: dotted; correlation: Spearman's, of the quantity with the day of launch over the draws, never being the last;
    share: of the sum of the squares of these; swing: days by which the upper third of the draws launches later than the
    lower (for readiness, those in which the run completes than the others), on the mean of the levels that both reach;
    never: share by which it oftener never launches; text: what the quantity is.
    """

    name: str
    correlation: float
    share: float
    swing: float
    never: float
    text: str


@dataclass(frozen=True)
class SobolIndex:
    """Shares of the variance of the launch day, a launch after the horizon or none counted as one on its last day.

    name: dotted, of inputs that are correlated all of them; first: what is gone once the input is known; total: what is
    left while it alone is not, interactions included; low, high: 90 % of bootstrap samples; text: what the input is.
    """

    name: str
    first: float
    first_low: float
    first_high: float
    total: float
    total_low: float
    total_high: float
    text: str


@dataclass(frozen=True)
class WhatIf:
    """A what-if: the launch with one thing changed, on the same draws. shift: days of the P50, None where the horizon
    ends first in one of the two; cost: [USD] of training, None with a lot used that has no price; total: [USD] paid
    until the launch and committed beyond it; best_days, best_saved: by how much the best plan of the base case is
    earlier, and cheaper [USD] at the date of the plan as is.
    """

    lever: Lever
    name: str
    launch: Percentiles[Date]
    probability: float
    shift: float | None
    cost: float | None
    total: float | None = None
    best_days: float | None = None
    best_saved: float | None = None

    @property
    def key(self) -> str:
        """A stable name."""
        return self.lever.key

    @property
    def lawful(self) -> bool:
        """Whether the change is one that may lawfully be made."""
        return self.lever.lawful

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        body = {"key": self.key, "name": self.name, **self.launch.to_json(), "shift_days": self.shift}
        return {
            **body,
            "probability_by_horizon": self.probability,
            "cost_p50": self.cost,
            "total_p50": self.total,
            "lawful": self.lawful,
            "best_days_earlier": self.best_days,
            "best_saved": self.best_saved,
        }


@dataclass(frozen=True)
class Use:
    """What a lot does over some time, in one draw: first and last day, activity, accelerators on average."""

    lot: str
    start: Date
    end: Date
    activity: Activity
    accelerators: float

    @property
    def does(self) -> str:
        """The activity in words."""
        return words.activity(self.activity)


@dataclass(frozen=True)
class Refused:
    """A lot, or part of it, that is not planned on. share: of the lot on average; reason; rules: ids."""

    lot: str
    chip: str
    start: Date
    share: float
    reason: str
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """Demand in service that finds no capacity before the launch: from, until, the worst share, in which share of the
    draws (the others from the middle of those).
    """

    start: Date
    end: Date
    share: float
    draws: float


@dataclass(frozen=True)
class Applied:
    """A rule that kept something away: id, title, what it did."""

    rule: str
    title: str
    effect: str


@dataclass(frozen=True)
class LaunchPlan(ShownResult):
    """Whether, when, at what cost; what binds and what moves it; who does what when; what-ifs.

    launch: of the last model to come, when all of its demand can be served; errors: standard errors of its three days
    [d], None where too few draws lie beside one; first_users: when a first share of that demand can be;
    first_probability: of that within the horizon; launches: of each; probability: of a launch within the horizon;
    never: what draws that never launch wait for in vain, and their share of all; gap: demand in service without
    capacity before the launch; missing: share of all demand without capacity in each week of the horizon, users who
    wait for a trained model included, a mean over the draws; cost: [USD] of
    the training of the models to come up to the launch, attempts that fail and rounds included; service_cost: [USD] of
    all services up to the launch (both None throughout when a lot that they use has no price: unpriced_training,
    unpriced_service); causes: mean days on the way to the launch by cause; trained_on: share of the
    draws that launch by place; draw: index of the draw that timeline (by period and lot), spans (the same, joined) and
    calendar (what is there) show, the one at P50; days: launch of every draw, days from the start, infinite where there
    is none.

    sobol: indices of all inputs, the largest first, where they were asked for.

    The question: programme_text, the whole file, programme_name, where it was read from, sets, the leaves that were
    changed, as_of, draws, seed, by, sobol_base, draws of the base sample of the indices. `read_programme_text` and
    `launch` give the same answer from it.
    """

    outcome: Outcome
    name: str
    model: str
    start: Date
    end: Date
    launch: Percentiles[Date]
    probability: float
    launches: dict[str, Percentiles[Date]]
    cost: Percentiles[float]
    service_cost: Percentiles[float]
    binds: tuple[Bind, ...]
    causes: Mapping[Cause, float]
    sensitivity: tuple[Sensitivity, ...]
    timeline: tuple[Use, ...]
    spans: tuple[Use, ...]
    calendar: tuple[Use, ...]
    rules_applied: tuple[Applied, ...]
    not_lawful: tuple[Refused, ...]
    alternatives: tuple[WhatIf, ...]
    throughputs: tuple[PlannedSpeed, ...]
    readiness: dict[str, Readiness]
    trained_on: dict[str, float]
    assumptions: tuple[str, ...]
    doubts: tuple[str, ...]
    programme_text: str
    programme_name: str
    sets: Mapping[str, str]
    as_of: Date | None
    seed: int
    draws: int
    draw: int
    draw_launch: Date | None = None
    base: BaseCase | None = None
    hindsight: PolicyGap | None = None
    days: tuple[float, ...] = ()
    values: dict[str, float] = field(default_factory=dict)
    evidence: str = "analytic"
    sources: tuple[str, ...] = ()
    known: Date = Date.min
    rules_known: Date | None = None
    seconds: float = field(default=0.0, compare=False)
    unpriced_training: tuple[str, ...] = ()
    unpriced_service: tuple[str, ...] = ()
    money: Money | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    errors: Percentiles[float] = field(default_factory=lambda: Percentiles[float](None, None, None))
    first_users: Percentiles[Date] = field(default_factory=lambda: Percentiles[Date](None, None, None))
    first_probability: float = 0.0
    never: Mapping[Cause, float] = field(default_factory=dict)
    gap: Gap | None = None
    missing: tuple[float, ...] = ()
    sobol: tuple[SobolIndex, ...] = ()
    sobol_base: int = 0

    @property
    def by(self) -> Date | None:
        """The date by which the cheapest launch was asked for."""
        asked = self.base.best.by if self.base else None
        return asked.date if asked else None

    @property
    def probability_never(self) -> float:
        """Share of the draws that never launch, however long one waits."""
        return sum(self.never.values())

    def without_date(self, p: float) -> str:
        """Why there is no day by which a share p of the draws has launched: `never`, or `after the horizon`."""
        return "never" if p > 1 - self.probability_never + 1e-9 else "after the horizon"

    @property
    def programme_digest(self) -> str:
        """SHA-256 of the programme's text."""
        return hashlib.sha256(self.programme_text.encode()).hexdigest()

    def at(self, p: float) -> Date | None:
        """The day by which a share p of the draws has launched; None after the horizon."""
        ordered = sorted(self.days)
        days = ordered[max(0, math.ceil(p * len(ordered)) - 1)] if ordered else math.inf
        if not days <= (self.end - self.start).days:
            return None
        return self.start + datetime.timedelta(days=math.ceil(days))

    def to_json(self) -> dict[str, object]:
        """The keys of the interface, base units, ISO dates."""
        return {
            "name": self.name,
            "model": self.model,
            "start": str(self.start),
            "horizon": str(self.end),
            "known": str(self.known),
            "rules_known": str(self.rules_known) if self.rules_known else None,
            "draws": self.draws,
            "launch": _launch(self),
            "first_users": {**self.first_users.to_json(), "probability_by_horizon": self.first_probability},
            "all_users": {**self.launch.to_json(), "probability_by_horizon": self.probability},
            "gap": None if self.gap is None else _gap(self.gap),
            "unserved": [
                {"from": str(self.start + datetime.timedelta(weeks=week)), "share": share}
                for week, share in enumerate(self.missing)
            ],
            "distribution": [{"p": p / 100, "date": _day(self.at(p / 100))} for p in range(5, 100, 5)],
            "launches": {name: spread.to_json() for name, spread in self.launches.items()},
            "cost": {
                **_cost(self.cost, self.unpriced_training),
                "service": _cost(self.service_cost, self.unpriced_service),
                "covers": COVERS,
                **(self.money.to_json() if self.money else {}),
            },
            "prices": [_quote(quote) for quote in self.money.quotes] if self.money else [],
            "binds": [{"what": b.what, "by": b.by, "text": b.text, "lift": b.lift} for b in self.binds],
            "causes": {words.cause(cause): days for cause, days in self.causes.items()},
            "sensitivity": [vars(item) for item in self.sensitivity],
            "sobol": [vars(item) for item in self.sobol],
            "base_case": _base(self.base),
            "optimum": _optimum(self.base, self.hindsight),
            "timeline": [_use(use) for use in self.timeline],
            "spans": [_use(use) for use in self.spans],
            "timeline_draw": {"index": self.draw, "launch": _day(self.draw_launch)},
            "calendar": [_use(use) for use in self.calendar],
            "rules_applied": [vars(rule) for rule in self.rules_applied],
            "not_lawful": [{**vars(lot), "start": str(lot.start), "rules": list(lot.rules)} for lot in self.not_lawful],
            "alternatives": [item.to_json() for item in self.alternatives],
            "throughputs": [speed.to_json() for speed in self.throughputs],
            "readiness": {name: _readiness(found) for name, found in self.readiness.items()},
            "trained_on": self.trained_on,
            "assumptions": list(self.assumptions),
            "doubt": list(self.doubts),
            "plan": encode(self),
        }


def from_json(body: Mapping[str, Plain]) -> LaunchPlan:
    """The plan that an answer holds: `from_json(plan.to_json()) == plan`. Raises InputError for what is none."""
    return decode(LaunchPlan, body.get("plan"))


COVERS = (
    "p10, p50, p90: what training of the models to come uses until the launch, failed attempts, all stages and rounds; "
    "service: what services use; idle: what is held and not used; total: all that is paid until the launch; committed: "
    "what is signed for beyond it; over the draws that launch"
)


def no_price(lots: tuple[str, ...]) -> str:
    """Why a cost is not known."""
    return f"no price for {', '.join(lots)}"


def _cost(spread: Percentiles[float], unpriced: tuple[str, ...]) -> dict[str, object]:
    return {**spread.to_json(), **({"reason": no_price(unpriced)} if unpriced else {})}


def _launch(plan: LaunchPlan) -> dict[str, object]:
    return {
        **plan.launch.to_json(),
        "standard_error_days": plan.errors.to_json(),
        "probability_by_horizon": plan.probability,
        "probability_never": plan.probability_never,
        "never": {words.cause(cause): share for cause, share in plan.never.items()},
        **_note(plan),
    }


def _gap(gap: Gap) -> dict[str, object]:
    return {"from": str(gap.start), "until": str(gap.end), "share": gap.share, "draws": gap.draws}


def _note(plan: LaunchPlan) -> dict[str, str]:
    late = [name for name in ("p10", "p50", "p90") if getattr(plan.launch, name) is None]
    texts = {"never": "never", "after the horizon": f"not by {plan.end}"}
    said = {name: texts[plan.without_date(float(name[1:]) / 100)] for name in late}
    return {"note": "; ".join(f"{name}: {text}" for name, text in said.items())} if late else {}


def _base(found: BaseCase | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {"launch": _day(found.launch), "linear_programme": _day(found.exact), "short_a_week_earlier": found.short}


def _optimum(found: BaseCase | None, policy: PolicyGap | None) -> dict[str, object] | None:
    """The best plan of the base case, and how far the policy is behind the best plans of a sample of the draws."""
    if found is None:
        return None
    none = {
        "gap_days_median": None,
        "gap_days_p90": None,
        "gap_days_first_users": None,
        "gap_draws": 0,
        "gap_never": None,
    }
    behind = policy.to_json() if policy else none
    return {**found.best.to_json(), **behind}


def _day(value: Date | None) -> str | None:
    return None if value is None else str(value)


def _use(use: Use) -> dict[str, object]:
    held = {"lot": use.lot, "from": str(use.start), "until": str(use.end), "does": use.does}
    return {**held, "accelerators": round(use.accelerators, 1)}


def _readiness(found: Readiness) -> dict[str, object]:
    runs = [
        {
            "run": item.run.name,
            "chip": item.run.chip,
            "known_on": str(item.run.known_on),
            "completed": item.run.completed,
            "end": item.run.end,
            "days_overdue": item.run.overdue,
            "near": item.near,
            "weight": item.weight,
            "source": item.run.source,
        }
        for item in found.evidence
    ]
    said = {"chip": found.chip, "probability": found.probability, "low": found.low, "high": found.high}
    judged = {"verdict": encode(found.judged)} if found.judged else {}
    return {**said, "text": found.text, "evidence": runs, **judged}
