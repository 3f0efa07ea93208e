"""Programmes that are wrong or absurd: every problem with its place, none planned for hours, nothing ignored."""

import pytest

from tonnage.errors import InputError
from tonnage.fleet import launch

GOOD = """
name: mini
start: 2025-06-01
horizon: 12 months
place: US
fleet:
  - {lot: own, chip: h100-sxm, count: 64, tenure: owned}
  - {lot: rent, chip: h200, count: 32, price: $2/h to $3/h, from: 2025-08-01}
models:
  old:
    model: qwen3-8b
    serve: {input_tokens: 1B/day, output_tokens: 0.2B/day, isl: 2k, osl: 500, tpot: 50ms, growth: 3 %/month}
  new:
    model: {like: qwen3-8b, layers: 40}
    after: old
    train: {stages: [{pretrain: 0.2T}], try: [own]}
    serve: {like: old, takes_over: 60 % to 90 %, within: 4 weeks}
rules: as-of
assumptions: {slip: 1.2 to 3}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("layers: 40", "precision: zzz", r'\d+:\d+  models.new.model.precision: "zzz" is no format of weights'),
        ("1B/day", "1e30/day", r"11:\d+|models.old.serve.input_tokens: .* is above"),
        ("assumptions: {", "assumptions: {readiness: {onw: 1 %}, ", r'readiness.onw: no lot .* did you mean "own"'),
        ("old:\n", '"\\e[31mEVIL":\n', "printable characters"),
        ("tenure: owned", 'tenure: owned, price: "normal($2/h, $100/h)"', "fleet.0..price: .* is below"),
        ("rules: as-of", "rules: as-of\nbudget: $0", 'budget: "\\$0" is below \\$1'),
        ("place: US", "place: XQ", "place: "),
        ("from: 2025-08-01", "from: 2025-08-01, until: 2025-07-01", "until: is not after from"),
        ("chip: h200, ", "", "chip: a lot needs this key"),
        ("model: qwen3-8b\n    serve", "model: qwen3-8b\n    after: new\n    serve", "follow one another in a circle"),
    ],
)
def test_each_problem_is_said_with_its_place(programme, old, new, said):
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    with pytest.raises(InputError, match=said) as caught:
        programme(text)
    assert all("p.yaml:" in problem.where for problem in caught.value.problems)


def test_all_problems_are_said_at_once(programme):
    text = GOOD.replace("place: US", "place: XQ").replace("layers: 40", "precision: zzz").replace("3 %/month", "x")
    with pytest.raises(InputError) as caught:
        programme(text.replace("rules: as-of", "budget: $0"))
    assert len(caught.value.problems) == 4


def test_ten_thousand_lots_are_refused_in_a_moment(programme):
    lots = "".join(f"  - {{lot: l{i}, chip: h100, count: 8, tenure: owned}}\n" for i in range(10_000))
    with pytest.raises(InputError, match="more than 20,000 values"):
        programme(GOOD.replace("  - {lot: rent", lots + "  - {lot: rent").replace("  - {lot: own,", "  - {lot: own,"))


def test_a_hundred_lots_are_refused_by_their_number(programme):
    lots = "".join(f"  - {{lot: l{i}, chip: h100, count: 8, tenure: owned}}\n" for i in range(100))
    with pytest.raises(InputError, match="102 lots; at most 64 are taken"):
        programme(GOOD.replace("  - {lot: rent", lots + "  - {lot: rent"))


@pytest.mark.parametrize("growth", ["0 %", "0", "0 %/month"])
def test_no_growth_may_be_written_as_people_write_it(programme, growth):
    assert programme(GOOD, models__old__serve__growth=growth).models[0].service.growth.median == 0


def test_a_growth_needs_its_month_unless_it_is_none(programme):
    with pytest.raises(InputError, match="5 %/month"):
        programme(GOOD, models__old__serve__growth="5 %")


def test_a_lot_that_cannot_be_planned_on_is_left_out_and_the_rest_is_answered(programme, catalog, written):
    more = (
        "  - {lot: b, chip: dcu-z100, count: 8, price: $1/h}\n"
        "  - {lot: far, chip: h200, count: 8, price: $1/h, from: 2052-01-01}\nmodels:"
    )
    read = programme(GOOD.replace("models:", more, 1), start="2026-06-01")
    assert dict(read.left_out).keys() == {"b", "far"}
    speeds = {"serve": {"h100-sxm": 50.0, "h200-sxm": 50.0}, "train": {"h100-sxm": 9e3}}
    found = launch(read, catalog, draws=20, planner=written(**speeds), what_if=False)
    assert "no rates.bf16 for dcu-z100" in dict(found.left_out)["b"]
    assert "up to which launches are looked for" in dict(found.left_out)["far"]
    assert found.launch.p50 is not None


def test_a_fleet_of_which_nothing_can_be_planned_on_is_a_problem(programme):
    text = GOOD.replace("chip: h100-sxm", "chip: dcu-z100").replace("  - {lot: rent", "  # {lot: rent")
    with pytest.raises(InputError, match="no lot can be planned on"):
        programme(text, start="2026-06-01")
