"""Time of an operator: max(FLOP / (rate x e_c), bytes / (bandwidth x e_m)) softened, plus a launch and ramp floor.

The efficiencies e_c, e_m are functions of shape; the floor is an absolute time, so that the faster the chip, the lower
the fraction it achieves on the same shape. Williams, Waterman and Patterson 2009 (roofline); the rest is in each
function. Coefficients are fitted by `scripts/fit_operators.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tonnage.system.accelerator import Accelerator
from tonnage.system.calibration import Calibration, calibration
from tonnage.system.precision import FORMATS, Format, Precision, rate

COMPUTE, MEMORY, LAUNCH = 0, 1, 2
"""What binds an operator."""


class Work(Protocol):
    """What the cost models read of an operator; see `model.operators.Operator`. All of it is per rank and per layer."""

    name: str
    part: str
    kind: str
    count: int
    m: Any
    n: Any
    k: Any
    groups: Any
    top_k: Any
    flop: Any
    weight: Any
    stream: Any
    cache_read: Any
    cache_write: Any


@dataclass(frozen=True)
class Timing:
    """Time of one operator in one layer. seconds [s]; bound: COMPUTE, MEMORY or LAUNCH; sigma: spread of the log error;
    flop, traffic: what was priced [FLOP, byte]; kind: class of the cost model.
    """

    seconds: Any
    bound: Any
    sigma: float
    kind: str
    flop: Any
    traffic: Any


@dataclass(frozen=True)
class Times:
    """Time of many operators with their counts. seconds: total [s]; each: one `Timing` per operator, per layer; sigma:
    log-spread of the total, classes independent of each other and errors of one class alike.
    """

    seconds: Any
    each: tuple[Timing, ...]
    sigma: Any


def touched(groups: Any, top_k: Any, tokens: Any) -> Any:
    """Expected distinct experts of `groups` that `tokens` visit at random, each `top_k` of them.

    groups (1 - (1 - top_k/groups)^tokens); exact for independent tokens.
    """
    share = np.minimum(np.asarray(top_k, dtype=float) / groups, 1.0)
    return groups * -np.expm1(tokens * np.log1p(-np.minimum(share, 1.0 - 1e-12)))


def operator_time(
    operator: Work,
    accelerator: Accelerator,
    precision: Precision | None = None,
    fitted: Calibration | None = None,
) -> Timing:
    """Time of one local operator in one layer; broadcasts over the operator's arrays."""
    precision, fitted = precision or Precision(), fitted or calibration()
    if operator.kind == "gemm":
        return _gemm(operator, accelerator, precision, fitted)
    if operator.kind == "grouped_gemm":
        return _grouped_gemm(operator, accelerator, precision, fitted)
    if operator.kind == "attention":
        return _attention(operator, accelerator, precision, fitted)
    if operator.kind == "scan":
        return _scan(operator, accelerator, precision, fitted)
    return _pointwise(operator, accelerator, precision, fitted)


def operator_times(
    operators: Sequence[Work],
    accelerator: Accelerator,
    precision: Precision | None = None,
    fitted: Calibration | None = None,
) -> Times:
    """Times of local operators, summed over their counts."""
    each = tuple(operator_time(operator, accelerator, precision, fitted) for operator in operators)
    total: Any = 0.0
    doubt: dict[str, Any] = {}
    for operator, timing in zip(operators, each, strict=True):
        part = timing.seconds * operator.count
        total = total + part
        doubt[timing.kind] = doubt.get(timing.kind, 0.0) + part * timing.sigma
    squares = sum(value**2 for value in doubt.values())
    return Times(total, each, np.sqrt(squares) / np.maximum(total, 1e-30))


def gemm_seconds(
    m: Any, n: Any, k: Any, flop: Any, traffic: Any, peak: float, bandwidth: float, kernel: str, c: dict[str, float]
) -> tuple[Any, Any, Any, Any]:
    """(seconds, compute part, memory part, floor) of a GEMM of m x n x k.

    e_c = peak fraction of the kernel class x rows used of the padded tiles (m / 64ceil(m/64): Hopper's wgmma has 64
    rows) x k / (k + k_half) (filling and draining the pipeline over the depth).
    """
    padded = np.ceil(np.maximum(m, 1e-9) / c["tile"]) * c["tile"]
    e_c = c[f"compute.{kernel}"] * np.maximum(m, 1e-9) / padded * k / (k + c["depth_half"])
    compute = flop / (peak * np.maximum(e_c, 1e-9))
    memory = traffic / (bandwidth * c["memory"])
    return _soft(compute, memory, c["softness"]) + c["floor"], compute, memory, c["floor"]


