"""The best plan explained: what binds and in which weeks, what one more accelerator is worth, what lies near it, and
what cannot be had together when there is no launch.

The launch of a single run is a function that `ahead.py` evaluates in milliseconds; so what binds is found by taking
each limit away, and worth by the chain rule: launch over free accelerators (a difference), free accelerators over a lot
(the dual of the linear programme of the services).
"""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tonnage.fleet import remedies
from tonnage.fleet.ahead import RunPath, earliest_end
from tonnage.fleet.allocation import Allocation
from tonnage.fleet.best import BestUse, ByDate, LaunchLimit, LotOption, LotWorth, NearBest
from tonnage.fleet.causes import Activity
from tonnage.fleet.draws import PERIOD, Bools
from tonnage.fleet.optimum import Prepared, least_cost, most_served
from tonnage.fleet.optimum_case import PLAIN, BestLaunch, CaseOptions, best_launch, launch_at
from tonnage.fleet.programme import DAY
from tonnage.fleet.setting import Play, SettledProgramme
from tonnage.fleet.signed import SignedLots, reasons, signed
from tonnage.fleet.uncertain import Floats
from tonnage.units import HOUR, show_money

Date = datetime.date
WEEKS = 8
"""Weeks after the best launch in which a cheaper plan is looked for."""

SOONER = 4
"""Weeks before the best launch for which it is said what would have to be added."""

CHEAPER = 0.05
"""Share of the cost of training that a plan has to save to be named."""

TENTH = 0.1
"""By how much a lot is enlarged to say what more of it is worth."""

HALF_DAY = 0.5
ROUNDING = 0.02
"""Least share of what is missing that a lot would relieve to be named."""


@dataclass(frozen=True)
class Explained:
    """What the explanation starts from: the setting, its base case with the lots that are signed for, the best launch
    and the cheapest way to it; drawn: the base case as it was drawn.
    """

    setting: SettledProgramme
    game: Play
    best: BestLaunch
    cheapest: Allocation | None
    signed: SignedLots
    drawn: Play

    def day(self, periods: float) -> Date:
        """The day of a time."""
        return self.setting.programme.start + datetime.timedelta(days=math.ceil(periods * PERIOD / DAY - 1e-6))

    def week(self, period: int) -> Date:
        """The first day of a period."""
        return self.setting.programme.start + datetime.timedelta(days=round(period * PERIOD / DAY))

    @property
    def trained(self) -> tuple[float, ...]:
        """Ends of the runs."""
        trains = [project.trains for project in self.game.projects]
        return tuple(at for at, does in zip(self.best.trained, trains, strict=True) if does)

    @property
    def horizon(self) -> float:
        """The end of the horizon [periods]."""
        return self.setting.programme.days * DAY / PERIOD


def explained(setting: SettledProgramme, game: Play, by: float | None = None) -> Explained:
    """The best launch of a base case and the cheapest way to it; by: or the cheapest launch by a time [periods]."""
    made = signed(setting, game, by)
    best = made.best
    bare = Explained(setting, made.game, best, None, made, game)
    if not best.last <= bare.horizon:
        return bare
    return replace(bare, cheapest=least_cost(best.ready, bare.trained, best.last))


# what each lot does


def uses(found: Explained) -> tuple[BestUse, ...]:
    """What each lot does in the cheapest of the earliest plans, equal weeks joined."""
    if found.cheapest is None:
        return ()
    booked: dict[tuple[int, Activity], list[tuple[int, float]]] = {}
    for (lot, activity), period, count in _booked(found, found.cheapest):
        booked.setdefault((lot, activity), []).append((period, count))
    made = []
    for (lot, activity), weeks in booked.items():
        for first, last, count in _joined(weeks):
            end = min(found.week(last + 1), found.day(found.best.last))
            made.append((lot, BestUse(found.game.world.lots[lot], activity, found.week(first), end, count)))
    return tuple(use for _, use in sorted(made, key=lambda item: (item[0], item[1].start, item[1].activity.kind)))


