"""A run of a tiny model: whatever goes wrong, its losses end as if nothing had, to the bit."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kills import TINY, figures, killed
from lost import SHORT, SOON, ended, forked
from torch.utils._python_dispatch import TorchDispatchMode

from tonnage.cli import run
from tonnage.device.checkpoint import Store
from tonnage.device.kinds import KINDS
from tonnage.errors import InputError
from tonnage.run.train import curve, data, gates, grpo, journal, network, predict, start
from tonnage.run.train.plan import Phase, RunPlan, read_plan
from tonnage.run.train.ranks import Ranks, join
from tonnage.run.train.start import Ended, one_process
from tonnage.run.train.tasks import TaskSource
from tonnage.run.train.trainer import Disturb, Trainer
from tonnage.run.train.watch import HUNG
from tonnage.run.train.words import EOS

R2 = Path(__file__).parents[3] / "examples" / "r2-mini" / "r2.yaml"

STEPS = 18
PLAN = replace(TINY, stages=(replace(TINY.stages[0], steps=STEPS, curriculum=(Phase(1.0, 1.0),)), TINY.stages[1]))


def ran(folder: Path, plan: RunPlan = PLAN, until: int | None = None, disturb: Disturb | None = None) -> Ended:
    folder.mkdir(exist_ok=True)
    return one_process(plan, folder, lambda event: None, until, disturb)


def seen(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in journal.events(folder) if event["event"] == kind]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run undisturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert ran(folder).reason == "feasible"
    return folder


def test_a_run_trains_and_leaves_a_model_that_transformers_loads(whole: Path) -> None:
    losses = list(journal.losses(whole).values())
    assert len(losses) == PLAN.steps and losses[0] > losses[STEPS - 1]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(whole / "model")
    text = "1+4=<think>1+4=5;</think>5"
    assert words.decode(words(text)["input_ids"]) == text
    assert "</think>" not in words.all_special_tokens
    model = AutoModelForCausalLM.from_pretrained(whole / "model")
    assert (model.config.model_type, model.config.topk_method) == ("deepseek_v3", "noaux_tc")


def test_stopped_and_resumed_it_is_the_same_run(whole: Path, tmp_path: Path) -> None:
    for until in (4, 4, STEPS, None):
        ran(tmp_path, until=until)
    assert figures(tmp_path) == figures(whole)
    assert len(seen(tmp_path, "resume")) == 3


def test_a_weight_that_turns_into_nan_is_rolled_back(whole: Path, tmp_path: Path) -> None:
    def once(trainer: Trainer, step: int) -> None:
        if step == 10 and not seen(tmp_path, "nan"):
            with torch.no_grad():
                next(trainer.model.parameters())[0] = torch.nan

    assert ran(tmp_path, disturb=once).reason == "feasible"
    assert [event["at"] for event in seen(tmp_path, "rollback")] == [10]
    assert figures(tmp_path) == figures(whole)


def test_a_spike_is_rolled_back(whole: Path, tmp_path: Path) -> None:
    def once(trainer: Trainer, step: int) -> None:
        if step == 14 and not seen(tmp_path, "spike"):
            with torch.no_grad():
                trainer.model.get_parameter("lm_head.weight").mul_(-60)

    ran(tmp_path, disturb=once)
    assert len(seen(tmp_path, "spike")) == len(seen(tmp_path, "rollback")) == 1
    assert figures(tmp_path) == figures(whole)


def test_a_silent_error_shows_when_a_step_is_done_twice(whole: Path, tmp_path: Path) -> None:
    calls: list[int] = []

    def second(trainer: Trainer, step: int) -> None:
        calls.append(step)
        if step == 10 and calls.count(10) == 2:
            with torch.no_grad():
                trainer.model.get_parameter("lm_head.weight")[5, 5] *= 1 + 2.0**-20

    ran(tmp_path, replace(PLAN, replay=5), disturb=second)
    assert len(seen(tmp_path, "silent")) == 1
    assert figures(tmp_path) == figures(whole)


def test_data_that_break_a_step_each_time_are_replaced(whole: Path, tmp_path: Path) -> None:
    def bad(trainer: Trainer, step: int) -> None:
        if step == 10 and not trainer.progress.salts:
            with torch.no_grad():
                next(trainer.model.parameters())[0] = torch.nan

    assert ran(tmp_path, disturb=bad).reason == "feasible"
    assert len(seen(tmp_path, "nan")) == 2 and len(seen(tmp_path, "skipped")) == 1
    mine, theirs = figures(tmp_path), figures(whole)
    assert mine[11][1] != theirs[11][1]
    assert all(mine[step] == theirs[step] for step in range(1, 11))
    assert all(mine[step][1] == theirs[step][1] for step in range(12, PLAN.steps + 1))


def test_what_goes_wrong_every_time_stops_the_run(tmp_path: Path) -> None:
    def always(trainer: Trainer, step: int) -> None:
        if step == 4:
            with torch.no_grad():
                next(trainer.model.parameters())[0] = torch.nan

    ended = ran(tmp_path, disturb=always)
    assert (ended.reason, ended.step) == ("nan", 4)
    assert "step 4 went wrong 4 times" in ended.text


def test_a_damaged_checkpoint_is_passed_over(whole: Path, tmp_path: Path) -> None:
    ran(tmp_path, until=9)
    store = Store(tmp_path / "checkpoints", 9)
    assert store.steps() == [9, 6]
    part = max((tmp_path / "checkpoints" / "step-00000009").glob("*.distcp"), key=lambda path: path.stat().st_size)
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    ran(tmp_path)
    assert [event["text"][:7] for event in seen(tmp_path, "damaged")] == ["step 9:"]
    assert [(event["step"], event["redone"]) for event in seen(tmp_path, "resume")] == [(6, 3)]
    assert figures(tmp_path) == figures(whole)


def test_a_disk_that_is_full_costs_a_checkpoint_and_not_the_run(whole: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(trainer: Trainer, step: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000 if step == 5 else before[0], before[1]))

    try:
        ran(tmp_path, until=9, disturb=full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [event["step"] for event in seen(tmp_path, "save_failed")] == [6]
    assert Store(tmp_path / "checkpoints", 9).steps() == [9, 3]
    ran(tmp_path)
    assert figures(tmp_path) == figures(whole)


def test_a_save_of_some_megabytes_is_quick(tmp_path: Path) -> None:
    """The model of examples/r2-mini, weights and moments, synced, with its manifest and its probe: 0.18 CPU s."""
    plan = replace(read_plan(R2), hang=0)
    trainer = Trainer(plan, tmp_path, join(KINDS["cpu"], 1, 0), lambda event: None)
    spent = []
    for step in (1, 2, 3):
        trainer.progress.step, began = step, time.process_time()
        trainer.save()
        spent.append(time.process_time() - began)
    saved, damaged = Store(tmp_path / "checkpoints", 3).newest()
    assert saved and saved.step == 3 and not damaged
    assert sum(file.stat().st_size for file in saved.path.rglob("*") if file.is_file()) > 12e6
    assert min(spent) < 0.3 and not trainer.progress.troubles


def test_a_hang_ends_in_a_diagnosis(tmp_path: Path) -> None:
    def stuck_in_a_link(trainer: Trainer, step: int) -> None:
        if step == 2:
            time.sleep(60)

    child = os.fork()
    if not child:
        ran(tmp_path, replace(PLAN, hang=2.0), disturb=stuck_in_a_link)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == HUNG
    assert "stuck_in_a_link" in (tmp_path / "hang-0.txt").read_text()
    (said,) = seen(tmp_path, "hang")
    assert "while doing: step" in said["text"] and "hang-0.txt" in said["text"]


def test_another_model_or_recipe_is_not_resumed(tmp_path: Path) -> None:
    ran(tmp_path, until=3)
    with pytest.raises(InputError, match="another model, task, seed or stages"):
        ran(tmp_path, replace(PLAN, seed=5))
    (tmp_path / start.PLAN).write_text("kept")
    with pytest.raises(InputError, match="another model, task, seed or stages"):
        start.carried_out(replace(PLAN, seed=5), tmp_path, lambda event: None)
    assert (tmp_path / start.PLAN).read_text() == "kept"
    assert Store(tmp_path / "checkpoints", 9).steps() == [3]


def test_killed_at_random_moments_it_resumes_to_the_same_bits(tmp_path: Path) -> None:
    done, _, _ = killed(3, 11, tmp_path)
    assert done == 3


# ---------------------------------------------------------------- moves


class Truncated(TorchDispatchMode):
    """A device whose products keep 12 bits."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default):
            return (out.view(torch.int32) & ~0xFFF).view(torch.float32)
        return out


