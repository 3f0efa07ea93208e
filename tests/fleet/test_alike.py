"""Lots that are alike cost what one of them costs: 64 lots of two kinds are planned, and asked about, as two."""

from __future__ import annotations

import dataclasses

import pytest

from tonnage.fleet import alike
from tonnage.fleet.setting import settle
from tonnage.fleet.speeds import EnginePlanner, PlannedSpeed
from tonnage.fleet.whatif import what_ifs

HEAD = """
name: alike
start: 2025-01-06
horizon: 1 year
place: US
fleet:
"""
MODELS = """
models:
  a:
    model: llama-3.1-70b
    train: {stages: [{pretrain: 2T tokens}], try: [h100-sxm]}
    serve: {output_tokens: 8.64B/day, osl: 1k, isl: 1k}
"""


def text(lots):
    """So many lots of H100, together 25,600 accelerators, and as many lots of H200 to rent."""
    count = 25_600 // lots
    rows = [f"  - {{lot: own-{i}, chip: h100-sxm, count: {count}, tenure: owned}}" for i in range(lots)]
    rows += [f"  - {{lot: more-{i}, chip: h200, count: {count}, price: $3/h}}" for i in range(lots)]
    return HEAD + "\n".join(rows) + MODELS


class Counting(EnginePlanner):
    """Plans nothing, and counts what it would have planned."""

    def __init__(self, programme, catalog):
        super().__init__(programme, catalog)
        self.planned = []

    def _told(self, use, model, chip, size, rate):
        self.planned.append((use, model.name, chip, size))
        return PlannedSpeed(use, model.name, chip, size, rate, rate / 1.5, rate * 1.5, "tp8", "interpolated")

    def _serve(self, model, chip, largest):
        return self._told("serve", model, chip, largest, 1.0)

    def _update(self, model, stage, chip, accelerators):
        return self._told(stage.kind, model, chip, accelerators, 900.0)

    _rl = _update


@pytest.fixture
def asked(programme, catalog):
    """A function: lots of each of two kinds -> (what was planned, what was asked of the law, what-ifs), all settled."""

    def ask(lots):
        rulings = {}
        plain = programme(text(lots))
        planner = Counting(plain, catalog)
        setting = settle(plain, catalog, planner, rulings)
        places = {name: tuple((place.name, place.lots) for place in found) for name, found in setting.places.items()}
        changes = what_ifs(plain, setting.calendars, {}, places, catalog)
        for change in changes:
            settle(change.programme, catalog, planner, rulings)
        return planner.planned, rulings, changes

    return ask


def test_64_lots_of_two_kinds_are_planned_as_two(asked):
    """Each size of a run is planned once; twice one of 64 lots is a run of another size than twice all of a kind."""
    (few, law, two), (many, again, all_) = asked(1), asked(32)
    assert len(law) == len(again) == 2
    assert [item.lever.key for item in all_] == [item.lever.key for item in two]
    assert len(set(many)) == len(many) <= len(few) + 4


def test_what_is_asked_of_like_lots_says_that_it_holds_for_each(asked):
    names = [item.name for item in asked(32)[2]]
    assert "twice the own-0 (h100-sxm), or any of 31 like it" in names
    assert "twice the more-0 (h200-sxm), or any of 31 like it" in names
    assert not [item.name for item in asked(1)[2] if "like it" in item.name]


@pytest.mark.parametrize(
    "change",
    ["count: 50", "chip: h200", "price: $2/h", "from: 2025-03-03", "busy: 10 %", "spare: 5 %"],
)
def test_lots_that_differ_in_anything_are_not_alike(programme, change):
    key, _, value = change.partition(": ")
    lot = {"chip": "h100-sxm", "count": "100", "price": "$3/h"}
    rows = [lot, lot | {key: value}, lot]
    lines = [f"  - {{lot: l{i}, " + ", ".join(f"{k}: {v}" for k, v in row.items()) + "}" for i, row in enumerate(rows)]
    asked = programme(HEAD + "\n".join(lines) + MODELS.replace("[h100-sxm]", "[l0]"))
    found = alike.kinds(asked)
    assert found["l0"] != found["l1"] != found["l2"]
    assert found["l0"] != found["l2"], "the model trains on one of them only"


def test_every_change_of_lots_that_differ_is_kept(programme, catalog):
    asked = programme()
    planner = Counting(asked, catalog)
    setting = settle(asked, catalog, planner)
    changes = what_ifs(asked, setting.calendars, {}, {}, catalog)
    twin = dataclasses.replace(asked.lots[0], name="twin")
    more = dataclasses.replace(asked, lots=(*asked.lots, twin))
    again = what_ifs(more, {**setting.calendars, "twin": setting.calendars[asked.lots[0].name]}, {}, {}, catalog)
    assert {item.lever.key for item in changes} <= {item.lever.key for item in again}
