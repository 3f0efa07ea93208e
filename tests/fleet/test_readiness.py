"""Readiness: what the public record says of a stack, and how attempts are drawn from it."""

from __future__ import annotations

import datetime
from dataclasses import replace

import numpy as np
import pytest

from tonnage.errors import InputError
from tonnage.fleet import launch, pooling
from tonnage.fleet.judged import Judged
from tonnage.fleet.readiness import (
    AT,
    DEBUG,
    completes,
    given,
    kind_of,
    rates,
    readiness,
    record,
)
from tonnage.fleet.record import HALF_LATE, LATE, LIKE_RUNS, ChipKind, PublicRun
from tonnage.fleet.uncertain import parse, point

DATE = datetime.date
DAYS = (DATE(2025, 2, 28), DATE(2025, 6, 26), DATE(2025, 8, 15))


@pytest.fixture
def plan(programme, catalog, planner):
    def make(draws=20, **sets):
        return launch(programme(programme.story, **sets), catalog, 0, draws, planner, False)

    return make


def of(catalog, chip, day, size=1.2e12, sparse=True, place="CN", more=()):
    return readiness(kind_of(catalog, chip), size, sparse, (*record(catalog, day), *more), place)


def a_run(catalog, chip, end, **said):
    kind = kind_of(catalog, chip)
    return replace(PublicRun("more", kind, 1.2e12, 8192, True, end, True, DATE(2025, 1, 1)), **said)


# Ascend 910C and R2


@pytest.mark.parametrize("size", [671e9, 1.2e12, 1.6e12])
def test_ascend_does_not_rise_while_r2_is_overdue_and_is_below_one_half_after_its_failure(catalog, size):
    before, overdue, after = (of(catalog, "ascend-910c", day, size) for day in DAYS)
    assert overdue.probability < before.probability
    assert after.probability < 0.5 < overdue.probability
    assert after.low < 0.1 and 0.75 < after.high < 0.95
    assert "overdue: DeepSeek-R2" in overdue.text and "not completed: DeepSeek-R2" in after.text


def test_it_falls_each_day_without_news(catalog):
    """From the day after the planned date to the day before the next run became public."""
    day, last = DATE(2025, 5, 11), 1.0
    while day < DATE(2025, 6, 16):
        found = of(catalog, "ascend-910c", day).probability
        assert found < last, day
        day, last = day + datetime.timedelta(days=1), found


def test_a_failure_of_this_model_on_this_chip_counts_whole(catalog):
    found = next(
        item for item in of(catalog, "ascend-910c", DAYS[2]).evidence if item.run.name.startswith("DeepSeek-R2")
    )
    assert (found.weight, found.near, found.run.end) == (1.0, 4, "failed")


def test_a_run_whose_chip_was_not_named_bears_on_stacks_in_use_at_its_place_alone(catalog):
    def overdue(chip, place):
        return "DeepSeek-R2" in of(catalog, chip, DAYS[1], place=place).text

    assert overdue("ascend-910c", "CN") and overdue("h800-sxm", "CN")
    assert not overdue("ascend-910c", "") and not overdue("ascend-910c", "US")
    assert not overdue("mlu590", "CN"), "nobody has trained on it in public"


# the record


def test_vendors_have_their_own_record(catalog):
    day = DATE(2026, 11, 29)
    found = {chip: of(catalog, chip, day) for chip in ("h100-sxm", "tpu-v5p", "mi300x", "trainium2", "mlu590")}
    for chip, vendor in (("tpu-v5p", "Google"), ("mi300x", "AMD"), ("trainium2", "AWS")):
        assert {item.run.kind.vendor for item in found[chip].evidence if item.run.completed} == {vendor}
    chances = [item.probability for item in found.values()]
    assert chances == sorted(chances, reverse=True)
    assert found["mlu590"].high - found["mlu590"].low > found["h100-sxm"].high - found["h100-sxm"].low


