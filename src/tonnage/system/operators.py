"""Time of an operator: max(FLOP / (rate x e_c), bytes / (bandwidth x e_m)) softened, plus a launch and ramp floor.

The efficiencies e_c, e_m are functions of shape; the floor is an absolute time, so that the faster the chip, the lower
the fraction it achieves on the same shape. Williams, Waterman and Patterson 2009 (roofline); the rest is in each
function. Coefficients are fitted by `scripts/fit_operators.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.system.accelerator import Accelerator
from tonnage.system.calibration import Calibration, calibration
from tonnage.system.precision import FORMATS, Format, Precision, rate

COMPUTE, MEMORY, LAUNCH = 0, 1, 2
"""What binds an operator."""

STATE = 4.0
"""Bytes of an element of recurrent state: kept in FP32 (Yang et al. 2024, arXiv 2412.06464)."""

SPLIT = 2048.0
"""Query rows per KV head below which kernels split the keys over the chip (assumption; decode has up to 300, a chunk of
a prefill thousands)."""

CHUNK = 64.0
"""Tokens of one chunk of a scan (Yang et al. 2024, arXiv 2406.06484)."""


class Work(Protocol):
    """What the cost models read of an operator; see `model.operators.Operator`. All of it is per rank and per layer."""

    @property
    def part(self) -> str:
        """Where it belongs in the model, for the formats of its weights."""

    @property
    def kind(self) -> str:
        """Which cost model prices it."""

    @property
    def direction(self) -> str:
        """`forward`, or the backward pass."""

    @property
    def count(self) -> int:
        """Layers that have it."""

    @property
    def m(self) -> Numbers:
        """Rows (tokens)."""

    @property
    def n(self) -> Numbers:
        """Outputs; keys that a query sees."""

    @property
    def k(self) -> Numbers:
        """Inputs; a head's query plus value size."""

    @property
    def groups(self) -> Numbers:
        """Experts or heads."""

    @property
    def top_k(self) -> Numbers:
        """Groups that a row visits."""

    @property
    def flop(self) -> Numbers:
        """Work [FLOP]."""

    @property
    def weight(self) -> Numbers:
        """Parameters [elements]."""

    @property
    def stream(self) -> Numbers:
        """Activations read and written [elements]."""

    @property
    def cache_read(self) -> Numbers:
        """Cache or state read [elements]."""

    @property
    def cache_write(self) -> Numbers:
        """Cache or state written [elements]."""


@dataclass(frozen=True)
class Parts:
    """compute, memory, floor [s] of an operator, and the exponent that joins the first two."""

    compute: Numbers
    memory: Numbers
    floor: Numbers
    softness: float


@dataclass(frozen=True)
class Timing:
    """Time of one operator in one layer. seconds [s]; sigma: spread of the log error; flop, traffic: what was priced
    [FLOP, byte]; kind: class of the cost model; parts: of the time; measured: share of the time that rests on
    measurements of this chip (0: the model alone; 1: inside the shapes measured).
    """

    seconds: Numbers
    sigma: float
    kind: str
    flop: Numbers
    traffic: Numbers
    parts: Parts
    measured: Numbers = 0.0

    @property
    def bound(self) -> Ints:
        """What binds: COMPUTE, MEMORY or LAUNCH. Asked by few, so that it is computed then."""
        parts = self.parts
        code = np.where(np.asarray(parts.compute) >= parts.memory, COMPUTE, MEMORY)
        found: Ints = np.where(np.maximum(parts.compute, parts.memory) < parts.floor, LAUNCH, code)[()]
        return found


@dataclass(frozen=True)
class Times:
    """Time of many operators with their counts. seconds: total [s]; each: one `Timing` per operator, per layer; sigma:
    log-spread of the total, classes independent of each other and errors of one class alike.
    """

    seconds: Numbers
    each: tuple[Timing, ...]
    sigma: Numbers


def touched(groups: Numbers, top_k: Numbers, tokens: Numbers) -> Numbers:
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
    """Time of one local operator in one layer; broadcasts over the operator's arrays.

    A chip with measurements of its own is priced by them where they reach (`measured.Measured`), unless `fitted` is
    given, which is then used alone.
    """
    precision = precision or Precision()
    price = _PRICED.get(operator.kind, _pointwise)
    timing = price(operator, accelerator, precision, fitted or calibration())
    if accelerator.measured is None or fitted is not None:
        return timing
    return _as_measured(timing, operator, accelerator, precision)


def _as_measured(timing: Timing, operator: Work, chip: Accelerator, precision: Precision) -> Timing:
    """The modelled time times measured over modelled, but never faster than the datasheet's roofline."""
    assert chip.measured is not None
    factor, share = chip.measured.factor(operator, precision)
    compute = precision.attention if operator.kind == "attention" else precision.weights(operator.part).compute
    least = np.maximum(operator.flop / rate(chip, compute).value, timing.traffic / chip.bandwidth)
    seconds = np.where(share > 0, np.maximum(timing.seconds * factor, least), timing.seconds)
    return replace(timing, seconds=seconds[()], measured=share)


