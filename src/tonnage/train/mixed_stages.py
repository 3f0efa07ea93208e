"""One pipeline over unlike accelerators: each system holds some of the layers, as its speed and memory allow.

With parts k, each a pipeline of p_k stages of its own chips, holding L_k layers, sum L_k = L, and m micro-batches of
the same size for all, a stage of part k takes s_k for a micro-batch forward and backward, and one micro-batch takes
b_k for the other p_k - 1 stages of the part (`step.assemble` gives both for the layers of a part alone). One pipeline
of all parts under 1F1B is held up by its slowest stage, and filled and drained once by all others (`schedule.bubble`):

    step = (m (max s + max w) + sum (s_k + b_k) - max s + sum w_j + slowest reduction and update) (1 + jitter ln ranks)

w_j is the send of one micro-batch's activations over boundary j and of its gradients back, charged as inside a part
(`transfer`): 2 x 2 bytes x tokens x hidden / the NICs of the tp x cp ranks of a replica, of the narrower side. With
equal chips, stages and wires this is the plain 1F1B step: m s + (p - 1) s.

Layers are whole numbers, cut in order; the first part holds the embedding, the last the head and multi-token
prediction. A stage of an early part keeps the activations of more micro-batches, for all stages after it: p_k +
(stages behind) instead of p_k on its first stage (`schedule.in_flight`), so the chips with the most memory come first.
All parts have the same data-parallel degree and micro-batch, so that a micro-batch goes from one stage's replica to
one of the next. Not searched: interleaving, other schedules, ZeRO over 1, which have no derivation here. Heterogeneous
pipelines of this kind are trained by HETHUB (arXiv 2405.16256).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from tonnage.arrays import Numbers
from tonnage.layout import Layout
from tonnage.model.architecture import Architecture
from tonnage.system import System, needed
from tonnage.train import candidates, pieces, schedule, step
from tonnage.train.figures import TrainMemory, held
from tonnage.train.job import TrainJob
from tonnage.train.memory import TrainRankMemory
from tonnage.train.search import capacity, evaluate
from tonnage.train.software import fitted

Fixed = Sequence[Mapping[str, int]]
APART = ("bubble", "data_parallel", "optimizer", "jitter")
"""Kinds of a step that are not in every micro-batch of the slowest stage."""
STUB = 128
"""Rows of the vocabulary of a part that holds neither end, so that its head weighs nothing."""
KEPT, ROUNDS, NEAR = 4, 3, 1.15
"""Combinations of data-parallel degree and micro-batch whose cut is corrected, how often, and how near to the best."""
LEANS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far a first cut leans from peak rates to memory."""


@dataclass(frozen=True)
class PipelinePart:
    """A part of the pipeline: its system, the job cut to its layers, its layout, bytes with what waits for later parts;
    slow: of its slowest stage, rest: of its other stages, for one micro-batch, tail: reduction and update [s].
    """

    system: System
    job: TrainJob
    layout: Layout
    memory: TrainMemory
    slow: float
    rest: float
    tail: float

    @property
    def layers(self) -> int:
        """Decoder layers of this part."""
        return self.job.arch.depth


@dataclass(frozen=True)
class JointPipeline:
    """A pipeline over all parts in order: seconds of a step, and of it for sends between parts; places: of each system
    as given, in the pipeline.
    """

    parts: tuple[PipelinePart, ...]
    step_time: float
    between: float
    places: tuple[int, ...] = ()


def staged(job: TrainJob, systems: Sequence[System], fixed: Fixed) -> JointPipeline | None:
    """The fastest pipeline over `systems` that fits, in the order of the memory of their ranks; None where none does.

    For each data-parallel degree and micro-batch that all share, layers are cut in proportion to speed (where nothing
    fits so, more and more to memory) and every part takes its best layout; the best few are corrected by the times
    found, and by one or two layers either way as long as that helps.
    """
    order = sorted(range(len(systems)), key=lambda i: -capacity(systems[i]))
    chips, wanted = [systems[i] for i in order], [fixed[i] for i in order]
    if any(w.get("schedule", 0) or w.get("vpp", 1) > 1 or w.get("zero", 1) != 1 for w in wanted):
        return None
    if job.arch.depth < len(chips):
        return None
    found: list[JointPipeline] = []
    for lean in LEANS:
        speeds = [_peak(s) ** (1 - lean) * (s.count * s.accelerator.memory) ** lean for s in chips]
        first = _cut_by(job.arch.depth, speeds)
        made = (_corrected(job, chips, wanted, first, dp, mbs, rounds=1) for dp, mbs in _micro(job, chips, wanted))
        found = sorted((one for one in made if one is not None), key=lambda one: one.step_time)
        if found:
            break
    near = [one for one in found[:KEPT] if one.step_time < NEAR * found[0].step_time]
    refined = [_refined(job, chips, wanted, one) for one in near]
    best = min((*found, *refined), key=lambda one: one.step_time, default=None)
    return None if best is None else replace(best, places=tuple(order.index(i) for i in range(len(order))))


