"""From one draw of a programme to the arrays of the best plan, and from its runs to the launches.

The best plan knows the whole calendar and which runs complete. It is held to what the policy is held to: services come
first, as much of the demand is served in each week, and where the programme says in which order places are tried, a
later place may be used only once those before it, on which the run would complete, have no chips to come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tonnage.fleet.ahead import free_accelerators
from tonnage.fleet.allocate import share
from tonnage.fleet.allocation import AllocationProblem, ModelRun, RunPlace, RunStage, SpeedCurve
from tonnage.fleet.draws import PERIOD, Bools
from tonnage.fleet.forecast import Attempt, Project, StageSpeed, needs
from tonnage.fleet.optimum import Prepared, earliest, prepare
from tonnage.fleet.setting import Play
from tonnage.fleet.uncertain import Floats

POINTS = 24
"""Sizes between the smallest and the largest run at which a curve of speed is taken, a constant factor apart."""

EDGE = 1e-6
"""How long before a change of what is there a launch is looked at, in periods."""


@dataclass(frozen=True)
class CaseOptions:
    """What is left out of a case: order of the places; their names that are not used; models not served; rounds."""

    in_order: bool = True
    without_places: tuple[str, ...] = ()
    without_services: tuple[str, ...] = ()
    without_rounds: bool = False


PLAIN = CaseOptions()


@dataclass(frozen=True)
class BestLaunch:
    """When every model is trained, in periods, and launched at best; infinite if never; and the problem behind it."""

    trained: tuple[float, ...]
    launch: tuple[float, ...]
    ready: Prepared

    @property
    def last(self) -> float:
        """The launch of the last model."""
        return self.launch[-1] if self.launch else 0.0


def best_launch(game: Play, options: CaseOptions = PLAIN) -> BestLaunch:
    """The earliest launches of a play of one draw. Launches of earlier models move demand: that is settled in turns."""
    before = tuple(np.full(1, np.inf) for _ in game.projects)
    for _ in range(max(1, len(game.projects))):
        ready = prepared(game, before, options)
        found = _launches(game, ready, options)
        again = tuple(np.array([at * PERIOD]) for at in found.launch[:-1])
        if all(np.array_equal(a, b) for a, b in zip(again, before[:-1], strict=True)):
            break
        before = (*again, np.full(1, np.inf)) if again else before
    return found


def _launches(game: Play, ready: Prepared, options: CaseOptions) -> BestLaunch:
    never = tuple(math.inf for _ in game.projects)
    ends = earliest(ready)
    if ends is None:
        return BestLaunch(never, never, ready)
    runs = iter(ends)
    trained = tuple(next(runs) if project.trains else 0.0 for project in game.projects)
    launch: list[float] = []
    for k, at in enumerate(trained):
        after = max(at, launch[-1] if launch else 0.0)
        launch.append(launch_at(game, k, after, tuple(launch), options))
    return BestLaunch(trained, tuple(launch), ready)


# the problem


def prepared(game: Play, launch: tuple[Floats, ...], options: CaseOptions = PLAIN) -> Prepared:
    """The problem of a play of one draw, with the launches of the models before the last given."""
    world = game.world
    bare = AllocationProblem(
        world.available[0],
        need_of(game, launch, options),
        rates(game),
        world.price[0] * PERIOD,
        tuple(_run(game, project, options, None) for project in game.projects if project.trains),
    )
    bare = replace(bare, unserved=_unserved(bare))
    free = free_accelerators(bare)
    trained = [project for project in game.projects if project.trains]
    runs = tuple(_run(game, p, options, f.most) for p, f in zip(trained, free, strict=True))
    return prepare(replace(bare, runs=runs), free)


def rates(game: Play) -> Floats:
    """Requests/s per accelerator [m, l]."""
    lots = len(game.world.lots)
    return np.stack([service.rate[0] for service in game.services]) if game.services else np.zeros((0, lots))


def need_of(game: Play, launch: tuple[Floats, ...], options: CaseOptions = PLAIN) -> Floats:
    """Requests/s of each service at the middle of each period [m, p]."""
    middles = np.asarray((np.arange(game.world.periods) + 0.5) * PERIOD, dtype=np.float64)
    need = needs(game.services, game.projects, middles, launch).T
    kept = np.array([service.name not in options.without_services for service in game.services])
    return np.asarray(need * kept[:, None] if kept.size else need)


def _unserved(problem: AllocationProblem) -> Floats:
    """Requests/s that the quick rule leaves unserved in each period, whichever lots it touches last."""
    if not problem.need.size:
        return np.zeros(problem.periods)
    p, lots = problem.capacity.shape
    rate = np.broadcast_to(problem.rate, (p, *problem.rate.shape))
    price = np.broadcast_to(problem.price, (p, lots))
    last = [np.zeros(lots, dtype=bool), *(place.lots for run in problem.runs for place in run.places)]
    unique = {which.tobytes(): which for which in last}.values()
    short = [
        share(problem.capacity, problem.need.T, rate, price, np.broadcast_to(which, (p, lots)))[1].sum(axis=1)
        for which in unique
    ]
    slack = 1e-9 * problem.need.sum(axis=0)
    found = np.max(short, axis=0)
    return np.where(found > slack, found * (1 + 1e-7), 0.0)


def _run(game: Play, project: Project, options: CaseOptions, free: Floats | None) -> ModelRun:
    """A project as a run. free: accelerators at which the curves of speed are taken too; None: no curves."""
    tried = _places(project, options)
    opens = _opens(game, tried, project) if options.in_order else [0] * len(tried)
    places = tuple(RunPlace(a.name, a.lots, opened) for a, opened in zip(tried, opens, strict=True))
    stages: list[RunStage] = []
    for index, amount in enumerate(project.amounts):
        speeds = [attempt.speeds[index] for attempt in tried]
        if amount[0] > 0:
            stages.append(_stage(project, tried, speeds, float(amount[0]), free))
    rounds = float(np.round(project.rounds[0]) * project.each[0]) / PERIOD
    if rounds > 0 and not options.without_rounds:
        none = SpeedCurve(np.zeros(0), np.zeros(0))
        stages.append(RunStage("rounds", rounds, (none,) * len(tried), True, _held(tried)))
    return ModelRun(project.name, places, tuple(stages), _moves(len(tried)))


def _places(project: Project, options: CaseOptions) -> list[Attempt]:
    """Each place once, in the order tried, on which some attempt completes."""
    found: dict[str, Attempt] = {}
    for attempt in project.attempts:
        if attempt.completes[0] and attempt.name not in options.without_places:
            found.setdefault(attempt.name, attempt)
    return list(found.values())


def _moves(places: int) -> Floats:
    """A run stays where it is: the policy begins anew elsewhere."""
    return np.where(np.eye(places, dtype=bool), 0.0, np.inf)


def _opens(game: Play, tried: list[Attempt], project: Project) -> list[int]:
    """The first period in which each place may be used: once those before it have too few chips to come."""
    opens, first = [], 0
    for attempt in tried:
        opens.append(first)
        there = game.world.available[0][:, attempt.lots].sum(axis=1)
        ahead = np.minimum(np.maximum.accumulate(there[::-1])[::-1], project.at_most)
        least = np.min([_curve(speed, ahead, 1.0).at(ahead) for speed in attempt.speeds if speed.kind != "pause"]
                       or [np.ones_like(ahead)], axis=0)  # fmt: skip
        hopeless = np.flatnonzero(least <= 0)
        first = max(first, int(hopeless[0]) if hopeless.size else game.world.periods)
    return opens


def _stage(
    project: Project, tried: list[Attempt], speeds: list[StageSpeed], amount: float, free: Floats | None
) -> RunStage:
    if speeds and speeds[0].kind == "pause":
        none = SpeedCurve(np.zeros(0), np.zeros(0))
        pace = tuple(1.0 / float(attempt.slip[0]) for attempt in tried)
        return RunStage("pause", amount / PERIOD, (none,) * len(tried), True, _held(tried), pace)
    kind = speeds[0].kind if speeds else "pretrain"
    if free is None:
        return RunStage(kind, amount, tuple(SpeedCurve(np.zeros(0), np.zeros(0)) for _ in tried))
    curves = tuple(
        _curve(speed, np.minimum(free[j], project.at_most), PERIOD / float(tried[j].slip[0]))
        for j, speed in enumerate(speeds)
    )
    return RunStage(kind, amount, curves)


def _curve(speed: StageSpeed, at: Floats, factor: float) -> SpeedCurve:
    """The best speed of a run on some of `n` accelerators, at a ladder of sizes and exactly at those of `at`."""
    most = float(at.max(initial=0.0))
    least = max(float(speed.least), 1.0)
    if most < least:
        return SpeedCurve(np.zeros(0), np.zeros(0))
    ladder = np.geomspace(least, most, POINTS)
    sizes = np.unique(np.concatenate([ladder, speed.sizes[speed.sizes <= most], at]))
    sizes = sizes[(sizes >= least) & (sizes <= most)]
    one = replace(speed, factor=speed.factor[:1])
    best = np.maximum.accumulate(one.of(sizes)) * factor
    return SpeedCurve(sizes[best > 0], best[best > 0])


def _held(tried: list[Attempt]) -> tuple[float, ...]:
    """Accelerators that rounds and pauses hold at each place: the fewest on which the run's last stage runs."""
    return tuple(
        next((float(speed.least) for speed in reversed(attempt.speeds) if speed.kind != "pause"), 0.0)
        for attempt in tried
    )


