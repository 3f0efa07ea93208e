"""The forecast says what can be worked out by hand, agrees with the linear programme, and moves the right way."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.fleet.allocate import Sharing, share
from tonnage.fleet.allocation import AllocationProblem
from tonnage.fleet.causes import Cause
from tonnage.fleet.forecast import needs
from tonnage.fleet.optimum import most_demand
from tonnage.fleet.setting import play, settle
from tonnage.fleet.sizes import LADDER, round_size

DAY = 86400

ALONE = """
name: alone
start: 2025-01-06
horizon: 1 year
place: US
fleet: [{lot: own, chip: h100-sxm, count: 1024, tenure: owned}]
models:
  m:
    model: llama-3.1-8b
    train: {stages: [{pretrain: 4T}, {pause: 2 weeks}]}
    good_enough: {rounds: 2, each: 10 days}
assumptions: {slip: 1, readiness: {own: 100 %}}
"""


def launch_days(setting, draws=200, seed=3):
    return play(setting, seed, draws).run().launch[-1] / DAY


@pytest.fixture
def story(programme, catalog, planner):
    def make(text=None, speeds=planner, **sets):
        return settle(programme(text or programme.story, **sets), catalog, speeds)

    return make


def test_a_run_alone_takes_tokens_over_speed(story, written):
    setting = story(ALONE, written(train={"h100-sxm": 1000.0}))
    launch = play(setting, 0, 0).run().launch[0][0]
    assert launch == pytest.approx(4e12 / (1024 * 1000.0) + 14 * DAY + 2 * 10 * DAY, rel=1e-9)


def test_a_failing_run_costs_its_share_and_begins_anew_elsewhere(story, written):
    text = ALONE.replace("fleet: [", "fleet: [{lot: other, chip: h200, count: 1024, price: $2/h}, ")
    text = text.replace("{stages:", "{try: [other, own], stages:")
    text = text.replace(
        "{slip: 1, readiness: {own: 100 %}}", "{slip: 1, give_up: 50 %, debug: 1 hour, readiness: {own: 1, other: 0}}"
    )
    setting = story(text, written(train={"h100-sxm": 1000.0, "h200-sxm": 2000.0}))
    result = play(setting, 0, 0).run()
    failed = 0.5 * 4e12 / (1024 * 2000.0) + 3600
    assert result.causes[Cause("failed_attempt", "m", "other")][0] == pytest.approx(failed)
    alone = 4e12 / (1024 * 1000.0) + 14 * DAY + 2 * 10 * DAY
    assert result.launch[0][0] == pytest.approx(alone + failed)
    price = 2 / 3600
    paid = failed * 1024 * price
    assert result.training_cost[0] >= paid


def test_time_on_the_way_adds_up_to_the_launch(story):
    game = play(story(), 1, 300)
    result = game.run()
    done = np.isfinite(result.launch[0])
    total = sum(result.causes.values())
    assert done.mean() > 0.5
    assert total[done] == pytest.approx(result.launch[0][done], rel=1e-9)


def test_services_move_and_nothing_is_lost(story):
    game = play(story(), 1, 50)
    before = needs(game.services, game.projects, np.full(50, 30 * DAY), (np.full(50, np.inf),))
    after = needs(game.services, game.projects, np.full(50, 200 * DAY), (np.full(50, 100 * DAY),))
    flat = needs(game.services, game.projects, np.full(50, 200 * DAY), (np.full(50, np.inf),))
    assert np.all(before[:, 1] == 0) and np.all(after[:, 1] > 0)
    assert after.sum(axis=1) == pytest.approx(flat.sum(axis=1))


@pytest.mark.parametrize("key", ["fleet__ascend__count", "fleet__own__count", "fleet__cloud__count"])
def test_more_chips_are_never_later(story, key):
    few = {"fleet__ascend__count": "9000", "fleet__own__count": "5000", "fleet__cloud__count": "12000"}
    base = launch_days(story(**few))
    more = launch_days(story(**{**few, key: str(int(few[key]) * 2)}))
    assert np.all(more <= base + 7)
    assert np.mean(more) <= np.mean(base) + 1e-9


def test_earlier_delivery_is_never_later(story):
    late = launch_days(story(fleet__ascend__from="2025-07-01"))
    early = launch_days(story(fleet__ascend__from="2025-05-01"))
    both = np.isfinite(late)
    assert np.all(early[both] <= late[both] + 1e-9)
    assert np.isfinite(early).mean() >= both.mean()


def test_more_demand_is_never_earlier(story):
    low = launch_days(story(models__r1__serve__output_tokens="168B/day"))
    high = launch_days(story(models__r1__serve__output_tokens="500B/day"))
    assert np.all(high >= low - 1e-9)
    assert np.mean(np.isfinite(high)) < np.mean(np.isfinite(low))


def test_faster_chips_are_never_later(story, written):
    speeds = {"serve": {"h800-sxm": 0.8, "h20-96gb": 0.3, "ascend-910c": 0.6}}
    trains = {"h800-sxm": 900.0, "ascend-910c": 600.0}
    slow = launch_days(story(None, written(**speeds, train=trains)))
    fast = launch_days(story(None, written(**speeds, train={k: 2 * v for k, v in trains.items()})))
    assert np.all(fast <= slow + 1e-9)


def test_a_surer_place_is_never_later(story):
    unsure = launch_days(story(assumptions__readiness="{ascend: 20 %, own: 90 %}", assumptions__slip="1"))
    sure = launch_days(story(assumptions__readiness="{ascend: 95 %, own: 90 %}", assumptions__slip="1"))
    assert np.mean(sure <= unsure + 1e-9) > 0.6
    assert np.median(sure) <= np.median(unsure)


def test_the_same_seed_gives_the_same_draws_and_another_does_not(story):
    setting = story()
    one, two, other = (launch_days(setting, 100, seed) for seed in (5, 5, 6))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_deliveries_stop_on_the_day_of_the_rule(story):
    game = play(story(fleet__cloud__count="26000"), 0, 0)
    column = game.world.lots.index("cloud")
    there = game.world.available[0, :, column]
    assert there.max() == pytest.approx(26000 * 39 / 182, abs=1)
    free = play(story(fleet__cloud__count="26000", rules="without us_2025_04_09_h20_letter"), 0, 0)
    assert free.world.available[0, :, column].max() == pytest.approx(26000)


def test_a_chip_that_could_never_come_is_not_there(story):
    text = ALONE.replace("place: US", "place: CN").replace("tenure: owned}", "price: $2/h, from: 2025-02-01}")
    game = play(story(text), 0, 0)
    assert game.world.available.max() == 0


# the quick rule against the linear programme


@given(st.integers(0, 10_000))
def test_two_services_are_placed_whenever_the_linear_programme_can(seed):
    rng = np.random.default_rng(seed)
    capacity = rng.uniform(0, 100, (1, 4))
    rate = rng.uniform(0.05, 2, (1, 2, 4)) * (rng.uniform(size=(1, 2, 4)) > 0.2)
    need = rng.uniform(0, 120, (1, 2))
    _, short = share(capacity, need, rate, np.ones((1, 4)), np.zeros((1, 4), dtype=bool))
    case = AllocationProblem(capacity, need.T, rate[0], np.ones(4))
    if short.sum() <= 1e-9:
        assert most_demand(case) == pytest.approx(1.0, abs=1e-6)
    elif need.sum() > 0:
        assert most_demand(replace(case, need=case.need * 1.02)) < 1.0


@given(st.integers(0, 10_000))
def test_nothing_is_used_that_is_not_there(seed):
    rng = np.random.default_rng(seed)
    capacity, rate = rng.uniform(0, 100, (5, 3)), rng.uniform(0, 2, (5, 3, 3))
    need = rng.uniform(0, 100, (5, 3))
    used, short = share(capacity, need, rate, rng.uniform(0, 1, (5, 3)), rng.uniform(size=(5, 3)) > 0.5)
    assert np.all(used >= 0) and np.all(used.sum(axis=1) <= capacity + 1e-9)
    assert (used * rate).sum(axis=2) + short == pytest.approx(need)


def test_sizes_of_runs():
    assert [round_size(n) for n in (1, 2, 7, 100, 1000, 10_000)] == [1, 2, 7, 96, 896, 9216]
    assert all(b == 4 * a for a, b in itertools.pairwise(LADDER)) and LADDER[0] == 2


def test_the_order_of_lots_is_kept_from_period_to_period_to_the_bit():
    """`Sharing` is `share` in every period, whichever draws are asked for and whatever changed since."""
    chance = np.random.default_rng(5)
    rate = np.where(chance.random((40, 3, 5)) < 0.2, 0.0, chance.random((40, 3, 5)))
    price = np.where(chance.random((40, 5)) < 0.1, np.nan, chance.random((40, 5)))
    kept = Sharing(rate, price)
    for period in range(12):
        at = None if period % 3 == 0 else np.flatnonzero(chance.random(40) < 0.6)
        rows = np.arange(40) if at is None else at
        capacity = 9 * chance.random((rows.size, 5))
        need = np.where(chance.random((rows.size, 3)) < 0.3, 0.0, 5 * chance.random((rows.size, 3)))
        last = chance.random((rows.size, 5)) < 0.3
        before = capacity.copy()
        found = kept.share(capacity, need, last, at)
        expected = share(capacity, need, rate[rows], price[rows], last)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True))
        assert capacity.tobytes() == before.tobytes()
