"""The time of a step before it is taken: layers timed one by one on this device, and added up.

    t = sum over kinds of layers of (layers of the kind) t_kind + t_head + t_optimiser

each term the median of a few repetitions of a forward and backward pass on a batch of the stage's own shape. Left out:
the embedding, the data and the Python between layers, a few hundredths at these sizes.

A step of GRPO is rehearsed, in parts, whatever the weights can do yet:

    t = t_generation + t_policy + t_optimiser

t_generation: the real generator on the step's own questions, its noise set so that it says their careful traces, the
length that such runs come to; t_policy: a forward and backward pass over KEPT of the rows.

Of several processes each computes its rows on a whole copy of the model, all at once as in the run; what they exchange
is timed on the group (collectives.py) and added, for nothing overlaps on a processor. The optimiser has its own part.

How many groups disagree is not known before the first step: once WARM steps of a stage are done, their own times are
the prediction of the rest.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tonnage.run.train import data, grpo
from tonnage.run.train.collectives import Exchanges, exchanges
from tonnage.run.train.network import built, cast
from tonnage.run.train.plan import RunPlan
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.tasks import TaskSource, careful
from tonnage.run.train.timing import StepTime, timed
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


WARM, COLD = 12, 2
"""Steps of a stage by whose times the rest is predicted, and the first of them, which are not counted: the first passes
of a size are slow."""


@dataclass(frozen=True)
class Rehearsal:
    """What is timed: a model that can be run alone, the processes, what they exchange, how a device settles."""

    model: Any
    cut: Any
    ranks: Ranks
    exchanged: Exchanges
    settle: Callable[[], None]

    @property
    def alone(self) -> Ranks:
        """The same process as the only one."""
        return Ranks(0, 1, self.ranks.place)

    def share(self, rows: int) -> int:
        """Rows of this process."""
        return -(-rows // self.ranks.size)


def step_time(
    model: Any, tasks: TaskSource, plan: RunPlan, ranks: Ranks, stage: int, settle: Callable[[], None]
) -> StepTime:
    """Time of a step of a stage, on one process or on each of several."""
    whole, exchanged = model, Exchanges()
    if ranks.size > 1:
        whole = built(plan, Ranks(0, 1, ranks.place))
        exchanged = exchanges(model, whole, ranks, plan.precision, settle)
    timer = _grpo if plan.stages[stage].kind == "grpo" else _pretraining
    found = timer(Rehearsal(whole, model, ranks, exchanged, settle), tasks, plan, stage)
    whole.zero_grad()
    return found


def _grpo(at: Rehearsal, tasks: TaskSource, plan: RunPlan, stage: int) -> StepTime:
    """The parts of a step of GRPO, each done once before it counts."""
    spec = plan.stages[stage]
    asked = data.questions(tasks, plan, stage, 0)[at.ranks.rank :: at.ranks.size]
    rows = [task for task in asked for _ in range(spec.group)]
    prompts = [data.prompt(task) for task in rows]
    said = [[*encode(careful(task)), EOS] for task in rows]
    noise = _dictated(said)
    total = float(sum(map(len, said)))
    rollout = grpo.Rollout(prompts, said, np.zeros(len(rows)), spec.group, total, float(len(rows)), 0)
    kept = list(range(max(1, round(KEPT * len(rows)))))

    def generate() -> None:
        grpo.generated(at.model, prompts, noise, plan.precision, at.alone)

    def learn() -> None:
        grpo.policy_loss(at.model, rollout, kept, np.ones(len(kept)), plan.precision, at.alone)

    parts = (timed(work, at.settle, REHEARSALS) for work in (generate, learn, _optimiser(at.cut)))
    return sum(parts, noise.shape[1] * at.exchanged.forward + at.exchanged.step)


def _dictated(said: list[list[int]]) -> torch.Tensor:
    """Noise by which the generator says what it is told."""
    import torch

    noise = torch.zeros((len(said), max(map(len, said)), VOCABULARY))
    for row, tokens in enumerate(said):
        noise[row, range(len(tokens)), tokens] = CERTAIN
    return noise


def _pretraining(at: Rehearsal, tasks: TaskSource, plan: RunPlan, stage: int) -> StepTime:
    """The layers, the head, what is exchanged, and the optimiser."""
    import torch

    spec, model, place = plan.stages[stage], at.model, at.ranks.place
    steps = range(0, spec.steps, max(1, spec.steps // SHAPES))
    length = round(statistics.fmean(data.pretraining(tasks, plan, stage, step).ids.shape[1] for step in steps))
    rows = at.share(spec.batch)
    ids = torch.zeros((rows, length), dtype=torch.long, device=place)
    states = torch.randn((rows, length, model.config.hidden_size), device=place)
    body = model.model
    places = torch.arange(length, device=place)[None]
    turned = body.rotary_emb(states, position_ids=places)
    kinds: dict[str, list[Any]] = {}
    for layer in body.layers:
        kinds.setdefault(type(layer.mlp).__name__, []).append(layer)
    total = at.exchanged.step
    for layers in kinds.values():
        run = _layer(layers[-1], states, places, turned, plan.precision, at.alone)
        total += len(layers) * timed(run, at.settle, REPEATS)
    total += timed(_head(model, states, ids, plan.precision, at.alone), at.settle, REPEATS)
    return total + timed(_optimiser(at.cut), at.settle, REPEATS)


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
    """Clipping and AdamW over copies of the weights that this process holds."""
    import torch

    copies = [value.detach().clone().requires_grad_() for value in model.parameters()]
    made = torch.optim.AdamW(copies, lr=0.0)
    for value in copies:
        value.grad = torch.zeros_like(value)

    def work() -> None:
        torch.nn.utils.clip_grad_norm_(copies, 1.0)
        made.step()

    return work
