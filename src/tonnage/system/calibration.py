"""Fitted coefficients of the cost models, with how far they were off on chips that were left out of the fit."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from tonnage.system.accelerator import Accelerator

MAKER = "NVIDIA"
"""Vendor of the chips whose operators and collectives were measured (`scripts/fit_operators.py`)."""


def measured_maker(accelerator: Accelerator) -> bool:
    """Whether a chip is of the vendor whose chips were measured. One whose vendor is not known is not."""
    return accelerator.vendor == MAKER


@dataclass(frozen=True)
class Calibration:
    """Coefficients by operator class, and their doubt.

    coefficients: class -> name -> value; sigma: class -> spread of the log error on left-out chips; far: the same on
    the left-out chip that was worst; source: what they were fitted on.
    """

    coefficients: dict[str, dict[str, float]]
    sigma: dict[str, float]
    far: dict[str, float]
    source: str

    def of(self, kind: str) -> dict[str, float]:
        """Coefficients of one class."""
        return self.coefficients[kind]

    def spread(self, kind: str, accelerator: Accelerator) -> float:
        """Log-sigma of a class on a chip: as for left-out chips of the measured vendor, else the worst of them."""
        return self.sigma[kind] if measured_maker(accelerator) else self.far[kind]


def tier(accelerator: Accelerator) -> str:
    """`transferred` on chips of the vendor whose chips were measured, `analytic` on others."""
    return "transferred" if measured_maker(accelerator) else "analytic"


@functools.cache
def calibration() -> Calibration:
    """The coefficients that come with tonnage (`scripts/fit_operators.py` makes them)."""
    text = (Path(__file__).parent / "data" / "efficiency.json").read_text(encoding="utf-8")
    held = json.loads(text)
    return Calibration(held["coefficients"], held["sigma"], held["far"], held["source"])