def _soft(compute: Any, memory: Any, power: float) -> Any:
    """(compute^p + memory^p)^(1/p): the roofline's corner is rounded, because the two overlap only in part there."""
    larger = np.maximum(np.maximum(compute, memory), 1e-30)
    smaller = np.minimum(compute, memory)
    return larger * (1.0 + (smaller / larger) ** power) ** (1.0 / power)


def _bound(compute: Any, memory: Any, floor: Any) -> Any:
    code = np.where(np.asarray(compute) >= memory, COMPUTE, MEMORY)
    return np.where(np.maximum(compute, memory) < floor, LAUNCH, code)[()]


def _timing(
    parts: tuple[Any, Any, Any, Any], operator: Work, traffic: Any, kind: str, chip: Accelerator, fitted: Calibration
) -> Timing:
    seconds, compute, memory, floor = parts
    busy = np.asarray(operator.flop) + np.asarray(traffic) > 0
    seconds = np.where(busy, seconds, 0.0)[()]
    return Timing(seconds, _bound(compute, memory, floor), fitted.spread(kind, chip), kind, operator.flop, traffic)


def _gemm(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    weights = precision.weights(operator.part)
    peak = rate(chip, weights.compute)
    kernel = weights.kernel if peak.runs_in == weights.compute else "bf16"
    traffic = operator.n * operator.k * weights.element + operator.stream * precision.activations
    parts = gemm_seconds(
        operator.m,
        operator.n,
        operator.k,
        operator.flop,
        traffic,
        peak.value,
        chip.bandwidth,
        kernel,
        fitted.of("gemm"),
    )
    return _timing(parts, operator, traffic, "gemm", chip, fitted)


def _grouped_gemm(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    """As a GEMM with the rows of an average touched expert; weights of touched experts only are read."""
    weights = precision.weights(operator.part)
    peak = rate(chip, weights.compute)
    kernel = weights.kernel if peak.runs_in == weights.compute else "bf16"
    active = np.maximum(touched(operator.groups, operator.top_k, operator.m), 1e-9)
    rows = operator.m * operator.top_k / active
    traffic = active * operator.n * operator.k * weights.element + operator.stream * precision.activations
    c = {**fitted.of("gemm"), **fitted.of("grouped_gemm")}
    parts = gemm_seconds(rows, operator.n, operator.k, operator.flop, traffic, peak.value, chip.bandwidth, kernel, c)
    return _timing(parts, operator, traffic, "grouped_gemm", chip, fitted)


def _attention(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    """FlashAttention-like core: e_c = peak fraction x n/(n + n_half) x rows used of a tile of query rows.

    n: keys seen by a query on average. Query rows that share one KV head: flop / (2 cache_read), one row a query head
    of the group in decode (all heads for absorbed MLA), unbounded in prefill.
    """
    c = fitted.of("attention")
    cache: Format = FORMATS.get(precision.cache, FORMATS["bf16"])
    compute_format = FORMATS[precision.attention]
    peak = rate(chip, compute_format.compute)
    traffic = (operator.cache_read + operator.cache_write) * cache.element + operator.stream * precision.activations
    rows = operator.flop / np.maximum(2.0 * np.asarray(operator.cache_read, dtype=float), 1e-9)
    used = np.minimum(rows / c["tile"], 1.0)
    e_c = c[f"compute.{compute_format.kernel}"] * operator.n / (operator.n + c["keys_half"]) * used
    if operator.name.endswith("dgrad"):
        e_c = e_c * c["backward"]
    compute = operator.flop / (peak.value * np.maximum(e_c, 1e-9))
    memory = traffic / (chip.bandwidth * c["memory"])
    parts = (_soft(compute, memory, c["softness"]) + c["floor"], compute, memory, c["floor"])
    kind = "attention"
    return _timing(parts, operator, traffic, kind, chip, fitted)


def _scan(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    """Linear attention or state-space scan: chunked matrix products at a low fraction, or state traffic in decode."""
    c = fitted.of("scan")
    peak = rate(chip, "bf16")
    traffic = (operator.cache_read + operator.cache_write) * 4.0 + operator.stream * precision.activations
    compute = operator.flop / (peak.value * c["compute"])
    memory = traffic / (chip.bandwidth * c["memory"])
    parts = (_soft(compute, memory, c["softness"]) + c["floor"], compute, memory, c["floor"])
    return _timing(parts, operator, traffic, "scan", chip, fitted)


def _pointwise(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    """Element-wise work and look-ups: memory traffic. A look-up reads its rows (in `stream`), not the table."""
    c = fitted.of("pointwise")
    weights = 0.0 if operator.kind == "lookup" else operator.weight * precision.weights(operator.part).element
    traffic = weights + (operator.stream + operator.cache_read + operator.cache_write) * precision.activations
    memory = traffic / (chip.bandwidth * c["memory"])
    parts = (memory + c["floor"], np.zeros_like(memory), memory, c["floor"])
    return _timing(parts, operator, traffic, "pointwise", chip, fitted)
