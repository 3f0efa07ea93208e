"""The base case explained: every input at its median, played forward and solved as a linear programme.

The quick rule of the forecast does not look ahead; the linear programme knows the whole calendar. Side by side they say
how much the rule gives away, and the duals of a launch one week too early say which lots are short of what.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass, replace

import numpy as np

from tonnage.fleet.draws import PERIOD
from tonnage.fleet.explain import AllocationProblem, Solution, solve
from tonnage.fleet.programme import DAY
from tonnage.fleet.remedies import serving_problem
from tonnage.fleet.setting import Play, SettledProgramme, play

Date = datetime.date
BEFORE, AFTER = 12, 3
"""Weeks before and after the quick rule's launch in which the linear programme looks for an earlier one."""


@dataclass(frozen=True)
class BaseCase:
    """The base case. launch: by the quick rule; exact: start of the first week by linear programme; short: for a launch
    a week before `exact`, the share of what is missing that one more accelerator of each lot would relieve.
    """

    launch: Date | None
    exact: Date | None
    short: dict[str, float]


def base_case(setting: SettledProgramme) -> BaseCase | None:
    """The base case of a programme with one model to come that is trained; None for others."""
    game = play(setting, 0, 0)
    if len(game.projects) != 1 or not game.projects[0].attempts:
        return None
    at = float(game.run().launch[0][0])
    quick = None if not at <= setting.programme.days * DAY else _day(setting, at / PERIOD)
    first = earliest(game, at / PERIOD) if math.isfinite(at) else None
    if first is None:
        return BaseCase(quick, None, {})
    found = attempt(game, first - 1) if first > 0 else None
    return BaseCase(quick, _day(setting, first), _short(game, found) if found else {})


def _day(setting: SettledProgramme, period: float) -> Date:
    return setting.programme.start + datetime.timedelta(days=math.ceil(period * PERIOD / DAY))


def earliest(game: Play, near: float) -> int | None:
    """First week, around `near`, in which training can be done and the launch carried; None if there is none."""
    begin, end = max(0, math.floor(near) - BEFORE), min(game.world.periods - 1, math.ceil(near) + AFTER)
    return next((period for period in range(begin, end + 1) if attempt(game, period).feasible), None)


def attempt(game: Play, period: int) -> Solution:
    """The linear programme of a launch at the start of a week: services always, training before its rounds."""
    return solve(case_of(game, period))


def case_of(game: Play, period: int) -> AllocationProblem:
    """The case of a launch at the start of a week, up to the end of the move of demand.

    Training is measured in accelerator-weeks at the speed per accelerator of a run on all of its place.
    """
    project = game.projects[0]
    place = next((a for a in project.attempts if a.completes[0]), project.attempts[-1])
    most = float(game.world.available[0][:, place.lots].sum(axis=1).max())
    run = np.array([max(min(most, project.at_most), 1.0)])
    work, pauses = 0.0, 0.0
    for amount, speed in zip(project.amounts, place.speeds, strict=True):
        each = float(speed.of(run)[0] / run[0])
        if speed.kind == "pause":
            pauses += float(amount[0] * place.slip[0]) / PERIOD
        else:
            work += float(amount[0] * place.slip[0]) / each / PERIOD if each > 0 else math.inf
    rounds = float(np.round(project.rounds[0]) * project.each[0]) / PERIOD
    whole = serving_problem(game, (np.array([period * PERIOD]),))
    last = min(game.world.periods, period + int(np.ravel(project.within)[0] / PERIOD) + 1)
    return replace(
        whole,
        need=whole.need[:, :last],
        capacity=whole.capacity[:last],
        training=place.lots,
        work=min(work, 1e9),
        deadline=max(period - rounds - pauses, 0.0),
    )


def _short(game: Play, found: Solution) -> dict[str, float]:
    worth = np.maximum(found.value, 0.0).sum(axis=0)
    total = float(worth.sum())
    if total <= 0:
        return {}
    shares = {lot: float(value / total) for lot, value in zip(game.world.lots, worth, strict=True)}
    return {lot: share for lot, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 0.01}
