"""What the policy knows by a period, and that it uses nothing else: deliveries that slip, rules, speeds, failures."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tonnage.fleet import launch
from tonnage.fleet.expected import outlook
from tonnage.fleet.hindsight import behind
from tonnage.fleet.programme import Programme
from tonnage.fleet.setting import only, play, settle
from tonnage.fleet.words import behind as in_words

TWO = """
name: two
start: 2025-01-06
horizon: 2 years
place: US
fleet:
  - {lot: own, chip: h100-sxm, count: 512, tenure: owned, price: $2/h}
  - {lot: late, chip: h200, count: 4096, price: $3/h, from: 2025-02-03 to 2025-06-02}
models: {m: {model: llama-3.1-8b, train: {stages: [{pretrain: 8T}]}}}
assumptions: {slip: 1.2 to 3, readiness: {h100-sxm: 90 %, h200-sxm: 90 %}}
"""


@pytest.fixture
def two(programme, catalog, written):
    def make(text=TWO, wide=1.5, **sets):
        speeds = written(train={"h100-sxm": 1000.0, "h200-sxm": 1000.0}, wide=wide)
        return settle(programme(text, **sets), catalog, speeds)

    return make


def free(programme: Programme) -> Programme:
    """The programme with no order of places."""
    last = programme.models[-1]
    training = replace(last.training, chosen=False)
    return replace(programme, models=(*programme.models[:-1], replace(last, training=training)))


def test_a_lot_that_has_not_come_is_expected_later_week_by_week(two):
    setting = two()
    world = play(setting, 0, 200).world
    lot = world.outlook.lots[1]
    first = [int(np.argmax(row > 0)) for row in lot.before]
    assert first[0] == 13  # the middle of 2025-02-03 and 2025-06-02 is 2025-04-04, after the middle of week 12
    assert all(a <= b for a, b in itertools.pairwise(first))
    assert all(day > now for now, day in enumerate(first)) and first[-1] > first[0]
    assert world.outlook.lots[0].before.shape[0] == 0, "what is in hand is known"
    came = lot.begins
    assert np.array_equal(came, (world.whole[:, :, 1] > 0).argmax(axis=1))


def test_nothing_that_comes_later_moves_what_is_done_before(two):
    """Draws that differ in a later delivery alone do the same until it comes, or does not on the day expected."""
    setting = two(TWO.replace("slip: 1.2 to 3", "slip: 2").replace("90 %", "100 %"), wide=1.0)
    game = play(setting, 0, 40)
    begins = game.world.outlook.lots[1].begins
    order = np.argsort(begins)
    early, late = int(order[0]), int(order[-1])
    until = int(begins[early])
    assert until + 4 < begins[late]
    uses = [only(game, i).run(record=True).uses for i in (early, late)]
    assert uses[0][:until] == uses[1][:until] and uses[0][until] != uses[1][until]


def test_a_run_leaves_a_place_that_turns_out_slow_once_it_knows(two):
    """Its speed is seen from the first week on it, not before: all draws begin alike, the slow ones move."""
    text = TWO.replace("from: 2025-02-03 to 2025-06-02", "from: 2025-01-06").replace("count: 4096", "count: 600")
    text = text.replace("90 %", "100 %").replace("slip: 1.2 to 3", "slip: 1")
    game = play(two(text, wide=3.0), 0, 60)
    factor = game.projects[0].attempts[0].speeds[0].factor
    first = {next(iter(sorted(lot for lot, _ in only(game, i).run(record=True).uses[0]))) for i in range(8)}
    assert first == {"late"}, "more of them, and as fast by the prediction"
    result = game.run()
    moved = sum(value for cause, value in result.causes.items() if cause.kind == "moves") > 0
    theirs = next(a for a in game.projects[0].attempts if a.name == "h200-sxm").speeds[0].factor
    assert 0.1 < moved.mean() < 0.9 and theirs[moved].mean() < theirs[~moved].mean() and factor.size == 60


def test_a_rule_is_known_from_its_day(programme, catalog, planner):
    story = free(programme())
    setting = settle(story, catalog, planner)
    lot = play(setting, 0, 20).world.outlook.lots[1]
    turn = lot.turns[0]
    assert turn == 5  # 2025-04-09
    before, after = lot.after[0][0], play(setting, 0, 20).world.whole[0, :, 1]
    assert np.array_equal(before[: turn + 1], after[: turn + 1]) and before[-1] > 3 * after[-1]
    known = settle(free(programme(programme.story + "rules: {known-at: 2025-05-01}\n")), catalog, planner)
    assert play(known, 0, 20).world.outlook.lots[1].turns == ()


def test_power_and_a_lot_that_is_left_away_count_in_what_is_expected(two):
    setting = two()
    game = play(setting, 0, 20)
    seen = outlook(setting.programme, setting.calendars, game.world)
    place, rows = np.array([False, True]), np.arange(20)
    away = np.zeros((20, 2), dtype=bool)
    away[3, 1] = True
    there = replace(seen, away=away).there(game.world.whole, place, (1,), (False,), 0, rows)
    assert there[3].max() == 0 and there[4].max() == 4096


def test_the_policy_re_planned_over_a_hundred_draws(programme, catalog, planner):
    """Never ahead of the best plan of the same draw; median gap under five days."""
    one = play(settle(free(programme()), catalog, planner), 0, 100)
    found = behind(one, one.run().launch)
    assert found.draws > 80 and found.ahead < 1e-3
    assert found.median < 5 and found.p90 >= found.median
    days = one.run().launch[-1]
    assert found.never == pytest.approx(np.isinf(days).mean(), abs=0.03)
    assert f"in {100 * found.never:.0f} % of them it never launches" in in_words(found)


def test_what_re_planning_gains_is_said(programme, catalog, planner):
    from tonnage.report.launch import answer

    plan = launch(programme(), catalog, 0, 100, planner)
    item = next(item for item in plan.alternatives if item.key == "replan:r2")
    assert item.shift < -20
    own = next(item for item in plan.alternatives if item.key == "train:r2:own")
    assert item.shift <= own.shift + 10
    assert f"P50 {item.launch.p50}" in dict(answer(plan).rows)["re-planned"]
    without = launch(free(programme()), catalog, 0, 20, planner)
    assert not any(item.lever.kind == "replan" for item in without.alternatives)
