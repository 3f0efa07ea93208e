"""Exported training files before the engines' own parsers, and before the tables: who takes them, who refuses mistakes.

    python scripts/export_check_training.py cases FOLDER            # plans, files and planted mistakes -> cases.json
    ENV/bin/python scripts/export_check_training.py ENGINE SOURCE cases.json > found.json

The first needs tonnage, the second an environment of the engine (`ENVIRONMENTS`) and its source: a checkout of
Megatron-LM, or the folder that a wheel of torchtitan or verl is unpacked into. Megatron-LM's arguments are parsed and
validated by its own code for the ranks of the plan, with a device that answers only for its generation; torchtitan's by
its ConfigManager; verl's by hydra over its YAML. Bridge and MindSpeed-LLM do not install without their devices: the
table is all that has taken them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import types
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ENVIRONMENTS = {
    "megatron": ("3.11", ("torch", "numpy", "packaging", "einops", "triton")),
    "torchtitan": ("3.11", ("torch", "tyro", "spmd_types==0.2.3", "einops", "datasets==3.6.0", "torchdata",
                            "tensorboard", "torch_checkpointing",
                            "torchao", "tokenizers", "safetensors", "pillow", "triton")),
    "verl": ("3.11", ("hydra-core", "omegaconf")),
}  # fmt: skip
"""Engine -> (Python, packages) of the environment in which its parser runs, beside its source."""

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
"""Plans that are exported to every engine that has what they decided."""

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


def cases(folder: Path) -> Iterator[dict[str, Any]]:
    """Settings of every plan for every engine that has what it decided, and one plan's with each mistake."""
    from tonnage.cli import run
    from tonnage.export import TRAINING, CannotExport, training_files
    from tonnage.export.train_accepted import refused, settings_file
    from tonnage.train import TrainPlan

    for name, words in PLANS.items():
        path = folder / f"{name.replace(' ', '-').replace(',', '')}.json"
        if run(["train", *words.split(), "-o", str(path), "--quiet", "--ledger=off"]) != 0:
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


def megatron(source: Path) -> Callable[[Mapping[str, Any]], None]:
    """Megatron-LM's own parser, `validate_args`, and the configuration that Megatron-Core makes of them."""
    typing.override = getattr(typing, "override", lambda function: function)  # type: ignore[attr-defined]
    sys.path.insert(0, str(source))
    os.environ["RANK"] = "0"
    import megatron.core.transformer.transformer_config as sizes  # type: ignore[import-not-found]
    import megatron.training.arguments as arguments  # type: ignore[import-not-found]
    import torch

    arguments.is_te_min_version = sizes.is_te_min_version = lambda *_, **__: True

    def taken(case: Mapping[str, Any]) -> None:
        own = types.SimpleNamespace(major=case["major"], minor=0, name="")
        torch.cuda.get_device_properties = lambda *_: own  # type: ignore[assignment]
        torch.cuda.get_device_capability = lambda *_: (case["major"], 0)
        os.environ["WORLD_SIZE"] = str(case["world"])
        sharded = "--use-megatron-fsdp" in case["argv"]
        os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] = "8" if sharded else "1"
        sys.argv = ["pretrain_gpt.py", *case["argv"]]
        found = arguments.parse_args()
        arguments.validate_args(found)
        found.apply_rope_fusion = False  # a kernel of Transformer Engine, which is not there
        arguments.core_transformer_config_from_args(found)

    return taken


def torchtitan(source: Path) -> Callable[[Mapping[str, Any]], None]:
    """The ConfigManager of torchtitan."""
    sys.path.insert(0, str(source))
    import torchtitan.tools.utils as utils  # type: ignore[import-not-found]

    utils.has_cuda_capability = lambda *_: True
    from torchtitan.config import ConfigManager  # type: ignore[import-not-found]

    return lambda case: ConfigManager().parse_args(list(case["argv"]))


def verl(source: Path) -> Callable[[Mapping[str, Any]], None]:
    """The YAML of verl, by hydra."""
    from hydra import compose, initialize_config_dir  # type: ignore[import-not-found]

    def taken(case: Mapping[str, Any]) -> None:
        with initialize_config_dir(config_dir=str(source / "verl/trainer/config"), version_base=None):
            compose(config_name="ppo_trainer", overrides=list(case["argv"]))

    return taken


PARSERS: Mapping[str, Callable[[Path], Callable[[Mapping[str, Any]], None]]] = {
    "megatron": megatron, "torchtitan": torchtitan, "verl": verl,
}  # fmt: skip


def before(engine: str, source: Path, held: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each case of an engine with why its parser refused it, empty where it took it."""
    taken = PARSERS[engine](source)
    found = []
    for case in (one for one in held if one["engine"] == engine):
        with tempfile.TemporaryFile("w") as unheard:
            kept, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), unheard, unheard
            try:
                taken(case)
                why = ""
            except (Exception, SystemExit) as error:
                why = (f"{type(error).__name__}: {error}".splitlines() or ["refused"])[0]
            finally:
                sys.stdout, sys.stderr = kept
        found.append({**case, "parser": why})
    return found


def main(arguments: list[str]) -> int:
    """Cases, or what a parser makes of them."""
    warnings.filterwarnings("ignore")
    if arguments[0] == "cases":
        folder = Path(arguments[1])
        made = list(cases(folder))
        (folder / "cases.json").write_text(json.dumps(made), encoding="utf-8")
        print(f"{len(made)} cases", file=sys.stderr)
        return 0
    engine, source, path = arguments
    found = before(engine, Path(source), json.loads(Path(path).read_text(encoding="utf-8")))
    print(json.dumps(found))
    wrong = [one for one in found if bool(one["parser"]) != bool(one["mistake"]) and one["mistake"] not in
             TOGETHER.get(engine, ())]  # fmt: skip
    for one in wrong:
        print(
            f"{engine}: {one['plan']}, {one['mistake'] or 'as exported'}: {one['parser'] or 'taken'}", file=sys.stderr
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
