"""The answer of a launch: keys, what-ifs, what binds, what moves it, law, infeasible programmes, back-tests."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json

import pytest
import stories

from tonnage.catalog import load
from tonnage.errors import InputError
from tonnage.fleet import launch, readiness
from tonnage.fleet.sensitivity import ranks, spearman
from tonnage.fleet.setting import settle
from tonnage.fleet.speeds import EnginePlanner, Missed

DATE = datetime.date


@pytest.fixture
def plan(programme, catalog, planner):
    def make(text=None, draws=100, seed=0, speeds=planner, as_of=None, what_if=False, **sets):
        return launch(programme(text or programme.story, as_of=as_of, **sets), catalog, seed, draws, speeds, what_if)

    return make


@pytest.fixture(scope="module")
def story(tmp_path_factory, catalog):
    import stories

    from tonnage.fleet import read_programme

    path = tmp_path_factory.mktemp("story") / "story.yaml"
    path.write_text(stories.STORY)
    return launch(read_programme(path, {}, catalog), catalog, 0, 300, stories.Written(**stories.SPEEDS))


def what_if(plan, key):
    return next(item for item in plan.alternatives if item.key == key)


def test_the_answer_has_the_keys_of_the_interface(story):
    body = json.loads(json.dumps(story.to_json()))
    assert set(body["launch"]) >= {"p10", "p50", "p90", "probability_by_horizon"}
    assert DATE.fromisoformat(body["launch"]["p50"])
    assert set(body["cost"]) >= {"p10", "p50", "p90"}
    for key in ("binds", "sensitivity", "timeline", "rules_applied", "not_lawful", "alternatives", "throughputs"):
        assert body[key], key
    assert body["timeline"][0].keys() == {"lot", "from", "until", "does", "accelerators"}
    assert story.outcome.feasible and story.launch.p10 < story.launch.p50
    assert story.launch.p90 is None or story.launch.p50 < story.launch.p90


def test_the_same_seed_gives_the_same_bytes(plan):
    one, two = (json.dumps(plan(draws=40, what_if=True, horizon="10 months").to_json()) for _ in range(2))
    assert one == two
    assert json.dumps(plan(draws=40, seed=1).to_json()) != one


def test_a_first_answer_leaves_out_why_and_what_if_and_nothing_else(programme, catalog, planner):
    asked = programme(programme.story)
    ask = functools.partial(launch, asked, catalog, 0, 40, planner, what_if=False)
    whole, first = ask().to_json(), ask(reasons=False).to_json()
    found = first["optimum"]
    assert (found["bottlenecks"], found["worth"], found["alternatives"], found["gap_draws"]) == ([], [], [], 0)
    assert whole["optimum"]["bottlenecks"] and whole["optimum"]["gap_draws"] > 0
    apart = ("optimum", "base_case", "plan")
    assert {k: v for k, v in first.items() if k not in apart} == {k: v for k, v in whole.items() if k not in apart}


def test_a_plan_holds_its_question_and_can_be_asked_again(plan, catalog, planner, tmp_path):
    from tonnage.fleet import read_programme_text

    one = plan(draws=40, seed=3, as_of=DATE(2025, 4, 16), fleet__ascend__count="9000")
    assert one.draws == 40 and one.seed == 3 and one.sets == {"fleet.ascend.count": "9000"}
    (tmp_path / "p.yaml").unlink()
    asked = read_programme_text(one.programme_text, one.programme_name, one.sets, catalog, one.as_of)
    again = launch(asked, catalog, one.seed, one.draws, planner, what_if=False)
    assert again.to_json() == one.to_json() and again.programme_digest == one.programme_digest
    assert plan(draws=40).programme_digest == one.programme_digest
    assert plan("# changed" + one.programme_text, draws=40).programme_digest != one.programme_digest


def test_names_with_dots_and_spaces_are_told_apart(plan):
    """What moves a launch is described from the programme, not by taking dotted names apart."""
    from stories import STORY

    text = STORY.replace("r2:", "r2.5:").replace("lot: own", "lot: own (attempt 2)")
    found = plan(text.replace("try: [ascend, own]", "try: [ascend, own (attempt 2)]"))
    said = {item.name: item.text for item in found.sensitivity}
    assert said.get("readiness.r2.5.ascend") == "whether r2.5's run completes on ascend"
    assert set(found.trained_on) == {"ascend", "own (attempt 2)"}


def test_what_binds_is_ranked_and_names_its_lift(story):
    days = [bind.by for bind in story.binds]
    assert days == sorted(days, reverse=True)
    waits = next(bind for bind in story.binds if "waits until enough chips of ascend can be had" in bind.what)
    assert "trains on own (h800-sxm) from the start" in waits.lift


def test_the_what_ifs_have_their_signs(story):
    assert what_if(story, "without:us_2025_04_09_h20_letter").shift <= 0
    assert what_if(story, "twice:ascend").shift < 0
    assert what_if(story, "train:r2:own").shift < 0
    assert what_if(story, "flat:r1").shift <= 0
    assert what_if(story, "ready").shift < 0
    assert what_if(story, "good").shift < 0
    assert what_if(story, "flat:r1").probability >= story.probability


def test_what_moves_it_is_ranked_with_the_sign_that_it_has(story):
    names = [item.name for item in story.sensitivity]
    sizes = [abs(item.correlation) for item in story.sensitivity]
    assert sizes == sorted(sizes, reverse=True)
    by_name = {item.name: item for item in story.sensitivity}
    assert {"models.r2.good_enough.rounds", "fleet.ascend.from"} <= set(names)
    assert by_name["fleet.ascend.from"].swing > 0
    assert by_name["speed.train.ascend-910c"].swing < 0
    assert sum(item.share for item in story.sensitivity) <= 1 + 1e-9


def test_an_input_that_is_certain_does_not_move_it(plan):
    found = plan(models__r2__good_enough__rounds="2")
    assert "models.r2.good_enough.rounds" not in {item.name for item in found.sensitivity}


def test_the_law_is_said_and_kept(story):
    refused = {item.lot: item for item in story.not_lawful}
    assert refused["cloud"].rules == ("us_2025_04_09_h20_letter",)
    assert refused["cloud"].start == DATE(2025, 4, 9)
    assert 0.7 < refused["cloud"].share < 0.85
    assert [rule.rule for rule in story.rules_applied] == ["us_2025_04_09_h20_letter"]
    there = max(use.accelerators for use in story.calendar if use.lot == "cloud")
    assert there < 0.3 * 20000


def test_a_licence_or_a_change_of_the_law_frees_the_lot(plan):
    assert not plan(fleet__1__licence="BIS D-123").not_lawful
    assert not plan(rules="with licence h20 from 2025-03-01").not_lawful
    banned = plan(rules="with ban ascend-910c from 2025-03-01")
    assert {item.lot for item in banned.not_lawful} == {"cloud", "ascend"}


def test_with_the_rules_known_in_february_the_h20_still_come(plan):
    found = plan(as_of=DATE(2025, 2, 28))
    assert not found.not_lawful and not found.rules_applied
    assert found.known == DATE(2025, 2, 28)


def test_only_runs_known_on_the_day_count(catalog):
    def chance(day, chip="ascend-910c"):
        runs = readiness.record(catalog, day)
        assert all(run.known_on <= day for run in runs)
        return readiness.readiness(readiness.kind_of(catalog, chip), 1e12, True, runs, "CN").probability

    before, after = chance(DATE(2025, 8, 13)), chance(DATE(2025, 8, 14))
    assert after < before - 0.05
    assert chance(DATE(2026, 7, 1)) > after
    assert chance(DATE(2025, 2, 28)) < chance(DATE(2025, 2, 28), "h800-sxm")
    assert chance(DATE(2020, 1, 1)) == chance(DATE(2020, 1, 1), "h800-sxm") < 0.5


def test_a_stage_of_reinforcement_learning_alone_is_no_run_of_the_record(catalog):
    """By its flag, whatever it is called."""
    runs = readiness.record(catalog, DATE(2026, 12, 31))
    alone = {item.id for item in catalog.training_runs() if "rl_stage_only" in item and item["rl_stage_only"].flag}
    assert alone == {"deepseek-r1-rl"}
    assert not {run.source for run in runs} & {fact.id for name in alone for fact in catalog.all_facts(name)}


@pytest.mark.parametrize("chip", ["mlu590", "groq-lpu-v1", "br100", "domestic-x", "nameless"])
def test_a_vendor_without_a_run_has_the_prior_alone(tmp_path, chip):
    """Whoever makes a chip is a fact of the catalogue; it is never NVIDIA for want of another name."""
    body = "source: a quotation\nrates: {bf16: 300 TFLOP/s}\nmemory: 64 GB\nbandwidth: 1.6 TB/s\n"
    (tmp_path / "one.yaml").write_text(f"chip: domestic-x\nvendor: Domestic Silicon\n{body}")
    (tmp_path / "two.yaml").write_text(f"chip: nameless\n{body}")
    own = load(tmp_path)
    runs = readiness.record(own, DATE(2026, 7, 1))
    found = readiness.readiness(readiness.kind_of(own, chip), 1e12, True, runs, "CN")
    assert not [item for item in found.evidence if item.run.completed]
    assert 0.3 < found.probability < 0.5
    assert found.low < 0.05 and found.high > 0.9
    assert "no public run on" in found.text and "NVIDIA" not in found.text
    tried = readiness.readiness(readiness.kind_of(own, "ascend-910c"), 1e12, True, runs, "CN")
    assert found.probability < tried.probability


def test_a_chip_has_the_record_of_its_vendor_whatever_its_key(catalog):
    runs = readiness.record(catalog, DATE(2026, 7, 1))
    found = readiness.readiness(readiness.kind_of(catalog, "atlas-350"), 1e12, True, runs)
    assert found.evidence
    assert {item.run.kind.vendor for item in found.evidence} == {"Huawei"}


def test_a_lot_with_a_missing_fact_costs_that_lot_alone(programme, catalog):
    """The NIC of the MTT S5000 and the rates of the Z100 are not known; the H800 serve all the same."""
    text = """
