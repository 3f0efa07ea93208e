"""The best plan of a programme: never later than the policy, explained, and which way it moves."""

from __future__ import annotations

import datetime
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import stories
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.errors import InputError
from tonnage.fleet import launch
from tonnage.fleet.base_case import base_case, best_plan
from tonnage.fleet.draws import PERIOD, World
from tonnage.fleet.explain import conflict, explained, limits, near, uses, worth
from tonnage.fleet.hindsight import behind, best_day
from tonnage.fleet.optimum_case import CaseOptions, best_launch, launch_at
from tonnage.fleet.projects import Attempt, Demand, Project, StageSpeed
from tonnage.fleet.setting import Play, play, settle
from tonnage.units import DAY, MONTH, WEEK

DATE = datetime.date
SEEDS = st.integers(0, 100_000)
HUGE = {"models__r1__serve__output_tokens": "3T/day", "models__r1__serve__input_tokens": "11T/day"}


@pytest.fixture
def story(programme, catalog, planner):
    def make(text=None, speeds=planner, **sets):
        return settle(programme(text or programme.story, **sets), catalog, speeds)

    return make


@pytest.fixture
def found(story):
    def make(**sets):
        setting = story(**sets)
        return explained(setting, play(setting, 0, 0))

    return make


# random programmes


def game(seed, projects=1):
    """One draw of a random programme: lots that come and go, services that grow or shrink, runs that may fail."""
    rng = np.random.default_rng(seed)
    lots, periods, served = int(rng.integers(1, 4)), int(rng.integers(12, 50)), int(rng.integers(0, 4))
    available = np.zeros((1, periods, lots))
    for lot in range(lots):
        first = int(rng.integers(0, 10))
        last = periods if rng.random() < 0.8 else int(rng.integers(first, periods)) + 1
        available[0, first:last, lot] = rng.integers(50, 3000)
        if rng.random() < 0.3:
            available[0, :, lot] *= np.clip((np.arange(periods) - first) / 8, 0, 1)
    price = rng.uniform(0.5, 3, (1, lots)) / 3600
    world = World(DATE(2025, 1, 6), tuple(f"l{i}" for i in range(lots)), available, price, {})

    def rate():
        return rng.uniform(0.1, 1, (1, lots)) * (rng.random((1, lots)) < 0.85)

    def one(value):
        return np.array([float(value)])

    services = [
        Demand(
            f"s{m}", one(rng.uniform(1, 300)), one(rng.uniform(-0.05, 0.15) / MONTH), one(rng.uniform(1, 1.4)), rate()
        )
        for m in range(served)
    ]
    made = []
    for k in range(projects):
        service = before = None
        if served and rng.random() < 0.8:
            services.append(Demand(f"n{k}", one(rng.uniform(0, 50)), one(0), one(1.2), rate(), True))
            service, before = len(services) - 1, int(rng.integers(0, served))
        made.append(project(rng, k, lots, service, before, one))
    return Play(world, tuple(services), tuple(made), {})


def project(rng, k, lots, service, before, one):
    kinds = [("pretrain", "rl", "pause")[int(rng.integers(0, 3))] for _ in range(int(rng.integers(1, 4)))]
    amounts = [one(rng.uniform(0.5, 3) * WEEK if kind == "pause" else rng.uniform(1e11, 1e13)) for kind in kinds]

    def speed(kind):
        if kind == "pause":
            return StageSpeed(kind, np.zeros(0), np.zeros(0), np.ones(1))
        size = float(rng.choice([16, 128, 512]))
        rates = rng.uniform(300, 1000) * np.array([1, rng.uniform(0.2, 1)])
        return StageSpeed(kind, np.array([size, 8 * size]), rates, one(rng.uniform(0.7, 1.3)))

    places = int(rng.integers(1, lots + 1))
    order = rng.permutation(lots)
    speeds = [tuple(speed(kind) for kind in kinds) for _ in range(places)]
    slips = [one(rng.uniform(1, 2)) for _ in range(places)]
    attempts = tuple(
        Attempt(f"p{j}", np.arange(lots) == order[j], rng.random(1) < 0.75, slips[j], speeds[j])
        for j in (*range(places), places - 1, places - 1)
    )
    return Project(
        f"m{k}", attempts, tuple(amounts), one(rng.uniform(0.1, 1)), one(rng.integers(0, 3)),
        one(rng.uniform(1, 4) * WEEK), math.inf if rng.random() < 0.7 else 700.0, service, before,
        rng.uniform(0.3, 1), float(rng.uniform(0, 6)) * WEEK, rng.uniform(0, 0.8), True,
        hold=None if rng.random() < 0.5 else one(rng.uniform(1, 400)), after=k - 1 if k else None,
        chosen=bool(rng.random() < 0.5), pause=float(rng.uniform(0, 10)) * DAY, check=1e9,
        done=one(rng.uniform(0, 0.5) * (rng.random() < 0.3)),
    )  # fmt: skip


