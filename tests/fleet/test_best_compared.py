"""What the best plan is held to: the world of the policy, with busy lots, most accelerators of a place, power, later
weeks; and what it is not held to, which is said."""

from __future__ import annotations

import datetime
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_best import game

from tonnage import fleet
from tonnage.ask.again import asked_again
from tonnage.fleet import launch
from tonnage.fleet.explain import explained
from tonnage.fleet.hindsight import best_day, first_day
from tonnage.fleet.optimum_case import best_launch
from tonnage.fleet.plan import from_json
from tonnage.fleet.setting import play, settle
from tonnage.report import launch_best
from tonnage.report.envelope import plain
from tonnage.report.launch import answer
from tonnage.units import DAY


@pytest.fixture
def planned(programme, catalog, planner):
    def make(by=None, what_if=False, **sets):
        return launch(programme(**sets), catalog, 0, 20, planner, what_if, by)

    return make


def harder(seed):
    """A random programme with lots that are busy more and more, also after the horizon, and limits of places."""
    rng = np.random.default_rng(seed + 99)
    one = game(seed)
    periods, lots = one.world.available.shape[1:]
    free = 1 - np.clip(np.outer(np.arange(periods + 20), rng.uniform(0, 0.02, lots)) + rng.uniform(0, 0.5, lots), 0, 1)
    whole = np.concatenate([one.world.available, np.repeat(one.world.available[:, -1:], 20, axis=1)], axis=1) * free
    world = replace(one.world, available=whole[:, :periods], later=whole[:, periods:])
    found = []
    for project in one.projects:
        limits = {a.name: float(rng.choice([math.inf, rng.uniform(20, 2000)])) for a in project.attempts}
        chance = {a.name: float(rng.uniform(0.2, 1)) for a in project.attempts}
        attempts = tuple(replace(a, limit=limits[a.name], chance=chance[a.name]) for a in project.attempts)
        found.append(replace(project, attempts=attempts, first=np.array([0.1])))
    return replace(one, world=world, projects=tuple(found))


@given(st.integers(0, 100_000))
@settings(max_examples=200)
def test_the_policy_is_never_ahead_on_busy_lots_with_limits_of_places(seed):
    one = harder(seed)
    result = one.run()
    policy = result.launch[-1][0] / DAY
    assert math.isinf(policy) or best_day(one, result.launch) <= policy + 1e-4


def test_a_limit_of_a_place_holds_the_best_plan_too(catalog, planner, programme):
    setting = settle(programme(models__r2__train__try="ascend"), catalog, planner)
    one = play(setting, 0, 0)
    attempts = tuple(replace(a, limit=2000.0, completes=np.array([True])) for a in one.projects[0].attempts)
    bound = replace(one, projects=(replace(one.projects[0], attempts=attempts),))
    late, limited = best_launch(bound), explained(setting, bound)
    assert late.last > best_launch(one).last
    column = one.world.lots.index("ascend")
    assert limited.cheapest is not None
    assert 1000 < limited.cheapest.training[0, column].max() <= 2000 * (1 + 1e-6)


def test_a_busy_lot_leaves_the_best_plan_what_others_leave(catalog, planner, programme):
    free, busy = (
        explained(found := settle(programme(**sets), catalog, planner), play(found, 0, 0))
        for sets in ({}, {"fleet__ascend__busy": "50 %"})
    )
    column = free.game.world.lots.index("ascend")
    there, left = (one.best.ready.problem.capacity[:, column].max() for one in (free, busy))
    assert left == pytest.approx(0.5 * there)
    assert busy.best.last > free.best.last