name: two
start: 2025-02-28
horizon: 3 months
place: CN
fleet:
  - {lot: own, chip: h800, count: 64, tenure: owned}
  - {lot: moore, chip: mtt-s5000, count: 512, price: $0.5/h}
  - {lot: hygon, chip: dcu-z100, count: 512, price: $0.5/h}
models:
  r1:
    model: deepseek-r1
    serve: {input_tokens: 1B/day, output_tokens: 0.1B/day, isl: 4400, osl: 1200, tpot: 50ms}
"""
    found = settle(programme(text), catalog, EnginePlanner(programme(text), catalog))
    speeds = {lot: speed for (_, lot), speed in found.serving.items()}
    assert speeds["own"].rate > 0
    assert speeds["moore"].rate == 0 and "hygon" not in speeds
    assert "no nic for mtt-s5000" in speeds["moore"].reason
    assert speeds["moore"].detail["missing_fact"] == "nic"
    plan = launch(programme(text), catalog, 0, 20)
    assert [lot for lot, why in plan.left_out if "no rates.bf16 for dcu-z100" in why] == ["hygon"]
    assert sum("is left out" in line for line in plan.doubts) == 1


def test_every_run_of_the_record_has_a_source(catalog):
    runs = readiness.record(catalog, DATE(2026, 12, 31))
    assert len(runs) > 20 and all(run.source for run in runs)
    assert any(not run.completed for run in runs)


def test_a_place_that_the_programme_knows_better_is_taken_at_its_word(plan):
    found = plan(assumptions__readiness="{ascend: 5 %, h800-sxm: 100 %}")
    assert found.readiness["r2: ascend"].probability == 0.05
    assert found.trained_on["own"] > 0.9 * sum(found.trained_on.values())


def test_speeds_and_their_evidence_are_in_the_answer(story):
    found = {(s.use, s.model, s.chip) for s in story.throughputs}
    assert {("serve", "r1", "h20-96gb"), ("pretrain", "r2", "ascend-910c"), ("rl", "r2", "h800-sxm")} <= found
    assert all(s.low <= s.rate <= s.high for s in story.throughputs)


def test_the_timeline_stays_within_what_is_there(story):
    for use in story.timeline:
        there = [c.accelerators for c in story.calendar if c.lot == use.lot and c.start <= use.start < c.end]
        total = sum(u.accelerators for u in story.timeline if u.lot == use.lot and u.start == use.start)
        assert there and total <= there[0] * (1 + 1e-6) + 1


# infeasible


def test_demand_that_no_lot_can_serve_is_infeasible_with_the_cheapest_change(plan):
    found = plan(models__r1__serve__output_tokens="3T/day", models__r1__serve__input_tokens="11T/day")
    assert found.outcome.reason == "capacity"
    bind = found.outcome.binds[0]
    assert "cannot carry the demand" in bind.text
    assert "more of" in bind.lift and "a month" in bind.lift and "at most" in bind.lift


def test_no_speed_anywhere_is_infeasible_too(plan, written):
    found = plan(speeds=written())
    assert found.outcome.reason == "capacity"
    assert "more of no lot" in found.outcome.binds[0].lift


def test_a_fleet_that_may_not_come_is_infeasible_by_law(plan):
    text = """
