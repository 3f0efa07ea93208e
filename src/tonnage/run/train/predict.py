"""The time of a step before it is taken: layers timed one by one on this device, and added up.

    t = sum over kinds of layers of (layers of the kind) t_kind + t_head + t_optimiser

each term the median of a few repetitions of a forward and backward pass on a batch of the stage's own shape. Left out:
the embedding, the data and the Python between layers, a few hundredths at these sizes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tonnage.run.train import data
from tonnage.run.train.network import cast
from tonnage.run.train.plan import RunPlan
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.tasks import TaskSource

if TYPE_CHECKING:
    import torch

REPEATS = 5
"""Repetitions after the first, which is not counted."""

SHAPES = 4
"""Steps over the stage whose batches' lengths are averaged."""


def step_time(
    model: Any, tasks: TaskSource, plan: RunPlan, ranks: Ranks, stage: int, settle: Callable[[], None]
) -> float | None:
    """Time of a step of pretraining [s]; None for GRPO, whose completions have a length that only it shows, and for
    several processes, whose layers cannot be run alone.
    """
    if plan.stages[stage].kind == "grpo" or ranks.size > 1:
        return None
    import torch

    steps = range(0, plan.stages[stage].steps, max(1, plan.stages[stage].steps // SHAPES))
    lengths = [data.pretraining(tasks, plan, stage, step).ids.shape[1] for step in steps]
    rows, length = plan.stages[stage].batch, round(statistics.fmean(lengths))
    ids = torch.zeros((rows, length), dtype=torch.long, device=ranks.place)
    states = torch.randn((rows, length, model.config.hidden_size), device=ranks.place)

    def timed(work: Callable[[], None]) -> float:
        return _median(work, settle)

    body = model.model
    places = torch.arange(length, device=ranks.place)[None]
    turned = body.rotary_emb(states, position_ids=places)
    kinds: dict[str, list[Any]] = {}
    for layer in body.layers:
        kinds.setdefault(type(layer.mlp).__name__, []).append(layer)
    total = 0.0
    for layers in kinds.values():
        run = _layer(layers[-1], states, places, turned, plan.precision, ranks)
        total += len(layers) * timed(run)
    total += timed(_head(model, states, ids, plan.precision, ranks)) + timed(_optimiser(model))
    model.zero_grad()
    return total


def _median(work: Callable[[], None], settle: Callable[[], None]) -> float:
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        work()
        settle()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


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