def operator_times(
    operators: Sequence[Work],
    accelerator: Accelerator,
    precision: Precision | None = None,
    fitted: Calibration | None = None,
) -> Times:
    """Times of local operators, summed over their counts."""
    each = tuple(operator_time(operator, accelerator, precision, fitted) for operator in operators)
    total: Numbers = 0.0
    doubt: dict[str, Numbers] = {}
    for operator, timing in zip(operators, each, strict=True):
        part = timing.seconds * operator.count
        total = total + part
        doubt[timing.kind] = doubt.get(timing.kind, 0.0) + part * timing.sigma
    squares = sum(value**2 for value in doubt.values())
    return Times(total, each, np.sqrt(squares) / np.maximum(total, 1e-30))


def speed(chip: Accelerator) -> float:
    """16-bit rate in PFLOP/s: lengths that a pipeline needs to fill grow with it (a fill time at the chip's rate)."""
    return rate(chip, "bf16").value / 1e15


def gemm_parts(
    shape: tuple[Numbers, Numbers, Numbers],
    flop: Numbers,
    traffic: Numbers,
    chip: Accelerator,
    weights: Format,
    c: dict[str, float],
) -> Parts:
    """Parts of a GEMM of shape (m, n, k).

    e_c = f x filled / (1 + ridge (rate / bandwidth) / 200 + depth_half x speed / k).
    f: of the kernel class; filled: rows used of padded tiles, m / 16 ceil(m / 16): few rows are multiplied with the
    operands swapped, so that they are padded to a fragment of 8 or 16 (PTX ISA: mma.m16n8k16; wgmma.m64nNk16 with N
    from 8), not to the 64 of a warp group. The measured chips cannot tell 16 from 64, since 64 rows are still bound by
    memory on them (150 FLOP per byte and more); an H20 (37 in 16 bits) can. rate / bandwidth: 16-bit FLOP per byte
    (A100 153, H100 295, L40S 419): the harder a chip is to feed, the less of its peak it sustains; the last term fills
    and drains the pipeline over the depth. The losses add up as times, so that a higher rate is never slower.
    floor = launch + k x depth_latency, and quantising the input where the multiplication is narrower than the
    activations.
    """
    m, _, k = shape
    peak = rate(chip, weights.compute)
    narrow = peak.runs_in not in ("bf16", "fp16")
    m = np.maximum(m, 1e-9)
    filled = m / (np.ceil(m / c["tile"]) * c["tile"])
    ridge = rate(chip, "bf16").value / chip.bandwidth / 200.0
    lost = 1.0 + c["ridge"] * ridge + c["depth_half"] * speed(chip) / np.maximum(k, 1e-9)
    e_c = np.maximum(c[f"compute.{weights.kernel if narrow else 'bf16'}"] * filled / lost, 1e-9)
    floor = c["floor"] + (c["quantise_floor"] if narrow else 0.0) + k * c["depth_latency"]
    return Parts(flop / (peak.value * e_c), traffic / (chip.bandwidth * c["memory"]), floor, c["softness"])


def _soft(compute: Numbers, memory: Numbers, power: float) -> Numbers:
    """(compute^p + memory^p)^(1/p): the roofline's corner is rounded, because the two overlap only in part there."""
    if isinstance(compute, float) and compute == 0.0:
        return np.maximum(memory, 1e-30)
    larger = np.maximum(np.maximum(compute, memory), 1e-30)
    smaller = np.minimum(compute, memory)
    return larger * (1.0 + (smaller / larger) ** power) ** (1.0 / power)


def _timing(
    parts: Parts, operator: Work, traffic: Numbers, kind: str, chip: Accelerator, fitted: Calibration
) -> Timing:
    """Seconds from the parts; nothing where there is nothing to do."""
    busy = np.asarray(operator.flop) + np.asarray(traffic) > 0
    seconds = np.where(busy, _soft(parts.compute, parts.memory, parts.softness) + parts.floor, 0.0)[()]
    return Timing(seconds, fitted.spread(kind, chip), kind, operator.flop, traffic, parts)


