"""The bare roofline of a deployment: what the null model of serving takes its share of.

Arithmetic at the datasheet rate and memory at the datasheet bandwidth, perfectly spread over the accelerators of a
pool; no launch, no communication, no interference, no scheduling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.model import Architecture, cache_elements, flop_per_token, operators
from tonnage.model.operators import Load, Operator, Step
from tonnage.serve.case import Case, Pool
from tonnage.serve.job import ACCEPTANCE, Speculation
from tonnage.serve.precision import BYTES, Precision, resolve
from tonnage.system import Accelerator
from tonnage.truth.scored import INPUT_RATE, RATE, TPOT, TTFT

USABLE = 0.9
"""Share of memory that engines use by default (vLLM's gpu_memory_utilization)."""
SMALLEST_LOAD = 1.0


@dataclass(frozen=True)
class Weights:
    """Bytes of a model's weights: always read, and of routed experts with (experts, top_k) of each kind."""

    dense: float
    experts: tuple[tuple[float, float, float], ...]

    def read(self, tokens: float) -> float:
        """Bytes read in a step of `tokens`: an expert is read when a token visits it, E (1 - (1 - k/E)^T) of E."""
        routed = sum(size * (1 - (1 - top_k / groups) ** tokens) for size, groups, top_k in self.experts)
        return self.dense + float(routed)

    @property
    def held(self) -> float:
        """Bytes of one copy."""
        return self.dense + sum(size for size, _, _ in self.experts)


def weights_of(arch: Architecture, precision: Precision) -> Weights:
    """Bytes of the weights in the formats of a deployment; the embedding table is held but hardly read."""
    made = operators(arch, Step((Load(1.0, 1.0),), 1.0))
    routed = [op for op in made if op.kind == "grouped_gemm"]
    dense = sum(_bytes(op, precision) for op in made if op.kind not in ("grouped_gemm", "lookup"))
    experts = tuple((_bytes(op, precision), float(op.groups), float(op.top_k)) for op in routed)
    return Weights(float(dense), experts)


def _bytes(operator: Operator, precision: Precision) -> float:
    return float(operator.weight) * operator.count * precision.weight_bytes(operator)


def ceilings(case: Case) -> dict[str, float]:
    """Roofline of each metric of a deployment: rates [token/s per accelerator], tpot and ttft [s]."""
    precision = resolve(case.accelerator, case.weights, case.kv, case.arch.precision, moe=case.arch.moe)
    weights = weights_of(case.arch, precision)
    fresh = max(case.isl * (1 - case.cache_hit), 1.0)
    peak = case.accelerator.rates[precision.computed]
    prompt = fresh * float(flop_per_token(case.arch, case.isl))
    if case.mode == "prefill":
        return {INPUT_RATE: fresh * peak / prompt}
    total = case.pool.count + (case.prefill.count if case.prefill else 0.0)
    running = _running(case, weights, precision)
    step = _step(case, weights, precision, running)
    gained = _gained(case)
    tpot = step / gained
    steps = case.osl / gained
    first = case.prefill or case.pool
    busy = 0.0 if case.mode == "decode" else running * prompt / (peak * first.count)
    cycle = max(steps * step, busy) if case.prefill else steps * step + busy
    return {
        RATE: running * case.osl / cycle / total,
        TPOT: tpot if case.prefill or case.mode == "decode" else cycle / case.osl,
        TTFT: prompt / (peak * first.count / _replicas(first, case.accelerator)),
    }


def _step(case: Case, weights: Weights, precision: Precision, running: float) -> float:
    """Time of one decode step of the pool [s]."""
    chip, pool = case.accelerator, case.pool
    context = case.context or case.isl + case.osl / 2
    copies = _replicas(pool, chip)
    read = weights.dense * copies + (weights.read(running) - weights.dense) * _expert_copies(pool, chip)
    read += running * _cache(case.arch, context, precision)
    flop = running * float(flop_per_token(case.arch, 1.0))
    memory, arithmetic = read / (chip.bandwidth * pool.count), flop / (chip.rates[precision.computed] * pool.count)
    return max(memory, arithmetic)


def _running(case: Case, weights: Weights, precision: Precision) -> float:
    """Requests in flight in the deployment: as stated, else as many as the memory holds."""
    if case.batch is not None:
        return case.batch * case.pool.count
    if case.concurrency is not None:
        return max(case.concurrency, SMALLEST_LOAD)
    context = case.context or case.isl + case.osl / 2
    held = weights.dense * _replicas(case.pool, case.accelerator)
    held += (weights.held - weights.dense) * _expert_copies(case.pool, case.accelerator)
    free = USABLE * case.accelerator.memory * case.pool.count - held
    return max(free / _cache(case.arch, context, precision), SMALLEST_LOAD)


def _cache(arch: Architecture, context: float, precision: Precision) -> float:
    return float(np.maximum(cache_elements(arch, context), 1.0)) * BYTES[precision.kv]


def _replicas(pool: Pool, chip: Accelerator) -> float:
    """Copies of the attention weights in a pool."""
    return max(pool.count * chip.dies / (pool.tp * pool.pp), 1.0)


def _expert_copies(pool: Pool, chip: Accelerator) -> float:
    """Copies of the experts in a pool: every `ep` x `etp` ranks hold one."""
    spread = max((pool.ep or 1) * (pool.etp or 1), pool.tp)
    return max(pool.count * chip.dies / (spread * pool.pp), 1.0)


def _gained(case: Case) -> float:
    """Tokens gained per decode step."""
    if case.accepted is not None:
        return max(case.accepted, 1.0)
    if case.drafts == 0:
        return 1.0
    drafted = case.drafts if case.drafts is not None else 1.0
    return float(Speculation(drafted, case.acceptance or ACCEPTANCE).accepted)
