"""The bare roofline of a deployment: what the null model of serving takes its share of.

Arithmetic at the datasheet rate and memory at the datasheet bandwidth, perfectly spread over the accelerators of a
pool; every step reads all weights (as it does at any batch worth serving), no launch, no communication, no scheduling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tonnage.model import Architecture, cache_elements, flop_per_token, unit_operators
from tonnage.model.operators import Operator
from tonnage.serve.as_run.deployment import Deployment, Pool
from tonnage.serve.job import ACCEPTANCE, Speculation
from tonnage.system import FORMATS, Accelerator, rate
from tonnage.truth.cases import Skip
from tonnage.truth.scored import INPUT_RATE, RATE, TPOT, TTFT

USABLE = 0.9
"""Share of memory that engines use by default (vLLM's gpu_memory_utilization)."""
SMALLEST_LOAD = 1.0


RELEASES = {"fp4": "nvfp4"}
"""Names of releases that are not names of number formats."""


@dataclass(frozen=True)
class Formats:
    """Bytes of an element of the experts, of the other weights and of the cache, and the arithmetic rate [FLOP/s]."""

    experts: float
    dense: float
    cache: float
    peak: float


def formats_of(case: Deployment) -> Formats:
    """Formats of a deployment: a four-bit mixture of experts keeps its dense layers as they are released, in 16 bits
    where the release has no four bits of its own; BF16 where unstated.

    Raises Skip for a format that is not known.
    """
    name = RELEASES.get(case.weights or "", case.weights) or {"fp8_block": "fp8"}.get(case.arch.precision, "bf16")
    cache = case.kv or "bf16"
    if name not in FORMATS or cache not in FORMATS:
        raise Skip("number format is not known")
    held = FORMATS[name]
    own = FORMATS[case.arch.expert_precision].element if case.arch.expert_precision in FORMATS else 2.0
    wide = case.arch.release.element("attention") if own < 1 else 2.0
    dense = wide if held.element < 1 and case.arch.moe else held.element
    return Formats(held.element, dense, FORMATS[cache].element, rate(case.accelerator, held.compute).value)


@dataclass(frozen=True)
class Weights:
    """Bytes of a model's weights: routed experts, and all else that a step reads."""

    dense: float
    experts: float


@lru_cache(maxsize=512)
def weights_of(arch: Architecture, formats: Formats) -> Weights:
    """Bytes of the weights in the formats of a deployment; the embedding table is held but hardly read."""
    made = unit_operators(arch)
    routed = sum(_bytes(op, formats) for op in made if op.kind == "grouped_gemm")
    dense = sum(_bytes(op, formats) for op in made if op.kind not in ("grouped_gemm", "lookup"))
    return Weights(float(dense), float(routed))


@lru_cache(maxsize=4096)
def _flop(arch: Architecture, seq: float) -> float:
    """Mean FLOP of a token of a prompt."""
    return float(flop_per_token(arch, seq))


def _bytes(operator: Operator, formats: Formats) -> float:
    size = formats.experts if operator.kind == "grouped_gemm" else 2.0 if operator.part == "head" else formats.dense
    return float(operator.weight) * operator.count * size


def ceilings(case: Deployment) -> dict[str, float]:
    """Roofline of each metric of a deployment: rates [token/s per accelerator], tpot and ttft [s]."""
    formats = formats_of(case)
    weights = weights_of(case.arch, formats)
    fresh = max(case.isl * (1 - case.cache_hit), 1.0)
    peak = formats.peak
    prompt = fresh * _flop(case.arch, case.isl)
    if case.mode == "prefill":
        return {INPUT_RATE: fresh * peak / prompt}
    total = case.pool.count + (case.prefill.count if case.prefill else 0.0)
    running = _running(case, weights, formats)
    step = _step(case, weights, formats, running)
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


def _step(case: Deployment, weights: Weights, formats: Formats, running: float) -> float:
    """Time of one decode step of the pool [s]."""
    chip, pool = case.accelerator, case.pool
    context = case.context or case.isl + case.osl / 2
    copies = _replicas(pool, chip)
    read = weights.dense * copies + weights.experts * _expert_copies(pool, chip)
    read += running * _cache(case.arch, context, formats)
    flop = running * _flop(case.arch, 1.0)
    memory, arithmetic = read / (chip.bandwidth * pool.count), flop / (formats.peak * pool.count)
    return max(memory, arithmetic)


def _running(case: Deployment, weights: Weights, formats: Formats) -> float:
    """Requests in flight in the deployment: as stated, but no more than the memory holds."""
    if case.batch is not None:
        return case.batch * case.pool.count
    most = _most(case, weights, formats)
    if case.concurrency is not None:
        return min(max(case.concurrency, SMALLEST_LOAD), most)
    if case.rate is not None:
        return min(_arriving(case, weights, formats, case.rate), most)
    return most


def _most(case: Deployment, weights: Weights, formats: Formats) -> float:
    """Requests that the memory holds."""
    context = case.context or case.isl + case.osl / 2
    held = weights.dense * _replicas(case.pool, case.accelerator)
    held += weights.experts * _expert_copies(case.pool, case.accelerator)
    free = USABLE * case.accelerator.memory * case.pool.count - held
    return max(free / _cache(case.arch, context, formats), SMALLEST_LOAD)


def _arriving(case: Deployment, weights: Weights, formats: Formats, arrivals: float) -> float:
    """Requests in flight when `arrivals` come per second: arrivals x output x time per token (Little), iterated."""
    running, steps = SMALLEST_LOAD, case.osl / _gained(case)
    for _ in range(30):
        running = min(max(arrivals * steps * _step(case, weights, formats, running), SMALLEST_LOAD), 1e4)
    return running


def _cache(arch: Architecture, context: float, formats: Formats) -> float:
    return float(np.maximum(cache_elements(arch, context), 1.0)) * formats.cache


def _replicas(pool: Pool, chip: Accelerator) -> float:
    """Copies of the attention weights in a pool."""
    return max(pool.count * chip.dies / (pool.tp * pool.pp), 1.0)


def _expert_copies(pool: Pool, chip: Accelerator) -> float:
    """Copies of the experts in a pool: every `ep` x `etp` ranks hold one."""
    spread = max((pool.ep or 1) * (pool.etp or 1), pool.tp)
    return max(pool.count * chip.dies / (spread * pool.pp), 1.0)


def _gained(case: Deployment) -> float:
    """Tokens gained per decode step."""
    if case.accepted is not None:
        return max(case.accepted, 1.0)
    if case.drafts == 0:
        return 1.0
    drafted = case.drafts if case.drafts is not None else 1.0
    return float(Speculation(drafted, case.acceptance or ACCEPTANCE).accepted)
