"""Moore Threads: torch_musa registers the device `musa` with torch, MCCL between processes
(https://github.com/MooreThreads/torch_musa).

Written from the package's documentation; it was not run on such a device.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tonnage.device import events

if TYPE_CHECKING:
    import torch

KIND, BACKEND = "musa", "mccl"


def _musa() -> Any:
    """`torch.musa`, which is there once torch_musa is imported."""
    import torch

    importlib.import_module("torch_musa")
    return getattr(torch, "musa")  # noqa: B009 (no such attribute to a type checker)


def missing(nproc: int) -> str | None:
    """Why so many processes cannot run here; None when they can."""
    try:
        musa = _musa()
    except (AttributeError, ImportError, OSError) as error:
        return f"torch_musa cannot be imported: {error}"
    if not musa.is_available():
        return "torch sees no Moore Threads device here"
    count = musa.device_count()
    return f"torch sees {count} Moore Threads devices, and {nproc} are asked" if nproc > count else None


def prepare(threads: int) -> None:
    """Deterministic kernels where there are such."""
    import torch

    _musa()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)


def place(local_rank: int) -> torch.device:
    """The device of a process."""
    import torch

    _musa().set_device(local_rank)
    return torch.device("musa", local_rank)


def settle() -> None:
    """Waits for what was started."""
    _musa().synchronize()


def title() -> str:
    """What it is, for people."""
    return str(_musa().get_device_name())


def driver() -> str:
    """What drives it."""
    version = getattr(importlib.import_module("torch_musa"), "__version__", "unknown")
    return f"torch_musa {version}"


def memory() -> float | None:
    """Memory of the device [byte]."""
    return events.memory(_musa())


def health() -> dict[str, float]:
    """Nothing: clock and power are read by `mthreads-gmi`, not through torch."""
    return {}


def clocked(work: Callable[[], object], times: int) -> float:
    """Time of one call by the device's own clock [s]."""
    return events.clocked(_musa(), work, times)