def _peak(system: System) -> float:
    rates = system.accelerator.rates
    return system.count * max(rates.get("bf16", 0.0), rates.get("fp16", 0.0))


def _micro(job: TrainJob, chips: Sequence[System], wanted: Fixed) -> list[tuple[int, int]]:
    """(dp, mbs) that divide the ranks of all parts and the batch, with a micro-batch for each part at least."""
    common = math.gcd(*(candidates.ranks(system) for system in chips), job.global_batch)
    given = {w["dp"] for w in wanted if "dp" in w}, {w["mbs"] for w in wanted if "mbs" in w}
    found = []
    for dp in (d for d in range(1, common + 1) if common % d == 0 and (d & (d - 1) == 0 or d == common)):
        for mbs in (1, 2):
            if job.global_batch % (dp * mbs) or job.global_batch // (dp * mbs) < 2 * len(chips):
                continue
            if given[0] <= {dp} and given[1] <= {mbs}:
                found.append((dp, mbs))
    return found


def _cut_by(depth: int, speeds: Sequence[float]) -> tuple[int, ...]:
    """Whole layers in proportion to speeds, at least one each, summing to `depth`."""
    ideal = depth * np.asarray(speeds) / sum(speeds)
    cut = np.maximum(np.floor(ideal), 1).astype(int)
    while cut.sum() != depth:
        step_ = 1 if cut.sum() < depth else -1
        gap = step_ * (ideal - cut) + np.where((cut <= 1) & (step_ < 0), -np.inf, 0.0)
        cut[int(np.argmax(gap))] += step_
    return tuple(int(n) for n in cut)


def _corrected(
    job: TrainJob, chips: Sequence[System], wanted: Fixed, cut: tuple[int, ...], dp: int, mbs: int, rounds: int
) -> JointPipeline | None:
    """The best of `rounds` cuts, each by the layers that a part's slowest stage did in a second in the one before."""
    best: JointPipeline | None = None
    for _ in range(rounds):
        made = _made(job, chips, wanted, cut, dp, mbs)
        if made is None:
            return best
        if best is None or made.step_time < best.step_time:
            best = made
        after = _cut_by(job.arch.depth, [part.layers / part.slow for part in made.parts])
        if after == cut:
            return best
        cut = after
    return best


def _refined(job: TrainJob, chips: Sequence[System], wanted: Fixed, one: JointPipeline) -> JointPipeline:
    """The same degree and micro-batch with better cuts, as long as neighbours' layers moved by one or two help."""
    layout = one.parts[0].layout
    dp, mbs = int(layout.dp), int(layout.mbs)
    best = _corrected(job, chips, wanted, _layers(one), dp, mbs, ROUNDS) or one
    best = min(best, one, key=lambda made: made.step_time)
    for _ in range(ROUNDS):
        tries = (_made(job, chips, wanted, cut, dp, mbs) for cut in _beside(_layers(best)))
        better = min((t for t in tries if t is not None), key=lambda made: made.step_time, default=best)
        if better.step_time >= best.step_time:
            break
        best = better
    return best


def _layers(one: JointPipeline) -> tuple[int, ...]:
    return tuple(part.layers for part in one.parts)


