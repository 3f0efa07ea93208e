"""NVIDIA GPUs (and AMD's, which torch calls by the same name): NCCL between processes.

Products are deterministic, as far as torch has such kernels: without that, no step could be replayed bit for bit
(https://docs.pytorch.org/docs/stable/notes/randomness.html).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from tonnage.device import events

if TYPE_CHECKING:
    import torch

KIND, BACKEND = "cuda", "nccl"

WORKSPACE = ":4096:8"
"""cuBLAS's workspace with which its results repeat (https://docs.nvidia.com/cuda/cublas/, Results reproducibility)."""


def missing(nproc: int) -> str | None:
    """Why so many processes cannot run here; None when they can."""
    import torch

    if not torch.cuda.is_available():
        return "torch sees no CUDA device here"
    count = torch.cuda.device_count()
    return f"torch sees {count} CUDA devices, and {nproc} are asked" if nproc > count else None


def prepare(threads: int) -> None:
    """Deterministic kernels, no TF32: fp32 is fp32."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def place(local_rank: int) -> torch.device:
    """The device of a process."""
    import torch

    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def settle() -> None:
    """Waits for what was started."""
    import torch

    torch.cuda.synchronize()


def title() -> str:
    """What it is, for people."""
    import torch

    return torch.cuda.get_device_name()


def driver() -> str:
    """What drives it: CUDA or ROCm of torch's own build."""
    import torch

    rocm = getattr(torch.version, "hip", None)
    return f"ROCm {rocm}" if rocm else f"CUDA {torch.version.cuda}"


def memory() -> float | None:
    """Memory of the device [byte]."""
    import torch

    return events.memory(torch.cuda)


def health() -> dict[str, float]:
    """Clock [Hz] and power [W], where NVML can be asked (`torch.cuda.clock_rate` is in MHz, `power_draw` in mW)."""
    import torch

    return events.read(
        {"clock": lambda: torch.cuda.clock_rate() * 1e6, "power": lambda: torch.cuda.power_draw() * 1e-3}
    )


def clocked(work: Callable[[], object], times: int) -> float:
    """Time of one call by the device's own clock [s]."""
    import torch

    return events.clocked(torch.cuda, work, times)
