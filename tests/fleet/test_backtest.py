"""Scores of launch dates, the rival, and that each programme of the back-test knows nothing of later days."""

from __future__ import annotations

import datetime
import math
import re
from pathlib import Path

import numpy as np
import pytest

from tonnage.fleet import backtest, read_programme
from tonnage.fleet.backtest import LIMIT, Delay, Event, crps, curve, inside, percentile, rival, survival

DATE = datetime.date
START = DATE(2025, 1, 1)
ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("examples/r2-backtest/*.yaml"), *ROOT.glob("examples/launches-backtest/*.yaml")])


def event(days, known=None):
    day = None if days is None else START + datetime.timedelta(days=days)
    return Event("x", day, day or START + datetime.timedelta(days=known))


# scores


def test_a_sure_and_right_date_scores_nothing_and_each_day_off_a_day():
    assert crps(curve([100]), event(100), START) == 0
    assert crps(curve([100]), event(90), START) == 10
    assert crps(curve([100]), event(115), START) == 15


def test_an_even_chance_of_two_dates_scores_a_quarter_of_each_gap():
    assert crps(curve([50, 150]), event(100), START) == 50 / 4 + 50 / 4


def test_a_draw_that_never_launches_leaves_the_curve_below_one():
    half = curve([100, math.inf])
    assert half[-1] == 0.5
    assert crps(half, event(100), START) == (LIMIT - 99) / 4
    assert crps(half, event(None, 10_000), START) == (LIMIT - 99) / 4
    assert crps(curve([math.inf]), event(None, 10_000), START) == 0
    assert crps(curve([math.inf]), event(100), START) == LIMIT - 99


def test_an_open_event_is_scored_to_the_day_to_which_it_is_known():
    assert crps(curve([100]), event(None, 100), START) == 1
    assert crps(curve([100]), event(None, 99), START) == 0


def test_the_score_is_proper():
    """No forecast does better on average than the truth itself, never included."""
    generator = np.random.default_rng(0)
    truth = np.where(generator.random(400) < 0.2, math.inf, generator.uniform(50, 400, 400))
    events = [event(math.ceil(d)) if math.isfinite(d) else event(None, LIMIT) for d in truth]
    others = (truth * 0.8, truth + 30, np.where(np.isinf(truth), 500.0, truth), np.full(400, 200.0))
    own = np.mean([crps(curve(truth), e, START) for e in events])
    for other in others:
        assert own < np.mean([crps(curve(other), e, START) for e in events])


def test_inside_is_between_p10_and_p90_and_never_comes_after_every_day():
    days = curve(list(range(1, 101)))
    assert (percentile(days, 0.1), percentile(days, 0.9)) == (10, 90)
    assert [inside(days, event(d), START) for d in (9, 10, 90, 91)] == [False, True, True, False]
    assert not inside(days, event(None, 500), START)
    often_never = curve([50, 60, 70, math.inf])
    assert inside(often_never, event(None, 500), START) and inside(often_never, event(600), START)


def test_wilson_interval():
    low, high = backtest.binomial_interval(6, 7)
    assert (low, high) == pytest.approx((0.557, 0.967), abs=0.01)


# the rival


def test_kaplan_and_meier_by_hand():
    """5 launches: late by 0, 10 (open), 20, 40 and given up."""
    found = survival([Delay(0, True), Delay(10, False), Delay(20, True), Delay(40, True), Delay(math.inf, False)])
    assert found.days == (0, 20, 40)
    assert found.left == pytest.approx((4 / 5, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3 / 2))
    assert [found.at(d) for d in (-1, 0, 19, 20, 1000)] == pytest.approx([1, 0.8, 0.8, 8 / 15, 4 / 15])
    assert found.quantile(0.5) == 40 and math.isinf(found.quantile(0.9))


def test_the_rival_is_the_announced_day_plus_the_slips_of_the_others(catalog):
    story, day = frozenset({"launch-deepseek-r2"}), DATE(2025, 2, 28)
    known = catalog.launches(day)
    said = backtest.announced(known, story, day)
    assert said is not None and said.last == DATE(2025, 5, 10)
    slips = backtest.slips(known, story)
    assert len(slips) == sum(item.slip is not None for item in known) - 1
    found = rival(known, story, day)
    estimate = survival(slips)
    passed = -71.0
    assert found[70 + 48] == pytest.approx(1 - estimate.at(48) / estimate.at(passed))
    assert 0 < found[-1] < 1, "some never come"


def test_the_rival_takes_what_has_passed_into_account(catalog):
    """On 2025-06-26 R2 was 47 days late: launches that came earlier say nothing more."""
    day = DATE(2025, 6, 26)
    found = rival(catalog.launches(day), frozenset({"launch-deepseek-r2"}), day)
    assert found[0] > 0, "Grok 3 was 48 days late"
    assert found[-1] < 0.5


def test_before_any_announcement_the_rival_goes_by_the_time_from_announcement_to_launch(catalog):
    day, story = DATE(2025, 1, 31), frozenset({"launch-deepseek-r2"})
    assert backtest.announced(catalog.launches(day), story, day) is None
    found = rival(catalog.launches(day), story, day)
    assert 0 <= found[29] < found[179] < 1


def test_without_any_slip_the_rival_is_the_announced_day(catalog):
    day, story = DATE(2022, 3, 11), frozenset({"launch-bloom-176b"})
    found = rival(catalog.launches(day), story, day)
    assert percentile(found, 0.1) == percentile(found, 0.9) == (DATE(2022, 7, 11) - day).days


# the programmes


def test_there_is_a_programme_for_each_cut_off(catalog):
    days = [path.stem for path in FILES if path.parent.name == "r2-backtest"]
    assert days == [
        *("2025-01-31", "2025-02-28", "2025-05-01", "2025-06-26", "2025-08-15", "2025-12-10", "2026-02-28"),
    ]
    known = {record.id for record in catalog.records("cutoffs")}
    assert {"cutoff-2025-01-31", "cutoff-2025-12-10"} <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_programme_is_read_as_of_its_own_day_and_cites_nothing_later(path, catalog):
    start = read_programme(path, {}, catalog).start
    programme = read_programme(path, {}, catalog, as_of=start)
    assert (programme.known, programme.rules.known_at) == (start, start)
    assert programme.days >= LIMIT
    comments = re.findall(r"#(.*)", path.read_text())
    cited = [DATE.fromisoformat(day) for text in comments for day in re.findall(r"\d{4}-\d\d-\d\d", text)]
    assert cited and max(cited) <= start
