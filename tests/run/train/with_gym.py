"""The adapter to reasoning-gym against the package itself, where it is installed: `python tests/run/train/with_gym.py`.

It is no part of the tests' environment (it brings two dozen packages). Questions must be read whole, careful traces be
right by the package's own judge, guesses that are off be wrong, and a short run train on them.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np

from tonnage.run.train import journal
from tonnage.run.train.plan import GRPO, PRETRAIN, RunPlan, TaskSpec
from tonnage.run.train.start import one_process
from tonnage.run.train.tasks import GYM, TaskSource, careful, held_out
from tonnage.run.train.words import decode, encode

SPEC = TaskSpec(GYM, (3, 5), 5, 8)
DRAWN = 300


def judged() -> None:
    """Raises AssertionError unless question, answer and judge fit together."""
    tasks, random = TaskSource(SPEC), np.random.default_rng(0)
    terms = set()
    for number in range(DRAWN):
        task = tasks.draw(random, unseen=number % 2 == 0)
        assert task.answer == eval(task.question) == int(task.entry["answer"]), task
        assert held_out(task.question, 8) == (number % 2 == 0)
        assert decode(encode(careful(task))) == careful(task)
        assert tasks.score(task, careful(task)) == 1
        assert tasks.score(task, f"<think></think>{task.answer + 1}") == 0 == tasks.score(task, str(task.answer))
        terms.add(1 + sum(mark in "+-" for mark in task.question[1:]))
    assert terms == {3, 4, 5}
    again = TaskSource(SPEC)
    assert [again.draw(np.random.default_rng(7)).question for _ in range(2)] == [
        tasks.draw(np.random.default_rng(7)).question for _ in range(2)
    ]


def trained(folder: Path) -> None:
    """A few steps of both stages."""
    stages = (replace(PRETRAIN, steps=4, batch=4), replace(GRPO, steps=2, prompts=2, group=2, tokens=12))
    plan = RunPlan("gym", scale=112, stages=stages, task=SPEC, every=3, evaluate=4, hang=0)
    assert one_process(plan, folder, lambda event: None).reason == "feasible"
    assert len(journal.losses(folder)) == plan.steps


if __name__ == "__main__":
    judged()
    with tempfile.TemporaryDirectory() as where:
        trained(Path(where))
    version = metadata.version("reasoning-gym")
    sys.stdout.write(f"{DRAWN} tasks of reasoning-gym {version} judged, a run trained on them\n")
