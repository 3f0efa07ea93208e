"""Everything that the time of a step is made of, one entry a candidate, before a software stack is applied.

`measure` prices a job on a system for many layouts; `step.assemble` turns pieces and a stack into time. Two calls, so
that a fit can try many stacks on the same pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Ints, Numbers
from tonnage.layout import Layout, gradient_collectives, pipeline_transfer, weight_gather
from tonnage.model.architecture import operators
from tonnage.model.operators import Load, Step
from tonnage.system import Accelerator, Collective, System, collective_time, measured_maker, per_die
from tonnage.train import grid, offload
from tonnage.train.generations import AMPERE, generation
from tonnage.train.job import TrainJob
from tonnage.train.layers import LayerBook, gathered
from tonnage.train.memory import TrainRankMemory, memory, shards
from tonnage.train.upkeep import BASES, WEIGHT
from tonnage.train.work import LAYER, LayerWork, Passes

DEGREES = ("tp", "pp", "cp", "ep", "etp", "dp", "zero")
"""Degrees that data-parallel collectives depend on."""
BUCKET = 40e6
"""Parameters in one data-parallel collective (Megatron-LM's default bucket)."""
NARROW = 1.2
"""Times the 16-bit rate above which narrower products count as faster. Chips of the catalogue have 1.0 times (no
arithmetic of its own) or 1.95 and more, so that any value between says the same. Assumption."""


@dataclass(frozen=True)
class Pieces:
    """Seconds, counts and switches of n candidates. Shape (n,), or one number for all where it says "job".

    layout            degrees
    work              [s, byte] of one layer and of the ends, in one micro-batch
    micro_batches     of one replica in a step
    ranks             of the run
    scatter           [s] reduction of a step's gradients over data-parallel ranks (ZeRO 0 to 2)
    gather            [s] gathering of a step's weights (ZeRO 0 to 2)
    layer_gather      [s] gathering of one layer's weights (ZeRO 3)
    layer_scatter     [s] reduction of one layer's gradients (ZeRO 3)
    send              [s] one pipeline transfer
    optimizer         [s] update of the rank's shard
    scarcity          job: watts for each FLOP/s of the chip's generation over the A100's
    capped            job: watts for each FLOP/s of the chip over its generation's
    age               job: [years] that the software is older than the newest
    tuned             job: 0 or 1, made and tuned for this run
    lora              job: 0 or 1, weights are frozen
    learned           job: how unevenly experts are loaded, 0 (even) to 1 (a router balanced by a loss)
    moe_overlap       job: 0 or 1, expert all-to-all behind another micro-batch outside DualPipe
    tp_overlap        job: 0 or 1, tensor-parallel collectives under products
    hides_gradients   job: 0 or 1, reduction of gradients behind the backward pass
    hides_weights     job: 0 or 1, gathering of weights behind the forward pass
    compiled          job: 0 or 1, element-wise operators are fused
    eager             job: 0 or 1, it is said that nothing is
    rescore           job: 0 or 1, attention is not fused and selective recomputation repeats it
    narrow            job: 0 or 1, products run in 8 or 4 bits, faster than in 16
    foreign           job: 0 or 1, another vendor's chip than those measured
    held_experts      experts on a rank, 0 where shapes are fixed (tokens dropped)
    generation        job: attention kernels, 0 the newest, 1 FlashAttention 2, 2 the first and Triton
    hopper            job: 0 or 1, Hopper or after (has FP8)
    device            job: 0 or 1, grouped products take their shapes on the device
    again             job: share of products that selective recomputation repeats
    stops             job: 0 or 1, full recomputation stops before a layer's last product
    sharded           scale-up domains that a data-parallel group spans
    turns             ranks that broadcast their weights in turns, 0 where none do
    buckets           collectives that a reduction of gradients is cut into
    memory            [byte] on the fullest rank
    polish            [s] orthogonalisation of the rank's share of the matrices (Muon)
    host              job: 0 or 1, something is kept in the host's memory
    host_update       [s] update of the rank's shard by the host, and its way there and back
    host_link         [s] transfers of a step that compute can hide
    """

    layout: Layout
    work: LayerWork
    micro_batches: Numbers
    ranks: Ints
    scatter: Numbers
    gather: Numbers
    layer_gather: Numbers
    layer_scatter: Numbers
    send: Numbers
    optimizer: Numbers
    scarcity: Numbers
    capped: Numbers
    age: Numbers
    tuned: Numbers
    lora: Numbers
    learned: Numbers
    moe_overlap: Numbers
    tp_overlap: Numbers
    hides_gradients: Numbers
    hides_weights: Numbers
    compiled: Numbers
    rescore: Numbers
    narrow: Numbers
    foreign: Numbers
    held_experts: Numbers
    generation: Numbers
    hopper: Numbers
    device: Numbers
    again: Numbers
    stops: Numbers
    sharded: Numbers
    turns: Numbers
    buckets: Numbers
    memory: TrainRankMemory
    eager: Numbers = 0.0
    polish: Numbers = 0.0
    host: Numbers = 0.0
    host_update: Numbers = 0.0
    host_link: Numbers = 0.0


@dataclass(frozen=True)
class Weighed:
    """What the memory of each candidate needs to be known, and the bytes.

    layers: work of many combinations; row: the one of each candidate; micro_batches: of one replica in a step.
    """

    layers: LayerWork
    row: NDArray[np.int64]
    micro_batches: Numbers
    memory: TrainRankMemory

    def take(self, index: NDArray[np.int64]) -> Weighed:
        """Some of the candidates."""
        held = {item.name: grid.take(getattr(self.memory, item.name), index) for item in fields(self.memory)}
        batches = grid.take(self.micro_batches, index)
        return Weighed(self.layers, self.row[index], batches, TrainRankMemory(**held))


def weigh(job: TrainJob, system: System, layouts: Layout, book: LayerBook | None = None) -> Weighed:
    """Memory of `layouts` (one-dimensional arrays), before anything that only time needs; book: of priced layers."""
    few = grid.unique(layouts, LAYER)
    layers, found = (book or LayerBook()).work(job, per_die(system.accelerator), few.layout)
    row = found[few.back]
    held = gathered(replace(layers, layer=Passes(), head=Passes()), row)
    batches = np.maximum(np.floor(job.global_batch / (layouts.dp * layouts.mbs)), 1.0)
    return Weighed(layers, row, batches, memory(job, layouts, held, batches))


def measure(
    job: TrainJob, system: System, layouts: Layout, book: LayerBook | None = None, known: Weighed | None = None
) -> Pieces:
    """Price `layouts` (one-dimensional arrays) on `system`; that they divide is not checked (`candidates.layouts`).

    book: of priced layers, where several are asked for; known: their memory, where it is known.
    """
    chip = per_die(system.accelerator)
    weighed = known or weigh(job, system, layouts, book)
    work, batches, held = gathered(weighed.layers, weighed.row), weighed.micro_batches, weighed.memory
    several = grid.unique(layouts, DEGREES)
    held_by = tuple(grid.take(value, several.first) for value in _held(job, work))
    apart = _apart(job, chip, several.layout, held_by)
    shape = np.shape(several.layout.tp)
    scatter, gather, layer_gather, layer_scatter = (np.broadcast_to(t, shape)[several.back] for t in apart)
    return Pieces(
        layout=layouts,
        work=work,
        micro_batches=batches,
        ranks=layouts.ranks,
        scatter=scatter,
        gather=gather,
        layer_gather=layer_gather,
        layer_scatter=layer_scatter,
        send=_send(job, chip, layouts),
        optimizer=_update(job, chip, layouts, work),
        sharded=_domains(job, chip, layouts),
        turns=np.asarray(shards(job, layouts)[0], dtype=float) * job.traits.turns,
        held_experts=expert_count(job) / np.asarray(layouts.ep, dtype=float) * (job.routing != "dropped"),
        buckets=_buckets(job, layouts, work),
        memory=held,
        polish=_polish(job, layouts, work),
        **offload.seconds(job, chip, layouts, work, batches),
        **switches(job, chip),
    )


def _apart(job: TrainJob, chip: Accelerator, layout: Layout, held: tuple[Numbers, ...]) -> tuple[Numbers, ...]:
    """(scatter, gather, gather of one layer, scatter of one layer) of data parallelism [s].

    With a shard group g smaller than the replicas (HSDP, MiCS): reduce-scatter in the group, all-reduce of 1/g over
    the groups, all-gather in the group.
    """
    dense, experts, first, last, frozen, frozen_experts = held
    depth = np.ceil(job.arch.depth / layout.pp)
    ends = np.where(layout.pp == 1, first + last, np.maximum(first, last))
    wires = gradient_collectives(
        depth * dense + ends, depth * experts, layout, gradients=job.traits.wire, parameters=WEIGHT
    )
    zero = 0.0 * np.asarray(layout.tp, dtype=float)
    if job.frozen and not job.detailed:
        return zero, zero, zero, zero
    seconds = [collective_time(_narrow(job, wire), chip) for wire in wires]
    timed = list(zip(wires, seconds, strict=True))
    scatter = sum((time for wire, time in timed if wire.kind != "all_gather"), start=zero)
    scatter = scatter + sum((_across(job, chip, wire) for wire in wires if wire.kind == "reduce_scatter"), start=zero)
    gather = sum((time for wire, time in timed if wire.kind == "all_gather"), start=zero)
    full = (np.asarray(layout.zero) == 3) & (np.asarray(layout.pp) == 1)
    one, other = _layer(job, chip, layout, (frozen, frozen_experts), (dense, experts))
    return np.where(full, 0, scatter), np.where(full, 0, gather), np.where(full, one, 0), np.where(full, other, 0)


def _narrow(job: TrainJob, wire: Collective) -> Collective:
    """The collective inside the shard group."""
    if not job.shard_group or wire.kind == "all_reduce":
        return wire
    return replace(wire, size=np.minimum(wire.size, job.shard_group))


def _across(job: TrainJob, chip: Accelerator, wire: Collective) -> Numbers:
    """All-reduce of a shard over the groups; nothing where one group holds all replicas."""
    if not job.shard_group:
        return 0.0
    inside = np.minimum(wire.size, job.shard_group)
    groups = np.maximum(np.asarray(wire.size) // inside, 1)
    return collective_time(
        replace(wire, kind="all_reduce", payload=wire.payload / inside, size=groups, stride=wire.stride * inside), chip
    )


Pair = tuple[Numbers, Numbers]
"""(of dense parameters, of routed experts)."""


def _layer(job: TrainJob, chip: Accelerator, layout: Layout, frozen: Pair, trained: Pair) -> tuple[Numbers, ...]:
    """(gather, scatter) of one layer's weights and gradients under full sharding: of weights that are frozen, as they
    are stored, and of those that train.
    """
    gather: Numbers = 0.0
    scatter: Numbers = 0.0
    ranks, expert_ranks = shards(job, layout)
    stored = WEIGHT if job.stored is None else BASES[job.stored]
    for name, place, size, stride in (
        ("dense", 0, ranks, layout.tp),
        ("experts", 1, expert_ranks, layout.ep * layout.etp),
    ):
        payload = WEIGHT * trained[place] + stored * frozen[place]
        wire = replace(weight_gather(payload, layout, parameters=1.0), name=name, size=size, stride=stride)
        gather = gather + collective_time(wire, chip)
        back = replace(wire, kind="reduce_scatter", payload=trained[place] * job.traits.wire)
        scatter = scatter + collective_time(back, chip) + _across(job, chip, back)
    return gather, scatter


def _send(job: TrainJob, chip: Accelerator, layout: Layout) -> Numbers:
    wire = pipeline_transfer(
        np.asarray(layout.mbs, dtype=float) * job.seq, job.arch.hidden, layout, sequence_parallel=job.sequence_parallel
    )
    if np.all(np.asarray(layout.pp) == 1):
        return np.zeros(np.shape(layout.pp))
    return np.where(layout.pp > 1, collective_time(wire, chip), 0.0)


def _update(job: TrainJob, chip: Accelerator, layout: Layout, work: LayerWork) -> Numbers:
    """An update reads and writes master weight and moments, reads the gradient, writes the weight: memory traffic."""
    if {"optimizer", "params"} & set(job.offload):
        return np.zeros(np.shape(layout.tp))
    return job.apiece().moved * offload.updated(job, layout, work) / chip.bandwidth


def _held(job: TrainJob, work: LayerWork) -> tuple[Numbers, ...]:
    """Parameters on a rank that train: of a layer (dense, experts), of both ends; and of a layer that are frozen."""
    if not job.frozen:
        return work.dense, work.experts, work.first, work.last, 0.0, 0.0
    frozen = (work.dense, work.experts) if job.detailed else (0.0, 0.0)
    return *work.adapters, 0.0, 0.0, *frozen


def _polish(job: TrainJob, layout: Layout, work: LayerWork) -> Numbers:
    """Orthogonalisation of the matrices of a stage, dealt out over the ranks that share its states (arXiv 2502.16982,
    section 2.3); without ZeRO every replica does all of it.
    """
    dense, experts = work.polish
    if not (np.any(dense) or np.any(experts)):
        return 0.0
    ranks, expert_ranks = shards(job, layout)
    sharded = np.asarray(layout.zero) >= 1
    depth = np.ceil(work.depth / np.asarray(layout.pp))
    return depth * (
        dense / (layout.tp * np.where(sharded, ranks, 1))
        + experts / (layout.ep * layout.etp * np.where(sharded, expert_ranks, 1))
    )


def _domains(job: TrainJob, chip: Accelerator, layout: Layout) -> Numbers:
    """Scale-up domains that a data-parallel group spans: the hops of its rings that are slow."""
    return np.ceil(shards(job, layout)[0] * layout.tp / chip.domain)


def _buckets(job: TrainJob, layout: Layout, work: LayerWork) -> Numbers:
    """Collectives that one reduction of a stage's gradients is cut into: Megatron-LM's max(40M, 1M x dp) parameters."""
    held = np.ceil(work.depth / layout.pp) * (work.dense + work.experts)
    return np.ceil(held / np.maximum(BUCKET, 1e6 * layout.dp))


def expert_count(job: TrainJob) -> int:
    """Routed experts of the widest layer, beside a dense feed-forward network or not; 0 for a dense model."""
    one = operators(job.arch, Step((Load(1.0, 1.0),), 1.0))
    return int(max((op.groups for op in one if op.kind == "grouped_gemm"), default=0))


def switches(job: TrainJob, chip: Accelerator) -> dict[str, float]:
    """What depends on the job and the chip alone, as numbers."""
    rate = max(chip.rates.get("bf16", 0.0), chip.rates.get("fp16", 0.0))
    traits = generation(chip)
    usual = traits.watts or (AMPERE if chip.power is None else chip.power / rate)
    watts = usual if chip.power is None else chip.power / rate
    return {
        "scarcity": usual / AMPERE,
        "capped": watts / usual,
        "age": job.age,
        "tuned": float(job.traits.tuned),
        "lora": float(job.frozen),
        "learned": job.unevenness,
        "moe_overlap": float(job.hides_experts),
        "tp_overlap": float(job.hides_tensor),
        "hides_gradients": float(job.traits.hides("gradients", job.when)),
        "hides_weights": float(job.traits.hides("weights", job.when)),
        "compiled": float(job.fuses),
        "eager": float(job.compiled is False),
        "rescore": float(not job.flash),
        "narrow": float(chip.rates.get(job.compute, 0.0) > NARROW * rate),
        "generation": float(job.generation if job.flash else 0),
        "foreign": float(not measured_maker(chip)),
        "hopper": float(traits.own_kernels),
        "device": float(traits.device_shapes and job.has("shapes-on-the-device")),
        "stops": float(job.traits.stops),
        "again": job.traits.selective,
    }
