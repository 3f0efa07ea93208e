"""Other thresholds and fees: as what-ifs, and as a programme's own rules."""

from __future__ import annotations

import json

import pytest

from tonnage.errors import InputError
from tonnage.fleet import launch
from tonnage.fleet.causes import Lever
from tonnage.fleet.setting import settle
from tonnage.fleet.whatif import what_ifs

H100 = """
name: other thresholds
start: 2024-08-01
horizon: 6 months
place: CN
fleet:
  - {lot: a, chip: h100-sxm, count: 2048, price: $2/h, from: 2024-09-01}
  - {lot: b, chip: h800-sxm, count: 2048, price: $2/h, from: 2024-09-01}
  - {lot: c, chip: h20, count: 2048, price: $1/h, from: 2024-09-01}
models: {m: {model: llama-3.1-8b, train: {stages: [{pretrain: 4T}]}}}
assumptions: {slip: 1}
"""


@pytest.fixture
def asked(programme, catalog, written):
    """What-ifs of a text by key, with the programme's setting."""
    speeds = written(train={"h100-sxm": 900.0, "h800-sxm": 900.0, "h20-96gb": 150.0})

    def make(text, **sets):
        setting = settle(programme(text, **sets), catalog, speeds)
        found = what_ifs(setting.programme, setting.calendars, {}, catalog=catalog)
        return setting, {item.lever.key: item for item in found}, speeds

    return make


def test_thresholds_move_just_so_far_that_the_lots_come(asked, catalog):
    setting, found, speeds = asked(H100)
    item = found["thresholds:us_2023_10_17"]
    assert item.lever.lots == ("a", "b") and setting.calendars["a"].never and not setting.calendars["c"].never
    assert item.name.startswith(
        "the rule on h100-sxm, h800-sxm with TPP at 15,840 TOPS x bit instead of 4,800 and 1,600"
    )
    changed = settle(item.programme, catalog, speeds)
    assert changed.calendars["a"].always and changed.calendars["b"].always


def test_the_same_threshold_as_a_rule_of_the_programme(asked):
    moves = "[with us_2023_10_17.tpp=4800->15840, with us_2023_10_17.tpp=1600->15840]"
    setting, found, _ = asked(H100 + f"rules: {moves}\n")
    assert setting.calendars["a"].always and not [key for key in found if key.startswith("thresholds")]
    short, _, _ = asked(H100 + "rules: with us_2023_10_17.tpp=4800->15840\n")
    assert short.calendars["a"].never


def test_no_threshold_is_offered_for_a_chip_that_a_rule_names_but_its_fee_is(asked, programme, catalog, written):
    setting, found, speeds = asked(programme.story)
    assert not [key for key in found if key.startswith("thresholds")]
    item = found["fee:cloud"]
    assert item.lever == Lever("fee", "cloud", item.lever.causes, lots=("cloud",))
    lot = next(lot for lot in item.programme.lots if lot.name == "cloud")
    planned = next(lot for lot in setting.programme.lots if lot.name == "cloud")
    assert lot.price.median == pytest.approx(planned.price.median / 0.85)
    assert settle(item.programme, catalog, speeds).calendars["cloud"].always
    assert "15 % of revenue" in item.name and "us_2025_08_11_fee15" in item.name


def test_the_answer_says_that_no_threshold_frees_what_is_named(programme, catalog, planner):
    from tonnage.report.launch import answer

    plan = launch(programme(), catalog, draws=20, planner=planner)
    table = next(table for table in answer(plan).tables if table.title.startswith("what-ifs"))
    assert table.note == "no other threshold would free what a rule names: h20-96gb (us_2025_04_09_h20_letter)"
    free, licensed = (next(i for i in plan.alternatives if i.lever.key == k) for k in ("fee:cloud", "licence:cloud"))
    assert free.launch == licensed.launch and free.total > licensed.total
    assert json.dumps(plan.to_json())


# ---------------------------------------------------------------- a fee as a rule of the programme


def test_a_fee_lets_the_chip_come_at_a_higher_price(programme, catalog, planner):
    whole = programme()
    fee = programme(programme.story + "rules: with fee h20 15 % from 2025-04-09\n")
    (change,) = fee.rules.changes
    assert str(change) == "fee h20-96gb 15 % from 2025-04-09"
    before, after = ({lot.name: lot.price.median for lot in read.lots if lot.price} for read in (whole, fee))
    assert after["cloud"] == pytest.approx(1.15 * before["cloud"])
    assert {k: v for k, v in after.items() if k != "cloud"} == {k: v for k, v in before.items() if k != "cloud"}
    plan = launch(fee, catalog, draws=20, planner=planner, what_if=False)
    assert not plan.not_lawful and "fee h20-96gb 15 % from 2025-04-09" in [rule.rule for rule in plan.rules_applied]


def test_a_fee_that_begins_after_all_has_come_costs_nothing(programme):
    fee = programme(programme.story + "rules: with fee for h20 of 15 % from 2026-06-01\n")
    assert [lot.price for lot in fee.lots] == [lot.price for lot in programme().lots]


@pytest.mark.parametrize("text", ["fee h20 from 2025-04-09", "licence h20 15 % from 2025-04-09", "fee h20 lots", "fee"])
def test_a_fee_needs_a_share_and_nothing_else_takes_one(programme, text):
    with pytest.raises(InputError, match="fee CHIP SHARE from DATE"):
        programme(programme.story + f"rules: with {text}\n")


def test_where_a_second_rule_takes_over_a_licence_is_offered_beside_the_first_taken_away(asked, catalog):
    text = H100.replace("2024-08-01", "2026-02-01").replace("2024-09-01", "2026-04-01").replace("h100-sxm", "mi300x")
    setting, found, speeds = asked(text)
    assert setting.calendars["a"].never
    without = settle(found["without:us_2023_10_17"].programme, catalog, speeds)
    held = settle(found["licence:a"].programme, catalog, speeds)
    assert without.calendars["a"].never  # the letter takes over
    assert held.calendars["a"].always
    assert found["licence:a"].name == "a licence held for a (mi300x)"
