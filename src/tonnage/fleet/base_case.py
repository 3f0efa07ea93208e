"""The base case, every input at its median: the policy's launch, and the best plan with the whole calendar known."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass

from tonnage.fleet import explain
from tonnage.fleet.best import BestPlan, CapKind
from tonnage.fleet.draws import PERIOD
from tonnage.fleet.explain import Explained
from tonnage.fleet.optimum_case import best_launch
from tonnage.fleet.programme import DAY
from tonnage.fleet.setting import Play

Date = datetime.date


@dataclass(frozen=True)
class BaseCase:
    """The base case. launch: by the policy; exact: by the best plan; short: the share of what is missing for an earlier
    one that more of each lot would relieve; best: the best plan.
    """

    launch: Date | None
    exact: Date | None
    short: dict[str, float]
    best: BestPlan


def base_case(found: Explained, by: Date | None = None) -> BaseCase:
    """The base case of a programme; by: a date by which the cheapest launch is asked for too."""
    at = float(found.game.run().launch[-1][0]) / PERIOD
    plan = best_plan(found, by)
    short = {item.lot: item.share for item in plan.worth if item.share > explain.ROUNDING}
    return BaseCase(_day(found, at), plan.launch, dict(sorted(short.items(), key=lambda item: -item[1])), plan)


def gained(found: Explained, changed: Play) -> tuple[float | None, float | None]:
    """What the base case of a changed programme gains: days that its best plan launches earlier, infinite if only it
    launches, None if it does not; and [USD] that it is cheaper at the date of the plan as it is, None if unknown.
    """
    best = best_launch(changed)
    if not best.last <= found.horizon:
        return None, None
    if found.cheapest is None:
        return math.inf, None
    days = (found.best.last - best.last) * PERIOD / DAY
    same = changed.world.lots == found.game.world.lots
    return days, explain.saved(found, best) if same else None


def _day(found: Explained, periods: float) -> Date | None:
    return found.day(periods) if periods <= found.horizon else None


def _training(found: Explained) -> float | None:
    plan = found.cheapest
    return plan.training_cost if plan is not None and explain.priced(found, plan) else None


def _not_kept(found: Explained) -> tuple[CapKind, ...]:
    """Caps of the programme that the best plan does not keep: a budget is of all that is signed for, used or not; and
    what is added to a lot is taken to find power.
    """
    programme = found.setting.programme
    caps: tuple[tuple[CapKind, float | None], ...] = (("budget", programme.budget), ("power", programme.power))
    return tuple(kind for kind, cap in caps if cap is not None)


def best_plan(found: Explained, by: Date | None = None) -> BestPlan:
    """The best plan, explained; by: a date by which the cheapest launch is asked for too."""
    launches = found.cheapest is not None
    return BestPlan(
        launch=_day(found, found.best.last) if launches else None,
        periods=found.best.last,
        place=explain.place_of(found),
        training=_training(found),
        services=found.cheapest.service_cost if found.cheapest and _training(found) is not None else None,
        uses=explain.uses(found),
        limits=explain.limits(found),
        worth=explain.worth(found),
        near=explain.near(found),
        conflict=() if launches else explain.conflict(found),
        by=explain.by_date(found, by) if by else None,
        not_kept=_not_kept(found),
    )
