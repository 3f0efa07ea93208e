"""The base case, every input at its median: the policy's launch, and the best plan with the whole calendar known."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass, replace

import numpy as np

from tonnage.fleet import explain
from tonnage.fleet.best import BestPlan, CapKind
from tonnage.fleet.draws import PERIOD
from tonnage.fleet.explain import Explained
from tonnage.fleet.optimum_case import first_users
from tonnage.fleet.options import pairs
from tonnage.fleet.paid import run
from tonnage.fleet.programme import DAY
from tonnage.fleet.setting import Play, SettledProgramme
from tonnage.fleet.signed import signed

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


def base_case(found: Explained, by: Date | None = None, reasons: bool = True) -> BaseCase:
    """The base case of a programme; by: a date by which the cheapest launch is asked for too; reasons: whether what
    binds the best plan, what more of a lot is worth and what lies near are asked too.
    """
    at = _by_policy(found)
    plan = best_plan(found, by, reasons)
    short = {item.lot: item.share for item in plan.worth if item.share > explain.ROUNDING}
    return BaseCase(_day(found, at), plan.launch, dict(sorted(short.items(), key=lambda item: -item[1])), plan)


def _by_policy(found: Explained) -> float:
    """The launch by the policy [periods], on the lots that the draws have."""
    if not found.signed.found:
        return float(found.game.run().launch[-1][0]) / PERIOD
    parts = np.ones(len(found.drawn.world.lots))
    for one, (units, _) in zip(found.signed.found, pairs(found.signed.levels), strict=True):
        parts[one.column] = one.part(units) if one.option else 1.0
    there = found.drawn.world.there_whole * parts
    periods = found.drawn.world.periods
    later = there[:, periods:] if there.shape[1] > periods else None
    game = replace(found.drawn, world=found.drawn.world.with_lots(there[:, :periods], later))
    return float(run(found.setting, game).result.launch[-1][0]) / PERIOD


def gained(found: Explained, other: SettledProgramme, changed: Play) -> tuple[float | None, float | None]:
    """What the base case of a changed programme gains: days that its best plan launches earlier, infinite if only it
    launches, None if it does not; and [USD] that it is cheaper at the date of the plan as it is, None if unknown.
    """
    best = signed(other, changed).best
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
    """Caps of the programme that the best plan does not keep whole: what a lot without a price costs is not known; and
    with a budget, what is added to a lot is taken to find power.
    """
    programme, there = found.setting.programme, found.game.world.there[0].any(axis=0)
    if programme.budget is None:
        return ()
    unpriced = bool(np.isnan(found.game.world.price[0][there]).any())
    caps: tuple[tuple[CapKind, bool], ...] = (("budget", unpriced), ("power", programme.power is not None))
    return tuple(kind for kind, open_ in caps if open_)


def best_plan(found: Explained, by: Date | None = None, reasons: bool = True) -> BestPlan:
    """The best plan, explained; by: a date by which the cheapest launch is asked for too; reasons: as `base_case`."""
    launches = found.cheapest is not None
    return BestPlan(
        launch=_day(found, found.best.last) if launches else None,
        periods=found.best.last,
        place=explain.place_of(found),
        training=_training(found),
        services=found.cheapest.service_cost if found.cheapest and _training(found) is not None else None,
        uses=explain.uses(found),
        limits=explain.limits(found) if reasons else (),
        worth=explain.worth(found) if reasons else (),
        near=explain.near(found) if reasons else (),
        conflict=() if launches else explain.conflict(found),
        by=explain.by_date(found, by) if by else None,
        not_kept=_not_kept(found),
        signed=explain.cost_of(found),
        options=explain.options(found),
        proven=found.signed.search.proven,
        first_users=_day(found, first_users(found.game, found.best)) if launches else None,
    )
