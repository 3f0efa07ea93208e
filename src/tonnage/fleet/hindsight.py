"""The policy against the best plan of the same draw, made with hindsight, on a sample of the draws."""

from __future__ import annotations

import numpy as np

from tonnage.fleet.best import PolicyGap
from tonnage.fleet.draws import PERIOD
from tonnage.fleet.forecast import Forecast
from tonnage.fleet.optimum_case import best_launch, launch_of_last
from tonnage.fleet.programme import DAY
from tonnage.fleet.setting import Play, only
from tonnage.fleet.uncertain import Floats, rank

SAMPLE, FEW = 20, 4
"""Draws that are looked at, of programmes with one run and with several."""


def behind(game: Play, result: Forecast, sample: int | None = None) -> PolicyGap | None:
    """How far the policy lies behind the best plan, over draws evenly spread; None if there is no best plan in any."""
    runs = sum(project.trains for project in game.projects)
    wanted = sample or (SAMPLE if runs <= 1 else FEW)
    chosen = np.unique(np.linspace(0, game.world.draws - 1, min(wanted, game.world.draws)).round().astype(int))
    policy = result.launch[-1][chosen] / DAY
    best = np.array([best_day(game, result, int(index)) for index in chosen])
    found = np.isfinite(best)
    if not found.any():
        return None
    behind = policy[found] - best[found]
    return PolicyGap(int(found.sum()), rank(behind, 0.5), rank(behind, 0.9), float(max(0.0, -behind.min())))


def best_day(game: Play, result: Forecast, index: int) -> float:
    """The best launch of the last model in one draw [days from the start].

    Of programmes with several models the launches of the earlier ones, which move demand, are also taken as the policy
    had them, and the better counts.
    """
    one = only(game, index)
    best = best_launch(one).last
    if len(game.projects) > 1:
        best = min(best, launch_of_last(one, _launches(result, index)))
    return best * PERIOD / DAY


def _launches(result: Forecast, index: int) -> tuple[Floats, ...]:
    return tuple(at[index : index + 1] for at in result.launch)
