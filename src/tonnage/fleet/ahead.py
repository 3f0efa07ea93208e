"""The earliest end of one run with the whole calendar known: exact, period by period.

Within a period the services are the same throughout, so the most accelerators that they can leave free on a place is
one number [j, p]: a linear programme. A run that is at a place does best with all of them (the curve of speed never
falls), and more progress at the same time and place is never worse; so what has to be kept from period to period is,
for each place, the furthest progress. Moves are begun where they can pay: at the start of a period, at the end of a
stage, and so that they end with a period.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tonnage.fleet.allocation import AllocationProblem, ModelRun, RunStage
from tonnage.fleet.draws import Bools
from tonnage.fleet.highs import Ints, LinearProgramme
from tonnage.fleet.nights import NightAccelerators
from tonnage.fleet.uncertain import Floats

TINY = 1e-12


@dataclass(frozen=True)
class FreeAccelerators:
    """The most that the services leave free for a run at each place. most [j, p]; by_lot: what one more accelerator of
    a lot adds to it [j, p, l]; by_need: what one more request/s takes [j, m, p]; night: the same at night.
    """

    most: Floats
    by_lot: Floats
    by_need: Floats
    night: NightAccelerators | None = None


def served_first(problem: AllocationProblem) -> AllocationProblem:
    """The problem with what cannot be served said: services come first, and as little as can be stays unserved."""
    allowed = np.zeros(problem.periods) if problem.unserved is None else problem.unserved
    model, short = _serving(problem, None)
    cost = np.zeros(model.columns_count)
    cost[short.ravel()] = 1.0
    found = model.solve(cost=cost)
    assert found is not None
    least = found.values[short].sum(axis=0) if short.size else np.zeros(problem.periods)
    slack = 1e-9 * problem.need.sum(axis=0)
    return replace(problem, unserved=np.where(least > allowed + slack, least * (1 + 1e-7) + slack, allowed))


def _serving(problem: AllocationProblem, most: Floats | None) -> tuple[LinearProgramme, Ints]:
    """Services alone: columns x [m, l, p], free [l, p], short [m, p]; rows of capacity, need, shortage, power."""
    m, p = problem.need.shape
    lots = problem.capacity.shape[1]
    model = LinearProgramme()
    can = (problem.rate[:, :, None] > 0) & (problem.need[:, None, :] > 0) & (problem.capacity.T[None] > 0)
    x = model.columns(m * lots * p, high=np.where(can, np.inf, 0.0).ravel()).reshape(m, lots, p)
    free = model.columns(lots * p).reshape(lots, p)
    short = model.columns(m * p).reshape(m, p)
    capacity = model.rows(lots * p, high=problem.capacity.T.ravel()).reshape(lots, p)
    need = model.rows(m * p, low=problem.need.ravel()).reshape(m, p)
    model.cells(np.broadcast_to(capacity, x.shape), x, can.astype(float))
    model.cells(capacity, free, 1.0)
    model.cells(np.broadcast_to(need[:, None, :], x.shape), x, np.where(can, problem.rate[:, :, None], 0.0))
    model.cells(need, short, 1.0)
    if most is not None and m:
        bound = model.rows(p, high=most)
        model.cells(np.broadcast_to(bound, short.shape), short, 1.0)
    if problem.power is not None and problem.most_power is not None:
        watts = model.rows(p, high=problem.most_power)
        model.cells(np.broadcast_to(watts, x.shape), x, problem.power[None, :, None])
        model.cells(np.broadcast_to(watts, free.shape), free, problem.power[:, None])
    return model, short


def free_accelerators(problem: AllocationProblem) -> tuple[FreeAccelerators, ...]:
    """The most that a run finds free at each of its places, for each run by itself. Shortages must be said already."""
    if problem.unserved is None:
        problem = served_first(problem)
    model, _ = _serving(problem, problem.unserved)
    m, p = problem.need.shape
    lots = problem.capacity.shape[1]
    known: dict[bytes, tuple[Floats, Floats, Floats]] = {}
    nightly: dict[bytes, Floats] = {}

    def at_night(which: Bools) -> Floats:
        if which.tobytes() not in nightly:
            nightly[which.tobytes()] = _free_at_night(model, problem, which)
        return nightly[which.tobytes()]

    made = []
    for run in problem.runs:
        found = []
        for place in run.places:
            key = place.lots.tobytes()
            if key not in known:
                known[key] = _free(model, place.lots, m, lots, p)
            found.append(known[key])
        if not found:
            made.append(FreeAccelerators(np.zeros((0, p)), np.zeros((0, p, lots)), np.zeros((0, m, p))))
            continue
        most, by_lot, by_need = (np.stack([part[i] for part in found]) for i in range(3))
        opened = np.array([[p0 >= place.opens for p0 in range(p)] for place in run.places])
        night = None
        if problem.nights is not None:
            dark = np.stack([at_night(place.lots) for place in run.places])
            night = NightAccelerators(problem.nights, np.where(opened, np.maximum(dark, most), 0.0))
        made.append(FreeAccelerators(np.where(opened, most, 0.0), by_lot, by_need, night))
    return tuple(made)


def _free(model: LinearProgramme, which: Bools, m: int, lots: int, p: int) -> tuple[Floats, Floats, Floats]:
    cost = np.zeros(model.columns_count)
    free = np.arange(m * lots * p, m * lots * p + lots * p).reshape(lots, p)
    cost[free[which].ravel()] = -1.0
    found = model.solve(cost=cost)
    if found is None:
        raise RuntimeError("the services cannot be served with the shortage that is allowed")
    most = np.maximum(found.values[free][which].sum(axis=0), 0.0)
    by_lot = np.maximum(-found.duals[: lots * p].reshape(lots, p), 0.0).T
    by_need = np.maximum(found.duals[lots * p : lots * p + m * p].reshape(m, p), 0.0)
    return most, by_lot, by_need


def _free_at_night(model: LinearProgramme, problem: AllocationProblem, which: Bools) -> Floats:
    """The most accelerators of some lots that are free at night: those that no service holds, and those it leaves."""
    assert problem.nights is not None
    m, p = problem.need.shape
    lots = problem.capacity.shape[1]
    cost = np.zeros(model.columns_count)
    held = np.arange(m * lots * p).reshape(m, lots, p)
    free = m * lots * p + np.arange(lots * p).reshape(lots, p)
    left = 1.0 - problem.nights.load
    cost[held[:, which].ravel()] = np.repeat(-left, int(which.sum()) * p)
    cost[free[which].ravel()] = -1.0
    found = model.solve(cost=cost)
    assert found is not None
    used = np.einsum("mlp,m->p", found.values[held[:, which]], left) if m else 0.0
    return np.asarray(np.maximum(found.values[free][which].sum(axis=0) + used, 0.0))


# one run


@dataclass(frozen=True)
class Leg:
    """A run at a place in a stage, from `start` to `end` [periods]."""

    place: int
    stage: int
    start: float
    end: float


@dataclass(frozen=True)
class RunPath:
    """The earliest end of a run [periods], infinite if there is none; its legs; first: the earliest end of each stage,
    taken by itself.
    """

    end: float
    legs: tuple[Leg, ...]
    first: tuple[float, ...]


@dataclass(frozen=True)
class _Label:
    at: float
    place: int
    stage: int
    left: float
    room: float = math.inf
    legs: tuple[object, ...] | None = None

    def behind(self, other: _Label) -> bool:
        """Whether another at the same place is as early and as far."""
        further = (other.stage, -other.left) >= (self.stage, -self.left - TINY)
        return other.at <= self.at + TINY and further and other.room >= self.room - TINY


def stage_speed(stage: RunStage, place: int, free: Floats, night: NightAccelerators | None) -> Floats:
    """Work of a stage a period at a place with what is free there by day and at night [p]."""
    day = stage.speed(place, free)
    if night is None or stage.timed:
        return day
    return night.nights.pace(day, stage.speed(place, night.most[place]))


def speeds(run: ModelRun, free: Floats, night: NightAccelerators | None = None) -> Floats:
    """Work of each stage a period at each place with what is free [s, j, p]."""
    periods = np.arange(free.shape[1])
    opened = [(periods >= place.opens).astype(np.float64) for place in run.places]
    rows = [[stage_speed(stage, j, free[j], night) * opened[j] for j in range(len(run.places))] for stage in run.stages]
    return np.array(rows).reshape(len(run.stages), len(run.places), free.shape[1])


def earliest_end(run: ModelRun, free: Floats, night: NightAccelerators | None = None) -> RunPath:
    """The earliest end of a run that has [j, p] accelerators free, and at night as many as `night` says."""
    speed = speeds(run, free, night)
    periods = free.shape[1]
    if not run.stages:
        return RunPath(run.begins, (), ())
    amounts = tuple(stage.amount for stage in run.stages)
    best: list[_Label] = []
    first = [math.inf] * len(amounts)
    waiting = [_arrived(run, _Label(run.begins, j, 0, amounts[0]), j) for j in range(len(run.places))]
    for p in range(int(run.begins), periods):
        waiting = _period(run, speed, amounts, waiting, p, first, best)
        if best:
            break
    if not best:
        return RunPath(math.inf, (), tuple(first))
    done = min(best, key=lambda label: label.at)
    return RunPath(done.at, _legs(done), tuple(first))


def _period(
    run: ModelRun,
    speed: Floats,
    amounts: tuple[float, ...],
    labels: list[_Label],
    p: int,
    first: list[float],
    best: list[_Label],
) -> list[_Label]:
    """The labels after period p, those that arrive within it gone on with. Runs that end are added to `best`."""
    seen: dict[int, list[_Label]] = {}
    after: list[_Label] = []
    queue = sorted(labels, key=_rank, reverse=True)
    while queue:
        label = queue.pop()
        label = replace(label, at=max(label.at, float(p)))
        known = seen.setdefault(label.place, [])
        if any(label.behind(other) for other in known):
            continue
        known.append(label)
        for found in _within(run, speed, amounts, label, p, first):
            if found.stage == len(amounts):
                best.append(found)
            elif found.at >= p + 1:
                after.append(found)
            else:
                queue.append(found)
        queue.sort(key=_rank, reverse=True)
    return _pruned(after)


def _rank(label: _Label) -> tuple[float, int, float]:
    return label.at, -label.stage, label.left


def _pruned(labels: list[_Label]) -> list[_Label]:
    """Labels that no other at the same place beats. Of two on a place on which the run fails, the one that is further
    is given the room of the other: no later than exact, and one label is enough.
    """
    front: dict[int, list[_Label]] = {}
    for label in sorted(labels, key=_rank):
        kept = front.setdefault(label.place, [])
        ahead = next((i for i, other in enumerate(kept) if replace(label, room=0.0).behind(other)), None)
        if ahead is None:
            kept.append(label)
        elif label.room > kept[ahead].room:
            kept[ahead] = replace(kept[ahead], room=label.room)
    return [label for kept in front.values() for label in kept]


def _within(
    run: ModelRun, speed: Floats, amounts: tuple[float, ...], label: _Label, p: int, first: list[float]
) -> Iterator[_Label]:
    """What a label comes to by the end of period p where it is, or its end before; and every move that may pay."""
    others = [j for j in range(len(run.places)) if j != label.place and math.isfinite(run.move[label.place, j])]
    lost = [float(run.move[label.place, j]) for j in others]
    stops = sorted({p + math.ceil(part) - part for part in lost if part % 1} | {p + 1.0})
    while label.at < p + 1:
        for j, part in zip(others, lost, strict=True):
            yield _arrived(run, replace(label, at=label.at + part), j)
        before = label.stage
        label = _run_on(speed, amounts, label, p, next(stop for stop in stops if stop > label.at))
        if label.stage > before:
            first[before] = min(first[before], label.at)
            if label.stage == len(amounts):
                break
    yield label


def _arrived(run: ModelRun, label: _Label, place: int) -> _Label:
    """The label at another place."""
    fails = run.places[place].fails
    return replace(label, place=place, room=label.left * fails if math.isfinite(fails) else math.inf)


def _run_on(speed: Floats, amounts: tuple[float, ...], label: _Label, p: int, stop: float) -> _Label:
    """The label at `stop`, or at the end of its stage if that is sooner."""
    pace = float(speed[label.stage, label.place, p])
    needed = 0.0 if label.left <= 0 else label.left / pace if pace > 0 else math.inf
    if math.isfinite(label.room):
        done = min(pace * (stop - label.at), label.room)
        label = replace(label, left=label.left - done, room=label.room - done)
        return replace(label, at=stop, legs=_noted(label, stop, pace))
    if label.at + needed <= stop:
        end, stage = label.at + needed, label.stage + 1
        left = amounts[stage] if stage < len(amounts) else 0.0
        return _Label(end, label.place, stage, left, math.inf, _noted(label, end))
    return replace(label, at=stop, left=label.left - pace * (stop - label.at), legs=_noted(label, stop, pace))


def _noted(label: _Label, end: float, pace: float = 1.0) -> tuple[object, ...] | None:
    return (label.legs, Leg(label.place, label.stage, label.at, end)) if end > label.at and pace > 0 else label.legs


def _legs(label: _Label) -> tuple[Leg, ...]:
    """Legs in order, those that go on joined."""
    found: list[Leg] = []
    node = label.legs
    while node is not None:
        before, leg = node
        assert isinstance(leg, Leg)
        last = found[-1] if found else None
        if last and (last.place, last.stage) == (leg.place, leg.stage) and last.start == leg.end:
            found[-1] = replace(last, start=leg.start)
        else:
            found.append(leg)
        node = before  # type: ignore[assignment]
    return tuple(reversed(found))
