"""What a device finds for a probe against the same in float64, forward and backward.

Of a result rounded once to a format of spacing eps, and summed from K terms in fp32, the error may be

    unit = eps + 2^-23 sqrt(K)        (of fp32 nearly eps sqrt(K))

of the root mean square of the result, or of the element itself where that is larger. A sum kept in the format itself
would err by eps sqrt(K), which for bf16 is far more: that is what the unit must not hide. Bias is the mean signed
error in the same unit, of inputs that are all positive, so that no error of one sign cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tonnage.device.rounding import EPSILON
from tonnage.qualify.probes import Probe

if TYPE_CHECKING:
    import torch

RECIPE = {"fp32": "float32", "bf16": "bfloat16"}
"""Formats by torch's names."""


@dataclass(frozen=True)
class Deviation:
    """How far off a device is, in units: the worst element forward and backward, and the bias of largest size."""

    forward: float
    backward: float
    bias: float


def inputs(probe: Probe, word: str, seed: int, positive: bool) -> list[torch.Tensor]:
    """Inputs in float64 that the format holds exactly."""
    import torch

    random = np.random.default_rng([seed, len(probe.shapes), *probe.shapes[0]])
    made = [torch.from_numpy(random.standard_normal(shape)) for shape in probe.shapes]
    kept = [value.to(getattr(torch, RECIPE[word])).double() for value in made]
    return [value.abs() for value in kept] if positive and not probe.signed else kept


def computed(
    probe: Probe, given: list[torch.Tensor], device: torch.device, dtype: torch.dtype, learn: bool
) -> list[torch.Tensor]:
    """The output, and the gradient of each input, on a device, brought back in float64."""
    import torch

    held = [value.to(dtype).to(device).requires_grad_(learn) for value in given]
    out = probe.run(held)
    found = [out]
    if learn:
        random = np.random.default_rng([7, *out.shape])
        slope = torch.from_numpy(1.0 + random.random(tuple(out.shape))).to(torch.bfloat16).to(dtype).to(device)
        found += torch.autograd.grad(out, held, slope)
    return [value.detach().cpu().double() for value in found]


def exact(probe: Probe, given: list[torch.Tensor], learn: bool) -> list[torch.Tensor]:
    """The same in float64 on the processor."""
    import torch

    return computed(probe, given, torch.device("cpu"), torch.float64, learn)


def apart(probe: Probe, found: list[torch.Tensor], right: list[torch.Tensor], word: str) -> Deviation:
    """How far what was found is off."""
    worst, signed = [], []
    for one, other, terms in zip(found, right, probe.terms, strict=False):
        unit = EPSILON[word] + EPSILON["fp32"] * terms**0.5
        usual = float(other.square().mean().sqrt())
        size, error = usual * unit, one - other
        worst.append(_largest(error / (other.abs().clamp(min=usual) * unit)) if usual else _largest(error))
        signed.append(float(error.mean()) / size if size else 0.0)
    return Deviation(worst[0], max(worst[1:], key=_order, default=0.0), max(signed, key=lambda x: _order(abs(x))))


def _largest(error: torch.Tensor) -> float:
    return float(error.abs().max())


def _order(value: float) -> float:
    """No number is the worst of all."""
    return float("inf") if value != value else value
