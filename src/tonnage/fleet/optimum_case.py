"""From one draw of a programme to the arrays of the best plan, and from its runs to the launches.

The best plan knows the whole calendar and which runs complete. It is held to what the policy is held to: services come
first, as much of the demand is served in each week, and where the programme says in which order places are tried, a
later place may be used only once those before it, on which the run would complete, have no chips to come.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from tonnage.fleet.ahead import free_accelerators
from tonnage.fleet.allocate import share
from tonnage.fleet.allocation import AllocationProblem, ModelRun, RunPlace, RunStage, SpeedCurve
from tonnage.fleet.draws import PERIOD, Bools, World
from tonnage.fleet.forecast import needs
from tonnage.fleet.highs import Ints
from tonnage.fleet.lookahead import GONE
from tonnage.fleet.optimum import Prepared, earliest, prepare
from tonnage.fleet.projects import Attempt, Project, StageSpeed
from tonnage.fleet.setting import Play
from tonnage.fleet.track import ROUNDS_HOLD
from tonnage.fleet.uncertain import Floats

POINTS = 24
"""Sizes between the smallest and the largest run at which a curve of speed is taken, a constant factor apart."""

BEYOND = 12
"""Periods after the horizon that are looked at where lots only shrink: a plan a few weeks later may be cheaper."""

EDGE = 1e-6
"""How long before a change of what is there a launch is looked at, in periods."""


@dataclass(frozen=True)
class CaseOptions:
    """What is left out of a case: order of the places; their names that are not used; models not served; rounds.
    with_failing: places on which the run fails count too, up to where it fails; only_last: of the runs, that of the
    last model.
    """

    in_order: bool = True
    without_places: tuple[str, ...] = ()
    without_services: tuple[str, ...] = ()
    without_rounds: bool = False
    with_failing: bool = False
    only_last: bool = False


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
    game = lasting(game)
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
        before = game.projects[k].after
        after = max(at, launch[before] if before is not None else 0.0)
        launch.append(launch_at(game, k, after, tuple(launch), options))
    return BestLaunch(trained, tuple(launch), ready)


# the problem


def lasting(game: Play, periods: int = 0) -> Play:
    """The play with what is there after the horizon as further periods, at least so many: until no lot grows any more,
    and `BEYOND` and the move of demand after the horizon.
    """
    world, whole = game.world, game.world.there_whole
    if world.later is None and periods <= world.periods:
        return game
    grows = np.flatnonzero((np.diff(whole, axis=1) > 0).any(axis=(0, 2)))
    moves = max((float(np.ravel(project.within).max()) for project in game.projects), default=0.0)
    wanted = world.periods + BEYOND + math.ceil(moves / PERIOD)
    kept = max(periods, min(max(wanted, int(grows[-1]) + 2 if grows.size else 0), whole.shape[1]))
    more = max(kept - whole.shape[1], 0)
    there = np.concatenate([whole[:, :kept], np.repeat(whole[:, -1:], more, axis=1)], axis=1)
    return replace(game, world=world.with_lots(there))


def prepared(game: Play, launch: tuple[Floats, ...], options: CaseOptions = PLAIN) -> Prepared:
    """The problem of a play of one draw, with the launches of the models before the last given."""
    world = game.world
    trained = [project for project in game.projects if project.trains]
    trained = trained[-1:] if options.only_last else trained
    bare = AllocationProblem(
        world.available[0],
        need_of(game, launch, options),
        rates(game),
        world.price[0] * PERIOD,
        tuple(_run(game, project, options, None) for project in trained),
        nights=game.nights,
    )
    bare = _within_power(world, replace(bare, unserved=_unserved(bare)))
    free = free_accelerators(bare)
    sizes = [f.most if f.night is None else np.concatenate([f.most, f.night.most], axis=1) for f in free]
    runs = tuple(_run(game, p, options, at) for p, at in zip(trained, sizes, strict=True))
    if len(runs) > 1:
        runs = tuple(replace(run, move=np.where(np.eye(len(run.places), dtype=bool), 0.0, np.inf)) for run in runs)
    return prepare(replace(bare, runs=runs), free)


def _within_power(world: World, case: AllocationProblem) -> AllocationProblem:
    """The problem on all that is there, of which any may run within the power of the site; with a cap on it."""
    if world.site is None:
        return case
    most = np.full(case.periods, world.site.cap)
    return replace(case, capacity=world.there[0], power=world.site.each, most_power=most)


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
    last += [a | b for a, b in itertools.combinations(last[1:], 2)]
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
    opens = _opens(game, project) if options.in_order and project.chosen else {}
    places = tuple(
        RunPlace(a.name, a.lots, opens.get(a.name, 0), math.inf if a.completes[0] else float(project.give_up[0]))
        for a in tried
    )
    stages: list[RunStage] = []
    for index, amount in enumerate(project.amounts):
        left = float(amount[0]) * (1.0 if index else 1.0 - float(np.ravel(project.done)[0]))
        if left > 0:
            stages.append(_stage(project, tried, index, left, free))
    rounds = float(np.round(project.rounds[0]) * project.each[0]) / PERIOD
    if rounds > 0 and not options.without_rounds:
        stages.append(RunStage("rounds", rounds, tuple(_rounds(game, project, a) for a in tried)))
    return ModelRun(project.name, places, tuple(stages), _moves(game, project, tried))


def _places(project: Project, options: CaseOptions) -> list[Attempt]:
    """Each place once, in the order tried, on which some attempt completes; or all, if work on others counts."""
    found: dict[str, Attempt] = {}
    for attempt in project.attempts:
        if attempt.name in options.without_places:
            continue
        if attempt.completes[0]:
            found[attempt.name] = attempt if attempt.name not in found else replace(attempt, name=attempt.name)
        elif options.with_failing:
            found.setdefault(attempt.name, attempt)
    return list(found.values())


def _moves(game: Play, project: Project, tried: list[Attempt]) -> Floats:
    """Periods that a move takes: the pause, and the tokens that check it at the best speed of the place."""
    made = np.full((len(tried), len(tried)), np.inf)
    for j, attempt in enumerate(tried):
        run = next((speed for speed in attempt.speeds if speed.kind != "pause"), None)
        there = game.world.whole[0][:, attempt.lots].sum(axis=1)
        speed = float(run.best(np.minimum(there, _most(project, attempt)))[1].max(initial=0.0)) if run else 0.0
        made[:, j] = (project.pause + (project.check / speed if speed > 0 else 0.0)) / PERIOD
        made[j, j] = 0.0
    return made


def _most(project: Project, attempt: Attempt) -> float:
    """Most accelerators that a run uses on a place."""
    return min(project.at_most, attempt.limit)


def _opens(game: Play, project: Project) -> dict[str, int]:
    """The first period in which each place may be used, in the order of the places: once those before it have too few
    chips to come; or once a run that has begun finds none where it is for a while.
    """
    opens: dict[str, int] = {}
    first, gone = 0, game.world.periods
    for attempt in project.attempts:
        there, least = _there(game, attempt), max(attempt.least, 1.0)
        enough = np.flatnonzero(there >= least)
        some = np.array([there[p : p + GONE].max() < least for p in range(len(there))])
        pauses = bool(attempt.speeds) and attempt.speeds[0].kind == "pause"
        begun = 0 if pauses else enough[0] + 1 if enough.size else len(there)
        after = np.flatnonzero(some & (np.arange(len(there)) >= begun))
        gone = min(gone, int(after[0]) if after.size else game.world.periods)
    if np.ravel(project.done)[0] > 0:
        gone = 0
    for attempt in project.attempts:
        opens.setdefault(attempt.name, min(first, gone))
        if attempt.completes[0]:
            enough = np.flatnonzero(_there(game, attempt) >= max(attempt.least, 1.0))
            first = max(first, int(enough[-1]) + 1 if enough.size else 0)
    return opens


def _there(game: Play, attempt: Attempt) -> Floats:
    return np.asarray(game.world.available[0][:, attempt.lots].sum(axis=1))


def _stage(project: Project, tried: list[Attempt], index: int, amount: float, free: Floats | None) -> RunStage:
    speeds = [attempt.speeds[index] for attempt in tried]
    none = SpeedCurve(np.zeros(0), np.zeros(0))
    kind = speeds[0].kind if speeds else "pretrain"
    if kind == "pause":
        pace = tuple(1.0 / float(attempt.slip[0]) for attempt in tried)
        holds = tuple(float(speed.sizes[0]) if speed.sizes.size else 0.0 for speed in speeds)
        return RunStage("pause", amount / PERIOD, (none,) * len(tried), True, holds, pace)
    if free is None:
        return RunStage(kind, amount, (none,) * len(tried))
    curves = tuple(
        _curve(speed, np.minimum(free[j], _most(project, tried[j])), PERIOD / float(tried[j].slip[0]))
        for j, speed in enumerate(speeds)
    )
    return RunStage(kind, amount, curves)


def _curve(speed: StageSpeed, at: Floats, factor: float) -> SpeedCurve:
    """The best speed of a run on some of `n` accelerators, at a ladder of sizes and exactly at those of `at`."""
    most, least = float(at.max(initial=0.0)), max(speed.least, 1e-9)
    if most < least:
        return SpeedCurve(np.zeros(0), np.zeros(0))
    sizes = np.unique(np.concatenate([np.geomspace(least, most, POINTS), speed.sizes[speed.sizes <= most], at]))
    sizes = sizes[(sizes >= least) & (sizes <= most)]
    whole = np.maximum.accumulate(speed.best(sizes)[1]) * factor
    return SpeedCurve(sizes[whole > 0], whole[whole > 0])


SPARK = 1e-6
"""Share of what rounds hold at which their curve begins."""


def _rounds(game: Play, project: Project, attempt: Attempt) -> SpeedCurve:
    """Rounds go on in proportion to what they hold, up to what they need."""
    if project.hold is not None:
        need = min(float(project.hold[0]), project.at_most)
    else:
        most = min(float(_there(game, attempt).max(initial=0.0)), project.at_most)
        need = min(max(most, 1.0), ROUNDS_HOLD)
    if need <= 0:
        return SpeedCurve(np.array([0.0]), np.array([1.0]))
    top = min(need, _most(project, attempt))
    return SpeedCurve(np.array([SPARK * top, top]), np.array([SPARK, 1.0]) * top / need)


# the launch


def launch_at(
    game: Play,
    k: int,
    trained: float,
    before: tuple[float, ...],
    options: CaseOptions = PLAIN,
    part: float = 1.0,
) -> float:
    """The first time [periods] from `trained` on at which the fleet carries all services at the end of the move, if
    model k launched then to a part of its users; infinite if there is none. before: launches of the models before it.
    """
    project = game.projects[k]
    if project.service is None or not trained < game.world.periods:
        return trained if trained < game.world.periods else math.inf
    within = float(np.ravel(project.within)[0]) / PERIOD
    whole = np.arange(game.world.periods + 1, dtype=float)
    turns = np.unique(np.concatenate([[trained], whole, whole - within]))
    turns = turns[(turns >= trained) & (turns < game.world.periods)]
    ends = np.maximum(np.append(turns[1:], game.world.periods) - EDGE, turns)
    able = np.any([_carries(game, k, at, before, within, options, part) for at in (turns, ends)], axis=0)
    return float(turns[np.argmax(able)]) if able.any() else math.inf


def _carries(
    game: Play,
    k: int,
    times: Floats,
    before: tuple[float, ...],
    within: float,
    options: CaseOptions,
    part: float,
) -> Bools:
    """Whether all services fit at the end of the move, at each time of launch [d]."""
    end = (times + within) * PERIOD
    index = np.minimum((end / PERIOD + 1e-12).astype(int), game.world.periods - 1)
    launch = [np.full_like(times, before[i] * PERIOD) if i < len(before) else np.full_like(times, np.inf)
              for i in range(len(game.projects))]  # fmt: skip
    launch[k] = times * PERIOD
    need = needs(game.services, game.projects, end, launch, {k: part})
    need = need * np.array([service.name not in options.without_services for service in game.services])
    capacity = game.world.available[0][index]
    rate = np.broadcast_to(rates(game), (times.size, *rates(game).shape))
    price = np.broadcast_to(game.world.price[0], capacity.shape)
    _, short = share(capacity, need, rate, price, np.zeros_like(capacity, dtype=bool))
    able: Bools = short.sum(axis=1) <= 1e-6 * np.maximum(need.sum(axis=1), 1e-9)
    if need.shape[1] > 2 or game.world.site is not None:
        _by_programme(able, index, need, game)
    return able


def _by_programme(able: Bools, index: Ints, need: Floats, game: Play) -> None:
    """Where the quick rule of three and more services, or of the order in which lots get power, finds no way, the
    linear programme is asked, up to the first time at which there is one. index: periods [p].
    """
    from tonnage.fleet.ahead import served_first

    stop = int(np.argmax(able)) if able.any() else able.size
    if not stop:
        return
    world = game.world
    case = AllocationProblem(world.available[0][index[:stop]], need[:stop].T, rates(game), world.price[0])
    if world.site is not None:
        case = replace(_within_power(world, case), capacity=world.there[0][index[:stop]])
    said = served_first(case).unserved
    assert said is not None
    able[:stop] |= said <= 1e-6 * np.maximum(need[:stop].sum(axis=1), 1e-9)


def first_users(game: Play, best: BestLaunch) -> float:
    """The first time [periods] at which a share of the demand of the last model can be carried, its run and the
    launches of the others as in a best launch.
    """
    last = len(game.projects) - 1
    project = game.projects[last]
    after = max(best.trained[-1], best.launch[project.after] if project.after is not None else 0.0)
    return launch_at(game, last, after, best.launch[:-1], part=first_share(project))


def first_share(project: Project) -> float:
    """Share of its demand at launch with which it has its first users, in a play of one draw."""
    return float(np.ravel(project.first)[0])


def launch_of_last(game: Play, launch: tuple[Floats, ...], options: CaseOptions = PLAIN, part: float = 1.0) -> float:
    """The earliest launch [periods] of the last model to a part of its users, those of the earlier ones given [s]."""
    game, last = lasting(game), len(game.projects) - 1
    ready = prepared(game, (*launch[:-1], np.full(1, np.inf)), options)
    ends = earliest(ready)
    if ends is None or not all(np.isfinite(at[0]) for at in launch[:-1]):
        return math.inf
    before = tuple(float(at[0]) / PERIOD for at in launch[:-1])
    trained = ends[-1] if game.projects[-1].trains else 0.0
    after = game.projects[last].after
    begins = max(trained, before[after] if after is not None else 0.0)
    return launch_at(game, last, begins, before, options, part)
