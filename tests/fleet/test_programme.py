"""A programme file is read as people write it, and everything that is wrong with it is said at once."""

from __future__ import annotations

import datetime
import json
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage import files
from tonnage.errors import InputError
from tonnage.fleet import programme_schema, read_programme
from tonnage.fleet.reading import override

BAD = """
name: R2
start: 2025-02-28
horizon: 18 parsecs
place: CN
flet: 1
fleet:
  - {lot: own, chip: h2o, count: 10000, tenure: owned}
  - {lot: b, chip: h20, count: -5, price: $1/h}
  - {lot: c, chip: h20, count: many, price: 3 GB/s, from: 2025-06-01, until: 2025-05-01}
  - {lot: c, chip: h800, count: 20 to 10, tenure: leased}
  - {lot: d, chip: ascend-910c, count: 5}
  - {lot: e, chip: "910", count: 5.5, price: $1/h, colour: red}
models:
  r1: {model: deepseek-r7, serve: {input_tokens: 608B/day, output_tokens: 168B, tpott: 50ms}}
  r2:
    model: {like: deepseek-v3, layers: 80, expertz: 384}
    after: r3
    train: {stages: [{pretrain: 20T to 30T tokens}, {rll: 4}, {rl: }], try: [ascendd, h800]}
    serve: {like: r9, takes_over: 160 %, within: 4 weeks}
    good_enough: {rounds: 1 to 3}
  a: {model: deepseek-r1, after: b, serve: {}}
  b: {model: deepseek-r1, after: a, serve: {}}
rules: [without us_2025_04_09_h2_letter, known-at yesterday, with magic]
assumptions: {slipp: 1, give_up: -3}
"""

EXPECTED = [
    ("4:10", "horizon", "18 parsecs", None),
    ("6:1", "flet", "unknown key", "fleet"),
    ("8:22", "fleet[0].chip", "no chip named", "h20"),
    ("9:32", "fleet[1].count", "negative", None),
    ("10:32", "fleet[2].count", "many", None),
    ("10:45", "fleet[2].price", "not a price", None),
    ("10:78", "fleet[2].until", "not after from", None),
    ("11:11", "fleet[3].lot", "second lot", None),
    ("11:33", "fleet[3].count", "reversed", None),
    ("11:51", "fleet[3].tenure", "owned, rented", None),
    ("12:5", "fleet[4]", "no price", None),
    ("13:20", "fleet[5].chip", "can mean", None),
    ("13:34", "fleet[5].count", "whole number", None),
    ("13:52", "fleet[5].colour", "unknown key", None),
    ("15:15", "models.r1.model", "no model named", "deepseek-r1"),
    ("15:75", "models.r1.serve.output_tokens", "not a token rate", None),
    ("15:81", "models.r1.serve.tpott", "unknown key", "tpot"),
    ("17:56", "models.r2.model", "expertz", "experts"),
    ("18:12", "models.r2.after", "no model", "r1"),
    ("19:54", "models.r2.train.stages[1].rll", "no stage named", "rl"),
    ("19:67", "models.r2.train.stages[2].rl", "amount", None),
    ("19:77", "models.r2.train.try", "ascendd", "ascend-910c"),
    ("20:19", "models.r2.serve.like", "no service", None),
    ("20:35", "models.r2.serve.takes_over", "above 100 %", None),
    ("21:18", "models.r2.good_enough.each", "needs this key", None),
    ("22:34", "models.a.after", "circle", None),
    ("23:34", "models.b.after", "circle", None),
    ("24:9", "rules[0]", "no rule", "us_2025_04_09_h20_letter"),
    ("24:42", "rules[1]", "not a date", None),
    ("24:62", "rules[2]", "magic", None),
    ("25:15", "assumptions.slipp", "unknown key", "slip"),
    ("25:34", "assumptions.give_up", "negative", None),
]


def problems(programme, text, **sets):
    with pytest.raises(InputError) as caught:
        programme(text, **sets)
    return caught.value.problems


def test_every_mistake_is_found_at_once_with_its_place_and_the_nearest_name(programme):
    found = {(p.where.split("p.yaml:")[-1], p.path): p for p in problems(programme, BAD)}
    for where, path, text, suggestion in EXPECTED:
        at = [p for (_, dotted), p in found.items() if dotted == path and text in p.message]
        assert at, f"{path}: {text}"
        if path not in ("models.r2.model",):
            assert at[0].where.endswith(f"p.yaml:{where}"), at[0]
        if suggestion:
            assert at[0].suggestion == suggestion
    assert len(found) <= len(EXPECTED) + 1


