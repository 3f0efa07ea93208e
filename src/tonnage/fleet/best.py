"""The best plan of the base case as values: what each lot does when, what it is worth, what binds, what is near."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal

from tonnage.fleet import words
from tonnage.fleet.causes import Activity

Date = datetime.date

LimitKind = Literal["count", "delivery", "demand", "rounds", "order", "horizon", "budget", "power"]
CapKind = Literal["budget", "power"]
NearKind = Literal["later", "without_lot", "place", "sooner"]


@dataclass(frozen=True)
class BestUse:
    """What a lot does from `start` to `end`, with how many accelerators on average."""

    lot: str
    activity: Activity
    start: Date
    end: Date
    accelerators: float

    @property
    def does(self) -> str:
        """The activity in words."""
        return words.activity(self.activity)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        span = {"lot": self.lot, "from": str(self.start), "until": str(self.end), "does": self.does}
        return {**span, "accelerators": round(self.accelerators, 1)}


@dataclass(frozen=True)
class LaunchLimit:
    """Something that keeps the launch from being earlier. about: the lot, model or sum of money; days: how
    much earlier the launch is without it (a lot twice as large, or there from the first day; no such demand; no rounds;
    no order of places; no cap), None if there is a launch only without it; start, end: the weeks in which it binds,
    None if it is not a matter of weeks.
    """

    kind: LimitKind
    about: str
    days: float | None
    start: Date | None = None
    end: Date | None = None

    @property
    def text(self) -> str:
        """The limit in words."""
        return words.limit(self)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        weeks = {"from": str(self.start), "until": str(self.end)} if self.start else {}
        return {"kind": self.kind, "about": self.about, "text": self.text, "days": self.days, **weeks}


@dataclass(frozen=True)
class LotOption:
    """A lot that may be taken or left. tenure: rented or owned; taken; count: accelerators; start; end: day on which a
    lease is left, None of what is bought; cost: [USD] signed for, paid and committed; days: that the
    launch is earlier with it, None if there is none without.
    """

    lot: str
    chip: str
    tenure: str
    taken: bool
    count: float
    start: Date
    end: Date | None
    cost: float
    days: float | None

    @property
    def text(self) -> str:
        """What became of it, and why."""
        return words.option(self)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        span = {"from": str(self.start), "until": str(self.end) if self.end else None}
        what = {"lot": self.lot, "taken": self.taken, "accelerators": round(self.count, 1), **span}
        return {**what, "cost": self.cost, "days_earlier_with_it": self.days, "text": self.text}


@dataclass(frozen=True)
class LotWorth:
    """What more of a lot is worth. hours: that one more accelerator for one week brings the launch forward, in the week
    in which it brings most, `week`; value: [USD] of that time, at what the cheapest plan a week later saves; share: of
    what is missing that more of this lot would relieve, all weeks together; days: that a tenth more throughout brings
    it forward; saved: [USD] that a tenth more saves at the same date. value, saved: None if a lot used has no price.
    """

    lot: str
    hours: float
    week: Date | None
    value: float | None
    share: float
    days: float
    saved: float | None

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "lot": self.lot,
            "hours_per_accelerator_week": self.hours,
            "week": str(self.week) if self.week else None,
            "usd_per_accelerator_week": self.value,
            "share": self.share,
            "days_of_a_tenth_more": self.days,
            "usd_saved_by_a_tenth_more": self.saved,
        }


@dataclass(frozen=True)
class NearBest:
    """A plan near the best. about: lot, place or, of one that is sooner, the lots added in words; shift: days of the
    launch; training: [USD]; saving: [USD] of training and services together, over the same weeks; both None if a lot
    used has no price.
    """

    kind: NearKind
    about: str
    launch: Date
    shift: float
    training: float | None
    saving: float | None

    @property
    def text(self) -> str:
        """The plan in words."""
        return words.near(self)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        money = {"training": self.training, "saving": self.saving}
        return {"text": self.text, "launch": str(self.launch), "shift_days": self.shift, **money}


@dataclass(frozen=True)
class PolicyGap:
    """How far the policy lies behind the best plan of the same draw, made with hindsight. median, p90: days, over the
    draws in which there is a best plan, infinite where the policy never launches; ahead: most days that it is before
    it, which would be a fault of the programme; first: median days that its first users come after those of the best
    plan, None where users do not come before the launch; never: share of those draws in which the policy never
    launches.
    """

    draws: int
    median: float
    p90: float
    ahead: float
    first: float | None = None
    never: float = 0.0

    def to_json(self) -> dict[str, object]:
        """Plain values; None for never."""
        days = (("gap_days_median", self.median), ("gap_days_p90", self.p90), ("gap_days_first_users", self.first))
        ends = {key: value if value is not None and value < float("inf") else None for key, value in days}
        return {**ends, "gap_draws": self.draws, "gap_never": self.never}


@dataclass(frozen=True)
class ByDate:
    """The cheapest launch by a date: training, services [USD] until then, None if a lot used has no price; unserved:
    least share of the demand until then that goes unserved if services give way to training; change: the cheapest
    lawful change with which it launches by then, if it does not; signed: [USD] paid until the date and committed
    beyond it; options: lots that may be taken or left, for this date.
    """

    date: Date
    launches: bool
    training: float | None = None
    services: float | None = None
    unserved: float | None = None
    change: str | None = None
    signed: float | None = None
    options: tuple[LotOption, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {**vars(self), "date": str(self.date), "options": [option.to_json() for option in self.options]}


@dataclass(frozen=True)
class BestPlan:
    """The best plan of the base case, every input at its median. launch: None if there is none within the horizon;
    trained: day of the last model's; place: where it is trained; training, services: [USD] until the launch, None if a
    lot used has no price; conflict: what cannot be had together if there is no launch; by: the cheapest launch by a
    date that was asked for; not_kept: caps of the programme that it does not keep whole (a budget where a lot has no
    price; power, by what it says of more accelerators, where there is a budget too); signed: [USD] paid until the
    launch and committed beyond it; options: lots that may be taken or left; proven: whether these are known to be the
    best; first_users: the day on which a share of the demand can be carried.
    """

    launch: Date | None
    periods: float
    place: str
    training: float | None
    services: float | None
    uses: tuple[BestUse, ...] = ()
    limits: tuple[LaunchLimit, ...] = ()
    worth: tuple[LotWorth, ...] = ()
    near: tuple[NearBest, ...] = ()
    conflict: tuple[LaunchLimit, ...] = ()
    by: ByDate | None = None
    not_kept: tuple[CapKind, ...] = ()
    signed: float | None = None
    options: tuple[LotOption, ...] = ()
    proven: bool = True
    first_users: Date | None = None

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        known = self.training is not None and self.services is not None
        return {
            "launch": str(self.launch) if self.launch else None,
            "first_users": str(self.first_users) if self.first_users else None,
            "place": self.place,
            "cost": {"training": self.training, "services": self.services} if known else None,
            "uses": [use.to_json() for use in self.uses],
            "bottlenecks": [limit.to_json() for limit in self.limits],
            "worth": [lot.to_json() for lot in self.worth],
            "alternatives": [near.to_json() for near in self.near],
            "conflict": [limit.to_json() for limit in self.conflict],
            "not_kept": list(self.not_kept),
            "signed_for": self.signed,
            "options": [option.to_json() for option in self.options],
            "options_proven": self.proven,
            **({"by": self.by.to_json()} if self.by else {}),
        }
