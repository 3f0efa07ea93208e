"""Speeds of the fleet are those of `tonnage train` and `tonnage serve`."""

from __future__ import annotations

import dataclasses
import datetime
import json

import pytest

from tonnage.cli import run
from tonnage.fleet.programme import Model, TrainingStage
from tonnage.fleet.speeds import EnginePlanner
from tonnage.fleet.uncertain import point
from tonnage.model import load
from tonnage.serve import ServeJob
from tonnage.serve import plan as plan_service
from tonnage.system import System, accelerator
from tonnage.train import Rollouts, rl_rounds
from tonnage.train.rl import TAIL

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


def stage_of(planner, chips=CHIPS, responses=RESPONSES):
    model = Model("m", "deepseek-v3", load("deepseek-v3", planner.catalog))
    stage = TrainingStage("rl", point(1e11), global_batch=responses, isl=float(PROMPT), osl=float(RESPONSE))
    return planner.train(model, stage, "h800-sxm", chips)


def test_a_launch_and_a_run_agree_on_reinforcement_learning(answer, planner):
    """To the digit, with the whole of what each plans by itself."""
    found = stage_of(planner)
    assert found.rate * CHIPS * answer["wall_time"] == pytest.approx(1e11, rel=1e-12)
    assert found.detail["round"] == pytest.approx(answer["total"], rel=1e-12)


def test_no_response_comes_faster_than_its_tokens(planner, catalog):
    """R1-like rollouts: a round takes its longest response at the latency that `serve` gives for the batch, however
    many accelerators there are; more of them stop helping.
    """
    rates = []
    for chips in (512, 1024, 2048, 4096, 9216):
        found = stage_of(planner, chips)
        job = ServeJob(load("deepseek-v3", catalog), isl=PROMPT, osl=RESPONSE, concurrency=RESPONSES)
        latency = plan_service(job, System(accelerator("h800-sxm", catalog), chips)).tpot
        assert latency is not None
        assert found.detail["generate"] >= TAIL * RESPONSE * latency.value
        assert found.detail["round"] > found.detail["generate"] > RESPONSE * 0.002
        rates.append(found.rate * chips)
    assert rates == sorted(rates) and rates[-1] < 3 * rates[0]


def test_a_longer_tail_makes_a_longer_round(catalog):
    from tonnage.train import TrainJob, plan

    system = System(accelerator("h800-sxm", catalog), 64)
    job = TrainJob(load("llama-3.1-8b", catalog), 2048, 1024)
    trained = plan(job, system)
    even, tail = (
        rl_rounds(job, system, trained, Rollouts(1024, 1024, 1024, 1e6, 8e5, 2e6, latency=0.01, tail=longest))
        for longest in (1.0, 3.0)
    )
    assert tail.each.total - even.each.total == pytest.approx(2 * 1024 * 0.01)
    assert tail.longest - even.longest == pytest.approx(2 * 1024 * 0.01 * 1e6 / 8e5)


def test_a_stage_counts_prompts_log_probabilities_and_weights(planner):
    """Deliberately against the sum of two rates, which leaves all three out."""
    found = stage_of(planner)
    generates, updates = (found.detail[f"{half}_tokens_per_second"] for half in ("rollout", "update"))
    assert found.rate < 0.9 / (1 / generates + 1 / updates)
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
