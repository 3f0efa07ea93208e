"""The best allocation over time: a mixed-integer programme over periods x lots x uses, solved by HiGHS.

`earliest` finds the earliest end of every run (the last one counts first), `least_cost` the cheapest way to be done
by a date, `most_served` the way that serves most, `cheapest_growth` what would have to be added. The formulation is in
docs/method/launch.md, "The best plan". One run is solved by `ahead.py`, exactly and without integers; this programme
then only has to find what it costs. For several runs `ahead.py` gives the bounds.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from tonnage.fleet.ahead import (
    FreeAccelerators,
    RunPath,
    earliest_end,
    free_accelerators,
    served_first,
    stage_speed,
)
from tonnage.fleet.allocation import Allocation, AllocationProblem, ModelRun, RunStage
from tonnage.fleet.draws import Bools
from tonnage.fleet.highs import GAP, Ints, LinearProgramme, Solved
from tonnage.fleet.nights import NightAccelerators
from tonnage.fleet.uncertain import Floats

AFTER = 1e-5
"""Periods that a deadline is put off by, so that a run that just meets it does in floating point too."""


@dataclass(frozen=True)
class Prepared:
    """A problem whose shortages are said, with what is free for each run and the earliest end of each by itself."""

    problem: AllocationProblem
    free: tuple[FreeAccelerators, ...]
    paths: tuple[RunPath, ...]

    @cached_property
    def by_place(self) -> tuple[tuple[RunPath, ...], ...]:
        """The earliest end of each run that stays at one place; for runs that can move, that of the run anywhere."""
        made = []
        for run, free, path in zip(self.problem.runs, self.free, self.paths, strict=True):
            stays = not np.isfinite(run.move[~np.eye(len(run.places), dtype=bool)]).any()
            places = range(len(run.places))
            dark = [None if free.night is None else free.night.at([j]) for j in places]
            alone = [earliest_end(_at(run, j), free.most[[j]], dark[j]) if stays else path for j in places]
            made.append(tuple(alone))
        return tuple(made)


def _at(run: ModelRun, place: int) -> ModelRun:
    """A run with one of its places."""
    stages = tuple(
        replace(
            stage,
            curves=stage.curves[place : place + 1],
            holds=stage.holds[place : place + 1],
            pace=stage.pace[place : place + 1],
        )
        for stage in run.stages
    )
    return replace(run, places=(run.places[place],), stages=stages, move=np.zeros((1, 1)))


def prepare(problem: AllocationProblem, free: tuple[FreeAccelerators, ...] | None = None) -> Prepared:
    """What every question needs; free: if it is known, and with it what may stay unserved."""
    said = problem if free is not None else served_first(problem)
    free = free_accelerators(said) if free is None else free
    paths = tuple(earliest_end(run, f.most, f.night) for run, f in zip(said.runs, free, strict=True))
    return Prepared(said, free, paths)


def earliest(ready: Prepared) -> tuple[float, ...] | None:
    """The earliest ends of all runs together [periods]: of the last one first, then of the others. None if some run
    has none. A budget is kept if there is one.
    """
    if any(not math.isfinite(path.end) for path in ready.paths):
        return None
    alone = tuple(path.end for path in ready.paths)
    if len(alone) <= 1 and math.isinf(ready.problem.budget):
        return alone
    if _can(ready, alone):
        return alone
    by = _in_turn(ready)
    if not _can(ready, tuple(by)):
        by = [float(ready.problem.periods)] * len(by)
        if not _can(ready, tuple(by)):
            return None
    for k in reversed(range(len(by))):
        by[k] = _soonest(ready, by, k)
    return tuple(by)


def _can(ready: Prepared, by: tuple[float, ...]) -> bool:
    """Whether every run can be done by its date."""
    return _Programme(ready, by).solve() is not None


def _soonest(ready: Prepared, by: list[float], k: int) -> float:
    """The earliest end of run k with those of the others given: its week by halving, then the time within it."""
    low, high = math.floor(ready.paths[k].end), math.ceil(by[k] - AFTER) - 1
    while low < high:
        middle = (low + high) // 2
        fits = _can(ready, (*by[:k], middle + 1.0, *by[k + 1 :]))
        low, high = (low, middle) if fits else (middle + 1, high)
    built = _Programme(ready, (*by[:k], min(by[k], high + 1.0), *by[k + 1 :]), floating=True)
    built.cost(built.ends[[k]], 1.0)
    found = built.solve(GAP / 10)
    return by[k] if found is None else min(by[k], float(found.values[built.ends[k]]) + AFTER)


def _after(run: ModelRun, place: int, stage: int, free: FreeAccelerators) -> float:
    """The least time of the stages after one, at a place or, of a run that can move, anywhere: no time."""
    there, night = free.most[place], free.night
    if np.isfinite(run.move[~np.eye(len(run.places), dtype=bool)]).any():
        return 0.0
    later = [(one, stage_speed(one, place, there, night)) for one in run.stages[stage + 1 :]]
    rest = [(one.amount, float(speed.max(initial=0.0))) for one, speed in later]
    return sum(amount / top if top > 0 else math.inf for amount, top in rest)


def _in_turn(ready: Prepared) -> list[float]:
    """Ends of the runs one after another, each with all that is free: never earlier than the best. With a budget, the
    end of the horizon.
    """
    periods = float(ready.problem.periods)
    if math.isfinite(ready.problem.budget):
        return [periods] * len(ready.paths)
    ends: list[float] = []
    for run, free in zip(ready.problem.runs, ready.free, strict=True):
        after = ends[-1] if ends else 0.0
        path = earliest_end(replace(run, begins=max(run.begins, after)), free.most, free.night)
        ends.append(path.end if math.isfinite(path.end) else periods)
    return ends


def least_cost(ready: Prepared, by: tuple[float, ...], until: float | None = None) -> Allocation | None:
    """The cheapest allocation with every run done by its date [periods]; services are paid until the last of them, or
    `until`. None if it cannot be.
    """
    if any(path.end > date + 1e-6 for path, date in zip(ready.paths, by, strict=True)):
        return None
    built = _Programme(ready, by, until=until)
    built.pay()
    found = built.solve()
    return None if found is None else built.read(found)


def most_served(problem: AllocationProblem, by: tuple[float, ...], until: float) -> Allocation | None:
    """The allocation that leaves least unserved until a date, with every run done by its own: services give way."""
    nobody = replace(problem, need=np.zeros_like(problem.need), unserved=np.zeros(problem.periods))
    ready = replace(prepare(nobody), problem=replace(problem, unserved=None))
    built = _Programme(ready, by, until=until, short=True)
    built.cost(built.short.ravel(), 1.0)
    built.pay(1e-6)
    found = built.solve()
    return None if found is None else built.read(found)


def most_demand(problem: AllocationProblem) -> float:
    """The largest multiple of the demand, at most 1, that can be served in every period."""
    built = _Programme(Prepared(replace(problem, runs=(), unserved=None), (), ()), (), multiple=True)
    built.cost(built.multiple, -1.0)
    found = built.solve()
    return 0.0 if found is None else float(found.values[built.multiple][0])


def cheapest_growth(problem: AllocationProblem, by: tuple[float, ...], until: float, grows: Bools) -> Allocation | None:
    """The cheapest accelerators to add for the whole time, at the price of each lot, such that all is served but what
    may stay unserved, and every run done by its date. grows: lots of which there may be more [l].
    """
    free = tuple(FreeAccelerators(np.full((len(r.places), problem.periods), np.inf), *_none()) for r in problem.runs)
    built = _Programme(Prepared(problem, free, ()), by, until=until, grows=grows)
    built.pay(1e-6)
    built.cost(built.extra, problem.priced / (problem.priced.max(initial=0.0) or 1.0))
    found = built.solve()
    return None if found is None else built.read(found)


def _none() -> tuple[Floats, Floats]:
    return np.zeros((0, 0, 0)), np.zeros((0, 0, 0))


@dataclass
class _RunColumns:
    """Columns of a run: share of the period in a stage at a place, share of its work done, accelerators by lot, stage
    complete, work done so far.
    """

    share: Ints
    done: Ints
    held: Ints
    complete: Ints
    total: Ints
    lots: list[Ints] = field(default_factory=list)


class _Programme:
    """The programme of one question. by: the date by which each run is done; floating: as early as can be before it."""

    def __init__(
        self,
        ready: Prepared,
        by: tuple[float, ...],
        *,
        until: float | None = None,
        floating: bool = False,
        short: bool = False,
        multiple: bool = False,
        grows: Bools | None = None,
    ) -> None:
        self.ready, self.by = ready, by
        problem = ready.problem
        self.problem = problem
        self.until = min(float(problem.periods), max([*by, until or 0.0]) or float(problem.periods))
        self.p = max(1, math.ceil(self.until - 1e-6))
        self.m, self.l = problem.rate.shape[0], problem.capacity.shape[1]
        self.unit = float(problem.capacity.max(initial=0.0)) or 1.0
        self.model = LinearProgramme()
        self.weight = np.ones(self.p)
        self.weight[-1] = min(1.0, self.until - (self.p - 1))
        self._costs: dict[int, float] = {}
        self.multiple = self.model.columns(1, low=0.0 if multiple else 1.0, high=1.0)
        self._services(short)
        self._lots(grows)
        self.nightly: list[tuple[Bools, Ints, Floats]] = []
        self.runs: list[_RunColumns] = []
        for k, run in enumerate(problem.runs):
            self.runs.append(self._run(k, run, floating))
        self._limits()
        self._nights()

    # columns and rows

    def _services(self, may_be_short: bool) -> None:
        m, lots, p, problem = self.m, self.l, self.p, self.problem
        can = (problem.rate[:, :, None] > 0) & (problem.need[:, None, :p] > 0)
        top = np.where(can, np.inf, 0.0).ravel()
        self.x = self.model.columns(m * lots * p, high=top).reshape(m, lots, p)
        self.scale = np.maximum(problem.need[:, :p].max(axis=1, initial=0.0), 1e-12)
        most = np.zeros(p) if problem.unserved is None else problem.unserved[:p]
        high = np.where((most > 0)[None, :] | may_be_short, problem.need[:, :p] / self.scale[:, None], 0.0)
        self.short = self.model.columns(m * p, high=high.ravel()).reshape(m, p)
        low = problem.need[:, :p] / self.scale[:, None]
        rows = self.model.rows(m * p, low=0.0).reshape(m, p)
        self.model.cells(rows, self.multiple[0], -low)
        rate = problem.rate[:, :, None] * self.unit / self.scale[:, None, None]
        self.model.cells(np.broadcast_to(rows[:, None, :], self.x.shape), self.x, np.where(can, rate, 0.0))
        self.model.cells(rows, self.short, 1.0)
        if most.any() and not may_be_short:
            limit = self.model.rows(p, high=most / self.scale.sum())
            part = (self.scale / self.scale.sum())[:, None]
            self.model.cells(np.broadcast_to(limit, self.short.shape), self.short, part)

    def _lots(self, grows: Bools | None) -> None:
        high = self.problem.capacity.T[:, : self.p] / self.unit
        self.capacity = self.model.rows(self.l * self.p, high=high.ravel()).reshape(self.l, self.p)
        self.model.cells(np.broadcast_to(self.capacity, self.x.shape), self.x, 1.0)
        top = np.zeros(self.l) if grows is None else np.where(grows, np.inf, 0.0)
        self.extra = self.model.columns(self.l, high=top)
        self.model.cells(self.capacity, self.extra[:, None], -1.0)
        self.ends = self.model.columns(len(self.problem.runs), high=max(self.by, default=0.0))

    def _run(self, k: int, run: ModelRun, floating: bool) -> _RunColumns:
        free = self.ready.free[k].most[:, : self.p]
        s, j, p, model = len(run.stages), len(run.places), self.p, self.model
        last = max(0, min(p - 1, math.ceil(self.by[k] + AFTER) - 1))
        opened = self._opened(k, run, free, last)
        share = model.columns(s * j * p, high=opened.astype(float).ravel()).reshape(s, j, p)
        done = model.columns(s * j * p, high=opened.astype(float).ravel()).reshape(s, j, p)
        lots = [np.flatnonzero(place.lots) for place in run.places]
        held = model.columns(s * sum(map(len, lots)) * p).reshape(s, -1, p)
        complete = self._complete(k, run, last)
        total = model.columns(s * p, high=1.0).reshape(s, p)
        made = _RunColumns(share, done, held, complete, total, lots)
        self._sizes(run, made, free, opened, self._night(k))
        self._progress(made)
        self._clock(k, run, made, last, floating)
        self._whereabouts(run, made, len(self._visited(k, run)))
        return made

    def _opened(self, k: int, run: ModelRun, free: Floats, last: int) -> Bools:
        """Whether a stage may run at a place in a period [s, j, p]: not before the one before it can be done there, and
        not when what follows would be too late.
        """
        made = np.zeros((len(run.stages), len(run.places), self.p), dtype=bool)
        when = np.arange(self.p)
        for (s, stage), (j, place) in itertools.product(enumerate(run.stages), enumerate(run.places)):
            inside = (when >= place.opens) & math.isinf(place.fails) & (when >= int(run.begins)) & (when <= last)
            able = stage_speed(stage, j, np.minimum(free[j], 1e12), self._night(k)) > 0
            made[s, j] = inside & (stage.timed | able)
            if self.ready.paths:
                made[s, j] &= j in self._visited(k, run)
                path = self.ready.by_place[k][j]
                begin = path.first[s - 1] if s else 0.0
                latest = self.by[k] - _after(run, j, s, self.ready.free[k])
                made[s, j] &= (path.end <= self.by[k] + 1e-6) & (when + 1 > begin) & (when < latest + 1e-6)
        return made

    def _night(self, k: int) -> NightAccelerators | None:
        """What is free for a run at night in the periods that are looked at."""
        night = self.ready.free[k].night
        return None if night is None else NightAccelerators(night.nights, night.most[:, : self.p])

    def _visited(self, k: int, run: ModelRun) -> set[int]:
        """Places that a run is given: of one that can move those of its earliest path, else all."""
        legs = self.ready.paths[k].legs if self.ready.paths else ()
        moves = np.isfinite(run.move[~np.eye(len(run.places), dtype=bool)]).any()
        return {leg.place for leg in legs} if moves and legs else set(range(len(run.places)))

    def _complete(self, k: int, run: ModelRun, last: int) -> Ints:
        """Whether each stage is complete by the end of a period: not before it can be, and the last in time."""
        s, p = len(run.stages), self.p
        low, high = np.zeros((s, p)), np.ones((s, p))
        if self.ready.paths:
            for stage, first in enumerate(self.ready.paths[k].first):
                high[stage, : min(p, max(0, math.ceil(first - 1e-6) - 1))] = 0.0
        low[:, last:] = 1.0
        columns = self.model.columns(s * p, low=low.ravel(), high=high.ravel(), whole=True).reshape(s, p)
        rows = self.model.rows(s * (p - 1), low=0.0).reshape(s, p - 1)
        self.model.cells(rows, columns[:, 1:], 1.0)
        self.model.cells(rows, columns[:, :-1], -1.0)
        return columns

    def _sizes(
        self, run: ModelRun, made: _RunColumns, free: Floats, opened: Bools, night: NightAccelerators | None
    ) -> None:
        """Accelerators held, within what is free in the share of the period; work within the curve of speed."""
        at = np.cumsum([0, *(len(lots) for lots in made.lots)])
        for j, lots in enumerate(made.lots):
            held = made.held[:, at[j] : at[j + 1], :]
            for row, lot in enumerate(lots):
                self.model.cells(np.broadcast_to(self.capacity[lot], held[:, row].shape), held[:, row], 1.0)
            for s, stage in enumerate(run.stages):
                when = np.flatnonzero(opened[s, j])
                work = self._size(stage, s, j, made, held[s], free[j], when)
                if night is not None and work is not None:
                    self._by_night(stage, j, made.share[s, j], held[s], free[j], night, work)

    def _by_night(
        self,
        stage: RunStage,
        j: int,
        share: Ints,
        held: Ints,
        free: Floats,
        night: NightAccelerators,
        work: tuple[Ints, Ints],
    ) -> None:
        """Nights are taken in a part of the time of a stage in which it has all that is free for it by day. work: rows
        of its work, and the period of each.
        """
        rows, at = work
        model, top = self.model, float(stage.curves[j].sizes[-1]) if stage.curves[j].sizes.size else 0.0
        more = stage_speed(stage, j, free, night) - stage.speed(j, free)
        taken = model.columns(self.p, high=(more > 0).astype(float))
        model.cells(rows, taken[at], -more[at] / max(stage.amount, 1e-300))
        within = model.rows(2 * self.p, high=0.0).reshape(2, -1)
        model.cells(within, taken, np.stack([np.ones(self.p), np.minimum(free, top) / self.unit]))
        model.cells(within[0], share, -1.0)
        model.cells(np.broadcast_to(within[1], held.shape), held, -1.0)
        lots = self.problem.runs[len(self.runs)].places[j].lots
        extra = np.minimum(night.most[j], top) - np.minimum(free, top)
        self.nightly.append((lots, taken, np.maximum(extra, 0.0)))

    def _nights(self) -> None:
        """What runs take at night is there beside what others hold and services need then, on each place."""
        nights = self.problem.nights
        if nights is None:
            return
        for lots in {lots.tobytes(): lots for lots, _, _ in self.nightly}.values():
            rows = self.model.rows(self.p, high=self.problem.capacity[: self.p, lots].sum(axis=1) / self.unit)
            used = self.x[:, lots]
            self.model.cells(np.broadcast_to(rows, used.shape), used, nights.load[:, None, None])
            for column, lot, _ in self._uses()[self.l :]:
                if lots[lot]:
                    self.model.cells(np.broadcast_to(rows, column.shape), column, 1.0)
            for other, taken, extra in self.nightly:
                if (other & lots).any():
                    self.model.cells(rows, taken, extra / self.unit)

    def _size(
        self, stage: RunStage, s: int, j: int, made: _RunColumns, held: Ints, free: Floats, when: Ints
    ) -> tuple[Ints, Ints] | None:
        """The rows of the work, with the period of each; none of a stage that takes its time."""
        model, share, done = self.model, made.share[s, j], made.done[s, j]
        closed = np.setdiff1d(np.arange(self.p), when)
        if closed.size:
            rows = model.rows(closed.size, high=0.0)
            model.cells(np.broadcast_to(rows, held[:, closed].shape), held[:, closed], 1.0)
        inside = when[np.isfinite(free[when])]
        rows = model.rows(inside.size, high=0.0)
        model.cells(np.broadcast_to(rows, held[:, inside].shape), held[:, inside], 1.0)
        model.cells(rows, share[inside], -free[inside] / self.unit)
        if stage.timed:
            self._timed(stage, j, share, done, held, free, when)
            return None
        known: dict[float, tuple[Floats, Floats]] = {}
        cells: list[tuple[int, float, float]] = []
        top = float(stage.curves[j].sizes[-1]) if stage.curves[j].sizes.size else 0.0
        for p in when:
            most = min(float(free[p]), top)
            if most not in known:
                known[most] = stage.curves[j].lines(most)
            cells += [(int(p), float(a), float(b)) for a, b in zip(*known[most], strict=True)]
        rows = model.rows(len(cells), high=0.0)
        at = np.array([cell[0] for cell in cells], dtype=int)
        a, b = (np.array([cell[i] for cell in cells]) / max(stage.amount, 1e-300) for i in (1, 2))
        model.cells(rows, done[at], 1.0)
        model.cells(np.broadcast_to(rows, held[:, at].shape), held[:, at], -a * self.unit)
        model.cells(rows, share[at], -b)
        return rows, at

    def _timed(self, stage: RunStage, j: int, share: Ints, done: Ints, held: Ints, free: Floats, when: Ints) -> None:
        rows = self.model.rows(2 * when.size, high=0.0).reshape(2, -1)
        self.model.cells(rows[0], done[when], max(stage.amount, 1e-12))
        self.model.cells(rows[0], share[when], -(stage.pace[j] if stage.pace else 1.0))
        holds = np.minimum(stage.holds[j] if stage.holds else 0.0, free[when]) / self.unit
        self.model.cells(rows[1], share[when], holds)
        self.model.cells(np.broadcast_to(rows[1], held[:, when].shape), held[:, when], -1.0)

    def _progress(self, made: _RunColumns) -> None:
        """Work done so far; a stage is complete with all of it; the next may begin in the period of the end of one."""
        s, _, p = made.share.shape
        model = self.model
        rows = model.rows(s * p, low=0.0, high=0.0).reshape(s, p)
        model.cells(rows, made.total, 1.0)
        model.cells(rows[:, 1:], made.total[:, :-1], -1.0)
        model.cells(np.broadcast_to(rows[:, None, :], made.done.shape), made.done, -1.0)
        full = model.rows(s * p, low=0.0).reshape(s, p)
        model.cells(full, made.total, 1.0)
        model.cells(full, made.complete, -1.0)
        if s > 1:
            after = model.rows((s - 1) * p, high=0.0).reshape(s - 1, p)
            model.cells(np.broadcast_to(after[:, None, :], made.share[1:].shape), made.share[1:], 1.0)
            model.cells(after, made.complete[:-1], -1.0)

    def _clock(self, k: int, run: ModelRun, made: _RunColumns, last: int, floating: bool) -> None:
        """At most a whole period in each, less before the run begins and after its date; when it ends, if asked."""
        p, model = self.p, self.model
        high = np.ones(p)
        high[last] = min(1.0, self.by[k] + AFTER - last)
        if int(run.begins) < p:
            high[int(run.begins)] = min(high[int(run.begins)], 1.0 - run.begins % 1)
        self.time = model.rows(p, high=high)
        model.cells(np.broadcast_to(self.time, made.share.shape), made.share, 1.0)
        if floating:
            ends = model.rows(p, low=np.arange(p, dtype=float))
            model.cells(ends, self.ends[k], 1.0)
            model.cells(np.broadcast_to(ends, made.share.shape), made.share, -1.0)
            model.cells(ends[1:], made.complete[-1, :-1], np.arange(1, p, dtype=float))

    def _whereabouts(self, run: ModelRun, made: _RunColumns, visited: int) -> None:
        """One place at a time; a move costs its time (at most a period is counted)."""
        j, p, model = len(run.places), self.p, self.model
        if visited == 1:
            return
        off = run.move[~np.eye(j, dtype=bool)]
        if np.isinf(off).all():
            at = model.columns(j, high=1.0, whole=True)
            model.cells(model.rows(1, low=1.0, high=1.0), at, 1.0)
            rows = model.rows(j * p, high=0.0).reshape(j, p)
            model.cells(np.broadcast_to(rows, made.share.shape), made.share, 1.0)
            model.cells(rows, at[:, None], -1.0)
            return
        at = model.columns(j * p, high=1.0, whole=True).reshape(j, p)
        model.cells(np.broadcast_to(model.rows(p, low=1.0, high=1.0), at.shape), at, 1.0)
        rows = model.rows(j * p, high=0.0).reshape(j, p)
        model.cells(np.broadcast_to(rows, made.share.shape), made.share, 1.0)
        model.cells(rows, at, -1.0)
        model.cells(rows[:, 1:], at[:, :-1], -1.0)
        came = model.columns(j * (p - 1), high=1.0).reshape(j, p - 1)
        moved = model.rows(j * (p - 1), low=0.0).reshape(j, p - 1)
        for column, sign in ((came, 1.0), (at[:, 1:], -1.0), (at[:, :-1], 1.0)):
            model.cells(moved, column, sign)
        away = np.where(np.eye(j, dtype=bool), np.inf, run.move).min(axis=0)
        lost = np.minimum(np.where(np.isfinite(away), away, 1.0), 1.0)
        before = model.columns(p - 1)
        spent = model.rows(p - 1, high=0.0)
        model.cells(np.broadcast_to(spent, came.shape), came, lost[:, None])
        model.cells(spent, before, -1.0)
        model.cells(self.time[:-1], before, 1.0)
        later = model.columns(p - 1)
        model.cells(spent, later, -1.0)
        model.cells(self.time[1:], later, 1.0)

    def _limits(self) -> None:
        problem = self.problem
        if problem.power is not None and problem.most_power is not None:
            rows = self.model.rows(self.p, high=problem.most_power[: self.p] / problem.power.max() / self.unit)
            for column, lot, _ in self._uses():
                self.model.cells(np.broadcast_to(rows, column.shape), column, problem.power[lot] / problem.power.max())
        if math.isfinite(problem.budget):
            row = self.model.rows(1, high=1.0)
            for column, lot, _ in self._uses()[self.l :]:
                cost = problem.priced[lot] * self.unit / problem.budget
                self.model.cells(row, column, np.broadcast_to(cost, column.shape))

    def _uses(self) -> list[tuple[Ints, int, Floats]]:
        """Columns of accelerators in use, periods last, their lot, and the share of each period that is paid."""
        found = [(self.x[:, lot, :], lot, self.weight) for lot in range(self.l)]
        for made in self.runs:
            order = [int(lot) for lots in made.lots for lot in lots]
            found += [(made.held[:, row, :], lot, np.ones(self.p)) for row, lot in enumerate(order)]
        return found

    # objectives

    def cost(self, columns: Ints, values: object) -> None:
        """Add to the objective."""
        for column, value in zip(columns, np.broadcast_to(np.asarray(values, dtype=float), columns.shape), strict=True):
            self._costs[int(column)] = self._costs.get(int(column), 0.0) + float(value)

    def pay(self, share: float = 1.0) -> None:
        """Add what is paid to the objective, in periods of all of the dearest lot."""
        price = self.problem.priced / (self.problem.priced.max(initial=0.0) or 1.0) * share
        for column, lot, weight in self._uses():
            self.cost(column.ravel(), np.broadcast_to(price[lot] * weight, column.shape).ravel())

    def solve(self, gap: float = GAP) -> Solved | None:
        """The optimum."""
        cost = np.zeros(self.model.columns_count)
        cost[list(self._costs)] = list(self._costs.values())
        return self.model.solve(gap=gap, cost=cost)

    # the answer

    def read(self, found: Solved) -> Allocation:
        """The allocation; accelerators are averages over periods."""
        problem, value = self.problem, found.values
        serving = value[self.x] * self.unit
        training = np.zeros((len(self.runs), self.l, self.p))
        for k, made in enumerate(self.runs):
            order = [int(lot) for lots in made.lots for lot in lots]
            for row, lot in enumerate(order):
                training[k, lot] += value[made.held[:, row, :]].sum(axis=0) * self.unit
        price = problem.priced
        return Allocation(
            trained=tuple(self._ended(value, made) for made in self.runs),
            serving=serving,
            training=training,
            stages=tuple(value[made.share] for made in self.runs),
            extra=value[self.extra] * self.unit,
            short=value[self.short] * self.scale[:, None],
            training_cost=float((training.sum(axis=(0, 2)) * price).sum()),
            service_cost=float(((serving * self.weight).sum(axis=(0, 2)) * price).sum()),
        )

    def _ended(self, value: Floats, made: _RunColumns) -> float:
        if not made.share.size:
            return 0.0
        busy = value[made.share].sum(axis=(0, 1))
        used = np.flatnonzero(busy > 1e-9)
        return float(used[-1] + busy[used[-1]]) if used.size else 0.0
