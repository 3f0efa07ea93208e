"""What it costs to keep states, weights or activations in the host's memory.

Ren 2021 (ZeRO-Offload, arXiv 2101.06840): gradients go down the host's link in 16 bits, the host updates its shard, the
weights come back in 16 bits. Rajbhandari 2021 (ZeRO-Infinity, arXiv 2104.07857): weights come up layer by layer, each
rank its shard; activations go down in the forward pass and come up in the backward one.
"""

from __future__ import annotations

import numpy as np

from tonnage.arrays import Numbers
from tonnage.layout import Layout
from tonnage.system import Accelerator, needed
from tonnage.train.job import TrainJob
from tonnage.train.memory import shards
from tonnage.train.upkeep import WEIGHT
from tonnage.train.work import LayerWork

UPDATED = 4e9
"""Parameters that the processors of one server update a second with DeepSpeed's CPU Adam. Assumption, 2 to 10e9: about
0.25 s for a billion on a server of 2018 (arXiv 2101.06840, section 6, as recalled); memory bandwidth has doubled
since."""

SERVER = 8
"""Accelerators that share one host, where a scale-up domain is no smaller. Assumption."""


def updated(job: TrainJob, layout: Layout, work: LayerWork) -> Numbers:
    """Parameters that a rank updates: its shard of the fullest stage, of adapters alone where weights are frozen."""
    ranks, expert_ranks = shards(job, layout)
    depth = np.ceil(work.depth / np.asarray(layout.pp))
    ends = np.where(np.asarray(layout.pp) == 1, work.first + work.last, np.maximum(work.first, work.last))
    sharded = np.asarray(layout.zero) >= 1
    dense, experts = (work.dense, work.experts) if not job.frozen else work.adapters
    whole = depth * dense + (0.0 if job.frozen else ends)
    return whole / np.where(sharded, ranks, 1) + depth * experts / np.where(sharded, expert_ranks, 1)


def seconds(job: TrainJob, chip: Accelerator, layout: Layout, work: LayerWork, batches: Numbers) -> dict[str, Numbers]:
    """(whether, seconds of the update, seconds of transfers that compute can hide) of a step, as fields of `Pieces`.

    Raises `MissingFact` where nobody has said how fast the host's link is.
    """
    if not job.offload:
        return {}
    link = needed(chip, "host_link")
    mine = updated(job, layout, work)
    down, update, hidden = 0.0 * mine, 0.0 * mine, 0.0 * mine
    if {"optimizer", "params"} & set(job.offload):
        down = 2 * WEIGHT * mine / link
        update = mine * min(chip.domain, SERVER) / UPDATED
    if "params" in job.offload:
        hidden = hidden + _weights(job, layout, work, batches) / link
    if "activations" in job.offload:
        hidden = hidden + _activations(layout, work, batches) / link
    return {"host": 1.0, "host_update": down + update, "host_link": hidden}


def _weights(job: TrainJob, layout: Layout, work: LayerWork, batches: Numbers) -> Numbers:
    """Bytes of weights that a rank brings up in a step: its shard, forward and backward, of every micro-batch."""
    ranks, expert_ranks = shards(job, layout)
    shard = work.depth * (work.dense / ranks + work.experts / expert_ranks) + (work.first + work.last) / ranks
    brought: Numbers = np.where(np.asarray(layout.zero) == 3, 2.0 * batches * WEIGHT * shard, 0.0)
    return brought


def _activations(layout: Layout, work: LayerWork, batches: Numbers) -> Numbers:
    """Bytes of activations that go down and come up in a step."""
    saved = np.select([np.asarray(layout.recompute) == kind for kind in (0, 1)], work.saved[:2], work.saved[2])
    moved: Numbers = 2.0 * batches * np.ceil(work.depth / np.asarray(layout.pp)) * saved
    return moved
