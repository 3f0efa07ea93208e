"""Plans of runs: read with the place of what is wrong; and an architecture's sizes made small."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tonnage.errors import InputError
from tonnage.model import load
from tonnage.model.scaled import scaled
from tonnage.run.train.plan import GRPO, PRETRAIN, Phase, RunPlan, from_json, read_plan

EXAMPLE = Path(__file__).parents[3] / "examples" / "r2-mini" / "r2.yaml"


def test_the_example_is_read() -> None:
    plan = read_plan(EXAMPLE)
    assert (plan.name, plan.model, plan.scale, plan.steps) == ("r2-mini", "deepseek-r1", 56, 540)
    assert [stage.kind for stage in plan.stages] == ["pretrain", "grpo"]
    assert plan.stages[0].curriculum == (Phase(0.8, 1.0), Phase(1.0, 0.3))
    assert plan.stages[1].betas == GRPO.betas
    assert plan.sizes["kv_lora_rank"] == 512
    assert from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_everything_that_is_wrong_is_said_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "nam: x\ndevice: gpu\nscale: 0\nstages:\n  - pretrain: many\n  - {grpo: 3 steps, rat: 1}\n"
        "  - {pretrain: 3 steps, curriculum: [{until: 50 %, careful: 1}]}\nhang: -1s\n"
    )
    with pytest.raises(InputError) as found:
        read_plan(file)
    text = str(found.value)
    assert 'bad.yaml:1:1  nam: is not known   did you mean "name"?' in text
    assert 'device: "gpu" is none of cpu, cuda, npu' in text
    assert "scale: expected 1 to 1e+06, got 0" in text
    assert 'stages[0].pretrain: expected a number of steps, got "many"' in text
    assert 'stages[1].rat: is not known   did you mean "rate"?' in text
    assert "stages[2].curriculum: the last phase lasts until 100 %" in text
    assert "hang:" in text


def test_a_saved_answer_is_a_plan(tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    saved = {"command": "train", "outcome": "feasible", "inputs": {"model": "deepseek-v3"}, "step_time": 12.5}
    file.write_text(json.dumps({**saved, "switch": {"total": 3600.0}}))
    plan = read_plan(file)
    assert plan.model == "deepseek-v3"
    assert plan.planned == {"step_time": 12.5, "switch_time": 3600.0}
    file.write_text(json.dumps({**saved, "outcome": "memory"}))
    with pytest.raises(InputError, match=r"not feasible \(memory\)"):
        read_plan(file)
    file.write_text("{}")
    with pytest.raises(InputError, match="no saved answer"):
        read_plan(file)


def test_the_stage_of_a_step_and_what_makes_a_run_another() -> None:
    plan = RunPlan(stages=(replace(PRETRAIN, steps=3), replace(GRPO, steps=2)))
    assert [plan.stage_at(step) for step in (0, 2, 3, 4, 5)] == [(0, 0), (0, 2), (1, 0), (1, 1), (2, 0)]
    assert replace(plan, device="cuda", nproc=4, precision="bf16").identity() == plan.identity()
    assert replace(plan, seed=1).identity() != plan.identity()


def test_deepseek_made_small_keeps_its_kinds_of_layers() -> None:
    made = scaled(load("deepseek-r1").config, 56, 64, 96, {})
    assert made["hidden_size"] == 128
    assert made["num_hidden_layers"] == 3
    assert made["first_k_dense_replace"] == 1
    assert made["n_routed_experts"] == 8
    assert made["n_shared_experts"] == 1
    assert made["num_experts_per_tok"] == 2
    assert made["scoring_func"] == "sigmoid"
    assert "quantization_config" not in made
    with pytest.raises(InputError, match=r'sizes\.kv_lora_ran: is no size of this model   did you mean "kv_lora_rank"'):
        scaled(load("deepseek-r1").config, 56, 64, 96, {"kv_lora_ran": 3})


@pytest.mark.parametrize("name", ["llama-3.1-8b", "qwen3-32b", "mixtral-8x7b"])
def test_other_architectures_stay_consistent(name: str) -> None:
    made = scaled(load(name).config, 64, 64, 96, {})
    heads, keys = int(str(made["num_attention_heads"])), int(str(made["num_key_value_heads"]))
    assert heads % keys == 0
    assert int(str(made["hidden_size"])) % 32 == 0
    assert int(str(made["hidden_size"])) < 200
