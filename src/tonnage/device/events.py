"""What torch's layers of accelerators share: events that time, and what a device says of itself.

`torch.cuda`, `torch.npu`, `torch.musa` and `torch.xpu` have the same functions
(https://docs.pytorch.org/docs/stable/accelerator.html); a layer that lacks one of them says nothing there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any


def clocked(layer: Any, work: Callable[[], object], times: int) -> float:
    """Time of one call by the device's own clock [s]: an event before and one after so many calls."""
    began, ended = layer.Event(enable_timing=True), layer.Event(enable_timing=True)
    layer.synchronize()
    began.record()
    for _ in range(times):
        work()
    ended.record()
    layer.synchronize()
    return float(began.elapsed_time(ended)) * 1e-3 / times  # milliseconds


def memory(layer: Any) -> float | None:
    """Memory of the device [byte], as its layer says."""
    try:
        return float(layer.get_device_properties(layer.current_device()).total_memory)
    except (AttributeError, RuntimeError, TypeError):
        return None


def read(readers: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """What can be read of clock and power; a reader that fails is left out."""
    found: dict[str, float] = {}
    for name, reader in readers.items():
        with contextlib.suppress(Exception):  # a driver's own errors, of no common kind
            found[name] = float(reader())
    return found
