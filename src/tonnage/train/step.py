"""The time of a step: pieces and a software stack -> seconds, and where they go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.arrays import Flags, Numbers
from tonnage.train import schedule
from tonnage.train.pieces import Pieces
from tonnage.train.software import TrainSoftware
from tonnage.train.work import Passes

KINDS = (
    "gemm",
    "experts",
    "attention",
    "element_wise",
    "recompute",
    "head",
    "tensor_parallel",
    "expert_parallel",
    "context_parallel",
    "launch",
    "pipeline_transfer",
    "bubble",
    "data_parallel",
    "optimizer",
    "offload",
    "jitter",
)
"""Parts of a step, as in `breakdown`."""


@dataclass(frozen=True)
class StepTimes:
    """Seconds of one step: parts by `KINDS` (they sum to `step`)."""

    step: Numbers
    parts: dict[str, Numbers]


@dataclass(frozen=True)
class _Layer:
    """Seconds of one layer in one micro-batch, forward and backward, by kind; forward, wgrad: parts of the whole."""

    parts: dict[str, Numbers]
    total: Numbers
    forward: Numbers
    wgrad: Numbers


def assemble(p: Pieces, s: TrainSoftware) -> StepTimes:
    """Time of each candidate's step.

    step = (m x slowest stage + bubble + exposed data parallelism + optimizer) x (1 + jitter), m micro-batches.
    """
    layer = _layer(p, s)
    head, head_forward = _head(p, s)
    stages = schedule.split(p.work.depth, p.layout.pp, head / layer.total, p.layout.schedule)
    whole_head, whole_forward = head, head_forward
    half = np.where(p.layout.schedule == schedule.DUALPIPE, 0.5, 1.0)
    head, head_forward = half * whole_head, half * whole_forward
    single = np.asarray(p.layout.pp) == 1
    tail = single | (stages.last * layer.total + head > stages.middle * layer.total)
    layers = np.where(tail, stages.last, stages.middle)
    m = p.micro_batches
    slow = layers * layer.total + np.where(tail, head, 0.0)
    parts: dict[str, Numbers] = {name: m * layers * seconds for name, seconds in layer.parts.items()}
    parts["head"] = m * np.where(tail, head, 0.0)
    sends = s.transfer * 2 * p.send * np.where(p.layout.schedule == schedule.INTERLEAVED, p.layout.vpp, 1)
    parts["pipeline_transfer"] = m * sends
    others = np.where(single, 0.0, p.work.depth * layer.total + head - slow + (p.layout.pp - 1) * sends)
    parts["bubble"] = schedule.bubble(
        p.layout.schedule,
        p.layout.pp,
        p.layout.vpp,
        np.maximum(others, 0.0),
        layers * layer.wgrad,
        layers * layer.forward,
        layers * (layer.total - layer.forward),
    )
    forward = layers * layer.forward + np.where(tail, head_forward, 0.0)
    parts["data_parallel"] = _apart(p, s, layers, layer, forward, slow)
    parts["optimizer"] = s.memory * p.optimizer + s.gemm * p.polish + s.overhead * np.ones_like(slow)
    if np.any(p.host):
        parts["offload"] = p.host_update + _shown(p.host_link, s.window * m * slow, s.shard_leak)
    steady = sum(parts.values())
    parts["jitter"] = steady * s.jitter * np.log(p.ranks)
    return StepTimes(steady + parts["jitter"], parts)


def layer_times(p: Pieces, s: TrainSoftware) -> tuple[Numbers, Numbers]:
    """(one layer, the head) of one micro-batch, forward and backward [s]."""
    return _layer(p, s).total, _head(p, s)[0]


CUBE = 1.0 / 3.0
"""Clock over power of one silicon: dynamic power is frequency x voltage^2, and voltage follows frequency."""


def _factors(p: Pieces, s: TrainSoftware) -> tuple[Numbers, Numbers]:
    """(slowdown of what computes, slowdown by age of the software).

    Dense products draw more than a chip may: its clock falls. Between generations by an exponent of the watts for each
    FLOP/s that is fitted, inside one by the cube law; never above the clock that the peak rate is stated for.
    """
    clock = np.maximum(np.asarray(p.scarcity) ** -s.power * np.asarray(p.capped) ** -CUBE, 1.0) * (
        1 + p.foreign * (s.foreign - 1)
    )
    return clock, 1.0 + s.age * np.minimum(p.age, 6.0)


SHARED = 132 / 112
"""Slowdown of compute that shares the chip with expert all-to-all: 20 of 132 multiprocessors move tokens (DeepSeek-V3,
arXiv 2412.19437, section 3.2.2)."""


PLAIN = 0.5
"""Kernels of one expert's product in 16 bits over those in 8: the cast and the transpose of its input fall away."""


