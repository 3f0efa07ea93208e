"""`tonnage run` leaves its plans, runs and what was measured in a ledger."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from tonnage import ledger
from tonnage.cli import run
from tonnage.run.serve import kept
from tonnage.run.serve.reading import read_front
from tonnage.run.serve.state import made
from tonnage.run.train import parts
from tonnage.run.train.plan import GRPO, PRETRAIN, RunPlan

PLAN = """\
name: tiny run
scale: 112
task: {name: chain_sum}
evaluate: 0
price: $36/h
stages:
  - {pretrain: 3 steps, batch: 4}
  - {grpo: 2 steps, prompts: 2, group: 3, tokens: 8}
"""


def test_a_run_of_training_is_kept_in_parts_and_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, book = tmp_path / "plan.yaml", tmp_path / "l.sqlite"
    plan.write_text(PLAN)
    words = ["run", "train", str(plan), "--into", str(tmp_path / "run"), "--ledger", str(book), "-q"]
    assert run([*words, "--until", "2"]) == 0
    assert run([*words, "--resume"]) == run([*words, "--resume"]) == 0
    with ledger.reading(book) as held:
        first, second = held.runs()
        assert first.id.startswith("tiny-run-") and first.id.endswith("-0pretrain-cpu1-fp32")
        assert second.id.endswith("-1grpo-cpu1-fp32")
        assert first.started == datetime.datetime.now(datetime.UTC).date()
        rows = held.rows(first.plan, first.id)
        entry = held.plan(first.plan)
        assert len(held.rows(second.plan, second.id)) == 1, "what is the same is kept once"
    assert [row.values["step"] for row in rows][:2] == [2, 3]
    assert (entry.command, entry.subject.model, entry.subject.engine) == ("run train", "deepseek-r1 1:112", "torch")
    assert entry.subject.chip and entry.subject.count == 1
    predicted = {one.quantity: one.value for one in entry.predicted}
    assert predicted["wall_time"] == pytest.approx(3 * predicted["step_time"])
    assert predicted["cost"] == pytest.approx(0.01 * predicted["wall_time"])
    whole = rows[-1].values
    assert whole["wall_time"] > 0 and whole["cost"] > 0 and whole["interruptions"] >= 1
    assert "wall_time" not in rows[0].values, "two steps of three are no whole stage"
    capsys.readouterr()
    for by in ("chip", "engine"):
        assert run(["ledger", "errors", "--by", by, "--ledger", str(book), "--json"]) == 0
        (group,) = json.loads(capsys.readouterr().out)["groups"].values()
        assert {"step_time", "step_cpu_time", "wall_time"} <= group.keys()


def test_steps_done_again_elsewhere_belong_to_where_they_were_done_last(tmp_path: Path) -> None:
    plan = RunPlan(stages=(PRETRAIN, GRPO))

    def step(number: int, spent: float) -> dict[str, object]:
        took = {"seconds": 1.0, "cpu_seconds": 1.0, "spent": spent, "cost": 0.0}
        return {"event": "step", "step": number, "stage": "pretrain", "loss": 1.0, **took}

    fp32 = {"device": "cpu", "nproc": 1, "precision": "fp32", "title": "X"}
    events = [
        {"event": "start", "step": 0, "at": 0.0, **fp32},
        {"event": "predicted", "step": 0, "stage": "pretrain", "step_time": 2.0},
        step(1, 1.0), step(2, 2.0),
        {"event": "switch", "step": 1, **fp32, "nproc": 2},
        {"event": "predicted", "step": 1, "stage": "pretrain", "step_time": 3.0},
        {"event": "predicted", "step": 1, "stage": "pretrain", "step_time": 4.0},
        step(2, 5.0),
    ]  # fmt: skip
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    one, two = parts.parts(plan, tmp_path)
    assert (list(one.steps), one.spent, one.predicted) == ([1], 2.0, {"step_time": 2.0})
    assert (list(two.steps), two.spent, two.predicted) == ([2], 3.0, {"step_time": 3.0})


def test_a_front_keeps_times_errors_and_shares_of_each_release(tmp_path: Path) -> None:
    file = tmp_path / "front.yaml"
    file.write_text(
        "models:\n  m:\n    releases:\n"
        "      r1: {replicas: [{url: 'http://127.0.0.1:9'}], predicted: {tpot: 10ms}}\n"
        "      r2: {weight: 0, replicas: [{url: 'http://127.0.0.1:9'}]}\n"
    )
    state = made(read_front(file, {}), lambda text: None)
    for seconds in (0.1, 0.2, 0.3):
        state.answered.of("m", "r1").answered += 1
        state.answered.add("m", "r1", "latency", seconds)
        state.answered.add("m", "r1", "tpot", seconds / 20)
        state.metrics.count("tonnage_attempts_total", model="m", release="r1", replica="r1-0", outcome="answered")
    state.answered.of("m", "r2").answered += 1
    state.metrics.count("tonnage_attempts_total", model="m", release="r1", replica="r1-0", outcome="failed")
    began = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
    one, two = kept.carried(state, str(file), began)
    assert one.run == "m-r1-20260301-120000" and one.values == {"latency": 0.2, "tpot": 0.01}
    assert (one.row["errors"], one.row["share"], one.row["latency_p99"]) == (0.25, 0.75, 0.3)
    with ledger.open(tmp_path / "l.sqlite") as held:
        for part in (one, two):
            ledger.keep(held, part)
        (row,) = ledger.errors(held).rows
    assert (row.predicted.quantity, row.log_error) == ("tpot", 0.0)
    assert two.values == {}