name: x
start: 2025-02-28
horizon: 1 year
place: CN
fleet: [{lot: new, chip: b200, count: 4096, price: $4/h, from: 2025-04-01}]
models: {m: {model: llama-3.1-8b, train: {stages: [{pretrain: 1T}]}}}
"""
    found = plan(text)
    assert found.outcome.reason == "law" and "licence" in found.outcome.binds[0].lift
    assert found.not_lawful[0].share == 1
    assert found.launch.p50 is None and found.probability == 0


def test_a_run_too_long_for_the_horizon_is_infeasible_with_what_would_do(plan):
    found = plan(horizon="2 months")
    assert not found.outcome.feasible and found.outcome.reason == "training"
    assert "horizon" in found.outcome.binds[0].lift or "more of" in found.outcome.binds[0].lift
    assert found.launch.p50 is None
    assert "p50" in found.to_json()["launch"]["note"]


@pytest.mark.parametrize("draws", [0, 19, 100_001, -1])
def test_absurd_numbers_of_draws_are_refused(plan, draws):
    with pytest.raises(InputError, match="draws"):
        plan(draws=draws)


# programmes of other shapes


def test_a_model_that_is_only_trained_launches_when_it_is_trained(plan, written):
    text = """
name: alone
start: 2025-01-06
horizon: 1 year
place: US
fleet: [{lot: own, chip: h100-sxm, count: 1024, tenure: owned, price: $2/h}]
models: {m: {model: llama-3.1-8b, train: {stages: [{pretrain: 4T}]}}}
"""
    found = plan(text, speeds=written(train={"h100-sxm": 1000.0}), what_if=True)
    assert found.outcome.feasible
    assert DATE(2025, 2, 18) < found.launch.p50 < DATE(2025, 4, 30)
    assert {item.key for item in found.alternatives} >= {"twice:own", "ready"}


def test_a_service_without_training_launches_when_the_fleet_carries_it(plan, written):
    text, speeds = stories.SWAP, written(serve=stories.SWAP_SPEEDS)
    speeds.wide = 1.0
    found = plan(text, speeds=speeds)
    assert DATE(2025, 5, 20) <= found.launch.p50 <= DATE(2025, 6, 9)
    assert found.cost.p50 == 0


def test_two_models_are_trained_one_after_another(plan):
    text = """
