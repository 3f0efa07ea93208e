"""Speeds of the fleet are those of `tonnage train` and `tonnage serve`."""

from __future__ import annotations

import dataclasses
import datetime
import json

import pytest

from tonnage.cli import run
from tonnage.fleet.programme import Model, TrainingStage
from tonnage.fleet.speeds import EnginePlanner, PlannedSpeed
from tonnage.fleet.uncertain import point
from tonnage.model import load
from tonnage.system import System, accelerator
from tonnage.train import Rollouts, rl_rounds

CHIPS, PROMPT, RESPONSE, RESPONSES = 1024, 500, 8000, 1024


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """`tonnage train` of a stage of reinforcement learning, as JSON."""
    path = tmp_path_factory.mktemp("rl") / "rl.json"
    words = ["--rollout-tokens", "0.1T", "--rollout-length", str(RESPONSE), "--rollout-prompt", str(PROMPT)]
    asked = ["train", "deepseek-v3", "--on", f"{CHIPS}xh800", "--global-batch", str(RESPONSES), *words]
    assert run([*asked, "-q", "-o", str(path)]) == 0
    return json.loads(path.read_text(encoding="utf-8"))["rl"]


@pytest.fixture
def planner(programme, catalog):
    """A planner of today's software."""
    made = EnginePlanner(programme(), catalog)
    made.programme = dataclasses.replace(made.programme, known=datetime.date(2026, 8, 1))
    return made


def stage_of(planner, monkeypatch, rollout=None):
    model = Model("m", "deepseek-v3", load("deepseek-v3", planner.catalog))
    stage = TrainingStage("rl", point(1e11), global_batch=RESPONSES, isl=float(PROMPT), osl=float(RESPONSE))
    if rollout is not None:
        monkeypatch.setattr(planner, "_rollout", lambda *_: rollout)
    return planner.train(model, stage, "h800-sxm", CHIPS)


def test_a_launch_and_a_run_agree_on_reinforcement_learning(answer, planner, monkeypatch):
    rate = answer["rollout_tokens_per_second_per_accelerator"] / RESPONSE
    rollout = PlannedSpeed("rollout", "m", "h800-sxm", 256, rate, rate, rate)
    found = stage_of(planner, monkeypatch, rollout)
    assert found.rate * CHIPS * answer["wall_time"] == pytest.approx(1e11, rel=1e-12)


def test_a_stage_counts_prompts_log_probabilities_and_weights(planner, monkeypatch, catalog):
    """Deliberately against the sum of two rates, which leaves all three out."""
    rollout = PlannedSpeed("rollout", "m", "h800-sxm", 256, 1500 / RESPONSE, 1000 / RESPONSE, 2000 / RESPONSE)
    found = stage_of(planner, monkeypatch, rollout)
    generates, updates = (found.detail[f"{half}_tokens_per_second"] for half in ("rollout", "update"))
    assert generates == pytest.approx(1500)
    assert found.rate < 0.8 / (1 / generates + 1 / updates)
    assert found.low < found.rate < found.high


def test_a_round_with_instant_rollouts_is_update_and_transfer(catalog):
    from tonnage.train import TrainJob, plan

    system = System(accelerator("h800-sxm", catalog), 64)
    job = TrainJob(load("llama-3.1-8b", catalog), 2048, 1024)
    trained = plan(job, system)
    made = rl_rounds(job, system, trained, Rollouts(1024, 1024, 1024, 1e30, 1e30, 1e30))
    passes = 2048 * 1024 * (4 / 3) / (trained.tokens_per_second * 64)
    assert made.each.total == pytest.approx(passes + made.each.transfer)
    assert made.shortest < made.each.total < made.longest
    assert made.interval[0] < made.rate < made.interval[1]
