"""What every kind of device has, and each kind by its word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from tonnage.device import cpu, cuda, musa, npu, xpu

if TYPE_CHECKING:
    import torch


class DeviceKind(Protocol):
    """What a module of a device kind has."""

    KIND: str
    BACKEND: str

    def missing(self, nproc: int) -> str | None:
        """Why so many processes cannot run here; None when they can."""

    def prepare(self, threads: int) -> None:
        """What is set before the first product."""

    def place(self, local_rank: int) -> torch.device:
        """The device of a process."""

    def settle(self) -> None:
        """Waits for what was started."""

    def title(self) -> str:
        """What it is, for people."""

    def driver(self) -> str:
        """What drives it, with its version."""

    def memory(self) -> float | None:
        """Its memory [byte]; None where it does not say."""

    def health(self) -> dict[str, float]:
        """`clock` [Hz] and `power` [W] now, as far as they can be read."""

    def clocked(self, work: Callable[[], object], times: int) -> float:
        """Time of one of so many calls [s]: processor time of a processor, else by the device's own clock."""


KINDS: dict[str, DeviceKind] = {module.KIND: cast("DeviceKind", module) for module in (cpu, cuda, npu, musa, xpu)}
"""Each kind by the word that a plan says."""