def _booked(found: Explained, plan: Allocation) -> Iterator[tuple[tuple[int, Activity], int, float]]:
    for m, lot, p in np.argwhere(plan.serving > 0.5):
        yield (int(lot), Activity("serves", found.game.services[m].name)), int(p), float(plan.serving[m, lot, p])
    runs = found.best.ready.problem.runs
    for k, lot, p in np.argwhere(plan.training > 0.5):
        busy = plan.stages[k][:, :, p].sum(axis=1)
        stage = runs[k].stages[int(np.argmax(busy))].kind
        kind = Activity("improves" if stage == "rounds" else stage, runs[k].name)
        yield (int(lot), kind), int(p), float(plan.training[k, lot, p])


def _joined(weeks: list[tuple[int, float]]) -> Iterator[tuple[int, int, float]]:
    """Runs of weeks that follow each other: first, last, mean."""
    ordered = sorted(weeks)
    for _, group in itertools.groupby(enumerate(ordered), key=lambda item: item[1][0] - item[0]):
        part = [item for _, item in group]
        yield part[0][0], part[-1][0], float(np.mean([count for _, count in part]))


# what binds


def limits(found: Explained) -> tuple[LaunchLimit, ...]:
    """What keeps the launch from being earlier, the most days first."""
    last = found.best.last
    made = []
    for limit, at in itertools.chain(_without_each(found, found.game), _without_caps(found)):
        if not at < last - HALF_DAY * DAY / PERIOD:
            continue
        days = None if math.isinf(last) else (last - at) * PERIOD / DAY
        made.append(replace(limit, days=days))
    return tuple(sorted(made, key=lambda limit: -(limit.days or math.inf)))


def _without_each(found: Explained, game: Play) -> Iterator[tuple[LaunchLimit, float]]:
    """Each limit with the launch without it."""
    values = _values(found)
    for column, lot in enumerate(game.world.lots):
        there = game.world.there[0, :, column]
        if not there.max() > 0:
            continue
        bound = _span(values[:, column] > 0)
        yield _limit(found, "count", lot, bound), best_launch(enlarged(game, column, there)).last
        first = int(np.argmax(there >= there.max() * (1 - 1e-9)))
        if first > 0:
            yield (
                _limit(found, "delivery", lot, (0, first - 1)),
                best_launch(enlarged(game, column, there.max() - there)).last,
            )
    for service in game.services:
        if not service.from_launch:
            options = CaseOptions(without_services=(service.name,))
            yield _limit(found, "demand", service.name, _busy(found, values)), best_launch(game, options).last
    for project, path in zip([p for p in game.projects if p.trains], found.best.ready.paths, strict=True):
        if project.rounds[0] > 0:
            at = best_launch(game, CaseOptions(without_rounds=True)).last
            yield _limit(found, "rounds", project.name, _rounds(found, path)), at
        if len(_places(found, project.name)) > 1 and _ordered(found, project.name):
            yield _limit(found, "order", project.name, None), best_launch(game, CaseOptions(in_order=False)).last


def _without_caps(found: Explained) -> Iterator[tuple[LaunchLimit, float]]:
    """The caps of the programme, each with the launch without it."""
    programme, made = found.setting.programme, found.signed
    if programme.budget is not None:
        about = show_money(programme.budget)
        yield _limit(found, "budget", about, None), made.search.launch(made.search.tops)
    if found.game.world.site is not None:
        free = replace(found.game, world=replace(found.game.world, available=found.game.world.there, site=None))
        yield _limit(found, "power", "", None), best_launch(free).last


def _limit(found: Explained, kind: str, about: str, span: tuple[int, int] | None) -> LaunchLimit:
    if span is None:
        return LaunchLimit(kind, about, None)  # type: ignore[arg-type]
    return LaunchLimit(kind, about, None, found.week(span[0]), found.week(span[1] + 1))  # type: ignore[arg-type]


def _places(found: Explained, model: str) -> tuple[str, ...]:
    return tuple(place.name for place in found.setting.places.get(model, ()))


def _ordered(found: Explained, model: str) -> bool:
    """Whether the programme says in which order places are tried."""
    training = found.setting.programme.model(model).training
    return training is not None and training.chosen


def _span(weeks: Bools) -> tuple[int, int] | None:
    held = np.flatnonzero(weeks)
    return (int(held[0]), int(held[-1])) if held.size else None