def _beside(cut: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Cuts with one or two layers moved between neighbours."""
    found = [
        (*cut[:k], cut[k] + moved, cut[k + 1] - moved, *cut[k + 2 :])
        for k in range(len(cut) - 1)
        for moved in (-2, -1, 1, 2)
    ]
    return [other for other in found if min(other) >= 1]


def _made(
    job: TrainJob, chips: Sequence[System], wanted: Fixed, cut: tuple[int, ...], dp: int, mbs: int
) -> JointPipeline | None:
    """The pipeline with this cut, parts planned from the last to the first; None where one does not fit."""
    parts: list[PipelinePart] = []
    behind = 0
    for k in reversed(range(len(chips))):
        start = sum(cut[:k])
        arch = cut_out(job.arch, start, start + cut[k])
        given = {**wanted[k], "dp": dp, "mbs": mbs, "schedule": schedule.F1B1, "vpp": 1, "zero": 1}
        table = job.arch.vocab * job.arch.hidden if k == 0 else 0
        part = _stage(replace(job, arch=arch, tokens=None), chips[k], given, behind, table)
        if part is None:
            return None
        parts.insert(0, part)
        behind += int(part.layout.pp)
    return joined(job, parts)


def joined(job: TrainJob, parts: Sequence[PipelinePart]) -> JointPipeline:
    """The step of one pipeline over `parts`: the formula of this module."""
    software = fitted().constants
    layout = parts[0].layout
    batches = job.global_batch // (int(layout.dp) * int(layout.mbs))
    sends = [
        software.transfer * 4.0 * int(layout.mbs) * job.seq * job.arch.hidden / min(_wire(one), _wire(other))
        for one, other in pairwise(parts)
    ]
    slowest = max(part.slow for part in parts)
    widest = max(sends, default=0.0)
    fill = sum(part.slow + part.rest for part in parts) - slowest + sum(sends)
    busy = batches * (slowest + widest) + fill + max(part.tail for part in parts)
    total = sum(candidates.ranks(part.system) for part in parts)
    return JointPipeline(tuple(parts), busy * (1 + software.jitter * math.log(total)), batches * widest)


def _wire(part: PipelinePart) -> float:
    """Bytes per second through the NICs of the ranks that hold one replica of a stage."""
    chip = part.system.accelerator
    return needed(chip, "nic") / chip.dies * int(part.layout.tp) * int(part.layout.cp)


def _stage(job: TrainJob, system: System, given: dict[str, int], behind: int, table: int) -> PipelinePart | None:
    """The fastest layout of a part that fits with `behind` stages after it and a table of `table` parameters."""
    best: tuple[float, Layout, TrainRankMemory] | None = None
    for chunk in candidates.layouts(job, system, given):
        weighed = pieces.weigh(job, system, chunk)
        memory = _waiting(job, weighed.memory, chunk, weighed.micro_batches, behind, table)
        fits = np.flatnonzero(memory.total <= capacity(system))
        if not fits.size:
            continue
        kept = chunk.at(fits)
        seconds = np.asarray(step.assemble(pieces.measure(job, system, kept), fitted().constants).step)
        place = int(np.argmin(seconds))
        if best is None or seconds[place] < best[0]:
            best = float(seconds[place]), kept.at(place), memory.at(int(fits[place]))
    return None if best is None else _timed(job, system, best[1], held(best[2], capacity(system)))


def _waiting(
    job: TrainJob, memory: TrainRankMemory, layout: Layout, batches: Numbers, behind: int, table: int
) -> TrainRankMemory:
    """Memory with activations of the micro-batches that later parts still work on, and the embedding's table."""
    stages = np.asarray(layout.pp)
    more = np.minimum(stages + behind, batches) / np.minimum(stages, batches)
    rows = table / np.asarray(layout.tp)
    shard = np.asarray(layout.dp) * np.asarray(layout.cp)
    each = job.apiece(ends=True)
    return replace(
        memory,
        activations=memory.activations * more,
        slack=memory.slack * more,
        slack_high=memory.slack_high * more,
        weights=memory.weights + each.weight * rows,
        gradients=memory.gradients + each.gradient * rows,
        optimizer=memory.optimizer + each.states * rows / shard,
    )


def _timed(job: TrainJob, system: System, layout: Layout, memory: TrainMemory) -> PipelinePart:
    """A part with the seconds that `joined` needs."""
    found = evaluate(job, system, layout)
    parts = {name: float(np.broadcast_to(value, (1,))[0]) for name, value in found.parts.items()}
    batches = job.global_batch // (int(layout.dp) * int(layout.mbs))
    slow = sum(value for name, value in parts.items() if name not in APART) / batches
    return PipelinePart(system, job, layout, memory, slow, parts["bubble"], parts["data_parallel"] + parts["optimizer"])


def cut_out(arch: Architecture, start: int, stop: int) -> Architecture:
    """Layers `start` to `stop` of a model; the head and multi-token prediction only with the last layer."""
    layers = arch.layers[start:stop]
    used = sorted(set(layers))
    blocks = tuple(replace(arch.blocks[i], count=layers.count(i)) for i in used)
    cut = replace(arch, blocks=blocks, layers=tuple(used.index(i) for i in layers))
    if stop == arch.depth:
        return cut
    return replace(cut, vocab=STUB, mtp=None, final_extras=(), head_bias=0, encoders=(), embeddings=())
