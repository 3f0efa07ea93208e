"""Exported training files before the engines' own parsers, and before the tables: who takes them, who refuses mistakes.

Every plan is written for every engine that has what it decided, and a dozen mistakes are planted in each. Bridge and
MindSpeed-LLM do not install without their devices: the table drawn from their sources is all that has taken them.
"""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from export_check.environments import SOURCES, python, source

PLANS = {
    "dense on one server": "llama-3.1-8b --on 8xh200 --seq 8192 --global-batch 64 --tokens 10B",
    "dense on many, as of a day": "llama-3.1-8b --on 64xh100 --tokens 1T --seq 8k --global-batch 512 "
    "--as-of 2025-06-01",
    "mixture with latent attention": "deepseek-v3 --on 2048xh800 --tokens 14.8T --global-batch 15360 --precision fp8",
    "mixture": "qwen3-30b-a3b --on 32xh100 --global-batch 512 --tokens 100B",
    "hybrid": "qwen3-next-80b-a3b --on 64xb200 --seq 8192 --global-batch 512 --precision mxfp8",
    "amd": "qwen3-235b-a22b --on 64xmi300x --global-batch 1024",
    "ascend": "qwen3-32b --on 64xascend-910b --global-batch 512 --framework mindspeed",
    "ascend of two dies": "deepseek-v3 --on 1024xascend-910c --global-batch 4096 --framework mindspeed",
    "adapters on ascend": "qwen3-32b --on 16xascend-910b --global-batch 64 --task lora --lora-rank 16 "
    "--framework mindspeed",
    "sharded weights": "qwen3-32b --on 64xh200 --global-batch 512 --layout zero3",
    "uneven stages": "llama-3.1-405b --on 1024xh100 --seq 8192 --layout tp8,pp16,vpp4,zero1",
    "narrow states": "llama-3.1-70b --on 64xh100 --seq 8192 --global-batch 512 --moments bf16 --gradients bf16 "
    "--offload optimizer",
    "four bits": "llama-3.1-405b --on 512xgb200 --seq 8192 --global-batch 512 --precision nvfp4",
    "long sequences": "llama-3.1-70b --on 128xh100 --seq 128k --global-batch 64 --layout cp8",
    "muon": "kimi-k2 --on 1024xh800 --global-batch 8192 --optimizer muon --tokens 15.5T",
    "groups": "qwen3-32b --on 64xh200 --global-batch 512 --shard-group 8",
    "torchtitan": "llama-3.1-8b --on 8xh100 --seq 8192 --global-batch 64 --framework torchtitan --layout zero3 "
    "--tokens 10B",
    "torchtitan with a pipeline": "llama-3.1-70b --on 128xh100 --seq 8192 --global-batch 512 --framework torchtitan "
    "--layout zero3,vpp1",
    "torchtitan, mixture": "qwen3-30b-a3b --on 32xh100 --global-batch 512 --framework torchtitan "
    "--layout zero3,tp1,pp1",
    "torchtitan in FP8": "llama-3.1-405b --on 512xh100 --seq 8192 --global-batch 512 --framework torchtitan "
    "--layout zero3,tp8,pp16 --precision fp8",
    "rounds": "qwen3-32b --on 64xh200 --tokens 10B --rollout-tokens 0.5T --rollout-length 8k --global-batch 512",
    "rounds with two pools": "qwen3-32b --on 64xh200 --tokens 10B --rollout-tokens 0.5T --rollout-length 8k "
    "--global-batch 512 --rollout-on 64xh200 --rollout-stale",
}
"""Plans that are exported to every engine that has what they decided: name -> words of `tonnage train`."""

TITAN = "--framework torchtitan --layout zero3"
MIND = "--framework mindspeed"
ROUNDS = "--tokens 10B --rollout-tokens 0.5T --rollout-length 8k --global-batch 512"

