"""What is measured at each effort: shapes of a model's operators, from a decode of one token to a long prefill."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

from tonnage.qualify.bench import ABSORBED, Bench

Effort = Literal["quick", "standard", "soak"]

LAYOUTS = ("NT", "NN", "TN")
"""Of a GEMM: forward (weights as they are stored, outputs first), gradients of inputs, gradients of weights."""


@dataclass(frozen=True)
class Extent:
    """How far shapes reach. rows: of multiplications; matrices: (outputs, inputs); depths: rows that a gradient of
    weights sums over; keys: of attention; experts: (experts, outputs, inputs); sizes: bytes of element-wise work;
    large: bytes of the bandwidth's arrays, far beyond caches; widths: of rows that are normalised.
    """

    rows: tuple[int, ...]
    matrices: tuple[tuple[int, int], ...]
    depths: tuple[int, ...]
    keys: tuple[int, ...]
    heads: tuple[tuple[int, int, int], ...]
    experts: tuple[tuple[int, int, int], ...]
    sizes: tuple[int, ...]
    large: int
    widths: tuple[int, ...]


PROCESSOR = Extent(
    rows=(1, 2, 4, 16, 64, 256, 1024),
    matrices=((64, 256), (256, 256), (1024, 256), (256, 1024), (1024, 1024), (4096, 512)),
    depths=(64, 256, 1024),
    keys=(64, 256, 1024),
    heads=((4, 4, 64), (8, 2, 64), (16, 16, 32)),
    experts=((8, 256, 256), (8, 1024, 512), (16, 512, 256)),
    sizes=(12, 3 * 2**12, 3 * 2**16, 3 * 2**19, 3 * 2**22, 3 * 2**24),
    large=3 * 2**26,
    widths=(64, 512, 4096),
)
"""For processors, in a minute: models of up to some hundred million parameters."""

ACCELERATOR = Extent(
    rows=(1, 16, 128, 1024, 8192),
    matrices=((1024, 1024), (4096, 1024), (1024, 4096), (4096, 4096), (14336, 4096), (4096, 14336), (32768, 4096)),
    depths=(512, 2048, 8192),
    keys=(512, 2048, 8192),
    heads=((32, 32, 128), (32, 8, 128), (64, 8, 128)),
    experts=((8, 4096, 2048), (32, 2048, 4096)),
    sizes=(12, 3 * 2**16, 3 * 2**20, 3 * 2**24, 3 * 2**27),
    large=3 * 2**30,
    widths=(128, 4096, 32768),
)
"""For accelerators: layers of models of some billion parameters."""

FORMATS = ("fp32", "bf16")
"""Formats in which everything is measured; the others of `GEMM_ONLY` in multiplications alone."""

GEMM_ONLY = ("fp16", "fp8", "int8")


def benches(kind: str, effort: Effort) -> tuple[Bench, ...]:
    """All of them, the shortest kinds first, so that something is known soon. Standard adds shapes between."""
    extent = PROCESSOR if kind == "cpu" else ACCELERATOR
    some = [
        *(Bench(name, "fp32", (1,)) for name in ("launch", "launch_view", "launch_tracked")),
        Bench("triad", "fp32", (extent.large,)),
        *_host(extent, kind),
    ]
    for name in FORMATS:
        some += [*_pointwise(extent, name), *_gemms(extent, name, effort), *_attention(extent, name, effort)]
        some += [Bench("grouped_gemm", name, (rows, *e)) for e in extent.experts for rows in extent.rows if rows >= 4]
        some += [Bench("bmm", name, shape) for shape in ((8, 64, 64, 64), (32, 64, 64, 64), (8, 256, 256, 64))]
    for name in GEMM_ONLY:
        some += [Bench("gemm", name, (m, n, k), "NT") for m in extent.rows[-2:] for n, k in extent.matrices[-2:]]
    return tuple(dict.fromkeys(some))


def _host(extent: Extent, kind: str) -> list[Bench]:
    """Copies between host and device, where they are two."""
    if kind == "cpu":
        return []
    return [Bench(name, "int8", (size,)) for name in ("to_device", "to_host") for size in (2**12, 2**20, 2**28)]


def _gemms(extent: Extent, name: str, effort: Effort) -> list[Bench]:
    rows = extent.rows if effort == "quick" else tuple(sorted({*extent.rows, *(2 * m for m in extent.rows)}))
    found = [
        Bench("gemm", name, (m, n, k), layout) for layout in LAYOUTS[:2] for m, (n, k) in product(rows, extent.matrices)
    ]
    return found + [Bench("gemm", name, (n, k, m), "TN") for m, (n, k) in product(extent.depths, extent.matrices)]


def _attention(extent: Extent, name: str, effort: Effort) -> list[Bench]:
    """Prefill forward and backward, and decode: all heads with keys of their own, shared ones, absorbed latents."""
    found = []
    batches = (1, 4) if effort == "quick" else (1, 4, 16)
    for (heads, groups, size), keys, batch in product(extent.heads, extent.keys, batches):
        shape = (batch, keys, heads, 2 * size, 2 * groups * size)
        found.append(Bench("decode", name, shape))
        if batch * keys <= 2 * extent.keys[-1]:
            found += [Bench("prefill", name, shape), Bench("prefill_backward", name, shape)]
    latent = (sum(ABSORBED), ABSORBED[0])
    return found + [Bench("decode", name, (batch, keys, 16, *latent)) for keys in extent.keys for batch in batches]


def _pointwise(extent: Extent, name: str) -> list[Bench]:
    flat = ("elementwise", "transcendental", "reduction", "copy")
    found = [Bench(kind, name, (size,)) for kind in flat for size in extent.sizes]
    rows = [(max(1, size // 3 // width // 4), width) for width in extent.widths for size in extent.sizes[1:-1]]
    kinds = ("norm", "softmax", "cross_entropy", "gather", "scatter")
    found += [Bench(kind, name, shape) for kind in kinds for shape in dict.fromkeys(rows)]
    return found + ([Bench("optimiser", "fp32", (size * 7,)) for size in extent.sizes[1:]] if name == "fp32" else [])
