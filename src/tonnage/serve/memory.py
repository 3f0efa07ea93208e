"""Where the memory of one rank goes: weights, KV cache, activations, buffers; and how many sequences it holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.layout import Layout, shard
from tonnage.model import Architecture, Load, Operator, Step, cache_elements, operators, state_elements
from tonnage.model.operators import EMBEDDING, HEAD, Numbers
from tonnage.serve.engines import Engine
from tonnage.system import Accelerator, Precision, format_of

STATE_ELEMENT = 4.0
"""Bytes of an element of recurrent state: engines keep it in FP32 (vLLM `mamba_ssm_cache_dtype`, default of the
Qwen3-Next and Nemotron-H configurations)."""

RUNTIME = 2.5e9
"""Bytes of context, kernels, communication buffers and captured graphs on one rank. An assumption: vLLM logs 0.5 to 1.5
GB outside its pool and 0.5 to 3 GB of graphs; 90 % interval 1 to 5 GB."""

REPORTED = 1.066
"""Memory that drivers report over the figure on the label, which counts in GiB what it prints as GB, less what
firmware keeps: 81,559 MiB of an 80 GB H100, 97,871 of a 96 GB H20, 143,771 of a 141 GB H200, 183,359 of a 180 GB B200,
65,536 of a 64 GB die of a 910C (nvidia-smi and npu-smi listings in public issue reports). Ratios 1.064 to 1.074."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one rank, per what they are for; may be arrays.

    pool: what the engine leaves for the cache; sequence: cache of one sequence at the context it is planned for, state
    included; state: recurrent state of one sequence, all copies that the engine keeps; state_share: share of the pool
    set aside for states; usable: what the engine takes of `capacity` at most.
    """

    weights: Numbers
    activations: Numbers
    buffers: Numbers
    pool: Numbers
    sequence: Numbers
    state: Numbers
    state_share: float | None
    usable: Numbers
    capacity: float

    @property
    def labelled(self) -> float:
        """Memory on the data sheet [byte]; `capacity` is what drivers report."""
        return self.capacity / REPORTED

    @property
    def sequences(self) -> Numbers:
        """Sequences that fit at once on one attention replica; 0 or less when the weights alone do not fit."""
        if self.state_share is None:
            return self.pool / self.sequence
        keys = np.maximum(self.sequence - self.state, 1.0)
        state = np.maximum(self.state, 1e-9)
        apart = np.minimum(self.pool * self.state_share / state, self.pool * (1 - self.state_share) / keys)
        return np.where(np.asarray(self.state) > 0, apart, self.pool / self.sequence)

    def used(self, sequences: Numbers) -> Numbers:
        """Bytes used with that many sequences."""
        return self.weights + self.activations + self.buffers + sequences * self.sequence


def weight_bytes(arch: Architecture, precision: Precision, layout: Layout, *, mtp: bool = False) -> Numbers:
    """Bytes of weights on the fullest rank [byte].

    Layers are dealt to pipeline stages whole: ceil(depth / pp) of them; the first stage holds the embedding, the last
    the head, the larger of which counts when there is more than one stage.
    """
    one = np.asarray(1.0)
    local = shard(operators(arch, Step((Load(one, one),), one, mtp)), layout, sequence_parallel=False)
    ends = {EMBEDDING: np.asarray(0.0), HEAD: np.asarray(0.0)}
    layers: Numbers = np.asarray(0.0)
    for operator in local:
        held = operator.weight * operator.count * precision.weights(operator.part).element
        if operator.block in ends:
            ends[operator.block] = ends[operator.block] + held
        else:
            layers = layers + held
    pp = np.asarray(layout.pp, dtype=float)
    share = np.ceil(arch.depth / pp) / arch.depth
    both = ends[EMBEDDING] + ends[HEAD]
    return layers * share + np.where(pp > 1, np.maximum(ends[EMBEDDING], ends[HEAD]), both)


def sequence_bytes(
    arch: Architecture, kv: str, layout: Layout, context: Numbers, block: int = 1, *, mtp: bool = False
) -> Numbers:
    """KV cache and recurrent state of one sequence of `context` tokens on one rank [byte].

    The context is rounded up to whole blocks; a multi-token-prediction layer adds its own cache (one layer's).
    """
    rounded = np.ceil(np.asarray(context, dtype=float) / block) * block
    state = state_elements(arch, layout.tp)
    tokens = cache_elements(arch, rounded, layout.tp) - state
    extra = 1 + arch.mtp.count / arch.depth if mtp and arch.mtp is not None else 1.0
    share = np.ceil(arch.depth / np.asarray(layout.pp, dtype=float)) / arch.depth
    return (tokens * extra * format_of(kv).element + state * STATE_ELEMENT) * share


def activation_bytes(arch: Architecture, layout: Layout, tokens: Numbers) -> Numbers:
    """Peak of activations when a step has `tokens` new tokens on a replica [byte].

    The residual stream twice (also that of the replicas whose tokens meet in the same experts), and input and output
    of the widest operator, in BF16; one layer at a time is alive.
    Against vLLM's profile of Llama-3.1-8B with 8,192 tokens (about 1.2 GB) it is low by a factor below two, and small
    beside weights and cache.
    """
    one = np.asarray(1.0)
    local = shard(operators(arch, Step((Load(one, one),), one)), layout, sequence_parallel=False)
    widest: Numbers = np.asarray(0.0)
    for operator in local:
        if operator.block != HEAD:
            widest = np.maximum(widest, _moved(operator))
    gathered = np.maximum(np.asarray(layout.ep) * layout.etp / np.asarray(layout.tp), 1.0) - 1.0
    return 2.0 * tokens * (widest + 2 * arch.hidden * (1.0 + gathered))


def _moved(operator: Operator) -> Numbers:
    return operator.stream


def memory(
    arch: Architecture,
    die: Accelerator,
    precision: Precision,
    layout: Layout,
    engine: Engine,
    *,
    context: Numbers,
    tokens: Numbers,
    mtp: bool = False,
    share: float | None = None,
) -> Memory:
    """Memory of one rank (`die`) of `layout`; context: what a sequence is planned for; tokens: most in one step."""
    capacity = die.memory * REPORTED
    usable = capacity * (engine.memory_share if share is None else share)
    weights = weight_bytes(arch, precision, layout, mtp=mtp)
    activations = activation_bytes(arch, layout, tokens)
    fixed = weights + activations + RUNTIME
    pool = (capacity - fixed) * (usable / capacity) if engine.share_of_free else usable - fixed
    held = sequence_bytes(arch, precision.cache, layout, context, engine.block, mtp=mtp)
    state = sequence_bytes(arch, precision.cache, layout, np.asarray(0.0))
    held = held + state * (engine.states - 1)
    share_of = engine.state_share
    buffers = np.asarray(RUNTIME)
    return Memory(weights, activations, buffers, pool, held, state * engine.states, share_of, usable, capacity)
