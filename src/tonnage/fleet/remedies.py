"""The cheapest change that lifts an infeasible programme, in the base case (every input at its median)."""

from __future__ import annotations

import datetime
from dataclasses import replace

import numpy as np

from tonnage.errors import Bind
from tonnage.fleet.draws import PERIOD, Bools
from tonnage.fleet.explain import AllocationProblem, most_demand, solve
from tonnage.fleet.forecast import Forecast, needs
from tonnage.fleet.programme import DAY, Model
from tonnage.fleet.setting import Play, SettledProgramme, play
from tonnage.fleet.speeds import Missed
from tonnage.fleet.uncertain import Floats
from tonnage.units import MONTH, show_money, show_number, show_share, show_time

FACTORS = (1.25, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0)
"""Multiples of a lot that are tried."""


def serving_problem(game: Play, launch: tuple[Floats, ...]) -> AllocationProblem:
    """The services of a base case as a linear programme, with the launches given."""
    world = game.world
    middles = [np.array([(p + 0.5) * PERIOD]) for p in range(world.periods)]
    need = np.stack([needs(game.services, game.projects, now, launch)[0] for now in middles], axis=1)
    rate = np.stack([service.rate[0] for service in game.services]) if game.services else np.zeros((0, len(world.lots)))
    training = np.zeros(len(world.lots), dtype=bool)
    return AllocationProblem(world.available[0], need, rate, world.price[0], training)


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
    never = tuple(np.full(1, np.inf) for _ in game.projects)
    case = serving_problem(game, never)
    found = solve(replace(case, grows=_grows(setting)), elastic=True)
    served = f"serve at most {show_share(most_demand(case))} of it with this fleet"
    if not found.feasible:
        return f"{served}; more of no lot that may lawfully come would serve it within its service level"
    added = [(name, extra) for name, extra in zip(game.world.lots, found.extra, strict=True) if extra > 0.5]
    if not added:
        return None
    monthly = float(np.where(found.extra > 0.5, found.extra * case.price, 0.0).sum() * MONTH)
    listed = ", ".join(f"{show_number(np.ceil(extra))} more of {name}" for name, extra in added)
    return f"{listed} for the whole time, {_monthly(monthly)}; or {served}"


def _monthly(cost: float) -> str:
    return "unpriced" if np.isnan(cost) else f"{show_money(cost)} a month"


def _grows(setting: SettledProgramme) -> Bools:
    return np.array([setting.calendars[lot.name].more for lot in setting.programme.lots])


def launch(setting: SettledProgramme) -> str | None:
    """The cheapest lawful enlargement of one lot with which the base case launches, or else a later horizon."""
    game = play(setting, 0, 0)
    found: list[tuple[float, str]] = []
    grows = _grows(setting)
    for column, name in enumerate(game.world.lots):
        if not grows[column]:
            continue
        factor = next((f for f in FACTORS if _launches(_enlarged(game, column, f).run(), setting)), None)
        if factor is None:
            continue
        added = (factor - 1) * float(game.world.available[0, :, column].max())
        cost = added * float(game.world.price[0, column]) * MONTH
        text = f"{show_number(added)} more of {name} ({factor:g} times), {_monthly(cost)}"
        found.append((np.inf if np.isnan(cost) else cost, text))
    if found:
        return min(found)[1]
    return _later(setting)


def _launches(result: Forecast, setting: SettledProgramme) -> bool:
    return bool(result.launch[-1][0] <= setting.programme.days * DAY)


def _enlarged(game: Play, column: int, factor: float) -> Play:
    return replace(game, world=game.world.scaled(column, factor))


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
