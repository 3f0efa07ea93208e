"""The policy against the best plan of the same draw, made with hindsight, on a sample of the draws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tonnage.fleet.best import PolicyGap
from tonnage.fleet.draws import PERIOD
from tonnage.fleet.optimum_case import CaseOptions, best_launch, first_share, lasting, launch_of_last
from tonnage.fleet.options import search
from tonnage.fleet.programme import DAY, Lot
from tonnage.fleet.setting import Play, only
from tonnage.fleet.signed import in_order_of_power
from tonnage.fleet.uncertain import Floats, rank

SAMPLE, FEW = 20, 4
"""Draws that are looked at, of programmes with one run and with several."""


def sampled(draws: int, runs: int, sample: int | None = None) -> NDArray[np.int64]:
    """Draws that are looked at, evenly spread."""
    wanted = sample or (SAMPLE if runs <= 1 else FEW)
    return np.unique(np.linspace(0, draws - 1, min(wanted, draws)).round().astype(np.int64))


def behind(
    game: Play,
    launch: tuple[Floats, ...],
    lots: tuple[Lot, ...] = (),
    budget: float | None = None,
    first: Floats | None = None,
) -> PolicyGap | None:
    """How far the policy lies behind the best plan, in the draws of a play; None if there is no best plan in any.

    launch: of each model by the policy [s]; lots: of the programme, with a budget that both keep; first: the first
    users of the last model by the policy [s], which are compared if some come before the launch.
    """
    policy = launch[-1] / DAY
    ones = ((only(game, i), tuple(at[i : i + 1] for at in launch)) for i in range(game.world.draws))
    best = np.array([best_day(one, at, lots, budget) for one, at in ones])
    found = np.isfinite(best)
    if not found.any():
        return None
    days = policy[found] - best[found]
    never = float(np.isinf(days).mean())
    gap = PolicyGap(int(found.sum()), rank(days, 0.5), rank(days, 0.9), float(max(0.0, -days.min())), never=never)
    if first is None or budget is not None or not (first < launch[-1]).any():
        return gap
    users = np.array(
        [first_day(only(game, i), tuple(at[i : i + 1] for at in launch)) for i in map(int, np.flatnonzero(found))]
    )
    return replace(gap, first=rank(first[found] / DAY - users, 0.5))


def first_day(one: Play, launch: tuple[Floats, ...]) -> float:
    """The best day of the first users of the last model in a play of one draw, as `best_day`."""
    return _last(one, launch, part=first_share(one.projects[-1])) * PERIOD / DAY


def best_day(one: Play, launch: tuple[Floats, ...], lots: tuple[Lot, ...] = (), budget: float | None = None) -> float:
    """The best launch of the last model in a play of one draw [days from the start]; launch: of each by the policy [s];
    lots: of the programme, of which rented ones may be left away to keep a budget.

    Of programmes with several models it is that of the last one alone, with the launches of the others as the policy
    had them: no later than the best.
    """
    if budget is None:
        return _last(one, launch) * PERIOD / DAY
    one = in_order_of_power(one)
    found, _ = search(one, lots, budget, lambda play, how: _last(play, launch, how.in_order), options=False)
    levels = found.soonest(budget)
    return math.inf if levels is None else found.launch(levels) * PERIOD / DAY


def _last(one: Play, launch: tuple[Floats, ...], in_order: bool = True, part: float = 1.0) -> float:
    """The best launch of the last model [periods], to a part of its users."""
    last = float(launch[-1][0])
    if math.isfinite(last):
        within = float(np.ravel(one.projects[-1].within)[0])
        one = lasting(one, math.ceil((last + within) / PERIOD) + 2)
    options = CaseOptions(in_order=in_order, with_failing=True, only_last=True)
    many = len(one.projects) > 1 or part < 1
    return launch_of_last(one, launch, options, part) if many else best_launch(one, options).last
