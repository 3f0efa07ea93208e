"""Durations: rows as runs, what is assumed of them, the slip left out by source, and the command."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tonnage import catalog, cli
from tonnage.report.page_durations import durations_page
from tonnage.train.duration import fitted
from tonnage.truth.cases import Skip, load_cases
from tonnage.truth.durations import divided, fleet, prepare, read, usual_batch, whole_run, without_source
from tonnage.truth.durations_board import Durations, accuracy, median_ratio, summarised, summary, votes
from tonnage.truth.score import Prediction
from tonnage.truth.shapes import Library


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(catalog.load())


@pytest.fixture(scope="module")
def board() -> Durations:
    return accuracy(catalog.load())


def row(name: str) -> dict[str, Any]:
    return next(dict(case) for case in load_cases("durations") if case["id"] == f"dur-{name}")


def test_every_row_has_its_source_and_status() -> None:
    cases = load_cases("durations")
    assert len(cases) == len({case["id"] for case in cases}) == 56
    for case in cases:
        assert case["source"]["title"] and case["source"]["where"] and case["source"]["status"]
        assert case["metric"] == "accelerator_hours" and case["published"] > 0


def test_a_whole_row_is_taken_as_it_stands(library: Library) -> None:
    run = read(row("deepseek-v3"), library)
    assert (run.system.count, run.job.seq, run.job.global_batch, run.job.tokens) == (2048, 4096, 15360, 14.8e12)
    assert run.assumed == () and run.job.precision == "fp8" and not run.floor
    assert run.system.accelerator.released is not None and run.system.accelerator.released.year == 2023
    assert run.work == pytest.approx(6 * 37.6e9 * 14.8e12, rel=0.15)


def test_what_is_assumed_is_said(library: Library) -> None:
    run = read(row("llama-4-scout"), library)
    assert run.assumed == ("count", "global_batch")
    assert run.system.count == fleet(run.work, 989e12) and run.system.count & (run.system.count - 1) == 0
    assert 6e6 < run.job.tokens_per_step <= 17e6


def test_a_fleet_does_its_work_in_the_usual_time() -> None:
    """4,096 H100 at 40 % of 989 TFLOP/s do 6.3e24 FLOP in 45 days."""
    assert fleet(6.3e24, 989e12) == 4096
    assert fleet(1.0, 989e12) == 8


def test_a_batch_is_whole_sequences_for_every_accelerator() -> None:
    assert usual_batch(1e23, 4096, 440) % 440 == 0
    assert 4096 * usual_batch(1e23, 4096, 440) == pytest.approx(0.292 * 1e23**0.3271, rel=0.25)
    assert usual_batch(1e26, 8192, 64) * 8192 == pytest.approx(16e6, rel=0.02)
    assert usual_batch(1e18, 8192, 4096) < 4096
    assert divided(1538, 12) == 1536 and divided(3, 12) == 12


def test_gelu_has_two_matrices(library: Library) -> None:
    """GPT-NeoX-20B has 20.6 billion parameters; with gated layers it would have 33."""
    from tonnage.model.counts import params

    assert params(read(row("gpt-neox-20b"), library).job.arch).total == pytest.approx(20.6e9, rel=0.02)
    assert params(read(row("trinity-large-400b"), library).job.arch).total == pytest.approx(398e9, rel=0.01)
    assert params(read(row("k-exaone-236b"), library).job.arch).total == pytest.approx(236e9, rel=0.01)
    assert params(read(row("apertus-70b"), library).job.arch).total == pytest.approx(70.6e9, rel=0.02)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metric": "tokens_per_second_per_accelerator"}, "metric is not accelerator_hours"),
        ({"tokens": None}, "tokens is not given"),
        ({"tokens": 1e20}, "out of range"),
        ({"count": 10**8}, "out of range"),
        ({"precision": "int8"}, "precision is not one of"),
        ({"chip": "abacus"}, "chip abacus"),
        ({"model": {"name": "by name alone"}}, "model.hidden_size is not given"),
        ({"layout": {"tp": 3}}, "layout does not multiply out"),
        ({"published": None}, "published is not given"),
        ({"published": -1}, "published is not a positive number"),
    ],
)
def test_what_cannot_be_expressed_is_named(library: Library, change: dict[str, Any], reason: str) -> None:
    skipped: Counter[str] = Counter()
    assert not prepare([{**row("llama-2-7b"), **change}], library, skipped)
    assert reason in next(iter(skipped))


def _mangle(value: Any, random_: random.Random) -> Any:
    if random_.random() < 0.06:
        return random_.choice([None, "x", -1, 0, 1e29, True, [], {}, {"a": 1}, ["b"], 10**14, "9" * 400])
    if isinstance(value, dict):
        return {key: _mangle(item, random_) for key, item in value.items()}
    return value


def test_careless_rows_are_skipped_not_failed(library: Library) -> None:
    random_, ended = random.Random(5), Counter[str]()
    for case in load_cases("durations"):
        try:
            read({key: _mangle(value, random_) for key, value in case.items()}, library)
            ended["made"] += 1
        except Skip:
            ended["skipped"] += 1
    assert min(ended["made"], ended["skipped"]) > 5


def test_the_bars_are_met_with_the_source_left_out(board: Durations) -> None:
    ratio, found = median_ratio(board.left_out), summarised(board.left_out)
    assert ratio is not None and 0.9 <= ratio <= 1.1
    assert found.coverage_90 is not None and 0.85 <= found.coverage_90 <= 0.95
    assert 0.85 <= sum(bool(one.covered) for one in board.left_out) / len(board.left_out) <= 0.95


def test_the_slip_is_worth_its_place(board: Durations) -> None:
    """Left out it errs less than the steps alone, at the median and at the 90th percentile."""
    out, steps = summarised(board.left_out), summarised(board.steps)
    assert out.median_abs_error and steps.median_abs_error and out.p90_abs_error and steps.p90_abs_error
    assert out.median_abs_error < steps.median_abs_error and out.p90_abs_error < steps.p90_abs_error


def test_steps_alone_hold_no_slip_and_are_apart(board: Durations) -> None:
    floors = {one.id: one for one in board.floors}
    assert set(floors) == {"dur-nemotron-4-340b", "dur-amber-6.7b", "dur-nanochat-d24"}
    assert floors["dur-nemotron-4-340b"].predicted / 11e6 == pytest.approx(1.0, abs=0.1)
    assert not set(floors) & {one.id for one in board.rows}
    past = {past.id for past in fitted()[0].runs}
    assert past == {one.id for one in board.rows} and not past & set(floors)


def test_a_source_left_out_sees_nothing_of_itself(library: Library) -> None:
    """Without its source the only other Blackwell run of a sparse model is one: an example, not an interpolation."""
    made = prepare([row("trinity-large-400b")], library, Counter())
    (ours,), (out,) = [whole_run(one) for one in made], without_source(made)
    assert out.predicted != ours.predicted
    assert out.evidence == ours.evidence == "extrapolated"
    held = fitted()[1]
    assert set(held.folds) == {past.group for past in fitted()[0].runs}


def test_a_step_time_of_a_foreign_stack_cannot_be_interpolated(library: Library) -> None:
    made = prepare([row("llama-2-7b")], library, Counter())
    run = made[0].plan.run
    assert run is not None
    plan = replace(made[0].plan, run=replace(run, doubt=replace(run.doubt, evidence="analytic")))
    assert whole_run(replace(made[0], plan=plan)).evidence == "analytic"


def test_votes_are_of_sources() -> None:
    def one(group: str) -> Prediction:
        return Prediction(group, group, "accelerator_hours", published=1.0, predicted=2.0, low=0.5, high=3.0)

    rows = [one("a"), one("a"), one("b")]
    assert votes(rows) == pytest.approx([0.25, 0.25, 0.5])
    found = summary(rows)
    assert (found["n"], found["groups"], found["inside"], found["median_ratio"]) == (3, 2, 3, 2.0)
    assert summary([])["median_ratio"] is None


def test_json_has_the_promised_keys(board: Durations) -> None:
    body = board.to_json()
    keys = {"n", "n_skipped", "skipped", "groups", "median_abs_error", "p90_abs_error", "bias", "coverage_90", "null"}
    assert keys | {"rows", "median_ratio", "left_out", "floors", "steps", "by"} <= set(body)
    assert body["n"] + body["floors"]["n"] == len(body["rows"]) and body["n_skipped"] == 56 - len(body["rows"])
    first = body["rows"][0]
    assert first["low"] < first["predicted"] < first["high"] and first["slip_low"] < first["slip"] < first["slip_high"]
    json.dumps(body, allow_nan=False)


def test_the_command_on_a_file_with_hostile_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        json.dumps(row("llama-2-7b")),
        json.dumps(row("nemotron-4-340b")),
        json.dumps({**row("llama-2-7b"), "id": "odd", "chip": "abacus"}),
        json.dumps(next(iter(load_cases("training")))),
        "{",
        '{"published": NaN}',
        "[]",
    ]
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert cli.run(["accuracy", "durations", "--cases", str(path), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["n"] == 1 and body["floors"]["n"] == 1 and body["n_skipped"] == 5
    assert body["skipped"]["not valid JSON"] == 1
    assert cli.run(["accuracy", "durations", "--cases", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "dur-llama-2-7b" in shown and "steps with goodput, no slip" in shown


def test_a_file_of_steps_alone_and_one_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(row("nemotron-4-340b")), encoding="utf-8")
    assert cli.run(["accuracy", "durations", "--cases", str(path)]) == 0
    assert "steps, where no more is published" in capsys.readouterr().out
    path.write_text(json.dumps({"published": 1}), encoding="utf-8")
    assert cli.run(["accuracy", "durations", "--cases", str(path), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["n"] == 0 and body["median_ratio"] is None and body["n_skipped"] == 1


def test_the_page(board: Durations) -> None:
    page = "\n".join(durations_page(board))
    assert "## Durations" in page and "| dur-deepseek-v3 |" in page and "each year in turn" in page
    assert "nan" not in page.lower().replace("nanochat", "").replace("nanotron", "")