@given(SEEDS)
@settings(max_examples=300, deadline=None)
def test_the_policy_is_never_earlier_than_the_best_plan_of_the_same_draw(seed):
    one = game(seed)
    result = one.run()
    policy = result.launch[-1][0] / DAY
    assert best_day(one, result.launch) <= policy + 1e-4 or math.isinf(policy)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_nor_with_two_models_to_come(seed):
    one = game(seed, 2)
    result = one.run()
    policy = result.launch[-1][0] / DAY
    assert math.isinf(policy) or best_day(one, result.launch) <= policy + 1e-3


@given(SEEDS)
@settings(max_examples=300, deadline=None)
def test_a_better_programme_is_never_later(seed):
    """More of a lot, less of the demand, fewer rounds, any place first: the best launch is no later.

    With an order of places more of a lot can be later: chips to come on an earlier place bind a run to wait for them.
    """
    one = game(seed)
    said = tuple(replace(p, hold=np.array([100.0]) if p.hold is None else p.hold) for p in one.projects)
    one = replace(one, projects=said)  # what rounds hold where nothing is said grows with the lot
    at, free = best_launch(one).last, best_launch(one, CaseOptions(in_order=False)).last
    rng = np.random.default_rng(seed + 7)
    lot = int(rng.integers(len(one.world.lots)))
    more = one.world.available.copy()
    more[0, :, lot] = np.maximum(more[0, :, lot], np.roll(more[0, :, lot], -1)) * (1 + rng.random())
    better = {
        "more": best_launch(replace(one, world=replace(one.world, available=more)), CaseOptions(in_order=False)),
        "no order": best_launch(one, CaseOptions(in_order=False)),
        "no rounds": best_launch(one, CaseOptions(without_rounds=True)),
        "less demand": best_launch(one, CaseOptions(without_services=tuple(s.name for s in one.services))),
    }
    for name, found in better.items():
        assert found.last <= (free if name == "more" else at) + 1e-6, name


def test_a_launch_waits_for_capacity_within_a_week(story):
    """The move ends in the week in which the lot is there: the launch is that much before it."""
    one = play(story(), 0, 0)
    within = float(np.ravel(one.projects[0].within)[0]) / PERIOD
    quiet = replace(one, services=tuple(replace(s, growth=np.zeros(1)) for s in one.services))
    available = np.zeros_like(one.world.available)
    available[0, 20:, 2] = 1e6
    late = replace(quiet, world=replace(quiet.world, available=available))
    assert launch_at(late, 0, 3.3, ()) == pytest.approx(20 - within)
    assert launch_at(quiet, 0, 90.0, ()) == math.inf


# the story


@pytest.mark.parametrize(
    "sets",
    [
        {},
        {"models__r2__train__try": "own"},
        {"models__r2__train__try": "own", "models__r1__serve__output_tokens": "300B/day"},
        {"fleet__ascend__count": "9000", "models__r1__serve__output_tokens": "220B/day"},
    ],
)
def test_the_policy_is_within_five_days_of_the_best_plan_of_the_base_case(found, sets):
    case = found(**sets)
    quick = case.game.run().launch[0][0] / PERIOD
    assert case.best.last <= quick + 1e-6
    assert quick - case.best.last <= 5 / 7


def test_the_policy_over_a_hundred_draws(story):
    setting = story()
    one = play(setting, 0, 100)
    found = behind(one, one.run().launch)
    assert found.draws > 80
    assert found.median < 5 and found.ahead < 1e-3
    assert found.p90 >= found.median


def test_what_each_lot_does_is_there_and_does_the_work(found):
    case = found()
    made = uses(case)
    does = {(use.lot, use.activity.kind) for use in made}
    assert {("ascend", "pretrain"), ("ascend", "rl"), ("ascend", "improves")} <= does
    assert any(use.activity.kind == "serves" for use in made)
    for column, lot in enumerate(case.game.world.lots):
        most = case.game.world.available[0, :, column].max()
        assert all(use.accelerators <= most * (1 + 1e-6) for use in made if use.lot == lot)
    assert max(use.end for use in made) == case.day(case.best.last)


def test_what_binds_is_ranked_with_its_weeks(found):
    made = limits(found())
    assert [limit.days for limit in made] == sorted((limit.days for limit in made), reverse=True)
    kinds = {(limit.kind, limit.about) for limit in made}
    assert {("order", "r2"), ("rounds", "r2"), ("count", "ascend"), ("delivery", "ascend")} <= kinds
    count = next(limit for limit in made if limit.kind == "count")
    assert DATE(2025, 5, 20) < count.start < count.end < DATE(2025, 9, 1)


