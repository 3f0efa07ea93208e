"""Whether a device computes what a given model needs, gate by gate. See docs/method/qualify.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tonnage.qualify.gate import Verified

if TYPE_CHECKING:
    import torch

    from tonnage.model import Architecture


def gates(
    device: torch.device,
    model: Architecture,
    *,
    others: Sequence[torch.device] = (),
    full: bool = False,
    seed: int = 0,
) -> Iterator[Verified]:
    """The gates of numerics, each as soon as it is known. others: further devices of the kind; full: at the model's own
    sizes, else cut to what takes seconds.
    """
    yield from ()