# the launch


def launch_at(game: Play, k: int, trained: float, before: tuple[float, ...], options: CaseOptions = PLAIN) -> float:
    """The first time [periods] from `trained` on at which the fleet carries all services at the end of the move, if
    model k launched then; infinite if there is none. before: launches of the models before it.
    """
    project = game.projects[k]
    if project.service is None or not trained < game.world.periods:
        return trained if trained < game.world.periods else math.inf
    within = float(np.ravel(project.within)[0]) / PERIOD
    whole = np.arange(game.world.periods + 1, dtype=float)
    turns = np.unique(np.concatenate([[trained], whole, whole - within]))
    turns = turns[(turns >= trained) & (turns < game.world.periods)]
    ends = np.maximum(np.append(turns[1:], game.world.periods) - EDGE, turns)
    able = _carries(game, k, turns, before, within, options) | _carries(game, k, ends, before, within, options)
    return float(turns[np.argmax(able)]) if able.any() else math.inf


def _carries(
    game: Play, k: int, times: Floats, before: tuple[float, ...], within: float, options: CaseOptions
) -> Bools:
    """Whether all services fit at the end of the move, at each time of launch [d]."""
    end = (times + within) * PERIOD
    index = np.minimum((end / PERIOD + 1e-12).astype(int), game.world.periods - 1)
    launch = [np.full_like(times, before[i] * PERIOD) if i < len(before) else np.full_like(times, np.inf)
              for i in range(len(game.projects))]  # fmt: skip
    launch[k] = times * PERIOD
    need = needs(game.services, game.projects, end, launch)
    need = need * np.array([service.name not in options.without_services for service in game.services])
    capacity = game.world.available[0][index]
    rate = np.broadcast_to(rates(game), (times.size, *rates(game).shape))
    price = np.broadcast_to(game.world.price[0], capacity.shape)
    _, short = share(capacity, need, rate, price, np.zeros_like(capacity, dtype=bool))
    able: Bools = short.sum(axis=1) <= 1e-6 * np.maximum(need.sum(axis=1), 1e-9)
    if need.shape[1] > 2:
        _by_programme(able, capacity, need, game)
    return able