MORE = {
    "torchtitan on one card": f"qwen3-0.6b --on 1xh100 --seq 4096 --global-batch 16 {TITAN}",
    "torchtitan on two servers": f"qwen3-14b --on 16xh200 --seq 8192 --global-batch 128 {TITAN}",
    "torchtitan with tp": f"qwen3-32b --on 64xh100 --seq 8192 --global-batch 256 {TITAN},tp8",
    "torchtitan in MXFP8": f"llama-3.1-8b --on 8xb200 --seq 8192 --global-batch 64 --precision mxfp8 {TITAN}",
    "torchtitan, latent": f"deepseek-v3 --on 1024xh200 --global-batch 2048 {TITAN},tp1,pp1,ep64",
    "torchtitan, latent, in FP8": f"deepseek-v3 --on 1024xh200 --global-batch 2048 --precision fp8 {TITAN},tp1",
    "torchtitan on AMD": f"llama-3.1-70b --on 64xmi300x --seq 8192 --global-batch 256 {TITAN}",
    "torchtitan, long sequences": f"llama-3.1-8b --on 32xh100 --seq 128k --global-batch 32 {TITAN},cp8",
    "ascend, one server": f"qwen3-8b --on 8xascend-910b --seq 4096 --global-batch 64 {MIND}",
    "ascend, two servers": f"llama-3.1-8b --on 16xascend-910b --seq 8192 --global-batch 128 {MIND}",
    "ascend, large and dense": f"llama-3.1-70b --on 256xascend-910c --seq 8192 --global-batch 512 {MIND}",
    "ascend, mixture": f"qwen3-30b-a3b --on 32xascend-910b --global-batch 512 {MIND}",
    "ascend, large mixture": f"qwen3-235b-a22b --on 512xascend-910c --global-batch 2048 {MIND}",
    "ascend, pipeline": f"qwen3-32b --on 64xascend-910b --global-batch 512 --layout tp8,pp4 {MIND}",
    "ascend, long sequences": f"qwen3-8b --on 64xascend-910c --seq 32k --global-batch 64 --layout cp4 {MIND}",
    "ascend, two dies, dense": f"qwen3-32b --on 32xascend-910c --global-batch 256 {MIND}",
    "rounds on one server": f"qwen3-8b --on 8xh200 {ROUNDS}",
    "rounds of a small model": f"qwen3-0.6b --on 8xh100 {ROUNDS}",
    "rounds of Llama": f"llama-3.1-70b --on 64xh200 {ROUNDS}",
    "rounds of a mixture": f"qwen3-30b-a3b --on 32xh200 {ROUNDS}",
    "rounds of a large mixture": f"qwen3-235b-a22b --on 256xh200 {ROUNDS}",
    "rounds of latent attention": f"deepseek-v3 --on 1024xh200 {ROUNDS}",
    "rounds on Blackwell": f"qwen3-32b --on 64xb200 {ROUNDS}",
    "rounds on AMD": f"qwen3-32b --on 64xmi300x {ROUNDS}",
}  # fmt: skip
"""More plans for the engines that write few of those above: looked at by `make export-check` alone."""

Edit = Mapping[str, "str | None"]

_M = "actor_rollout_ref.actor.megatron"

