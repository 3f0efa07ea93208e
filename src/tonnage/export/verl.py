"""verl: rounds of GRPO as overrides of its configuration (`data/verl.json`), for plans with a stage of RL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import ceil

from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.setting import Setting, user_owned
from tonnage.export.torchrun import HEAD, demands, flag_lines, header
from tonnage.export.train_launch import TrainLaunch, launched, priced_for, refuse, runs_on
from tonnage.export.train_tables import version
from tonnage.layout import parse_layout
from tonnage.train.result import RlPlan, TrainPlan

NAME = "verl"

PLANNED_FOR = (None, "megatron-lm", "nemo", "megatron-core", "megatron-bridge", "pytorch-nvidia", "mindspeed", "fsdp")

ROLLOUTS = {"vllm": "vllm", "sglang": "sglang", "trtllm": "trtllm", "vllm-ascend": "vllm"}
"""Engines that serve -> their names as rollouts."""

DEVICES = {"cuda": "cuda", "rocm": "cuda", "cann": "npu"}

ACTOR = "actor_rollout_ref.actor"
ROLLOUT = "actor_rollout_ref.rollout"


def files(plan: TrainPlan) -> tuple[ExportedFile, ...]:
    """`train.sh`: it runs on the first server of a Ray cluster of all."""
    stage = plan.rl
    if stage is None:
        hint = "tonnage train ... --rollout-tokens 0.1T -o plan.json plans a stage of it"
        raise CannotExport(NAME, "the plan has no stage of reinforcement learning, which is what verl trains", hint)
    refuse(NAME, stage.rounds is None, f"the stage cannot be: {stage.bind}")
    run = launched(stage.update, NAME)
    priced_for(run, NAME, PLANNED_FOR, "megatron-lm")
    runs_on(run, NAME, tuple(DEVICES))
    made = (*_algorithm(run, stage), *_update(run), *_rollouts(run, stage), *_yours())
    lines = [HEAD.rstrip(), *(f"# {text}" for text in header(run, NAME, version(NAME)))]
    lines += [f"# {text}" for text in _round(stage)]
    lines += ["# to be started on the first server of a Ray cluster of all of them", "set -euo pipefail", ""]
    lines += [*demands(user_owned(made)), "flags=(", *flag_lines(made, "="), ")"]
    lines += ['exec python3 -m verl.trainer.main_ppo "${flags[@]}" "$@"']
    return (ExportedFile("train.sh", "\n".join(lines) + "\n", True),)


def _round(stage: RlPlan) -> Iterator[str]:
    """What was predicted of a round."""
    assert stage.rounds is not None
    each = stage.rounds.each
    yield f"predicted: {each.total:.4g} s a round ({stage.rounds.shortest:.4g} to {stage.rounds.longest:.4g})"
    parts = f"{each.generate:.4g} s to generate, {each.update:.4g} s to update, {each.transfer:.3g} s for weights"
    yield f"predicted: {parts}"


def _algorithm(run: TrainLaunch, stage: RlPlan) -> Iterator[Setting]:
    rollouts = stage.rollouts
    longest = ceil(rollouts.response * max(rollouts.tail, 1.0) - 1e-9)
    yield Setting("algorithm.adv_estimator", "grpo", "algorithm")
    yield Setting("data.max_prompt_length", ceil(rollouts.prompt), "prompt")
    yield Setting("data.max_response_length", longest, "response")
    prompts = f"$(({int(rollouts.responses)} / GROUP))"
    yield Setting("data.train_batch_size", prompts, "round")
    yield Setting(f"{ACTOR}.ppo_mini_batch_size", prompts, "round")
    yield Setting("trainer.total_training_steps", max(1, ceil(stage.count - 1e-9)), "rounds")
    yield Setting("trainer.nnodes", run.nodes, "nodes")
    yield Setting("trainer.n_gpus_per_node", run.each, "server")
    yield Setting("trainer.device", DEVICES[run.chip.stack or ""], "nodes")


def _update(run: TrainLaunch) -> Iterator[Setting]:
    """The actor's engine: Megatron's, or FSDP where weights are sharded."""
    job, own = run.job, run.layout
    yield Setting(f"{ACTOR}.ppo_micro_batch_size_per_gpu", int(own.mbs), "mbs")
    refuse(NAME, job.precision not in ("bf16", "fp16"), f"updates in 16 bits, not in {job.precision}")
    refuse(NAME, job.frozen, "adapters are not written for it here")
    refuse(NAME, job.optimizer not in ("adamw",), f"{job.optimizer} is not written for it here")
    refuse(NAME, job.loss_chunks is not None or job.routing != "learned", "--loss-chunks and --routing have no setting")
    refuse(NAME, job.shard_group is not None and int(own.zero) < 2, "--shard-group has no setting without FSDP")
    yield from _megatron(run) if int(own.zero) < 2 else _fsdp(run)


def _megatron(run: TrainLaunch) -> Iterator[Setting]:
    job, own, at = run.job, run.layout, f"{ACTOR}.megatron"
    refuse(NAME, run.schedule in ("zb", "dualpipe"), f"Megatron has no {run.schedule}")
    yield Setting("model_engine", "megatron", "zero")
    yield Setting(f"{at}.use_distributed_optimizer", int(own.zero) == 1, "zero")
    yield Setting(f"{at}.dtype", "float16" if job.precision == "fp16" else "bfloat16", "precision")
    yield Setting(f"{at}.tensor_model_parallel_size", int(own.tp), "tp")
    yield Setting(f"{at}.pipeline_model_parallel_size", int(own.pp), "pp")
    if int(own.vpp) > 1:
        yield Setting(f"{at}.virtual_pipeline_model_parallel_size", int(own.vpp), "vpp")
    yield Setting(f"{at}.context_parallel_size", int(own.cp), "cp")
    if job.arch.moe:
        yield Setting(f"{at}.expert_model_parallel_size", int(own.ep), "ep")
        yield Setting(f"{at}.expert_tensor_parallel_size", int(own.etp), "etp")
    transformer = f"{at}.override_transformer_config"
    level = "null" if run.recompute == "none" else run.recompute
    yield Setting(f"{transformer}.recompute_granularity", level, "recompute")
    if level == "full":
        yield Setting(f"{transformer}.recompute_method", "uniform", "recompute")
        yield Setting(f"{transformer}.recompute_num_layers", 1, "recompute")
    yield from _mcore_layers(run, transformer)
    yield from _mcore_states(run)


def _mcore_layers(run: TrainLaunch, at: str) -> Iterator[Setting]:
    """Layers of the first and last stage where they do not divide."""
    from tonnage.export import stages

    pp, vpp, depth = int(run.layout.pp), int(run.layout.vpp), run.job.arch.depth
    if pp == 1 or stages.even(depth, pp * vpp):
        return
    mtp = run.job.arch.mtp.count if run.job.arch.mtp is not None else 0
    yield Setting(f"+{at}.pipeline_model_parallel_layout", f"'{stages.written(depth, pp * vpp, mtp)}'", "stages")


def _mcore_states(run: TrainLaunch) -> Iterator[Setting]:
    job = run.job
    refuse(NAME, job.master != "fp32" or job.moments not in (None, "fp32", "bf16"), "keeps states in fp32 or bf16")
    narrow = job.moments == "bf16" or job.gradients == "bf16"
    if narrow:
        yield Setting(f"{ACTOR}.optim.use_precision_aware_optimizer", True, "engine")
    if job.moments == "bf16":
        yield Setting(f"{ACTOR}.optim.exp_avg_dtype", "bf16", "moments")
        yield Setting(f"{ACTOR}.optim.exp_avg_sq_dtype", "bf16", "moments")
    if job.gradients == "bf16":
        yield Setting(f"{ACTOR}.optim.main_grads_dtype", "bf16", "gradients")
    refuse(NAME, bool({*job.offload} - {"optimizer"}), "offloads weights between its turns, not within an update")
    if "optimizer" in job.offload:
        yield Setting(f"+{ACTOR}.optim.override_optimizer_config.optimizer_cpu_offload", True, "offload")


def _fsdp(run: TrainLaunch) -> Iterator[Setting]:
    own, at = run.layout, f"{ACTOR}.fsdp_config"
    refuse(NAME, int(own.tp) * int(own.pp) > 1, "its FSDP has neither tp nor pp", "tonnage train ... --layout zero1")
    refuse(NAME, int(own.ep) > 1, "its FSDP deals no experts out")
    yield Setting("model_engine", "dp", "zero")
    yield Setting(f"{ACTOR}.strategy", "fsdp2", "zero")
    yield Setting(f"{at}.reshard_after_forward", int(own.zero) == 3, "zero")
    if run.job.shard_group is not None:
        yield Setting(f"{at}.fsdp_size", run.job.shard_group, "group")
    yield Setting(f"{at}.ulysses_sequence_parallel_size", int(own.cp), "cp")
    yield Setting(f"{at}.dtype", "float16" if run.job.precision == "fp16" else "bfloat16", "precision")
    refuse(NAME, run.recompute == "selective", "its FSDP computes whole layers again or none",
           "--layout recompute=full")  # fmt: skip
    yield Setting("actor_rollout_ref.model.enable_gradient_checkpointing", run.recompute == "full", "recompute")
    offload = set(run.job.offload)
    if offload:
        refuse(NAME, offload != {"optimizer", "params"}, "its FSDP2 offloads weights and optimizer together")
        yield Setting(f"{at}.offload_policy", True, "offload")


def _rollouts(run: TrainLaunch, stage: RlPlan) -> Iterator[Setting]:
    """The engine that generates, cut as it was priced; a pool of its own where there is one."""
    refuse(NAME, stage.engine not in ROLLOUTS, f"generates with {', '.join(ROLLOUTS)}, not {stage.engine}")
    text = re.sub(r" x \d+$", "", stage.layout)
    refuse(NAME, " " in text or "+" in text, f"generates in one pool, not in {stage.layout}")
    cut = parse_layout(text)
    yield Setting(f"{ROLLOUT}.name", ROLLOUTS[stage.engine], "rollout")
    yield Setting(f"{ROLLOUT}.n", "$GROUP", "yours")
    yield Setting(f"{ROLLOUT}.tensor_model_parallel_size", cut.get("tp", 1), "rollout")
    yield Setting(f"{ROLLOUT}.data_parallel_size", cut.get("dp", 1), "rollout")
    yield Setting(f"{ROLLOUT}.pipeline_model_parallel_size", cut.get("pp", 1), "rollout")
    yield Setting(f"{ROLLOUT}.expert_parallel_size", cut.get("ep", 1), "rollout")
    pool = stage.rollouts.pool
    if pool is None:
        yield Setting("trainer.v1.trainer_mode", "sync", "pools")
        return
    refuse(
        NAME, pool.accelerator.stack != run.chip.stack, "one Ray cluster of two kinds of accelerators is not told it"
    )
    refuse(NAME, not stage.rollouts.stale, "a pool apart generates while the other trains: it takes no turns",
           "tonnage train ... --rollout-stale")  # fmt: skip
    from tonnage.catalog.capabilities import in_server

    each = min(in_server(pool.accelerator.name), pool.count) * pool.accelerator.dies
    yield Setting("trainer.v1.trainer_mode", "separate_async", "pools")
    yield Setting(f"{ROLLOUT}.nnodes", -(-pool.count * pool.accelerator.dies // each), "pools")
    yield Setting(f"{ROLLOUT}.n_gpus_per_node", each, "pools")


def _yours() -> Iterator[Setting]:
    yield Setting("actor_rollout_ref.model.path", "$MODEL", "yours")
    yield Setting("data.train_files", "$DATA", "yours")
    yield Setting("data.val_files", "$VALIDATION", "yours")
    yield Setting(f"{ACTOR}.optim.lr", "$LR", "yours")
