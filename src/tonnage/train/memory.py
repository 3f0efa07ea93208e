"""Where each byte of an accelerator goes, on the fullest pipeline stage.

References: Rajbhandari 2020 (ZeRO, arXiv 1910.02054) for the states, Korthikanti 2022 (arXiv 2205.05198) for
activations by schedule and recomputation; DeepSeek-V3 (arXiv 2412.19437, table 2) for DualPipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tonnage.arrays import Floats, Ints, Numbers
from tonnage.layout import Layout
from tonnage.train import schedule
from tonnage.train.job import TrainJob
from tonnage.train.upkeep import BASES, WEIGHT
from tonnage.train.work import LayerWork

CONTEXT = (0.8e9, 1.5e9, 3.0e9)
"""Bytes of driver context, library workspaces and communicator buffers: low, middle, high. Assumption."""
FRAGMENTATION = (0.0, 0.08, 0.16)
"""Share of activations that the allocator holds beside what lives: low, middle, high. Assumption; the reserved memory
that torchtitan prints is up to a sixth over what is counted here, allocators with expandable segments are near the low
end."""


@dataclass(frozen=True)
class TrainRankMemory:
    """Bytes on the fullest rank. slack_low, slack_high: 90 % interval of `slack`; host: in the host's memory, beside
    the total.
    """

    weights: Numbers
    gradients: Numbers
    optimizer: Numbers
    activations: Numbers
    buffers: Numbers
    slack: Numbers
    slack_low: Numbers
    slack_high: Numbers
    host: Numbers = 0.0

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

    def at(self, index: int) -> TrainRankMemory:
        """One candidate's memory, as floats."""
        names = self.__dataclass_fields__
        return TrainRankMemory(**{name: float(np.asarray(getattr(self, name)).reshape(-1)[index]) for name in names})


def memory(job: TrainJob, layout: Layout, work: LayerWork, micro_batches: Numbers) -> TrainRankMemory:
    """Bytes on the fullest of the first, second and last stages of each candidate.

    `work` is gathered: one entry a candidate. States and activations are linear in a stage's layers and ends, so the
    fullest stage is found from one sum each. ZeRO-3 keeps two gathered layers and their gradients alive; in a pipeline
    a whole stage, gathered once a step (torchtitan's default, or each micro-batch would gather again).
    """
    lean = np.where(layout.recompute == 0, work.saved[0], np.where(layout.recompute == 1, work.saved[1], work.saved[2]))
    single = np.asarray(layout.pp) == 1
    head = work.last / np.maximum(work.dense + work.experts, 1.0)
    stages = schedule.split(work.depth, layout.pp, np.minimum(head, work.depth), layout.schedule)
    layer, end = _kept(job, layout, work)
    flying = [schedule.in_flight(*_pipe(layout), micro_batches, stage) for stage in (0, 1, -1)]
    ends = (work.first + single * work.last, 0.0, work.last + single * work.first)
    tails = (single, 0.0, 1.0)
    layers = (stages.first, stages.middle, stages.last)
    at_work = (layout.recompute == 2) * work.peak + (EAGER * work.saved[0] if job.compiled is False else 0.0)
    totals = [
        count * (sum(layer) + lean * held) + part * sum(end) + tail * work.head_saved + at_work
        for count, part, held, tail in zip(layers, ends, flying, tails, strict=True)
    ]
    count, part, held, tail = (_worst(totals, choice) for choice in (layers, ends, flying, tails))
    kept = lean * count * held
    near = np.minimum(kept, AHEAD * lean) if "activations" in job.offload else kept
    logits = tail * work.head_saved
    activations = near + logits + at_work
    transfer = (layout.pp > 1) * 4.0 * work.saved[2]
    buffers = np.asarray(_gathered(job, layout, work, count) + transfer)
    low, middle, high = (fixed + share * activations for fixed, share in zip(CONTEXT, FRAGMENTATION, strict=True))
    # the logits are given back before the first layer is computed again: at best it takes their place
    low = low - np.minimum(logits, at_work)
    weights, gradients, optimizer = (count * one + part * other for one, other in zip(layer, end, strict=True))
    found = TrainRankMemory(weights, gradients, optimizer, activations, buffers, middle, low, high, kept - near)
    return _offloaded(job, layout, work, found)


States = tuple[Numbers, Numbers, Numbers]
"""Bytes of weights, gradients, optimizer."""


def _kept(job: TrainJob, layout: Layout, work: LayerWork) -> tuple[States, States]:
    """(states of one layer on a rank with its adapters, of one parameter of the ends)."""
    ranks, expert_ranks = shards(job, layout)
    copies = np.where(layout.schedule == schedule.DUALPIPE, 2.0, 1.0)
    layer = states(job, layout, work.dense, work.experts, ranks, expert_ranks, copies)
    end = states(job, layout, 1.0, 0.0, ranks, expert_ranks, 1.0, ends=True)
    if job.lora_rank is None:
        return layer, end
    beside = trained(job, layout, *work.adapters, ranks, expert_ranks, copies)
    return (layer[0] + beside[0], layer[1] + beside[1], layer[2] + beside[2]), end


