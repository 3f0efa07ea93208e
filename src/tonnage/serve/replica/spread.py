"""How far predictions are off where the answer is known: 90 % intervals from cross-validated residuals.

`scripts/fit_serve.py` predicts each published figure with its source in no fit, and keeps per metric and regime the
log-spread whose 1.645-fold holds 90 % of these errors, each source one vote. Regimes are the maker of the chip
(NVIDIA's are measured, others are not), whether drafts are accepted at an unknown rate, and whether prefill and decode
are apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.provenance import Evidence
from tonnage.serve.replica.software import Constants, constants
from tonnage.system import Accelerator, measured_maker

METRICS = ("rate", "tpot", "ttft")


@dataclass(frozen=True)
class SpeedSpread:
    """Log-spread of each figure (1.645 of them are a 90 % interval), and the tier of the evidence."""

    rate: float
    tpot: float
    ttft: float
    evidence: Evidence


def regime(accelerator: Accelerator, mode: str, speculation: bool) -> tuple[str, ...]:
    """Names of the regime of a prediction, the most particular first; the last always has a spread."""
    maker = "nvidia" if measured_maker(accelerator) else "other"
    drafts = ["drafts"] if speculation else []
    apart = ["apart"] if mode != "aggregated" else []
    return tuple(dict.fromkeys((".".join([maker, *drafts, *apart]), ".".join([maker, *drafts]), maker, "all")))


def doubt(accelerator: Accelerator, mode: str, speculation: bool, fitted: Constants | None = None) -> SpeedSpread:
    """The doubt of a figure in a regime.

    evidence: interpolated on chips of which published services entered the fit and whose maker's operators are
    measured; extrapolated on others of that maker, and where published services of the vendor entered the fit; analytic
    elsewhere, half as wide again.
    """
    found = fitted or constants()
    names = regime(accelerator, mode, speculation)
    known = measured_maker(accelerator) or accelerator.vendor in found.vendor
    wider = 1.0 if known else 1.5
    values = [wider * next(found.spread[metric][n] for n in names if n in found.spread[metric]) for metric in METRICS]
    near = measured_maker(accelerator) and accelerator.name in found.chips
    tier: Evidence = "interpolated" if near else "extrapolated" if known else "analytic"
    return SpeedSpread(values[0], values[1], values[2], tier)