def _hidden(p: Pieces) -> Flags:
    """Whether expert all-to-all runs behind another micro-batch's compute."""
    interleaved = (p.moe_overlap > 0) & (p.layout.schedule == schedule.INTERLEAVED)
    return (p.work.expert > 0) & (interleaved | (p.layout.schedule == schedule.DUALPIPE))


def _kernel(p: Pieces, s: TrainSoftware) -> Numbers:
    """Slowdown of attention by the generation of its kernels: generic ones miss Hopper's matrix unit."""
    generic = 1 + (s.generic - 1) * p.hopper
    return np.select([p.generation >= 2, p.generation >= 1], [generic * s.first, generic], 1.0)


def _products(w: Passes, p: Pieces, s: TrainSoftware) -> tuple[Numbers, ...]:
    """(gemm forward, backward, weight gradient; experts likewise) [s]."""
    clock, age = _factors(p, s)
    narrow = 1 + p.narrow * (s.narrow - 1)
    dense = s.gemm * clock * age * narrow
    narrow = 1 + p.narrow * (s.narrow_expert - 1)
    routed = s.expert * clock * age * narrow * _uneven(p, s)
    frozen = 1 - p.lora
    weight, expert_weight = dense * w.gemm_weight * frozen, routed * w.expert_weight * frozen
    return (
        dense * w.gemm,
        dense * w.gemm_input + weight,
        weight,
        routed * w.expert,
        routed * w.expert_input + expert_weight,
        expert_weight,
    )


HELD = 8.0
"""Experts of a rank to which `imbalance` refers."""
EVENED = 0.25
"""Power of the experts on a rank by which its excess falls: a half were their loads independent of each other, nought
were they all alike; half way. Assumption."""


def _young(p: Pieces, s: TrainSoftware) -> Numbers:
    """Slowdown of what only sparse layers have by the age of the software."""
    return np.exp(s.sparse_age * np.minimum(p.age, 2.0))[()]


def _uneven(p: Pieces, s: TrainSoftware) -> Numbers:
    """Work of the busiest expert rank over the mean: what a rank of many experts has too much of one is made up in part
    by the others.
    """
    held = np.maximum(np.asarray(p.held_experts, dtype=float), 1.0)
    found: Numbers = 1 + p.learned * (s.imbalance - 1) * (held / HELD) ** -EVENED
    return found


def _cut(p: Pieces, s: TrainSoftware) -> Numbers:
    """Slowdown of attention kernels of a generation before the chip's where the sequence is cut over cp."""
    return 1 + s.cut_core * (p.generation > 0) * (1 - 1 / np.asarray(p.layout.cp, dtype=float))


def _cores(w: Passes, p: Pieces, s: TrainSoftware, crowded: Numbers) -> tuple[Numbers, Numbers]:
    """(forward, backward) seconds of attention and scans.

    Attention by the generation of its kernels; scans run in generic ones (Triton) whatever attention runs in.
    """
    clock, age = _factors(p, s)
    kernel = crowded * _kernel(p, s) * clock * age * _cut(p, s)
    core, core_back = s.core * kernel * w.core, s.core * s.core_back * kernel * w.core_back
    triton = s.core * crowded * clock * age * (1 + (s.generic - 1) * p.hopper)
    return core + triton * w.scan, core_back + triton * w.scan_back


EAGER = 2.8
"""Element-wise time of a model whose operators run one by one over that of a compiled one: what makes Llama 3.1 8B 16 %
slower a step without torch.compile (torchtitan, 5,762 tokens/s against 6,667 on 8 H100, 5,605 against 6,514 on 128:
benchmarks/llama3_h100_202412_torchtitan.md, tables 1 and 2)."""


def _pointwise(w: Passes, p: Pieces, s: TrainSoftware) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """(element-wise forward, backward; of routed experts likewise) seconds: memory traffic, no clock."""
    foreign = 1 + p.foreign * (s.foreign_memory - 1)
    spread = s.memory * foreign * np.where(p.eager > 0, EAGER, np.where(p.compiled > 0, 1.0, s.unfused))
    rough = s.shuffle * _young(p, s) * _uneven(p, s) * foreign
    return spread * w.memory, spread * w.memory_back, rough * w.shuffle, rough * w.shuffle_back


def _host(w: Passes, p: Pieces, s: TrainSoftware) -> Numbers:
    """Seconds in which the host launches a layer's kernels once: one by one, and a loop over a rank's experts."""
    loops = s.sparse * _young(p, s) * w.sparse * p.held_experts * (1 - p.tuned)
    loops = loops * np.where(p.device > 0, s.device, 1.0) * np.where(p.narrow > 0, 1.0, PLAIN)
    return s.launch * w.kernels + loops


