"""The time of a step before it is taken: layers timed one by one on this device, and added up.

    t = sum over kinds of layers of (layers of the kind) t_kind + t_head + t_optimiser

each term the median of a few repetitions of a forward and backward pass on a batch of the stage's own shape. Left out:
the embedding, the data and the Python between layers, a few hundredths at these sizes.

A step of GRPO is rehearsed, in parts, whatever the weights can do yet:

    t = t_generation + t_policy + t_optimiser

t_generation: the real generator on the step's own questions, its noise set so that it says their careful traces, the
length that such runs come to; t_policy: a forward and backward pass over KEPT of the rows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tonnage.run.train import data, grpo
from tonnage.run.train.network import cast
from tonnage.run.train.plan import RunPlan
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.tasks import TaskSource, careful
from tonnage.run.train.words import EOS, VOCABULARY, encode

if TYPE_CHECKING:
    import torch

REPEATS = 5
"""Repetitions after the first, which is not counted."""

REHEARSALS = 2
"""The same of a step of GRPO, whose parts are long."""

SHAPES = 4
"""Steps over the stage whose batches' lengths are averaged."""


KEPT = 0.4
"""Share of GRPO's groups that disagree, and so are learned from: median 0.38, mean 0.45 of the first run of
examples/r2-mini (seed 0, 40 steps of 16 x 8; docs/run.md)."""

CERTAIN = 1e6
"""Noise that outweighs every logit."""


@dataclass(frozen=True)
class StepTime:
    """Time of a step by the clock, and of this process on its processor [s]. They part where others are running too."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: StepTime) -> StepTime:
        return StepTime(self.wall + other.wall, self.cpu + other.cpu)

    def __rmul__(self, times: int) -> StepTime:
        return StepTime(times * self.wall, times * self.cpu)


def step_time(
    model: Any, tasks: TaskSource, plan: RunPlan, ranks: Ranks, stage: int, settle: Callable[[], None]
) -> StepTime | None:
    """Time of a step of a stage; None for several processes, whose layers cannot be run alone."""
    if ranks.size > 1:
        return None
    timed = _grpo if plan.stages[stage].kind == "grpo" else _pretraining
    found = timed(model, tasks, plan, ranks, stage, settle)
    model.zero_grad()
    return found


def _grpo(
    model: Any, tasks: TaskSource, plan: RunPlan, ranks: Ranks, stage: int, settle: Callable[[], None]
) -> StepTime:
    """The parts of a step of GRPO, each done once before it counts."""
    asked = data.questions(tasks, plan, stage, 0)
    rows = [task for task in asked for _ in range(plan.stages[stage].group)]
    prompts = [data.prompt(task) for task in rows]
    said = [[*encode(careful(task)), EOS] for task in rows]
    noise = _dictated(said)
    total = float(sum(map(len, said)))
    rollout = grpo.Rollout(prompts, said, np.zeros(len(rows)), plan.stages[stage].group, total, float(len(rows)), 0)
    kept = list(range(max(1, round(KEPT * len(rows)))))

    def generate() -> None:
        grpo.generated(model, prompts, noise, plan.precision, ranks)

    def learn() -> None:
        grpo.policy_loss(model, rollout, kept, np.ones(len(kept)), plan.precision, ranks)

    parts = (_median(work, settle, REHEARSALS) for work in (generate, learn, _optimiser(model)))
    return sum(parts, StepTime())


def _dictated(said: list[list[int]]) -> torch.Tensor:
    """Noise by which the generator says what it is told."""
    import torch

    noise = torch.zeros((len(said), max(map(len, said)), VOCABULARY))
    for row, tokens in enumerate(said):
        noise[row, range(len(tokens)), tokens] = CERTAIN
    return noise


def _pretraining(
    model: Any, tasks: TaskSource, plan: RunPlan, ranks: Ranks, stage: int, settle: Callable[[], None]
) -> StepTime:
    """The layers, the head and the optimiser."""
    import torch

    steps = range(0, plan.stages[stage].steps, max(1, plan.stages[stage].steps // SHAPES))
    lengths = [data.pretraining(tasks, plan, stage, step).ids.shape[1] for step in steps]
    rows, length = plan.stages[stage].batch, round(statistics.fmean(lengths))
    ids = torch.zeros((rows, length), dtype=torch.long, device=ranks.place)
    states = torch.randn((rows, length, model.config.hidden_size), device=ranks.place)

    def timed(work: Callable[[], None]) -> StepTime:
        return _median(work, settle, REPEATS)

    body = model.model
    places = torch.arange(length, device=ranks.place)[None]
    turned = body.rotary_emb(states, position_ids=places)
    kinds: dict[str, list[Any]] = {}
    for layer in body.layers:
        kinds.setdefault(type(layer.mlp).__name__, []).append(layer)
    total = StepTime()
    for layers in kinds.values():
        run = _layer(layers[-1], states, places, turned, plan.precision, ranks)
        total += len(layers) * timed(run)
    return total + timed(_head(model, states, ids, plan.precision, ranks)) + timed(_optimiser(model))


def _median(work: Callable[[], None], settle: Callable[[], None], repeats: int) -> StepTime:
    times = []
    for _ in range(repeats + 1):
        began, busy = time.perf_counter(), time.process_time()
        work()
        settle()
        times.append((time.perf_counter() - began, time.process_time() - busy))
    return StepTime(*(statistics.median(column) for column in zip(*times[1:], strict=True)))


def _layer(
    layer: Any, states: torch.Tensor, places: torch.Tensor, turned: Any, precision: str, ranks: Ranks
) -> Callable[[], None]:
    """A forward and backward pass of one layer, the gradient of its input included."""

    def work() -> None:
        given = states.detach().clone().requires_grad_()
        with cast(precision, ranks):
            out = layer(given, attention_mask=None, position_ids=places, position_embeddings=turned)
        (out[0] if isinstance(out, tuple) else out).float().sum().backward()

    return work


def _head(model: Any, states: torch.Tensor, ids: torch.Tensor, precision: str, ranks: Ranks) -> Callable[[], None]:
    """The last norm, the logits and their cross entropy, forward and backward."""
    import torch

    def work() -> None:
        given = states.detach().clone().requires_grad_()
        with cast(precision, ranks):
            logits = model.lm_head(model.model.norm(given))
        torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids.flatten()).backward()

    return work


def _optimiser(model: Any) -> Callable[[], None]:
    """Clipping and AdamW over copies of the weights."""
    import torch

    copies = [value.detach().clone().requires_grad_() for value in model.parameters()]
    made = torch.optim.AdamW(copies, lr=0.0)
    for value in copies:
        value.grad = torch.zeros_like(value)

    def work() -> None:
        torch.nn.utils.clip_grad_norm_(copies, 1.0)
        made.step()

    return work