def test_power_is_kept_by_what_is_added_too(planned):
    free, bound = planned(), planned(power="6 MW")
    assert bound.base.best.not_kept == () and free.base.best.not_kept == ()
    assert ("power", "") in {(limit.kind, limit.about) for limit in bound.base.best.limits}
    assert all(limit.kind != "count" for limit in bound.base.best.limits)
    assert bound.base.best.launch is None or bound.base.best.launch >= free.base.best.launch
    assert max((use.accelerators for use in bound.base.best.uses), default=0) < 6e6 / 300
    assert bound.hindsight is None or bound.hindsight.ahead < 1e-3
    both = planned(power="6 MW", budget="$1B")
    assert both.base.best.not_kept == ("power",)
    assert "find power" in " ".join(text for _, text in answer(both).rows)


def test_a_budget_is_kept_by_the_best_plan_and_the_policy_is_compared_within_it(planned):
    """The order of places is of the lots that are signed for, so that a run may go on where none of the first are."""
    bound = planned(budget="$70M")
    assert bound.base.best.not_kept == () and bound.base.best.signed <= 7e7
    assert bound.hindsight.ahead < 1e-3 and bound.hindsight.draws > 10
    assert bound.base.best.launch < planned().base.best.launch
    none = planned(budget="$1M").base.best
    assert none.launch is None and [limit.kind for limit in none.conflict] == ["budget"]


def test_a_budget_is_kept_with_the_other_lots_where_one_has_no_price(planned):
    bound = planned(budget="$1B", place="US", models__r2__train__try="own")
    assert bound.base.best.not_kept == ("budget",) and bound.base.best.signed is None
    body = json.loads(json.dumps(plain(bound.to_json())))
    assert body["optimum"]["not_kept"] == ["budget"]
    assert "has no price" in " ".join(text for _, text in answer(bound).rows)


def test_the_date_that_was_asked_for_is_kept_and_asked_again(planned, catalog, monkeypatch):
    day = datetime.date(2026, 1, 31)
    plan = planned(day)
    body = plain({"command": "launch", **plan.to_json()})
    assert from_json(json.loads(json.dumps(body))) == plan and plan.by == day

    def again(asked, catalog, seed, draws, what_if, by, sobol_base, reasons):
        return replace(plan, name=f"{asked.name} by {by}")

    monkeypatch.setattr(fleet, "launch", again)
    assert asked_again(body, catalog)["name"] == f"story by {day}"


def test_a_rule_without_which_alone_there_is_a_launch_is_said_so(planned):
    (rule,) = (item for item in planned(what_if=True).alternatives if item.lever.kind == "without")
    plan = planned()
    for days, said in ((math.inf, "only without it does the best plan launch"), (21.0, "costs the best plan 3 weeks")):
        told = launch_best.rows(replace(plan, alternatives=(replace(rule, best_days=days),)))
        assert any(text.endswith(said) for _, text in told)
    body = plain(replace(plan, alternatives=(replace(rule, best_days=math.inf),)).to_json())
    assert body["alternatives"][0]["best_days_earlier"] is None


@given(st.integers(0, 100_000))
@settings(max_examples=60)
def test_first_users_of_the_policy_are_never_before_those_of_the_best_plan(seed):
    one = harder(seed)
    result = one.run()
    policy = result.first[-1][0] / DAY
    assert math.isinf(policy) or first_day(one, result.launch) <= policy + 1e-4


def test_first_users_are_compared_where_they_come_before_the_launch(planned):
    """Of r2 they come with the first chips on which a tenth of its demand fits; the launch waits for more."""
    late = {"fleet__cloud__from": "2025-12-01", "fleet__own__count": "3000", "models__r2__serve__surge": "7"}
    late |= {"fleet__cloud__chip": "ascend-910c", "models__r1__serve__growth": "0 %"}
    part = planned(models__r2__train__try="ascend", **late)
    best, gap = part.base.best, part.hindsight
    assert best.first_users < best.launch
    assert gap.first is not None and gap.first >= -1e-3
    text = " ".join(text for _, text in answer(part).rows)
    assert f"first users {best.first_users}" in text and "; first users" in text
    body = json.loads(json.dumps(part.to_json()))["optimum"]
    assert body["first_users"] == str(best.first_users) and body["gap_days_first_users"] == gap.first