def _gemm(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    """A dense GEMM: its matrix read once, rows in and out; see `gemm_parts`."""
    weights = precision.weights(operator.part)
    moved = operator.stream * precision.activations + operator.m * operator.k * _quantised(chip, weights)
    traffic = operator.n * operator.k * weights.element + moved
    shape = (operator.m, operator.n, operator.k)
    parts = gemm_parts(shape, operator.flop, traffic, chip, weights, fitted.of("gemm"))
    return _timing(parts, operator, traffic, "gemm", chip, fitted)


def _quantised(chip: Accelerator, weights: Format) -> float:
    """Bytes more per input element where activations are narrowed first: one written and read again."""
    return 0.0 if rate(chip, weights.compute).runs_in in ("bf16", "fp16") else 2.0


def _grouped_gemm(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    """As a GEMM with the rows of an average touched expert; weights of touched experts only are read."""
    weights = precision.weights(operator.part)
    active = np.maximum(touched(operator.groups, operator.top_k, operator.m), 1e-9)
    visits = operator.m * operator.top_k
    moved = operator.stream * precision.activations + visits * operator.k * _quantised(chip, weights)
    traffic = active * operator.n * operator.k * weights.element + moved
    c = {**fitted.of("gemm"), **fitted.of("grouped_gemm")}
    parts = gemm_parts((visits / active, operator.n * active, operator.k), operator.flop, traffic, chip, weights, c)
    return _timing(parts, operator, traffic, "grouped_gemm", chip, fitted)


def _attention(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    """FlashAttention-like core (Dao et al. 2022, arXiv 2205.14135).

    compute = (flop + scores x softmax) / (16-bit rate x e_c): each score costs `softmax` FLOP beside the products,
    which is why FP8 products gain little (H100, 16K keys: 0.38 of the FP8 rate, 0.78 of the BF16 rate): every
    `precision.attention` is priced at 16 bit. e_c is `compute` times
    n / (n + keys_half x speed): n keys seen by a query on average; the loop has to fill, the diagonal is half empty;
    rows / (rows + rows_half): query rows that share one KV head, flop / (2 cache_read): a group's heads in decode,
    unbounded in prefill;
    blocks / (blocks + blocks_half): prefill works on blocks of 128 query rows of one head, which must be many; decode
    splits the keys instead.
    """
    c = fitted.of("attention")
    cached = (operator.cache_read + operator.cache_write) * FORMATS[precision.cache].element
    traffic = cached + operator.stream * precision.activations
    rows = operator.flop / np.maximum(2.0 * np.asarray(operator.cache_read, dtype=float), 1e-9)
    used = rows / (rows + c["rows_half"])
    whole = 1.0 - 1.0 / (1.0 + (rows / SPLIT) ** 2)
    blocks = np.maximum(operator.m * operator.groups / 128.0, 1e-9)
    e_c = c["compute"] * used * operator.n / (operator.n + c["keys_half"] * speed(chip))
    e_c = e_c / (1.0 + whole * c["blocks_half"] / blocks)
    if operator.direction != "forward":
        e_c = e_c * c["backward"]
    scores = operator.flop / np.maximum(operator.k, 1e-9)
    compute = (operator.flop + scores * c["softmax"]) / (rate(chip, "bf16").value * np.maximum(e_c, 1e-9))
    parts = Parts(compute, traffic / (chip.bandwidth * c["memory"]), c["floor"], c["softness"])
    return _timing(parts, operator, traffic, "attention", chip, fitted)


def _scan(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    """Linear attention or state-space scan: a recurrent step in decode, chunks of CHUNK tokens else.

    Chunks write and read intermediates (`intermediates` times the stream), need more kernels (`chunk_floor`) and follow
    each other inside a sequence (`chunk_latency` each). Sequences = state read / state of one sequence.
    """
    c = fitted.of("scan")
    state = np.maximum(np.asarray(operator.groups * operator.n * operator.k, dtype=float), 1e-9)
    length = np.maximum(operator.m / np.maximum(operator.cache_read / state, 1e-9), 1.0)
    chunked = 1.0 - 1.0 / length
    stream = operator.stream * precision.activations * (1.0 + c["intermediates"] * chunked)
    traffic = (operator.cache_read + operator.cache_write) * STATE + stream
    compute = operator.flop / (rate(chip, "bf16").value * c["compute"])
    floor = c["floor"] + chunked * c["chunk_floor"] + length / CHUNK * chunked * c["chunk_latency"]
    parts = Parts(compute, traffic / (chip.bandwidth * c["memory"]), floor, c["softness"])
    return _timing(parts, operator, traffic, "scan", chip, fitted)


def _pointwise(operator: Work, chip: Accelerator, precision: Precision, fitted: Calibration) -> Timing:
    """Element-wise work and look-ups: memory traffic. A look-up reads its rows (in `stream`), not the table."""
    c = fitted.of("pointwise")
    weights = 0.0 if operator.kind == "lookup" else operator.weight * precision.weights(operator.part).element
    traffic = weights + (operator.stream + operator.cache_read + operator.cache_write) * precision.activations
    parts = Parts(0.0, traffic / (chip.bandwidth * c["memory"]), c["floor"], 1.0)
    return _timing(parts, operator, traffic, "pointwise", chip, fitted)


_PRICED = {"gemm": _gemm, "grouped_gemm": _grouped_gemm, "attention": _attention, "scan": _scan}
