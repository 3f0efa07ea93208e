"""Days and shares of variance of programmes whose answer is known without playing them."""

from __future__ import annotations

import dataclasses
import json
import math
from statistics import NormalDist

import numpy as np
import pytest

from tonnage.errors import InputError
from tonnage.fleet import launch, sobol
from tonnage.fleet.plan import from_json
from tonnage.report import launch_sobol

DELIVERY = (151.0, 334.0)
"""Days from 2025-01-01 to 2025-06-01 and to 2025-12-01."""
TOKENS, SPREAD = 3e12, 0.4
SPEED = 200 * 1000.0
"""Of the run [token/s]."""

RUN = f"""
name: one run
start: 2025-01-01
horizon: 60 months
place: US
fleet:
  - {{lot: own, chip: h100-sxm, count: 200, from: "uniform(2025-06-01, 2025-12-01)", price: $2/h}}
models:
  new:
    model: deepseek-v3
    train: {{stages: [{{pretrain: "lognormal({TOKENS / 1e12:g}T tokens, {SPREAD})"}}], try: [own]}}
assumptions: {{slip: 1, give_up: 50 %, debug: 1 hour, readiness: {{own: 100 %}}}}
"""


@pytest.fixture
def plan(programme, catalog, written):
    """A function: the plan of the run, changed and asked as told."""
    sure = written(train={"h100-sxm": 1000.0}, wide=1.0)

    def make(text=RUN, draws=20, seed=0, sobol_base=0, **sets):
        return launch(programme(text, **sets), catalog, seed, draws, sure, what_if=False, sobol_base=sobol_base)

    return make


def cells(n=2000):
    """Delivery [day] and length of the run [day] in the middles of n equally likely cells each."""
    middle = (np.arange(n) + 0.5) / n
    length = [TOKENS * math.exp(SPREAD * NormalDist().inv_cdf(p)) / SPEED / 86400 for p in middle]
    return DELIVERY[0] + (DELIVERY[1] - DELIVERY[0]) * middle, np.array(length)


def test_the_days_of_a_sum_of_two_known_inputs_are_within_2_percent(plan):
    """Delivery is uniform, the run lognormal, nothing else binds: the launch is their sum, here by convolution."""
    exact = np.quantile(np.add.outer(*cells()), [0.1, 0.5, 0.9])
    found = plan(draws=10_000)
    days = [(day - found.start).days for day in (found.launch.p10, found.launch.p50, found.launch.p90)]
    assert days == pytest.approx(exact, rel=0.02)


def test_the_standard_error_covers_the_spread_over_seeds(plan):
    """Latin hypercube draws are no worse than independent ones, whose error is the one that is printed."""
    plans = [plan(draws=500, seed=seed) for seed in range(20)]
    for name in ("p10", "p50", "p90"):
        spread = np.std([getattr(one.launch, name).toordinal() for one in plans], ddof=1)
        printed = np.mean([getattr(one.errors, name) for one in plans])
        assert 0.2 * printed < spread < 1.25 * printed


def test_indices_of_a_sum_are_its_shares_of_variance(plan):
    """Without interactions first and total index are both the input's share of the variance."""
    delivery, length = cells()
    known = delivery.var() / (delivery.var() + length.var())
    found = {item.name: item for item in plan(sobol_base=2048).sobol}
    for name, share in (("fleet.own.from", known), ("models.new.train.stages.0.pretrain", 1 - known)):
        item = found.pop(name)
        assert item.first == pytest.approx(share, abs=0.05) and item.total == pytest.approx(share, abs=0.05)
        assert item.first_low < item.first < item.first_high and item.total_low < item.total < item.total_high
        assert item.first_high - item.first_low < 0.2
    assert all(item.first == item.total == 0 for item in found.values())


def test_indices_of_a_function_with_interactions():
    """Ishigami's function, whose indices are known: first 0.314, 0.442, 0; total 0.558, 0.442, 0.244."""
    n = 4096
    one, two = np.random.default_rng(1).uniform(-np.pi, np.pi, (2, 3, n))
    blocks = [one, two, *(np.where(np.arange(3)[:, None] == i, two, one) for i in range(3))]
    value = np.array([np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x) for x, y, z in blocks])
    first, total = sobol.estimate(value, np.full((1, n), 1 / n))
    assert first[0] == pytest.approx([0.314, 0.442, 0], abs=0.05)
    assert total[0] == pytest.approx([0.558, 0.442, 0.244], abs=0.05)


def test_indices_of_a_programme_fit_together(programme, catalog, planner):
    found = launch(programme(), catalog, 1, 20, planner, what_if=False, sobol_base=256).sobol
    assert sum(item.first for item in found) < 1.25
    assert all(item.total_high + 0.01 > item.first_low and item.total >= 0 for item in found)
    assert [item.total for item in found] == sorted((item.total for item in found), reverse=True)
    assert all(item.text for item in found if item.total > 0)


def test_correlated_inputs_are_one(plan):
    names = "fleet.own.from", "models.new.train.stages.0.pretrain"
    tied = f"{RUN}correlations: [{{between: [{', '.join(names)}], r: 0.8}}]\n"
    found = plan(tied, sobol_base=256).sobol
    assert {*found[0].name.split(" + ")} == {*names}
    assert found[0].first == pytest.approx(1, abs=0.15) and found[0].total == pytest.approx(1, abs=0.15)


def test_a_launch_after_the_horizon_counts_as_one_on_its_last_day(plan):
    """Deliveries before 2025-06-01 do not happen: within five months nothing launches and nothing varies."""
    assert plan(sobol_base=16, horizon="5 months").sobol == ()
    short = plan(sobol_base=1024, horizon="15 months").sobol
    assert 0 < sum(item.first for item in short) < 1.1
    assert all(np.isfinite(dataclasses.astuple(item)[1:-1]).all() for item in short)


def test_nothing_else_changes_where_indices_are_asked_for(plan):
    with_, without = plan(sobol_base=16), plan()
    assert without.sobol == () and with_.sobol
    assert dataclasses.replace(with_, sobol=(), sobol_base=0) == without
    assert from_json(json.loads(json.dumps(with_.to_json()))) == with_
    assert plan(sobol_base=16) == with_


def test_the_table_of_indices(plan):
    shown = launch_sobol.table(plan(sobol_base=256))
    assert shown.title == "share of the variance of the launch day" and len(shown.rows) == 2
    assert all("%" in share for row in shown.rows for share in row[2:])
    assert launch_sobol.table(plan()).rows == ()


@pytest.mark.parametrize("base", [-1, 1, 15, 5000])
def test_a_base_sample_that_is_not_taken(plan, base):
    with pytest.raises(InputError, match="from 16 to 4,096"):
        plan(sobol_base=base)


def test_a_number_of_draws_that_leaves_one_draw_to_the_last_part(programme, catalog, planner):
    """Inputs that do not vary in a part of the draws are inputs all the same."""
    assert launch(programme(), catalog, 0, 2001, planner, what_if=False).draws == 2001
