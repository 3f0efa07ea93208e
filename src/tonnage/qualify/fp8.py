"""FP8 products as recipes scale them, against float64 of the very numbers that were multiplied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tonnage.device.rounding import EPSILON
from tonnage.qualify.gate import State, Verified

if TYPE_CHECKING:
    import torch

BLOCK = 128
"""Numbers that share a scale along a sum, and rows and columns of a weight that do (DeepSeek-V3, arXiv 2412.19437,
section 3.3.2: 1 x 128 of activations, 128 x 128 of weights)."""

M, N, K = 64, 128, 4096
"""Sizes of the product; the sum is as long as a large model has them, since narrow accumulators err with its length."""
LARGEST = 448.0
"""Largest number of E4M3 (OCP 8-bit floating point specification, version 1.0)."""

LIMIT = 1.5
"""Most units that a product in bf16 is off: that of bf16 products of sound devices (`healthy.json`: no less than one),
times 1.5."""


def gates(device: torch.device) -> Iterator[Verified]:
    """One gate a recipe."""
    for recipe, away_of in RECIPES.items():
        name = f"FP8 product, {recipe}"
        try:
            away = away_of(device)
        except (RuntimeError, NotImplementedError, AttributeError, ValueError, TypeError) as error:
            why = f"torch has it not on this device: {(str(error).splitlines() or [''])[0][:120]}"
            yield Verified(name, "numerics", "training", "not tested", why=why, subject="fp8", decides=False)
            continue
        state: State = "pass" if away <= LIMIT else "fail"
        why = "" if state == "pass" else f"{away:.3g} units from float64; a narrow accumulator is the usual cause"
        yield Verified(name, "numerics", "training", state, away, LIMIT, "units", why, subject="fp8", decides=False)


def _drawn(size: int, salt: int) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.random.default_rng([8, salt]).standard_normal((size, K)))


def _tensors(device: torch.device) -> float:
    return _away(device, lambda whole: whole.abs().max())


def _rows(device: torch.device) -> float:
    return _away(device, lambda whole: whole.abs().amax(1, keepdim=True))


def _away(device: torch.device, top: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """The worst element of one product whose scales are the device's business."""
    import torch

    held, scales = [], []
    for size in (M, N):
        whole = _drawn(size, size)
        scale = (top(whole) / LARGEST).float()
        held.append((whole / scale).to(torch.float8_e4m3fn))
        scales.append(scale)
    right = (held[0].double() * scales[0]) @ (held[1].double() * scales[1]).t()
    left, other = (part.to(device) for part in held)
    down, along = scales[0].to(device), scales[1].t().contiguous().to(device)
    found = torch._scaled_mm(left, other.t(), down, along, out_dtype=torch.bfloat16)
    return _units(found, right)


def _blocks(device: torch.device) -> float:
    """The worst element of a product in blocks: each block's sum is the device's, in fp32, and scales and adds up there
    outside its multiplier, as recipes do that do not trust the width of its accumulator.
    """
    import torch

    left, other = _drawn(M, M), _drawn(N, N)
    one = torch.ones((), dtype=torch.float32).to(device)
    total = torch.zeros(M, N, dtype=torch.float32).to(device)
    right = torch.zeros(M, N, dtype=torch.float64)
    for at in range(0, K, BLOCK):
        rows, block = left[:, at : at + BLOCK], other[:, at : at + BLOCK]
        down = (rows.abs().amax(1, keepdim=True) / LARGEST).float()
        whole = (block.abs().max() / LARGEST).float()
        held = (rows / down).to(torch.float8_e4m3fn), (block / whole).to(torch.float8_e4m3fn)
        right += (held[0].double() * down) @ (held[1].double() * whole).t()
        part = torch._scaled_mm(held[0].to(device), held[1].to(device).t(), one, one, out_dtype=torch.float32)
        total += part * (down * whole).to(device)
    return _units(total.to(torch.bfloat16), right)


def _units(found: torch.Tensor, right: torch.Tensor) -> float:
    """The worst element, in units of bf16's rounding and fp32's sum."""
    unit = EPSILON["bf16"] + EPSILON["fp32"] * K**0.5
    usual = right.square().mean().sqrt()
    away = (found.cpu().double() - right).abs() / (right.abs().clamp(min=usual) * unit)
    return float(away.max())


RECIPES: Mapping[str, Callable[[torch.device], float]] = {
    "one scale a tensor": _tensors,
    "one scale a row": _rows,
    f"scales of 1 x {BLOCK} and {BLOCK} x {BLOCK} blocks": _blocks,
}
"""Recipes by which FP8 products are scaled, and how far off a device is."""