def test_the_story_reads_as_written(programme):
    found = programme()
    assert found.end == datetime.date(2026, 8, 30)
    assert [lot.chip for lot in found.lots] == ["h800-sxm", "h20-96gb", "ascend-910c"]
    own, cloud, ascend = found.lots
    assert own.in_hand and own.price.median == pytest.approx(2 / 3600)
    assert cloud.count.interval == pytest.approx((12000, 20000))
    assert not ascend.in_hand and not ascend.start.certain
    r1, r2 = found.models
    assert r1.service.output_tokens.median == pytest.approx(168e9 / 86400)
    assert r2.service.tpot == 0.05 and r2.service.osl == 1200
    assert r2.service.output_tokens.median == 0
    assert r2.training.places == (("ascend", ("ascend",)), ("own", ("own",)))
    assert r2.architecture.depth == 80
    assert found.coming == (r2,)


def test_overrides_reach_every_leaf(programme):
    found = programme(fleet__0__count="64", fleet__cloud__price="$2/h", assumptions__slip="1")
    assert found.lots[0].count.values == (64.0,)
    assert found.lots[1].price.median == pytest.approx(2 / 3600)
    assert found.slip.values == (1.0,)


@pytest.mark.parametrize("key", ["fleet.9.count", "name.x.y", "fleet.nothing.count"])
def test_an_override_that_leads_nowhere_is_refused(programme, key):
    with pytest.raises(InputError, match=r"^set "):
        programme(**{key.replace(".", "__"): "3"})


def test_what_an_override_breaks_is_said_where_it_was_set(programme):
    found = problems(programme, programme.story, fleet__0__count="-3")
    assert found[0].where == "set fleet.0.count"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("18 months", "200 years", "between a week and ten years"),
        ("18 months", "2025-03-01", "between a week and ten years"),
        ("2025-02-28", "1066-10-14", "1066"),
        ("place: CN", "place: Atlantis", "is not a country"),
        ("fleet:", "fleet: 5\nfleetx:", "list of lots"),
        ("models:", "models: []\nmodelsx:", "models by name"),
        ("after: r1", "after: [r1]", "expected a name"),
        ("count: 6000", "count: 1e12", "above"),
        ("count: 6000", "count: .inf", "expected a number"),
        ("count: 6000", "count: [1, 2]", "expected a quantity"),
        ("count: 6000", "count: true", "expected a quantity"),
        ("price: $0.9/h to $1.6/h", "price: 1.5", "needs its unit"),
        ("price: $0.9/h to $1.6/h", "price: ...", "expected a price"),
        ("price: $0.9/h to $1.6/h", "price: $0/h", "below"),
        ("tpot: 50ms", "tpot: 50ms to 60ms", "one number"),
        ("stages: [", "stages: [{}, ", "one stage"),
        ("stages: [{pretrain: 20T to 30T tokens}, {rl: {rollout_tokens: 0.3T to 1T}}]", "stages: []", "list of stages"),
        ("from: 2025-03-01", "from: soon", "not a date"),
        ("rounds: 1 to 3", "rounds: -1 to 3", "negative"),
    ],
)
def test_single_mistakes(programme, old, new, expected):
    assert old in programme.story
    found = problems(programme, programme.story.replace(old, new, 1))
    assert any(expected in str(problem) for problem in found), found


def test_too_much_is_refused(programme):
    lots = "".join(f"  - {{lot: l{i}, chip: h800, count: 8, tenure: owned}}\n" for i in range(100))
    found = problems(programme, programme.story.replace("fleet:\n", "fleet:\n" + lots))
    assert "at most 64" in str(found[0])


def test_the_bundled_example_of_the_design_reads(programme):
    text = """
name: R2
start: 2025-02-28
horizon: 18 months
place: CN
fleet:
  - {lot: own-h800, chip: h800, count: 10000, tenure: owned}
  - {lot: cloud-h20, chip: h20, count: 30000, price: $0.9/h to $1.6/h, from: 2025-03-01}
  - {lot: ascend, chip: ascend-910c, count: 8000 to 20000, from: 2025-05-01 to 2025-07-01, price: $1/h}
models:
  r1: {model: deepseek-r1, serve: {input_tokens: 608B/day, output_tokens: 168B/day, growth: 5 %/month to 15 %/month,
                                   ttft: 5s, tpot: 50ms, cache_hit: 0.56}}
  r2:
    model: {like: deepseek-v3, layers: 80, experts: 384}
    after: r1
    train: {stages: [{pretrain: 20T to 30T tokens}, {rl: {rollout_tokens: 0.3T to 1T}}], try: [ascend, own-h800]}
    serve: {like: r1, takes_over: 60 % to 90 %, within: 4 weeks}
    good_enough: {rounds: 1 to 3, each: 3 to 8 weeks}
rules: as-of            # or: known-at DATE, without RULE, with CHANGE
"""
    found = programme(text)
    assert found.model("r1").service.assumed
    assert found.model("r1").service.isl == pytest.approx(1000 * 608 / 168)


