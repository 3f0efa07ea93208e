"""The cheapest change that lifts an infeasible programme, in the base case (every input at its median)."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tonnage.errors import Bind
from tonnage.fleet.allocation import AllocationProblem
from tonnage.fleet.draws import PERIOD, Bools
from tonnage.fleet.forecast import needs
from tonnage.fleet.optimum import cheapest_growth, most_demand
from tonnage.fleet.optimum_case import best_launch, lasting, need_of, rates
from tonnage.fleet.programme import DAY, Model
from tonnage.fleet.setting import Play, SettledProgramme, play
from tonnage.fleet.speeds import Missed
from tonnage.fleet.uncertain import Floats
from tonnage.units import MONTH, show_money, show_number, show_share, show_time

MOST = 6
"""A lot or mix of lots is tried up to two to the power of this times as large."""


def lawful(setting: SettledProgramme) -> str:
    """What would make a lot lawful."""
    lot = setting.programme.lots[0]
    return f"a licence for {lot.chip} (licence: NAME in the lot {lot.name}), or another chip"


def unkept(setting: SettledProgramme) -> Bind | None:
    """The first service level that no chip of the lawful fleet keeps, and the nearest that one can; None if all are."""
    for model in setting.programme.models:
        speeds = [speed for (name, _), speed in setting.serving.items() if name == model.name]
        missed = [(speed, speed.missed) for speed in speeds if speed.missed]
        if not missed or any(speed.rate > 0 for speed in speeds):
            continue
        best, why = min(missed, key=lambda item: item[1].by or np.inf)
        text = f"no chip of the fleet keeps the service level of {model.name}; the nearest, {best.reason}"
        near = _nearest(model, why)
        return Bind(why.limit, text, why.by, f"{near}, on {best.chip}" if near else None)
    return None


def _nearest(model: Model, missed: Missed) -> str:
    """The nearest service level that can be kept, of the limits that are asked for."""
    service = model.service
    levels = () if service is None else ((service.tpot, "tpot", missed.tpot), (service.ttft, "ttft", missed.ttft))
    found = [f"{name} {show_time(kept)}" for asked, name, kept in levels if asked is not None and kept is not None]
    return f"the nearest found that can be kept, {' and '.join(found)}" if found else ""


def capacity(setting: SettledProgramme) -> str | None:
    """The cheapest lawful enlargement of the lots that serves the demand, and how much can be served as it is."""
    game = play(setting, 0, 0)
    if not game.services:
        return None
    case = _serving(game)
    served = f"serve at most {show_share(most_demand(case))} of it with this fleet"
    found = cheapest_growth(case, (), float(case.periods), _grows(setting))
    if found is None:
        return f"{served}; more of no lot that may lawfully come would serve it within its service level"
    added = _added(game, np.ceil(found.extra - 1e-6))
    return f"{added} for the whole time, {_monthly(game, found.extra)}; or {served}" if added else None


def _serving(game: Play) -> AllocationProblem:
    """The services of a base case in which nothing is launched."""
    never = tuple(np.full(1, np.inf) for _ in game.projects)
    price = game.world.price[0] * PERIOD
    return AllocationProblem(game.world.available[0], need_of(game, never), rates(game), price)


def _added(game: Play, extra: Floats) -> str:
    named = [(name, more) for name, more in zip(game.world.lots, extra, strict=True) if more > 0.5]
    return ", ".join(f"{show_number(more)} more of {name}" for name, more in named)


def _monthly(game: Play, extra: Floats) -> str:
    """What more accelerators cost a month."""
    bought = extra > 0.5
    cost = float((extra[bought] * game.world.price[0][bought]).sum() * MONTH)
    return "unpriced" if np.isnan(cost) else f"{show_money(cost)} a month"


def _grows(setting: SettledProgramme) -> Bools:
    return np.array([setting.calendars[lot.name].more for lot in setting.programme.lots])


# a launch


def launch(setting: SettledProgramme) -> str | None:
    """The cheapest lawful change with which the base case launches within the horizon: more of some lots, or else a
    later horizon. None where it launches by then as it is: most draws are unluckier than it.
    """
    game = lasting(play(setting, 0, 0))
    extra = cheapest_launch(setting, game, setting.programme.days * DAY / PERIOD)
    if extra is None:
        return _later(setting)
    return added(game, extra) if (extra > 0.5).any() else None


def added(game: Play, extra: Floats) -> str:
    """Lots that are added from their first day on, in words."""
    return f"{_added(game, extra)} from its first day on, {_monthly(game, extra)}"


def cheapest_launch(setting: SettledProgramme, game: Play, by: float) -> Floats | None:
    """The cheapest accelerators to add to lots of which more may come, from the first day of each lot on, for a launch
    by a time [periods]; None if there are none. Nothing is added if it launches by then without.

    The elastic programme finds the mix as if a run were no bigger than its curve of speed; the exact launch says
    how much of that mix is needed.
    """
    if best_launch(game).last <= by:
        return np.zeros(len(game.world.lots))
    mixes = [mix for mix in _mixes(setting, game, by) if (mix > 0.5).any()]
    price = np.nan_to_num(game.world.price[0], nan=np.inf)

    def cost(extra: Floats) -> float:
        return float((extra[extra > 0] * price[extra > 0]).sum())

    best, found = math.inf, dict[int, Floats]()
    for index in sorted(range(len(mixes)), key=lambda index: cost(mixes[index])):
        scaled = _enough(game, mixes[index], by, cost, best)
        if scaled is not None:
            found[index], best = scaled, min(best, cost(scaled))
    chosen = min(found, key=lambda index: (cost(found[index]), index), default=None)
    return None if chosen is None else found[chosen]


def _mixes(setting: SettledProgramme, game: Play, by: float) -> Iterator[Floats]:
    """Mixes to try: what the elastic programme says, and each lot alone."""
    grows = _grows(setting)
    for column in np.flatnonzero(grows):
        there = float(game.world.there[0, :, column].max())
        if there > 0:
            yield np.where(np.arange(grows.size) == column, there, 0.0)
    ready = best_launch(game).ready
    runs = len(ready.problem.runs)
    mix = cheapest_growth(_with_the_move(game, ready.problem, by), (by,) * runs, by, grows)
    if mix is not None:
        yield mix.extra


def _with_the_move(game: Play, problem: AllocationProblem, by: float) -> AllocationProblem:
    """The problem up to a launch, its last period that of the end of the move of demand."""
    last = max(1, min(problem.periods, math.ceil(by - 1e-9)))
    project = game.projects[-1]
    end = by * PERIOD + float(np.ravel(project.within)[0])
    at = min(int(end / PERIOD), problem.periods - 1)
    when = tuple(np.array([by * PERIOD]) for _ in game.projects)
    need = needs(game.services, game.projects, np.array([end]), when).T
    assert problem.unserved is not None
    return replace(
        problem,
        capacity=np.concatenate(
            [problem.capacity[: last - 1], np.minimum(problem.capacity[[last - 1]], problem.capacity[[at]])]
        ),
        need=np.concatenate([problem.need[:, : last - 1], np.maximum(problem.need[:, [last - 1]], need)], axis=1),
        unserved=problem.unserved[:last],
        most_power=None if problem.most_power is None else problem.most_power[:last],
    )


def _enough(game: Play, mix: Floats, by: float, cost: Callable[[Floats], float], known: float) -> Floats | None:
    """The least multiple of a mix with which it launches by a time, to 2 %; None if none of up to `MOST` times does, or
    if what does not suffice costs more than what is known already.
    """

    def at(factor: float) -> bool:
        return best_launch(_larger(game, factor * mix)).last <= by

    low, high = 0.0, 2.0**-4
    while not at(high):
        if high >= 2.0**MOST or cost(np.ceil(high * mix)) > known:
            return None
        low, high = high, 2 * high
    while high - low > 0.02 * high and cost(np.ceil(low * mix)) <= known:
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle) else (middle, high)
    return np.ceil(high * mix)


def _larger(game: Play, extra: Floats) -> Play:
    """The play with more of each lot, from its first day on, in proportion to how much of it is there."""
    there = game.world.there
    whole = np.maximum(there.max(axis=1, keepdims=True), 1e-9)
    more = np.where(there > 0, extra * there / whole, 0.0)
    return replace(game, world=game.world.with_lots(there + more))


def _later(setting: SettledProgramme) -> str | None:
    """The launch of the base case when the horizon is far."""
    programme = setting.programme
    far = replace(programme, end=programme.start + datetime.timedelta(days=3650))
    result = play(replace(setting, programme=far), 0, 0).run()
    at = float(result.launch[-1][0])
    if not np.isfinite(at):
        return None
    day = programme.start + datetime.timedelta(days=int(np.ceil(at / DAY)))
    return f"a horizon to {day}, by which it launches in the base case"