MISTAKES: Mapping[str, Mapping[str, Edit]] = {
    "megatron": {
        "unknown flag": {"--tensor-parallel-sizes": "2"},
        "word for a number": {"--micro-batch-size": "two"},
        "unknown choice": {"--optimizer": "adamx"},
        "tp beyond heads": {"--tensor-model-parallel-size": "7"},
        "ranks and stages": {"--pipeline-model-parallel-size": "3"},
        "context ranks": {"--context-parallel-size": "48"},
        "batch": {"--global-batch-size": "13"},
        "micro-batch": {"--micro-batch-size": "7"},
        "chunks without a pipeline": {"--pipeline-model-parallel-size": "1", "--pipeline-model-parallel-layout": None,
                                      "--num-virtual-stages-per-pipeline-rank": "2"},
        "layers": {"--num-layers": "7", "--pipeline-model-parallel-layout": None, "--pipeline-model-parallel-size": "2",
                   "--num-virtual-stages-per-pipeline-rank": "2"},
        "full recomputation without a method": {"--recompute-granularity": "full"},
        "two formats": {"--fp16": ""},
        "positions": {"--max-position-embeddings": "16"},
    },
    "torchtitan": {
        "unknown setting": {"--parallelism.tensor_parallel_size": "2"},
        "word for a number": {"--training.seq_len": "long"},
        "unknown choice": {"--training.mixed_precision_param": "bf16"},
        "unknown policy": {"activation-checkpoint": "every"},
        "unknown section": {"--trainer.steps": "3"},
        "fraction for a number": {"--training.steps": "2.5"},
        "ranks": {"--parallelism.data_parallel_shard_degree": "3"},
        "stages": {"--parallelism.pipeline_parallel_degree": "5"},
        "batch": {"--training.global_batch_size": "13"},
        "experts' ranks": {"--parallelism.expert_parallel_degree": "7"},
        "context ranks": {"--parallelism.context_parallel_degree": "3"},
        "micro-batches": {"--parallelism.pipeline_parallel_microbatch_size": "3", "--training.local_batch_size": "4"},
    },
    "verl": {
        "unknown key": {"actor_rollout_ref.actor.micro_batch": "2"},
        "unknown section": {"trainer.v2.trainer_mode": "sync"},
        "unknown model": {"actor_rollout_ref.actor.model.path": "x"},
        "unknown size": {f"{_M}.tensor_parallel": "2"},
        "unknown engine": {"model_engine": "megatrn"},
        "word for a number": {f"{_M}.tensor_model_parallel_size": "two"},
        "ranks": {f"{_M}.tensor_model_parallel_size": "3"},
        "stages": {f"{_M}.pipeline_model_parallel_size": "5"},
        "micro-batch": {"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": "7"},
        "batch": {"actor_rollout_ref.actor.ppo_mini_batch_size": "100000"},
        "rollouts": {"actor_rollout_ref.rollout.tensor_model_parallel_size": "48"},
        "chunks without a pipeline": {f"{_M}.pipeline_model_parallel_size": "1",
                                      f"{_M}.virtual_pipeline_model_parallel_size": "2"},
    },
    "bridge": {
        "unknown field": {"model.tensor_parallel_size": "2"},
        "unknown section": {"training.micro_batch_size": "2"},
        "word for a number": {"train.micro_batch_size": "two"},
        "word for a switch": {"ddp.overlap_grad_reduce": "sometimes"},
        "ranks": {"model.tensor_model_parallel_size": "7"},
        "stages": {"model.pipeline_model_parallel_size": "5"},
        "context ranks": {"model.context_parallel_size": "48"},
        "batch": {"train.global_batch_size": "13"},
        "micro-batch": {"train.micro_batch_size": "7"},
        "chunks without a pipeline": {"model.pipeline_model_parallel_size": "1",
                                      "model.pipeline_model_parallel_layout": None,
                                      "model.virtual_pipeline_model_parallel_size": "2"},
        "positions": {"dataset.seq_length": "16"},
        "unknown choice": {"model.recompute_granularity": "half"},
    },
}  # fmt: skip
"""Mistakes planted into accepted settings, by engine: names with the value that is put in, None: taken out."""
MISTAKES = {**MISTAKES, "mindspeed": MISTAKES["megatron"]}

TOGETHER = {
    "megatron": ("layers", "batch"),
    "torchtitan": ("ranks", "stages", "batch", "experts' ranks", "context ranks", "micro-batches"),
    "verl": ("unknown engine", "word for a number", "ranks", "stages", "micro-batch", "batch", "rollouts",
             "chunks without a pipeline"),
}  # fmt: skip
"""Mistakes that an engine sees only when its processes start, not when it reads its settings: the table sees them."""


def edited(words: Sequence[tuple[str, str | None]], edit: Edit) -> list[tuple[str, str | None]]:
    """Words with others in their place, or beside them."""
    kept = [(name, value) for name, value in words if name not in edit]
    return kept + [(name, value or None) for name, value in edit.items() if value is not None]


def argv(engine: str, words: Sequence[tuple[str, str | None]]) -> list[str]:
    """Words as an engine's command line has them; torchtitan's policy comes last."""
    if engine == "verl":
        return [f"{name}={value}" for name, value in words]
    plain = [each for name, value in words if not name.startswith("activation-") for each in _spread(name, value)]
    return plain + [f"{name}:{value}" for name, value in words if name.startswith("activation-")]


def _spread(name: str, value: str | None) -> list[str]:
    return [name] if value is None else [name, value]