def _by_programme(able: Bools, capacity: Floats, need: Floats, game: Play) -> None:
    """Where the quick rule of three and more services finds no way, the linear programme is asked, up to the first
    time at which there is one.
    """
    from tonnage.fleet.ahead import served_first

    stop = int(np.argmax(able)) if able.any() else able.size
    if not stop:
        return
    case = AllocationProblem(capacity[:stop], need[:stop].T, rates(game), game.world.price[0])
    said = served_first(case).unserved
    assert said is not None
    able[:stop] |= said <= 1e-6 * np.maximum(need[:stop].sum(axis=1), 1e-9)


def launch_of_last(game: Play, launch: tuple[Floats, ...], options: CaseOptions = PLAIN) -> float:
    """The earliest launch [periods] of the last model with those of the earlier ones given [s]."""
    last = len(game.projects) - 1
    ready = prepared(game, (*launch[:-1], np.full(1, np.inf)), options)
    ends = earliest(ready)
    if ends is None or not all(np.isfinite(at[0]) for at in launch[:-1]):
        return math.inf
    before = tuple(float(at[0]) / PERIOD for at in launch[:-1])
    trained = ends[-1] if game.projects[-1].trains else 0.0
    return launch_at(game, last, max(trained, before[-1] if before else 0.0), before, options)
