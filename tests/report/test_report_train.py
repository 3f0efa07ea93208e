"""A training plan in words: fields in backticks, no flag; what was asked beside it comes after."""

from __future__ import annotations

from dataclasses import replace

from tonnage import catalog
from tonnage.layout import parse_layout
from tonnage.model import load
from tonnage.report.train import answer
from tonnage.report.train_mixed import answer as mixed_answer
from tonnage.system import System, accelerator
from tonnage.train import TrainJob, mixed, move, plan

CATALOG = catalog.load()
JOB = TrainJob(load("llama-3.1-8b", CATALOG), 4096, 512)
H100 = System(accelerator("h100-sxm", CATALOG), 64)
FIXED = parse_layout("tp1,cp1,pp1,mbs1,zero1")


def test_a_run_without_tokens_has_no_cost_and_names_the_field() -> None:
    rows = dict(answer(plan(JOB, H100, FIXED)).rows)
    assert rows["cost"] == "not computed: no `tokens`"
    assert not any("--" in text for text in rows.values())
    both = mixed_answer(mixed(JOB, (H100, H100), (FIXED, FIXED)), "64 h100 + 64 h100")
    assert dict(both.rows)["cost"] == "not computed: no `tokens`"


def test_a_move_is_told_after_the_run() -> None:
    made = plan(replace(JOB, tokens=1e12), H100, FIXED)
    moved = replace(made, move=move(made, plan(made.job, replace(H100, count=256), FIXED)))
    alone, told = answer(made), answer(moved)
    assert told.rows[: len(alone.rows)] == alone.rows
    assert [label for label, _ in told.rows[len(alone.rows) :]] == ["moves to", "pause", "break-even", "rest"]
    assert told.sentence.startswith(alone.sentence) and "sooner" in told.sentence


def test_what_cannot_be_says_what_binds() -> None:
    told = answer(plan(JOB, H100, parse_layout("tp2,pp3,dp5")))
    assert not told.feasible and told.sentence.startswith("No layout: ")
    assert told.rows[0][0] == "bound by"
