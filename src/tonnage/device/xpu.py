"""Intel GPUs: torch's own device `xpu`, XCCL between processes
(https://docs.pytorch.org/docs/stable/notes/get_start_xpu.html).

Written from the package's documentation; it was not run on such a device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tonnage.device import events

if TYPE_CHECKING:
    import torch

KIND, BACKEND = "xpu", "xccl"


def _xpu() -> Any:
    """`torch.xpu`, which every torch has."""
    import torch

    return torch.xpu


def missing(nproc: int) -> str | None:
    """Why so many processes cannot run here; None when they can."""
    try:
        xpu = _xpu()
    except (AttributeError, ImportError, OSError) as error:
        return f"torch.xpu cannot be imported: {error}"
    if not xpu.is_available():
        return "torch sees no Intel device here"
    count = xpu.device_count()
    return f"torch sees {count} Intel devices, and {nproc} are asked" if nproc > count else None


def prepare(threads: int) -> None:
    """Deterministic kernels where there are such."""
    import torch

    _xpu()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)


def place(local_rank: int) -> torch.device:
    """The device of a process."""
    import torch

    _xpu().set_device(local_rank)
    return torch.device("xpu", local_rank)


def settle() -> None:
    """Waits for what was started."""
    _xpu().synchronize()


def title() -> str:
    """What it is, for people."""
    return str(_xpu().get_device_name())


def driver() -> str:
    """What drives it."""
    import torch

    return f"oneAPI {getattr(torch.version, 'xpu', None) or 'unknown'}"


def memory() -> float | None:
    """Memory of the device [byte]."""
    return events.memory(_xpu())


def health() -> dict[str, float]:
    """Nothing: clock and power are read by `xpu-smi`, not through torch."""
    return {}


def clocked(work: Callable[[], object], times: int) -> float:
    """Time of one call by the device's own clock [s]."""
    return events.clocked(_xpu(), work, times)
