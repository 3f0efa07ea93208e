"""Verifiable tasks: a question, its right answer, and the reasoning that leads there.

`chain_sum` has the form of reasoning-gym's task of that name (https://github.com/open-thought/reasoning-gym): a chain
of sums and differences. `reasoning-gym/chain_sum` draws from that package itself and lets it judge the answer.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonnage.errors import InputError, Problem, nearest
from tonnage.run.train.plan import TaskSpec
from tonnage.run.train.words import MARKS, THINK

OWN, GYM = "chain_sum", "reasoning-gym/chain_sum"
NAMES = (OWN, GYM)

END = "</think>"
SLIP = 3
"""How far a guess is off at most."""

TRIES = 10_000
"""Questions that are drawn at most to find one that is trained on, or never is."""

INDICES = 10**9
"""Tasks of reasoning-gym's data set that are drawn from; each is made from its index."""


@dataclass(frozen=True)
class SumTask:
    """One question `1+4-3`, its answer, and reasoning-gym's own entry where it comes from there."""

    question: str
    answer: int
    entry: Any = None


class TaskSource:
    """Draws tasks, seen or unseen ones, and scores answers."""

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self._gym = _gym(spec) if spec.name == GYM else None
        if spec.name not in NAMES:
            raise InputError(Problem(f'no task named "{spec.name}"', "", "task.name", nearest(spec.name, NAMES)))

    def draw(self, random: np.random.Generator, *, unseen: bool = False) -> SumTask:
        """A task of those that are trained on, or of those that never are."""
        for _ in range(TRIES):
            task = self._any(random)
            if held_out(task.question, self.spec.held_out) == unseen:
                return task
        kind = "is kept for evaluation" if unseen else "is left to train on"
        raise InputError(Problem(f"of {TRIES:,} questions none {kind}", path="task.held_out"))

    def _any(self, random: np.random.Generator) -> SumTask:
        if self._gym is not None:
            entry = self._gym[int(random.integers(INDICES))]
            return SumTask(entry["metadata"]["expression"].replace(" ", ""), int(entry["answer"]), entry)
        count = int(random.integers(self.spec.terms[0], self.spec.terms[1] + 1))
        terms = random.integers(1, self.spec.largest + 1, count)
        signs = random.integers(0, 2, count - 1)
        question = str(terms[0]) + "".join(f"{'+-'[sign]}{term}" for sign, term in zip(signs, terms[1:], strict=True))
        return SumTask(question, steps_of(question)[1])

    def score(self, task: SumTask, text: str) -> float:
        """1 for a completion whose answer, after the reasoning, is right; else 0."""
        _, end, answer = text.partition(END)
        if not end:
            return 0.0
        if self._gym is not None:
            return float(self._gym.score_answer(answer, task.entry) == 1.0)
        return float(answer == str(task.answer))


def _gym(spec: TaskSpec) -> Any:
    """reasoning-gym's data set."""
    try:
        import reasoning_gym
    except ImportError:
        raise InputError(
            Problem("reasoning-gym is not installed", "", "task.name"), hint="pip install tonnage[run]"
        ) from None
    low, high = spec.terms
    digits = len(str(spec.largest))
    return reasoning_gym.create_dataset(
        "chain_sum", seed=0, size=INDICES, min_terms=low, max_terms=high, min_digits=1, max_digits=digits
    )


def held_out(question: str, one_in: int) -> bool:
    """Whether a question is kept for evaluation: by its checksum, whatever draws it."""
    return one_in > 0 and zlib.crc32(question.encode()) % one_in == 0


def steps_of(question: str) -> tuple[str, int]:
    """Reasoning step by step, `1+4=5;5-3=2;`, and where it ends."""
    first, *rest = re.findall(r"^-?\d+|[+-]\d+", question)
    value, text = int(first), ""
    for term in rest:
        after = value + int(term)
        text += f"{value}{term}={after};"
        value = after
    return text, value


def careful(task: SumTask) -> str:
    """A completion that reasons step by step."""
    steps, answer = steps_of(task.question)
    return f"{MARKS[THINK]}{steps}{END}{answer}"


def guess(task: SumTask, random: np.random.Generator) -> str:
    """A completion that guesses, close to the answer and seldom right."""
    return f"{MARKS[THINK]}guess;{END}{task.answer + int(random.integers(-SLIP, SLIP + 1))}"
