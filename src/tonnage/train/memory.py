"""Where each byte of an accelerator goes, on the fullest pipeline stage.

References: Rajbhandari 2020 (ZeRO, arXiv 1910.02054) for the states, Korthikanti 2022 (arXiv 2205.05198) for
activations by schedule and recomputation; DeepSeek-V3 (arXiv 2412.19437, table 2) for DualPipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tonnage.layout import Layout
from tonnage.train import schedule
from tonnage.train.job import TrainJob
from tonnage.train.work import LayerWork

Numbers = Any

WEIGHT, GRADIENT, ADAM = 2.0, 4.0, 12.0
"""Bytes per parameter: 16-bit weight, 32-bit gradient sum, 32-bit master weight and two moments (Megatron-LM)."""

CONTEXT = (0.8e9, 1.5e9, 3.0e9)
"""Bytes of driver context, library workspaces and communicator buffers: low, middle, high. Assumption."""
FRAGMENTATION = (0.0, 0.03, 0.08)
"""Share of activations lost to the allocator: low, middle, high. Assumption; caching allocators with expandable
segments are near the low end."""


@dataclass(frozen=True)
class Memory:
    """Bytes on the fullest rank. slack_low, slack_high: 90 % interval of `slack`."""

    weights: Numbers
    gradients: Numbers
    optimizer: Numbers
    activations: Numbers
    buffers: Numbers
    slack: Numbers
    slack_low: Numbers
    slack_high: Numbers

    @property
    def total(self) -> Numbers:
        """All kinds together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.buffers + self.slack

    @property
    def low(self) -> Numbers:
        """Total with the least slack."""
        return self.total - self.slack + self.slack_low

    @property
    def high(self) -> Numbers:
        """Total with the most slack."""
        return self.total - self.slack + self.slack_high

    def at(self, index: Any) -> Memory:
        """One candidate's memory, as floats."""
        names = self.__dataclass_fields__
        return Memory(**{name: float(np.asarray(getattr(self, name)).reshape(-1)[index]) for name in names})


def memory(job: TrainJob, layout: Layout, work: LayerWork, micro_batches: Numbers) -> Memory:
    """Bytes on the fullest of the first, second and last stages of each candidate.

    `work` is gathered: one entry a candidate.
    """
    lean = np.select([layout.recompute == 0, layout.recompute == 1], [work.saved[0], work.saved[1]], work.saved[2])
    head = work.last / np.maximum(work.dense + work.experts, 1.0)
    stages = schedule.split(work.depth, layout.pp, np.minimum(head, work.depth), layout.schedule)
    candidates = [
        _stage(job, layout, work, lean, layers, holds, schedule.in_flight(*_pipe(layout), micro_batches, number), tail)
        for layers, number, holds, tail in (
            (stages.first, 0, work.first + np.where(layout.pp == 1, work.last, 0.0), layout.pp == 1),
            (stages.middle, 1, 0.0, False),
            (stages.last, -1, work.last + np.where(layout.pp == 1, work.first, 0.0), True),
        )
    ]
    return _fullest(candidates)


def _pipe(layout: Layout) -> tuple[Numbers, Numbers, Numbers]:
    return layout.schedule, layout.pp, layout.vpp


def _stage(
    job: TrainJob,
    layout: Layout,
    work: LayerWork,
    lean: Numbers,
    layers: Numbers,
    ends: Numbers,
    flying: Numbers,
    tail: Any,
) -> tuple[Numbers, ...]:
    """(weights, gradients, optimizer, activations, buffers) of one stage."""
    copies = np.where(layout.schedule == schedule.DUALPIPE, 2.0, 1.0)
    dense, experts = copies * layers * work.dense + ends, copies * layers * work.experts
    ranks, expert_ranks = shards(job, layout)
    weights, gradients, optimizer = states(job, layout, dense, experts, ranks * copies, expert_ranks * copies)
    activations = lean * layers * flying + np.where(tail, work.head_saved, 0.0)
    activations = activations + np.where(layout.recompute == 2, work.peak, 0.0)
    gathered = np.where(layout.zero == 3, 2.0 * (work.dense + work.experts) * (2 * WEIGHT + GRADIENT), 0.0)
    transfer = np.where(layout.pp > 1, 4.0 * work.saved[2], 0.0)
    return weights, gradients, optimizer, activations, gathered + transfer


def shards(job: TrainJob, layout: Layout) -> tuple[Numbers, Numbers]:
    """Ranks over which ZeRO divides the states of dense and of expert parameters."""
    ranks = layout.cp * layout.dp
    experts = np.maximum(layout.tp * ranks // (layout.ep * layout.etp), 1)
    if job.shard_group:
        ranks, experts = np.minimum(ranks, job.shard_group), np.minimum(experts, job.shard_group)
    return ranks, experts


def states(
    job: TrainJob, layout: Layout, dense: Numbers, experts: Numbers, ranks: Numbers, expert_ranks: Numbers
) -> tuple[Numbers, Numbers, Numbers]:
    """(weights, gradients, optimizer) bytes of parameters held by a rank.

    ZeRO 1 divides the optimizer, 2 the gradients too, 3 the weights too (and keeps a 32-bit master instead of a 16-bit
    copy: FSDP). LoRA trains about a hundredth of the parameters: its gradients and states are left out.
    """
    total, parted = dense + experts, dense / ranks + experts / expert_ranks
    weights = WEIGHT * np.where(layout.zero == 3, parted, total)
    if job.task == "lora":
        return weights, 0.0 * weights, 0.0 * weights
    gradients = GRADIENT * np.where(layout.zero >= 2, parted, total)
    optimizer = ADAM * np.where(layout.zero >= 1, parted, total) - np.where(layout.zero == 3, 2.0 * parted, 0.0)
    return weights, gradients, optimizer


def _fullest(candidates: list[tuple[Numbers, ...]]) -> Memory:
    stacked = [np.stack(np.broadcast_arrays(*kind)) for kind in zip(*candidates, strict=True)]
    worst = np.argmax(sum(stacked), axis=0)
    weights, gradients, optimizer, activations, buffers = (
        np.take_along_axis(kind, worst[None], axis=0)[0] for kind in stacked
    )
    low, middle, high = (fixed + share * activations for fixed, share in zip(CONTEXT, FRAGMENTATION, strict=True))
    return Memory(weights, gradients, optimizer, activations, buffers, middle, low, high)
