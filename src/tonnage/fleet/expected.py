"""From a programme to what is known of its lots by each period: see `outlook`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tonnage.fleet.calendar import FAR as FOREVER
from tonnage.fleet.calendar import Calendar
from tonnage.fleet.draws import PERIOD, World, lot_available
from tonnage.fleet.outlook import FAR, LotOutlook, Outlook
from tonnage.fleet.programme import Lot, Programme
from tonnage.fleet.uncertain import Floats
from tonnage.units import DAY

GRID = 200
"""Levels at which the days are taken on which a lot may come."""

LEVELS = np.asarray((np.arange(GRID) + 0.5) / GRID)


def outlook(programme: Programme, calendars: Mapping[str, Calendar], world: World) -> Outlook:
    """What is known by each period of the lots in the draws of a world.

    A lot that has come is known: how much of it, what of it is to come, when its lease ends. One that has not is
    expected with every number at its median, and on the median of the days that are left: as each week passes without
    it, it is expected later. Rules count from the day on which they act, all at once in a programme that plans with
    what was known on a day.
    """
    whole = world.whole
    return Outlook(tuple(_lot(programme, calendars[lot.name], lot, world, whole[:, :, column])
                         for column, lot in enumerate(programme.lots)))  # fmt: skip


def _lot(programme: Programme, calendar: Calendar, lot: Lot, world: World, there: Floats) -> LotOutlook:
    periods = there.shape[1]
    turns, known = _laws(programme, calendar, periods)
    after = [lot_available(lot, law, programme.start, world.values, periods) for law in known[:-1]]
    some = np.any([there > 0, *(made > 0 for made in after)], axis=0) if after else there > 0
    begins = np.where(some.any(axis=1), some.argmax(axis=1), FAR)
    asked = int(min(begins.max(initial=0), periods))
    before = np.zeros((asked, periods))
    days = _first_days(lot, programme.start, asked)
    for now in range(asked):
        if now and days[now] == days[now - 1] and now not in turns:
            before[now] = before[now - 1]
            continue
        law = known[sum(turn <= now for turn in turns)]
        before[now] = lot_available(lot, law, programme.start, _medians(programme, lot, days[now]), periods)[0]
    return LotOutlook(begins, before, turns, tuple(after))


def _medians(programme: Programme, lot: Lot, first: float) -> dict[str, Floats]:
    """Every number of a lot at its median, and the day on which it comes."""
    key = f"fleet.{lot.name}."
    made = {name: np.array([one.median]) for name, one in programme.inputs().items() if name.startswith(key)}
    came = first - made[f"{key}lead"] / DAY
    if lot.acquired is not None:
        made[f"{key}acquired"] = made[f"{key}acquired"] - made[f"{key}from"] + came
    return made | {f"{key}from": came}


def _first_days(lot: Lot, start: datetime.date, periods: int) -> Floats:
    """The day on which a lot is expected that has not come by the middle of each period [n]."""
    lead = np.array([lot.lead.median]) if lot.lead.certain else lot.lead.quantile(LEVELS)
    first = np.array([lot.start.median]) if lot.start.certain else lot.start.quantile(LEVELS)
    days = np.sort(np.add.outer(first, lead / DAY).ravel())
    now = start.toordinal() + (np.arange(periods) + 0.5) * PERIOD / DAY
    passed = np.searchsorted(days, now, side="right")
    middle = np.minimum(passed + (days.size - passed) // 2, days.size - 1)
    return np.asarray(np.where(passed < days.size, days[middle], now + PERIOD / DAY))


def _laws(programme: Programme, calendar: Calendar, periods: int) -> tuple[tuple[int, ...], list[Calendar]]:
    """Periods in which the law of a lot becomes another, and the calendar as it is known before the first, from the
    first on, and so on; the last is the whole.
    """
    rulings = calendar.rulings
    if programme.rules.known_at is not None or len(rulings) < 2:
        return (), [calendar]
    turns, known = [], []
    for index, ruling in enumerate(rulings[1:]):
        turn = int((ruling.start - programme.start).days * DAY // PERIOD)
        if 0 < turn < periods and ruling.lawful != rulings[index].lawful:
            turns.append(turn)
            known.append(_until(programme, calendar, index + 1))
    return tuple(turns), [*known, calendar]


def _until(programme: Programme, calendar: Calendar, count: int) -> Calendar:
    """A calendar whose first rulings are all that is known: the last of them stays."""
    rulings = calendar.rulings[:count]
    starts = [-FOREVER, *((ruling.start - programme.start).days for ruling in rulings[1:])]
    ends = [*starts[1:], FOREVER]
    spans = tuple((begin, end) for ruling, begin, end in zip(rulings, starts, ends, strict=True) if ruling.lawful)
    return replace(calendar, rulings=rulings, spans=spans, always=all(ruling.lawful for ruling in rulings))