def _busy(found: Explained, values: Floats) -> tuple[int, int] | None:
    """Weeks in which services take what training would use."""
    need = found.best.ready.problem.need.sum(axis=0) > 0
    return _span((values.max(axis=1, initial=0.0) > 0) & need)


def _rounds(found: Explained, path: RunPath) -> tuple[int, int] | None:
    legs = [leg for leg in path.legs if leg.stage == len(path.first) - 1]
    return (int(legs[0].start), int(legs[-1].end)) if legs else None


def enlarged(game: Play, column: int, more: Floats | float) -> Play:
    """The play with more accelerators of a lot."""
    there = game.world.there.copy()
    there[0, :, column] += more
    return replace(game, world=game.world.with_lots(there))


# what more is worth


def _values(found: Explained) -> Floats:
    """Periods that the last run ends earlier for one more accelerator of a lot in a period [p, l]."""
    ready = found.best.ready
    made = np.zeros((ready.problem.periods, len(found.game.world.lots)))
    if not ready.problem.runs or not math.isfinite(ready.paths[-1].end):
        return made
    path, run, free = ready.paths[-1], ready.problem.runs[-1], ready.free[-1]
    for leg in path.legs:
        if run.stages[leg.stage].timed:
            continue
        for p in range(int(leg.start), min(math.ceil(leg.end), ready.problem.periods)):
            if not made[p].any():
                made[p] = _slope(ready, path.end, leg.place, p) * free.by_lot[leg.place, p]
    return made


def _slope(ready: Prepared, end: float, place: int, p: int) -> float:
    """Periods that the end moves for one accelerator at a place in a period: of one fewer, as a share of the free."""
    free = ready.free[-1].most.copy()
    step = max(1.0, 1e-3 * free[place, p])
    free[place, p] -= step
    night = ready.free[-1].night
    if night is not None:
        dark = night.most.copy()
        dark[place, p] -= step
        night = replace(night, most=dark)
    later = earliest_end(ready.problem.runs[-1], free, night).end
    return max(later - end, 0.0) / step if math.isfinite(later) else 0.0


def worth(found: Explained) -> tuple[LotWorth, ...]:
    """What more of each lot is worth, the most first."""
    if found.cheapest is None:
        return ()
    values = _values(found)
    total, price = float(values.sum()), _week(found)
    made = []
    for column, lot in enumerate(found.game.world.lots):
        there = found.game.world.there[0, :, column]
        if not there.max() > 0:
            continue
        more = enlarged(found.game, column, TENTH * there)
        best = best_launch(more)
        week = int(np.argmax(values[:, column]))
        top = float(values[week, column])
        share = float(values[:, column].sum()) / total if total > 0 else 0.0
        days = (found.best.last - best.last) * PERIOD / DAY
        begins = found.week(week) if top > 0 else None
        value = None if price is None else top * price
        made.append(LotWorth(lot, top * PERIOD / HOUR, begins, value, share, days, saved(found, best)))
    return tuple(sorted(made, key=lambda item: (-item.days, -item.hours, -(item.saved or 0.0))))


def _week(found: Explained) -> float | None:
    """[USD] that the cheapest plan a week later saves, the services of the same weeks paid."""
    until = found.best.last + 1
    if not found.trained or until > min(found.game.world.periods, found.horizon):
        return None
    now, later = (least_cost(found.best.ready, tuple(at + more for at in found.trained), until) for more in (0.0, 1.0))
    if now is None or later is None or not priced(found, now):
        return None
    return max(now.cost - later.cost, 0.0)


def saved(found: Explained, more: BestLaunch) -> float | None:
    """[USD] that another case of the same models is cheaper at the date of the best plan; None if it is not known."""
    if found.cheapest is None or len(more.ready.problem.runs) != len(found.trained):
        return None
    cheaper = least_cost(more.ready, found.trained, found.best.last)
    if cheaper is None or not priced(found, cheaper) or not priced(found, found.cheapest):
        return None
    return found.cheapest.cost - cheaper.cost


def priced(found: Explained, plan: Allocation) -> bool:
    """Whether every lot that a plan uses has a price."""
    used = plan.training.sum(axis=(0, 2)) + plan.serving.sum(axis=(0, 2)) > 1e-6
    return not bool(np.isnan(found.game.world.price[0][used]).any())


