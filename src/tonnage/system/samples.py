"""Measured operators: shapes as work, the seconds that each took, and which of them no chip can have done.

Work whose times were measured together (the operators of an expert layer) stands together in one `Samples`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tonnage.arrays import Floats, Index, Numbers
from tonnage.system.accelerator import Accelerator
from tonnage.system.calibration import Calibration
from tonnage.system.collectives import Collective, collective_time, least_time
from tonnage.system.operators import operator_time
from tonnage.system.precision import Precision

CACHE = {"l40s": 96e6, "rtx-pro-6000": 128e6}
"""L2 cache of chips whose memory is slow beside it [byte] (NVIDIA Ada and Blackwell RTX architecture papers): a
benchmark that repeats a multiplication with few rows reads its weights from there, a model does not."""

SLACK = 0.98
"""Measured over ideal time below which a row is impossible: clocks and datasheets round to a percent or two."""

TRUSTED = 0.5
"""Share of possible rows below which the others are not believed either."""

FEWEST = 15
"""Rows below which a table of somebody else's is not worth a correction."""


@dataclass(frozen=True)
class Sample:
    """Work as the cost models read it (`operators.Work`); every number may be an array over rows."""

    kind: str
    part: str = "ffn"
    direction: str = "forward"
    count: int = 1
    m: Numbers = 0.0
    n: Numbers = 0.0
    k: Numbers = 0.0
    groups: Numbers = 1.0
    top_k: Numbers = 1.0
    flop: Numbers = 0.0
    weight: Numbers = 0.0
    stream: Numbers = 0.0
    cache_read: Numbers = 0.0
    cache_write: Numbers = 0.0


@dataclass(frozen=True)
class Samples:
    """Rows of like measurements on one chip.

    label: what they are, for people; precision: formats; work: operators or collectives whose times add up; seconds:
    measured [s], one a row; source: who measured, with which software; fused: whether collectives are the engines' own
    kernels (`collective_time`).
    """

    label: str
    precision: Precision
    work: tuple[Sample | Collective, ...]
    seconds: Floats
    source: str = ""
    fused: bool = False

    def predicted(self, accelerator: Accelerator, fitted: Calibration) -> Numbers:
        """What the cost models say of each row [s]."""
        total: Numbers = 0.0
        for item in self.work:
            if isinstance(item, Collective):
                total = total + collective_time(item, accelerator, fitted, fused=self.fused)
            else:
                total = total + operator_time(item, accelerator, self.precision, fitted).seconds
        return total

    def ideal(self, accelerator: Accelerator) -> Numbers:
        """The least time that each row can take [s]: datasheet rates, every byte moved once, no launch.

        Links carry a reduction once each way where the switch adds (NVLink SHARP), so a payload is the least.
        """
        total: Numbers = 0.0
        for item in self.work:
            if isinstance(item, Collective):
                total = total + least_time(item, accelerator)
            else:
                total = total + operator_time(item, accelerator, self.precision, IDEAL).seconds
        return total

    def rows(self, index: Index) -> Samples:
        """Some of the rows, by mask or numbers."""
        shape = np.shape(self.seconds)
        return replace(self, work=tuple(_pick(one, index, shape) for one in self.work), seconds=self.seconds[index])


def _pick(item: Sample | Collective, index: Index, shape: tuple[int, ...]) -> Sample | Collective:
    """Some rows of the numbers that are arrays over rows."""
    held = vars(item)
    picked = {name: v[index] for name, v in held.items() if isinstance(v, np.ndarray) and v.shape == shape}
    return type(item)(**{**held, **picked})


def possible(samples: Samples, accelerator: Accelerator) -> Samples | None:
    """The rows of a table that a chip can have done; None where most cannot be, or fewer than FEWEST are left.

    Rejected are times under the roofline, and multiplications whose weights were read from a large cache.
    """
    fine = samples.seconds > SLACK * samples.ideal(accelerator)
    first = samples.work[0]
    cache = CACHE.get(accelerator.name, 0.0)
    if isinstance(first, Sample) and first.kind == "gemm" and cache:
        fine &= ~((np.asarray(first.weight) * 2 < cache) & (np.asarray(first.m) < 256))
    if fine.mean() < TRUSTED or fine.sum() < FEWEST:
        return None
    return samples.rows(fine)


def gemm(m: Numbers, n: Numbers, k: Numbers, part: str = "ffn") -> Sample:
    """A multiplication of m rows, n outputs, k inputs."""
    return Sample("gemm", part=part, m=m, n=n, k=k, flop=2 * m * n * k, weight=n * k, stream=m * (n + k))


