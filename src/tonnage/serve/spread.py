"""How far predictions are off where the answer is known: 90 % intervals from cross-validated residuals."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.serve.case import Case
from tonnage.system import Accelerator


@dataclass(frozen=True)
class Doubt:
    """Log-spread of each figure (1.645 of them are a 90 % interval), and the tier of the evidence."""

    rate: float
    tpot: float
    ttft: float
    evidence: str


def spread(case: Case) -> Doubt:
    """The doubt of a prediction of `case`."""
    return doubt(case.accelerator, case.mode, case.drafts is None or case.drafts > 0)


def doubt(accelerator: Accelerator, mode: str, speculation: bool) -> Doubt:
    """The doubt of a figure in a regime."""
    return Doubt(0.35, 0.35, 0.8, "interpolated" if accelerator.vendor == "NVIDIA" else "extrapolated")
