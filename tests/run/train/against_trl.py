"""GRPO here against TRL's own trainer: the same base, prompts, group, length and learning rate, in CPU seconds.

`python tests/run/train/against_trl.py RUN STEP STEPS` takes the checkpoint of a run at the end of its
pretraining. Needs trl (1.16) beside what the extra brings. Both run with one thread; prints CPU seconds and
accuracy on unseen tasks.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from tonnage.device.kinds import KINDS
from tonnage.run.train import data, grpo
from tonnage.run.train.plan import RunPlan, from_json
from tonnage.run.train.ranks import join
from tonnage.run.train.tasks import SumTask, TaskSource
from tonnage.run.train.trainer import Trainer


def ours(plan: RunPlan, folder: Path) -> tuple[float, dict[str, float]]:
    trainer = Trainer(plan, folder, join(KINDS["cpu"], 1, 0), lambda event: None)
    trainer.resume()
    trainer.save = lambda: None  # type: ignore[method-assign]
    trainer.evaluate = dict  # type: ignore[method-assign]
    began = time.process_time()
    trainer.run()
    spent = time.process_time() - began
    return spent, grpo.accuracy(
        trainer.model, trainer.tasks, plan, trainer.ranks, data.unseen(trainer.tasks, plan, 400), 40
    )


def theirs(plan: RunPlan, base: Path) -> tuple[float, dict[str, float]]:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    stage, tasks = plan.stages[1], TaskSource(plan.task)
    model = AutoModelForCausalLM.from_pretrained(base, experts_implementation="eager", dtype=torch.float32)
    asked = [task for step in range(stage.steps) for task in data.questions(tasks, plan, 1, step)]
    rows = [{"prompt": f"<bos>{task.question}=", "question": task.question, "right": task.answer} for task in asked]

    def reward(completions: list[str], question: list[str], right: list[int], **more: object) -> list[float]:
        rows = zip(completions, question, right, strict=True)
        return [tasks.score(SumTask(ask, answer), text) for text, ask, answer in rows]

    batch = stage.prompts * stage.group
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, per_device_train_batch_size=batch,
        num_generations=stage.group, max_completion_length=stage.tokens, max_steps=stage.steps,
        learning_rate=stage.rate, lr_scheduler_type="constant",
        adam_beta1=stage.betas[0], adam_beta2=stage.betas[1],
        max_grad_norm=stage.clip, beta=0.0, temperature=1.0, report_to="none", save_strategy="no", logging_steps=1000,
        disable_tqdm=True, gradient_checkpointing=False, shuffle_dataset=False, weight_decay=0.0,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(base)
    trainer = GRPOTrainer(model, reward, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    began = time.process_time()
    trainer.train()
    spent = time.process_time() - began
    ranks = join(KINDS["cpu"], 1, 0)
    return spent, grpo.accuracy(model, tasks, plan, ranks, data.unseen(tasks, plan, 400), 40)


if __name__ == "__main__":
    run, step, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    plan = from_json(json.loads((run / "plan.json").read_text()))
    plan = replace(plan, hang=0, replay=0, stages=(plan.stages[0], replace(plan.stages[1], steps=steps, decay=1e-9)))
    folder = Path(tempfile.mkdtemp())
    name = f"step-{step:08d}"
    shutil.copytree(run / "checkpoints" / name, folder / "checkpoints" / name)
    base = Trainer(plan, folder, join(KINDS["cpu"], 1, 0), lambda event: None)
    base.resume()
    base.export()
    mine = ours(plan, folder)
    other = theirs(plan, folder / "model")
    for who, (spent, found) in (("tonnage", mine), ("TRL", other)):
        sys.stdout.write(f"{who}: {spent:.1f} CPU s for {steps} steps, {found['sampled']:.1%} sampled after\n")
    sys.stdout.write(f"ratio {other[0] / mine[0]:.2f}\n")
