"""How far apart two results may be that differ by rounding only.

A sum of K products in a format of spacing eps has a rounding error of about eps sqrt(K) of its size (Higham, Accuracy
and Stability of Numerical Algorithms, 2nd ed., section 2.8, for errors that are independent). Differences are told in
such units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

EPSILON = {"fp32": 2.0**-23, "bf16": 2.0**-7, "fp16": 2.0**-10}
"""Spacing of numbers just above 1: IEEE 754 binary32 has 23 bits behind the point, binary16 10, bfloat16 7."""

LIMIT = 8.0
"""Most eps sqrt(K) by which a network's logits, gradients and changes differ on a sound device; docs/run.md has what
sound moves and faults measured.
"""


def units(kept: torch.Tensor, found: torch.Tensor, unit: float) -> float:
    """rms(found - kept) / (rms(kept) unit); infinite where only one of them is zero, no number where found has none."""
    scale = float(kept.double().square().mean().sqrt())
    away = float((found.double() - kept.double()).square().mean().sqrt())
    return away / (scale * unit) if scale else (0.0 if away == 0 else float("inf"))
