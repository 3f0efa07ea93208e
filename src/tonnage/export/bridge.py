"""Megatron Bridge: a file of settings for its ConfigContainer, section by section, and a program that starts it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tonnage.export import megatron
from tonnage.export.exported import ExportedFile
from tonnage.export.setting import Setting, user_owned
from tonnage.export.torchrun import header, scripts
from tonnage.export.train_launch import TrainLaunch, launched, priced_for, refuse, runs_on
from tonnage.export.train_tables import version
from tonnage.train.result import TrainPlan

NAME = "bridge"

PLANNED_FOR = (None, "megatron-bridge", "nemo", "megatron-core", "pytorch-nvidia")

SECTIONS = {
    "model": ("tensor-model-parallel-size", "sequence-parallel", "pipeline-model-parallel-size",
              "context-parallel-size", "expert-model-parallel-size", "expert-tensor-parallel-size",
              "pipeline-model-parallel-layout",
              "recompute-granularity", "recompute-method", "recompute-num-layers", "moe-router-force-load-balancing",
              "moe-grouped-gemm", "moe-token-dispatcher-type", "seq-length", "cpu-offloading-num-layers"),
    "train": ("micro-batch-size", "global-batch-size", "train-iters"),
    "ddp": ("use-distributed-optimizer", "overlap-grad-reduce", "overlap-param-gather",
            "data-parallel-sharding-strategy", "num-distributed-optimizer-instances", "use-megatron-fsdp"),
    "optimizer": ("optimizer", "use-precision-aware-optimizer", "optimizer-cpu-offload", "lr"),
    "checkpoint": ("ckpt-format",),
    "logger": ("log-interval",),
}  # fmt: skip
"""Section of the container -> Megatron's flags whose names it has, with `_` for `-`."""

RENAMED = {
    "--num-virtual-stages-per-pipeline-rank": "model.virtual_pipeline_model_parallel_size",
    "--tp-comm-overlap": "comm_overlap.tp_comm_overlap",
    "--overlap-moe-expert-parallel-comm": "comm_overlap.overlap_moe_expert_parallel_comm",
    "--accumulate-allreduce-grads-in-fp32": "ddp.grad_reduce_in_fp32",
    "--tokenizer-model": "tokenizer.tokenizer_model",
    "--tokenizer-type": "tokenizer.tokenizer_type",
}
"""Those that have another name there."""

MIXED = {
    "bf16": "bf16_mixed",
    "fp16": "fp16_mixed",
    "fp8": "bf16_with_fp8_delayed_scaling_mixed",
    "mxfp8": "bf16_with_mxfp8_mixed",
    "nvfp4": "bf16_with_nvfp4_mixed",
}
"""Format of products -> its recipe (`training/mixed_precision.py`); FP8 by delayed scaling, Megatron's own recipe."""

LEFT = {"--bf16", "--fp16", "--fp8-format", "--fp8-recipe", "--fp4-format", "--fp4-recipe", "--max-position-embeddings",
        "--data-path"}  # fmt: skip
"""Flags that a recipe of precision, or the data set's own section, stands for."""


def files(plan: TrainPlan) -> tuple[ExportedFile, ...]:
    """`config.yaml`, `train.py` that reads it, and the scripts that start that."""
    run = launched(plan, NAME)
    priced_for(run, NAME, PLANNED_FOR, "megatron-bridge")
    runs_on(run, NAME, megatron.STACKS)
    refuse(NAME, run.job.task != "pretrain", f"{run.job.task} is not written for it here: its recipes take adapters")
    refuse(NAME, run.model == "$MODEL", "takes models by their id, and this one has none")
    made = tuple(settings(run))
    text = "\n".join([*(f"# {line}" for line in header(run, NAME, version(NAME))), *_yaml(made)]) + "\n"
    start = scripts(run, NAME, "train.py", (), megatron.environment(run), needs=user_owned(made))
    return (ExportedFile("config.yaml", text), ExportedFile("train.py", PROGRAM), *start)


