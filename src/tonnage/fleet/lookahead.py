"""When a run would be done on a place, as far as is known: the look ahead by which the policy chooses among places.

A deterministic projection: the accelerators of the place are those that are known or expected (`outlook`), services
leave the share of them that they leave now, grown on; the run stays there with all of that. How fast it really is there
is known once it has worked there; before, the prediction counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tonnage.fleet.allocate import TINY
from tonnage.fleet.draws import PERIOD, Bools, World
from tonnage.fleet.outlook import Index
from tonnage.fleet.projects import Project
from tonnage.fleet.uncertain import Floats

GONE = 4
"""Periods for which a place has no accelerators before a run that has begun leaves it."""


@dataclass(frozen=True)
class Todo:
    """What is before a run: its stage, what is left of it [d], amounts of all [s, d], attempts (the first at
    each place) where it has worked [a, d].
    """

    stage: np.ndarray
    left: Floats
    amounts: Floats
    seen: Bools


@dataclass(frozen=True)
class Ahead:
    """Seconds until what is left of the stages would be done on a place, and whether it has accelerators within a while
    [r].
    """

    ends: Floats
    soon: Bools


@dataclass(frozen=True)
class _Path:
    """rows: of the draws that are asked for; done: work by the end of each period if a run had all of the place, in
    seconds of its longest stage at the predicted speed of one accelerator [r or 1, p]; ratio: how much of that a unit
    of each stage is [s, r or 1]; enough: periods with enough accelerators [r or 1, p].
    """

    rows: Index
    done: Floats
    ratio: Floats
    enough: Bools
    there: Floats


class Lookahead:
    """The places of one project. taken: growth of the share that services take until it is looked ahead [d]."""

    def __init__(self, world: World, project: Project, taken: Floats) -> None:
        self.world, self.project, self.taken = world, project, taken
        self._whole = world.whole
        self._known: dict[tuple[int, tuple[int, ...]], _Path] = {}
        self._against: dict[int, Floats] = {}

    def news(self) -> Bools:
        """Periods in which something becomes known [d, p]; with everything known, those in which a lot begins."""
        if self.world.outlook is not None:
            return self.world.outlook.news(self._whole.shape[1])
        some = self._whole > 0
        return np.asarray(np.diff(some, axis=1, prepend=some[:, :1]).any(axis=2))

    def on(self, a: int, period: int, at: Index, free: Floats, todo: Todo) -> Ahead:
        """An attempt in the draws `at`, from a period on; free: accelerators of its place now [r]."""
        ends, soon = np.full(len(at), np.inf), np.zeros(len(at), dtype=bool)
        pace = self._pace(a, at, todo)
        for path in self._paths(a, period, at):
            rows = path.rows
            ends[rows] = self._ends(path, period, at[rows], free[rows], pace[rows], todo)
            last = path.enough.shape[1] - 1
            soon[rows] = path.enough[:, min(period, last) : period + GONE].any(axis=1)
        return Ahead(ends, soon)

    def _pace(self, a: int, at: Index, todo: Todo) -> Floats:
        """What a run does on a place of what is predicted for it, as far as is known [r]."""
        place = self.project.attempts[a]
        real = self._real(a)[at] / place.slip[at]
        if place.hoped is None:
            return np.asarray(real * np.ones(len(at)))
        return np.asarray(np.where(todo.seen[a, at], real, 1.0 / place.hoped))

    def _real(self, a: int) -> Floats:
        """What each draw thinks of the speed of the largest run that the place ever has [d]."""
        if a not in self._against:
            place = self.project.attempts[a]
            run = next((speed for speed in place.speeds if speed.kind != "pause"), None)
            most = np.minimum(self._whole[:, :, place.lots].sum(axis=2), self._limit(a)).max(axis=1)
            self._against[a] = np.ones(len(most)) if run is None else run.against_plan(most)
        return self._against[a]

    def _ends(self, path: _Path, period: int, at: Index, free: Floats, pace: Floats, todo: Todo) -> Floats:
        last = path.done.shape[1] - 1
        there = np.broadcast_to(path.there[:, min(period, last)], free.shape)
        busy = self.taken[at] * (1 - np.divide(free, there, out=np.ones_like(free), where=there > 0))
        share = np.maximum(1 - busy, 0.0) * pace
        wanted = np.ones_like(free)
        for s, amount in enumerate(todo.amounts):
            rest = np.where(todo.stage[at] == s, np.maximum(todo.left[at], 0.0), amount[at])
            rest = np.where(todo.stage[at] <= s, rest, 0.0)
            wanted += np.where(rest > 0, rest * np.where(rest > 0, path.ratio[s], 0.0), 0.0)
        start = path.done[:, min(period, last) - 1] if period else np.zeros(1)
        target = np.divide(wanted, share, out=np.full_like(free, np.inf), where=share > 0) + start
        weeks = (path.done[:, min(period, last) :] < target[:, None] - TINY).sum(axis=1).astype(float)
        speed = np.broadcast_to(path.done[:, last] - (path.done[:, last - 1] if last else 0.0), free.shape)
        after = np.divide(target - path.done[:, last], speed, out=np.full_like(free, np.inf), where=speed > 0)
        return np.asarray(np.where(target <= path.done[:, last], weeks, weeks + np.maximum(after, 0.0)) * PERIOD)

    # what is there

    def _paths(self, a: int, period: int, at: Index) -> Iterator[_Path]:
        """The path of an attempt in the draws `at`, in parts: draws in which the same lots of its place have come."""
        outlook, lots = self.world.outlook, self.project.attempts[a].lots
        if outlook is None:
            yield self._of(a, at, np.arange(len(at)), self._kept(a, (), self._whole[:, :, lots].sum(axis=2)))
            return
        columns = outlook.columns(lots)
        come = outlook.come(columns, period, at)
        for pattern in np.unique(come, axis=0):
            rows = np.flatnonzero((come == pattern).all(axis=1))
            if pattern.all():
                law = tuple(outlook.lots[c].law(period) for c in columns)
                everyone = np.arange(self.world.draws)
                if (a, law) not in self._known:
                    self._kept(a, law, outlook.there(self._whole, lots, columns, pattern, period, everyone))
                yield self._of(a, at, rows, self._known[a, law])
            else:
                there = outlook.there(self._whole, lots, columns, pattern, period, at[rows])
                yield self._path(a, rows, there)

    def _kept(self, a: int, law: tuple[int, ...], there: Floats) -> _Path:
        """The path of all draws, made once."""
        if (a, law) not in self._known:
            self._known[a, law] = self._path(a, np.arange(len(there)), there)
        return self._known[a, law]

    @staticmethod
    def _of(a: int, at: Index, rows: Index, whole: _Path) -> _Path:
        """Some draws of it."""
        pick = at[rows]
        return _Path(rows, whole.done[pick], whole.ratio[:, pick], whole.enough[pick], whole.there[pick])

    def _limit(self, a: int) -> float:
        """Most accelerators that a run uses there."""
        return min(self.project.at_most, self.project.attempts[a].limit)

    def _path(self, a: int, rows: Index, there: Floats) -> _Path:
        place = self.project.attempts[a]
        runs = [s for s, speed in enumerate(place.speeds) if speed.kind != "pause"]
        held = np.minimum(there, self._limit(a))
        most = held.max(axis=1)
        main = max(runs, key=lambda s: float(self.project.amounts[s].mean()), default=0)
        full = [place.speeds[s].curve.best(most)[1] if s in runs else most for s in range(len(place.speeds))]
        ratio = np.zeros((len(place.speeds), len(most)))
        for s in runs:
            ratio[s] = np.divide(full[main], full[s], out=np.full_like(most, np.inf), where=full[s] > 0)
        ratio[:, most <= 0] = 1.0
        rate = place.speeds[main].curve.best(held)[1] if runs else (held > 0).astype(float)
        return _Path(rows, np.cumsum(rate, axis=1) * PERIOD, ratio, there >= max(place.least, 1.0), there)