# what is signed for


def cost_of(found: Explained, at: float | None = None) -> float | None:
    """[USD] that is signed for by the launch, or by a time [periods]; None where a lot that is there has no price."""
    cost, there = found.signed.search.cost, found.game.world.there[0].any(axis=0)
    if math.isinf(found.best.last) or bool(np.isnan(found.game.world.price[0][there]).any()):
        return None
    return cost.total(found.signed.levels, found.best.last if at is None else at)


def options(found: Explained) -> tuple[LotOption, ...]:
    """Each lot that may be taken or left, and what became of it."""
    made = []
    for one in reasons(found.signed):
        lot = found.setting.programme.lots[one.column]
        end = None if one.end is None else found.day(one.end)
        gain = None if math.isinf(one.gain) else one.gain * PERIOD / DAY
        made.append(
            LotOption(lot.name, lot.chip, lot.tenure, one.taken, one.count, found.week(one.start), end, one.cost, gain)
        )
    return tuple(made)


# near the best


def near(found: Explained) -> tuple[NearBest, ...]:
    """Plans near the best: later and cheaper, without a rented lot, trained elsewhere."""
    if found.cheapest is None:
        return ()
    elsewhere = tuple(_elsewhere(found))
    dates = {item.launch for item in elsewhere}
    without = (item for item in _without_lots(found) if item.launch not in dates or item.shift == 0)
    return (*_sooner(found), *_later(found), *without, *elsewhere)


def _sooner(found: Explained) -> Iterator[NearBest]:
    """The cheapest lawful lots to add for a launch `SOONER` weeks earlier."""
    by = found.best.last - SOONER
    if by <= 0 or not found.trained:
        return
    extra = remedies.cheapest_launch(found.setting, found.game, by)
    if extra is not None:
        about = remedies.added(found.game, extra)
        yield NearBest("sooner", about, found.day(by), -SOONER * PERIOD / DAY, None, None)


def _later(found: Explained) -> Iterator[NearBest]:
    until = min(found.best.last + WEEKS, float(found.game.world.periods))
    base = least_cost(found.best.ready, found.trained, until)
    if not found.trained or base is None or not priced(found, base):
        return
    kept = base
    for weeks in range(1, WEEKS + 1):
        by = tuple(at + weeks for at in found.trained)
        launch = found.best.last + weeks
        if launch > found.horizon:
            return
        plan = least_cost(found.best.ready, by, until)
        if plan is None or kept.cost - plan.cost < CHEAPER * base.training_cost:
            continue
        kept = plan
        saving = base.cost - plan.cost
        yield NearBest("later", "", found.day(launch), weeks * PERIOD / DAY, plan.training_cost, saving)


def _without_lots(found: Explained) -> Iterator[NearBest]:
    for column, lot in enumerate(found.setting.programme.lots):
        if lot.tenure == "rented" and found.game.world.there[0, :, column].max() > 0:
            there = found.game.world.there[0, :, column]
            yield from _shown(found, "without_lot", lot.name, best_launch(enlarged(found.game, column, -there)))


def _elsewhere(found: Explained) -> Iterator[NearBest]:
    """The last model trained on another place than in the best plan."""
    model = found.game.projects[-1].name
    names = _places(found, model)
    for name in names:
        if name != place_of(found) and len(names) > 1:
            others = tuple(other for other in names if other != name)
            options = replace(PLAIN, without_places=others, in_order=False)
            yield from _shown(found, "place", name, best_launch(found.game, options))


def _shown(found: Explained, kind: str, about: str, best: BestLaunch) -> Iterator[NearBest]:
    """A plan, if its launch is at most `WEEKS` later."""
    assert found.cheapest is not None
    if not best.last <= min(found.best.last + WEEKS, found.horizon):
        return
    until = max(found.best.last, best.last)
    trains = [project.trains for project in found.game.projects]
    by = tuple(max(a, b) for a, b, does in zip(best.trained, found.best.trained, trains, strict=True) if does)
    plan = least_cost(best.ready, by if best.last >= found.best.last else _ends(best, trains), until)
    base = least_cost(found.best.ready, found.trained, until)
    if plan is None or base is None:
        return
    known = priced(found, plan) and priced(found, base)
    shift = (best.last - found.best.last) * PERIOD / DAY
    money = (plan.training_cost, base.cost - plan.cost) if known else (None, None)
    yield NearBest(kind, about, found.day(best.last), shift, *money)  # type: ignore[arg-type]


