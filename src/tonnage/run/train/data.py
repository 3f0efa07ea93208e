"""What a step is trained on: a function of (seed, stage, step) alone, so that the order of data needs no state.

A run that is killed, resumed, moved or cut over other processes sees the same sequences in the same steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.run.train.plan import RunPlan, StageSpec
from tonnage.run.train.tasks import SumTask, TaskSource, careful, guess
from tonnage.run.train.words import BOS, EOS, PAD, encode, padded

IGNORED = -100
"""Label of positions that are not learned (torch's `ignore_index`)."""

PROBE, EVALUATION = 1_000, 1_001
"""Numbers beside those of stages, for draws that are no step's."""

PROBED = 8
"""Sequences of the batch by which two devices are compared."""


@dataclass(frozen=True)
class Sequences:
    """Token ids and labels of one length; `learned`: positions that count, over all rows."""

    ids: np.ndarray
    labels: np.ndarray
    learned: int


def generator(seed: int, stage: int, step: int, salt: int = 0) -> np.random.Generator:
    """The stream of one step; salt: how often its data were replaced because they broke the run."""
    return np.random.default_rng([seed, stage, step, salt])


def share_careful(stage: StageSpec, step: int) -> float:
    """Share of careful traces at a step, by the curriculum."""
    done = step / stage.steps
    return next((phase.careful for phase in stage.curriculum if done < phase.until), stage.curriculum[-1].careful)


def pretraining(tasks: TaskSource, plan: RunPlan, stage: int, step: int, salt: int = 0) -> Sequences:
    """The batch of a step of pretraining."""
    spec, random = plan.stages[stage], generator(plan.seed, stage, step, salt)
    return _traces(tasks, random, spec.batch, share_careful(spec, step))


def probe(tasks: TaskSource, plan: RunPlan) -> Sequences:
    """The batch by which two devices are compared: the same in every checkpoint of a run."""
    return _traces(tasks, generator(plan.seed, PROBE, 0), PROBED, 1.0)


def _traces(tasks: TaskSource, random: np.random.Generator, rows: int, share: float) -> Sequences:
    """Traces of so many tasks, a share of them careful."""
    pairs = []
    for _ in range(rows):
        task = tasks.draw(random)
        said = careful(task) if random.random() < share else guess(task, random)
        pairs.append((prompt(task), [*encode(said), EOS]))
    return sequences_of(pairs)


def prompt(task: SumTask) -> list[int]:
    """Tokens of a question."""
    return [BOS, *encode(f"{task.question}=")]


def sequences_of(pairs: list[tuple[list[int], list[int]]]) -> Sequences:
    """Prompts with their completions, of which the completions are learned."""
    ids = padded([[*ask, *said] for ask, said in pairs], PAD)
    labels = np.array(padded([[IGNORED] * len(ask) + said for ask, said in pairs], IGNORED))
    return Sequences(np.array(ids), labels, int((labels != IGNORED).sum()))


def questions(tasks: TaskSource, plan: RunPlan, stage: int, step: int, salt: int = 0) -> list[SumTask]:
    """The questions of a step of GRPO."""
    random = generator(plan.seed, stage, step, salt)
    return [tasks.draw(random) for _ in range(plan.stages[stage].prompts)]


def unseen(tasks: TaskSource, plan: RunPlan, count: int) -> list[SumTask]:
    """Questions that no step ever trains on."""
    random = generator(plan.seed, EVALUATION, 0)
    return [tasks.draw(random, unseen=True) for _ in range(count)]