EAGER = 2.2
"""Bytes alive beside, in the layer at work, over what a layer keeps, where operators run one by one: 32-bit copies in
norms and rotations, and what each gives to the next. Llama 3.1 8B held 5.8 and 5.4 GB more without torch.compile
(torchtitan, 88.5 against 82.7 GB on 8 H100, 71.9 against 66.6 on 128, two sequences of 8,192: as in `step.EAGER`), of
which the allocator holds a share."""

AHEAD = 2.0
"""Layers whose activations are on the accelerator while the host keeps the others: the one at work and the next one."""


def _gathered(job: TrainJob, layout: Layout, work: LayerWork, count: Numbers) -> Numbers:
    """Bytes of gathered layers and their gradients under full sharding, and of a narrow weight that is unpacked.

    Frozen layers have no gradients, and are gathered as they are stored.
    """
    apiece = job.apiece()
    both = apiece.weight + apiece.gradient
    alive = np.where(np.asarray(layout.pp) == 1, 2.0 * (apiece.weight + both), count * both)
    unpacked: Numbers = 0.0
    if job.detailed:
        narrow = WEIGHT if job.stored is None else BASES[job.stored]
        alive = narrow * np.where(np.asarray(layout.pp) == 1, 2.0, count)
        unpacked = 0.0 if job.stored is None else WEIGHT * work.largest
    return (layout.zero == 3) * (work.dense + work.experts) * alive + unpacked


def _offloaded(job: TrainJob, layout: Layout, work: LayerWork, found: TrainRankMemory) -> TrainRankMemory:
    """What the host keeps instead (ZeRO-Offload, arXiv 2101.06840; ZeRO-Infinity, arXiv 2104.07857).

    optimizer: master copy and moments, and from ZeRO-2 on the sum of the gradients, of which one layer's stays; params:
    the weights too, where ZeRO-3 brings them layer by layer.
    """
    if not {"optimizer", "params"} & set(job.offload):
        return found
    divided = np.asarray(layout.zero) >= 2
    layer = (layout.zero == 2) * job.apiece().gradient * (0.0 if job.frozen else 1.0) * (work.dense + work.experts)
    brought = (np.asarray(layout.zero) == 3) & ("params" in job.offload)
    host = found.host + found.optimizer + divided * found.gradients + brought * found.weights
    return replace(
        found,
        weights=np.where(brought, 0.0, found.weights),
        gradients=np.where(divided, 0.0, found.gradients),
        optimizer=0.0 * found.optimizer,
        buffers=found.buffers + layer,
        host=host,
    )


def _worst(totals: Sequence[Numbers], choices: Sequence[Numbers]) -> Floats:
    """What belongs to the largest of three totals."""
    first, second, third = totals
    return np.where(first >= np.maximum(second, third), choices[0], np.where(second >= third, choices[1], choices[2]))


def _pipe(layout: Layout) -> tuple[Ints, Ints, Ints]:
    """What of a layout says how many micro-batches are in flight."""
    return layout.schedule, layout.pp, layout.vpp


def shards(job: TrainJob, layout: Layout) -> tuple[Ints, Numbers | Ints]:
    """Ranks over which ZeRO divides the states of dense and of expert parameters."""
    ranks = layout.cp * layout.dp
    experts = np.maximum(np.floor(layout.tp * ranks / (layout.ep * layout.etp)), 1.0)
    if job.shard_group:
        ranks, experts = np.minimum(ranks, job.shard_group), np.minimum(experts, job.shard_group)
    return ranks, experts


def states(
    job: TrainJob,
    layout: Layout,
    dense: Numbers,
    experts: Numbers,
    ranks: Numbers | Ints,
    expert_ranks: Numbers | Ints,
    copies: Numbers,
    *,
    ends: bool = False,
) -> States:
    """(weights, gradients, optimizer) bytes of parameters held by a rank, `copies` times over (DualPipe holds two).

    Frozen weights have neither gradients nor states; those of the layers may be stored narrower, embedding and head
    (ends) are not.
    """
    if not job.frozen:
        return trained(job, layout, dense, experts, ranks, expert_ranks, copies, ends=ends)
    stored = WEIGHT if ends or job.stored is None else BASES[job.stored]
    parted = dense / ranks + experts / expert_ranks
    return stored * np.where(layout.zero == 3, parted, copies * (dense + experts)), 0.0, 0.0


def trained(
    job: TrainJob,
    layout: Layout,
    dense: Numbers,
    experts: Numbers,
    ranks: Numbers | Ints,
    expert_ranks: Numbers | Ints,
    copies: Numbers,
    *,
    ends: bool = False,
) -> States:
    """The same of parameters that train.

    ZeRO 1 divides the optimizer, 2 the gradients too, 3 the weights too (and keeps a 32-bit master instead of a 16-bit
    copy: FSDP).
    """
    each = job.apiece(ends=ends)
    total, parted = copies * (dense + experts), dense / ranks + experts / expert_ranks
    full = layout.zero == 3
    weights = each.weight * np.where(full, parted, total)
    gradients = each.gradient * np.where(layout.zero >= 2, parted, total)
    optimizer = np.where(layout.zero >= 1, (each.states - each.spared * full) * parted, each.states * total)
    return weights, gradients, optimizer