def _layer(p: Pieces, s: TrainSoftware) -> _Layer:
    """One layer in one micro-batch: what is computed, what is computed again, what is sent, what the host holds up."""
    w = p.work.layer
    clock, age = _factors(p, s)
    hidden = _hidden(p)
    # what multiplies runs slower beside an all-to-all; element-wise work is left as it is
    crowded = np.where(hidden, SHARED, 1.0)
    gemm, gemm_back, weight, expert, expert_back, expert_weight = (crowded * part for part in _products(w, p, s))
    core, core_back = _cores(w, p, s, crowded)
    light, light_back, shuffle, shuffle_back = _pointwise(w, p, s)

    # recomputation: the whole forward pass but the last product, or what is light and MLA's up-projections
    full, some = p.layout.recompute == 2, p.layout.recompute == 1
    partly = light + shuffle + p.rescore * core + s.gemm * clock * age * w.up + p.again * (gemm + expert)
    whole = gemm + expert + core + light + shuffle - p.stops * s.gemm * clock * age * w.tail
    again = np.where(full, whole, np.where(some, partly, 0.0))

    # every collective runs forward and backward, and once more in a recomputed pass; cp sends keys forward, and both
    # keys and their gradients backward
    rounds = np.where(full, 3.0, 2.0)
    tensor = np.where(p.tp_overlap > 0, s.tensor_hidden, s.tensor) * p.work.tensor
    context = s.context * p.work.context * (rounds + 1)
    compute = gemm + gemm_back + expert + expert_back + core + core_back + light + light_back + again
    compute = compute + shuffle + shuffle_back
    wire = s.expert_wire * _young(p, s) * _uneven(p, s) * p.work.expert * rounds
    wire = np.where(hidden, _shown(wire, s.window * compute, s.leak), wire)
    parts: dict[str, Numbers] = {
        "gemm": gemm + gemm_back,
        "experts": expert + expert_back,
        "attention": core + core_back,
        "element_wise": light + light_back + shuffle + shuffle_back,
        "recompute": again,
        "tensor_parallel": rounds * tensor,
        "expert_parallel": wire,
        "context_parallel": context,
    }

    # kernels are launched ahead: the host shows only where the chip is quicker (backward: two kernels for each)
    occupied = sum(parts.values())
    launch = np.maximum(_host(w, p, s) * (3 + full) - occupied, 0.0)
    parts["launch"] = launch
    forward = gemm + expert + core + light + shuffle + tensor + wire / rounds + context / (rounds + 1) + launch / 3
    return _Layer(parts, occupied + launch, forward, weight + expert_weight)


def _head(p: Pieces, s: TrainSoftware) -> tuple[Numbers, Numbers]:
    """(forward and backward, forward) seconds of the head, the loss and multi-token prediction."""
    gemm, gemm_back, _, expert, expert_back, _ = _products(p.work.head, p, s)
    w = p.work.head
    light, light_back = (
        s.memory * w.memory + s.shuffle * w.shuffle,
        s.memory * w.memory_back + s.shuffle * w.shuffle_back,
    )
    forward = gemm + expert + s.core * w.core + light
    return forward + gemm_back + expert_back + s.core * s.core_back * w.core_back + light_back, forward


def _shown(wire: Numbers, window: Numbers, leak: float) -> Numbers:
    """What shows of a transfer that runs behind `window` of compute: what is longer, and the slowdown of the rest."""
    return np.maximum(wire - window, 0.0) + leak * np.minimum(wire, window)


def _apart(p: Pieces, s: TrainSoftware, layers: Numbers, layer: _Layer, forward: Numbers, slow: Numbers) -> Numbers:
    """Seconds of data parallelism that compute does not hide.

    ZeRO 0 to 2: gradients are reduced behind the backward pass of the last micro-batch, weights gathered behind the
    forward pass of the first; one layer's share can never hide. ZeRO 3: each layer's gather runs behind the layer
    before it, forward and backward, its scatter behind the layer after it, in every micro-batch; in a pipeline once a
    step, as ZeRO 0 to 2.
    """
    share = 1.0 / np.maximum(layers, 1)
    backward = slow - forward
    steps = s.ring * np.asarray(p.sharded) * (np.asarray(p.sharded) > 1)
    whole_scatter, whole_gather = p.scatter + p.buckets * steps, p.gather + p.buckets * steps + s.turn * p.turns
    scatter = np.maximum(whole_scatter - p.hides_gradients * s.window * backward, whole_scatter * share)
    gather = np.maximum(whole_gather - p.hides_weights * s.window * forward, whole_gather * share)
    ahead = _shown(p.layer_gather + steps, s.window * layer.forward, s.shard_leak)
    both = p.layer_gather + p.layer_scatter + 2 * steps
    back = _shown(both, s.window * (layer.total - layer.forward), s.shard_leak)
    sharded = p.micro_batches * (layers * (ahead + back) + p.layer_gather + p.layer_scatter)
    return np.where((p.layout.zero == 3) & (p.layout.pp == 1), sharded, scatter + gather)
