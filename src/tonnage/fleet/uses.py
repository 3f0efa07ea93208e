"""What each lot does when, in one draw: by period, and with equal periods joined."""

from __future__ import annotations

import datetime
import itertools

import numpy as np

from tonnage.fleet.causes import Activity
from tonnage.fleet.draws import PERIOD
from tonnage.fleet.forecast import Forecast
from tonnage.fleet.plan import Use
from tonnage.fleet.programme import Programme
from tonnage.fleet.setting import Play

Date = datetime.date


def weekly(story: Forecast, programme: Programme) -> tuple[Use, ...]:
    """What each lot does in each period, in the draw shown."""
    made = []
    for period, uses in enumerate(story.uses):
        begin, end = _day(programme, period * PERIOD), _day(programme, (period + 1) * PERIOD)
        made += [Use(lot, begin, end, activity, count) for (lot, activity), count in uses.items()]
    return tuple(made)


def spans(story: Forecast, programme: Programme) -> tuple[Use, ...]:
    """What each lot does in the draw shown, periods of one activity joined."""
    open_: dict[tuple[str, Activity], list[tuple[int, float]]] = {}
    for period, uses in enumerate(story.uses):
        for key, count in uses.items():
            open_.setdefault(key, []).append((period, count))
    made = []
    for (lot, activity), found in open_.items():
        for run in _runs(found):
            begin, end = run[0][0] * PERIOD, (run[-1][0] + 1) * PERIOD
            count = float(np.mean([value for _, value in run]))
            made.append(Use(lot, _day(programme, begin), _day(programme, end), activity, count))
    order = {lot.name: index for index, lot in enumerate(programme.lots)}
    return tuple(sorted(made, key=lambda use: (order[use.lot], use.start, use.does)))


def _runs(found: list[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = []
    for item in found:
        if runs and runs[-1][-1][0] == item[0] - 1:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _day(programme: Programme, seconds: float) -> Date:
    return min(programme.start + datetime.timedelta(seconds=round(seconds)), programme.end)


def available(game: Play, index: int, programme: Programme) -> tuple[Use, ...]:
    """How many accelerators of each lot are there, in the draw shown; periods of equal number joined."""
    made = []
    for column, lot in enumerate(programme.lots):
        there = np.round(game.world.available[index, :, column])
        edges = [0, *(int(i) + 1 for i in np.flatnonzero(np.diff(there))), there.size]
        for first, after in itertools.pairwise(edges):
            if there[first] > 0:
                begin, end = _day(programme, first * PERIOD), _day(programme, after * PERIOD)
                made.append(Use(lot.name, begin, end, Activity("available"), float(there[first])))
    return tuple(made)
