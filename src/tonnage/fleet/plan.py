"""The answer of a launch, as a value and as JSON."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass, field
from typing import Any

from tonnage.errors import Bind, Outcome
from tonnage.fleet.base_case import BaseCase
from tonnage.fleet.readiness import Readiness
from tonnage.fleet.speeds import PlannedSpeed

Date = datetime.date


@dataclass(frozen=True)
class Spread:
    """P10, P50, P90. Dates are None where the horizon ends first."""

    p10: Any
    p50: Any
    p90: Any

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: str(v) if isinstance(v, Date) else v for name, v in vars(self).items()}


@dataclass(frozen=True)
class Sensitivity:
    """How an uncertain quantity moves the launch.

    name: dotted; correlation: Spearman's, of the quantity with the day of launch over the draws (a launch after the
    horizon counts as the last); share: of the explained variance of ranks; swing: days between the mean launches in the
    upper and the lower third of the draws (completed and failed, for readiness; a launch after the horizon counts as a
    tenth later than it); text: what the quantity is.
    """

    name: str
    correlation: float
    share: float
    swing: float
    text: str


@dataclass(frozen=True)
class WhatIf:
    """A what-if: the launch with one thing changed, on the same draws. shift: days of the P50, None where the horizon
    ends first in one of the two; cost: [USD] of training, None with a lot used that has no price; lawful: whether the
    change is one that may lawfully be made.
    """

    key: str
    name: str
    launch: Spread
    probability: float
    shift: float | None
    cost: float | None
    lawful: bool = True


@dataclass(frozen=True)
class Use:
    """What a lot does over some time, in one draw: first and last day, activity, accelerators on average."""

    lot: str
    start: Date
    end: Date
    does: str
    accelerators: float


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
class Applied:
    """A rule that kept something away: id, title, what it did."""

    rule: str
    title: str
    effect: str


@dataclass(frozen=True)
class LaunchPlan:
    """Whether, when, at what cost; what binds and what moves it; who does what when; what-ifs.

    launch: of the last model to come; launches: of each; probability: of a launch within the horizon; cost: [USD] of
    the training of the models to come up to the launch, attempts that fail and rounds included; service_cost: [USD] of
    all services up to the launch (both None throughout when a lot that they use has no price: unpriced_training,
    unpriced_service); causes: mean days on the way to the launch by cause; trained_on: share of draws by
    place; draw: index of the draw that timeline (by period and lot), spans (the same, joined) and calendar (what is
    there) show, the one at P50; days: launch of every draw, days from the start, infinite where there is none.
    """

    outcome: Outcome
    name: str
    model: str
    start: Date
    end: Date
    launch: Spread
    probability: float
    launches: dict[str, Spread]
    cost: Spread
    service_cost: Spread
    binds: tuple[Bind, ...]
    causes: dict[str, float]
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
    draws: int
    draw: int
    draw_launch: Date | None = None
    base: BaseCase | None = None
    days: tuple[float, ...] = ()
    values: dict[str, float] = field(default_factory=dict)
    evidence: str = "analytic"
    sources: tuple[str, ...] = ()
    known: Date = Date.min
    rules_known: Date | None = None
    seconds: float = 0.0
    unpriced_training: tuple[str, ...] = ()
    unpriced_service: tuple[str, ...] = ()

    def at(self, p: float) -> Date | None:
        """The day by which a share p of the draws has launched; None after the horizon."""
        ordered = sorted(self.days)
        days = ordered[max(0, math.ceil(p * len(ordered)) - 1)] if ordered else math.inf
        if not days <= (self.end - self.start).days:
            return None
        return self.start + datetime.timedelta(days=math.ceil(days))

    def to_json(self) -> dict[str, Any]:
        """The keys of the interface, base units, ISO dates."""
        return {
            "name": self.name,
            "model": self.model,
            "start": str(self.start),
            "horizon": str(self.end),
            "known": str(self.known),
            "rules_known": str(self.rules_known) if self.rules_known else None,
            "draws": self.draws,
            "launch": {**self.launch.to_json(), "probability_by_horizon": self.probability, **_note(self)},
            "distribution": [{"p": p / 100, "date": _day(self.at(p / 100))} for p in range(5, 100, 5)],
            "launches": {name: spread.to_json() for name, spread in self.launches.items()},
            "cost": {
                **_cost(self.cost, self.unpriced_training),
                "service": _cost(self.service_cost, self.unpriced_service),
                "covers": COVERS,
            },
            "binds": [{"what": b.what, "by": b.by, "text": b.text, "lift": b.lift} for b in self.binds],
            "causes": self.causes,
            "sensitivity": [vars(item) for item in self.sensitivity],
            "base_case": _base(self.base),
            "timeline": [_use(use) for use in self.timeline],
            "spans": [_use(use) for use in self.spans],
            "timeline_draw": {"index": self.draw, "launch": _day(self.draw_launch)},
            "calendar": [_use(use) for use in self.calendar],
            "rules_applied": [vars(rule) for rule in self.rules_applied],
            "not_lawful": [{**vars(lot), "start": str(lot.start), "rules": list(lot.rules)} for lot in self.not_lawful],
            "alternatives": [_alternative(item) for item in self.alternatives],
            "throughputs": [speed.to_json() for speed in self.throughputs],
            "readiness": {name: _readiness(found) for name, found in self.readiness.items()},
            "trained_on": self.trained_on,
            "assumptions": list(self.assumptions),
            "doubt": list(self.doubts),
        }


COVERS = "training of the models to come until the launch: failed attempts, all stages and rounds; service apart"


def no_price(lots: tuple[str, ...]) -> str:
    """Why a cost is not known."""
    return f"no price for {', '.join(lots)}"


def _cost(spread: Spread, unpriced: tuple[str, ...]) -> dict[str, Any]:
    return {**spread.to_json(), **({"reason": no_price(unpriced)} if unpriced else {})}


def _note(plan: LaunchPlan) -> dict[str, str]:
    late = [name for name in ("p10", "p50", "p90") if getattr(plan.launch, name) is None]
    return {"note": f"{', '.join(late)}: not by {plan.end}"} if late else {}


def _base(found: BaseCase | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"launch": _day(found.launch), "linear_programme": _day(found.exact), "short_a_week_earlier": found.short}


def _day(value: Date | None) -> str | None:
    return None if value is None else str(value)


def _use(use: Use) -> dict[str, Any]:
    held = {"lot": use.lot, "from": str(use.start), "until": str(use.end), "does": use.does}
    return {**held, "accelerators": round(use.accelerators, 1)}


def _alternative(item: WhatIf) -> dict[str, Any]:
    body = {"key": item.key, "name": item.name, **item.launch.to_json(), "shift_days": item.shift}
    return {**body, "probability_by_horizon": item.probability, "cost_p50": item.cost, "lawful": item.lawful}


def _readiness(found: Readiness) -> dict[str, Any]:
    runs = [
        {
            "run": item.run.name,
            "chip": item.run.chip,
            "known_on": str(item.run.known_on),
            "completed": item.run.completed,
            "weight": item.weight,
            "source": item.run.source,
        }
        for item in found.evidence
    ]
    return {"chip": found.chip, "probability": found.probability, "text": found.text, "evidence": runs}