name: chain
start: 2025-01-06
horizon: 2 years
place: US
fleet: [{lot: own, chip: h800, count: 4096, tenure: owned, price: $2/h}]
models:
  m1: {model: llama-3.1-8b, train: {stages: [{pretrain: 15T}]}}
  m2: {model: llama-3.1-70b, after: m1, train: {stages: [{pretrain: 15T}, {sft: 10B}]}}
"""
    found = plan(text)
    assert found.model == "m2"
    assert found.launches["m1"].p50 < found.launches["m2"].p50


def test_a_place_to_train_is_found_when_none_is_named(plan):
    text = """
name: free
start: 2025-02-28
horizon: 1 year
place: CN
fleet:
  - {lot: cloud, chip: h20, count: 4096, tenure: rented, price: $1/h}
  - {lot: own, chip: h800, count: 4096, tenure: owned}
models: {m: {model: llama-3.1-8b, train: {stages: [{pretrain: 15T}]}}}
"""
    found = plan(text)
    assert found.trained_on["h800-sxm"] > 0.7


def test_ranks_and_correlation():
    import numpy as np

    assert list(ranks(np.array([3.0, 1.0, 3.0, 2.0]))) == [3.5, 1.0, 3.5, 2.0]
    x = np.arange(50.0)
    assert spearman(x, np.exp(x)) == pytest.approx(1)
    assert spearman(x, -x) == pytest.approx(-1)
    assert spearman(x, np.ones(50)) == 0


# back-tests: the same programme begun on later days, each with what was known on its day


def test_begun_later_with_what_was_known_then(plan):
    """2025-02-28: H20 still come, and Ascend looks readier than it did in August, when an attempt had failed."""
    found = {}
    for day in ("2025-02-28", "2025-04-16", "2025-08-14"):
        found[day] = plan(as_of=DATE.fromisoformat(day), start=day, fleet__ascend__from="2025-09-01", horizon="2 years")
    chances = [found[day].readiness["r2: ascend"].probability for day in found]
    assert chances[2] < chances[1]
    assert not found["2025-02-28"].not_lawful
    assert found["2025-04-16"].not_lawful and found["2025-08-14"].not_lawful
    assert found["2025-02-28"].launch.p50 <= found["2025-08-14"].launch.p50


def test_nothing_of_later_days_is_used(plan):
    found = plan(as_of=DATE(2025, 2, 28))
    for place in found.readiness.values():
        assert all(item.run.known_on <= DATE(2025, 2, 28) for item in place.evidence)
    assert all("2025-04" not in rule.rule for rule in found.rules_applied)


def test_a_launch_in_few_draws_is_unlikely_and_says_what_would_help(plan):
    from tonnage.report.launch import answer

    found = plan(horizon="7 months", draws=200)
    assert 0.1 <= found.probability < 0.5
    assert found.outcome.feasible and found.launch.p50 is None
    assert answer(found).sentence.startswith("Unlikely (training): r2 launches by")
    assert "The cheapest change that lifts it" in answer(found).sentence


# what a cost, a what-if and a service level may not say


def test_a_lot_without_a_price_makes_the_cost_unknown_not_nothing(plan):
    from tonnage.report.launch import answer

    found = plan(what_if=True, place="US", fleet__1__count="10", fleet__2__count="10")
    cost = json.loads(json.dumps(found.to_json()))["cost"]
    assert (cost["p10"], cost["p50"], cost["p90"]) == (None, None, None) and cost["reason"] == "no price for own"
    assert cost["service"]["p50"] is None and "own" in cost["service"]["reason"]
    costs = [item.cost for item in found.alternatives]
    assert None in costs and 0 not in costs
    words = answer(found)
    assert "unknown (no price for own)" in dict(words.rows)["cost"]
    tables = [table for table in words.tables if "what is paid" not in table.title]
    assert "'$0'" not in str(tables) and "nothing is trained" not in words.sentence


def test_a_lot_that_could_not_lawfully_come_lifts_nothing(story):
    unlawful = [item for item in story.alternatives if not item.lawful]
    assert unlawful and all("could not lawfully come" in item.name for item in unlawful)
    assert not any("could not lawfully come" in (bind.lift or "") for bind in story.binds)


def test_the_headline_names_a_place_that_would_be_much_sooner(story):
    from tonnage.report.launch import _sentence

    other = what_if(story, "train:r2:own")
    assert f"with own first it would be {other.launch.p50}" in _sentence(story)


def test_a_service_level_out_of_reach_is_said_with_the_nearest(plan, written):
    class Slow(written):
        def serve(self, model, chip, most):
            speed = super().serve(model, chip, most)
            by = 90.0 if chip == "h800-sxm" else 120.0
            return dataclasses.replace(speed, missed=Missed("tpot", by, "--tpot 9ms", by * 1e-4, 0.3))

    found = plan(speeds=Slow(train={"h800-sxm": 900.0, "ascend-910c": 600.0}))
    bind = found.outcome.binds[0]
    assert found.outcome.reason == "tpot" and "the service level of r1" in bind.text
    assert bind.lift == "the nearest found that can be kept, tpot 9 ms, on h800-sxm"
    assert found.to_json()["throughputs"][0]["limit"] == "tpot"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--draws", "0"], "from 20 to 100,000"),
        (["--picture", "x.png"], "--picture"),
        (["-o", "x.xlsx"], ".xlsx"),
        (["-o", "nowhere/x.json"], "nowhere"),
        (["--picture", "nowhere/x.svg"], "nowhere"),
    ],
)
def test_what_is_asked_for_is_checked_before_anything_is_planned(words, said, monkeypatch, capsys):
    from tonnage.cli import run

    monkeypatch.setattr("tonnage.fleet.read_programme", lambda *_: pytest.fail("planned"))
    assert run(["launch", "examples/r2.yaml", *words]) == 2
    assert said in capsys.readouterr().err
