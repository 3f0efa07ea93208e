"""Accelerators that services leave free at night, and what a run that takes them for some hours of each day gains.

A service follows a curve of the day; what it holds is for its peak. The hours of the lowest load are the night of the
programme, the same for all services, since a run moves in and out once a day. DeepSeek reports the practice: 278 nodes
at peak, 226.75 on average, nights to research and training (inference system overview, 2025-03-01).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonnage.fleet.uncertain import Floats
from tonnage.units import DAY, MINUTE

HOURS = 24


@functools.cache
def moves() -> float:
    """Share of the day in which a run that takes the nights stands: a restart when they come and one when they go, each
    as long as after an interruption (`train/goodput.py`, an assumption), without an interruption's loss of work.
    """
    from tonnage.train.goodput import RECOVERY

    return 2 * RECOVERY[1] / DAY


@functools.cache
def server() -> int:
    """Accelerators of a whole server, which come and go together."""
    from tonnage.train.goodput import SERVER

    return SERVER


@dataclass(frozen=True)
class Nights:
    """The night of a programme. share: of the day; load: of each service then, over its peak [m]; hours: which."""

    share: float
    load: Floats
    hours: tuple[int, ...] = ()

    def freed(self, used: Floats) -> Floats:
        """Accelerators of each lot that services leave at night, of those that they use at their peaks [d, m, l], in
        whole servers [d, l].
        """
        left = np.einsum("dml,m->dl", used, 1.0 - self.load)
        return np.asarray(np.floor(left / server() + 1e-9) * server())

    def pace(self, day: Floats, night: Floats) -> Floats:
        """Speed over a whole day of a run with these speeds by day and by night; the nights are left if that is
        faster.
        """
        both = (1.0 - self.share) * day + max(self.share - moves(), 0.0) * night
        return np.asarray(np.maximum(day, both))

    @property
    def text(self) -> str:
        """The night in words."""
        least = 100 * float(self.load.mean())
        stands = f"stands {moves() * DAY / MINUTE:.0f} minutes a day for it"
        return (
            f"nights: {len(self.hours)} h a day services need {least:.0f} % of their peak on average; a run takes what "
            f"they leave, in whole servers of {server()}, and {stands}; services pay for what they hold"
        )


def nights(curves: Sequence[Sequence[float]]) -> Nights | None:
    """The hours that free most accelerators of services with these curves of the day (each over its peak; of one
    without, the peak all day), all services taken alike; None if no hours are worth the moves.
    """
    if not any(len(curve) for curve in curves):
        return None
    whole = np.array([curve if len(curve) else np.ones(HOURS) for curve in curves])
    order = np.argsort(whole.sum(axis=0), kind="stable")
    best, found = 0.0, None
    for count in range(1, HOURS):
        hours = np.sort(order[:count])
        load = whole[:, hours].max(axis=1)
        gain = (count / HOURS - moves()) * float((1.0 - load).sum())
        if gain > best:
            best, found = gain, Nights(count / HOURS, load, tuple(int(hour) for hour in hours))
    return found


@dataclass(frozen=True)
class NightAccelerators:
    """The most that the services leave free for a run at night, at each of its places. most [j, p]."""

    nights: Nights
    most: Floats

    def at(self, places: slice | list[int]) -> NightAccelerators:
        """Those of some places."""
        return NightAccelerators(self.nights, self.most[places])