def test_a_device_that_cuts_its_sums_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran(tmp_path, until=6)
    monkeypatch.setattr(start, "moved", lambda *given: True)
    (tmp_path / start.PLAN).write_text("kept")
    with Truncated():
        ended = start.carried_out(PLAN, tmp_path, lambda event: None)
    assert (tmp_path / start.PLAN).read_text() == "kept"
    assert ended.reason == "numerics"
    assert min(ended.gates.values()) > 2 * gates.LIMIT
    assert "forward" in ended.text and Store(tmp_path / "checkpoints", 9).steps() == [6, 3]
    assert ran(tmp_path, until=8).gates == {"forward": 0.0, "backward": 0.0, "step": 0.0}, "the same device again"


def test_a_precision_that_changes_passes_the_gates_and_is_told(tmp_path: Path) -> None:
    ran(tmp_path, until=6)
    ended = ran(tmp_path, replace(PLAN, precision="bf16", price=0.5), until=9)
    assert ended.reason == "feasible"
    assert all(0 < units < gates.LIMIT / 4 for units in ended.gates.values())
    (switch,) = seen(tmp_path, "switch")
    assert switch["before"] == {"device": "cpu", "nproc": 1, "precision": "fp32"}
    assert ended.switch["cost"] == pytest.approx(0.5 * ended.switch["seconds"])
    assert ended.cost > ended.switch["cost"] > 0


