"""Memory of an accelerator in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tonnage import units

if TYPE_CHECKING:
    from tonnage.serve.result import MemoryUse


def room_there(held: Mapping[str, float]) -> float | None:
    """What an accelerator has [byte]: its label, or what drivers report where more than the label is used of it."""
    capacity, total = held.get("capacity"), held.get("total")
    if capacity is None or total is None or total <= capacity:
        return capacity
    return max(capacity, held.get("reported", capacity))


def show_held(held: MemoryUse) -> str:
    """`90.1 GB of 96 GB (drivers report about 102 GB)`."""
    total, label, reported = (units.show_memory(value) for value in (held.total, held.capacity, held.reported))
    if held.total > held.capacity:
        return f"{total} of about {reported} that drivers report (sold as {label})"
    return f"{total} of {label} (drivers report about {reported})"
