"""The gradient of one step of a stage: pretraining on traces, or GRPO on the model's own completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

from tonnage.run.train import data, grpo
from tonnage.run.train.network import cast
from tonnage.run.train.plan import RunPlan
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.tasks import TaskSource

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StepFigures:
    """What a step showed, over all processes: loss, tokens that were learned from; of GRPO the mean reward, the mean
    length of a completion [tokens] and the share of groups that taught something. `data`: a checksum of the questions,
    so that the order of data can be compared.
    """

    loss: float
    tokens: float
    data: int
    reward: float | None = None
    length: float | None = None
    kept: float | None = None

    @property
    def teaches(self) -> bool:
        """Whether there is a gradient: GRPO has none where all completions of each group fare alike."""
        return self.kept != 0


def gradient(
    model: torch.nn.Module, tasks: TaskSource, plan: RunPlan, ranks: Ranks, stage: int, step: int, salt: int
) -> StepFigures:
    """Forward and backward of one step; gradients are left in the model."""
    if plan.stages[stage].kind == "grpo":
        rollout = grpo.rolled_out(model, tasks, plan, ranks, stage, step, salt)
        found = grpo.learned(model, rollout, plan, ranks)
        return StepFigures(found.loss, found.tokens, rollout.data, found.reward, found.length, found.kept)
    batch = data.pretraining(tasks, plan, stage, step, salt)
    return StepFigures(supervised(model, batch, plan.precision, ranks), batch.learned, crc32(batch.ids.tobytes()))


def supervised(model: Any, batch: data.Sequences, precision: str, ranks: Ranks) -> float:
    """Cross entropy of a batch, the mean over its learned tokens on all processes; its gradient in the model.

    Each process takes every n-th row. FSDP averages gradients over n processes, so that the sum of a process's rows
    over the tokens of all rows, times n, averages to the gradient of the mean.
    """
    import torch

    ids, labels = (
        torch.from_numpy(part[ranks.rank :: ranks.size]).to(ranks.place) for part in (batch.ids, batch.labels)
    )
    with cast(precision, ranks):
        logits = model(input_ids=ids, use_cache=False).logits
    total = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=data.IGNORED, reduction="sum"
    )
    (total * (ranks.size / batch.learned)).backward()
    return ranks.total(float(total.detach()))[0] / batch.learned
