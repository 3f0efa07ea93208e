"""What is recorded is read back as it was; what is measured is held against it."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import pytest

from tonnage import ledger
from tonnage.errors import AmbiguousName, InputError
from tonnage.ledger import Foretold, Ledger, MeasuredRow, Subject
from tonnage.units import DAY

TRAIN = {
    "command": "train",
    "version": "0.1.0",
    "catalog": "abc",
    "inputs": {"model": "mine.json"},
    "step_time": 4.0,
    "step_time_low": 2.0,
    "step_time_high": 5.0,
    "tokens_per_second_per_accelerator": 100.0,
    "wall_time": 1000.0,
    "wall_time_low": 500.0,
    "wall_time_high": 3000.0,
    "cost": 80.0,
    "memory": {"total": 70e9, "total_low": 60e9, "total_high": 75e9},
    "goodput": None,
    "plan": {
        "job": {"arch": {"name": "meta-llama/Llama-3.1-8B"}, "framework": "NeMo"},
        "system": {"accelerator": {"name": "h100-sxm"}, "count": 64},
    },
}
SERVE = {
    "command": "serve",
    "version": "0.1.0",
    "engine": "sglang",
    "inputs": {},
    "tpot": 0.05,
    "tpot_low": 0.04,
    "tpot_high": 0.06,
    "plan": {"question": {"job": {"arch": {"name": "m"}}, "fleets": [{"system": {"accelerator": {"name": "h20-96gb"},
                                                                                "count": 16}}]}},
}  # fmt: skip
LAUNCH = {
    "command": "launch",
    "version": "0.1.0",
    "inputs": {"programme": "r2.yaml"},
    "model": "r2",
    "start": "2025-01-01",
    "launch": {"p10": "2025-03-01", "p50": "2025-05-01", "p90": None},
    "cost": {"p10": 1e6, "p50": 2e6, "p90": 4e6},
}


@pytest.fixture
def held(tmp_path: Path):
    with ledger.open(tmp_path / "l.sqlite") as opened:
        yield opened


def measure(held: Ledger, plan: str, *values: dict[str, float], run: str | None = None) -> None:
    """Rows a day apart."""
    first = datetime.datetime(2025, 3, 30, tzinfo=datetime.UTC)
    rows = [MeasuredRow(one, one, first + datetime.timedelta(days=i)) for i, one in enumerate(values)]
    held.measured(plan, rows, run)


def test_a_plan_is_kept_whole_with_what_it_predicts(held: Ledger) -> None:
    plan = held.plan(ledger.record(held, TRAIN))
    assert (plan.command, plan.version, plan.catalog) == ("train", "0.1.0", "abc")
    assert plan.subject == Subject("llama-3.1-8b", "h100-sxm", 64, "NeMo")
    assert held.answer(plan.id) == TRAIN
    assert {one.quantity: one for one in plan.predicted} == {
        "step_time": Foretold("step_time", 4.0, 2.0, 5.0, 0.9),
        "tokens_per_second_per_accelerator": Foretold("tokens_per_second_per_accelerator", 100.0, 80.0, 200.0, 0.9),
        "wall_time": Foretold("wall_time", 1000.0, 500.0, 3000.0, 0.9),
        "cost": Foretold("cost", 80.0, 40.0, 240.0, 0.9),
        "memory": Foretold("memory", 70e9, 60e9, 75e9, 0.9),
    }


def test_a_launch_predicts_days_from_its_start_and_a_p90_beyond_the_horizon_is_open(held: Ledger) -> None:
    plan = held.plan(ledger.record(held, LAUNCH))
    assert plan.predicted == (
        Foretold("cost", 2e6, 1e6, 4e6, 0.8),
        Foretold("launch", 120 * DAY, 59 * DAY, None, 0.8),
    )
    measure(held, plan.id, {"launch": 400 * DAY})
    (one,) = ledger.errors(held).rows
    assert one.inside is True


def test_a_service_and_what_holds_no_plan_have_their_subjects(held: Ledger) -> None:
    assert held.plan(held.record(SERVE)).subject == Subject("m", "h20-96gb", 16, "sglang")
    assert held.plan(held.record(LAUNCH)).subject == Subject("r2", None, None, None)
    mixed = [{"accelerator": {"name": name}, "count": 8} for name in ("h20-96gb", "h800-sxm")]
    assert held.plan(held.record({"plan": {"systems": mixed}})).subject.chip == "h20-96gb + h800-sxm"


def test_the_same_answer_is_kept_once(held: Ledger) -> None:
    assert held.record(TRAIN) == held.record(dict(reversed(TRAIN.items())))
    assert held.record(TRAIN | {"step_time": 4.1}) != held.record(TRAIN)
    assert len(held.plans()) == 2


def test_a_plan_is_named_by_the_beginning_of_its_id(held: Ledger) -> None:
    keys = [held.record(TRAIN | {"seed": seed}) for seed in range(40)]
    assert held.plan(keys[7][:12]).id == keys[7]
    with pytest.raises(AmbiguousName, match="begins several ids"):
        held.plan(keys[7][:1])
    with pytest.raises(InputError, match='did you mean "'):
        held.plan(keys[7][:11] + "x")
    for odd in ("", "' OR 1=1 --", "%", "zz'; DROP TABLE plan; --"):
        with pytest.raises(InputError):
            held.plan(odd)
    assert len(held.plans()) == 40
    assert len(held.plans(7)) == 7


def test_an_answer_that_was_changed_in_the_file_is_found(held: Ledger) -> None:
    plan = held.record(TRAIN)
    held._connection.execute("UPDATE plan SET answer = '{}'")
    with pytest.raises(InputError, match="is not what was recorded"):
        held.answer(plan)


def test_rows_are_attached_all_or_none(held: Ledger) -> None:
    plan = held.record(TRAIN)
    good = MeasuredRow({"step_time": 3.0})
    for name, value in (("step_tim", 3.0), ("step_time", 0.0), ("step_time", math.nan), ("step_time", math.inf),
                        ("mfu", 1.5), ("step", -1.0)):  # fmt: skip
        with pytest.raises(InputError):
            held.measured(plan, [good, MeasuredRow({name: value})])
    with pytest.raises(InputError, match=r'step_tim: .*did you mean "step_time"'):
        held.measured(plan, [MeasuredRow({"step_tim": 3.0})])
    assert held.rows() == ()
    assert held.measured(plan, [good, MeasuredRow({"step": 0.0})]) == 2
    assert [dict(row.values) for row in held.rows()] == [{"step_time": 3.0}, {"step": 0.0}]


def test_what_is_too_long_is_refused(held: Ledger) -> None:
    with pytest.raises(InputError, match="an answer of more than"):
        held.record(TRAIN | {"text": "x" * (8 * 2**20)})
    plan = held.record(TRAIN)
    with pytest.raises(InputError, match="longer than"):
        held.measured(plan, [MeasuredRow({"step_time": 3.0}, {"log": "x" * 2**20})])
    assert held.rows() == ()


def test_a_run_is_of_one_plan_and_one_day(held: Ledger) -> None:
    plan, other = held.record(TRAIN), held.record(SERVE)
    day = datetime.date(2025, 3, 1)
    assert held.begin(plan[:9], "pre", day) == held.begin(plan, "pre", day) == held.run("pre")
    for of, when in ((other, day), (plan, day + datetime.timedelta(days=1))):
        with pytest.raises(InputError, match=f'"pre" is a run of plan {plan[:12]} that began on 2025-03-01'):
            held.begin(of, "pre", when)
    with pytest.raises(InputError, match="is a run of plan"):
        held.measured(other, [MeasuredRow({"tpot": 0.05})], "pre")
    with pytest.raises(InputError, match='did you mean "pre"'):
        held.measured(plan, [MeasuredRow({"step_time": 3.0})], "prr")
    with pytest.raises(InputError, match="expected letters"):
        held.begin(plan, "a; b", day)


def test_errors_are_of_predicted_over_measured_one_vote_a_run(held: Ledger) -> None:
    plan = held.record(TRAIN)
    day = datetime.date(2025, 3, 1)
    held.begin(plan, "a", day), held.begin(plan, "b", day)
    measure(held, plan, *[{"step_time": 2.0}] * 5, {"step_time": 2.0, "cost": 60.0}, {"cost": 160.0}, run="a")
    measure(held, plan, {"step_time": 8.0}, run="b")
    found = ledger.errors(held)
    steps, cost = found.groups["all"]
    assert (steps.quantity, steps.readings, steps.runs, steps.plans) == ("step_time", 7, 2, 1)
    assert steps.median_abs_error == pytest.approx(1.0), "2 over 1, either way"
    assert steps.bias == pytest.approx(0.0), "twice and a half"
    assert steps.coverage == 0.5, "2 s touch the interval from 2 to 5 s, 8 s do not"
    assert (cost.readings, cost.runs, cost.bias) == (2, 1, pytest.approx(-0.5)), "the last of a total"
    assert [one.row.at for one in found.rows] == sorted(one.row.at for one in found.rows)


def test_errors_are_told_by_chip_engine_model_and_month(held: Ledger) -> None:
    measure(held, held.record(TRAIN), {"step_time": 4.0}, {"step_time": 4.0}, {"step_time": 4.0})
    measure(held, held.record(SERVE), {"tpot": 0.04})
    assert set(ledger.errors(held, "chip").groups) == {"h100-sxm", "h20-96gb"}
    assert set(ledger.errors(held, "engine").groups) == {"NeMo", "sglang"}
    assert set(ledger.errors(held, "model").groups) == {"llama-3.1-8b", "m"}
    months = ledger.errors(held, "month").groups
    assert {name: [one.readings for one in rows] for name, rows in months.items()} == {
        "2025-03": [2, 1],
        "2025-04": [1],
    }


def test_what_no_plan_predicted_is_kept_and_not_scored(held: Ledger) -> None:
    plan = held.record(TRAIN)
    ledger.measured(held, plan, {"ttft": 0.2, "interruptions": 0.0}, source="by hand")
    assert ledger.errors(held).rows == ()
    assert held.rows()[0].values == {"ttft": 0.2, "interruptions": 0.0}


def test_a_quantity_of_a_newer_tonnage_is_passed_over(held: Ledger) -> None:
    plan = held.record(TRAIN)
    measure(held, plan, {"step_time": 3.0})
    held._connection.execute("INSERT INTO predicted (plan, quantity, value) VALUES (?, 'joy', 1.0)", (plan,))
    held._connection.execute("INSERT INTO reading (measured, quantity, value) VALUES (1, 'joy', 1.0)")
    assert "joy" not in {one.quantity for one in held.plan(plan).predicted} | set(held.rows()[0].values)
    assert len(ledger.errors(held).rows) == 1
