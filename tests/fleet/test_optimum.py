"""The best plan on plain arrays: equal to brute force, of the same end by two ways, and moving the right way."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.fleet.ahead import earliest_end, free_accelerators
from tonnage.fleet.allocation import NEAR, AllocationProblem, ModelRun, RunPlace, RunStage, SpeedCurve
from tonnage.fleet.highs import GAP, LinearProgramme
from tonnage.fleet.optimum import (
    cheapest_growth,
    earliest,
    least_cost,
    most_demand,
    most_served,
    prepare,
)

NONE = SpeedCurve(np.zeros(0), np.zeros(0))
SEEDS = st.integers(0, 100_000)


def stay(places, lost=math.inf):
    """Times of moves between places."""
    return np.where(np.eye(places, dtype=bool), 0.0, lost)


def problem(seed, runs=1, lost=math.inf, most=8):
    """A small random problem."""
    rng = np.random.default_rng(seed)
    periods, lots, services = int(rng.integers(3, most)), int(rng.integers(1, 4)), int(rng.integers(0, 3))
    capacity = np.cumsum(rng.integers(0, 30, (periods, lots)) * (rng.random((periods, lots)) < 0.6), axis=0)
    rate = rng.uniform(0.3, 2, (services, lots)) * (rng.random((services, lots)) < 0.8)
    made = tuple(run(rng, f"r{k}", lots, lost) for k in range(runs))
    need, price = rng.uniform(0, 20, (services, periods)), rng.uniform(1, 3, lots)
    return AllocationProblem(capacity.astype(float), need, rate, price, made)


def run(rng, name, lots, lost):
    count = int(rng.integers(1, lots + 1))
    order = rng.permutation(lots)
    places = tuple(RunPlace(f"p{j}", np.arange(lots) == order[j], int(rng.integers(0, 2))) for j in range(count))
    stages = tuple(
        RunStage("pretrain", float(rng.uniform(5, 60)), tuple(curve(rng) for _ in places))
        for _ in range(int(rng.integers(1, 3)))
    )
    if rng.random() < 0.5:
        rounds = RunStage("rounds", float(rng.uniform(0.2, 1.5)), (NONE,) * count, True, (3.0,) * count)
        stages = (*stages, rounds)
    return ModelRun(name, places, stages, stay(count, lost))


def curve(rng):
    sizes = np.array([1.0, 2, 5, 10, 20, 40, 80, 200])[int(rng.integers(0, 3)) :]
    return SpeedCurve(sizes, rng.uniform(0.5, 2) * sizes ** rng.uniform(0.6, 1))


# brute force


def free_by_hand(case, place, period):
    """The most that services leave free: every way to fill each lot, by the ends of a transportation problem."""
    lots = np.flatnonzero(place.lots)
    model = LinearProgramme()
    total = model.columns(1)
    services, fleet = case.rate.shape
    used = {(m, lot): model.columns(1)[0] for m in range(services) for lot in range(fleet) if case.rate[m, lot] > 0}
    short = model.columns(services)
    for m in range(services):
        row = model.rows(1, low=case.need[m, period])
        for (other, lot), column in used.items():
            if other == m:
                model.cells(row, column, case.rate[m, lot])
        model.cells(row, short[m], 1.0)
    kept = {}
    for lot in range(fleet):
        row = model.rows(1, high=case.capacity[period, lot])
        for (_, other), column in used.items():
            if other == lot:
                model.cells(row, column, 1.0)
        if lot in lots:
            kept[lot] = model.columns(1)[0]
            model.cells(row, kept[lot], 1.0)
    row = model.rows(1, high=0.0)
    model.cells(row, total, 1.0)
    for column in kept.values():
        model.cells(row, column, -1.0)
    cost = np.zeros(model.columns_count)
    cost[short], cost[total] = 1e4, -1.0
    return float(model.solve(cost=cost).values[total][0])


def by_hand(case, run):
    """The earliest end of a run, every choice of a place at every start of a period and end of a stage tried."""
    periods = case.periods
    free = [[free_by_hand(case, place, p) if p >= place.opens else 0.0 for p in range(periods)] for place in run.places]
    best = math.inf

    def go(at, place, stage, left, chosen):
        nonlocal best
        if stage == len(run.stages):
            best = min(best, at)
            return
        if at >= min(best, periods):
            return
        if not chosen:
            for j in range(len(run.places)):
                lost = 0.0 if place in (None, j) else run.move[place, j]
                if math.isfinite(lost):
                    go(at + lost, j, stage, left, True)
            return
        p = int(at + 1e-12)
        here = run.stages[stage]
        open_ = p >= run.places[place].opens
        pace = float(here.timed) if here.timed else float(here.curves[place].at(np.array(free[place][p])))
        takes = left / pace if pace > 0 and open_ else math.inf
        if at + takes <= p + 1:
            following = run.stages[stage + 1].amount if stage + 1 < len(run.stages) else 0.0
            go(at + takes, place, stage + 1, following, False)
        else:
            go(p + 1.0, place, stage, left - (pace if open_ else 0.0) * (p + 1 - at), False)

    go(0.0, None, 0, run.stages[0].amount, False)
    return best


@given(SEEDS, st.sampled_from([math.inf, 0.0, 1.0]))
@settings(max_examples=100, deadline=None)
def test_the_earliest_end_is_that_of_brute_force(seed, lost):
    case = problem(seed, lost=lost, most=6)
    end = prepare(case).paths[0].end
    assert end == pytest.approx(by_hand(case, case.runs[0]), rel=1e-6, abs=1e-6)


@given(SEEDS, st.sampled_from([math.inf, 0.0]))
@settings(max_examples=60, deadline=None)
def test_the_programme_and_the_path_agree(seed, lost):
    """Two ways that share no code but the curves: integers over weeks, and one run followed week by week."""
    ready = prepare(problem(seed, lost=lost))
    end = ready.paths[0].end
    if math.isinf(end):
        return
    budget = replace(ready, problem=replace(ready.problem, budget=1e9))
    (found,) = earliest(budget)
    assert found == pytest.approx(end, rel=2 * NEAR, abs=1e-4)
    plan = least_cost(ready, (end,))
    assert plan is not None and plan.trained[0] <= end + 1e-4


def cheapest_by_hand(case, run, by):
    """The least cost of a run that stays at its place, every week of the end of every stage tried; shares of periods at
    each of the corners of its curves, instead of a curve.
    """
    free = free_accelerators(prepare(case).problem)[0].most
    last = math.ceil(by - 1e-9) - 1
    best = math.inf
    for j in range(len(run.places)):
        for ends in itertools.combinations_with_replacement(range(last + 1), len(run.stages)):
            best = min(best, _cost(case, run, j, ends, by, free[j]))
    return best


def _cost(case, run, j, ends, by, free):
    model, last = LinearProgramme(), math.ceil(by - 1e-9) - 1
    lot = int(np.flatnonzero(run.places[j].lots)[0])
    rows = [model.rows(len(case.price), high=case.capacity[p]) for p in range(last + 1)]
    times = model.rows(last + 1, high=np.minimum(1.0, by + 1e-6 - np.arange(last + 1)))
    price = {}
    for m, other in np.argwhere(case.rate > 0):
        for p in range(last + 1):
            (column,) = model.columns(1)
            price[column] = case.price[other] * min(1.0, by - p)
            model.cells(rows[p][other], column, 1.0)
            price.setdefault(("need", m, p), []).append((column, case.rate[m, other]))
    for m in range(case.rate.shape[0]):
        for p in range(last + 1):
            row = model.rows(1, low=case.need[m, p])
            for column, rate in price.pop(("need", m, p), []):
                model.cells(row, column, rate)
    for s, stage in enumerate(run.stages):
        done = model.rows(1, low=stage.amount * (1 - 1e-7))
        for p in range(max(run.places[j].opens, ends[s - 1] if s else 0), ends[s] + 1):
            if stage.timed:
                sizes, speeds = [min(stage.holds[j], free[p])], [1.0]
            else:
                sizes, speeds = stage.curves[j].hull(float(free[p]))
            for size, speed in zip(sizes, speeds, strict=True):
                (column,) = model.columns(1)
                price[column] = case.price[lot] * size
                model.cells(rows[p][lot], column, size)
                model.cells(times[p], column, 1.0)
                model.cells(done, column, speed)
    cost = np.zeros(model.columns_count)
    cost[list(price)] = list(price.values())
    found = model.solve(cost=cost)
    return math.inf if found is None else found.objective


@given(SEEDS, st.floats(0.0, 2.0))
@settings(max_examples=40, deadline=None)
def test_the_least_cost_is_that_of_brute_force(seed, later):
    case = problem(seed, most=6)
    ready = prepare(case)
    if math.isinf(ready.paths[0].end) or ready.problem.unserved.any():
        return
    by = min(ready.paths[0].end + later, float(case.periods))
    plan, expected = least_cost(ready, (by,)), cheapest_by_hand(case, case.runs[0], by)
    assert plan.cost == pytest.approx(expected, rel=GAP + 2 * NEAR, abs=1e-4)


# which way it moves


def enlarged(case, rng):
    lot = int(rng.integers(case.capacity.shape[1]))
    capacity = case.capacity.copy()
    how = int(rng.integers(3))
    if how == 0:
        capacity[:, lot] *= 1 + rng.random()
    elif how == 1:
        capacity[:-1, lot] = np.maximum(capacity[:-1, lot], capacity[1:, lot])
    else:
        capacity[-1, lot] = capacity[:, lot].max() + 5
    return replace(case, capacity=capacity)


@given(SEEDS)
@settings(max_examples=300, deadline=None)
def test_more_of_a_lot_earlier_or_longer_is_never_later_nor_dearer(seed):
    """More accelerators, an earlier lot, a longer lease, less demand, a lower price."""
    case = problem(seed)
    rng = np.random.default_rng(seed + 1)
    better = {
        "more": enlarged(case, rng),
        "less demand": replace(case, need=case.need * rng.random((case.need.shape[0], 1))),
        "cheaper": replace(case, price=case.price * rng.uniform(0.3, 1, case.price.size)),
    }
    ready = prepare(case)
    end = ready.paths[0].end
    base = least_cost(ready, (end,)) if math.isfinite(end) else None
    for name, changed in better.items():
        found = prepare(changed)
        assert found.paths[0].end <= end + 1e-6, name
        if base is not None and not ready.problem.unserved.any():
            plan = least_cost(found, (end,))
            assert plan is not None and plan.cost <= base.cost * (1 + GAP + NEAR) + 1e-6, name


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_a_later_date_is_never_dearer_to_train_for(seed):
    ready = prepare(problem(seed))
    end, periods = ready.paths[0].end, float(ready.problem.periods)
    if math.isinf(end):
        return
    costs = [least_cost(ready, (min(end + more, periods),), periods).cost for more in (0.0, 0.5, 1.0, 2.0)]
    assert all(later <= sooner * (1 + 2 * GAP) for sooner, later in itertools.pairwise(costs))


# several runs, limits, other questions


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_runs_side_by_side_are_never_later_than_in_turn(seed):
    case = problem(seed, runs=2)
    ready = prepare(case)
    found = earliest(ready)
    if found is None:
        return
    alone = [path.end for path in ready.paths]
    assert found[1] >= alone[1] * (1 - 2 * NEAR) - 1e-3
    first = earliest_end(case.runs[0], ready.free[0].most).end
    turn = earliest_end(replace(case.runs[1], begins=first), ready.free[1].most).end
    if math.isfinite(turn):
        assert max(found) <= max(turn, first) * (1 + GAP) + 1e-3
    assert least_cost(ready, tuple(at + 1e-3 for at in found)) is not None


def one_run(amount=100.0, **changes):
    place = RunPlace("a", np.array([True, False]))
    stage = RunStage("pretrain", amount, (SpeedCurve(np.array([1.0, 1000]), np.array([1.0, 1000])),))
    base = AllocationProblem(
        np.full((10, 2), 20.0), np.full((1, 10), 10.0), np.ones((1, 2)), np.array([2.0, 1.0]),
        (ModelRun("r", (place,), (stage,), stay(1)),),
    )  # fmt: skip
    return replace(base, **changes)


def test_services_move_to_the_other_lot_for_a_run():
    ready = prepare(one_run())
    assert ready.free[0].most[0] == pytest.approx(np.full(10, 20.0))
    assert ready.paths[0].end == pytest.approx(5.0)
    plan = least_cost(ready, (5.0,))
    assert plan.training_cost == pytest.approx(200.0, rel=1e-4) and plan.service_cost == pytest.approx(50.0, rel=1e-4)


def test_a_run_leaves_a_place_where_it_fails_with_what_it_did_there():
    """100 of work at 10 a week: half of it may be done where the run fails; then it goes on, or it begins elsewhere.

    What is found is no later: the room of a second arrival may be given to the first.
    """
    curve = SpeedCurve(np.array([1.0, 10]), np.array([1.0, 10]))
    capacity = np.array([[10.0, 0]] * 6 + [[0.0, 10]] * 14)
    places = (RunPlace("a", np.array([True, False]), fails=0.5), RunPlace("b", np.array([False, True])))
    stage = RunStage("pretrain", 100.0, (curve, curve))
    case = AllocationProblem(capacity, np.zeros((0, 20)), np.zeros((0, 2)), np.ones(2))
    moves = replace(case, runs=(ModelRun("r", places, (stage,), stay(2, 0.5)),))
    assert 10.5 - 1e-9 <= prepare(moves).paths[0].end <= 11.0 + 1e-9
    stays = replace(case, runs=(ModelRun("r", places, (stage,), stay(2)),))
    assert prepare(stays).paths[0].end == pytest.approx(16.0)


def test_a_limit_on_power_is_kept():
    """20 accelerators of 1 W serve nobody else: 15 W, of which services take 10, leave five for the run."""
    ready = prepare(one_run(power=np.ones(2), most_power=np.full(10, 20.0)))
    assert ready.free[0].most[0] == pytest.approx(np.full(10, 10.0))
    assert ready.paths[0].end == pytest.approx(10.0)


def test_a_budget_makes_a_launch_wait_or_impossible():
    """The run costs 200, whenever it is done."""
    assert earliest(prepare(one_run(budget=260.0))) == pytest.approx((5.0,), rel=1e-3)
    assert earliest(prepare(one_run(budget=150.0))) is None


def test_what_is_most_served_by_a_date():
    short = one_run(need=np.full((1, 10), 30.0))
    found = most_served(short, (10.0,), 10.0)
    assert found.short.sum() == pytest.approx(0.0, abs=1e-3)
    late = most_served(short, (5.0 + 1e-6,), 10.0)
    assert late is not None
    assert late.short.sum() == pytest.approx(50.0, rel=1e-3)


def test_the_largest_demand_that_can_be_served():
    assert most_demand(one_run(need=np.full((1, 10), 80.0))) == pytest.approx(0.5)
    assert most_demand(one_run()) == pytest.approx(1.0)


def test_the_cheapest_growth_is_of_the_cheaper_lot_that_may_grow():
    case = one_run(need=np.full((1, 10), 80.0), runs=())
    assert cheapest_growth(case, (), 10.0, np.array([True, True])).extra == pytest.approx([0.0, 40.0])
    assert cheapest_growth(case, (), 10.0, np.array([True, False])).extra == pytest.approx([40.0, 0.0])
    assert cheapest_growth(case, (), 10.0, np.array([False, False])) is None


def test_growth_is_dearer_where_one_accelerator_serves_less():
    """20 more of a lot at 1 serve as much as ten of the other, at 3 each twice as fast: the first is cheaper."""
    case = AllocationProblem(np.full((3, 2), 10.0), np.full((1, 3), 50.0), np.array([[1.0, 2.0]]), np.array([1.0, 3.0]))
    assert cheapest_growth(case, (), 3.0, np.array([True, True])).extra == pytest.approx([20.0, 0.0])
    assert most_demand(case) == pytest.approx(0.6, abs=1e-6)


def test_duals_say_what_a_lot_and_a_demand_do_to_what_is_free():
    """The other lot has no room for all that is served: each of its accelerators frees one, each request takes one."""
    case = one_run(need=np.full((1, 10), 30.0), rate=np.array([[1.0, 2.0]]), capacity=np.full((10, 2), [20.0, 10.0]))
    (free,) = free_accelerators(prepare(case).problem)
    assert free.most[0] == pytest.approx(np.full(10, 10.0))
    assert free.by_lot[0, 0] == pytest.approx([1.0, 2.0])
    assert free.by_need[0, 0, 0] == pytest.approx(1.0)


def test_a_curve_is_never_falling_and_its_lines_lie_on_or_just_over_it():
    sizes = np.array([2.0, 4, 8, 16, 32, 64])
    found = SpeedCurve(sizes, np.array([1.0, 5, 9, 11, 12, 12]))
    assert found.at(np.array([0.0, 1.9, 2, 3, 100])) == pytest.approx([0, 0, 1, 3, 12])
    slope, offset = found.lines(40.0)
    most = np.linspace(2, 40, 50)
    over = (slope[:, None] * most + offset[:, None]).min(axis=0)
    assert np.all(over >= found.at(most) - 1e-9)
    at, speed = found.hull(40.0)
    assert np.all(np.diff(np.diff(speed) / np.diff(at)) < 0)
    assert (slope[:, None] * at + offset[:, None]).min(axis=0) == pytest.approx(speed, rel=NEAR + 1e-9)


# size


def large(seed, runs=2, periods=104, lots=12, services=8, tokens=60e12):
    """Twelve kinds of chips that come over a year, eight models served, some to come, two years of weeks."""
    rng = np.random.default_rng(seed)
    count, start = rng.integers(2000, 20000, lots), rng.integers(0, 40, lots)
    start[:3] = 0
    capacity = np.where(np.arange(periods)[:, None] >= start, count, 0.0)
    rate = rng.uniform(0.1, 1, (services, lots)) * (rng.random((services, lots)) < 0.9)
    need = rng.uniform(200, 800, (services, 1)) * 1.02 ** (np.arange(periods) / 4.3)
    sizes = np.geomspace(500, 20000, 24)

    def speeds(power, scale):
        return tuple(SpeedCurve(sizes, scale * rng.uniform(0.3, 1) * 6e13 * sizes**power) for _ in range(lots))

    made = []
    for k in range(runs):
        places = tuple(RunPlace(f"p{j}", np.arange(lots) == j) for j in range(lots))
        stages = (
            RunStage("pretrain", tokens, speeds(0.85, 1e-5)),
            RunStage("rl", tokens / 60, speeds(0.3, 1e-4)),
            RunStage("rounds", 8.0, (NONE,) * lots, True, (1000.0,) * lots),
        )
        made.append(ModelRun(f"r{k}", places, stages, stay(lots)))
    return AllocationProblem(capacity, need, rate, rng.uniform(80, 500, lots), tuple(made))


@pytest.mark.parametrize("runs", [1, 2])
def test_a_large_programme_is_solved_in_five_seconds(runs):
    case = large(0, runs)
    began = time.process_time()
    ready = prepare(case)
    ends = earliest(ready)
    plan = least_cost(ready, ends)
    spent = time.process_time() - began
    assert plan is not None and max(ends) > 20
    assert spent < 5