def cases(folder: Path, plans: Mapping[str, str] = PLANS) -> Iterator[dict[str, Any]]:
    """Settings of every plan for every engine that has what it decided, and one plan's with each mistake."""
    from tonnage.cli import run
    from tonnage.export import TRAINING, CannotExport, training_files
    from tonnage.export.train_accepted import refused, settings_file
    from tonnage.train import TrainPlan

    for name, words in plans.items():
        path = folder / f"{name.replace(' ', '-').replace(',', '')}.json"
        with redirect_stdout(io.StringIO()):
            code = run(["train", *words.split(), "-o", str(path), "--quiet", "--ledger=off"])
        if code != 0:
            raise SystemExit(f"{name}: no plan")
        plan = TrainPlan.from_json(json.loads(path.read_text(encoding="utf-8")))
        for engine in (one for one in TRAINING if one != "run"):
            try:
                one = settings_file(engine, training_files(plan, engine))
            except CannotExport:
                continue
            generation = plan.system.accelerator.generation
            major = {"hopper": 9, "blackwell": 10, "ampere": 8}.get(generation or "", 9)
            yield {"engine": engine, "plan": name, "mistake": "", "argv": argv(engine, one.words), "world": one.world,
                   "major": major, "table": list(refused(one))}  # fmt: skip
            for label, edit in MISTAKES[engine].items():
                wrong = type(one)(engine, tuple(edited(one.words, edit)), one.world)
                yield {"engine": engine, "plan": name, "mistake": label, "argv": argv(engine, wrong.words),
                       "world": one.world, "major": major, "table": list(refused(wrong))}  # fmt: skip


ENGINES = {
    "megatron": "Megatron-LM", "bridge": "Megatron Bridge", "torchtitan": "torchtitan", "mindspeed": "MindSpeed-LLM",
    "verl": "verl",
}  # fmt: skip
"""Word of `tonnage export` -> how its makers call it: the columns."""


def answered(engine: str, held: Sequence[dict[str, Any]]) -> list[str]:
    """What an engine's own parser says of each case, nothing where it takes it; the table's word where it has none."""
    if engine not in SOURCES:
        return ["; ".join(case["table"]) for case in held]
    program, env = python(engine)
    words = [str(program), str(Path(__file__).with_name("training_parsers.py")), engine, str(source(engine))]
    done = subprocess.run(words, input=json.dumps(held), text=True, capture_output=True, env=env, check=False)
    if done.returncode:
        raise SystemExit(f"{ENGINES[engine]}: its parser did not run: {done.stderr[-1500:]}")
    return [str(one["parser"]) for one in json.loads(done.stdout)]


def judged(folder: Path) -> tuple[str, list[str]]:
    """(the table in Markdown, what is not as it should be)."""
    made = list(cases(folder, PLANS | MORE))
    columns: dict[str, dict[str, str]] = {}
    refused: dict[str, str] = {}
    wrong: list[str] = []
    for engine, title in ENGINES.items():
        held = [case for case in made if case["engine"] == engine]
        said = list(zip(held, answered(engine, held), strict=True))
        word = "engine" if engine in SOURCES else "table"
        columns[engine] = {case["plan"]: "**no**" if why else word for case, why in said if not case["mistake"]}
        wrong += [f"{title}, {case['plan']}: {why}" for case, why in said if why and not case["mistake"]]
        planted = [(case, why) for case, why in said if case["mistake"]]
        late = TOGETHER.get(engine, ())
        wrong += [
            f"{title}, {case['plan']}: the mistake {case['mistake']!r} was taken"
            for case, why in planted
            if not case["table"] or (not why and case["mistake"] not in late)
        ]
        own = sum(bool(why) for _, why in planted)
        rest = f", {len(planted) - own} by the table" if own < len(planted) else ""
        refused[engine] = f"{own} of {len(planted)} by the {word}{rest}"
    lines = ["| plan | " + " | ".join(ENGINES.values()) + " |", "| --- |" + " --- |" * len(ENGINES)]
    lines += [
        f"| {name} | " + " | ".join(columns[one].get(name, "–") for one in ENGINES) + " |" for name in PLANS | MORE
    ]
    lines += ["| mistakes refused | " + " | ".join(refused[one] for one in ENGINES) + " |"]
    return "\n".join(lines), wrong