def test_one_process_two_processes_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the command line: torchrun, FSDP2, a checkpoint read by another number of processes, and back."""
    whole, moved = tmp_path / "whole", tmp_path / "moved"
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "scale: 112\ntask: {name: chain_sum}\nevaluate: 0\ncheckpoint: {every: 6, keep: 2}\nprice: $1/h\n"
        "stages:\n  - {pretrain: 18 steps, batch: 6, warm_up: 4}\n"
        "  - {grpo: 2 steps, prompts: 2, group: 3, tokens: 8}\n"
    )
    command = ["run", "train", str(plan), "--into"]
    assert run([*command, str(whole), "-q"]) == 0
    assert run([*command, str(moved), "--until", "6", "-q"]) == 0
    capsys.readouterr()
    assert run([*command, str(moved)]) == 2
    assert "--resume goes on with it" in capsys.readouterr().err
    assert run(["run", "train", "--resume", "--into", str(moved), "--nproc", "2", "--until", "12", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "step"] == ["switch", "predicted", "saved", "answer"]
    assert lines[-1]["outcome"] == "feasible" and lines[-1]["switch"]["seconds"] > 0
    svg = tmp_path / "curve.svg"
    assert run(["run", "train", "--resume", "--into", str(moved), "--nproc", "1", "-o", str(svg)]) == 0
    assert "moved from 2 x cpu, fp32 to 1 x cpu, fp32" in capsys.readouterr().out
    assert svg.read_text().count("cpu x 2 fp32") == 1
    mine, theirs = journal.losses(moved), journal.losses(whole)
    assert len(mine) == len(theirs) == 20
    assert max(abs(mine[step] / theirs[step] - 1) for step in range(1, 19)) < 1e-5
    assert [event["data"] for event in journal.steps(moved).values()] == [
        event["data"] for event in journal.steps(whole).values()
    ]


def test_a_lost_process_of_two_costs_the_run_nothing(tmp_path: Path) -> None:
    """The other ends too; both started again they resume; against one process undisturbed, to rounding."""
    folder = tmp_path / "lost"
    children = forked(SHORT, folder)
    while not any(step >= SOON for step in journal.losses(folder)) and not os.waitid(
        os.P_PID, children[1], os.WEXITED | os.WNOHANG | os.WNOWAIT
    ):
        time.sleep(0.02)
    os.kill(children[1], signal.SIGKILL)
    first, second = ended(children)
    assert first != 0 and second == -signal.SIGKILL
    assert ended(forked(SHORT, folder)) == [0, 0]
    assert len(seen(folder, "resume")) == 1
    assert ran(tmp_path / "alone", replace(SHORT, nproc=1)).reason == "feasible"
    mine, theirs = figures(folder), figures(tmp_path / "alone")
    assert [pair[1] for pair in mine.values()] == [pair[1] for pair in theirs.values()] and len(mine) == 6
    assert [pair[0] for pair in mine.values()] == pytest.approx([pair[0] for pair in theirs.values()], rel=1e-5)


def test_a_change_of_precision_and_back_does_not_move_the_curve(tmp_path: Path) -> None:
    """Before the steep part of training, where a run is as sensitive to anything (docs/run.md)."""
    plan = replace(PLAN, precision="bf16", every=10, stages=(replace(PLAN.stages[0], steps=30, rate=3e-4, batch=8),))
    assert ran(tmp_path / "whole", plan).reason == "feasible"
    for one, until in ((plan, 10), (replace(plan, precision="fp32"), 20), (plan, 30)):
        assert ran(tmp_path / "moved", one, until).reason == "feasible"
    curves = (curve.smoothed(list(journal.losses(tmp_path / name).values())) for name in ("whole", "moved"))
    apart = [abs(one / other - 1) for one, other in zip(*curves, strict=True)]
    assert len(seen(tmp_path / "moved", "switch")) == 2 and len(apart) == 30
    assert apart[9] == 0 < max(apart) < 0.0025


# ---------------------------------------------------------------- reinforcement learning


ALONE = Ranks(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return network.built(PLAN, ALONE)


def rollout(model: torch.nn.Module, rewards: list[float]) -> grpo.Rollout:
    tasks = TaskSource(PLAN.task)
    asked = [tasks.draw(np.random.default_rng(0)) for _ in range(len(rewards) // 3)]
    prompts = [data.prompt(asked[row // 3]) for row in range(len(rewards))]
    said = grpo.generated(model, prompts, grpo.gumbel(1, len(rewards), 12), "fp32", ALONE)
    return grpo.Rollout(prompts, said, np.array(rewards), 3, float(sum(map(len, said))), len(rewards), 0)


def test_advantages_are_relative_to_the_group() -> None:
    found = grpo.advantages(np.array([1.0, 0, 0, 1, 1, 1, 0, 0, 0]), 3)
    spread = np.std([1.0, 0, 0], ddof=1) + grpo.SOFTENED
    assert found[:3] == pytest.approx([2 / 3 / spread, -1 / 3 / spread, -1 / 3 / spread])
    assert found[3:].tolist() == [0] * 6


def test_groups_that_fare_alike_are_left_out_and_the_gradient_is_the_same(model: torch.nn.Module) -> None:
    made = rollout(model, [1.0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0])
    gains = grpo.advantages(made.rewards, 3)
    model.zero_grad()
    figures = grpo.learned(model, made, PLAN, ALONE)
    assert (figures.kept, figures.reward) == (0.5, pytest.approx(5 / 12))
    kept = [value.grad.clone() for value in model.parameters() if value.grad is not None]
    model.zero_grad()
    grpo.policy_loss(model, made, list(range(12)), gains, "fp32", ALONE)
    every = [value.grad for value in model.parameters() if value.grad is not None]
    assert any(float(value.abs().max()) > 0 for value in every)
    for one, other in zip(kept, every, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_that_of_the_log_probabilities(model: torch.nn.Module) -> None:
    made = rollout(model, [1.0, 0, 0])
    gains = grpo.advantages(made.rewards, 3)
    model.zero_grad()
    grpo.learned(model, made, PLAN, ALONE)
    found = [value.grad.clone() for value in model.parameters() if value.grad is not None]
    model.zero_grad()
    total = torch.zeros(())
    for ask, said, gain in zip(made.prompts, made.said, gains, strict=True):
        logits = model(input_ids=torch.tensor([ask + said])).logits[0, len(ask) - 1 : -1]
        total = total - gain * torch.log_softmax(logits, 1)[range(len(said)), said].sum() / made.total
    total.backward()
    for one, value in zip(found, (v for v in model.parameters() if v.grad is not None), strict=True):
        assert value.grad is not None and torch.allclose(one, value.grad, rtol=1e-3, atol=1e-6)


def test_completions_do_not_depend_on_the_cache_or_on_who_shares_the_batch(
    model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, random = TaskSource(PLAN.task), np.random.default_rng(3)
    prompts = [data.prompt(tasks.draw(random)) for _ in range(6)]
    noise = grpo.gumbel(7, 6, 24)
    together = grpo.generated(model, prompts, noise, "fp32", ALONE)
    assert len({len(said) for said in together}) > 1
    monkeypatch.setattr(grpo, "REDRAWN", 1000)
    assert grpo.generated(model, prompts, noise, "fp32", ALONE) == together
    for row in range(6):
        assert grpo.generated(model, prompts[row : row + 1], noise[row : row + 1], "fp32", ALONE)[0] == together[row]
    greedy = grpo.generated(model, prompts[:1], None, "fp32", ALONE, most=5)[0]
    ids = list(prompts[0])
    for token in greedy:
        logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
        logits[[0, 1, *range(57, 64)]] = -torch.inf
        assert int(logits.argmax()) == token
        ids.append(token)


def test_each_stage_has_its_prediction_before_the_first_step(whole: Path) -> None:
    said = seen(whole, "predicted")
    assert [event["stage"] for event in said] == ["pretrain", "grpo", "grpo"]
    assert [event["step"] for event in said] == [0, 0, STEPS]
    assert all(event["step_cpu_time"] > 0 and event["step_time"] > 0 for event in said)
    assert [event["steps"] for event in said[:2]] == [stage.steps for stage in PLAN.stages]


def test_a_rehearsal_says_what_it_is_told(model: torch.nn.Module) -> None:
    said = [[7, 8, 9, EOS], [9, EOS]]
    prompts = [[1, 6], [1, 6, 15, 8]]
    alone = Ranks(0, 1, torch.device("cpu"))
    assert grpo.generated(model, prompts, predict._dictated(said), "fp32", alone) == said


def test_what_engines_read_turns_as_what_was_trained(whole: Path, tmp_path: Path) -> None:
    """YaRN with a factor of 1 is plain RoPE; a model without latent attention keeps its own."""
    from transformers import AutoModelForCausalLM

    path = whole / "model" / "config.json"
    config = json.loads(path.read_text())
    assert (config["rope_parameters"]["rope_type"], config["rope_parameters"]["factor"]) == ("yarn", 1.0)
    plain = tmp_path / "plain"
    shutil.copytree(whole / "model", plain)
    theta = config["rope_parameters"]["rope_theta"]
    (plain / "config.json").write_text(
        json.dumps({**config, "rope_parameters": {"rope_type": "default", "rope_theta": theta}})
    )
    ids = torch.arange(6, 30)[None]
    with torch.no_grad():
        ours, theirs = (AutoModelForCausalLM.from_pretrained(one)(ids).logits for one in (whole / "model", plain))
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-6)
    other = tmp_path / "config.json"
    other.write_text(json.dumps({"rope_parameters": {"rope_type": "default"}, "max_position_embeddings": 96}))
    network._for_engines(other)
    assert json.loads(other.read_text())["rope_parameters"] == {"rope_type": "default"}
