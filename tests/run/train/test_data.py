"""Tasks and batches: right answers, unseen questions kept apart, and a batch that depends on seed and step alone."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tonnage.errors import InputError
from tonnage.run.train import data
from tonnage.run.train.plan import GRPO, PRETRAIN, Phase, RunPlan, TaskSpec
from tonnage.run.train.tasks import SumTask, TaskSource, careful, guess, held_out, steps_of
from tonnage.run.train.words import EOS, VOCABULARY, decode, encode

PLAN = RunPlan(stages=(replace(PRETRAIN, steps=10, batch=8), replace(GRPO, steps=2, prompts=4)))
TASKS = TaskSource(PLAN.task)


def test_reasoning_goes_step_by_step_to_the_right_answer() -> None:
    assert steps_of("1+4-3") == ("1+4=5;5-3=2;", 2)
    assert steps_of("1-5-2") == ("1-5=-4;-4-2=-6;", -6)
    task = SumTask("1+4-3", 2)
    assert careful(task) == "<think>1+4=5;5-3=2;</think>2"
    assert TASKS.score(task, careful(task)) == 1
    for wrong in ("2", "<think></think>3", "<think></think>2;", "<think></think> 2"):
        assert TASKS.score(task, wrong) == 0


def test_every_answer_is_what_python_says_and_unseen_questions_are_never_trained_on() -> None:
    random = np.random.default_rng(0)
    for unseen in (False, True):
        for _ in range(200):
            task = TASKS.draw(random, unseen=unseen)
            assert task.answer == eval(task.question)
            assert held_out(task.question, 8) == unseen
    off = [int(guess(SumTask("1+1+1", 3), random).partition("</think>")[2]) - 3 for _ in range(200)]
    assert set(off) == set(range(-3, 4))


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    def same(one: data.Sequences, other: data.Sequences) -> bool:
        return one.ids.shape == other.ids.shape and bool((one.ids == other.ids).all())

    first = data.pretraining(TASKS, PLAN, 0, 3)
    assert same(first, data.pretraining(TaskSource(PLAN.task), PLAN, 0, 3))
    assert not same(first, data.pretraining(TASKS, PLAN, 0, 4))
    assert not same(first, data.pretraining(TASKS, PLAN, 0, 3, salt=1))
    assert not same(first, data.pretraining(TASKS, replace(PLAN, seed=1), 0, 3))
    assert data.questions(TASKS, PLAN, 1, 0) == data.questions(TASKS, PLAN, 1, 0)


def test_completions_are_learned_and_prompts_are_not() -> None:
    batch = data.sequences_of([([1, 2], [3, 4, EOS]), ([1], [5, EOS])])
    assert batch.ids.tolist() == [[1, 2, 3, 4, EOS], [1, 5, EOS, 0, 0]]
    assert batch.labels.tolist() == [[-100, -100, 3, 4, EOS], [-100, 5, EOS, -100, -100]]
    assert batch.learned == 5


def test_the_curriculum_changes_where_it_says() -> None:
    stage = replace(PRETRAIN, steps=10, curriculum=(Phase(0.8, 1.0), Phase(1.0, 0.3)))
    assert [data.share_careful(stage, step) for step in (0, 7, 8, 9)] == [1.0, 1.0, 0.3, 0.3]


def test_text_is_tokens_and_back() -> None:
    text = "<think>1+4=5;</think>5"
    assert decode([*encode(text), EOS, 7, 8]) == text
    assert max(encode(text)) < VOCABULARY
    with pytest.raises(KeyError):
        encode("é")


def test_a_task_that_is_not_known_gets_the_nearest() -> None:
    with pytest.raises(InputError, match='did you mean "chain_sum"'):
        TaskSource(TaskSpec("chain_sums"))


class Gym:
    """Entries as reasoning-gym 0.1.25 gives them (with_gym.py asks the package itself), judged by their answer."""

    SAID = (("0 - 4 - 8 - 7", "-19"), ("4 - 1 - 7", "-4"), ("5 + 8 + 0 + 7 - 3", "17"), ("1 - 5 - 2", "-6"))

    def __init__(self, name: str, **asked: Any) -> None:
        self.name, self.asked = name, asked

    def __getitem__(self, index: int) -> dict[str, Any]:
        said, answer = self.SAID[index % len(self.SAID)]
        question = f"State the final answer to the following arithmetic problem: {said} ="
        return {"question": question, "answer": answer, "metadata": {"source_dataset": self.name, "expression": said}}

    def score_answer(self, answer: str, entry: dict[str, Any]) -> float:
        return 1.0 if answer == entry["answer"] else 0.01


def test_reasoning_gym_draws_and_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType("reasoning_gym")
    made.create_dataset = Gym  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "reasoning_gym", made)
    tasks = TaskSource(TaskSpec("reasoning-gym/chain_sum", (3, 5), 12, 0))
    assert tasks._gym.asked == {
        "seed": 0, "size": 10**9, "min_terms": 3, "max_terms": 5, "min_digits": 1, "max_digits": 2,
    }  # fmt: skip
    random = np.random.default_rng(1)
    seen = {task.question: task for task in (tasks.draw(random) for _ in range(40))}
    assert set(seen) == {said.replace(" ", "") for said, _ in Gym.SAID}
    for task in seen.values():
        assert task.answer == eval(task.question)
        assert tasks.score(task, careful(task)) == 1
        assert tasks.score(task, f"<think></think>{task.answer + 1}") == 0, "what earns a little of the package"
        assert tasks.score(task, str(task.answer)) == 0, "no reasoning has ended"
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(InputError, match="reasoning-gym is not installed"):
        TaskSource(TaskSpec("reasoning-gym/chain_sum", (3, 5), 12, 0))