def settings(run: TrainLaunch) -> Iterator[Setting]:
    """`section.field` of every decision."""
    places = {
        f"--{flag}": f"{section}.{flag.replace('-', '_')}" for section, flags in SECTIONS.items() for flag in flags
    }
    places |= RENAMED
    told = (*megatron.layout(run, NAME), *megatron.work(run, NAME), *megatron.states(run, NAME), *megatron.yours(run))
    yield Setting("hf_model_id", run.model, "model")
    yield Setting("mixed_precision", MIXED[run.job.precision], "precision")
    for one in told:
        if one.name in LEFT:
            continue
        dtype = _dtype(one)
        if dtype is not None:
            yield dtype
            continue
        refuse(NAME, one.name not in places, f"has no place for {one.name}")
        yield Setting(places[one.name], one.value, one.decision)
        if one.name == "--seq-length":
            yield Setting("dataset.seq_length", one.value, one.decision)
    if run.recompute == "none":
        yield Setting("model.recompute_granularity", "null", "recompute")
    if not int(run.layout.zero):
        yield Setting("ddp.use_distributed_optimizer", False, "zero")
    if run.job.gradients == "bf16":
        yield Setting("ddp.grad_reduce_in_fp32", False, "gradients")
    yield Setting("dataset.blend", "$DATA", "yours")


DTYPES = {"--exp-avg-dtype": "optimizer.exp_avg_dtype", "--exp-avg-sq-dtype": "optimizer.exp_avg_sq_dtype",
          "--main-grads-dtype": "optimizer.main_grads_dtype"}  # fmt: skip

TORCH = {"bf16": "torch.bfloat16", "fp16": "torch.float16", "fp32": "torch.float32"}


def _dtype(one: Setting) -> Setting | None:
    """Formats of states are torch's types there."""
    return Setting(DTYPES[one.name], TORCH[str(one.value)], one.decision) if one.name in DTYPES else None


def _yaml(made: tuple[Setting, ...]) -> Iterator[str]:
    """Settings by section, one a line with its line of the plan; `${NAME}` is read from the environment."""
    by: dict[str, list[tuple[str, Setting]]] = {}
    for one in made:
        section, field = _place(one.name)
        by.setdefault(section, []).append((field, one))
    for section, rows in by.items():
        if section:
            yield f"{section}:"
        for field, one in rows:
            yield f"{'  ' if section else ''}{field}: {_scalar(one)}  # {one.why}"


def _place(path: str) -> tuple[str, str]:
    """(section, field); no section for what stands at the top."""
    section, _, field = path.rpartition(".")
    return section, field


def _scalar(one: Setting) -> str:
    if isinstance(one.value, str) and one.value.startswith("$"):
        return f'"${{{one.value[1:]}}}"'
    if one.value == "null":
        return "null"
    return json.dumps(one.value)


PROGRAM = '''"""Starts Megatron Bridge with config.yaml: every setting has to be a field of its ConfigContainer."""

import os
import sys
from pathlib import Path

import torch
import yaml
from megatron.bridge import AutoBridge
from megatron.bridge.training.comm_overlap import CommOverlapConfig
from megatron.bridge.training.config import (
    CheckpointConfig, ConfigContainer, DistributedDataParallelConfig, GPTDatasetConfig, LoggerConfig, OptimizerConfig,
    SchedulerConfig, TokenizerConfig, TrainingConfig,
)
from megatron.bridge.training.gpt_step import forward_step
from megatron.bridge.training.pretrain import pretrain


def settled(field, value):
    """Variables of the environment and torch's types put in."""
    if not isinstance(value, str):
        return value
    if value.startswith("torch."):
        return getattr(torch, value[6:])
    found = os.path.expandvars(value)
    if field == "blend":
        return ([found], None)
    return {"lr": float, "train_iters": int}.get(field, str)(found)


def main():
    asked = yaml.safe_load(Path(__file__).with_name("config.yaml").read_text())
    config = ConfigContainer(
        model=AutoBridge.from_hf_pretrained(asked.pop("hf_model_id")).to_megatron_provider(load_weights=False),
        train=TrainingConfig(), optimizer=OptimizerConfig(), scheduler=SchedulerConfig(), tokenizer=TokenizerConfig(),
        ddp=DistributedDataParallelConfig(), logger=LoggerConfig(), checkpoint=CheckpointConfig(),
        dataset=GPTDatasetConfig(
            seq_length=asked["dataset"]["seq_length"], random_seed=1234, reset_position_ids=False,
            reset_attention_mask=False, eod_mask_loss=False,
        ),
        mixed_precision=asked.pop("mixed_precision"),
        comm_overlap=CommOverlapConfig(tp_comm_overlap=False) if "comm_overlap" in asked else None,
    )
    for section, fields in asked.items():
        part = getattr(config, section)
        for field, value in fields.items():
            if not hasattr(part, field):
                sys.exit(f"config.yaml: {section} has no {field}")
            setattr(part, field, settled(field, value))
    pretrain(config=config, forward_step_func=forward_step)


if __name__ == "__main__":
    main()
'''
