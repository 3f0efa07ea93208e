"""The picture of a launch is well-formed, safe, within its width, and shows what the plan says."""

from __future__ import annotations

import datetime
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tonnage.errors import FEASIBLE
from tonnage.fleet.causes import Activity
from tonnage.fleet.plan import LaunchPlan, Percentiles, Refused, Use
from tonnage.report import timeline

DAY = datetime.date
START, END = DAY(2025, 2, 28), DAY(2026, 8, 30)


def weeks(lot, first, last, does, count):
    days = range(first * 7, last * 7, 7)
    step = datetime.timedelta
    return tuple(Use(lot, START + step(days=d), START + step(days=d + 7), does, count) for d in days)


@pytest.fixture
def plan():
    three = Percentiles(DAY(2025, 8, 1), DAY(2025, 10, 1), DAY(2026, 1, 1))
    money = Percentiles(1.0, 2.0, 3.0)
    return LaunchPlan(
        FEASIBLE,
        "A & B",
        "r2",
        START,
        END,
        three,
        0.9,
        {"r2": three},
        money,
        money,
        (),
        {},
        (),
        (
            *weeks("own <1>", 0, 30, Activity("serves", "r1"), 400.0),
            *weeks("own <1>", 0, 10, Activity("pretrain", "r2"), 500.0),
            *weeks("own <1>", 10, 12, Activity("rl", "r2"), 500.0),
            *weeks("own <1>", 31, 70, Activity("serves", "r2"), 900.0),
        ),
        (),
        (
            Use("own <1>", START, END, Activity("available"), 1000.0),
            Use("late", DAY(2025, 6, 1), END, Activity("available"), 50.0),
        ),
        (),
        (Refused("late", "h20-96gb", DAY(2025, 4, 9), 0.5, "a licence is needed", ("x",)),),
        (),
        (),
        {},
        {"own": 1.0},
        (),
        (),
        "name: A & B\n",
        "p.yaml",
        {},
        None,
        0,
        100,
        7,
        DAY(2025, 10, 1),
        days=tuple(float(d) for d in range(150, 250)),
    )


def test_the_svg_is_well_formed_and_holds_no_script(plan):
    text = timeline.svg(plan)
    root = ET.fromstring(text)
    words = " ".join(node.text or "" for node in root.iter())
    assert "own <1>" in words and "A & B" in words and "2025-10-01" in words
    assert "no more h20-96gb" in words
    assert not re.search(r"<script|onload|href", text)
    assert timeline.svg(plan) == text


def test_bars_are_as_high_as_what_they_show(plan):
    root = ET.fromstring(timeline.svg(plan))
    titles = {node: node.find("{*}title") for node in root.iter("{http://www.w3.org/2000/svg}rect")}
    heights = {t.text.split(":")[0]: float(n.get("height")) for n, t in titles.items() if t is not None}
    assert heights["own <1> serves r1"] == pytest.approx(0.4 * timeline.LANE, abs=0.01)
    assert heights["own <1> serves r2"] == pytest.approx(0.9 * timeline.LANE, abs=0.01)


def test_a_launch_after_the_horizon_has_no_line(plan):
    late = replace(plan, launch=Percentiles(DAY(2025, 8, 1), None, None), days=(200.0, float("inf")))
    text = timeline.svg(late)
    assert "does not launch in time" in text and "P10 2025-08-01" in text and "P90" not in text.replace("P50", "")
    assert timeline.lines(late)


def test_the_terminal_picture_fits_and_says_who_does_what(plan):
    rows = timeline.lines(plan)
    assert max(len(row) for row in rows) <= 118
    own = next(row for row in rows if row.strip().startswith("own"))
    assert own.count("T") == 10 and own.count("L") == 2 and "1" in own and "2" in own
    late = next(row for row in rows if row.strip().startswith("late"))
    assert late.count(".") > 50
    launch = next(row for row in rows if row.strip().startswith("launch"))
    assert launch.index("<") < launch.index("*") < launch.index(">")


def test_no_lots_no_picture(plan):
    assert timeline.lines(replace(plan, calendar=(), timeline=())) == ()
    ET.fromstring(timeline.svg(replace(plan, calendar=(), timeline=(), not_lawful=())))


def test_activities_have_their_own_colours(plan):
    every = timeline.activities(plan)
    colours = [timeline.colour(does, every) for does in every]
    assert len(set(colours)) == len(every) == 4


def test_the_fan_begins_where_that_share_has_launched(plan):
    plan = replace(plan, days=tuple(float(day) for day in range(165, 266)))
    rows = {row.split()[0]: row for row in timeline.lines(plan) if row.strip()[:3] in ("10%", "50%", "90%")}
    ends = {share: row.index("#") for share, row in rows.items()}
    assert ends["10%"] <= ends["50%"] <= ends["90%"]
    launch = next(row for row in timeline.lines(plan) if row.strip().startswith("launch"))
    assert abs(ends["50%"] - launch.index("*")) <= 1
    never = replace(plan, days=(float("inf"),) * 9 + (150.0,))
    assert [row.count("#") > 0 for row in timeline.lines(never) if "%  " in row] == [False] * 4 + [True]


def test_the_tornado_shows_later_to_the_right_and_longer_for_more(plan):
    from tonnage.fleet.plan import Sensitivity

    inputs = (Sensitivity("a", 0.5, 0.6, 60.0, 0.1, "<one>"), Sensitivity("b", -0.4, 0.4, -30.0, 0.0, "two"))
    root = ET.fromstring(timeline.svg(replace(plan, sensitivity=inputs)))
    bars = {}
    for node in root.iter("{http://www.w3.org/2000/svg}rect"):
        title = node.find("{*}title")
        if title is not None and title.text in ("a: +60 d", "b: -30 d"):
            bars[title.text[0]] = float(node.get("x")), float(node.get("width"))
    assert bars["a"][1] == pytest.approx(2 * bars["b"][1], abs=0.02)
    assert bars["b"][0] + bars["b"][1] == pytest.approx(bars["a"][0], abs=0.02)
    assert float(root.get("height")) > float(ET.fromstring(timeline.svg(plan)).get("height"))