def expert_layer(
    rows: Numbers, groups: Numbers, hidden: Numbers, inner: Numbers, returned: Numbers = 0.0, *, moved: bool = True
) -> tuple[Sample, ...]:
    """A gated expert layer on one rank: permutation, two grouped multiplications, activation, combination.

    rows: visits of tokens to the local experts; groups: local experts; hidden, inner: widths; returned: tokens whose
    outputs are written once more when they are combined; moved: whether rows are permuted first. Balanced routing is
    as even as the counts allow: min(groups, rows) experts are touched.
    """
    active = np.minimum(groups, np.maximum(rows, 1.0))
    permuted = (pointwise(rows * 2 * hidden),) if moved else ()
    return (
        grouped(rows, active, 2 * inner, hidden),
        grouped(rows, active, hidden, inner),
        *permuted,
        pointwise(rows * 3 * inner),
        *((pointwise((rows + returned) * hidden),) if moved else ()),
    )


def grouped(rows: Numbers, active: Numbers, n: Numbers, k: Numbers) -> Sample:
    """A grouped multiplication in which `rows` are spread evenly over `active` experts."""
    # rows of an average touched expert are rows / active; 1e6 tokens make every one of `active` groups touched
    return Sample(
        "grouped_gemm",
        part="experts",
        m=np.full_like(rows, 1e6),
        top_k=rows / 1e6,
        groups=active,
        n=n,
        k=k,
        flop=2 * rows * n * k,
        weight=active * n * k,
        stream=rows * (n + k),
    )


def pointwise(stream: Numbers) -> Sample:
    """Element-wise work that moves `stream` elements."""
    return Sample("pointwise", stream=stream)


def prefill(batch: Numbers, new: Numbers, heads: Numbers, width: Numbers, cached: Numbers) -> Sample:
    """Causal attention of `batch` prompts of `new` tokens, nothing cached before; width: query plus value size of a
    head; cached: elements that a token leaves in the cache.
    """
    pairs = batch * new * (new + 1) / 2
    return Sample(
        "attention",
        part="attention",
        m=batch * new,
        n=pairs / (batch * new),
        k=np.broadcast_to(np.asarray(width, dtype=float), np.shape(new)),
        groups=heads,
        flop=2 * pairs * heads * width,
        stream=batch * new * (heads * width + cached),
        cache_read=np.zeros_like(new),
        cache_write=batch * new * cached,
    )


def decode(batch: Numbers, context: Numbers, heads: Numbers, width: Numbers, cached: Numbers) -> Sample:
    """Attention of one token of each of `batch` sequences over `context` tokens; width, cached as in `prefill`."""
    return Sample(
        "attention",
        part="attention",
        m=batch,
        n=context,
        k=np.broadcast_to(np.asarray(width, dtype=float), np.shape(batch)),
        groups=heads,
        flop=2 * batch * context * heads * width,
        stream=batch * heads * width,
        cache_read=batch * context * cached,
        cache_write=batch * cached,
    )


def scan(
    new: Numbers, sequences: Numbers, chunk: Numbers, keys: Numbers, values: Numbers, size: float = 128.0
) -> Sample:
    """A gated delta rule over `new` tokens of `sequences`, `chunk` of them at a time."""
    return Sample(
        "scan",
        m=new,
        n=np.full_like(new, size),
        k=np.full_like(new, size),
        groups=values,
        flop=new * values * (6 * size**2 + chunk * 5 * size),
        stream=new * size * (2 * keys + 2 * values),
        cache_read=sequences * values * size**2,
        cache_write=sequences * values * size**2,
    )


_NOTHING = (
    *("floor", "quantise_floor", "depth_latency", "ridge", "depth_half", "keys_half", "rows_half", "softmax"),
    *("intermediates", "chunk_floor", "chunk_latency", "blocks_half"),
)
_WHOLE = ("memory", "grouped", "backward", "compute", *(f"compute.{x}" for x in ("bf16", "fp8", "fp8_block", "fp4")))
_ONE = dict.fromkeys(_NOTHING, 0.0) | dict.fromkeys(_WHOLE, 1.0) | {"softness": 50.0, "tile": 1e-9}
_KINDS = ("gemm", "grouped_gemm", "attention", "scan", "pointwise", "collective")
IDEAL = Calibration(dict.fromkeys(_KINDS, _ONE), dict.fromkeys(_KINDS, 0.0), dict.fromkeys(_KINDS, 0.0), "roofline")
"""Coefficients of the bare roofline."""
