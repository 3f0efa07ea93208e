"""Lots in the Emirates and Saudi Arabia: which days they may come on, as a planner of then saw it."""

from __future__ import annotations

import datetime

import pytest

from tonnage.fleet.calendar import calendar

PROGRAMME = """
name: gulf
start: {start}
horizon: 12 months
place: {place}
fleet:
  - {{lot: own, chip: {chip}, count: 10000, from: {day}, tenure: owned, price: $2/h{more}}}
models:
  one:
    model: llama-2-7b
    train: {{stages: [{{pretrain: {{tokens: 20B tokens}}}}]}}
"""


@pytest.mark.parametrize(
    ("place", "chip", "day", "more", "lawful", "words"),
    [
        ("AE", "h100-sxm", "2023-08-27", "", True, "no licence"),
        ("AE", "h100-sxm", "2023-09-15", "", False, "could not be verified"),
        ("SA", "h100-sxm", "2023-09-15", "", False, "could not be verified"),
        ("SA", "h100-sxm", "2024-06-01", "", False, "presumption of approval"),
        ("SA", "h100-sxm", "2024-06-01", ", licence: yes", True, "presumption of approval"),
        ("AE", "gb300", "2025-12-01", "", False, "presumption of approval"),
        ("AE", "gb300", "2026-08-01", ", licence: yes", True, "presumption of approval"),
        ("AE", "a10", "2024-06-01", "", True, "no licence"),
    ],
)
def test_when_a_lot_may_come_to_the_gulf(programme, catalog, place, chip, day, more, lawful, words) -> None:
    known = datetime.date.fromisoformat(day)
    text = PROGRAMME.format(start=known - datetime.timedelta(days=20), place=place, chip=chip, day=day, more=more)
    plan = programme(text, as_of=known)
    first = calendar(plan.lots[0], plan, catalog).rulings[0]
    assert (first.lawful, words in first.reason) == (lawful, True), first.reason
