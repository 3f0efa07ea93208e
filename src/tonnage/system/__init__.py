"""What a model runs on: accelerators, number formats, the time of an operator and of a collective."""

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
