"""What a model runs on: accelerators, number formats, the time of an operator and of a collective."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.lazily import opened

if TYPE_CHECKING:
    from tonnage.system.accelerator import Accelerator, System, accelerator, needed, per_die, unjoined
    from tonnage.system.calibration import Calibration, calibration, measured_maker, tier
    from tonnage.system.collectives import Collective, collective_time, reach, wire_bytes
    from tonnage.system.operators import (
        COMPUTE,
        LAUNCH,
        MEMORY,
        Times,
        Timing,
        operator_time,
        operator_times,
        touched,
    )
    from tonnage.system.precision import FORMATS, Format, Precision, Rate, format_of, rate, unmultiplied

__all__ = [
    "COMPUTE",
    "FORMATS",
    "LAUNCH",
    "MEMORY",
    "Accelerator",
    "Calibration",
    "Collective",
    "Format",
    "Precision",
    "Rate",
    "System",
    "Times",
    "Timing",
    "accelerator",
    "calibration",
    "collective_time",
    "format_of",
    "measured_maker",
    "needed",
    "operator_time",
    "operator_times",
    "per_die",
    "rate",
    "reach",
    "tier",
    "touched",
    "unjoined",
    "unmultiplied",
    "wire_bytes",
]

opened(
    __name__,
    {
        "accelerator": "Accelerator System accelerator needed per_die unjoined",
        "calibration": "Calibration calibration measured_maker tier",
        "collectives": "Collective collective_time reach wire_bytes",
        "operators": "COMPUTE LAUNCH MEMORY Times Timing operator_time operator_times touched",
        "precision": "FORMATS Format Precision Rate format_of rate unmultiplied",
    },
)
