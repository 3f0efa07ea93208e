"""What several processes say to one another in a step, timed on the group itself before the first step.

FSDP2 gathers the weights of each cut module before its forward pass and again before its backward pass, and scatters
the sums of its gradients after it (Zhao et al., arXiv 2304.11277, section 3.3; torch's `fully_shard`); each of these
has its hooks and copies. None of it depends on the batch: a pass over the smallest batch on the model as it is cut,
less the same pass on a whole copy that one process runs alone, is what the exchange costs:

    t_exchange = t(cut, smallest batch) - t(whole, smallest batch)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tonnage.run.train import data
from tonnage.run.train.network import resharded
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.stages import supervised
from tonnage.run.train.timing import StepTime, timed

if TYPE_CHECKING:
    import torch

REPEATS = 9
"""Repetitions after the first: the median of few is at the scheduler's mercy."""

SMALLEST = 2
"""Tokens of a row of the smallest batch: one is learned."""


@dataclass(frozen=True)
class Exchanges:
    """Time of what is exchanged: in a forward and backward pass; in a forward pass alone, and a sum after it."""

    step: StepTime = StepTime()
    forward: StepTime = StepTime()


def exchanges(cut: Any, whole: Any, ranks: Ranks, precision: str, settle: Callable[[], None]) -> Exchanges:
    """Both, of a model as it is cut over the processes and a whole copy of it."""
    alone = Ranks(0, 1, ranks.place)

    def learnt(model: Any, of: Ranks) -> StepTime:
        ids = np.zeros((of.size, SMALLEST), dtype=np.int64)
        batch = data.Sequences(ids, ids, of.size)
        return timed(lambda: supervised(model, batch, precision, of), settle, REPEATS)

    ids = _token(ranks)
    step = learnt(cut, ranks) - learnt(whole, alone)
    forward = timed(lambda: _said(cut, ids, ranks), settle, REPEATS) - timed(
        lambda: _said(whole, ids, alone), settle, REPEATS
    )
    resharded(cut)
    for model in (cut, whole):
        model.zero_grad()
    return Exchanges(step, forward)


def _token(ranks: Ranks) -> torch.Tensor:
    import torch

    return torch.zeros((1, 1), dtype=torch.long, device=ranks.place)


def _said(model: Any, ids: torch.Tensor, ranks: Ranks) -> None:
    """One token, and whether all are done."""
    import torch

    with torch.no_grad():
        model(input_ids=ids, use_cache=False)
    ranks.any(False)