@pytest.mark.parametrize(
    ("rules", "known_at", "without", "changes"),
    [
        ("as-of", None, 0, 0),
        ("known-at 2025-06-27", datetime.date(2025, 6, 27), 0, 0),
        ("without h20", None, 1, 0),
        ("without us_2025_04_09_h20_letter", None, 1, 0),
        ("with licence h20 from 2025-07-14", None, 0, 1),
        ("{known-at: 2025-06-27, without: [h20], with: [ban h20 from 2025-04-01]}", datetime.date(2025, 6, 27), 1, 1),
        ("[known-at 2025-06-27, without h20]", datetime.date(2025, 6, 27), 1, 0),
    ],
)
def test_rules_are_read_in_every_form(programme, rules, known_at, without, changes):
    found = programme(programme.story + f"rules: {rules}\n").rules
    assert (found.known_at, len(found.without), len(found.changes)) == (known_at, without, changes)


def test_as_of_on_the_command_line_wins(programme):
    found = programme(programme.story + "rules: known-at 2025-06-27\n", as_of=datetime.date(2025, 3, 1))
    assert found.known == found.rules.known_at == datetime.date(2025, 3, 1)


def test_schema_names_every_key_and_is_json():
    schema = json.loads(json.dumps(programme_schema()))
    assert set(schema["required"]) == {"name", "start", "horizon", "place", "fleet", "models"}
    lot = schema["properties"]["fleet"]["items"]
    assert {"lot", "chip", "count", "from", "until", "price", "over"} <= set(lot["properties"])
    assert lot["additionalProperties"] is False


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["lot", "chip", "count", "serve", "train", "like", "stages", "x"]), inner)
        ),
        max_leaves=8,
    ),
    st.sampled_from(["fleet", "models", "rules", "assumptions", "start", "horizon", "place", "name"]),
)
def test_whatever_stands_under_a_key_is_read_or_refused(tmp_path_factory, value, key):
    document = files.parse_yaml("name: a\nstart: 2025-01-01\nhorizon: 1 year\nplace: CN\nfleet: []\nmodels: {}\n")
    path = tmp_path_factory.mktemp("p") / "p.yaml"
    whole = {**document.value, "start": "2025-01-01", key: value}
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(InputError):
        read_programme(path)


def test_the_file_that_tonnage_new_writes_is_sound(catalog):
    path = resources.files("tonnage.fleet").joinpath("data/programme.yaml")
    found = read_programme(str(path), {}, catalog)
    assert len(found.lots) == 2 and [model.name for model in found.coming] == ["new"]


def test_override_keeps_what_it_does_not_touch():
    document = files.parse_yaml("a: {b: [1, 2], c: 3}\n", "p.yaml")
    changed = override(document, {"a.b.1": "5 to 6", "a.d": "{x: 1}"})
    assert changed.value == {"a": {"b": [1, "5 to 6"], "c": 3, "d": {"x": 1}}}
    assert changed.place(("a", "c")) == document.place(("a", "c"))
    assert changed.place(("a", "b", 1)) == "set a.b.1"


def test_a_chip_in_hand_before_its_release_is_refused(programme):
    found = problems(programme, programme.story, start="2020-01-01")
    assert any("h800-sxm was released on 20" in problem.message for problem in found)
    assert not any("h20" in problem.message for problem in found)
    with pytest.raises(InputError, match="was not known on 2020-01-01"):
        programme(as_of=datetime.date(2020, 1, 1))


def test_an_override_that_names_no_lot_names_those_there_are(programme):
    with pytest.raises(InputError, match="0 to 2, or own, cloud, ascend"):
        programme(fleet__nope__count="3")


def test_a_service_names_its_engine_with_a_version(programme):
    """vLLM 0.10 leaves gpt-oss-120b no cache on one H100, which the newest does."""
    text = """
name: engines
start: 2026-10-01
horizon: 6 months
place: US
fleet:
  - {lot: own, chip: h100-sxm, count: 8, tenure: owned}
models:
  oss: {model: gpt-oss-120b, serve: {input_tokens: 1B/day, output_tokens: 0.1B/day, engine: ENGINE}}
"""
    read = programme(text.replace("ENGINE", "vllm@0.11"))
    assert read.models[0].service.engine == "vllm@0.11"
    assert programme(text.replace(", engine: ENGINE", "")).models[0].service.engine is None
    with pytest.raises(InputError) as caught:
        programme(text.replace("ENGINE", "vlm@0.11"))
    problem = caught.value.problems[0]
    assert problem.path.endswith("serve.engine") and problem.suggestion == "vllm"