def test_worth_of_one_more_is_the_change_of_the_launch(found):
    """The value of an accelerator-week, times the accelerator-weeks of a tenth more, is what a tenth more brings."""
    case = found()
    made = worth(case)
    assert made[0].lot == "ascend" and made[0].share == pytest.approx(1)
    first = case.game.world.available[0, :, case.game.world.lots.index("ascend")]
    weeks = next(limit for limit in limits(case) if limit.kind == "count")
    tenth = 0.1 * first.max() * (weeks.end - weeks.start).days / 7
    assert made[0].days * 24 == pytest.approx(made[0].hours * tenth, rel=0.35)
    assert made[0].value > 0 and made[0].saved >= 0


def test_near_the_best_there_is_a_cheaper_one_later_and_another_place_first(found):
    made = {item.kind: item for item in near(found())}
    assert made["later"].shift > 0 and made["later"].saving > 0
    assert made["place"].about == "own" and made["place"].shift < -30
    assert made["sooner"].shift == -28 and "more of" in made["sooner"].about
    assert {item.about for item in near(found(models__r2__train__try="own")) if item.kind == "without_lot"} >= {"cloud"}


def test_an_unpriced_lot_makes_costs_unknown_not_nothing(found):
    plan = best_plan(found(place="US", models__r2__train__try="own"))
    assert plan.launch is not None and plan.training is None and plan.services is None
    assert plan.to_json()["cost"] is None


def test_what_cannot_be_had_together_is_irreducible(found):
    """A horizon too short: more of the lot, no rounds or the other place would each do; the H20 have no part in it."""
    case = found(horizon="6 months")
    assert case.cheapest is None
    clash = conflict(case)
    assert clash[-1].kind == "horizon" and {limit.kind for limit in clash} & {"rounds", "count", "order"}
    assert "cloud" not in {limit.about for limit in clash}
    text = json.dumps(base_case(case).best.to_json())
    assert "horizon" in text and '"launch": null' in text


def test_the_cheapest_launch_by_a_date(programme, catalog, planner):
    from tonnage.report.launch import answer

    def asked(day, **sets):
        plan = launch(programme(**sets), catalog, 0, 20, planner, False, DATE.fromisoformat(day))
        return plan.base.best.by, dict(answer(plan).rows)[f"by {day}"], plan.base.best

    late, words, best = asked("2026-01-31")
    assert late.launches and late.training <= best.training * (1 + 1e-3) and late.unserved == pytest.approx(0, abs=1e-6)
    assert "to train" in words
    early, words, _ = asked("2025-08-20")
    assert not early.launches and "own first" in early.change and "it takes" in words
    more, words, _ = asked("2025-09-20", models__r2__train__try="ascend")
    assert not more.launches and "more of ascend" in more.change and "a month" in words
    none, words, _ = asked("2025-04-01", models__r2__train__try="own")
    assert not none.launches and none.change is None and "whatever" in words


def test_a_date_outside_the_horizon_is_refused(capsys):
    from tonnage.cli import run

    for day in ("2020-01-01", "soon"):
        assert run(["launch", "examples/r2.yaml", "--by", day]) == 2
        assert "--by" in capsys.readouterr().err


def test_the_answer_has_the_best_plan_and_its_keys(programme, catalog, planner):
    from tonnage.report.launch import answer

    plan = launch(programme(), catalog, 0, 40, planner)
    body = json.loads(json.dumps(plan.to_json()))
    best = body["optimum"]
    assert {"launch", "cost", "gap_days_median", "bottlenecks", "worth", "alternatives"} <= set(best)
    assert {"launch", "linear_programme", "short_a_week_earlier"} <= set(body["base_case"])
    assert best["launch"] == body["base_case"]["linear_programme"]
    titles = {table.title for table in answer(plan).tables}
    assert {"the best plan", "what binds the best plan", "what more is worth to the best plan"} <= titles
    rule = next(item for item in plan.alternatives if item.lever.kind == "without")
    assert rule.best_days >= 0


def test_a_service_alone_launches_when_it_is_carried(story, written):
    text, speeds = stories.SWAP, written(serve=stories.SWAP_SPEEDS)
    setting = story(text, speeds)
    case = explained(setting, play(setting, 0, 0))
    policy = case.game.run().launch[-1][0] / PERIOD
    assert policy - 1 <= case.best.last <= policy
    plan = best_plan(case)
    assert plan.place == "" and plan.launch is not None
    assert {limit.about for limit in plan.limits} >= {"more"}


def test_with_no_date_asked_an_input_error_is_not_raised(programme, catalog, planner):
    with pytest.raises(InputError):
        launch(programme(), catalog, 0, 1, planner)


def test_demand_beyond_the_fleet_has_no_launch_and_says_what_clashes(found):
    case = found(**HUGE)
    assert math.isinf(case.best.last) and case.cheapest is None
    plan = best_plan(case)
    assert plan.launch is None and plan.uses == () and plan.worth == ()
