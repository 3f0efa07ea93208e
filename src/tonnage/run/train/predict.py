"""The time of a step before it is taken: layers timed one by one on this device, and added up.

    t = sum over kinds of layers of (layers of the kind) t_kind + t_head + t_optimiser

each term the median of a few repetitions of a forward and backward pass on a batch of the stage's own shape. Left out:
the embedding, the data and the Python between layers, a few hundredths at these sizes. Over several processes
the layers are timed whole, on the rows of one process, and what FSDP sends is timed beside them. A step of GRPO is
tried whole, on questions of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tonnage.run.train import data, grpo, network
from tonnage.run.train.network import cast
from tonnage.run.train.plan import RunPlan
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.tasks import TaskSource

if TYPE_CHECKING:
    import torch

REPEATS = 5
"""Repetitions after the first, which is not counted."""

ROLLOUTS = 4
"""Steps of GRPO that are tried before the first."""

STUDENT = 2.353
"""Quantile of Student's distribution at 95 % with 3 degrees of freedom: a further sample lies within 90 %."""

SHAPES = 4
"""Steps over the stage whose batches' lengths are averaged."""


@dataclass(frozen=True)
class StepForetold:
    """Time of a step and CPU time of this process [s]; low, high: where the lengths that were sampled leave it."""

    step_time: float
    step_cpu_time: float
    low: float | None = None
    high: float | None = None


def step_time(
    model: Any, tasks: TaskSource, plan: RunPlan, ranks: Ranks, stage: int, settle: Callable[[], None]
) -> StepForetold | None:
    """What a step of a stage should take; None for GRPO over several processes, whose layers wait for one another's
    longest completion.
    """
    if plan.stages[stage].kind == "grpo":
        return _grpo(model, tasks, plan, ranks, stage, settle) if ranks.size == 1 else None
    steps = range(0, plan.stages[stage].steps, max(1, plan.stages[stage].steps // SHAPES))
    lengths = [data.pretraining(tasks, plan, stage, step).ids.shape[1] for step in steps]
    rows = max(1, plan.stages[stage].batch // ranks.size)
    alone = model if ranks.size == 1 else network.built(plan, replace(ranks, rank=0, size=1))
    terms = [_pass(alone, plan, ranks, rows, round(statistics.fmean(lengths)), settle)]
    terms.append(_timed(_optimiser(model), settle))
    if ranks.size > 1:
        terms += _collectives(alone, ranks, settle)
    return StepForetold(sum(wall for wall, _ in terms), sum(busy for _, busy in terms))


def _collectives(alone: Any, ranks: Ranks, settle: Callable[[], None]) -> list[tuple[float, float]]:
    """What FSDP sends in a step: weights of each layer are gathered before its forward and its backward pass, its
    gradient is scattered after; those of the rest once each.
    """
    layers = [sum(value.numel() for value in layer.parameters()) for layer in alone.model.layers]
    rest = sum(value.numel() for value in alone.parameters()) - sum(layers)
    times: dict[int, tuple[tuple[float, float], tuple[float, float]]] = {}
    for count in (*layers, rest):
        if count not in times:
            times[count] = _gathered(count, ranks, settle)
    terms = [times[rest][0]]
    for count in layers:
        terms += [times[count][0], times[count][0]]
    return [*terms, *(times[count][1] for count in (*layers, rest))]


def _gathered(count: int, ranks: Ranks, settle: Callable[[], None]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Times of gathering, and of scattering, so many fp32 numbers over all processes."""
    import torch
    import torch.distributed as dist

    own = -(-count // ranks.size)
    part = torch.zeros(own, device=ranks.place)
    whole = torch.zeros(own * ranks.size, device=ranks.place)
    return (
        _timed(lambda: dist.all_gather_single(whole, part), settle),
        _timed(lambda: dist.reduce_scatter_single(part, whole), settle),
    )


def _pass(
    model: Any, plan: RunPlan, ranks: Ranks, rows: int, length: int, settle: Callable[[], None]
) -> tuple[float, float]:
    """Wall and CPU time of a forward and backward pass of a batch, by its layers and its head."""
    import torch

    ids = torch.zeros((rows, length), dtype=torch.long, device=ranks.place)
    states = torch.randn((rows, length, model.config.hidden_size), device=ranks.place)
    body = model.model
    places = torch.arange(length, device=ranks.place)[None]
    turned = body.rotary_emb(states, position_ids=places)
    kinds: dict[str, list[Any]] = {}
    for layer in body.layers:
        kinds.setdefault(type(layer.mlp).__name__, []).append(layer)
    wall = busy = 0.0
    for layers in kinds.values():
        took = _timed(_layer(layers[-1], states, places, turned, plan.precision, ranks), settle)
        wall, busy = wall + len(layers) * took[0], busy + len(layers) * took[1]
    head = _timed(_head(model, states, ids, plan.precision, ranks), settle)
    model.zero_grad()
    return wall + head[0], busy + head[1]


def _timed(work: Callable[[], None], settle: Callable[[], None]) -> tuple[float, float]:
    """Medians of wall and CPU time [s]."""
    wall, busy = [], []
    for _ in range(REPEATS + 1):
        began, used = time.perf_counter(), time.process_time()
        work()
        settle()
        wall.append(time.perf_counter() - began)
        busy.append(time.process_time() - used)
    return statistics.median(wall[1:]), statistics.median(busy[1:])


def _grpo(
    model: Any, tasks: TaskSource, plan: RunPlan, ranks: Ranks, stage: int, settle: Callable[[], None]
) -> StepForetold:
    """A step of GRPO: questions of steps that never come are completed by the model as it is, which shows its lengths
    and how many groups fare alike, and the pass over what is left is timed. Each such step is one sample of the time:
    the interval is the spread of theirs, and open to what training does to the lengths.
    """
    spec = plan.stages[stage]
    optimiser = _timed(_optimiser(model), settle)
    wall, busy = [], []
    for index in range(ROLLOUTS):
        began, used = time.perf_counter(), time.process_time()
        rollout = grpo.rolled_out(model, tasks, plan, ranks, stage, spec.steps + index, 0)
        grpo.learned(model, rollout, plan, ranks)
        settle()
        model.zero_grad()
        wall.append(time.perf_counter() - began + optimiser[0])
        busy.append(time.process_time() - used + optimiser[1])
    middle, spread = statistics.fmean(wall), statistics.stdev(wall)
    reach = STUDENT * spread * (1 + 1 / ROLLOUTS) ** 0.5
    return StepForetold(middle, statistics.fmean(busy), max(min(wall) / 2, middle - reach), middle + reach)


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
