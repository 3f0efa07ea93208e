"""What serving engines add to bare operators: few constants, fitted by `scripts/fit_serve.py` on published results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tonnage.model import Architecture
from tonnage.model.operators import Numbers
from tonnage.serve.engines import Engine
from tonnage.system import Accelerator, Precision


@dataclass(frozen=True)
class Tuning:
    """Constants of an engine on a chip; each may be an array over cases.

    gemm, experts, attention, pointwise, reduce, exchange: time in service over time alone, by class; overlap: share of
    the shorter of compute and exchange that is hidden; kernel: seconds per kernel launched; host: seconds per engine
    step; sequence: seconds per sequence and step; interference: prefill in service over prefill alone; imbalance: load
    of the hottest expert rank over the mean; burst: queue before prefill over that of Poisson arrivals; admission:
    seconds from arrival to the scheduler, per request.
    """

    gemm: Numbers = 1.0
    experts: Numbers = 1.0
    attention: Numbers = 1.0
    pointwise: Numbers = 1.0
    reduce: Numbers = 1.0
    exchange: Numbers = 1.0
    overlap: Numbers = 0.0
    kernel: Numbers = 0.0
    host: Numbers = 1e-3
    sequence: Numbers = 5e-6
    interference: Numbers = 1.0
    imbalance: Numbers = 1.2
    burst: Numbers = 1.0
    admission: Numbers = 0.02


def tuning(engines: Sequence[Engine], die: Accelerator, precision: Precision, arch: Architecture) -> Tuning:
    """The fitted tuning of these engines on a chip, as arrays over `engines`."""
    return Tuning()
