"""The processor: gloo between processes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

KIND, BACKEND = "cpu", "gloo"


def missing(nproc: int) -> str | None:
    """Why so many processes cannot run here; None when they can."""
    return None


def prepare(threads: int) -> None:
    """Threads of each process: sums in one order, whatever else runs."""
    import torch

    torch.set_num_threads(threads)


def place(local_rank: int) -> torch.device:
    """The device of a process."""
    import torch

    return torch.device("cpu")


def settle() -> None:
    """Waits for what was started."""


def title() -> str:
    """What it is, for people: as the kernel names the processor (proc(5), cpuinfo), else its architecture."""
    import platform

    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.machine()


def driver() -> str:
    """What drives it."""
    import platform

    return f"{platform.system()} {platform.release()}"


def memory() -> float | None:
    """Memory of the machine [byte]."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return None


def health() -> dict[str, float]:
    """Clock [Hz], where the kernel says it."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("cpu MHz"):
                return {"clock": float(line.partition(":")[2]) * 1e6}
    return {}


def clocked(work: Callable[[], object], times: int) -> float:
    """Processor time of one call [s]: what others do on the machine is not in it, as long as one thread works."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times
