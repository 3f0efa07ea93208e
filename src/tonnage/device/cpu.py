"""The processor: gloo between processes."""

from __future__ import annotations

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
    """What it is, for people: the processor's name where the system tells it (Linux), else its architecture."""
    import contextlib
    import platform

    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").split("\n"):
            key, _, name = line.partition(":")
            if key.strip() == "model name" and name.strip():
                return name.strip()
    return platform.machine()