def test_how_runs_ended_is_read_from_the_record(catalog):
    runs = {run.name: run for run in record(catalog, DATE(2026, 11, 29))}
    assert runs["MPT-30B"].completed, "moved to another chip of the stack, and completed there"
    assert runs["OPT-175B"].completed, "begun again, and completed"
    assert runs["DeepSeek-R2 (never released under that name)"].end == "failed"
    assert runs["Llama 4 Behemoth"].share == 0.25, "left for the quality of the model"
    assert runs["BigScience 104B trial"].share == 1
    assert runs["Pangu Ultra 135B"].share == 0.5, "run by the chip's own maker"
    assert runs["Grok 5"].overdue > 0
    assert runs["Claude (versions not named) on Project Rainier"].overdue == 0, "in use, by the last news"
    assert not any(run.name.startswith("DeepSeek-R1 (RL") for run in runs.values())


def test_a_late_run_is_silent_ever_more_surely(catalog):
    run = a_run(catalog, "h800-sxm", "running")
    assert run.silence == 1
    late = [replace(run, overdue=days).silence for days in (1, HALF_LATE, 10 * HALF_LATE)]
    assert LATE > late[0] > late[1] > late[2]
    assert late[1] == pytest.approx(LATE / 2)


def test_one_that_states_no_day_is_due_when_like_runs_were(catalog):
    said, name = DATE(2023, 5, 11), "OLMo 7B (LUMI twin)"
    days = (0, LIKE_RUNS, LIKE_RUNS + 30)
    found = [{r.name: r for r in record(catalog, said + datetime.timedelta(days=n))}[name] for n in days]
    assert [run.end for run in found] == ["running"] * 3
    assert [run.overdue for run in found] == [0, 0, 30]


def test_one_that_states_a_day_is_due_then(catalog):
    found = {run.name: run for run in record(catalog, DATE(2025, 7, 10))}
    assert found["gpt-oss-120b"].overdue == 10, "June 2025"
    assert found["DeepSeek-R2 (never released under that name)"].overdue == 61


# more evidence


@pytest.mark.parametrize("chip", ["ascend-910c", "ascend-910b", "h800-sxm", "tpu-v5p", "mi300x"])
@pytest.mark.parametrize("size", [7e9, 1.2e12])
def test_a_success_never_lowers_and_a_failure_never_raises_a_readiness_anywhere(catalog, chip, size):
    day = DATE(2025, 6, 26)
    for said in ({}, {"ahead": False}, {"share": 0.5}, {"params": None, "chips": None}, {"sparse": False}):
        for asked in ("ascend-910c", "h800-sxm", "mlu590"):
            now = of(catalog, asked, day, size)
            good = of(catalog, asked, day, size, more=[a_run(catalog, chip, "completed", **said)])
            bad = of(catalog, asked, day, size, more=[a_run(catalog, chip, "failed", **said)])
            late = of(catalog, asked, day, size, more=[a_run(catalog, chip, "running", overdue=30.0, **said)])
            assert np.all(np.array(good.quantiles) >= np.array(now.quantiles) - 1e-12)
            assert np.all(np.array(bad.quantiles) <= np.array(now.quantiles) + 1e-12)
            assert np.all(np.array(late.quantiles) <= np.array(now.quantiles) + 1e-12)


@pytest.mark.parametrize("chip", ["ascend-910c", "h800-sxm", "mi250x", "mi300x", "kunlun-p800"])
@pytest.mark.parametrize("day", [DATE(2024, 11, 29), DATE(2025, 6, 26), DATE(2026, 3, 1)])
def test_a_later_day_without_new_facts_never_raises_a_readiness(catalog, chip, day):
    """The same record, its overdue runs so many days later."""
    runs = record(catalog, day)
    last = 1.0
    for days in (0, 10, 60, 400):
        older = tuple(replace(run, overdue=run.overdue + days) if run.overdue else run for run in runs)
        found = readiness(kind_of(catalog, chip), 1.2e12, True, older, "CN").probability
        assert found <= last
        last = found


def test_what_is_announced_says_more_than_what_became_known_by_its_success(catalog):
    now = of(catalog, "ascend-910c", DAYS[0]).probability
    told, by_result = (
        of(catalog, "ascend-910c", DAYS[0], more=[a_run(catalog, "ascend-910c", "completed", ahead=ahead)]).probability
        for ahead in (True, False)
    )
    assert now < by_result < told


