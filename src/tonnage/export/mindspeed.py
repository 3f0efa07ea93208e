"""MindSpeed-LLM on Ascend: Megatron's arguments, and what MindSpeed adds to them (`data/mindspeed.json`)."""

from __future__ import annotations

from collections.abc import Iterator

from tonnage.export import megatron
from tonnage.export.exported import ExportedFile
from tonnage.export.setting import Setting
from tonnage.export.shape import shape
from tonnage.export.torchrun import scripts
from tonnage.export.train_launch import TrainLaunch, launched, priced_for, refuse, runs_on
from tonnage.export.train_tables import settings_of
from tonnage.train.result import TrainPlan

NAME = "mindspeed"

PLANNED_FOR = (None, "mindspeed", "modellink")


def files(plan: TrainPlan) -> tuple[ExportedFile, ...]:
    """`train.sh`, and `sbatch.sh` where several servers work."""
    run = launched(plan, NAME)
    priced_for(run, NAME, PLANNED_FOR, "mindspeed")
    runs_on(run, NAME, ("cann",))
    job = run.job
    refuse(NAME, job.task not in ("pretrain", "lora"), f"{job.task} is not written here")
    refuse(NAME, int(run.layout.zero) > 1, "Megatron's FSDP is not MindSpeed's", "tonnage train ... --layout zero1")
    refuse(NAME, job.precision not in ("bf16", "fp16"), f"training in {job.precision} is not known of it here")
    made = (*megatron.layout(run, NAME), *_work(run), *_states(run), *shape(job.arch, NAME), *_own(run), *_yours(run))
    program = "posttrain_gpt.py" if job.frozen else "pretrain_gpt.py"
    return scripts(run, NAME, program, _known(made), megatron.environment(run))


def _work(run: TrainLaunch) -> Iterator[Setting]:
    chunks = run.job.loss_chunks
    refuse(NAME, chunks is not None, "cuts the loss by tokens, the plan by parts (--loss-chunks)")
    yield from megatron.work(run, NAME)


def _states(run: TrainLaunch) -> Iterator[Setting]:
    """Its own offload of the optimizer (`--swap-optimizer`) beside Megatron's states."""
    swapped = "optimizer" in run.job.offload
    hidden = {"--optimizer-cpu-offload"}
    if run.job.moments in (None, "fp32") and run.job.gradients == "fp32":
        hidden.add("--use-precision-aware-optimizer")
    refuse(NAME, run.job.optimizer != "adamw", f"{run.job.optimizer} is not written for it here")
    for one in megatron.states(run, NAME):
        if not (swapped and one.name in hidden):
            yield one
    if swapped:
        yield Setting("--swap-optimizer", True, "offload")


def _own(run: TrainLaunch) -> Iterator[Setting]:
    """What the scripts of MindSpeed-LLM set, and what its ring attention asks for."""
    yield Setting("--use-mcore-models", True, "engine")
    if int(run.layout.cp) > 1:
        yield Setting("--context-parallel-algo", "megatron_cp_algo", "cp")
    if run.job.frozen:
        yield Setting("--stage", "sft", "adapters")
        refuse(NAME, run.job.lora_rank is None, "needs the rank of the adapters", "--lora-rank 16")
        yield Setting("--lora-r", int(run.job.lora_rank or 1), "adapters")


def _yours(run: TrainLaunch) -> Iterator[Setting]:
    """Its tokenizers are told by the model's folder."""
    for one in megatron.yours(run):
        if one.name == "--tokenizer-type":
            yield Setting(one.name, "PretrainedFromHF", "yours")
        elif one.name == "--tokenizer-model":
            yield Setting("--tokenizer-name-or-path", one.value, "yours")
        else:
            yield one


def _known(made: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """Settings that its parser has: its own, and Megatron's."""
    known = {*settings_of(NAME).flags, *settings_of(megatron.NAME).flags}
    for one in made:
        refuse(NAME, one.name not in known, f"has no {one.name}")
    return made
