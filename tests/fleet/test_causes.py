"""Causes of delay and what-ifs are matched as values: by kind, model and lot, never by what their names look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tonnage import catalog
from tonnage.fleet import launch, read_programme, words
from tonnage.fleet.binds import binds_of
from tonnage.fleet.causes import Cause, Lever
from tonnage.fleet.plan import Percentiles, WhatIf
from tonnage.fleet.setting import settle
from tonnage.fleet.whatif import what_ifs

NEVER = Percentiles(None, None, None)
TWO = """
name: two lots
start: 2025-01-06
horizon: 1 year
place: US
fleet:
  - {lot: a, chip: h800, count: 1024, tenure: owned}
  - {lot: a100-pool, chip: a100-sxm-80gb, count: 1024, tenure: owned}
models:
  serve: {model: llama-3.1-8b, serve: {output_tokens: 1B/day, growth: 5 %/month}}
  r2: {model: llama-3.1-8b, train: {stages: [{pretrain: 4T}, {pause: 1 week}], try: [a100-pool, a]}}
"""


@pytest.fixture
def setting(programme, catalog, written):
    speeds = written(serve={"h800-sxm": 1.0}, train={"h800-sxm": 900.0, "a100-sxm-80gb": 300.0})
    return settle(programme(TWO), catalog, speeds)


@pytest.fixture
def levers(setting):
    """The levers of every what-if, by key."""
    return {item.lever.key: item.lever for item in what_ifs(setting.programme, setting.calendars, {})}


def lift(setting, cause, lever):
    """What is said to lift a cause of 80 days when one what-if brings the launch forward by 40."""
    found = WhatIf(lever, "the what-if", NEVER, 0.9, -40.0, None)
    return binds_of(setting, {cause: np.full(10, 80 * 86400.0)}, (found,), 0.9)[0].lift


@pytest.mark.parametrize(
    ("key", "cause", "lifted"),
    [
        ("twice:a", Cause("pretrain", "r2", "a"), True),
        ("twice:a", Cause("pretrain", "r2", "a100-pool"), False),
        ("twice:a", Cause("failed_attempt", "r2", "a100-pool"), False),
        ("twice:a", Cause("waits_for_capacity", "serve"), True),
        ("twice:a", Cause("waits_for_chips", "serve", "a"), False),
        ("twice:a100-pool", Cause("pretrain", "r2", "a100-pool"), True),
        ("twice:a100-pool", Cause("pause", "r2", "a100-pool"), False),
        ("train:r2:a", Cause("waits_for_chips", "r2", "a100-pool"), True),
        ("train:r2:a", Cause("waits_for_chips", "serve", "a100-pool"), False),
        ("train:r2:a", Cause("pretrain", "r2", "a"), False),
        ("flat:serve", Cause("waits_for_capacity", "r2"), True),
        ("flat:serve", Cause("rounds", "serve"), False),
        ("ready", Cause("failed_attempt", "r2", "a"), True),
        ("ready", Cause("pretrain", "r2", "a"), False),
    ],
)
def test_a_what_if_lifts_what_it_acts_on_and_nothing_else(setting, levers, key, cause, lifted):
    found = lift(setting, cause, levers[key])
    assert found == ("the what-if: P50 40 days earlier" if lifted else None)


def test_what_could_not_lawfully_be_done_lifts_nothing(setting, levers):
    import dataclasses

    cause = Cause("pretrain", "r2", "a")
    assert lift(setting, cause, levers["twice:a"])
    assert lift(setting, cause, dataclasses.replace(levers["twice:a"], lawful=False)) is None


def test_keys_name_what_is_changed():
    none = frozenset()
    assert Lever("train", "own", none, ("r2",)).key == "train:r2:own"
    assert Lever("twice", "own", none, lots=("own",)).key == "twice:own"
    assert Lever("ready", "", none).key == "ready"


def test_causes_in_words():
    said = [
        words.cause(found)
        for found in (
            Cause("rl", "r2", "own"),
            Cause("failed_attempt", "r2", "own"),
            Cause("waits_for_chips", "r2", "own"),
            Cause("waits_for_lot", "r2", "own"),
            Cause("waits_for_capacity", "r2"),
            Cause("rounds", "r2"),
        )
    ]
    assert said == [
        "r2: rl on own",
        "r2: failed attempt on own",
        "r2: waits for free chips of own, which services hold",
        "r2: waits until enough chips of own can be had",
        "r2: waits for capacity to serve it",
        "r2: rounds until good enough",
    ]


def keys(found):
    return {item.key: item for item in found.alternatives}


def test_every_place_of_training_is_a_what_if_whether_given_or_found(programme, catalog, written):
    from tonnage.fleet import launch

    speeds = {"serve": {"h800-sxm": 1.0}, "train": {"h800-sxm": 900.0, "a100-sxm-80gb": 300.0}}
    for text in (TWO, TWO.replace(", try: [a100-pool, a]", "")):
        found = launch(programme(text), catalog, draws=20, planner=written(**speeds))
        moved = [item for item in found.alternatives if item.lever.kind == "train"]
        assert len(moved) == 1
        assert moved[0].launch != found.launch


def test_a_place_that_is_not_tried_is_a_what_if_too(programme, catalog, written):
    from tonnage.fleet import launch

    found = launch(programme(fleet__1__from="2025-02-28"), catalog, draws=20, planner=written(**SPEEDS))
    assert {item.key for item in found.alternatives if item.lever.kind == "train"} == {
        "train:r2:own",
        "train:r2:cloud",
    }


SPEEDS = {
    "serve": {"h800-sxm": 0.8, "h20-96gb": 0.3, "ascend-910c": 0.6},
    "train": {"h800-sxm": 900.0, "h20-96gb": 150.0, "ascend-910c": 600.0},
}


def test_licences_and_rules_moved_in_time_have_their_signs(programme, catalog, written):
    from tonnage.fleet import launch

    found = keys(launch(programme(), catalog, draws=60, planner=written(**SPEEDS)))
    rule = "us_2025_04_09_h20_letter"
    assert found["licence:cloud"].shift <= 0
    assert found[f"earlier:{rule}"].shift >= 0 >= found[f"later:{rule}"].shift
    assert found[f"earlier:{rule}"].probability <= found[f"later:{rule}"].probability
    assert found["failed:r2:ascend"].shift > 0


def test_dearer_rents_cost_more_and_a_bought_lot_is_committed(programme, catalog, written):
    from tonnage.fleet import launch

    plan = launch(programme(), catalog, draws=60, planner=written(**SPEEDS))
    found = keys(plan)
    assert found["prices"].launch == plan.launch
    assert found["prices"].total > plan.money.whole
    assert found["buy:cloud"].total > plan.money.whole


def test_a_licence_frees_a_lot_although_a_second_rule_takes_over(programme, catalog, written):
    """Without the rule that refuses B200 in China first another one refuses them: with a licence the
    whole lot comes, and is paid for.
    """
    from tonnage.fleet import launch

    sets = {"fleet__1__chip": "b200", "fleet__1__from": "2025-03-10", "fleet__1__price": "$4/h"}
    speeds = {"serve": {**SPEEDS["serve"], "b200-sxm": 3.0}, "train": {**SPEEDS["train"], "b200-sxm": 2000.0}}
    found = keys(launch(programme(**sets), catalog, draws=20, planner=written(**speeds)))
    without = next(item for key, item in found.items() if key.startswith("without:"))
    assert found["licence:cloud"].total > 1.5 * without.total


def test_a_short_stage_that_every_draw_goes_through_is_not_said_to_be_in_none() -> None:
    facts = catalog.load()
    plan = launch(read_programme(Path(__file__).parents[2] / "examples" / "eu-lab.yaml", {}, facts, None), facts, 0, 40)
    assert not any("in 0 %" in bind.text for bind in plan.outcome.binds)


@pytest.mark.parametrize(("days", "share"), [(0.1, 0.9), (2.0, 0.9), (2.0, 0.3)])
def test_a_short_stage_is_as_frequent_as_it_comes(setting, days, share):
    """A stage of two hours that comes in nine of ten draws comes in 90 % of them, not in none."""
    value = np.where(np.arange(10) < 10 * share, days * 86400.0, 0.0)
    found = binds_of(setting, {Cause("sft", "r2", "a"): value}, (), 0.9)[0]
    assert f"in {100 * share:.0f} % of the draws" in found.text
