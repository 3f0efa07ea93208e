"""FP8 products as recipes scale them, against float64 of the very numbers that were multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tonnage.device.rounding import EPSILON
from tonnage.qualify.gate import State, Verified

if TYPE_CHECKING:
    import torch

RECIPES = ("one scale a tensor", "one scale a row")
"""Recipes of `torch._scaled_mm` that are tried; scales of blocks need kernels that torch does not have everywhere."""

M, N, K = 64, 64, 512
LARGEST = 448.0
"""Largest number of E4M3 (OCP 8-bit floating point specification, version 1.0)."""

LIMIT = 3.0
"""Most units that a sound product in bf16 is off: as `healthy.json` has bf16 products, times 1.5."""


def gates(device: torch.device) -> Iterator[Verified]:
    """One gate a recipe."""
    for recipe in RECIPES:
        name = f"FP8 product, {recipe}"
        try:
            away = _away(device, recipe == RECIPES[1])
        except (RuntimeError, NotImplementedError, AttributeError, ValueError, TypeError) as error:
            why = f"torch has it not on this device: {(str(error).splitlines() or [''])[0][:120]}"
            yield Verified(name, "numerics", "training", "not tested", why=why, subject="fp8", decides=False)
            continue
        state: State = "pass" if away <= LIMIT else "fail"
        why = "" if state == "pass" else f"{away:.3g} units from float64; a narrow accumulator is the usual cause"
        yield Verified(name, "numerics", "training", state, away, LIMIT, "units", why, subject="fp8", decides=False)


def _away(device: torch.device, rows: bool) -> float:
    """The worst element, in units of bf16's rounding and fp32's sum."""
    import torch

    random = np.random.default_rng(8)
    held, scales = [], []
    for size in (M, N):
        whole = torch.from_numpy(random.standard_normal((size, K)))
        top = whole.abs().amax(1, keepdim=True) if rows else whole.abs().max()
        scale = (top / LARGEST).float()
        held.append((whole / scale).to(torch.float8_e4m3fn))
        scales.append(scale)
    right = (held[0].double() * scales[0]) @ (held[1].double() * scales[1]).t()
    left, other = (part.to(device) for part in held)
    found = torch._scaled_mm(
        left, other.t(), scales[0].to(device), scales[1].t().contiguous().to(device) if rows else scales[1].to(device),
        out_dtype=torch.bfloat16,
    )  # fmt: skip
    unit = EPSILON["bf16"] + EPSILON["fp32"] * K**0.5
    away = (found.cpu().double() - right).abs().max()
    return float(away / (right.square().mean().sqrt() * unit))
