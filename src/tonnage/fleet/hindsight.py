"""The policy against the best plan of the same draw, made with hindsight, on a sample of the draws."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tonnage.fleet.best import PolicyGap
from tonnage.fleet.draws import PERIOD
from tonnage.fleet.optimum_case import CaseOptions, best_launch, lasting, launch_of_last
from tonnage.fleet.programme import DAY
from tonnage.fleet.setting import Play, only
from tonnage.fleet.uncertain import Floats, rank

SAMPLE, FEW = 20, 4
"""Draws that are looked at, of programmes with one run and with several."""


def sampled(draws: int, runs: int, sample: int | None = None) -> NDArray[np.int64]:
    """Draws that are looked at, evenly spread."""
    wanted = sample or (SAMPLE if runs <= 1 else FEW)
    return np.unique(np.linspace(0, draws - 1, min(wanted, draws)).round().astype(np.int64))


def behind(game: Play, launch: tuple[Floats, ...]) -> PolicyGap | None:
    """How far the policy lies behind the best plan, in the draws of a play; None if there is no best plan in any.

    launch: of each model by the policy [s].
    """
    policy = launch[-1] / DAY
    best = np.array([best_day(only(game, i), tuple(at[i : i + 1] for at in launch)) for i in range(game.world.draws)])
    found = np.isfinite(best)
    if not found.any():
        return None
    days = policy[found] - best[found]
    return PolicyGap(
        int(found.sum()), rank(days, 0.5), rank(days, 0.9), float(max(0.0, -days.min())), float(np.isinf(days).mean())
    )


def best_day(one: Play, launch: tuple[Floats, ...]) -> float:
    """The best launch of the last model in a play of one draw [days from the start]; launch: of each by the policy [s].

    Of programmes with several models it is that of the last one alone, with the launches of the others as the policy
    had them: no later than the best.
    """
    last = float(launch[-1][0])
    if math.isfinite(last):
        within = float(np.ravel(one.projects[-1].within)[0])
        one = lasting(one, math.ceil((last + within) / PERIOD) + 2)
    options = CaseOptions(with_failing=True, only_last=True)
    many = len(one.projects) > 1
    best = launch_of_last(one, launch, options) if many else best_launch(one, options).last
    return best * PERIOD / DAY
