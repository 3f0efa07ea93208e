"""tonnage's own `run train`: the plan as the YAML that it carries out, small."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.train_launch import launched
from tonnage.printable import one_line
from tonnage.train.result import TrainPlan

NAME = "run"

STEPS = 500
"""Steps of pretraining: those of the recipe whose gain repeats over seeds (docs/run.md); a plan's own would take as
long as the run that it plans."""

ROUNDS = 60
"""Rounds of GRPO, the same."""

DEVICES = {"cuda": "cuda", "rocm": "cuda", "cann": "npu"}


def files(plan: TrainPlan) -> tuple[ExportedFile, ...]:
    """`run.yaml` for `tonnage run train run.yaml`."""
    run = launched(plan, NAME)
    if run.job.task != "pretrain":
        raise CannotExport(NAME, f"trains from the start and by GRPO, not by {run.job.task}")
    if run.model == "$MODEL":
        raise CannotExport(NAME, "takes models by their id, and this one has none")
    text = "\n".join(_lines(plan, run.model, run.chip.stack or "")) + "\n"
    return (ExportedFile("run.yaml", text),)


def _lines(plan: TrainPlan, model: str, stack: str) -> Iterator[str]:
    yield f"# {one_line(plan.job.arch.title, 100)} made small, for `tonnage run train run.yaml`"
    yield "# the model is the plan's, its sizes divided by `scale`; steps are those of docs/run.md, not the plan's"
    yield f"model: {json.dumps(model)}  # model: which"
    yield f"device: {DEVICES.get(stack, 'cpu')}  # accelerators: their software"
    narrow = "bf16" if plan.job.precision != "fp32" else "fp32"
    yield f"precision: {narrow}  # --precision: products in 16 bits, weights in 32 (it has no narrower products)"
    yield "stages:"
    yield f"  - pretrain: {STEPS} steps  # --task"
    if plan.rl is not None:
        yield f"  - grpo: {ROUNDS} steps  # --rollout-tokens"
    if plan.price is not None:
        yield f"price: ${plan.price * 3600:.6g}/h  # --price: of one accelerator"
    if plan.run is not None:
        yield "planned:  # speed: what stands beside what happens"
        yield f"  step_time: {plan.run.step_time.value:.6g} s"
        if plan.wall_time is not None:
            yield f"  wall_time: {plan.wall_time.value:.6g} s"
        if plan.run.bill is not None and plan.run.bill.cost is not None:
            yield f"  cost: ${plan.run.bill.cost:.6g}"
