"""Nights: what services leave free by their curves of the day goes to training, in the best plan and in the draws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_best import game
from test_optimum import one_run, problem

from tonnage.errors import InputError
from tonnage.fleet import launch
from tonnage.fleet.allocation import NEAR
from tonnage.fleet.hindsight import best_day
from tonnage.fleet.nights import HOURS, Nights, moves, nights
from tonnage.fleet.optimum import earliest, least_cost, prepare
from tonnage.report.launch import answer
from tonnage.units import DAY

SEEDS = st.integers(0, 100_000)
EIGHT = (0.4,) * 8 + (1.0,) * 16


def test_the_night_is_the_hours_that_free_most():
    found = nights([EIGHT])
    assert (
        found.share == pytest.approx(8 / 24) and found.load == pytest.approx([0.4]) and found.hours == tuple(range(8))
    )
    assert nights([EIGHT, ()]).load == pytest.approx([0.4, 1.0])
    slope = nights([tuple(np.linspace(0.2, 1.0, HOURS))])
    assert slope.share == pytest.approx(0.5) and slope.load[0] == pytest.approx(0.2 + 0.8 * 11 / 23)


def test_there_is_no_night_without_a_curve_or_where_services_sleep_in_turns():
    assert nights([(), ()]) is None and nights([(1.0,) * HOURS]) is None
    turns = [tuple(np.roll(EIGHT, 8 * k)) for k in range(3)]
    assert nights(turns).load == pytest.approx([0.4, 1.0, 1.0])


def test_what_is_freed_is_whole_servers():
    used = np.array([[[100.0, 10.0], [0.0, 40.0]]])
    assert Nights(0.5, np.array([0.4, 1.0])).freed(used) == pytest.approx(np.array([[56.0, 0.0]]))


def test_a_run_by_night_and_day_is_as_fast_as_both_less_two_moves():
    """40 are free by day and 76 in half the hours; one accelerator does one unit of work a week."""
    dark = Nights(0.5, np.array([0.4]))
    place = one_run().runs[0].places[0]
    run = replace(one_run().runs[0], places=(replace(place, lots=np.array([True])),))
    case = replace(
        one_run(amount=200.0), capacity=np.full((10, 1), 100.0), need=np.full((1, 10), 60.0), rate=np.ones((1, 1)),
        price=np.ones(1), nights=dark,
    )  # fmt: skip
    case = replace(case, runs=(replace(run, stages=case.runs[0].stages),))
    pace = 0.5 * 40 + (0.5 - moves()) * 76
    ready = prepare(case)
    assert ready.free[0].night.most[0] == pytest.approx(np.full(10, 76.0))
    assert ready.paths[0].end == pytest.approx(200 / pace)
    assert prepare(replace(case, nights=None)).paths[0].end == pytest.approx(5.0)
    plan = least_cost(ready, (200 / pace,))
    assert plan.trained[0] <= 200 / pace + 1e-4
    assert plan.training.sum() == pytest.approx(40 * 200 / pace, rel=1e-3)


def test_a_night_that_is_shorter_than_its_moves_is_left():
    dark = Nights(moves() / 2, np.zeros(1))
    assert dark.pace(np.array([3.0]), np.array([1000.0])) == pytest.approx([3.0])


def with_nights(case, seed):
    rng = np.random.default_rng(seed + 11)
    return replace(case, nights=Nights(float(rng.uniform(0.1, 0.6)), rng.uniform(0, 1, case.need.shape[0])))


@given(SEEDS, st.sampled_from([math.inf, 0.0]))
@settings(max_examples=40, deadline=None)
def test_the_programme_and_the_path_agree_with_nights(seed, lost):
    bare = problem(seed, lost=lost)
    ready, without = prepare(with_nights(bare, seed)), prepare(bare)
    end = ready.paths[0].end
    assert end <= without.paths[0].end + 1e-9
    if math.isinf(end):
        return
    (found,) = earliest(replace(ready, problem=replace(ready.problem, budget=1e9)))
    assert found == pytest.approx(end, rel=2 * NEAR, abs=1e-4)


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_two_runs_with_nights_are_not_later_than_without(seed):
    bare = problem(seed, runs=2)
    without, found = earliest(prepare(bare)), earliest(prepare(with_nights(bare, seed)))
    if without is not None:
        assert max(found) <= max(without) * (1 + 2 * NEAR) + 1e-3


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_policy_is_never_ahead_with_nights(seed):
    one = game(seed)
    rng = np.random.default_rng(seed + 13)
    one = replace(one, nights=Nights(float(rng.uniform(0.1, 0.6)), rng.uniform(0, 1, len(one.services))))
    result = one.run()
    policy = result.launch[-1][0] / DAY
    assert math.isinf(policy) or best_day(one, result.launch) <= policy + 1e-4


# the programme


CURVE = "{night: 40 %, hours: 8}"


@pytest.fixture
def planned(programme, catalog, planner):
    def make(**sets):
        day = {"models__r1__serve__day": CURVE, "models__r2__train__try": "own"}
        return launch(programme(**{**day, **sets}), catalog, 0, 40, planner, False)

    return make


def test_nights_bring_the_launch_forward_in_the_plan_and_in_the_draws(planned):
    idle, train = planned(), planned(nights="train")
    assert train.base.best.launch < idle.base.best.launch
    assert train.launch.p50 < idle.launch.p50
    assert train.hindsight.ahead < 1e-3
    assert "nights: 8 h a day services need 40 % of their peak" in " ".join(text for _, text in answer(train).rows)
    assert planned(nights="idle").days == idle.days


def test_without_a_curve_nights_change_nothing(planned, programme, catalog, planner):
    bare = launch(programme(models__r2__train__try="own"), catalog, 0, 20, planner, False)
    train = launch(programme(models__r2__train__try="own", nights="train"), catalog, 0, 20, planner, False)
    assert train.days == bare.days and train.base.best.launch == bare.base.best.launch


def test_a_curve_of_the_day_gives_the_peak_where_none_is_given(programme):
    text = programme.story.replace("peak: 1.2, ", "")
    found = programme(text, models__r1__serve__day=CURVE).model("r1").service
    assert found.peak.median == pytest.approx(24 / (16 + 8 * 0.4)) and found.day == pytest.approx(EIGHT)
    hours = [2.0] * 12 + [4.0] * 12
    listed = programme(text, models__r1__serve__day=str(hours))
    assert listed.model("r1").service.peak.median == pytest.approx(4 / 3)
    assert listed.model("r2").service.day == pytest.approx([0.5] * 12 + [1.0] * 12)
    assert programme(models__r1__serve__day=CURVE).model("r1").service.peak.median == 1.2


@pytest.mark.parametrize("day", ["[1, 2, 3]", "4", str([0] * 24), "{night: 40 %}", "{night: 140 %, hours: 8}"])
def test_a_curve_that_is_none_is_refused_with_its_place(programme, day):
    with pytest.raises(InputError, match=r"models\.r1\.serve\.day"):
        programme(models__r1__serve__day=day)