def test_a_verdict_of_ones_own_is_evidence(catalog, plan):
    kind, runs = kind_of(catalog, "ascend-910c"), record(catalog, DAYS[0])
    verdicts = ("unfit", "inference only", None, "fit")
    found = [readiness(kind, 1.2e12, True, runs, "CN", verdict and Judged(verdict)).probability for verdict in verdicts]
    assert found == sorted(found) and len(set(found)) == 4
    said = plan(assumptions__verdicts="{ascend: inference only}")
    assert "own trials: inference only" in said.readiness["r2: ascend"].text
    assert said.readiness["r2: ascend"].probability < plan().readiness["r2: ascend"].probability


def test_a_verdict_that_is_none_is_refused(plan):
    with pytest.raises(InputError, match="verdicts"):
        plan(assumptions__verdicts="{ascend: maybe}")
    with pytest.raises(InputError, match="verdicts"):
        plan(assumptions__verdicts="fit")


def test_a_chip_may_be_called_by_any_of_its_names(plan):
    assert plan(assumptions__readiness="{910c: 5 %}").readiness["r2: ascend"].probability == 0.05


# pooling


def test_pooling_is_exact_where_it_can_be_done_by_hand():
    """One level whose children are as their parent: a Beta posterior."""
    good, bad = np.log(pooling.GRID), np.log1p(-pooling.GRID)
    found = pooling.posterior({("a",): 7 * good + 3 * bad}, ("a",), (1e6,), (1.0, 1.0))
    assert float(found @ pooling.GRID) == pytest.approx(8 / 12, abs=0.003)


def test_children_of_one_parent_borrow_from_each_other_and_from_nobody_as_much_as_from_themselves():
    seen = {("a",): 20 * np.log(pooling.GRID)}
    own, other = (pooling.posterior(seen, (name,), (4.0,), (1.0, 1.0)) @ pooling.GRID for name in "ab")
    none = pooling.posterior({}, ("b",), (4.0,), (1.0, 1.0)) @ pooling.GRID
    assert none == pytest.approx(0.5, abs=1e-6)
    assert none + 0.05 < other < own - 0.05


# draws


def test_a_place_that_becomes_more_ready_never_loses_a_draw_in_which_it_completed(catalog):
    less, more = of(catalog, "ascend-910c", DAYS[2]), of(catalog, "ascend-910c", DAYS[0])
    sure = given(kind_of(catalog, "ascend-910c"), point(1.0, "100 %"))
    won = [completes(rates(found, 3, 500), 3, "r2.ascend", 500) for found in (less, more, sure)]
    assert not (won[0] & ~won[1]).any() and not (won[1] & ~won[2]).any()
    assert won[0].sum() < won[1].sum() < won[2].sum() == 500


def test_attempts_on_one_stack_share_its_rate(catalog):
    found, draws = of(catalog, "ascend-910c", DAYS[0]), 20_000
    rate = rates(found, 0, draws)
    first, second = (completes(rate, 0, name, draws) for name in ("r2.ascend", "r2.ascend (attempt 2)"))
    assert first.mean() == pytest.approx(found.probability, abs=0.01)
    assert second.mean() == pytest.approx(found.probability, abs=0.01)
    assert second[~first].mean() < second.mean() - 0.15
    other = rates(of(catalog, "h800-sxm", DAYS[0]), 0, draws)
    kin = rates(of(catalog, "ascend-910b", DAYS[0]), 0, draws)
    assert abs(np.corrcoef(rate, other)[0, 1]) < 0.05 and np.corrcoef(rate, kin)[0, 1] > 0.9


def test_the_base_case_takes_the_probability(catalog):
    found = of(catalog, "ascend-910c", DAYS[0])
    assert list(rates(found, 0, 0)) == [found.probability]
    assert completes(rates(found, 0, 0), 0, "x", 0).all() and not completes(0.4, 0, "x", 0).any()


def test_a_share_that_a_programme_states_as_a_range_is_drawn():
    found = given(ChipKind("x", "", "", ""), parse("20 % to 60 %", "share"))
    rate = rates(found, 1, 1000)
    assert (found.low, found.high) == pytest.approx((0.2, 0.6))
    assert np.quantile(rate, 0.05) == pytest.approx(0.2, abs=0.02) and np.median(rate) == pytest.approx(0.37, abs=0.02)


def test_a_failure_takes_months():
    low, high = parse(DEBUG, "time").interval
    assert (low, high) == pytest.approx((75 * 86400, 350 * 86400))
    assert len(AT) == 40