def _ends(best: BestLaunch, trains: list[bool]) -> tuple[float, ...]:
    return tuple(at for at, does in zip(best.trained, trains, strict=True) if does)


def place_of(found: Explained) -> str:
    """Where the last run is for most of its stages."""
    paths, runs = found.best.ready.paths, found.best.ready.problem.runs
    if not runs or not paths[-1].legs:
        return ""
    return runs[-1].places[paths[-1].legs[0].place].name


# by a date


def by_date(found: Explained, date: Date) -> ByDate:
    """The cheapest launch by a date, and the one that serves most; or the cheapest lawful change that makes one."""
    by = (date - found.setting.programme.start).days * DAY / PERIOD
    if not found.best.last <= by:
        return ByDate(date, False, change=_change(found, by))
    if found.signed.found:
        found = explained(found.setting, found.drawn, by)
    until = min(by, float(found.game.world.periods))
    last = len(found.game.projects) - 1
    at_last = launch_at(found.game, last, until - 1e-6, found.best.launch[:-1]) <= until
    ends = (*found.trained[:-1], until) if at_last and found.trained else found.trained
    plan = least_cost(found.best.ready, ends, until)
    most = most_served(found.best.ready.problem, ends, until)
    if plan is None:
        return ByDate(date, False)
    known = priced(found, plan)
    training, services = (plan.training_cost, plan.service_cost) if known else (None, None)
    need = found.best.ready.problem.need[:, : math.ceil(until)].sum()
    unserved = float(most.short.sum() / need) if most is not None and need > 0 else None
    return ByDate(date, True, training, services, unserved, None, cost_of(found, until), options(found))


def _change(found: Explained, by: float) -> str | None:
    """The cheapest lawful change with which it launches by a time: another place first, which costs no lot, or lots."""
    free = best_launch(found.game, CaseOptions(in_order=False))
    if free.last <= by:
        place = place_of(replace(found, best=free))
        return f"{place} first, and launches {found.day(free.last)}"
    extra = remedies.cheapest_launch(found.setting, found.game, by)
    return None if extra is None else remedies.added(found.game, extra)


# when there is no launch


def conflict(found: Explained) -> tuple[LaunchLimit, ...]:
    """Limits that cannot be had together, each of them needed: an irreducible set, by taking away one after another.

    With all of it there is no launch within the horizon; without any one of it there is. Empty if it is not these
    limits that stand against a launch.
    """
    if math.isinf(found.best.last) and found.signed.search.launch(found.signed.levels) <= found.horizon:
        return (LaunchLimit("budget", show_money(found.setting.programme.budget or 0.0), None),)
    held = [limit for limit, _ in _without_each(found, found.game) if limit.kind != "delivery"]
    away: list[LaunchLimit] = []
    if _launch_without(found, held) > found.horizon:
        return ()
    for limit in held:
        if _launch_without(found, [*away, limit]) > found.horizon:
            away.append(limit)
    kept = [limit for limit in held if limit not in away]
    return (*kept, LaunchLimit("horizon", "", None, None, found.setting.programme.end)) if kept else ()


BOUNDLESS = 1e3
"""A lot that many times as large stands for one without a limit."""


def _launch_without(found: Explained, limits: list[LaunchLimit]) -> float:
    """The launch without some limits."""
    game = found.game
    for column, lot in enumerate(game.world.lots):
        if any(limit.kind == "count" and limit.about == lot for limit in limits):
            game = enlarged(game, column, BOUNDLESS * game.world.there[0, :, column])
    options = CaseOptions(
        in_order=not any(limit.kind == "order" for limit in limits),
        without_services=tuple(limit.about for limit in limits if limit.kind == "demand"),
        without_rounds=any(limit.kind == "rounds" for limit in limits),
    )
    return best_launch(game, options).last
