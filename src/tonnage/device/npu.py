"""Huawei Ascend: torch_npu registers the device `npu` with torch, HCCL between processes (docs of torch_npu)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tonnage.device import events

if TYPE_CHECKING:
    import torch

KIND, BACKEND = "npu", "hccl"


def _npu() -> Any:
    """`torch.npu`, which is there once torch_npu is imported."""
    import torch

    importlib.import_module("torch_npu")
    return getattr(torch, "npu")  # noqa: B009 (no such attribute to a type checker)


def missing(nproc: int) -> str | None:
    """Why so many processes cannot run here; None when they can."""
    try:
        npu = _npu()
    except (ImportError, OSError) as error:
        return f"torch_npu cannot be imported: {error}"
    if not npu.is_available():
        return "torch_npu sees no Ascend device here"
    count = npu.device_count()
    return f"torch_npu sees {count} Ascend devices, and {nproc} are asked" if nproc > count else None


def prepare(threads: int) -> None:
    """Deterministic kernels where CANN has them."""
    import torch

    _npu()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)


def place(local_rank: int) -> torch.device:
    """The device of a process."""
    import torch

    _npu().set_device(local_rank)
    return torch.device("npu", local_rank)


def settle() -> None:
    """Waits for what was started."""
    _npu().synchronize()


def title() -> str:
    """What it is, for people."""
    return str(_npu().get_device_name())


def driver() -> str:
    """What drives it: CANN's version, as torch_npu was built for it."""
    version = getattr(importlib.import_module("torch_npu"), "version", None)
    return f"CANN {getattr(version, 'cann', None) or 'unknown'}"


def memory() -> float | None:
    """Memory of the device [byte]."""
    return events.memory(_npu())


def health() -> dict[str, float]:
    """Nothing: clock and power are read by `npu-smi`, not through torch_npu."""
    return {}


def clocked(work: Callable[[], object], times: int) -> float:
    """Time of one call by the device's own clock [s]."""
    return events.clocked(_npu(), work, times)
