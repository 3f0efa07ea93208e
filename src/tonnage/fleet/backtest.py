"""Scores of launch dates against what came, and the rival that they have to beat.

A forecast is a curve F(t): the probability that the launch has come t days after the cut-off; what is left at the end
is *never*. The score is the continuous ranked probability score up to a limit, in days (threshold-weighted, Gneiting
and Ranjan 2011):

    CRPS = integral from 0 to T of (F(t) - [t >= y])^2 dt

The rival is the announced day plus the slips of other announced launches, by Kaplan and Meier's estimate (1958), given
what has passed already.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tonnage.catalog.launches import Launch, Statement
from tonnage.fleet.uncertain import Floats

Date = datetime.date

LIMIT = 730
"""T: days after the cut-off up to which a forecast is scored."""


@dataclass(frozen=True)
class Event:
    """What came. day: None where it did not come; known_to: last day on which that is known (`day` where it came)."""

    name: str
    day: Date | None
    known_to: Date


@dataclass(frozen=True)
class Delay:
    """How late something came, or how late it was when it had not come yet [days]."""

    days: float
    came: bool


@dataclass(frozen=True)
class Survival:
    """Kaplan-Meier: at `days` (rising) the share that has not come falls to `left`."""

    days: tuple[float, ...]
    left: tuple[float, ...]

    def at(self, days: float) -> float:
        """Share that has not come by then."""
        index = int(np.searchsorted(self.days, days, side="right"))
        return self.left[index - 1] if index else 1.0

    def quantile(self, p: float) -> float:
        """Days by which a share p has come; infinite where less ever does."""
        return next((day for day, left in zip(self.days, self.left, strict=True) if 1 - left >= p - 1e-12), math.inf)


def survival(delays: Iterable[Delay]) -> Survival:
    """Kaplan and Meier's estimate; what had not come is censored at its delay."""
    found = sorted(delays, key=lambda delay: delay.days)
    days, left, share = [], [], 1.0
    for at in dict.fromkeys(delay.days for delay in found if delay.came):
        share *= 1 - sum(d.came and d.days == at for d in found) / sum(d.days >= at for d in found)
        days.append(at)
        left.append(share)
    return Survival(tuple(days), tuple(left))


# delays of announced launches


def slips(launches: Iterable[Launch], apart: frozenset[str] = frozenset()) -> tuple[Delay, ...]:
    """Days from the end of the first window stated to the launch, of the launches for which one was stated. One that
    was given up is late for ever.
    """
    made = []
    for launch in launches:
        if launch.id not in apart and launch.slip is not None:
            days = math.inf if launch.result == "never" else float(launch.slip)
            made.append(Delay(days, launch.actual is not None))
    return tuple(made)


def leads(launches: Iterable[Launch], apart: frozenset[str] = frozenset()) -> tuple[Delay, ...]:
    """Days from the first statement to the launch."""
    made = []
    for launch in launches:
        if launch.id not in apart and launch.statements:
            days = (launch.as_of - launch.statements[0].said).days
            made.append(Delay(math.inf if launch.result == "never" else float(days), launch.actual is not None))
    return tuple(made)


def announced(launches: Iterable[Launch], story: frozenset[str], by: Date) -> Statement | None:
    """The last statement with a window, of the launches of a story, that had been made by a day."""
    said = [s for launch in launches if launch.id in story for s in launch.statements if s.last and s.said <= by]
    return max(said, key=lambda s: s.said, default=None)


# curves


def curve(days: Sequence[float]) -> Floats:
    """F(t) at the ends of the days up to the limit [LIMIT] of draws that launch so many days after the cut-off."""
    ordered = np.sort(np.asarray(days, dtype=np.float64))
    return np.asarray(np.searchsorted(ordered, np.arange(1, LIMIT + 1), side="right") / max(len(days), 1))


def rival(launches: Sequence[Launch], story: frozenset[str], cut_off: Date) -> Floats:
    """F(t) of the announced day plus the naive slip; of the naive lead where no day was announced. Where no slip was
    known yet, the announced day itself.
    """
    said = announced(launches, story, cut_off)
    if said and said.last:
        found, passed = survival(slips(launches, story)), float((cut_off - said.last).days)
    else:
        found, passed = survival(leads(launches, story)), 0.0
    if not found.days:
        return curve([-passed] if said else [])
    left = found.at(passed)
    if left <= 0:
        return np.zeros(LIMIT)
    return np.array([1 - found.at(passed + t) / left for t in range(1, LIMIT + 1)])


def percentile(probability: Floats, p: float) -> float:
    """Days after the cut-off by which the launch has come with probability p; infinite where it never is so likely."""
    reached = np.flatnonzero(probability >= p - 1e-12)
    return float(reached[0] + 1) if reached.size else math.inf


# scores


def crps(probability: Floats, event: Event, cut_off: Date) -> float:
    """[days] Less is better. An event that did not come is scored to the last day on which that is known."""
    end = LIMIT if event.day else min(LIMIT, (event.known_to - cut_off).days)
    came = np.zeros(LIMIT)
    if event.day:
        came[max((event.day - cut_off).days, 1) - 1 :] = 1.0
    return float(((probability - came)[:end] ** 2).sum())


def inside(probability: Floats, event: Event, cut_off: Date) -> bool:
    """Whether the event lies between P10 and P90; never lies after every day."""
    low, high = percentile(probability, 0.1), percentile(probability, 0.9)
    came = math.inf if event.day is None else (event.day - cut_off).days
    return low <= came <= high


def binomial_interval(k: int, n: int) -> tuple[float, float]:
    """The 90 % interval of a share seen k times in n (Wilson 1927)."""
    z = 1.6449
    centre, half = (k + z * z / 2) / (n + z * z), z * math.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    return max(0.0, centre - half), min(1.0, centre + half)
